"""Files that appear whole or not at all, however a process or the power ends.

What is written stands beside its place under a scratch name until it is on the disk. Such
names are ours alone, so what a killed process left is known by its name (`sweep`).
"""

import errno
import glob
import hashlib
import io
import os
import platform
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ppt.errors import InputError, OutputError, brief, first_line

SCRATCH = ".ppt-scratch-"
"""How the names of scratch files and folders begin; whose they are follows (`owner`)."""

_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"

TO_GO_ON = "free some space and run the same command again to go on"


@contextmanager
def writing(what: Path | str, cure: str) -> Iterator[None]:
    """Turn an OSError of what writes into an OutputError of one line.

    Libraries in Rust (safetensors, tokenizers) tell of one in an error of their own.
    """
    try:
        yield
    except OutputError:
        raise  # told already
    except Exception as error:
        why = getattr(error, "strerror", None) or first_line(error)
        if not (isinstance(error, OSError) or "(os error " in why):
            raise
        raise OutputError(f"cannot write {what}: {why}: {cure}.") from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Lend a scratch path, for a file or a folder that takes the place of `path` in one moment.

    After any error what stood at `path` is still there, and the scratch is gone. The block
    writes by `synced`, so that a power cut after the rename finds whole files.
    """
    number = uuid.uuid4().hex[:8]
    scratch = path.with_name(f"{SCRATCH}{owner(os.getpid())}-{number}-{_tail(path)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield scratch
        if scratch.is_dir() and os.path.lexists(path):
            remove(path)
        os.replace(scratch, path)
    except BaseException:
        _remove(scratch)
        raise
    _sync_folder(path.parent)


@contextmanager
def appearing_folder(path: Path) -> Iterator[Path]:
    """Lend a scratch path, as `appearing` does, for a folder of files that libraries write.

    They wait for no disk, so it is done here; raises OutputError.
    """
    with writing(path, TO_GO_ON), appearing(path) as scratch:
        yield scratch
        share_as_folder(scratch)
        for file in scratch.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())


def share_as_folder(folder: Path) -> None:
    """Let whoever may read a folder read its files: safetensors' are for their owner alone."""
    mode = folder.stat().st_mode & 0o666
    for file in folder.iterdir():
        with suppress(OSError):  # some disks know no modes
            file.chmod(mode)


@contextmanager
def synced(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write, and wait at the end until the disk has it."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with synced(path) as file:
        file.write(data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write or replace a file in one moment; raises OutputError, the old file then still there.

    What killed processes of this machine left half-written of it goes.
    """
    with writing(path, "free some space there, or write to another folder"):
        sweep_dead(path)
        with appearing(path) as scratch:
            write_synced(scratch, data)


def move_together(aside: Path, folder: Path, names: Sequence[str]) -> None:
    """Put files that are worth something only together into `folder`, from another one.

    The old ones go before the first new one comes, so that a kill leaves no mixture of two.
    """
    for name in names:
        (folder / name).unlink(missing_ok=True)
    _sync_folder(folder)
    for name in names:
        os.replace(aside / name, folder / name)
    _sync_folder(folder)


def save_figure(path: Path, figure: Any, **look: Any) -> Path:
    """Write a matplotlib Figure in the format that the suffix of `path` names."""
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix[1:], **look)
    write_atomically(path, data.getvalue())
    return path


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; of a link the link alone."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder`, where none may still write."""
    for left in folder.glob(f"{SCRATCH}*"):
        _remove(left)


def given(path: Path | str) -> Path:
    """A path from Python. An empty text, as of an unset variable, is not the folder at hand."""
    if not isinstance(path, str | Path) or path == "":
        raise InputError(f"got {brief(path)}, expected a path: for the folder at hand give '.'.")
    try:
        os.lstat(path)
    except (OSError, ValueError) as error:  # NULs and halves of surrogate pairs too
        if getattr(error, "errno", errno.ENAMETOOLONG) == errno.ENAMETOOLONG:
            why = getattr(error, "strerror", error)
            raise InputError(f"got {brief(path)}, expected a path: {why}.") from None
    return Path(path)


def require_writable(folder: Path, flag: str = "--output_dir") -> None:
    """Refuse an output folder that is a file, or that cannot be made or written to."""
    above = folder.absolute().parents
    nearest = next(path for path in (folder, *above) if os.access(path, os.F_OK))
    if not nearest.is_dir():
        raise OutputError(f"{nearest} is a file: give another {flag}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{nearest} is not writable: give another {flag}.")


def require_file(path: Path) -> None:
    """Raise OSError for a folder, or a pipe or device, which might never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file")


def read_bytes(path: Path) -> bytes:
    """A file's content; raises OSError, as `require_file` does too."""
    require_file(path)
    return path.read_bytes()


def file_digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tail(path: Path) -> str:
    """What scratch names tell of their aim; a name may have 255 bytes."""
    return path.name[-30:]


def owner(process: int) -> str:
    """A process in scratch names: on shared disks machines know nothing of each other's."""
    return f"{_MACHINE}.{process}"


def sweep_dead(path: Path) -> None:
    """Remove what dead processes left half-written for `path`, where others may still write."""
    for left in path.parent.glob(f"{SCRATCH}*-{glob.escape(_tail(path))}"):
        name = left.name.removeprefix(SCRATCH).partition("-")[0]
        machine, _, process = name.partition(".")
        if machine == _MACHINE and process.isdecimal() and not _lives(int(process)):
            _remove(left)


def _lives(process: int) -> bool:
    """Whether a process of this machine is there; where asking would end it (Windows), True."""
    try:
        if os.name == "posix":
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # somebody else's
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut (folders cannot be opened on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(scratch: Path) -> None:
    """Remove a file or folder, if it is there, without a second error."""
    shutil.rmtree(scratch, ignore_errors=True)
    with suppress(OSError):
        scratch.unlink()
