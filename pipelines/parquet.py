"""Rows of Parquet files, read row group by row group: two columns, a few rows at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.files import FileSlice, seekable, unreadable
from ppt.base.pages import LargePageError, Pages
from ppt.corpus.records import UnusableError

Row = tuple[bytes | None, bytes | int | None]
"""A text and an id. Strings come as bytes: Parquet does not promise that they are UTF-8."""

_ROWS_AT_ONCE = 16
"""Texts of the largest size that is allowed, so many at once, still fit into memory."""

# Read as needed: by default all of a row group's column, compressed, is held in memory.
_READING = {"pre_buffer": False, "buffer_size": 1 << 20, "page_checksum_verification": True}


def rows(
    part: FileSlice, text_column: str, id_column: str, *, id_required: bool
) -> Iterator[tuple[int, Row | UnusableError]]:
    """Yield the slice's rows, each with its number in the file; or what is wrong there.

    A slice has the row groups that start in its share of the rows. A damaged one
    is left at the first rows that cannot be read; those after it are read all the same.
    """
    row = 0
    try:
        with seekable(part) as file, _damage():
            pages, table = Pages(file), pq.ParquetFile(file, **_READING)
            columns = _columns(table, text_column, id_column, id_required=id_required)
            for group in range(table.num_row_groups):
                # Not the group's real place: where the footer is damaged, asking pyarrow
                # for it (`row_group(n).column(0)`) can abort the process.
                place = part.size * row // max(table.metadata.num_rows, 1)
                end = row + max(table.metadata.row_group(group).num_rows, 0)
                if part.start <= place < part.stop:
                    yield from _group_rows(table, pages, group, columns, row, end)
                row = end
    except UnusableError as unusable:
        # What is wrong with the file as a whole is told once, by its first slice.
        if part.start == 0 or unusable.reason == "unreadable_file":
            yield 0, unusable


def _group_rows(
    table: pq.ParquetFile, pages: Pages, group: int, columns: list[str], row: int, end: int
) -> Iterator[tuple[int, Row | UnusableError]]:
    try:
        with _damage():
            pages.largest(group, columns)
            for batch in table.iter_batches(_ROWS_AT_ONCE, [group], columns, use_threads=False):
                texts, *ids = (_values(batch.column(name)) for name in columns)
                for values in zip(texts, ids[0] if ids else repeat(None), strict=False):
                    yield row, values
                    row += 1
        if row < end:
            raise UnusableError("corrupt_file", f"a row group ends {end - row} rows early")
    except UnusableError as unusable:
        unusable.records = max(end - row, 1)
        yield row, unusable


def _columns(table: pq.ParquetFile, text: str, key: str, *, id_required: bool) -> list[str]:
    """Return the columns to read: the text's and, where one can be an id, the id's."""
    schema = table.schema_arrow
    kinds = dict(zip(schema.names, schema.types, strict=True))
    n_rows = max(table.metadata.num_rows, 1)
    wanted = []
    for name, fits in ((text, _is_string), (key, _is_id)):
        alone = schema.names.count(name) == 1
        if alone and fits(kinds[name]):
            wanted.append(name)
        elif name != text and not id_required:
            continue
        elif alone:
            raise UnusableError("not_a_string", f"column {name!r} is {kinds[name]}", n_rows)
        else:
            told = f"{'several' if name in kinds else 'no'} {name!r}; there are {schema.names}"
            raise UnusableError("missing_field", told, n_rows)
    return wanted


def _is_string(kind: pa.DataType) -> bool:
    of = pa.types
    kind = kind.value_type if of.is_dictionary(kind) else kind
    known = (of.is_string, of.is_large_string, of.is_string_view, of.is_null)
    return any(fits(kind) for fits in known)


def _is_id(kind: pa.DataType) -> bool:
    return _is_string(kind) or pa.types.is_integer(kind)


def _values(column: pa.Array) -> Iterator[Any]:
    """One at a time, as they may be large."""
    values = column if pa.types.is_integer(column.type) else column.cast(pa.large_binary())
    return (value.as_py() for value in values)


@contextmanager
def _damage() -> Iterator[None]:
    """Turn Arrow's errors into `UnusableError`; those of reading the file keep their errno."""
    try:
        yield
    except LargePageError as error:
        raise UnusableError("too_long", str(error)) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise unreadable(error) from error
        raise UnusableError("corrupt_file", str(error)) from error
