"""A trial: one row of results that is planned or made, and what makes it the same again.

Its id is a digest of all that decides its numbers, so a finished trial is known again, and
one whose prompt, data or flags have changed is another trial.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ppt.methods import METHODS

ID_DIGITS = 16


PLACE = ("task", "method", "shots", "seed", "learning_rate")
"""What tells the points of a grid apart, in the order of results and of ids."""


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
    def place(self) -> tuple[Any, ...]:
        """Its coordinates in the grid."""
        return tuple(getattr(self, field) for field in PLACE)

    @property
    def columns(self) -> dict[str, Any]:
        """Its id and place, as the first columns of results and predictions."""
        place = {field: getattr(self, field) for field in PLACE}
        return {"run": self.id, **place}

    def named(self, decisive: Mapping[str, Any]) -> "Trial":
        """The same with its id, of its place and of what else decides its numbers."""
        known = {"place": self.place, "method": METHODS[self.method].recipe(), **decisive}
        text = json.dumps(known, sort_keys=True, default=str)
        return replace(self, id=hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS])
