"""The results of a few-shot grid on disk: read, checked, and selected by validation alone.

A line of results.jsonl is a run: task x method x shots x seed x learning rate. The file
grows while a grid runs, so a last line that was cut off is left out and told; a line
broken anywhere else is an error. A run that stands twice (it was made again) counts as
it stands last, as in any log that is only appended to; that is told too.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppt.errors import InputError
from ppt.methods import METHODS
from ppt.results.run import Run, read_run

RESULTS, PREDICTIONS = "results.jsonl", "predictions.parquet"
METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
"""Each score in 0 to 1, and its name for people."""


@dataclass(frozen=True)
class Results:
    """The runs of a results folder in the order they ended, and what a reader must be told."""

    runs: tuple[Run, ...]
    notes: tuple[str, ...]


def read_results(folder: Path) -> Results:
    """Read ``folder/results.jsonl``; raises InputError where there is none or it is broken."""
    path = folder / RESULTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}: give the folder that python -m ppt.fewshot"
            " wrote its results to."
        ) from error
    lines, torn = _lines(data, path)
    runs: dict[str, Run] = {}
    for number, values in lines:
        run = read_run(values, f"{path}, line {number}")
        runs.pop(run.run, None)
        runs[run.run] = run
    if not runs:
        raise InputError(f"{path} holds no finished run: let python -m ppt.fewshot end one first.")
    notes = []
    if torn:
        notes.append(f"The last line of {RESULTS} was cut off and is left out.")
    if twice := len(lines) - len(runs):
        notes.append(f"Lines of {RESULTS} that repeat a run: {twice}. The last of each run counts.")
    kept = tuple(runs.values())
    _check_labels(kept, path)
    return Results(kept, (*notes, *_warnings(kept)))


def selected(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Of each (task, method, shots, seed) the run with the best validation scores.

    Higher accuracy, then lower loss, then the lower learning rate; test scores are never
    looked at. Raises InputError where a choice would be among unlike things.
    """
    cells = defaultdict(list)
    for run in runs:
        cells[run.task, run.method, run.shots, run.seed].append(run)
    for candidates in cells.values():
        _check_alike(candidates)
    return tuple(min(candidates, key=_rank) for candidates in cells.values())


def at_shots(runs: Iterable[Run], shots: int) -> tuple[Run, ...]:
    """The runs with so many examples."""
    return tuple(run for run in runs if run.shots == shots)


def shots_of(runs: Iterable[Run]) -> tuple[int, ...]:
    """The numbers of examples, rising."""
    return tuple(sorted({run.shots for run in runs}))


def distinct(runs: Iterable[Run], name: str) -> tuple[Any, ...]:
    """The values of a field in the order they come first."""
    return tuple(dict.fromkeys(getattr(run, name) for run in runs))


def methods_of(runs: Iterable[Run]) -> tuple[str, ...]:
    """The methods, in the order of `ppt.methods`, others after them."""
    places = {name: place for place, name in enumerate(METHODS)}
    return tuple(sorted(distinct(runs, "method"), key=lambda name: places.get(name, len(places))))


def _rank(run: Run) -> tuple[float, float, float, str]:
    """What is least for the run to take; the id decides where all else is equal."""
    if run.validation is None:
        return (0.0, math.inf, run.learning_rate or 0.0, run.run)
    loss = run.validation.loss
    loss = math.inf if math.isnan(loss) else loss
    return (-run.validation.accuracy, loss, run.learning_rate or 0.0, run.run)


def _check_alike(candidates: Sequence[Run]) -> None:
    one = candidates[0]
    cell = f"{one.task}, {one.method}, {one.shots} shots, seed {one.seed}"
    if len(candidates) > 1 and any(run.validation is None for run in candidates):
        raise InputError(
            f"{cell}: {len(candidates)} runs, one without validation scores; expected all with"
            " them, as the choice is theirs: remove the others from results.jsonl."
        )
    for name in ("model", "format", "style", "init"):
        if len(values := distinct(candidates, name)) > 1:
            raise InputError(
                f"{cell}: runs differ in {name} ({', '.join(map(str, values))}); expected only"
                " learning rates to differ: keep one grid in a results folder."
            )


def _check_labels(runs: Sequence[Run], path: Path) -> None:
    for task in distinct(runs, "task"):
        known = distinct((run for run in runs if run.task == task), "labels")
        if len(known) > 1:
            shown = " and ".join(", ".join(labels) for labels in known[:2])
            raise InputError(
                f"{path}: runs of {task} differ in labels ({shown}); expected one set a task:"
                " give tasks of their own names."
            )


def _warnings(runs: Sequence[Run]) -> list[str]:
    """Notes on scores that should not be compared, or not be trusted."""
    notes = []
    for task in distinct(runs, "task"):
        rows = sorted({run.test.rows for run in runs if run.task == task})
        if len(rows) > 1:
            notes.append(
                f"Runs of {task} were tested on unlike numbers of rows"
                f" ({', '.join(f'{n:,}' for n in rows)}): compare them with care."
            )
    diverged = sum(
        run.validation is not None and not math.isfinite(run.validation.loss) for run in runs
    )
    if diverged:
        notes.append(f"Runs that diverged (no finite validation loss): {diverged}.")
    if len(models := distinct(runs, "model")) > 1:
        notes.append(f"The runs are of {len(models)} models: {', '.join(models)}.")
    return notes


def _lines(data: bytes, path: Path) -> tuple[list[tuple[int, Any]], bool]:
    """(line number, JSON value) of each line, and whether the last one was cut off."""
    *whole, rest = data.split(b"\n")
    found = []
    for number, line in enumerate(whole, start=1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number}: no JSON ({error}): remove that line."
                ) from error
    try:
        if rest.strip():
            found.append((len(whole) + 1, json.loads(rest)))
    except ValueError:
        return found, True
    return found, False
