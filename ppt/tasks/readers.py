"""Rows of labelled data as they stand in files or on the hub, before a task reads them.

JSON lines and CSV are read by the standard library, Parquet by Arrow: readers that guess
types make null of a text that says "None", 1.0 of a label 1, and refuse a whole file for
one bad line. Here CSV cells stay text, and a line that is no record is a `BadRow` with
its place. Only what is wrong with a file as a whole raises.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ppt.errors import InputError, first_line

KINDS = ("jsonl", "csv", "tsv", "parquet")
SUFFIXES = tuple(f".{kind}{packed}" for packed in ("", ".gz") for kind in KINDS)
"""How the names of data files end."""

MAX_ROWS = 100_000
"""A training split is read up to this row: draws need hundreds, and some sets have millions."""

_DELIMITERS = ",;\t"
_LONGEST_CELL = 1 << 30


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is no record, with a reason word of `ppt.tasks.loading.REASONS`."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Table:
    """Rows with their places ("line 3"), all columns met, and where they came from."""

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, Any] | BadRow], ...]


def read_table(path: Path, limit: int | None = None) -> Table:
    """Read a file of one of `SUFFIXES`, up to `limit` rows; raises InputError."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}: rename it.")
    data = _content(path)
    if kind == "parquet":
        return _table(path, _parquet_rows(data, path), limit)
    text = _text(data, path)
    if kind == "jsonl":
        return _table(path, _json_rows(text), limit)
    columns, rows = _csv_rows(text, "\t" if kind == "tsv" else "", path)
    return _table(path, rows, limit, columns)


def read_hub(
    hub_id: str, config: str | None, split: str, cure: str, limit: int | None = None
) -> Table:
    """Read a split from the hub, or its cache; raises InputError that ends with `cure`."""
    name = hub_id + (f" ({config})" if config else "")
    try:
        import datasets

        loaded = datasets.load_dataset(hub_id, config, split=split)
    except Exception as error:  # whatever datasets and the clients below it may raise
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(
            f"cannot load {split} of {name} from the hub ({reason}): {cure}"
        ) from error
    rows = ((f"row {number}", row) for number, row in enumerate(loaded))
    return _table(f"{name}, split {split}", rows, limit, tuple(loaded.column_names))


def rows_table(source: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows in memory as a table."""
    return _table(source, ((f"row {number}", row) for number, row in enumerate(rows)), None)


def _table(
    source: Path | str,
    rows: Iterable[tuple[str, Mapping[str, Any] | BadRow]],
    limit: int | None,
    columns: tuple[str, ...] = (),
) -> Table:
    rest = iter(rows)
    kept = tuple(islice(rest, limit))
    more = next(rest, None) is not None
    met = (name for _, row in kept if not isinstance(row, BadRow) for name in row)
    told = f"{source}, first {limit:,} rows" if more else str(source)
    return Table(told, columns or tuple(dict.fromkeys(met)), kept)


def _content(path: Path) -> bytes:
    """The bytes of the file, unpacked."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.name.endswith(".gz") else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is no whole gzip file ({error}): pack it again.") from None
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): give another file.") from None


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: byte {data[error.start]:#x} is not UTF-8: save the file as"
            ' UTF-8 (in Excel: "CSV UTF-8").'
        ) from None


def _json_rows(text: str) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield place, BadRow("broken_line", f"no JSON: {error}")
            continue
        if isinstance(record, dict):
            yield place, record
        else:
            yield place, BadRow("broken_line", f"a JSON {type(record).__name__}, no object")


def _csv_rows(
    text: str, delimiter: str, path: Path
) -> tuple[tuple[str, ...], Iterator[tuple[str, Mapping[str, Any] | BadRow]]]:
    """The header and the rows; without `delimiter`, the sign that the header has most of."""
    header = text.split("\n", maxsplit=1)[0]
    sign = delimiter or max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    lines = _csv_lines(reader, path)
    columns = tuple(name.strip() for name in next(lines, ("", []))[1])
    if not any(columns):
        raise InputError(f"{path} is empty: expected a first line with the names of the columns.")
    if len(set(columns)) < len(columns):
        raise InputError(f"{path}: two columns have one name in {', '.join(columns)}: rename one.")

    def rows() -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
        for place, cells in lines:
            if len(cells) == len(columns):
                yield place, dict(zip(columns, cells, strict=True))
            elif cells:
                counts = f"{len(cells)} cells, but the header has {len(columns)}"
                yield place, BadRow("broken_line", f"{counts} (quote texts that hold {sign!r})")

    return columns, rows()


def _csv_lines(reader: Any, path: Path) -> Iterator[tuple[str, list[str]]]:
    usual = csv.field_size_limit(_LONGEST_CELL)
    try:
        while True:
            place = f"line {reader.line_num + 1}"
            yield place, next(reader)
    except StopIteration:
        return
    except csv.Error as error:
        raise InputError(f"{path}, {place}: {error}: mend the quotation marks there.") from None
    finally:
        csv.field_size_limit(usual)


def _parquet_rows(data: bytes, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is no whole Parquet file ({first_line(error)}): write it again."
        ) from None
    for number, row in enumerate(table.to_pylist()):
        yield f"row {number}", row
