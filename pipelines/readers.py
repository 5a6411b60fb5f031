"""Reading raw documents: patterns → slices of files → a `Document` or `Reject` a record.

`expand` runs once, where the pipeline is built; `read` runs on the workers, over
every byte of the corpus. Bad data never raises: each bad record and each damaged
file becomes a `Reject` with its reason and place, and its neighbours are kept.
A format is a row of `FORMATS`: a function that cuts a file into records, and
one that takes the text and the id out of a record.
"""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from pipelines import fields, preparing
from pipelines.files import CODECS, FileSlice, content, share
from pipelines.finding import match, short_names
from pipelines.flags import AUTO
from pipelines.parquet import Row, rows
from pipelines.preparing import ReadOptions, byte_ends, part_end, prepared
from ppt.base.text import cut
from ppt.corpus.records import Document, Reject, UnusableError, at_returns, document_text, in_one
from ppt.errors import ConfigError, InputError, require_known
from ppt.text.encoding import by_mark, keeps_lines
from ppt.text.extract import EXTRACTORS

_DETAIL_CHARS = 300
_BOM = b"\xef\xbb\xbf"
_COMPRESSED_GROWTH = 3
_ARCHIVES = (".xz", ".bz2", ".zip", ".7z", ".rar", ".tar", ".tgz", ".lz4", ".br", ".z")
_SLICE = 32 << 20

Records = Iterator[tuple[int, bytes | Row | UnusableError]]
"""What a file is cut into: records with their offsets, or what is wrong at an offset."""


def expand(
    patterns: Sequence[str], input_format: str = AUTO, slice_bytes: int | None = None
) -> list[FileSlice]:
    """Return the slices of all files that `patterns` (paths or globs) match, largest first.

    They are as large as `share` of all bytes, if not of `slice_bytes`.
    """
    require_known("input format", input_format, (AUTO, *FORMATS))
    if not patterns:
        raise InputError("no input was given; give at least one file or glob.")
    sizes = {path: size for pattern in patterns for path, size in match(pattern).items()}
    slice_bytes = slice_bytes or share(sum(sizes.values()), _SLICE)
    slices = []
    for (path, size), name in zip(sizes.items(), short_names(sizes), strict=True):
        form, compression = _recognise(path, input_format)
        step = max(size, 1) if compression or not FORMATS[form].can_be_sliced else slice_bytes
        slices += [
            FileSlice(path, name, form, compression, start, min(start + step, size), size)
            for start in range(0, max(size, 1), step)
        ]
    return sorted(slices, key=lambda part: (part.start - part.end, part.name, part.start))


def estimated_text_bytes(slices: Iterable[FileSlice]) -> int:
    """Estimate the text in `slices` from file sizes alone, to choose the number of shards.

    Nothing is opened: compressed bytes count three times, Parquet's twice.
    """
    return sum(
        (part.end - part.start)
        * (_COMPRESSED_GROWTH if part.compression else FORMATS[part.format].growth)
        for part in slices
    )


def read(part: FileSlice, options: ReadOptions) -> Iterator[Document | Reject]:
    """Yield the slice's documents, and a reject for whatever cannot be one.

    Of a document that is longer than allowed each part is one (`pipelines.preparing`). Blank
    lines are not records. Only one block and one record (of Parquet, a few rows) are held in
    memory. What is not the data's fault is raised: a full disk, or a remote service's own
    kind of error, which a runner's retry may cure.
    """
    form, extension = FORMATS[part.format], _extension(part.name)
    for offset, record in form.cut(part, options):
        try:
            if isinstance(record, UnusableError):
                raise record
            text, key, notes = form.fields(record, options)
            key = f"{part.name}:{offset}" if key is None else key
            raw = Document(key, document_text(text, options.text_field), part.name, offset, notes)
            yield from prepared(raw, options, extension)
        except UnusableError as unusable:
            detail = cut(unusable.detail, _DETAIL_CHARS)
            yield Reject(part.name, offset, unusable.reason, detail, unusable.records)


def extensions_of(names: Iterable[str]) -> set[str]:
    """Of the names of files; what is compressed goes by the extension before."""
    return set(map(_extension, names))


def check(slices: Iterable[FileSlice], options: ReadOptions) -> None:
    """Raise ConfigError where these files cannot be read as `options` ask."""
    preparing.check(options, extensions_of(part.name for part in slices))
    if not keeps_lines(options.encoding):
        for part in slices:
            if part.format != "text":
                raise ConfigError(
                    f"--encoding {options.encoding}: {part.name} is cut at line feeds, which "
                    "are other bytes in it; convert it to UTF-8, or give --input_format text"
                )


def _extension(path: str) -> str:
    """What the name ends in, as ``.txt``; in lower case, compression aside."""
    stem, extension = posixpath.splitext(path.lower())
    return posixpath.splitext(stem)[1] if extension[1:] in CODECS else extension


def _recognise(path: str, input_format: str) -> tuple[str, str]:
    """Return the format and the compression of a file by its name."""
    compression = posixpath.splitext(path.lower())[1].removeprefix(".")
    compression = compression if compression in CODECS else ""
    extension = _extension(path)
    if extension in _ARCHIVES:
        raise ConfigError(
            f"{path}: nobody here unpacks {extension}; unpack it, or pack each file as "
            f"{' or '.join(f'.{name}' for name in CODECS)}."
        )
    if input_format != AUTO:
        return input_format, compression
    for name, form in FORMATS.items():
        if extension in form.extensions:
            return name, compression
    known = ", ".join(FORMATS)
    raise ConfigError(
        f"{path}: the name does not tell the format; give --input_format "
        f"({known}), or patterns that leave it out, such as 'folder/*.jsonl'."
    )


# ---- cutting a file into records


def _whole(part: FileSlice, options: ReadOptions) -> Records:
    """The file is the one record; one that is too long to be held is cut into several."""
    limit = FORMATS[part.format].most_bytes(options)
    ends = byte_ends(options, _extension(part.name))
    held, start = bytearray(), 0
    try:
        for block in content(part):
            held += block
            while len(held) > limit:
                end = 0 if by_mark(held) and not start else part_end(held, 0, limit, ends)
                if not end:
                    raise UnusableError("too_long", f"a file of more than {limit} bytes")
                yield start, bytes(held[:end]).removeprefix(_BOM)
                del held[:end]
                start += end
        if not start or held.strip():
            yield start, bytes(held).removeprefix(_BOM)
    except UnusableError as unusable:
        yield start, unusable


def _lines(
    part: FileSlice,
    options: ReadOptions,
    records: Callable[[bytes], Iterator[tuple[int, bytes]]] = in_one,
) -> Records:
    """Each line is a record, without its end, or several `records`; blank ones are none.

    A line cut off by damage is dropped: the reject of the damage stands for it.
    """
    limit = FORMATS[part.format].most_bytes(options)
    start, stop = part.start, part.stop
    offset = max(start - 1, 0)  # a line starts at `start` only if another ends before it
    held: list[bytes] = []
    size = 0  # of what was read so far of the line that starts at `offset`
    try:
        # The last line end closes a line that has none; else it makes a blank line.
        for block in chain(content(part, offset), [b"\n"]):
            *ended, rest = block.split(b"\n")
            for piece in ended:
                size += len(piece)
                line = b"".join((*held, piece)) if held else piece
                held.clear()
                if start <= offset < stop:
                    if size > limit:
                        yield offset, UnusableError("too_long", f"a line of {size} bytes")
                    else:
                        for at, record in records(line):
                            yield offset + at, record.removeprefix(_BOM)
                offset += size + 1
                size = 0
            if offset >= stop:
                return
            size += len(rest)
            if size > limit:
                held.clear()
            else:
                held.append(rest)
    except UnusableError as unusable:
        yield max(offset, start), unusable


def _rows(part: FileSlice, options: ReadOptions) -> Records:
    """Each row is a record; its offset is its number."""
    required = options.id_field is not None
    return rows(part, options.text_field, options.id_field or "id", id_required=required)


class Format(NamedTuple):
    """How the files of one format are known, cut into records, and read."""

    extensions: tuple[str, ...]
    cut: Callable[[FileSlice, ReadOptions], Records]
    fields: Callable[[Any, ReadOptions], fields.Found]
    can_be_sliced: bool = True
    growth: int = 1  # bytes of text for a byte of the file, about
    char_bytes: int = 4  # the most that a character takes up in a record
    other_bytes: int = 0  # room for what else stands in a record

    def most_bytes(self, options: ReadOptions) -> int:
        """Return the size from which on a record is not even decoded."""
        return self.char_bytes * options.max_document_chars + self.other_bytes


FORMATS = {
    "text": Format(
        (".txt", ".text", *chain(*(one.extensions for one in EXTRACTORS.values()))),
        _whole,
        fields.of_text,
        can_be_sliced=False,
    ),
    "lines": Format((".lines",), partial(_lines, records=at_returns), fields.of_text),
    # JSON may write a character as \uXXXX.
    "jsonl": Format(
        (".jsonl", ".ndjson", ".json"), _lines, fields.of_json, char_bytes=6, other_bytes=1 << 20
    ),
    "parquet": Format((".parquet",), _rows, fields.of_row, growth=2),
}
"""The input formats by name; a file of each may be compressed as well (`CODECS`)."""
