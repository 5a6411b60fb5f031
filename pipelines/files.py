"""Finding input files on any file system Beam knows, and reading their bytes.

Files are opened uncompressed and decompressed here: Beam's own decompression and
zstandard's readers take a file that was cut short for a complete one.
"""

# Patterns are Beam's strings, and os.path answers False where pathlib raises.
# ruff: noqa: PTH100, PTH110, PTH112, PTH120, PTH202

import os
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import IO, Any, NamedTuple

import zstandard
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from ppt.errors import InputError

_BLOCK = 1 << 20
_IN_MEMORY = 64 << 20


class UnusableError(Exception):
    """Why a record, or the rest of a file, cannot be used; `reason` is a word of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


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


# ---- finding


def match(pattern: str) -> dict[str, int]:
    """Return path → size of the files that `pattern`, a path or a glob, names.

    As in Beam, ``*`` stays within a folder and ``**`` does not; only files match.
    """
    sizes = {}
    if FileSystems.get_scheme(pattern) is None:
        pattern = os.path.abspath(pattern)  # Beam finds nothing for a bare "*.txt"
        if os.path.isdir(pattern):
            raise InputError(f"{pattern!r} is a folder; for the files in it give '{pattern}/*'.")
        if os.path.lexists(pattern):  # a path may hold "[" and be no glob
            return {pattern: os.path.getsize(pattern) if os.path.exists(pattern) else 0}
        sizes = dict.fromkeys(_dangling_links(pattern), 0)
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (OSError, ValueError) as error:
        raise InputError(f"cannot list {pattern!r}: {error}") from error
    sizes |= {file.path: file.size_in_bytes for file in found}
    if not sizes:
        raise InputError(f"no file matches {pattern!r}; for a folder's files give 'folder/*'.")
    return sizes


def short_names(paths: Iterable[str]) -> list[str]:
    """Return the paths below the folder that all share; as UTF-8, which a path need not be."""
    split = [path.split("/") for path in paths]
    levels = zip(*(folders for *folders, _ in split), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(parts[shared:]).encode(errors="backslashreplace").decode() for parts in split]


def _dangling_links(pattern: str) -> Iterator[str]:
    """Yield the local links to nowhere that `pattern` matches; Beam leaves them out unsaid."""
    matches = re.compile(FileSystems.get_filesystem(pattern).translate_pattern(pattern)).match
    for folder, _, names in os.walk(os.path.dirname(re.split(r"[\[*?]", pattern)[0])):
        for path in (os.path.join(folder, name) for name in names):
            if matches(path) and not os.path.exists(path):
                yield path


# ---- reading


class _Codec(NamedTuple):
    """How to decompress: `start` gives the decompressor of one gzip member or zstd frame.

    It is fed `feed` bytes at a time, so that a bomb (1,000-fold in gzip, 32,000-fold
    in zstd) cannot fill the memory in one call.
    """

    start: Callable[[], Any]
    error: type[Exception]
    feed: int
    can_copy: bool


CODECS = {
    "gz": _Codec(lambda: zlib.decompressobj(wbits=31), zlib.error, 4096, can_copy=True),
    "zst": _Codec(
        # The largest window, which files made with `zstd --long=31` need.
        lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
        zstandard.ZstdError,
        256,
        can_copy=False,
    ),
}
"""Compressions by file name extension."""


def content(part: FileSlice, start: int = 0) -> Iterator[bytes]:
    """Yield the file's blocks, decompressed; raise `UnusableError` where that fails.

    `start` is a byte of the file as it is stored.
    """
    raw = _raw_blocks(part, start)
    return _decompress(raw, CODECS[part.compression]) if part.compression else raw


@contextmanager
def seekable(part: FileSlice) -> Iterator[IO[bytes]]:
    """Open the file, decompressed, for reading at any place."""
    if part.compression:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            copy.writelines(content(part))
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
        file: IO[bytes] = FileSystems.open(
            part.path, compression_type=CompressionTypes.UNCOMPRESSED
        )
    except OSError as error:
        raise unreadable(error) from error
    return file


def _raw_blocks(part: FileSlice, start: int) -> Iterator[bytes]:
    with _open(part) as file:
        try:
            if start:  # a pipe cannot seek
                file.seek(start)
            while block := file.read(_BLOCK):
                yield block
        except OSError as error:
            raise unreadable(error) from error


def _decompress(raw: Iterable[bytes], codec: _Codec) -> Iterator[bytes]:
    member = codec.start()
    for block in raw:
        for at in range(0, len(block), codec.feed):
            piece = block[at : at + codec.feed]
            while piece:
                if member.eof:
                    piece = piece.lstrip(b"\0")  # padding, as gzip allows it
                    if not piece:
                        break
                    member = codec.start()
                before = member.copy() if codec.can_copy else None
                try:
                    yield member.decompress(piece)
                except codec.error as error:
                    yield from _salvage(before, piece, codec) if before else ()
                    raise UnusableError("corrupt_file", str(error)) from error
                piece = member.unused_data
    if not member.eof:
        raise UnusableError("corrupt_file", "the compressed data ends early")


def _salvage(member: Any, piece: bytes, codec: _Codec) -> Iterator[bytes]:
    """Yield what the bytes of `piece` before the damaged one give."""
    with suppress(codec.error):
        for byte in piece:
            yield member.decompress(bytes([byte]))
