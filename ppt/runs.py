"""The run folder: new, interrupted (goes on), finished (refused), or none of ours (refused)."""

import hashlib
import shutil
from pathlib import Path
from typing import TypeVar

from ppt.checkpoints import checkpoints, write_atomically
from ppt.errors import ConfigError, InputError, OutputError
from ppt.flags import Command, differing, from_json, to_json
from ppt.logs import EVENTS, LOSS_PNG, METRICS

C = TypeVar("C", bound=Command)

CONFIG, RESULT, CARD, PROMPT = "config.json", "result.json", "README.md", "prompt"
"""`RESULT` is written last: its presence *is* completion."""

FILES = (RESULT, CONFIG, METRICS, LOSS_PNG, CARD)
FOLDERS = (PROMPT, EVENTS)
"""All that a run writes, beside its checkpoints; nothing else is ever removed."""


def check_run(folder: Path, config: Command, *, overwrite: bool, resume: str) -> bool:
    """Refuse what a run in `folder` must not harm; True where it goes on from a state.

    That is a finished run, an interrupted one with other flags, and a folder that
    holds something else. Nothing is changed yet, so that a mistake found later
    (an unknown model, say) costs nothing.
    """
    instead = "give another --output_dir, or --overwrite_output_dir to begin anew."
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: give another --output_dir.")
    if overwrite:
        return resume == "auto" and _has_begun(folder, config)
    if (folder / RESULT).is_file():
        raise OutputError(f"the run in {folder} is finished: {instead}")
    if not (folder / CONFIG).is_file() and any(folder.glob("[!.]*")):
        raise OutputError(f"{folder} is not empty and holds no {CONFIG} of a run: {instead}")
    if resume == "none" or (resume == "auto" and not checkpoints(folder)):
        return False
    source = folder if resume == "auto" else _home(Path(resume), folder)
    old = _read_config(source, config, instead)
    for name in differing(old, config):
        raise ConfigError(
            f"the interrupted run in {source} has --{name} {getattr(old, name)!r}, got"
            f" {getattr(config, name)!r}: give the same to go on, {instead}"
        )
    return True


def begin_run(folder: Path, config: Command, *, goes_on: bool) -> None:
    """Make `folder` that of this run; what is in it stays only where the run goes on."""
    if not goes_on:
        clear(folder)
    write_atomically(folder / CONFIG, to_json(config).encode())


def clear(folder: Path) -> None:
    """Remove what a run wrote, the mark of completion first."""
    try:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        for path in [*checkpoints(folder), *(folder / name for name in FOLDERS)]:
            if path.is_dir():
                shutil.rmtree(path)
    except OSError as error:
        raise OutputError(f"cannot clear {folder}: {error}: give another --output_dir.") from error


def _has_begun(folder: Path, config: Command) -> bool:
    """Whether this very command began a run there; to go on ends in the same bits."""
    if (folder / RESULT).is_file() or not checkpoints(folder):
        return False
    try:
        return not differing(_read_config(folder, config, ""), config)
    except ConfigError:
        return False


def _home(state: Path, folder: Path) -> Path:
    """The run folder of a state that was named, which another run's states must not meet."""
    if not state.is_dir():
        known = ", ".join(str(path) for path in checkpoints(folder)) or f"none in {folder}"
        raise InputError(f"cannot read the state {state}: it does not exist; there are: {known}.")
    if checkpoints(folder) and state.parent.resolve() != folder.resolve():
        raise OutputError(
            f"{folder} has states of its own beside {state}: give another --output_dir."
        )
    return state.parent


def _read_config(folder: Path, config: C, instead: str) -> C:
    try:
        return from_json(type(config), (folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"cannot read {folder / CONFIG}: {error} Or {instead}") from error


def file_digest(path: Path) -> str:
    """The sha256 of a small file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
