"""How large a Parquet file's pages unpack, told before any is unpacked.

Arrow unpacks a page whole, however large its header says that it is, and one of 58 kB may
hold 2 GB. No reader of Arrow's tells sizes of pages, nor bears every damaged footer; so the
few fields are found here, in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md,
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

MOST: Final = 512 << 20
"""Bytes of a page that are unpacked. Writers aim at 1 MB; a thousand books may share one."""

MOST_ROWS: Final = 2 << 30
"""Bytes of a table's rows."""

VALUE: Final = 8
"""Bytes of a value of a list, at least: Arrow's, or those of its place in a list of Python's."""

_MAGIC, _HEADER = b"PAR1", 16 << 20
"""Page headers hold statistics too; Arrow reads none that is longer."""

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _, _STRUCT = range(1, 13)

Wanted = dict[int, tuple[int, "Wanted"]]
"""Fields of a struct by number: their kind, and what is wanted of the structs within."""

_COLUMN: Final[Wanted] = {3: (_LIST, {}), 7: (_I64, {}), 9: (_I64, {}), 11: (_I64, {})}
"""path_in_schema, total_compressed_size, data_page_offset, dictionary_page_offset"""
_FOOTER: Final[Wanted] = {4: (_LIST, {1: (_LIST, {3: (_STRUCT, _COLUMN)}), 3: (_I64, {})})}
"""row_groups → columns → meta_data; num_rows"""
_VALUES: Final[tuple[int, Wanted]] = (_STRUCT, {1: (_I32, {})})
_PAGE: Final[Wanted] = {2: (_I32, {}), 3: (_I32, {}), 5: _VALUES, 8: _VALUES}
"""uncompressed_page_size, compressed_page_size, num_values of a page of data of either version"""

_DEEPEST, _LONGEST = 16, 63
"""Structs in structs; bits of a number."""


class LargePageError(ValueError):
    """A page unpacks to more than `MOST`."""


class _NoThriftError(Exception):
    """The bytes are not what Thrift writes, or not of Parquet."""


class Pages:
    """The pages of a Parquet file, by its row groups; of what is none, Arrow will tell."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        with suppress(IndexError, _NoThriftError):
            self._groups: list[Any] = []
            self._groups = _footer(file).get(4, [])
        file.seek(0)

    def largest(self, group: int, columns: Collection[str] | None = None) -> int:
        """The bytes that the largest page of a row group unpacks to, in any of the columns.

        These are named as at the top level; None: all. Raises LargePageError of more than `MOST`.
        """
        return max((size for size, _ in self._chunks(group, columns)), default=0)

    def row(self, group: int, columns: Collection[str] | None = None) -> int:
        """The bytes that an average row of a group may take in any of the columns.

        Of lists it has several values, each as large as a page at most, and `VALUE` bytes at
        least, however little they take packed. Raises LargePageError as `largest` does.
        """
        chunks = self._chunks(group, columns)
        for _, values in chunks:
            _require(VALUE * values, "a row of lists unpacks", "write the file without them")
        return max((max(size, VALUE) * max(values, 1) for size, values in chunks), default=0)

    def _chunks(self, group: int, columns: Collection[str] | None) -> list[tuple[int, int]]:
        """Of each column the bytes of its largest page, and the values of an average row."""
        chunks = []
        for found in self._groups[group : group + 1]:
            for meta in (one.get(3, {}) for one in found.get(1, ())):
                starts = [place for place in (meta.get(9, 0), meta.get(11, 0)) if place > 0]
                if starts and (columns is None or _name(meta) in columns):
                    pages = [*self._pages(min(starts), min(starts) + meta.get(7, 0))]
                    values = sum(count for _, count in pages)
                    largest = max((size for size, _ in pages), default=0)
                    chunks.append((largest, -(-values // max(found.get(3, 0), 1))))
        self._file.seek(0)
        for size, _ in chunks:
            _require(size, "a page unpacks", "write the file with smaller pages")
        return chunks

    def _pages(self, place: int, stop: int) -> Iterator[tuple[int, int]]:
        """The bytes and values of each page; of a dictionary's no values."""
        with suppress(IndexError, _NoThriftError):
            while place < stop:
                size, header = _page(self._file, place)
                values = header.get(5, {}).get(1, 0) + header.get(8, {}).get(1, 0)
                yield header.get(2, 0), max(values, 0)
                place += size + max(header.get(3, 0), 0)


def _require(size: int, what: str, cure: str) -> None:
    if size > MOST:
        told = f"{what} to {size >> 20} MiB, expected at most {MOST >> 20}"
        raise LargePageError(f"{told}: {cure}")


def bounded_table(
    file: IO[bytes], columns: Sequence[str] | None = None, only: "pc.Expression | None" = None
) -> "pa.Table":
    """The rows, or `only` those, as a table.

    Raises LargePageError too where they are more than `MOST_ROWS` bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    chosen = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    found, taken = [chosen.empty_table()], 0
    for batch in batches(file, columns):
        rows = pa.Table.from_batches([batch])
        found.append(rows if only is None else rows.filter(only))
        taken += found[-1].nbytes
        if taken > MOST_ROWS:
            raise LargePageError(f"its rows unpack to more than {MOST_ROWS >> 20} MiB")
    return pa.concat_tables(found)


def batches(
    file: IO[bytes], columns: Sequence[str] | None = None, rows: int = 1 << 16
) -> Iterator["pa.RecordBatch"]:
    """All rows, up to `rows` at a time, and so few that none takes much memory.

    Of a value there may be many copies, as a dictionary keeps it once. Raises LargePageError,
    and what Arrow raises.
    """
    import pyarrow.parquet as pq

    pages = Pages(file)
    table = pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
    for group in range(table.num_row_groups):
        at_once = max(1, min(rows, MOST // max(pages.row(group, columns), 1)))
        yield from table.iter_batches(at_once, [group], columns, use_threads=False)


def _footer(file: IO[bytes]) -> dict[int, Any]:
    end = file.seek(0, 2)
    file.seek(max(end - 8, 0))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > end - 8:
        raise _NoThriftError
    file.seek(end - 8 - length)
    return _Thrift(file.read(length)).struct(_FOOTER)


def _name(meta: dict[int, Any]) -> str:
    path = meta.get(3) or [b""]
    return path[0].decode(errors="replace") if isinstance(path[0], bytes) else ""


def _page(file: IO[bytes], place: int) -> tuple[int, dict[int, Any]]:
    """A page's header that starts at `place`, and the header's own bytes."""
    room = 1 << 10
    while True:
        file.seek(place)
        data = file.read(room)
        thrift = _Thrift(data)
        try:
            header = thrift.struct(_PAGE)
            return thrift.place, header
        except IndexError:
            if len(data) < room or room >= _HEADER:
                raise
            room <<= 7


class _Thrift:
    """Reads structs of Thrift's compact protocol; IndexError where the bytes end early."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """The wanted fields by number, those of structs likewise; the others are passed over."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            expected, inner = wanted.get(number, (0, {}))
            value = self._value(kind, inner if kind == expected else {}, depth)
            if kind == expected:
                found[number] = value
        return found

    def _value(self, kind: int, wanted: Wanted, depth: int) -> Any:
        if depth > _DEEPEST:
            raise _NoThriftError
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_I16, _I32, _I64):
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(wanted, depth + 1)
        if kind in (_LIST, _SET):
            return self._list(wanted, depth)
        if kind in (_BYTE, _DOUBLE):
            return self._bytes(1 if kind == _BYTE else 8)
        raise _NoThriftError  # maps, which Parquet has none of

    def _list(self, wanted: Wanted, depth: int) -> list[Any]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        size = self._varint() if size == 15 else size
        if wanted and kind != _STRUCT:
            raise _NoThriftError
        kind = _BYTE if kind in (_TRUE, _FALSE) else kind
        return [self._value(kind, wanted, depth + 1) for _ in range(size)]

    def _byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def _bytes(self, size: int) -> bytes:
        start, self.place = self.place, self.place + size
        if self.place > len(self.data):
            raise IndexError
        return self.data[start : self.place]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) > 127:
            value |= (byte & 127) << shift
            shift += 7
            if shift > _LONGEST:
                raise _NoThriftError
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
