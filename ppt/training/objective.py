"""What a step computes: gradients of some loss for each lane, and how good each lane is now.

The loop (`ppt.training.loop`) knows nothing of rows, labels or losses: it asks its objective.
A new one (plain language modelling, several tasks mixed) is a new class beside these.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.prompts.batches import collate
from ppt.prompts.order import BatchOrder, part
from ppt.training.course import S
from ppt.training.evaluation import Evaluation, evaluate
from ppt.training.examples import Examples
from ppt.training.processes import Processes
from ppt.training.settings import TrainSettings
from ppt.training.trainables import Trainable

Watch = Callable[[float], bool]
"""Told what share of an evaluation is done; true where it is to be given up."""


@dataclass(frozen=True)
class Sums:
    """Of a step of K lanes: losses and right answers of the rows that *this* process had, [K, 2].

    A lane's mean loss is the sum of its losses over all processes by its weight, [K];
    `rows` [K] are those of the whole batch.
    """

    sums: Tensor
    weights: Sequence[float]
    rows: Sequence[int]


class Objective(ABC, Generic[S]):
    """K lanes of a `trainable`, and what they are trained for."""

    trainable: Trainable

    @abstractmethod
    def step(self, which: Sequence[int]) -> Sums:
        """Add the gradients of the next batch of each of the lanes `which`."""

    @abstractmethod
    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[S] | None:
        """How good the lanes `which` are after `step` steps; None where that was given up."""


class CorpusRows(Objective[Evaluation]):
    """One lane on the rows of a corpus, over any number of processes; its position can be kept.

    With W processes each takes its part of the global batch; gradients of the loss *sum*
    over global rows are added up, so W processes give the gradient of one.
    """

    def __init__(
        self,
        trainable: Trainable,
        examples: Examples,
        settings: TrainSettings,
        processes: Processes | None = None,
    ) -> None:
        self.trainable, self.examples, self.settings = trainable, examples, settings
        self.processes = processes or Processes()
        self._words = examples.words.to(trainable.backbone.device)
        self._order = BatchOrder(
            examples.train.lengths,
            settings.local_batch_size * self.processes.world,
            settings.seed,
            self.processes.rank,
            self.processes.world,
        )

    def step(self, which: Sequence[int]) -> Sums:
        """One global batch, in as many forward passes as are asked for."""
        rows = len(self._order.batch(self._order.epoch, self._order.step))
        mine = next(self._order)
        sums = torch.zeros(1, 2, dtype=torch.float64)
        for turn in range(self.settings.gradient_accumulation_steps):
            indices = part(mine, turn, self.settings.gradient_accumulation_steps)
            if len(indices):
                sums[0] += self._forward_backward(which, indices, rows)
        return Sums(sums, [rows], [rows])

    def _forward_backward(self, which: Sequence[int], indices: Indices, rows: int) -> Tensor:
        """Add the gradient of the loss over `rows` global rows; returns [loss sum, right]."""
        loss, backbone = self.settings.loss, self.trainable.backbone
        pad = backbone.pad_id
        batch = collate(self.examples.train, indices, self._words, pad).to(backbone.device)
        full = loss == "vocabulary"
        scores = self.trainable.score(which, batch, full_vocabulary=full, rows=indices[None])
        total = LOSSES[loss](scores, batch.labels, reduction="sum")
        (total / rows).backward()  # type: ignore[no-untyped-call]
        right = (scores.argmax(-1) == batch.labels).sum()
        return torch.stack([total.detach(), right.to(total.dtype)]).cpu().double()

    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[Evaluation] | None:
        """Loss and accuracy over the validation rows."""
        del which
        result = evaluate(
            self.trainable,
            self.examples.validation,
            self._words,
            step=step,
            loss=self.settings.loss,
            batch_size=self.settings.per_device_eval_batch_size,
            processes=self.processes,
            watch=watch,
        )
        return None if result is None else [result]

    def position(self) -> dict[str, int]:
        """Where in the data the run stands."""
        return self._order.state_dict()

    def go_to(self, position: Mapping[str, int]) -> None:
        """Go on from a `position`; raises ConfigError where it is one of other data."""
        self._order.load_state_dict(dict(position))

    def scored(self, **values: Any) -> Evaluation:
        """An evaluation of the fields that a state keeps."""
        return Evaluation(**values)
