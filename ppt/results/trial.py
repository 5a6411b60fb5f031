"""A trial: one row of results that is planned or made, and what makes it the same again.

Its id is a digest of all that decides its numbers, so a finished trial is known again, and
one whose prompt, data or flags have changed is another trial. Only what differs from the
defaults is digested: a field or flag that is added later, with a default that changes
nothing, leaves finished trials finished.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Any

from ppt.methods import find_method

ID_VERSION = 1
"""To be raised when equal ids would stand for other numbers: a default of a flag, a method or
a task changes, or a rate or size that is no flag, or what the program computes. All finished
trials are then made again. Not for what is added with a default that changes nothing."""

ID_DIGITS = 16

PLACE = ("task", "method", "shots", "seed", "learning_rate")
"""What tells the points of a grid apart, in the order of results."""

ASIDE = ("summary", "rates")
"""Fields of a method that decide no number: its words, and the rates that a grid tries."""


@dataclass(frozen=True)
class Trial:
    """A point of the grid. `learning_rate` is None where nothing is trained."""

    task: str
    method: str
    shots: int
    seed: int
    learning_rate: float | None
    id: str = ""

    @property
    def columns(self) -> dict[str, Any]:
        """Its id and place, as the first columns of results and predictions."""
        return {"run": self.id, **dict(zip(PLACE, place_of(self), strict=True))}

    def named(self, decisive: Mapping[str, Any]) -> "Trial":
        """The same with its id, of its place and of what else decides its numbers.

        What is None there is left out, so that a kind of thing can be added later.
        """
        known = {
            "version": ID_VERSION,
            "place": changed(self, aside=("id",)),
            "method": changed(find_method(self.method), ASIDE),
            **{name: value for name, value in decisive.items() if value is not None},
        }
        return replace(self, id=digest(known)[:ID_DIGITS])


def place_of(one: Any) -> tuple[Any, ...]:
    """The coordinates in the grid of a trial or of a run."""
    return tuple(getattr(one, name) for name in PLACE)


def changed(one: Any, aside: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, but for those put `aside`."""
    found = {}
    for field in fields(one):
        value, make = getattr(one, field.name), field.default_factory
        default = field.default if make is MISSING else make()
        if field.name not in aside and value != default:
            found[field.name] = value
    return found


def digest(value: Any) -> str:
    """The sha256, in hex, of a value as JSON in one spelling; TypeError where JSON has none."""
    text = json.dumps(_canonical(value), sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Equal JSON values for equal things: dataclasses are what is `changed`, 1.0 is 1."""
    if is_dataclass(value):
        return _canonical(changed(value))
    if isinstance(value, Mapping):
        return {name: _canonical(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(own) for own in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
