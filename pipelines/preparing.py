"""A document as it was read → the prose of it that is wanted, in parts if it is long.

In this order: extracted, in a language that is asked for, of the asked quality, cut at
paragraphs. Pure functions of one document; what was done is noted on it, and a document that
is not wanted raises `UnusableError` with its reason.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ppt.base.extras import need
from ppt.base.text import normalise
from ppt.corpus.records import Document, UnusableError, sound
from ppt.errors import ConfigError, require_known
from ppt.text import encoding, language
from ppt.text.extract import AUTO, EXTRACTORS, NONE, extractor_for, other_kind
from ppt.text.markup import ExtractionError
from ppt.text.quality import RULE_SETS, fault, kept_lines

_MODULES = {"charset-normalizer": "charset_normalizer", "markdown-it-py": "markdown_it"}
"""Libraries whose module has another name."""

_ENDS = ("\n\n", "\r\n\r\n", "\n", ". ", "。", " ")
"""Where a long text is cut, the best first."""


@dataclass(frozen=True)
class ReadOptions:
    """Where the text and the id stand in a record, and what of the text is wanted.

    Without `id_field`, "id" is used where it is text or a whole number, else "<name>:<offset>".
    Both fields are for jsonl and Parquet only. `extract` is a name of `EXTRACTORS` or "auto";
    `languages` are codes of ISO 639-1, none for all; `quality` names of `RULE_SETS`.
    """

    text_field: str = "text"
    id_field: str | None = None
    max_document_chars: int = 16_000_000
    encoding: str = encoding.UTF8
    extract: str = AUTO
    languages: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_document_chars < 1:
            got = self.max_document_chars
            raise ConfigError(f"--max_document_chars must be at least 1, got {got}.")
        if self.encoding != encoding.AUTO and not encoding.is_charset(self.encoding):
            raise ConfigError(
                f"--encoding: got {self.encoding!r}, expected {encoding.AUTO!r} or an encoding "
                "that Python knows, such as utf-8, cp1252 or gb18030"
            )
        require_known("extractor in --extract", self.extract, (AUTO, *EXTRACTORS))
        for name in self.quality:
            require_known("filter in --quality", name, RULE_SETS)


def libraries(options: ReadOptions, extensions: Iterable[str]) -> list[str]:
    """The libraries on which the prose of files with these extensions depends."""
    asked = {EXTRACTORS[extractor_for(options.extract, one)].library for one in extensions}
    if options.languages:
        asked.add(language.LIBRARY)
    if options.encoding == encoding.AUTO:
        asked.add(encoding.LIBRARY)
    return sorted(filter(None, asked))


def check(options: ReadOptions, extensions: Iterable[str]) -> None:
    """Raise ConfigError if a library is missing, or no language of that name is known to it."""
    for library in libraries(options, extensions):
        need(_MODULES.get(library, library), _ASKED_BY.get(library, f"--extract {options.extract}"))
    for code in options.languages:
        require_known("language in --language", code, language.known_languages())


_ASKED_BY = {language.LIBRARY: "--language", encoding.LIBRARY: "--encoding auto"}


def prepared(raw: Document, options: ReadOptions, extension: str) -> Iterator[Document]:
    """The document's prose, in as many parts as it has. Raises UnusableError before the first.

    Parts have the ids ``id#1``, ``id#2``, …; they share the place of their record.
    """
    text, notes = raw.text, Counter(dict(raw.notes))
    extractor = extractor_for(options.extract, extension)
    if extractor != NONE:
        try:  # a mail's base64 may hide what is no text
            text = sound(EXTRACTORS[extractor].prose(normalise(text)))
        except ExtractionError as error:
            raise UnusableError("not_extracted", f"--extract {extractor}: {error}") from error
        notes[f"extracted {extractor}"] = 1
        _refuse_blank(text, f"--extract {extractor}")
    elif options.extract == AUTO and (kind := other_kind(text)):
        raise UnusableError("not_extracted", kind)
    if "\x1b$" in text:  # no terminal's code; in UTF-8 and its like nothing
        raise UnusableError("invalid_utf8", "it is ISO 2022; --encoding iso2022_jp reads Japanese")
    if options.languages:
        found, sure = language.identify(text)
        if found not in options.languages:
            raise UnusableError("language", f"{found}, {sure:.2f} sure")
    for name in options.quality:
        rules = RULE_SETS[name]
        text, left_out = kept_lines(normalise(text), rules)
        notes.update(left_out)
        _refuse_blank(text, f"--quality {name}")
        reason, detail = fault(text, rules)
        if reason:
            raise UnusableError(reason, detail)
    parts = cut_into_parts(text, options.max_document_chars)
    for number, part in enumerate(parts, 1):
        key, noted = raw.id, notes
        if len(parts) > 1:
            key = f"{raw.id}#{number}"
            noted = Counter(parts=1) if number > 1 else notes + Counter(parts=1, cut_documents=1)
        yield replace(raw, id=key, text=part, notes=tuple(sorted(noted.items())))


def _refuse_blank(text: str, step: str) -> None:
    if not text or text.isspace():
        raise UnusableError("no_prose", step)


# ---- long documents


def cut_into_parts(text: str, limit: int) -> list[str]:
    """Parts of at most `limit` characters, cut at paragraphs where there are any.

    Nothing but blank parts is left out. Raises UnusableError where there is no place to cut.
    """
    parts, start = [], 0
    while len(text) - start > limit:
        end = part_end(text, start, start + limit, _ENDS)
        if not end:
            raise UnusableError(
                "too_long", f"{len(text)} characters, no white space within {limit} of them"
            )
        parts.append(text[start:end])
        start = end
    return [part for part in (*parts, text[start:]) if part and not part.isspace()]


def part_end(text: Any, start: int, stop: int, ends: Sequence[Any]) -> int:
    """Where to cut `text`, or bytes, between `start` and `stop`: after the first of `ends` that is
    there, if possible in the second half; 0 where there is no such place.
    """
    for first in ((start + stop) // 2, start):
        for sign in ends:
            place: int = text.rfind(sign, first, stop)
            if place >= 0:
                return place + len(sign)
    return 0


@cache
def byte_ends(options: ReadOptions, extension: str) -> tuple[bytes, ...]:
    """Where a file may be cut before it is decoded: at ASCII, if that is ASCII alone in its
    encoding, and nothing else is to be looked for in it.
    """
    if (
        extractor_for(options.extract, extension) != NONE
        or options.quality
        or not encoding.keeps_lines(options.encoding)
    ):
        return ()
    is_utf8 = options.encoding == encoding.UTF8
    return tuple(end.encode() for end in _ENDS if is_utf8 or end.isascii())
