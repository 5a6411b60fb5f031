"""Runs selected by validation alone, looked through, and what of them should be doubted."""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from typing import Any

from ppt.errors import ConfigError, InputError, brief, did_you_mean, visible
from ppt.methods import METHODS, PRETRAINED, family
from ppt.results.run import Run

RESULTS, PREDICTIONS = "results.jsonl", "predictions.parquet"
CHECKPOINT, LENT = "checkpoint:", "sources:"
"""How `Run.init` begins where a run began with a prompt that was made before, or with some of other
tasks. One start may be told in several ways: places are spelt otherwise, and similarities round
otherwise with other threads or ``--tokens_at_once``."""

_SHOWN = 20
"""Names in a message, at most."""

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
"""Each score in 0 to 1, and its name for people."""


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
    return tuple(map(best_validated, cells.values()))


def best_validated(runs: Sequence[Run]) -> Run:
    """Of runs on one task the one with the best validation scores."""
    return min(runs, key=_rank)


def chosen_run(runs: Iterable[Run], kept: Container[str] = (), **fields: str | int | None) -> Run:
    """The one run that is meant: of those that fit and that can label rows the one with the most
    examples, then the best validation scores.

    Those fit that have the values of `fields`, such as task or shots; None: any. What those of the
    ids `kept` have tuned is in memory. Raises ConfigError where none fits, or several tasks do.
    """
    asked = {name: value for name, value in fields.items() if value is not None}
    fitting = tuple(runs)
    for name, value in asked.items():
        left = tuple(one for one in fitting if getattr(one, name) == value)
        if not left:
            known = [str(one) for one in distinct(fitting, name)]
            near = did_you_mean(str(value), known, str)
            raise ConfigError(
                f"--{name}: got {brief(value)}, of which the results have no run.{near} Theirs are"
                f" {', '.join(known[:_SHOWN])}{', …' * (len(known) > _SHOWN)}."
            )
        fitting = left
    told = ", ".join(f"--{name}={value}" for name, value in asked.items()) or "all"
    able = [
        one for one in fitting
        if one.run in kept or one.adapter or is_bare(one) or is_untouched(one)
    ]  # fmt: skip
    if not able:
        raise ConfigError(
            f"got {told}, of which no run leaves what labels rows ({listed(fitting, 'method')}):"
            " expected one that keeps a prompt or LoRA adapter, takes one as it is, or zero_shot."
        )
    if len(distinct(able, "task")) > 1:
        raise ConfigError(f"the results are of {listed(able, 'task')}: give one of them as --task.")
    most = max(one.shots for one in able)
    return best_validated([one for one in able if one.shots == most])


def is_bare(run: Run) -> bool:
    """Whether its method needs nothing but the backbone and the task's own words."""
    return METHODS.get(family(run.method)) == METHODS["zero_shot"]


def is_untouched(run: Run) -> bool:
    """Whether it took what was pre-trained as it is."""
    method = METHODS.get(family(run.method))
    return method is not None and method.init == PRETRAINED and not method.is_trained


def listed(runs: Iterable[Run], name: str) -> str:
    """The values of a field, for a message."""
    return ", ".join(map(str, distinct(runs, name)))


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
    return tuple(
        sorted(distinct(runs, "method"), key=lambda name: places.get(family(name), len(places)))
    )


def _rank(run: Run) -> tuple[float, float, float, str]:
    """What is least for the run to take; the id decides where all else is equal."""
    scores = run.validation
    accuracy, loss = (scores.accuracy, scores.loss) if scores else (0.0, math.nan)
    loss = math.inf if math.isnan(loss) else loss
    return (-accuracy, loss, run.learning_rate or 0.0, run.run)


def _check_alike(candidates: Sequence[Run]) -> None:
    one = candidates[0]
    cell = visible(f"{one.task}, {one.method}, {one.shots} shots, seed {one.seed}")
    if len(candidates) > 1 and any(run.validation is None for run in candidates):
        raise InputError(
            f"{cell}: {len(candidates)} runs, one without validation scores; expected all with"
            " them, as the choice is theirs: remove the others from results.jsonl."
        )
    rates = distinct(candidates, "learning_rate")
    if len(rates) < len(candidates):
        raise InputError(
            f"{cell}: {len(candidates)} runs with the learning rate {', '.join(map(str, rates))};"
            " expected one of each: keep one grid in a results folder."
        )
    for name in ("model", "format", "style", "init"):
        values = distinct(candidates, name)
        if len(values) > 1 and not any(_all_begin(values, how) for how in (CHECKPOINT, LENT)):
            told = visible(", ".join(map(str, values)))
            raise InputError(
                f"{cell}: runs differ in {name} ({told}); expected only learning rates to differ:"
                " keep one grid in a results folder."
            )


def _all_begin(inits: Sequence[Any], how: str) -> bool:
    return all(str(init).startswith(how) for init in inits)


def check_labels(runs: Sequence[Run], place: str) -> None:
    """Refuse runs of one task and several sets of labels; the InputError names their `place`."""
    for task in distinct(runs, "task"):
        known = distinct((run for run in runs if run.task == task), "labels")
        if len(known) > 1:
            sets = " and ".join(", ".join(labels) for labels in known[:2])
            shown = visible(f"runs of {task} differ in labels ({sets})")
            raise InputError(
                f"{place}: {shown}; expected one set a task: give tasks of their own names."
            )


def doubts(runs: Sequence[Run]) -> list[str]:
    """Notes on scores that should not be compared, or not be trusted."""
    notes = []
    for task in distinct(runs, "task"):
        rows = sorted({run.test.rows for run in runs if run.task == task})
        if len(rows) > 1:
            notes.append(
                f"Runs of {task} were tested on unlike numbers of rows"
                f" ({', '.join(f'{n:,}' for n in rows)}): compare them with care."
            )
    for task, method in dict.fromkeys((run.task, run.method) for run in runs):
        inits = distinct((r for r in runs if (r.task, r.method) == (task, method)), "init")
        if len(inits) > 1 and _all_begin(inits, CHECKPOINT):
            notes.append(
                f"Runs of {method} on {task} begin with prompts at {len(inits)} places"
                f" ({', '.join(init.removeprefix(CHECKPOINT) for init in inits)}): compare them"
                " only if that is one prompt."
            )
    diverged = sum(
        run.validation is not None and not math.isfinite(run.validation.loss) for run in runs
    )
    if diverged:
        notes.append(f"Runs that diverged (no finite validation loss): {diverged}.")
    if len(models := distinct(runs, "model")) > 1:
        notes.append(f"The runs are of {len(models)} models: {', '.join(models)}.")
    return [visible(note) for note in notes]
