"""How good a trainable is, which step was the best, and how a lane of training has gone so far.

Loss and accuracy are over rows, against chance, per number of options. A course is what
`state.json` keeps of a lane, and what results tell.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from ppt.methods import ACCURACY, CLEAR
from ppt.prompts.batches import TokenRows
from ppt.prompts.tensors import LabelWords


class Scored:
    """What one can choose by: mean loss and share of right answers of `rows` after `step` steps."""

    step: int
    loss: float
    accuracy: float
    rows: int


S = TypeVar("S", bound=Scored)


@dataclass(frozen=True)
class Evaluation(Scored):
    """Scores after `step` steps. `by_options` has an entry for each number of options met.

    `chance` is the accuracy of blind guessing: the mean of 1 / options over rows.
    """

    step: int
    loss: float
    accuracy: float
    chance: float
    rows: int
    by_options: Mapping[str, Mapping[str, float]]


MEASURES: Mapping[str, Callable[[Scored], tuple[float, ...]]] = {
    "loss": lambda one: (-one.loss,),
    ACCURACY: lambda one: (one.accuracy, -one.loss),
    CLEAR: lambda one: (one.accuracy,),
}
"""``--metric_for_best_model`` → what is to be high, the weightiest first."""


def best_of(found: Sequence[S], metric: str) -> S:
    """The best evaluation, of equals the first."""
    return max(found, key=MEASURES[metric])


def best_step(history: Sequence[S], metric: str) -> S:
    """The step of a run to keep: the best one, or its start where `CLEAR` asks for more."""
    best, start = best_of(history, metric), history[0]
    return start if metric == CLEAR and not is_clear(best, start) else best


def is_clear(new: Scored, old: Scored) -> bool:
    """Whether `new` gains more right answers than one, and than a standard error of `old`.

    The one-standard-error rule (Breiman et al. 1984, 3.4.3) with what was there before training
    as the simplest model. One answer alone is never more than the error of a paired difference.
    """
    gain = (new.accuracy - old.accuracy) * old.rows
    error = math.sqrt(old.rows * old.accuracy * (1 - old.accuracy))
    return gain > max(1.0, error) + 1e-9


def has_stalled(history: Sequence[Scored], metric: str, patience: int) -> bool:
    """Whether the last `patience` evaluations brought no better one."""
    if not patience or not history:
        return False
    return len(history) - 1 - history.index(best_step(history, metric)) >= patience


@dataclass
class Window:
    """Sums over the steps since the last training row; losses are weighed."""

    loss: float = 0.0
    weight: float = 0.0
    right: float = 0.0
    rows: int = 0
    norm: float = 0.0
    steps: int = 0
    seconds: float = 0.0

    def add(self, loss: float, weight: float, right: float, rows: int, norm: float) -> None:
        """One more step: sums over its rows, and the norm of its gradient."""
        self.loss += loss
        self.weight += weight
        self.right += right
        self.rows += rows
        self.norm += norm
        self.steps += 1

    def row(self, step: int, learning_rate: float) -> dict[str, float]:
        """The means, as a training row."""
        return {
            "step": step,
            "loss": self.loss / self.weight,
            "accuracy": self.right / self.rows,
            "grad_norm": self.norm / self.steps,
            "learning_rate": learning_rate,
            "examples_per_second": round(self.rows / max(self.seconds, 1e-9), 3),
        }


@dataclass
class Course(Generic[S]):
    """A lane after `step` steps: all evaluations, and sums since the last training row.

    `seconds` are those of the steps alone, over all sessions of a resumed run.
    """

    step: int = 0
    history: list[S] = field(default_factory=list)
    window: Window = field(default_factory=Window)
    seconds: float = 0.0
    examples: int = 0
    stopped_early: bool = False
    diverged: bool = False

    @property
    def first(self) -> S:
        """The scores before training."""
        return self.history[0]

    def scores(self, metric: str) -> dict[str, Any]:
        """The scores before training and at the step to keep, as JSON values."""
        first, best = self.first, self.best(metric)
        return {"first": asdict(first), "best": asdict(best)}  # type: ignore[call-overload]

    def summary(self, metric: str) -> dict[str, Any]:
        """What ``result.json`` tells of a finished run."""
        pace = self.examples / max(self.seconds, 1e-9)
        return {
            **self.scores(metric),
            "steps": self.step,
            "stopped_early": self.stopped_early,
            "seconds": round(self.seconds, 3),
            "examples_per_second": round(pace, 3),
        }

    def best(self, metric: str) -> S:
        """The scores of the step to keep."""
        return best_step(self.history, metric)


def option_counts(rows: TokenRows, words: LabelWords) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many labels each row allows, [N]; all where it shows no options."""
    return np.where(rows.options > 0, rows.options, len(words.lengths))
