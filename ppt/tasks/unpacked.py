"""The bytes and lines of data files, packed or not; within bounds, whatever they unpack to."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from ppt.errors import InputError, first_line

_CHUNK = 1 << 16


class _Streams(io.RawIOBase):
    """What packed streams that stand one after another hold.

    Python's own readers of bzip2 and xz take a damaged one behind the first for the file's end.
    """

    def __init__(self, path: Path, start: Callable[[], Any]) -> None:
        self._file, self._start, self._stream = path.open("rb"), start, start()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, room: Any) -> int:
        made = b""
        while not made:
            data = self._packed()
            if self._stream.eof:
                break
            made = self._stream.decompress(data, len(room))
        room[: len(made)] = made
        return len(made)

    def _packed(self) -> bytes:
        """What the stream goes on with; behind its end, what the next begins with."""
        data = b""
        if self._stream.eof:
            data = self._stream.unused_data.lstrip(b"\0")  # xz may be padded by zeros
            while not data and (more := self._file.read(_CHUNK)):
                data = more.lstrip(b"\0")
            self._stream = self._start() if data else self._stream
        elif self._stream.needs_input and not (data := self._file.read(_CHUNK)):
            raise EOFError("it ends within a stream")
        return data


def _streamed(start: Callable[[], Any], path: Path) -> IO[bytes]:
    return io.BufferedReader(_Streams(path, start), _CHUNK)


def _zstd(path: Path) -> IO[bytes]:
    """A Zstandard file, of any number of frames, through Arrow."""
    import pyarrow as pa

    return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))


PACKINGS = {
    ".gz": ("gzip", gzip.open), ".bz2": ("bzip2", partial(_streamed, bz2.BZ2Decompressor)),
    ".xz": ("xz", partial(_streamed, lzma.LZMADecompressor)), ".zst": ("zstd", _zstd),
}  # fmt: skip
"""How the names of packed files end, what they are, and how they are opened."""

MAX_BYTES = 256 << 20
"""What is read of a file, unpacked; a task of a few thousand rows has a hundredth."""

MAX_LINE, MAX_LINES = 16 << 20, 5_000_000

_SMALLER = "keep fewer rows, a few thousand are plenty, or split what is no text"


def packing(path: Path) -> str:
    """The key of `PACKINGS` that the name ends in, or ""."""
    return path.suffix.lower() if path.suffix.lower() in PACKINGS else ""


def whole(path: Path, most: int) -> bytes:
    """All bytes, unpacked; raises InputError where there are more than `most`."""
    with opened(path) as file:
        data: bytes = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"{path} holds more than {most >> 20} MiB: {_SMALLER}.")
    return data


def lines(path: Path) -> Iterator[str]:
    """The lines with their line feeds, one at a time; raises InputError, at a bad byte too."""
    left, number = MAX_BYTES, 0
    with opened(path) as file:
        while data := file.readline(MAX_LINE + 1):
            number, left = number + 1, left - len(data)
            if len(data) > MAX_LINE or left < 0 or number > MAX_LINES:
                what = f"{MAX_BYTES >> 20} MiB in all" if left < 0 else f"{MAX_LINES:,} lines"
                what = f"{MAX_LINE >> 20} MiB in one line" if len(data) > MAX_LINE else what
                raise InputError(f"{path}, line {number}: more than {what}: {_SMALLER}.")
            try:
                yield data.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: byte {data[error.start]:#x} is not UTF-8: save the"
                    ' file as UTF-8 (in Excel: "CSV UTF-8").'
                ) from None


@contextmanager
def opened(path: Path) -> Iterator[IO[Any]]:
    """A file's bytes, unpacked; raises InputError, also for what goes wrong within the block."""
    kind, start = PACKINGS.get(packing(path), ("", partial(open, mode="rb")))
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"cannot read {path} (it is no file): give another file.")
        with start(path) as file:  # type: ignore[operator]
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if kind and not getattr(error, "errno", None):
            raise InputError(f"{path} is no whole {kind} file ({error}): pack it again.") from None
        why = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"cannot read {path} ({why}): give another file.") from None
