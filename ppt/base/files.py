"""Files that appear whole or not at all."""

import hashlib
import os
from pathlib import Path

from ppt.errors import OutputError


def require_writable(folder: Path) -> None:
    """Refuse an ``--output_dir`` that is a file, or that cannot be made or written to."""
    above = folder.absolute().parents
    nearest = next(path for path in (folder, *above) if os.access(path, os.F_OK))
    if not nearest.is_dir():
        raise OutputError(f"{nearest} is a file: give another --output_dir.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{nearest} is not writable: give another --output_dir.")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Write or replace a file in one moment; raises OutputError, the old file then still there."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_synced(scratch, data)
        os.replace(scratch, path)
    except OSError as error:
        _remove(scratch)
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}: free some space there, or write to"
            " another folder."
        ) from error


def file_digest(path: Path) -> str:
    """The sha256 of a small file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut (folders cannot be opened on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(scratch: Path) -> None:
    """Without a second error: a scratch file whose folder is a file cannot be there."""
    try:
        scratch.unlink(missing_ok=True)
    except OSError:
        return
