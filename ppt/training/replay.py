"""Steps as one launch each: CUDA graphs, recorded once for each shape of a batch.

A step of a small model is thousands of kernels of some microseconds, and Python and the driver
take longer to launch them than a GPU to run them. A recorded step is launched as one. It reads
and writes always the same memory, so batches are copied into it, and gradients out of it; texts
are padded to multiples of `MULTIPLE`, so that few shapes come again and again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppt.base.arrays import Indices
from ppt.errors import first_line, note
from ppt.prompts.tensors import Batch
from ppt.training.trainables import Trainable

MULTIPLE = 16
"""Tokens to whose multiples texts are padded on a GPU."""

SEEN_BEFORE = 2
"""Steps of a shape before one is recorded: libraries choose their kernels in them."""

Run = Callable[[Sequence[int], Batch, Indices, Tensor], tuple[Tensor, Tensor]]
"""Lanes, a batch, its rows among each lane's own [K, B] and their shares of the loss → that loss,
and what is told of it."""


@dataclass(frozen=True)
class Recorded:
    """A recorded step: what it reads, the graph, what it found and the gradients."""

    reads: Sequence[Tensor]
    graph: "torch.cuda.CUDAGraph"
    told: Tensor
    gradients: Sequence[Tensor]


Found = tuple[Tensor, Sequence[Tensor]]
"""What is told of a step, and its gradients."""


def captured(step: Callable[[], Found], pool: Any) -> tuple["torch.cuda.CUDAGraph", Found]:
    """A graph of `step`, and where it writes what it finds; its memory is that of `pool`."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # as PyTorch's notes on CUDA graphs ask for
        step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        found = step()
    return graph, found


class Replay:
    """Computes gradients of `run` for lanes of a `trainable`; recorded on a GPU, if `record`."""

    def __init__(self, trainable: Trainable, run: Run, *, record: bool = True) -> None:
        self._trainable, self._run = trainable, run
        on_gpu = trainable.backbone.device.type == "cuda"
        self._records = record and on_gpu and not trainable.by_rows
        self._seen: Counter[object] = Counter()
        self._recorded: dict[object, Recorded] = {}
        self._pool: Any = None

    @property
    def multiple(self) -> int:
        """To multiples of how many tokens texts are to be padded."""
        return MULTIPLE if self._records else 1

    def __call__(self, which: Sequence[int], batch: Batch, rows: Indices, shares: Tensor) -> Tensor:
        """Add the gradients of a step to those of the lanes `which`; returns what is told of it.

        That is to be read before the next step: its memory is used again.
        """
        found = self._replayed(which, batch, rows, shares) if self._records else None
        if found is None:
            loss, told = self._run(which, batch, rows, shares)
            loss.backward()  # type: ignore[no-untyped-call]
            found = told.detach()
        return found

    def _replayed(
        self, which: Sequence[int], batch: Batch, rows: Indices, shares: Tensor
    ) -> Tensor | None:
        """What is told of a recorded step; None where it is not to be one, or cannot be."""
        given = [*batch.tensors, shares]
        key = (tuple(which), batch.words.room, *(tuple(one.shape) for one in given))
        self._seen[key] += 1
        if self._seen[key] <= SEEN_BEFORE or not bool(batch.attention_mask.any(1).all()):
            return None  # of a row without tokens the model itself says what is wrong
        step = self._recorded.get(key) or self._record(which, batch, rows, given)
        if step is None:
            return None
        self._recorded[key] = step
        for inside, own in zip(step.reads, given, strict=True):
            inside.copy_(own)
        step.graph.replay()
        for weight, gradient in zip(self._weights(which), step.gradients, strict=True):
            weight.grad = gradient.clone() if weight.grad is None else weight.grad.add_(gradient)
        return step.told

    def _weights(self, which: Sequence[int]) -> list[Tensor]:
        return [weight for lane in which for weight in self._trainable.parameters(lane)]

    def _record(
        self, which: Sequence[int], batch: Batch, rows: Indices, given: Sequence[Tensor]
    ) -> Recorded | None:
        """The step, recorded; None, and nothing from now on, where a model's cannot be."""
        reads, weights = [one.clone() for one in given], self._weights(which)
        inside, shares = batch.of(reads[:-1]), reads[-1]

        def step() -> Found:
            loss, told = self._run(which, inside, rows, shares)
            return told.detach(), torch.autograd.grad(loss, weights)

        try:
            graph, (told, gradients) = captured(step, self._pool)
        except RuntimeError as error:  # too little memory is left, or it asks for a value halfway
            self._records = False
            self._recorded.clear()
            torch.cuda.empty_cache()
            steps = f"steps of {self._trainable.backbone.name or 'this model'}"
            why = f"cannot be recorded ({first_line(error)})"
            note(f"{steps} {why}: they are right, and slower.")
            return None
        self._pool = graph.pool()
        return Recorded(reads, graph, told, gradients)
