"""How a lane of training has gone so far: what `state.json` keeps of it, and what results tell."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic

from ppt.training.evaluation import S, best_step


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

    @classmethod
    def of(cls, values: Mapping[str, Any], scored: Callable[..., S]) -> "Course[S]":
        """The course in a state's values; `scored` makes an evaluation of its fields."""
        return cls(
            values["step"],
            [scored(**one) for one in values["history"]],
            Window(**values["window"]),
            values["seconds"],
            values["examples"],
        )

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
