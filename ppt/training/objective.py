"""What a step computes: gradients of some loss for each lane, and how good each lane is now.

The loop (`ppt.training.loop`) knows nothing of rows, labels or losses: it asks its objective.
A new one is a new class beside these, as language modelling is (`ppt.training.language`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.prompts.batches import collate
from ppt.prompts.order import BatchOrder, evaluation_batches, part
from ppt.prompts.tensors import Batch
from ppt.training.evaluation import Evaluation, S, option_counts
from ppt.training.examples import Examples
from ppt.training.processes import ALONE, Processes
from ppt.training.replay import Replay
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


class OneRun(Objective[Evaluation]):
    """One lane on rows in batches, over any number of processes; its `order` can be kept.

    With W processes each takes its part of the global batch; gradients of the loss *sum*
    over all that is predicted in it are added up, so W processes give the gradient of one.
    """

    scored: int
    """Rows of an evaluation."""

    def __init__(
        self,
        trainable: Trainable,
        lengths: Indices,
        settings: TrainSettings,
        processes: Processes = ALONE,
    ) -> None:
        self.trainable, self.settings, self.processes = trainable, settings, processes
        self.order = BatchOrder(
            lengths,
            settings.local_batch_size * self.processes.world,
            settings.seed,
            self.processes.rank,
            self.processes.world,
        )

    @abstractmethod
    def begin(self, rows: Indices, epoch: int) -> int:
        """Make the `rows` of a global batch ready; how much is predicted in them."""

    @abstractmethod
    def forward_backward(self, which: Sequence[int], rows: Indices, weight: int) -> Tensor:
        """Add the gradient of the loss sum over `weight`; returns [loss sum, right]."""

    def step(self, which: Sequence[int]) -> Sums:
        """One global batch, in as many forward passes as are asked for."""
        order = self.order
        weight = self.begin(order.batch(order.epoch, order.step), order.epoch)
        mine = next(order)
        sums = torch.zeros(1, 2, dtype=torch.float64)
        turns = min(self.settings.gradient_accumulation_steps, len(mine))
        for turn in range(turns):
            sums[0] += self.forward_backward(which, part(mine, turn, turns), weight)
        return Sums(sums, [weight], [weight])

    def summed(
        self, lengths: Indices, found: Callable[[Indices], Tensor], width: int, watch: Watch
    ) -> list[float] | None:
        """The sums, over all processes, of what is `found` [width] in batches of rows of `lengths`.

        None where that was given up.
        """
        size, processes = self.settings.per_device_eval_batch_size, self.processes
        rank, world = processes.rank, processes.world
        batches = evaluation_batches(lengths, size * world, rank, world)
        sums, stopped = torch.zeros(width, dtype=torch.float64), False
        for number, rows in enumerate(batches):
            if stopped := watch(number / len(batches)):
                break
            if len(rows):
                sums += found(rows)
        asked = torch.tensor([float(stopped)], dtype=torch.float64)
        *added, stops = processes.sum(torch.cat([sums, asked])).tolist()
        return None if stops else added


@dataclass(frozen=True)
class Material:
    """What is trained on, ready: what cards tell of it, and what a run that goes on must share."""

    objective: OneRun
    facts: dict[str, str]
    identity: dict[str, Any]
    told: str


class CorpusRows(OneRun):
    """The rows of a corpus: what is predicted is the label of each."""

    def __init__(
        self,
        trainable: Trainable,
        examples: Examples,
        settings: TrainSettings,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__(trainable, examples.train.lengths, settings, processes)
        self.examples, self.scored = examples, len(examples.validation)
        self._words = examples.words.to(trainable.backbone.device)
        self._replay = Replay(trainable, self._loss)

    def begin(self, rows: Indices, _epoch: int) -> int:
        """A row has one label."""
        return len(rows)

    def forward_backward(self, which: Sequence[int], rows: Indices, weight: int) -> Tensor:
        """The loss of labels, as ``--loss`` has it."""
        backbone, replay = self.trainable.backbone, self._replay
        batch = collate(
            self.examples.train, rows, self._words, backbone.pad_id, replay.multiple
        ).to(backbone.device)  # fmt: skip
        share = torch.tensor(1 / weight, device=backbone.device)
        return replay(which, batch, rows[None], share).cpu().double()

    def _loss(
        self, which: Sequence[int], batch: Batch, rows: Indices, share: Tensor
    ) -> tuple[Tensor, Tensor]:
        loss = self.settings.loss
        scores = self.trainable.score(which, batch, loss, rows)
        total = LOSSES[loss](scores, batch.labels, reduction="sum")
        right = (scores.argmax(-1) == batch.labels).sum()
        return total * share, torch.stack([total, right.to(total.dtype)])

    @torch.no_grad()
    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[Evaluation] | None:
        """Loss and accuracy over the validation rows; `by_options` has those of each number."""
        backbone, rows, words = self.trainable.backbone, self.examples.validation, self._words
        options, loss = option_counts(rows, words), self.settings.loss
        kinds, kind_of, counts = np.unique(options, return_inverse=True, return_counts=True)

        def found(indices: Indices) -> Tensor:
            batch = collate(rows, indices, words, backbone.pad_id).to(backbone.device)
            scores = self.trainable.score(which, batch, loss)
            total = float(LOSSES[loss](scores, batch.labels, reduction="sum"))
            hits = (scores.argmax(-1) == batch.labels).cpu().numpy()
            right = np.bincount(kind_of[indices], hits, minlength=len(kinds))
            return torch.tensor([total, *right.tolist()], dtype=torch.float64)

        sums = self.summed(rows.lengths, found, 1 + len(kinds), watch)
        if sums is None:
            return None
        total, *right = sums
        by_options = {
            str(n): {"accuracy": hit / count, "chance": 1 / n, "rows": count}
            for n, hit, count in zip(kinds.tolist(), right, counts.tolist(), strict=True)
        }
        count, chance = len(rows), float((1 / options).mean())
        return [Evaluation(step, total / count, sum(right) / count, chance, count, by_options)]
