"""What model labellers share: a Beam model handler whose example is a whole pool of sentences.

A pool is the sentences of one shard, so what a model computes at once never depends on
how a runner bundles elements or shares shards out. PyTorch's sums depend on its number
of threads too: labels are computed on one, and processes, of which there is one a core,
bring the speed. So labels have the same bytes with any number of workers and cores.

Importing this module imports torch. Beam's own handler for Hugging Face models cannot
be imported with transformers 5, so its PyTorch handler is the base here.
"""

import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.ml.inference.pytorch_inference import PytorchModelHandlerKeyedTensor
from numpy.typing import NDArray

from ppt.sentiment import LABELS

Pool = Sequence[str]
Probabilities = NDArray[np.float32]

_ONE_AT_A_TIME = threading.Lock()


class PoolHandler(PytorchModelHandlerKeyedTensor):  # type: ignore[misc]
    """A Beam model handler whose example is a pool, `list[str]`, of N sentences.

    The inference is float32 [N, 5]: a row per sentence, in the pool's order, of
    probabilities of `LABELS`. A worker's GPU is used if it has one.
    """

    def __init__(self, model: str, device: str = "GPU") -> None:
        super().__init__(device=device, max_batch_size=1)  # the pool is batch enough for Beam
        self._name = model

    @abstractmethod
    def load_model(self) -> Any:
        """Load the model; RunInference calls this once a process."""

    @abstractmethod
    def probabilities(self, pool: Pool, model: Any, args: Mapping[str, Any]) -> Probabilities:
        """Class probabilities [N, 5] of a pool that is not empty."""

    def run_inference(
        self,
        batch: Sequence[Pool],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[PredictionResult]:
        """Label each pool; `inference_args` go to the model's forward pass."""
        with one_thread():
            return [
                PredictionResult(
                    pool, self._labelled(pool, model, inference_args or {}), self._name
                )
                for pool in batch
            ]

    def get_num_bytes(self, batch: Sequence[Pool]) -> int:
        """The pools' text in UTF-8, for Beam's metrics."""
        return sum(len(sentence.encode()) for pool in batch for sentence in pool)

    def _labelled(self, pool: Pool, model: Any, args: Mapping[str, Any]) -> Probabilities:
        if not pool:
            return np.empty((0, len(LABELS)), dtype=np.float32)
        return self.probabilities(pool, model, args)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread, and for one caller at a time: its setting is global."""
    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
