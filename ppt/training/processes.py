"""The processes of a data-parallel run, started by ``accelerate launch`` or torchrun.

Only two things are asked of them: who am I, and what is the sum over all of us. A
process alone asks nobody, so that accelerate is imported only where it is needed.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ppt.base.extras import need


class Processes:
    """One process that is alone."""

    rank = 0
    world = 1
    device: str | None = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The elementwise sum of every process's tensor (all of one shape)."""
        return tensor

    def wait(self) -> None:
        """Until every process is here."""

    def leave(self) -> None:
        """Let the others go on without this process."""


ALONE = Processes()


@dataclass(frozen=True)
class Session:
    """A part of a run, from its begin or a state to its end or an interruption.

    It may be one of several `processes`, and `goes_on` with what is in its folder. `progress` is
    how it tells where it stands: "bar", "lines" or "none"; `tell` hears what users should know.
    """

    processes: Processes = ALONE
    goes_on: bool = False
    progress: str = "none"
    tell: Callable[[str], None] = lambda _: None

    def told(self, what: str, folder: Path | None) -> None:
        """Tell `what` is trained on, and that a run goes on, once."""
        if self.processes.first:
            self.tell(what)
            if self.goes_on:
                self.tell(f"going on with the run in {folder}")


class Accelerated(Processes):
    """One of several processes. `device` is the one that accelerate gives it."""

    def __init__(self, device: str | None) -> None:
        need("accelerate", "a run of several processes")
        from accelerate import Accelerator  # type: ignore[import-untyped]

        cpu = device == "cpu" or not torch.cuda.is_available()
        self._accelerator: Any = Accelerator(cpu=cpu)
        self.rank = self._accelerator.process_index
        self.world = self._accelerator.num_processes
        self.device = str(self._accelerator.device)

    def sum(self, tensor: Tensor) -> Tensor:
        """The elementwise sum, the same bits in every process."""
        total: Tensor = self._accelerator.reduce(tensor.to(self._accelerator.device), "sum")
        return total.to(tensor.device)

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Close the process group, which else complains."""
        self._accelerator.end_training()


def join(device: str | None = None) -> Processes:
    """The processes that this one was started with."""
    return ALONE if int(os.environ.get("WORLD_SIZE", "1")) == 1 else Accelerated(device)


def add_up_gradients(processes: Processes, parameters: Sequence[nn.Parameter]) -> None:
    """Replace every gradient by its sum over all processes; one message carries them all."""
    if processes.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    vector_to_parameters(processes.sum(parameters_to_vector(gradients)), gradients)
