"""What a prompt was when its training began, and at a fixed early step: kept beside the best.

The early one tells its task better than the best does, which has gone its own way (SPoT, Vu et
al. 2022); the best without the start is what training has added.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ppt.base.files import write_atomically
from ppt.errors import InputError
from ppt.prompts.files import PRECISIONS
from ppt.prompts.foreign import read_tensors, readable

EARLY = "task_embedding.safetensors"
"""The file, in the adapter's own folder, which PEFT passes over."""


@dataclass(frozen=True, eq=False)
class Early:
    """A prompt [P, H] at its `start`, and as `value` after `step` steps: the task's embedding."""

    step: int
    start: Tensor
    value: Tensor


def save_early(file: Path, step: int, start: Tensor, value: Tensor | None = None) -> None:
    """Write what is known of it; without a `value` yet, the step has not come."""
    tensors = {"start": start, "step": torch.tensor(step)}
    tensors |= {} if value is None else {"value": value}
    data = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    write_atomically(file, bytes(save(data, {"format": "pt"})))


def read_start(file: Path) -> Tensor:
    """The start [P, H] that `save_early` wrote; raises InputError where it is not there."""
    with readable(file):
        return read_tensors(file)["start"]


def read_early(file: Path) -> Early | None:
    """The embedding in `file`; None where it was not kept. Raises InputError if it is broken."""
    tensors = read_tensors(file) if file.exists() else {}
    if not {"value", "start", "step"} <= tensors.keys():
        return None
    start, value, step = (tensors[name] for name in ("start", "value", "step"))
    both = (start, value)
    is_prompt = value.ndim == 2 and value.numel() and start.shape == value.shape
    is_prompt = is_prompt and all(one.dtype in PRECISIONS for one in both)
    is_prompt = is_prompt and all(bool(one.float().isfinite().all()) for one in both)
    if not is_prompt or step.dtype != torch.int64 or step.numel() != 1 or int(step) < 1:
        told = " and ".join(f"{list(one.shape)} {one.dtype}" for one in both)
        raise InputError(
            f"{file} holds {told}, expected two finite [P, H] of one prompt, and a step from 1 on:"
            " make it anew (--embedding_steps), or remove the file."
        )
    return Early(int(step), start.float(), value.float())
