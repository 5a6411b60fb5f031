"""Raw documents: files of JSON lines, text or Parquet → texts, with every record accounted for.

What is no document is a `Reject` with its reason and place, and reading goes on: with the next
line, or after a damaged file with the next file. Files are read some at a time, a document of
each in turn, so that the head of a corpus is a sample of it.
"""

import glob
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ppt.base.pages import LargePageError, batches
from ppt.base.streams import seed_bits
from ppt.corpus.records import (
    Reject,
    UnusableError,
    at_returns,
    document_text,
    in_one,
    refuse_twice,
)
from ppt.errors import InputError, first_line
from ppt.tasks.unpacked import MAX_BYTES, PACKINGS, opened, packing, whole

Records = Iterator[tuple[int, Any]]
"""The records of a file with their offsets, as in `Reject`: text, or bytes of it."""

SIDE_BY_SIDE = 16
"""Files that are open at once."""

MARK = "\ufeff"
"""The byte-order mark, which is no text."""

LONGEST = 64 << 20
"""Bytes of a record; a long novel has a fortieth."""


_TOO_LONG = UnusableError("too_long", f"more than {LONGEST >> 20} MiB: cut it into several")


def find_documents(patterns: str, flag: str = "--corpus") -> list[Path]:
    """The files that paths or globs, with commas between them, name; raises InputError.

    Their order is random, and the same wherever they lie.
    """
    found: dict[Path, None] = {}
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        paths = [Path(pattern)] if Path(pattern).is_file() else sorted(
            Path(one) for one in glob.glob(pattern, recursive=True)  # noqa: PTH207 - may be absolute
        )  # fmt: skip
        if not any(path.is_file() for path in paths):
            raise InputError(f"{flag}: no file matches {pattern!r}: give files, as 'folder/*.txt'.")
        found |= dict.fromkeys(path for path in paths if path.is_file())
    if not found:
        raise InputError(f"{flag} {patterns!r} names no file: give files, as 'folder/*.txt'.")
    for path in found:
        if _kind(path) not in READERS:
            known = ", ".join(f".{kind}" for kind in READERS)
            raise InputError(
                f"{flag}: {path} is read by nobody: expected {known}, or with"
                f" {', '.join(PACKINGS)} after it."
            )
    return sorted(found, key=lambda path: (seed_bits(0, os.fsencode(path.name)), str(path)))


def documents(paths: Sequence[Path], field: str, reject: Callable[[Reject], None]) -> Iterator[str]:
    """The documents of all files; `field` is where records have their text."""
    waiting, under_way = iter(paths), list[Iterator[str]]()
    while True:
        while len(under_way) < SIDE_BY_SIDE and (path := next(waiting, None)) is not None:
            under_way.append(_of_file(path, field, reject))
        if not under_way:
            return
        for one in [*under_way]:
            text = next(one, None)
            if text is None:
                under_way.remove(one)
            else:
                yield text


def _of_file(path: Path, field: str, reject: Callable[[Reject], None]) -> Iterator[str]:
    name, at = path.name, 0
    try:
        for offset, record in READERS[_kind(path)](path, field):
            at = offset
            try:
                if isinstance(record, UnusableError):
                    raise record
                yield _text(record, field, is_json=_kind(path) in JSON)
            except UnusableError as error:
                reject(Reject(name, offset, error.reason, error.detail, error.records))
    except (InputError, LargePageError) as error:
        reject(Reject(name, at, "corrupt_file", first_line(error)))


def _text(record: Any, field: str, *, is_json: bool) -> str:
    """The text of a record."""
    try:
        value = line = record.decode("utf-8-sig") if isinstance(record, bytes) else record
    except UnicodeDecodeError as error:
        raise UnusableError("invalid_utf8", f"byte {error.start} of the record") from None
    if is_json:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise UnusableError("invalid_json", first_line(error)) from None
        if not isinstance(value, dict):
            raise UnusableError("not_an_object", f"the line is a JSON {type(value).__name__}")
        refuse_twice(line, field)
        if field not in value:
            raise UnusableError("missing_field", f"no {field!r}; there are {list(value)}")
        value = value[field]
    return document_text(value.removeprefix(MARK) if isinstance(value, str) else value, field)


def _kind(path: Path) -> str:
    """What a name ends in, packing aside."""
    return path.name.lower().removesuffix(packing(path)).rpartition(".")[2]


def _lines(
    path: Path, _field: str, split: Callable[[bytes], Iterator[tuple[int, bytes]]] = in_one
) -> Records:
    """A record a line, or several by `split`; blank ones aside."""
    offset = 0
    with opened(path) as file:
        while line := file.readline(LONGEST + 1):
            if len(line) > LONGEST:
                yield offset, _TOO_LONG
            else:
                yield from ((offset + at, part) for at, part in split(line))
            offset += len(line)
            while len(line) > LONGEST and not line.endswith(b"\n"):
                line = file.readline(LONGEST + 1)
                offset += len(line)


def _whole(path: Path, _field: str) -> Records:
    """The file is the one record."""
    with opened(path) as file:
        data = file.read(LONGEST + 1)
    yield 0, _TOO_LONG if len(data) > LONGEST else data


def _rows(path: Path, field: str) -> Records:
    """A record a row. Strings come as bytes: Parquet does not promise that they are UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, rows = 0, 1
    try:
        packed = io.BytesIO(whole(path, MAX_BYTES)) if packing(path) else None
        with nullcontext(packed) if packed else opened(path) as file:
            table = pq.ParquetFile(file)
            kinds = {one.name: one.type for one in table.schema_arrow}
            rows = table.metadata.num_rows
            if not _is_text(kinds.get(field)):
                what = f"column {field!r} is {kinds[field]}" if field in kinds else (
                    f"no {field!r}; there are {[*kinds][:20]}"
                )  # fmt: skip
                reason = "not_a_string" if field in kinds else "missing_field"
                yield 0, UnusableError(reason, what, max(rows, 1))
                return
            for batch in batches(file, [field], rows=64):
                for value in batch.column(0).cast(pa.large_binary()):
                    yield number, value.as_py()
                    number += 1
    except (pa.ArrowException, InputError, LargePageError, OSError) as error:
        yield number, UnusableError("corrupt_file", first_line(error), max(rows - number, 1))


def _is_text(kind: Any) -> bool:
    """Whether values of an Arrow type are text, or bytes that may be."""
    import pyarrow.types as of

    if kind is None:
        return False
    kind = kind.value_type if of.is_dictionary(kind) else kind
    return any(
        fits(kind) for fits in (
            of.is_string, of.is_large_string, of.is_string_view, of.is_binary, of.is_large_binary,
            of.is_binary_view, of.is_null,
        )
    )  # fmt: skip


READERS: dict[str, Callable[[Path, str], Records]] = {
    "jsonl": _lines, "ndjson": _lines, "json": _lines, "txt": _whole, "text": _whole,
    "lines": partial(_lines, split=at_returns), "parquet": _rows,
}  # fmt: skip
"""How names end → what cuts such a file into records."""

JSON = ("jsonl", "ndjson", "json")
"""Of these, those of which a record is a JSON object."""
