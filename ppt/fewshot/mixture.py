"""Several tasks as one training set: rows are drawn by the tasks' sizes, batches are mixed.

Examples-proportional mixing with a limit (Raffel et al. 2020, section 3.5.2), as SPoT trains
its source prompts (Vu et al. 2022): a row is of task n with a probability of min(size, limit)
by the sum of all. It is an objective of the loop like any other; each part scores its rows with
its own label words, and their gradients add up to that of the mixed batch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from ppt.base.streams import seed_bits, stream, uniform
from ppt.fewshot.lanes import Lane, TaskLanes
from ppt.fewshot.predictions import Outcome
from ppt.prompts.batches import TokenRows
from ppt.prompts.order import BatchOrder
from ppt.prompts.tensors import LabelWords
from ppt.training.objective import Objective, Sums, Watch
from ppt.training.settings import StepSettings
from ppt.training.trainables import Trainable

EVALUATIONS = 10
"""Evaluations of a mixture on its way, besides the first."""


@dataclass(frozen=True, eq=False)
class Portion:
    """A task of a mixture. `size` is its number of training rows, of which `train` may be some."""

    size: int
    train: TokenRows
    validation: TokenRows
    words: LabelWords


def shares(sizes: Sequence[int], cap: int) -> NDArray[np.float64]:
    """The probability of each task of so many rows, [N]."""
    counted = np.minimum(np.asarray(sizes, np.float64), cap)
    found: NDArray[np.float64] = counted / counted.sum()
    return found


def drawn(share: NDArray[np.float64], seed: int, step: int, rows: int) -> list[int]:
    """How many of the `rows` of a step's batch are of each task; a pure function."""
    root = np.full(rows, seed_bits(seed, "mixture"), np.uint64)
    numbers = np.arange(step * rows, (step + 1) * rows, dtype=np.uint64)
    which = np.searchsorted(np.cumsum(share)[:-1], uniform(stream(root, numbers)), side="right")
    counts = Counter(which.tolist())
    return [counts[place] for place in range(len(share))]


class Mixture(Objective[Outcome]):
    """One lane on the rows of several tasks. Its scores are means over tasks."""

    def __init__(
        self, trainable: Trainable, parts: Sequence[Portion], settings: StepSettings, *,
        cap: int, seed: int, tokens_at_once: int,
    ) -> None:  # fmt: skip
        self.trainable, self._seed, self._step = trainable, seed, 0
        self._rows = settings.per_device_train_batch_size
        self._shares = shares([part.size for part in parts], cap)
        self._parts = [
            TaskLanes(
                trainable, [Lane(part.train, part.validation, None, seed)], settings, part.words,
                tokens_at_once,
            )
            for part in parts
        ]  # fmt: skip
        self._orders = [BatchOrder(part.train.lengths, 1, seed) for part in parts]

    def step(self, which: Sequence[int]) -> Sums:
        """A batch in which each row is of a task by chance."""
        counts = drawn(self._shares, self._seed, self._step, self._rows)
        sums = torch.zeros(1, 2, dtype=torch.float64)
        for part, order, count in zip(self._parts, self._orders, counts, strict=True):
            if count:
                rows = np.concatenate(list(islice(order, count)))
                sums += part.learn(which, [rows], [self._rows])
        self._step += 1
        return Sums(sums, [1.0], [self._rows])

    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[Outcome] | None:
        """Loss, accuracy and F1 on each task's validation rows, and of these the means."""
        found: list[Outcome] = []
        for part in self._parts:
            own = part.evaluate(which, step, watch)
            if own is None:
                return None
            found += own
        loss, accuracy, f1 = (
            fmean(getattr(one, name) for one in found) for name in ("loss", "accuracy", "macro_f1")
        )
        return [Outcome(step, loss, accuracy, f1, sum(one.rows for one in found))]
