"""The folder that a command writes to, which no other process and nobody else's files may meet.

It is new, ours and unfinished (goes on), ours and finished (refused, unless it is to be
overwritten), or others' (refused). A `Kind` says by which names a command knows its own;
nothing else in a folder is ever removed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ppt.base.files import read_bytes, remove, require_writable, sweep
from ppt.base.flags import Command, differing, from_json
from ppt.errors import ConfigError, OutputError

C = TypeVar("C", bound=Command)

CONFIG, LOCK = "config.json", ".ppt-lock"
"""The command's flags, which prove that a folder is its own; the file that it locks."""

ANEW = "another --output_dir, or --overwrite_output_dir to begin anew."


@dataclass(frozen=True)
class Kind:
    """What a command leaves: `CONFIG`, `names`, names that match `pattern`, and at last `end`."""

    what: str
    end: str
    names: tuple[str, ...]
    pattern: str = "(?!)"

    def owns(self, name: str) -> bool:
        """Whether the command leaves something of that name."""
        known = (self.end, *self.names, CONFIG)
        return name in known or re.fullmatch(self.pattern, name) is not None

    def ours(self, folder: Path) -> list[Path]:
        """What of it is in `folder`: the end first, the proof last."""
        order = {self.end: 0, CONFIG: 2}
        found = [path for path in folder.glob("*") if self.owns(path.name)]
        return sorted(found, key=lambda path: (order.get(path.name, 1), path.name))

    def previous(self, folder: Path, command: type[C], *, overwrite: bool) -> C | None:
        """The flags of what is in `folder`; None where nothing is in the way.

        Other people's files may bear the names of ours: a model's folder has a config.json
        and a README.md. So only flags that can be read prove a folder. Raises OutputError.
        """
        require_writable(folder)
        in_the_way = sorted(self.ours(folder) if overwrite else folder.glob("[!.]*"))
        if not in_the_way:
            return None
        try:
            return read_config(folder, command)
        except ConfigError as error:
            is_there = (folder / CONFIG).is_file()
            why = str(error).rstrip(".") if is_there else f"it has {in_the_way[0].name}"
            beside = (
                "" if overwrite else ", or --overwrite_output_dir to write beside what is there"
            )
            raise OutputError(
                f"{folder} is not empty and holds no {CONFIG} of {self.what} ({why}): give another"
                f" --output_dir{beside}."
            ) from error

    def clear(self, folder: Path) -> None:
        """Remove what the command left: what is cut off meanwhile is unfinished, and still ours."""
        try:
            for path in self.ours(folder):
                remove(path)
        except OSError as error:
            raise OutputError(
                f"cannot clear {folder}: {error}: give another --output_dir."
            ) from error


def read_config(folder: Path, command: type[C]) -> C:
    """The flags that a command left in `folder`; raises ConfigError."""
    path = folder / CONFIG
    try:
        return from_json(command, read_bytes(path).decode())
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"cannot read {path}: {why}: copy the whole folder.") from error
    except (UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def require_same(what: str, old: C, new: C, aim: str) -> None:
    """Refuse flags that differ in what decides numbers, but for those that are free to."""
    for name in differing(old, new):
        raise ConfigError(
            f"{what} --{name} {getattr(old, name)!r}, got {getattr(new, name)!r}: give the same"
            f" {aim}, {ANEW}"
        )


@contextmanager
def locked(folder: Path | None, flag: str = "--output_dir", patience: float = 0) -> Iterator[None]:
    """Keep all other processes out of `folder`, if there is one; a second gets one line, at once
    or after so many seconds of `patience`.

    The system ends the lock with its process, however that ends. Folders that are made
    and stay empty go again, so that a refusal leaves nothing. Raises OutputError.
    """
    if folder is None:
        yield
        return
    from filelock import FileLock, Timeout  # takes 50 ms

    require_writable(folder, flag)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"another process is writing to {folder}: wait for it, or give another {flag}."
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error}: give another {flag}.") from error
    try:
        inner = (path for path in folder.glob("*") if path.is_dir())
        for place in (folder, *(path for path in inner if not (path / LOCK).exists())):
            sweep(place)  # one with a lock of its own may be written to now
        yield
    finally:
        with suppress(OSError):  # while it is held, or it could be one that another has taken
            (folder / LOCK).unlink()
        lock.release()
        with suppress(OSError):
            for path in made:
                path.rmdir()
