"""Rows of labelled data as they stand in files or on the hub, before a task reads them.

JSON lines and CSV are read by the standard library and `ppt.tasks.cells`, Parquet by Arrow:
readers that guess types make null of a text that says "None", 1.0 of a label 1, and refuse a
whole file for one bad line. Here CSV cells stay text, and a line that is no record is a
`BadRow` with its place. Only what is wrong with a file as a whole raises.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ppt.base.files import require_file
from ppt.base.pages import LargePageError, batches
from ppt.base.text import normalise
from ppt.errors import InputError, did_you_mean, first_line, visible
from ppt.tasks.cells import BadRow, divided
from ppt.tasks.unpacked import MAX_BYTES, PACKINGS, lines, packing, whole

KINDS = ("jsonl", "csv", "tsv", "parquet", "json")
SUFFIXES = tuple(f".{kind}{packed}" for packed in ("", *PACKINGS) for kind in KINDS)
"""How the names of data files end."""

EXPECTED = f"{', '.join(f'.{kind}' for kind in KINDS)}, or with {', '.join(PACKINGS)} after it"

OTHERS = {
    ".xlsx": "save the sheet as CSV UTF-8", ".xls": "save the sheet as CSV UTF-8",
    ".ods": "save the sheet as CSV UTF-8", ".zip": "unpack it", ".7z": "unpack it",
    ".tar": "unpack it", ".tgz": "unpack it",
    ".arrow": "write it as Parquet", ".feather": "write it as Parquet",
    ".txt": "if it has a header and a row a line, rename it .tsv or .csv",
}  # fmt: skip
"""How the names of other files end, and what to do about them."""

MAX_ROWS = 100_000
"""A training split is read up to this row: draws need hundreds, and some sets have millions."""

MAX_TEST_ROWS = 500_000

DEEPEST = 20
"""Lists in lists that a JSON row may hold; no column that we read has more than two."""

Placed = Iterator[tuple[str, Mapping[str, Any] | BadRow]]


@dataclass(frozen=True)
class Table:
    """Rows with their places ("line 3"), all columns met, and where they came from.

    `note` says what must be told of how they were read.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, Any] | BadRow], ...]
    note: str = ""

    def lacks(self, column: str) -> str:
        """What to say where a `column` is not there; "" where it is."""
        if column in self.columns:
            return ""
        bad = next((f"{at}: {row.detail}" for at, row in self.rows if isinstance(row, BadRow)), "")
        if bad and not self.columns:
            return f"{self.source}: no row can be read; {bad}."
        if inner := [name for name in self.columns if name.startswith(f"{column}.")]:
            return f"{column!r} of {self.source} holds objects: name one part, {listed(inner)}."
        near = did_you_mean(column[:100], self.columns[:100])
        known = listed(self.columns)
        return f"{self.source} has no column {column!r:.100}.{near} Its columns: {known}."


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names from a file, safe to print, and not without end."""
    shown = [visible(name[:60]) for name in islice(names, most + 1)]
    return ", ".join([*shown[:most], "…"] if len(shown) > most else shown)


def is_data_file(name: str) -> bool:
    """Whether a file name ends in one of `SUFFIXES`."""
    return name.lower().endswith(SUFFIXES)


def read_table(path: Path, limit: int | None = None, quoting: str | None = None) -> Table:
    """Read a file of one of `SUFFIXES`, up to `limit` rows; raises InputError.

    Without a limit, more than `MAX_TEST_ROWS` rows are refused. `quoting` is for CSV and TSV.
    """
    if not is_data_file(path.name):
        cure = OTHERS.get(path.suffix.lower(), "rename it")
        raise InputError(f"{path}: expected a file that ends in {EXPECTED}: {cure}.")
    packed = packing(path)
    kind = path.name.lower().removesuffix(packed).rpartition(".")[2]
    if kind == "parquet":
        return _table(path, _parquet_rows(path, packed=bool(packed)), limit)
    if kind in ("json", "jsonl"):
        return _table(path, _json_rows(path, kind), limit)
    found = divided(partial(lines, path), kind, quoting, limit or MAX_TEST_ROWS)
    if found is None:
        raise InputError(
            f"{path} is empty, or its first line cannot be read: expected the names of the columns"
            " there."
        )
    _require_distinct(path, found.columns)
    return _table(path, found.rows, limit, found.columns, found.notes)


def _require_distinct(path: Path, columns: Sequence[str]) -> None:
    if len({*map(normalise, columns)}) < len(columns):
        raise InputError(f"{path}: two columns have one name in {listed(columns)}: rename.")


def read_tables(paths: Sequence[Path], limit: int | None = None) -> Table:
    """Several files as one table, in their order, such as the shards of a hub's set."""
    if len(paths) == 1:
        return read_table(paths[0], limit)
    tables = [read_table(path, limit) for path in paths]
    placed = (
        (f"{path.name}, {place}", row)
        for path, table in zip(paths, tables, strict=True)
        for place, row in table.rows
    )
    columns = tuple(dict.fromkeys(name for table in tables for name in table.columns))
    notes = [table.note for table in tables if table.note]
    return _table(f"{paths[0]} and {len(paths) - 1} more", placed, limit, columns, notes)


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
    """Rows in memory as a table; raises InputError where one is no mapping by names."""
    several = rows if isinstance(rows, Iterable) else [rows]
    placed = [(f"row {number}", row) for number, row in enumerate(several)]
    for place, row in placed:
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            raise InputError(
                f"{source}, {place}: got {row!r:.80}, expected a mapping by the names of"
                " columns, such as {'text': 'Good.', 'label': 1} (of a DataFrame"
                " to_dict('records') gives them)."
            )
    return _table(source, placed, None)


def _table(
    source: Path | str,
    rows: Iterable[tuple[str, Mapping[str, Any] | BadRow]],
    limit: int | None,
    columns: tuple[str, ...] = (),
    notes: Sequence[str] = (),
) -> Table:
    rest = iter(rows)
    kept = tuple(
        (place, row if isinstance(row, BadRow) else _flat(row))
        for place, row in islice(rest, limit or MAX_TEST_ROWS)
    )
    more = next(rest, None) is not None
    if more and limit is None:
        raise InputError(f"{source} has more than {MAX_TEST_ROWS:,} rows: keep a sample of them.")
    met = (name for _, row in kept if not isinstance(row, BadRow) for name in row)
    told = f"{source}, first {limit:,} rows" if more else str(source)
    named = map(normalise, columns) if columns else dict.fromkeys(met)
    return Table(told, tuple(named), kept, "; ".join(notes))


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any] | BadRow:
    """A row with names in NFC, whose columns of objects have their parts as columns: ``a.b``."""
    plain = all(map(str.isascii, row)) and not any(isinstance(own, Mapping) for own in row.values())
    return row if plain else _object([*_parts(row)])


def _parts(row: Mapping[str, Any], whole: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from _parts(value, f"{whole}{name}.")
        else:
            yield normalise(f"{whole}{name}"), value


def _json_rows(path: Path, kind: str) -> Placed:
    """A row a line, or the items of one array."""
    rest = lines(path)
    start = next((line for line in rest if line.strip()), "")
    if start.lstrip().startswith("[") or kind == "json":
        array = _array(path, kind)
        if array is not None:
            for number, record in enumerate(array):
                yield f"row {number}", _record(record)
            return
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", _record(_decoded(line))
        except (ValueError, RecursionError) as error:
            yield f"line {number}", BadRow(f"no JSON: {first_line(error)}")


def _array(path: Path, kind: str) -> list[Any] | None:
    """The items of a file that is one JSON array; None where it has a row a line."""
    data = whole(path, MAX_BYTES // 4)
    try:
        found = _decoded(data)
    except (ValueError, RecursionError) as error:
        if kind == "jsonl" or "Extra data" in str(error):
            return None
        why = first_line(error)
        raise InputError(f"{path} is no whole JSON ({why}): write it again.") from None
    if isinstance(found, dict) and any(isinstance(own, dict | list) for own in found.values()):
        raise InputError(
            f"{path} is one JSON object with the keys {listed(found)}: expected an array of rows,"
            " or a row a line: save the rows alone."
        )
    return found if isinstance(found, list) else None


def _object(pairs: list[tuple[str, Any]]) -> Mapping[str, Any] | BadRow:
    """An object or row; of two values of one key nobody knows which is meant."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return BadRow(f"the key {twice!r:.80} stands twice")
    return made


_decoded = partial(json.loads, object_pairs_hook=_object)


def _record(value: Any) -> Mapping[str, Any] | BadRow:
    if isinstance(value, BadRow):
        return value
    if not isinstance(value, dict):
        return BadRow(f"a JSON {type(value).__name__}, no object")
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner for one in level if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]  # fmt: skip
    return BadRow(f"more than {DEEPEST} lists in lists") if level else value


def _parquet_rows(path: Path, *, packed: bool) -> Placed:
    """The rows, a few at a time: packed well, a small file may hold very much."""
    import pyarrow as pa

    number, left = 0, MAX_BYTES
    try:
        require_file(path)
        with io.BytesIO(whole(path, MAX_BYTES)) if packed else path.open("rb") as source:
            for batch in batches(source, rows=1024):
                _require_distinct(path, batch.schema.names)
                for row in batch.to_pylist():
                    left -= _size(row)
                    if left < 0:
                        raise InputError(
                            f"{path}, row {number}: more than {MAX_BYTES >> 20} MiB so far: keep"
                            " fewer rows, or only the columns that the task reads."
                        )
                    yield f"row {number}", row
                    number += 1
    except InputError:
        raise
    except LargePageError as error:
        raise InputError(f"{path}: {error}.") from None
    except (OSError, pa.ArrowException, ValueError, OverflowError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno:
            why = f"cannot read {path} ({error.strerror}): give another file."
        else:
            why = f"{path} is no whole Parquet file ({first_line(error)}): write it again."
        raise InputError(why) from None


def _size(value: Any) -> int:
    """What a value takes, in characters or so."""
    if isinstance(value, dict | list):
        return 8 + sum(map(_size, value.values() if isinstance(value, dict) else value))
    return len(value) if isinstance(value, str | bytes) else 8
