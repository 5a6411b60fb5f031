"""Reading the bytes of input files on any file system Beam knows.

Files are opened uncompressed and decompressed here: Beam's own decompression and
zstandard's readers take a file that was cut short for a complete one.
"""

import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard

from pipelines.stores import is_local, opened
from ppt.corpus.records import UnusableError

_BLOCK = 1 << 20
_IN_MEMORY = 64 << 20
_BUNDLE = 4 << 20
_SHARES, _LEAST = 32, 1 << 20
_OPENING = 16 << 10
"""Opening a file takes about as long as reading so many bytes."""

_GROWTH = 200
"""Of a Parquet file that is compressed once more; it is compressed within already."""


@dataclass(frozen=True)
class FileSlice:
    """The records of one file that start in its bytes [start, end) (of Parquet: row groups).

    `name` is the path below the folder that all inputs share, so that ids and
    rejects do not depend on where the data lies. `compression` is "", "gz" or "zst".
    """

    path: str
    name: str
    format: str
    compression: str
    start: int
    end: int
    size: int

    @property
    def stop(self) -> int:
        """`end`; but the last slice goes on to the file's real end, whatever was listed."""
        return self.end if self.end < self.size else sys.maxsize


@dataclass(frozen=True)
class Bundle:
    """Slices that one worker reads in turn: small files would each cost more than they hold."""

    slices: tuple[FileSlice, ...]


def share(total: int, most: int) -> int:
    """Of `total` bytes so many that there is enough to do for all workers, up to `most`."""
    return max(_LEAST, min(most, total // _SHARES))


def bundled(slices: Sequence[FileSlice]) -> list[Bundle]:
    """All slices, in order, those of few bytes many together."""
    bundles: list[list[FileSlice]] = []
    most = share(sum(part.end - part.start + _OPENING for part in slices), _BUNDLE)
    room = 0
    for part in slices:
        if room <= 0:
            bundles.append([])
            room = most
        bundles[-1].append(part)
        room -= part.end - part.start + _OPENING
    return [Bundle(tuple(parts)) for parts in bundles]


class _Codec(NamedTuple):
    """How to decompress: `start` gives the decompressor of one gzip member or zstd frame.

    It is fed `feed` bytes at a time, so that a bomb (1,000-fold in gzip, 32,000-fold
    in zstd) cannot fill the memory in one call.
    """

    start: Callable[[], Any]
    error: type[Exception]
    feed: int


CODECS = {
    "gz": _Codec(lambda: zlib.decompressobj(wbits=31), zlib.error, 4096),
    "zst": _Codec(
        # The largest window, which files made with `zstd --long=31` need.
        lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
        zstandard.ZstdError,
        256,
    ),
}
"""Compressions by file name extension."""


def content(part: FileSlice, start: int = 0) -> Iterator[bytes]:
    """Yield the file's blocks, decompressed; raise `UnusableError` where that fails.

    `start` is a byte of the file as it is stored.
    """
    raw = partial(_raw_blocks, part, start)
    return _decompress(raw, CODECS[part.compression]) if part.compression else raw()


@contextmanager
def seekable(part: FileSlice) -> Iterator[IO[bytes]]:
    """Open the file, decompressed, for reading at any place."""
    if part.compression:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            most = _IN_MEMORY + _GROWTH * part.size
            for block in content(part):  # `writelines` would hold it all
                copy.write(block)
                if copy.tell() > most:
                    raise UnusableError("too_long", f"it decompresses to more than {most} bytes")
            copy.seek(0)
            yield copy
    else:
        with _open(part) as file:
            yield file


def unreadable(error: OSError) -> UnusableError:
    """Return what to say of a file that cannot be read: without its path, which may differ."""
    return UnusableError("unreadable_file", error.strerror or str(error))


def _open(part: FileSlice) -> IO[bytes]:
    try:
        if is_local(part.path):
            if not stat.S_ISREG(Path(part.path).stat().st_mode):
                raise UnusableError("unreadable_file", "a pipe or a device, and no file")
            return Path(part.path).open("rb")  # as Beam does, which would look for what serves it
        return opened(part.path)
    except OSError as error:
        raise unreadable(error) from error


def _raw_blocks(part: FileSlice, start: int) -> Iterator[bytes]:
    with _open(part) as file:
        try:
            if start:  # a pipe cannot seek
                file.seek(start)
            while block := file.read(_BLOCK):
                yield block
        except OSError as error:
            raise unreadable(error) from error


def _decompress(raw: Callable[[], Iterator[bytes]], codec: _Codec) -> Iterator[bytes]:
    member, first, given, place = codec.start(), 0, 0, 0
    for cut in _cut(raw(), codec.feed):
        piece, place = cut, place + len(cut)
        while piece:
            if member.eof:
                piece = piece.lstrip(b"\0")  # padding, as gzip allows it
                if not piece:
                    break
                member, first, given = codec.start(), place - len(piece), 0
            try:
                data = member.decompress(piece)
            except codec.error as error:
                yield from _salvage(raw, codec, first, place - len(piece), given)
                raise UnusableError("corrupt_file", str(error)) from error
            given += len(data)
            yield data
            piece = member.unused_data
    if not member.eof:
        raise UnusableError("corrupt_file", "the compressed data ends early")


def _salvage(
    raw: Callable[[], Iterator[bytes]], codec: _Codec, first: int, damaged: int, given: int
) -> Iterator[bytes]:
    """Yield what the bytes of the piece at `damaged` before the bad one give.

    No decompressor goes back, so the member is read anew from its `first` byte; what it has
    `given` is passed over.
    """
    member = codec.start()
    before = _cut(raw(), codec.feed, first, damaged)
    within = _cut(raw(), 1, damaged, damaged + codec.feed)
    with suppress(codec.error):
        for piece in chain(before, within):
            data = member.decompress(piece)
            yield data[given:]
            given = max(given - len(data), 0)


def _cut(
    blocks: Iterable[bytes], size: int, start: int = 0, stop: int = sys.maxsize
) -> Iterator[bytes]:
    """The bytes from `start` to `stop`, `size` at a time."""
    place = 0
    for block in blocks:
        part = block[max(start - place, 0) : max(stop - place, 0)]
        yield from (part[at : at + size] for at in range(0, len(part), size))
        place += len(block)
        if place >= stop:
            return
