"""Which rows share a batch: length buckets, in an order that can be resumed.

The order of an epoch is a pure function of (seed, epoch, lengths): shuffle the
rows, sort each bucket of up to 50 batches by length, shuffle the batches. Rows of
like length share a batch, so little is padded, yet a row meets other rows each
epoch. A checkpoint therefore stores a position, not an order. Sorting everything
pads less still, but fixes which rows meet.

Batches of an epoch differ by at most one row: N rows make ceil(N / batch_size)
batches of equal size, in place of full ones and a remainder. So no tail is
dropped, no tiny batch takes a noisy step, and no process of a data-parallel run
gets an empty part.

`batch_size` is global. With W processes, process r takes the r-th of W contiguous
parts of each global batch, so that together they see what one process would. Parts
differ by at most one row: for the one-process gradient, sum the loss over rows and
divide by the rows of the *global* batch (`BatchOrder.batch`).
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ppt.base.arrays import Indices
from ppt.base.streams import seed_bits, stream
from ppt.errors import ConfigError

BUCKET_BATCHES = 50
"""Batches whose rows are sorted together, at most."""

MIN_BUCKETS = 8
"""Buckets of an epoch, at least; else the few rows of a small task would always meet the same."""


def part(indices: Indices, rank: int, world: int) -> Indices:
    """The share of process `rank` of `world`: contiguous parts that differ by one row at most."""
    start, end = (len(indices) * r // world for r in (rank, rank + 1))
    return indices[start:end]


def evaluation_batches(
    lengths: Indices, batch_size: int, rank: int = 0, world: int = 1
) -> list[Indices]:
    """Every row once, the longest first, so that want of memory shows in the first batch.

    All processes get equally many batches; a part may be empty where there are
    fewer rows than processes.
    """
    order = np.argsort(-lengths, kind="stable")
    bounds = _bounds(len(lengths), batch_size)
    return [part(order[start:end], rank, world) for start, end in pairwise(bounds)]


class BatchOrder(Iterator[Indices]):
    """Endless batches for training, as arrays of row numbers; it owns its position.

    `epoch` and `step` (within the epoch) name the batch that comes next. Any position
    is reached by `seek` at the cost of one shuffle, however far it is.
    """

    def __init__(
        self, lengths: Indices, batch_size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        bounds = _bounds(len(lengths), batch_size)
        if not 0 <= rank < world:
            raise ConfigError(f"rank is {rank}: expected 0 to {world - 1}, as world is {world}.")
        if len(lengths) // (len(bounds) - 1) < world:
            raise ConfigError(
                f"{len(lengths)} rows in batches of {batch_size} do not give each of {world}"
                " processes a row of every batch: raise the batch size or use fewer processes."
            )
        self._lengths, self._bounds = lengths, bounds
        self._batch_size, self._seed = batch_size, seed
        self._rank, self._world = rank, world
        self._shuffled: tuple[int, Indices, Indices] | None = None
        self.epoch = self.step = 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every row once."""
        return len(self._bounds) - 1

    def __next__(self) -> Indices:
        indices = part(self.batch(self.epoch, self.step), self._rank, self._world)
        self.seek(self.epoch * self.steps_per_epoch + self.step + 1)
        return indices

    def batch(self, epoch: int, step: int) -> Indices:
        """The global batch at a position, over all processes."""
        if self._shuffled is None or self._shuffled[0] != epoch:
            self._shuffled = (epoch, *self._shuffle(epoch))
        _, rows, order = self._shuffled
        number = order[step]
        return rows[self._bounds[number] : self._bounds[number + 1]]

    def seek(self, batches: int) -> None:
        """Go to the position after that many batches from the very start."""
        self.epoch, self.step = divmod(batches, self.steps_per_epoch)

    def state_dict(self) -> dict[str, int]:
        """The position, and what it is a position in. The number of processes may change."""
        return {"epoch": self.epoch, "step": self.step, **self._identity()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a stored position, if it is one of this order."""
        for key, value in self._identity().items():
            if state[key] != value:
                raise ConfigError(
                    f"the stored data position has {key} {state[key]}, this run has {value}: go on"
                    " with the corpus and flags of the stored run, or start a new run."
                )
        self.epoch, self.step = state["epoch"], state["step"]

    def _identity(self) -> dict[str, int]:
        return {
            "rows": len(self._lengths),
            "tokens": int(self._lengths.sum()),
            "batch_size": self._batch_size,
            "seed": self._seed,
        }

    def _shuffle(self, epoch: int) -> tuple[Indices, Indices]:
        """The epoch's rows in batches, and the order of the batches."""
        rows = _permutation(len(self._lengths), self._seed, f"rows {epoch}")
        batches = max(1, min(BUCKET_BATCHES, self.steps_per_epoch // MIN_BUCKETS))
        for start in range(0, self.steps_per_epoch, batches):
            end = min(start + batches, self.steps_per_epoch)
            bucket = rows[self._bounds[start] : self._bounds[end]]
            bucket[:] = bucket[np.argsort(self._lengths[bucket], kind="stable")]
        return rows, _permutation(self.steps_per_epoch, self._seed, f"batches {epoch}")


def _bounds(rows: int, batch_size: int) -> Indices:
    """Where each of the fewest batches of equal size begins, and the end."""
    if batch_size < 1 or rows < 1:
        raise ConfigError(f"got {rows} rows and batch_size {batch_size}: both must be 1 at least.")
    batches = -(-rows // batch_size)
    return np.arange(batches + 1) * rows // batches


def _permutation(size: int, seed: int, name: str) -> Indices:
    """A random order of `size` things; by our own hash, so equal in every NumPy version."""
    root = np.full(size, seed_bits(seed, "batches", name), np.uint64)
    return np.argsort(stream(root, np.arange(size, dtype=np.uint64)), kind="stable")
