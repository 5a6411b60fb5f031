"""The plan of a grid: which trials are trained side by side.

How trials are put together in banks is no part of their ids: their numbers agree, but for
the last digits of a sum in another order.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ppt.methods import Method, find_method
from ppt.results.trial import Trial, changed, digest
from ppt.tasks.loading import TaskData

ASIDE = ("name", "columns", "source", "answer")
"""Fields of a task that say how its rows are read; the rows tell what came of it."""


def content_digest(data: TaskData) -> str:
    """What tells the rows, words and patterns of two tasks apart, wherever they were read."""
    both = hashlib.sha256(digest(changed(data.task, ASIDE)).encode())
    for rows in (data.train, data.test):
        both.update(json.dumps(rows, sort_keys=True).encode())
    return both.hexdigest()


@dataclass(frozen=True)
class Bank:
    """Trials of one task, number of shots and training, which run as one.

    Methods that differ only in how they combine what was trained share the training.
    """

    trials: tuple[Trial, ...]

    @property
    def method(self) -> Method:
        """The method; of several, one: their trainings are equal."""
        return find_method(self.trials[0].method)

    @property
    def points(self) -> list[tuple[int, float | None]]:
        """The (seed, learning rate) to train, each once."""
        return list(dict.fromkeys((one.seed, one.learning_rate) for one in self.trials))

    def lane(self, trial: Trial, member: int) -> int:
        """The number of the lane that trains a member of a trial."""
        return self.points.index((trial.seed, trial.learning_rate)) * self.method.members + member

    def __str__(self) -> str:
        names = dict.fromkeys(one.method for one in self.trials)
        return f"{self.trials[0].task}, {' and '.join(names)}, {self.trials[0].shots} shots"


def banks(trials: Iterable[Trial], side_by_side: int) -> list[Bank]:
    """Put trials together, in their order, so that `side_by_side` lanes or fewer share a batch."""
    alike: dict[tuple[Any, ...], list[Trial]] = {}
    for one in trials:
        key = (one.task, one.shots, find_method(one.method).training())
        alike.setdefault(key, []).append(one)
    return [bank for group in alike.values() for bank in _cut(group, side_by_side)]


def _cut(group: Sequence[Trial], side_by_side: int) -> Iterable[Bank]:
    """Banks of trials that could all run as one."""
    whole = Bank(tuple(group))
    points, method = whole.points, whole.method
    if method.alone:
        width = 1
    elif method.is_trained:
        width = max(1, side_by_side // method.members)
    else:
        width = len(points)
    for start in range(0, len(points), width):
        chosen = {*points[start : start + width]}
        yield Bank(tuple(one for one in group if (one.seed, one.learning_rate) in chosen))
