"""The run folder: new, interrupted (goes on), finished (refused), or none of ours (refused)."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ppt.base.extras import left_out
from ppt.base.files import SCRATCH, remove, write_atomically
from ppt.base.flags import Command, differing, to_json
from ppt.base.output_folder import ANEW, CONFIG, Kind, read_config, require_same
from ppt.errors import InputError, OutputError
from ppt.prompts.files import ADAPTER, FOLDER
from ppt.prompts.foreign import readable
from ppt.training.adaptation import AdaptConfig
from ppt.training.card import draw_loss, model_card, read_metrics
from ppt.training.evaluation import Course, Evaluation
from ppt.training.log import EVENTS, LOSS_PNG, METRICS
from ppt.training.settings import PretrainConfig, TrainSettings
from ppt.training.state import checkpoints
from ppt.training.windows import REJECTS, TOKENS

RESULT, CARD = "result.json", "README.md"
"""`RESULT` is written last: its presence *is* completion."""

ASIDE = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")
"""Flags that say nothing of what was trained, so that its card is the same however it ended."""

MODEL = "model"
"""Where a run keeps a whole model that it has made."""

RUN = Kind(
    "a run",
    RESULT,
    (METRICS, LOSS_PNG, CARD, FOLDER, ADAPTER, MODEL, TOKENS, REJECTS, EVENTS),
    r"checkpoint-\d+",
)


def check_run(folder: Path, config: PretrainConfig | AdaptConfig) -> bool:
    """Refuse what a run in `folder` must not harm; True where it goes on from a state.

    That is a finished run, an interrupted one with other flags, and a folder that
    holds something else. Nothing is changed yet, so that a mistake found later
    (an unknown model, say) costs nothing.
    """
    overwrite, resume = config.overwrite_output_dir, config.resume_from_checkpoint
    begun = RUN.previous(folder, type(config), overwrite=overwrite)
    for one in fields(config) if begun else ():
        value = getattr(config, one.name)
        is_name = not isinstance(value, str) or one.metadata["choices"]
        if not is_name and one.name not in ("output_dir", "resume_from_checkpoint"):
            require_apart(folder, f"--{one.name}", [Path(value.removeprefix("checkpoint:"))])
    finished = begun is not None and (folder / RESULT).is_file()
    if overwrite:
        # what this very command began goes on: that ends in the same bits
        ours = begun is not None and not finished and not differing(begun, config)
        return ours and resume == "auto" and bool(checkpoints(folder))
    if finished:
        raise OutputError(f"the run in {folder} is finished: give {ANEW}")
    if resume == "none" or (resume == "auto" and not checkpoints(folder)):
        return False
    with readable(Path(resume)):
        source = folder if resume == "auto" else _home(Path(resume), folder)
    old = read_config(source, type(config))
    require_same(f"the interrupted run in {source} has", old, config, "to go on")
    return True


def require_apart(folder: Path, flag: str, paths: Iterable[Path]) -> None:
    """Refuse to read what this run itself will remove or write; raises OutputError."""
    home = Path(os.path.realpath(folder))
    for path in paths:
        place = Path(os.path.realpath(path))
        inside = place.parts[len(home.parts) :] if place.is_relative_to(home) else ("",)
        if os.path.lexists(path) and (not inside or RUN.owns(inside[0])):
            raise OutputError(
                f"{flag}: {path} is in --output_dir {folder}, of what runs leave and begin anew:"
                " give another --output_dir, or a copy."
            )


def begin_run(folder: Path, config: Command, *, goes_on: bool) -> None:
    """Make `folder` that of this run; what is in it stays only where the run goes on."""
    if not goes_on:
        RUN.clear(folder)
    write_atomically(folder / CONFIG, to_json(config).encode())


def end_run(
    folder: Path, config: TrainSettings, course: Course[Evaluation], title: str, heading: str,
    facts: Mapping[str, Any], aside: Sequence[str] = (),
) -> None:  # fmt: skip
    """Beside what was trained write its figure and card, and last `result.json`.

    `aside` are flags that say nothing of this kind of run.
    """
    drawn = not left_out("matplotlib", LOSS_PNG)
    if drawn:
        draw_loss(folder, read_metrics(folder), title)
    flags = {name: value for name, value in asdict(config).items() if name not in (*ASIDE, *aside)}
    best = course.best(config.metric_for_best_model)
    text = model_card(heading, facts, flags, course.first, best, drawn=drawn)
    write_atomically(folder / CARD, text.encode())
    if (folder / TOKENS).is_dir():  # of documents only what was rejected stays
        write_atomically(folder / REJECTS, (folder / TOKENS / REJECTS).read_bytes())
        swept = folder / f"{SCRATCH}{TOKENS}"  # where we are killed now
        os.replace(folder / TOKENS, swept)
        remove(swept)
    summary = course.summary(config.metric_for_best_model)
    write_atomically(folder / RESULT, (json.dumps(summary, indent=2) + "\n").encode())


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
