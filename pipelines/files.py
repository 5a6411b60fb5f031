"""Finding input files on any file system Beam knows, and reading their bytes.

Files are opened uncompressed and decompressed here: Beam's own decompression and
zstandard's readers take a file that was cut short for a complete one.
"""

# Patterns are Beam's strings, and os.path answers False where pathlib raises.
# ruff: noqa: PTH100, PTH110, PTH112, PTH114, PTH116, PTH120, PTH202

import os
import re
import stat
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

from ppt.errors import InputError, OutputError, visible

_BLOCK = 1 << 20
_IN_MEMORY = 64 << 20
_GROWTH = 200
"""Of a Parquet file that is compressed once more; it is compressed within already."""


class UnusableError(Exception):
    """Why a record, or the rest of a file, cannot be used; `reason` is a word of `REASONS`.

    It stands for as many `records`, where they can be told.
    """

    def __init__(self, reason: str, detail: str = "", records: int = 1) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.records = records


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

_GLOB = re.compile(r"[\[*?]")


def match(pattern: str) -> dict[str, int]:
    """Return path → size of the files that `pattern`, a path or a glob, names.

    As in Beam, ``*`` stays within a folder and ``**`` does not; only files match. Local links
    to nowhere and pipes are listed too: they become rejects. Raises InputError where a folder
    that the pattern reaches cannot be listed; links to folders are passed over and told.
    """
    if FileSystems.get_scheme(pattern) is None:
        return _match_locally(os.path.abspath(pattern))
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (OSError, ValueError) as error:
        raise InputError(f"cannot list {pattern!r}: {error}") from error
    return _some({file.path: file.size_in_bytes for file in found}, pattern)


def _match_locally(pattern: str) -> dict[str, int]:
    if os.path.isdir(pattern):
        raise InputError(f"{pattern!r} is a folder; for the files in it give '{pattern}/*'.")
    if os.path.lexists(pattern):  # a path may hold "[" and be no glob
        return {pattern: _size(pattern)}

    def refuse(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise InputError(
                f"cannot list {error.filename!r}, which {pattern!r} reaches: {error.strerror}; "
                "make it readable, or give patterns that leave it out."
            ) from error

    sizes: dict[str, int] = {}
    matches, reaches = _matcher(pattern), _reach(pattern)
    top = os.path.dirname(_GLOB.split(pattern)[0])
    for folder, folders, names in os.walk(top, onerror=refuse):
        paths = (os.path.join(folder, name) for name in names)
        sizes |= {path: _size(path) for path in paths if matches(path)}
        folders[:] = [name for name in folders if reaches(os.path.join(folder, name))]
        for path in (os.path.join(folder, name) for name in folders):
            if os.path.islink(path):
                note = f"note: {visible(path)} is a link to a folder and is not followed"
                print(f"{note}; to read it give it by name", file=sys.stderr)
    return _some(sizes, pattern)


def _some(sizes: dict[str, int], pattern: str) -> dict[str, int]:
    if not sizes:
        raise InputError(f"no file matches {pattern!r}; for a folder's files give 'folder/*'.")
    return sizes


def _size(path: str) -> int:
    """Its bytes; 0 of a link to nowhere."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def _matcher(pattern: str) -> Callable[[str], object]:
    """What tells whether a path matches a pattern of Beam's, to its end."""
    return re.compile(FileSystems.get_filesystem(pattern).translate_pattern(pattern)).match


def _reach(pattern: str) -> Callable[[str], bool]:
    """What tells whether files that match may be in a folder: by its levels up to a ``**``."""
    levels = pattern.split("/")
    deep = next((i for i, level in enumerate(levels) if "**" in level), len(levels))
    heads = ["/".join(levels[:n]) for n in range(1, deep + 1)]
    known = [_matcher(head) for head in heads]

    def reaches(folder: str) -> bool:
        depth = folder.count("/") + 1
        if depth > deep:
            return deep < len(levels) and bool(known[-1]("/".join(folder.split("/")[:deep])))
        return depth < len(levels) and bool(known[depth - 1](folder))

    return reaches


def refuse_overlap(
    patterns: Iterable[str], slices: Iterable[FileSlice], output: str, names: Iterable[str]
) -> None:
    """Refuse an output that holds an input, or whose files, `names` below it, would be input.

    The first would be lost or mixed with what is built, the second read by a rerun. Local
    paths are compared behind all links. Raises OutputError.
    """
    local = FileSystems.get_scheme(output) is None
    place = os.path.realpath(output) if local else output.rstrip("/")
    cure = "give an --output apart from the --input."
    for part in slices:
        path = os.path.realpath(part.path) if local else part.path
        if path.startswith(place + "/"):
            raise OutputError(f"--output {output!r} contains the input {part.path!r}: {cure}")
    files = [f"{place}/{name}" for name in names]
    for pattern in filter(_GLOB.search, patterns):
        aim = pattern
        if local and FileSystems.get_scheme(pattern) is None:
            fixed = os.path.dirname(_GLOB.split(os.path.abspath(pattern))[0])
            aim = os.path.realpath(fixed) + os.path.abspath(pattern)[len(fixed) :]
        hit = next(filter(_matcher(aim), files), None)
        if hit:
            raise OutputError(f"--input {pattern!r} would read the output's {hit!r}: {cure}")


def short_names(paths: Iterable[str]) -> list[str]:
    """Return the paths below the folder that all share; as UTF-8, which a path need not be."""
    split = [path.split("/") for path in paths]
    levels = zip(*(folders for *folders, _ in split), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(parts[shared:]).encode(errors="backslashreplace").decode() for parts in split]


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
        local = FileSystems.get_scheme(part.path) is None
        if local and not stat.S_ISREG(os.stat(part.path).st_mode):
            raise UnusableError("unreadable_file", "a pipe or a device, and no file")
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
