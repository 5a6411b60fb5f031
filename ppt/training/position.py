"""Where a run stands beside its tensors, as a state's JSON file keeps it, and where it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ppt.training.evaluation import Evaluation


@dataclass
class Window:
    """Sums over the steps since the last training row."""

    loss: float = 0.0
    right: float = 0.0
    rows: int = 0
    norm: float = 0.0
    steps: int = 0
    seconds: float = 0.0

    def add(self, loss: float, right: float, rows: int, norm: float, seconds: float) -> None:
        """One more step: sums over its rows, and the norm of its gradient."""
        self.loss += loss
        self.right += right
        self.rows += rows
        self.norm += norm
        self.steps += 1
        self.seconds += seconds

    def row(self, step: int, learning_rate: float) -> dict[str, float]:
        """The means, as a training row."""
        return {
            "step": step,
            "loss": self.loss / self.rows,
            "accuracy": self.right / self.rows,
            "grad_norm": self.norm / self.steps,
            "learning_rate": learning_rate,
            "examples_per_second": round(self.rows / max(self.seconds, 1e-9), 3),
        }


@dataclass
class Position:
    """Where a run stands, beside its tensors: what `state.json` keeps."""

    step: int = 0
    history: list[Evaluation] = field(default_factory=list)
    window: Window = field(default_factory=Window)
    seconds: float = 0.0
    examples: int = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Position":
        """The position in a state's values."""
        return cls(
            values["step"],
            [Evaluation(**one) for one in values["history"]],
            Window(**values["window"]),
            values["seconds"],
            values["examples"],
        )


@dataclass(frozen=True)
class TrainResult:
    """The best prompt [P, H] float32 on the CPU, the one after the last step, and all scores.

    `seconds` are those of the steps alone, over all sessions of a resumed run.
    """

    prompt: Tensor
    last_prompt: Tensor
    history: tuple[Evaluation, ...]
    best: Evaluation
    steps: int
    stopped_early: bool
    seconds: float
    examples: int

    @property
    def first(self) -> Evaluation:
        """The scores before training."""
        return self.history[0]
