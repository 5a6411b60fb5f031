"""The nouns that flow: a `Document` that was read, or the `Reject` that it became.

Both are frozen and know their place in the input, so that whatever happens to
them later can be told with its reason and position.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

REASONS = {
    "unreadable_file": "the file could not be opened or read",
    "corrupt_file": "the file is damaged; what stood before the damage was kept",
    "invalid_utf8": "the bytes are not UTF-8, or not of the --encoding that was given or found",
    "invalid_json": "the line is not a JSON value",
    "not_an_object": "the JSON value is not an object",
    "missing_field": "the text or id field is missing or null",
    "not_a_string": "the text is not a string, or the id neither string nor integer",
    "nul_bytes": "the text has NUL characters, so it is not text",
    "lone_surrogate": "the text has half a surrogate pair, which no UTF-8 file can hold",
    "too_long": "longer than --max_document_chars, with no place to cut it at",
    "not_extracted": "no prose could be taken out of it by --extract",
    "no_prose": "nothing was left by --extract, or no line by --quality",
    "language": "not in one of the languages of --language",
    "blank": "the document is empty or white space",
    "near_duplicate": "--near_duplicates drop: another document holds nearly all of its text",
    "too_few_sentences": "the document has fewer sentences than --min_sentences",
    "gopher_short_doc": "fewer than 50 words",
    "gopher_below_avg_threshold": "words are shorter than 3 characters on average",
    "gopher_above_avg_threshold": "words are longer than 10 characters on average",
    "gopher_too_many_hashes": "more than one # for 10 words",
    "gopher_too_many_ellipsis": "more than one ellipsis for 10 words",
    "gopher_too_many_bullets": "more than 90% of lines begin with a bullet",
    "gopher_too_many_end_ellipsis": "more than 30% of lines end with an ellipsis",
    "gopher_below_alpha_threshold": "fewer than 80% of words have a letter",
    "gopher_enough_stop_words": "fewer than 2 of 8 common English words",
    "dup_para_frac": "more than 30% of paragraphs are repeated",
    "dup_para_char_frac": "more than 20% of characters are in repeated paragraphs",
    "dup_line_frac": "more than 30% of lines are repeated",
    "dup_line_char_frac": "more than 20% of characters are in repeated lines",
    **{
        f"top_{n}_gram": f"more than {most}% of characters are in one run of {n} words"
        for n, most in ((2, 20), (3, 18), (4, 16))
    },
    **{
        f"duplicated_{n}_n_grams": f"more than {20 - n}% of characters are in runs of {n} words "
        "that are repeated"
        for n in range(5, 11)
    },
    "c4_lorem_ipsum": "it has 'lorem ipsum'",
    "c4_curly_bracket": "it has a curly bracket, as code has",
    "c4_too_few_sentences": "fewer than 5 sentences",
}
"""Stable reason words for rejected documents and files, each with its meaning."""


class UnusableError(Exception):
    """Why a record, or the rest of a file, cannot be used; `reason` is a word of its REASONS.

    It stands for as many `records`, where they can be told.
    """

    def __init__(self, reason: str, detail: str = "", records: int = 1) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.records = records


def refuse_twice(line: str, field: str) -> None:
    """Refuse a JSON object with two values of `field`: Python would drop the first in silence.

    A name that is not found may be written with escapes.
    """
    if line.count(f'"{field}"') != 1:
        names = [name for name, _ in json.loads(line, object_pairs_hook=list)]
        if names.count(field) > 1:
            raise UnusableError("invalid_json", f"{field!r} stands twice")


def in_one(line: bytes) -> Iterator[tuple[int, bytes]]:
    """A line as the record that it is, and its place in it; of a blank one nothing."""
    if line and not line.isspace():
        yield 0, line.removesuffix(b"\r")


def at_returns(line: bytes) -> Iterator[tuple[int, bytes]]:
    """What carriage returns part in a line, as `in_one`: old Macs' files have no line feeds."""
    at = 0
    for part in line.split(b"\r"):
        yield from ((at, whole) for _, whole in in_one(part))
        at += len(part) + 1


def document_text(value: object, field: str) -> str:
    """The value of `field` if it can be the text of a document. Raises UnusableError."""
    if value is None:
        raise UnusableError("missing_field", f"{field!r} is null")
    if not isinstance(value, str):
        raise UnusableError("not_a_string", f"{field!r} is {type(value).__name__}")
    if not value or value.isspace():
        raise UnusableError("blank")
    return sound(value)


def sound(text: str) -> str:
    """The text, if it is one: without NULs, and UTF-8 can hold it. Raises UnusableError."""
    if "\0" in text:
        raise UnusableError("nul_bytes", f"at character {text.index(chr(0))}")
    return encodable(text)


def encodable(value: str) -> str:
    """The text, if UTF-8 can hold it. Raises UnusableError."""
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError as error:
        raise UnusableError("lone_surrogate", f"at character {error.start}") from error
    return value


Notes = tuple[tuple[str, int], ...]
"""(what, how often)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read. `source` and `offset` say where it stood in the input.

    `notes` count what was done to it: how it was encoded, extracted or cut, lines left out.
    """

    id: str
    text: str
    source: str
    offset: int
    notes: Notes = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Something read that cannot be used, with a reason word of `REASONS` and its place.

    `offset` counts bytes of the decompressed file, or rows of a Parquet file. It stands for
    as many `records`: of a damaged Parquet file the rows are known, of others not.
    """

    source: str
    offset: int
    reason: str
    detail: str = ""
    records: int = 1

    def __post_init__(self) -> None:
        assert self.reason in REASONS, self.reason

    def as_dict(self) -> dict[str, str | int]:
        """The JSON line written to ``rejects/``; without `records` it is one."""
        line = asdict(self)
        return line if self.records > 1 else {k: v for k, v in line.items() if k != "records"}
