"""A line of results.jsonl as a `Run`, every value checked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ppt.errors import InputError

Point = Mapping[str, float]


@dataclass(frozen=True)
class Scores:
    """Scores of a run on `rows` examples; the loss of a run that diverged is no finite number."""

    loss: float
    accuracy: float
    macro_f1: float
    rows: int


@dataclass(frozen=True)
class Run:
    """A line of results.jsonl.

    `confusion` [L, L] counts test rows by true label, then by predicted label. `curve` has
    points of step, loss and accuracy on validation, `train_curve` of step and loss; both
    are empty where nothing is trained.
    """

    run: str
    task: str
    method: str
    shots: int
    seed: int
    learning_rate: float | None
    model: str
    format: str
    style: str
    init: str | None
    labels: tuple[str, ...]
    chance: float
    validation: Scores | None
    test: Scores
    confusion: tuple[tuple[int, ...], ...]
    curve: tuple[Point, ...]
    train_curve: tuple[Point, ...]
    best_step: int | None
    seconds: float
    parameters: int


def read_run(values: Any, place: str) -> Run:
    """The run of a JSON value; keys that no table needs may stand there too.

    Raises InputError, which names the `place` of the line.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: got {_short(values)}, expected a run as a JSON object.")
    for name, kind in _KINDS.items():
        if name not in values:
            raise InputError(
                f"{place}: the key {name!r} is missing: was it written by ppt.fewshot?"
            )
        if not kind.holds(values[name]):
            raise InputError(f"{place}: {name!r} is {_short(values[name])}, expected {kind.words}.")
    run = Run(**{name: kind.make(values[name]) for name, kind in _KINDS.items()})
    counted = sum(map(sum, run.confusion))
    if len(run.confusion) != len(run.labels) or counted != run.test.rows:
        raise InputError(
            f"{place}: 'confusion' counts {counted} rows by {len(run.confusion)} labels, expected"
            f" {run.test.rows} by {len(run.labels)}."
        )
    return run


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."


@dataclass(frozen=True)
class _Kind:
    """What a value in the file must be: the test, and its words in messages."""

    holds: Callable[[Any], bool]
    words: str
    make: Callable[[Any], Any] = lambda value: value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_curve(value: Any, *names: str) -> bool:
    return isinstance(value, list) and all(
        isinstance(point, dict) and all(_is_number(point.get(name)) for name in names)
        for point in value
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == len(value) and all(map(_is_count, row))
        for row in value
    )


def _or_null(kind: _Kind) -> _Kind:
    return _Kind(
        lambda value: value is None or kind.holds(value),
        f"{kind.words} or null",
        lambda value: None if value is None else kind.make(value),
    )


def _is_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(
        kind.holds(value.get(name)) for name, kind in _SCORES.items()
    )


_TEXT = _Kind(lambda value: isinstance(value, str), "text")
_COUNT = _Kind(_is_count, "a whole number from 0 on")
_WHOLE = _Kind(lambda value: isinstance(value, int) and not isinstance(value, bool), "an integer")
_NUMBER = _Kind(_is_number, "a number")
_SHARE = _Kind(_is_share, "a number from 0 to 1")
_LABELS = _Kind(
    lambda value: (
        isinstance(value, list) and value != [] and all(isinstance(v, str) for v in value)
    ),
    "a list of names",
    tuple,
)
_SCORES = {"loss": _NUMBER, "accuracy": _SHARE, "macro_f1": _SHARE, "rows": _COUNT}
_SCORED = _Kind(
    _is_scores,
    "an object of loss, accuracy, macro_f1 and rows",
    lambda value: Scores(**{name: value[name] for name in _SCORES}),
)
_KINDS = {
    "run": _TEXT,
    "task": _TEXT,
    "method": _TEXT,
    "shots": _COUNT,
    "seed": _WHOLE,
    "learning_rate": _or_null(_NUMBER),
    "model": _TEXT,
    "format": _TEXT,
    "style": _TEXT,
    "init": _or_null(_TEXT),
    "labels": _LABELS,
    "chance": _SHARE,
    "validation": _or_null(_SCORED),
    "test": _SCORED,
    "confusion": _Kind(_is_table, "a square of counts", lambda v: tuple(map(tuple, v))),
    "curve": _Kind(
        lambda value: _is_curve(value, "step", "loss", "accuracy"),
        "a list of points with step, loss and accuracy",
        tuple,
    ),
    "train_curve": _Kind(
        lambda value: _is_curve(value, "step", "loss"), "a list of points with step and loss", tuple
    ),
    "best_step": _or_null(_COUNT),
    "seconds": _NUMBER,
    "parameters": _COUNT,
}
