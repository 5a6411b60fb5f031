"""The run folder: new, interrupted (goes on), finished (refused), or none of ours (refused)."""

import shutil
from pathlib import Path
from typing import TypeVar

from ppt.base.files import require_writable, write_atomically
from ppt.base.flags import Command, differing, from_json, to_json
from ppt.errors import ConfigError, InputError, OutputError
from ppt.training.log import EVENTS, LOSS_PNG, METRICS
from ppt.training.state import checkpoints

C = TypeVar("C", bound=Command)

CONFIG, RESULT, CARD, PROMPT = "config.json", "result.json", "README.md", "prompt"
"""`RESULT` is written last: its presence *is* completion."""

FILES = (METRICS, LOSS_PNG, CARD, CONFIG)
FOLDERS = (PROMPT, EVENTS)
"""With `RESULT` all that a run writes beside its checkpoints; nothing else is ever removed."""


def check_run(folder: Path, config: Command, *, overwrite: bool, resume: str) -> bool:
    """Refuse what a run in `folder` must not harm; True where it goes on from a state.

    That is a finished run, an interrupted one with other flags, and a folder that
    holds something else. Nothing is changed yet, so that a mistake found later
    (an unknown model, say) costs nothing.
    """
    instead = "give another --output_dir, or --overwrite_output_dir to begin anew."
    require_writable(folder)
    begun = _config_in(folder, config, overwrite=overwrite)
    finished = begun is not None and (folder / RESULT).is_file()
    if overwrite:
        # what this very command began goes on: that ends in the same bits
        ours = begun is not None and not finished and not differing(begun, config)
        return ours and resume == "auto" and bool(checkpoints(folder))
    if finished:
        raise OutputError(f"the run in {folder} is finished: {instead}")
    if resume == "none" or (resume == "auto" and not checkpoints(folder)):
        return False
    source = folder if resume == "auto" else _home(Path(resume), folder)
    old = _read_config(source, type(config))
    for name in differing(old, config):
        raise ConfigError(
            f"the interrupted run in {source} has --{name} {getattr(old, name)!r}, got"
            f" {getattr(config, name)!r}: give the same to go on, {instead}"
        )
    return True


def _config_in(folder: Path, config: C, *, overwrite: bool) -> C | None:
    """The config of the run in `folder`, or None where nothing is in the way.

    Other people's files may bear the names of ours: a model's folder has a config.json
    and a README.md, a Trainer's has checkpoints. So only a config of a run proves one.
    """
    names = {RESULT, *FILES, *FOLDERS, *(path.name for path in checkpoints(folder))}
    found = sorted(path.name for path in folder.glob("[!.]*"))
    in_the_way = [name for name in found if name in names or not overwrite]
    if not in_the_way:
        return None
    try:
        return _read_config(folder, type(config))
    except ConfigError as error:
        why = str(error).rstrip(".") if (folder / CONFIG).is_file() else f"it has {in_the_way[0]}"
        beside = "" if overwrite else ", or --overwrite_output_dir to write beside what is there"
        raise OutputError(
            f"{folder} is not empty and holds no {CONFIG} of a run ({why}): give another"
            f" --output_dir{beside}."
        ) from error


def begin_run(folder: Path, config: Command, *, goes_on: bool) -> None:
    """Make `folder` that of this run; what is in it stays only where the run goes on."""
    if not goes_on:
        clear(folder)
    write_atomically(folder / CONFIG, to_json(config).encode())


def clear(folder: Path) -> None:
    """Remove what a run wrote: the mark of completion first, the proof that it is ours last."""
    try:
        (folder / RESULT).unlink(missing_ok=True)
        for path in [*checkpoints(folder), *(folder / name for name in FOLDERS)]:
            if path.is_dir():
                shutil.rmtree(path)
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot clear {folder}: {error}: give another --output_dir.") from error


def _home(state: Path, folder: Path) -> Path:
    """The run folder of a state that was named, which another run's states must not meet."""
    if not state.is_dir():
        known = ", ".join(str(path) for path in checkpoints(folder)) or f"none in {folder}"
        raise InputError(f"cannot read the state {state}: it does not exist; there are: {known}.")
    if not (state.parent / CONFIG).is_file():
        raise InputError(
            f"{state} is in no run folder, as there is no {CONFIG} beside it: give one such as"
            " runs/<name>/checkpoint-<step>."
        )
    if checkpoints(folder) and state.parent.resolve() != folder.resolve():
        raise OutputError(
            f"{folder} has states of its own beside {state}: give another --output_dir."
        )
    return state.parent


def _read_config(folder: Path, kind: type[C]) -> C:
    try:
        return from_json(kind, (folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"cannot read {folder / CONFIG}: {error}") from error
