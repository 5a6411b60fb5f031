"""A run: one line of results.jsonl. This is its schema: what is written, checked and read."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

from ppt.base.names import is_name
from ppt.errors import InputError, visible

Point = Mapping[str, float]

_ROUNDED = 1e-6
"""What an accuracy may be off by."""


@dataclass(frozen=True)
class Kind:
    """What a JSON value must be: the test, its words in messages, and what is made of it."""

    holds: Callable[[Any], bool]
    words: str
    make: Callable[[Any], Any] = lambda value: value


@cache
def kinds(schema: type) -> dict[str, Kind]:
    """Field → what its JSON value must be, as its annotation says."""
    return {name: _kind(hint) for name, hint in get_type_hints(schema, include_extras=True).items()}


def _kind(hint: Any) -> Kind:
    if hasattr(hint, "__metadata__"):
        kind: Kind = hint.__metadata__[0]
        return kind
    one = _kind(get_args(hint)[0])  # of ``X | None`` the X
    return Kind(
        lambda value: value is None or one.holds(value),
        f"{one.words} or null",
        lambda value: None if value is None else one.make(value),
    )


def _is_list(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _is_object(value: Any, parts: Mapping[str, Kind]) -> bool:
    return isinstance(value, dict) and all(
        kind.holds(value.get(name)) for name, kind in parts.items()
    )


def _points(*names: str) -> Kind:
    parts = {name: _POINT.get(name, _LOSS) for name in names}
    words = f"a list of points with {', '.join(names[:-1])} and {names[-1]}"
    return Kind(lambda value: _is_list(value, lambda one: _is_object(one, parts)), words, tuple)


_TEXT = Kind(lambda v: isinstance(v, str), "text")
_NAME = Kind(lambda v: isinstance(v, str) and is_name(v), "the name of a file")
_PLACE = Kind(
    lambda v: isinstance(v, str) and all(map(is_name, v.split("/"))), "a path in the folder"
)
_WHOLE = Kind(lambda v: isinstance(v, int) and not isinstance(v, bool), "an integer")
_COUNT = Kind(lambda v: _WHOLE.holds(v) and v >= 0, "a whole number from 0 on")
_LOSS = Kind(lambda v: _WHOLE.holds(v) or isinstance(v, float), "a number")
_NUMBER = Kind(lambda v: _LOSS.holds(v) and abs(v) < math.inf, "a number")
_SHARE = Kind(lambda v: _LOSS.holds(v) and 0 <= v <= 1, "a number from 0 to 1")
_CELL = Kind(lambda v: _COUNT.holds(v) and v < 2**31, "a count")  # runs are added up in 64 bits
_POINT = {"step": _CELL, "accuracy": _SHARE}
_SQUARE = Kind(
    lambda v: _is_list(v, lambda row: _is_list(row, _CELL.holds) and len(row) == len(v)),
    "a square of counts",
    lambda v: tuple(map(tuple, v)),
)
_NAMES = Kind(lambda v: v != [] and _is_list(v, _TEXT.holds), "a list of names", tuple)

Text = Annotated[str, _TEXT]
Name = Annotated[str, _NAME]
Place = Annotated[str, _PLACE]
Switch = Annotated[bool, Kind(lambda v: isinstance(v, bool), "true or false")]
Whole = Annotated[int, _WHOLE]
Count = Annotated[int, _COUNT]
Number = Annotated[float, _NUMBER]
Share = Annotated[float, _SHARE]
Loss = Annotated[float, _LOSS]
"""Of a run that diverged it is not finite: JSON as Python writes it has NaN and Infinity."""


@dataclass(frozen=True)
class Scores:
    """Scores of a run on `rows` examples."""

    loss: Loss
    accuracy: Share
    macro_f1: Share
    rows: Count


Scored = Annotated[
    Scores,
    Kind(
        lambda value: _is_object(value, kinds(Scores)),
        "an object of loss, accuracy, macro_f1 and rows",
        lambda value: Scores(**{name: value[name] for name in kinds(Scores)}),
    ),
]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A line of results.jsonl, its keys in this order.

    What was added later has a default, so that lines of before can be read. `init` names
    where a prompt began, `init_digest` tells a pre-trained one from others that come to lie there,
    `demonstrations` counts the examples in a context. `chance` is
    the accuracy of blind guessing. `confusion` [L, L] counts test rows by true label, then
    by predicted label. `curve` has points of step, loss and accuracy on validation,
    `train_curve` of step and loss; both are empty where nothing is trained. `adapter` is a
    path in the results folder.
    """

    run: Name
    task: Text
    method: Text
    shots: Count
    seed: Whole
    learning_rate: Number | None
    model: Text
    format: Text
    style: Text
    init: Text | None
    init_digest: Text | None = None
    demonstrations: Count | None = None
    members: Count = 1
    labels: Annotated[tuple[str, ...], _NAMES]
    chance: Share
    test_rows: Count
    validation: Scored | None
    test: Scored
    confusion: Annotated[tuple[tuple[int, ...], ...], _SQUARE]
    curve: Annotated[tuple[Point, ...], _points("step", "loss", "accuracy")]
    train_curve: Annotated[tuple[Point, ...], _points("step", "loss")]
    steps: Count = 0
    best_step: Count | None
    stopped_early: Switch = False
    diverged: Switch = False
    seconds: Number
    parameters: Count
    adapter: Place | None = None

    def line(self) -> str:
        """The JSON text, without a line feed."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def flat(self) -> dict[str, Any]:
        """One value a column, such as test_accuracy; labels, confusion and curves left out."""
        values = {}
        for name, value in vars(self).items():
            if name in ("validation", "test"):
                for part in kinds(Scores):
                    values[f"{name}_{part}"] = getattr(value, part, None)
            elif not isinstance(value, tuple):
                values[name] = value
        return values


def read_run(values: Any, place: str) -> Run:
    """The run of a JSON value; keys that are none of its fields are passed over.

    Raises InputError, which names the `place` of the line.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: got {_short(values)}, expected a run as a JSON object.")
    made = {}
    for one in fields(Run):
        name, kind = one.name, kinds(Run)[one.name]
        if name not in values:
            if one.default is MISSING:
                raise InputError(
                    f"{place}: the key {name!r} is missing: was it written by ppt.fewshot?"
                )
        elif not kind.holds(values[name]):
            raise InputError(f"{place}: {name!r} is {_short(values[name])}, expected {kind.words}.")
        else:
            made[name] = kind.make(values[name])
    run = Run(**made)
    counted = sum(map(sum, run.confusion))
    if len(run.confusion) != len(run.labels) or counted != run.test.rows:
        raise InputError(
            f"{place}: 'confusion' counts {counted} rows by {len(run.confusion)} labels, expected"
            f" {run.test.rows} by {len(run.labels)}."
        )
    right = sum(row[label] for label, row in enumerate(run.confusion))
    if abs(right - run.test.accuracy * counted) > _ROUNDED * counted:
        raise InputError(
            f"{place}: 'confusion' has {right} of {counted} rows right, but the accuracy of 'test'"
            f" is {run.test.accuracy}: was the line changed?"
        )
    return run


def _short(value: Any) -> str:
    text = visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 40 else f"{text[:37]}..."
