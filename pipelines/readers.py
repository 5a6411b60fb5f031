"""Reading raw documents: patterns → slices of files → a `Document` or `Reject` a record.

`expand` runs once, where the pipeline is built; `read` runs on the workers, over
every byte of the corpus. Bad data never raises: each bad record and each damaged
file becomes a `Reject` with its reason and place, and its neighbours are kept.
A format is a row of `FORMATS`: a function that cuts a file into records, and
one that takes the text and the id out of a record.
"""

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from pipelines.files import CODECS, FileSlice, UnusableError, content
from pipelines.finding import match, short_names
from pipelines.parquet import Row, rows
from ppt.base.text import cut
from ppt.corpus.records import Document, Reject
from ppt.errors import ConfigError, InputError, unknown_name

__all__ = ["AUTO", "FORMATS", "FileSlice", "ReadOptions", "estimated_text_bytes", "expand", "read"]

AUTO = "auto"
_DETAIL_CHARS = 300
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_COMPRESSED_GROWTH = 3
_decode_json = json.JSONDecoder().decode


@dataclass(frozen=True)
class ReadOptions:
    """Where the text and the id stand in a record, and how long a document may be.

    Without `id_field`, "id" is used where it is text or a whole number, else "<name>:<offset>".
    Both fields are for jsonl and Parquet only.
    """

    text_field: str = "text"
    id_field: str | None = None
    max_document_chars: int = 16_000_000

    def __post_init__(self) -> None:
        if self.max_document_chars < 1:
            got = self.max_document_chars
            raise ConfigError(f"--max_document_chars must be at least 1, got {got}.")


Records = Iterator[tuple[int, bytes | Row | UnusableError]]
"""What a file is cut into: records with their offsets, or what is wrong at an offset."""


def expand(
    patterns: Sequence[str], input_format: str = AUTO, slice_bytes: int = 32 << 20
) -> list[FileSlice]:
    """Return the slices of all files that `patterns` (paths or globs) match, largest first."""
    if slice_bytes < 1:
        raise ConfigError(f"slice_bytes must be at least 1, got {slice_bytes}.")
    if input_format not in (AUTO, *FORMATS):
        raise unknown_name("input format", input_format, (AUTO, *FORMATS))
    if not patterns:
        raise InputError("no input was given; give at least one file or glob.")
    sizes = {path: size for pattern in patterns for path, size in match(pattern).items()}
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

    Blank lines are not records. Only one block and one record (of Parquet, a few
    rows) are held in memory. What is not the data's fault is raised: a full disk,
    or a remote service's own kind of error, which a runner's retry may cure.
    """
    form = FORMATS[part.format]
    for offset, record in form.cut(part, options):
        try:
            if isinstance(record, UnusableError):
                raise record
            text, key = form.fields(record, options)
            key = f"{part.name}:{offset}" if key is None else key
            yield Document(key, _text(text, options), part.name, offset)
        except UnusableError as unusable:
            detail = cut(unusable.detail, _DETAIL_CHARS)
            yield Reject(part.name, offset, unusable.reason, detail, unusable.records)


def _recognise(path: str, input_format: str) -> tuple[str, str]:
    """Return the format and the compression of a file by its name."""
    stem, extension = posixpath.splitext(path.lower())
    compression = extension.removeprefix(".")
    if compression in CODECS:
        extension = posixpath.splitext(stem)[1]
    else:
        compression = ""
    if input_format != AUTO:
        return input_format, compression
    for name, form in FORMATS.items():
        if extension in form.extensions:
            return name, compression
    known = ", ".join(FORMATS)
    raise ConfigError(f"{path}: the name does not tell the format; give --input_format ({known}).")


# ---- cutting a file into records


def _whole(part: FileSlice, options: ReadOptions) -> Records:
    """The file is the one record."""
    limit = FORMATS[part.format].most_bytes(options)
    held = bytearray()
    try:
        for block in content(part):
            held += block
            if len(held) > limit:
                raise UnusableError("too_long", f"a file of more than {limit} bytes")
        yield 0, bytes(held).removeprefix(_BOM)
    except UnusableError as unusable:
        yield 0, unusable


def _lines(part: FileSlice, options: ReadOptions) -> Records:
    """Each line is a record, without its end; blank ones are none.

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
                    elif line and not line.isspace():
                        yield offset, line.removesuffix(b"\r").removeprefix(_BOM)
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


# ---- the text and the id in a record


def _plain_fields(record: bytes, _: ReadOptions) -> tuple[str, None]:
    return _utf8(record), None


def _json_fields(record: bytes, options: ReadOptions) -> tuple[object, str | None]:
    line = _utf8(record)
    try:
        value = _decode_json(line)
    except RecursionError:
        raise UnusableError("invalid_json", "nested too deeply") from None
    except ValueError as error:  # also an integer of more digits than Python converts
        reason = "nul_bytes" if "\0" in line else "invalid_json"
        raise UnusableError(reason, str(error)) from error
    if not isinstance(value, dict):
        raise UnusableError("not_an_object", f"the line is a JSON {type(value).__name__}")
    if options.text_field not in value:
        raise UnusableError("missing_field", f"no {options.text_field!r}; there are {list(value)}")
    return value[options.text_field], _id(value.get(options.id_field or "id"), options)


def _row_fields(record: Row, options: ReadOptions) -> tuple[object, str | None]:
    text, key = record
    return (
        _utf8(text) if text is not None else None,
        _id(key.decode(errors="surrogateescape") if isinstance(key, bytes) else key, options),
    )


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        hint = "; is it UTF-16?" if data.startswith(_UTF16_BOMS) else ""
        detail = f"byte 0x{data[error.start]:02x} at {error.start} of the record{hint}"
        raise UnusableError("invalid_utf8", detail) from error


def _text(value: object, options: ReadOptions) -> str:
    """Return `value` if it can be the text of a document."""
    if value is None:
        raise UnusableError("missing_field", f"{options.text_field!r} is null")
    if not isinstance(value, str):
        raise UnusableError("not_a_string", f"{options.text_field!r} is {type(value).__name__}")
    if len(value) > options.max_document_chars:
        raise UnusableError("too_long", f"{len(value)} characters")
    if not value or value.isspace():
        raise UnusableError("blank")
    if "\0" in value:
        raise UnusableError("nul_bytes", f"at character {value.index(chr(0))}")
    return _encodable(value)


def _id(value: object, options: ReadOptions) -> str | None:
    """Return `value` as an id; None where none was asked for and it cannot be one."""
    try:
        if value is None:
            raise UnusableError("missing_field", f"no {options.id_field!r}, which is to be the id")
        if type(value) is int:  # a bool is not
            return str(value)
        if not isinstance(value, str):
            raise UnusableError("not_a_string", f"the id is {type(value).__name__}")
        return _encodable(value)
    except UnusableError:
        if options.id_field:
            raise
        return None


def _encodable(value: str) -> str:
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError as error:
        raise UnusableError("lone_surrogate", f"at character {error.start}") from error
    return value


class Format(NamedTuple):
    """How the files of one format are known, cut into records, and read."""

    extensions: tuple[str, ...]
    cut: Callable[[FileSlice, ReadOptions], Records]
    fields: Callable[[Any, ReadOptions], tuple[object, str | None]]
    can_be_sliced: bool = True
    growth: int = 1  # bytes of text for a byte of the file, about
    char_bytes: int = 4  # the most that a character takes up in a record
    other_bytes: int = 0  # room for what else stands in a record

    def most_bytes(self, options: ReadOptions) -> int:
        """Return the size from which on a record is not even decoded."""
        return self.char_bytes * options.max_document_chars + self.other_bytes


FORMATS = {
    "text": Format((".txt", ".text", ".md"), _whole, _plain_fields, can_be_sliced=False),
    "lines": Format((".lines",), _lines, _plain_fields),
    # JSON may write a character as \uXXXX.
    "jsonl": Format(
        (".jsonl", ".ndjson", ".json"), _lines, _json_fields, char_bytes=6, other_bytes=1 << 20
    ),
    "parquet": Format((".parquet",), _rows, _row_fields, growth=2),
}
"""The input formats by name; a file of each may be compressed as well (`CODECS`)."""
