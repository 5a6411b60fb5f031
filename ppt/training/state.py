"""The resumable state of a run on disk: ``checkpoint-<step>/``, complete or not there.

A state is two files: tensors as safetensors, the rest as JSON, in which a digest of both
tells what was changed since; nothing is pickled. It
is written beside its place, synced, and renamed, so that a process killed at any
moment, or a full disk, leaves the states before it as they were.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ppt.base.files import TO_GO_ON, appearing, read_bytes, remove, sweep, write_synced, writing
from ppt.errors import InputError
from ppt.prompts.foreign import read_object, readable

TENSORS, VALUES = "state.safetensors", "state.json"
STATE_VERSION = 4
"""3 added the digest, 4 the model."""

_NAME = re.compile(r"checkpoint-\d+")


@dataclass(frozen=True)
class State:
    """All that a run goes on from: named tensors, and JSON values among which is ``step``."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]

    @property
    def step(self) -> int:
        """The steps taken."""
        return int(self.values["step"])


def save_state(folder: Path, state: State, keep: int) -> Path:
    """Write ``folder/checkpoint-<step>`` and remove all but the newest `keep` states."""
    target = folder / f"checkpoint-{state.step}"
    tensors = save({name: tensor.contiguous() for name, tensor in state.tensors.items()})
    values = json.loads(json.dumps({"version": STATE_VERSION, **state.values}))
    values["digest"] = _digest(values, tensors)
    files = {TENSORS: tensors, VALUES: (json.dumps(values, indent=1) + "\n").encode()}
    last = latest(folder)
    begin = f"step {step_of(last)}" if last else "the beginning"
    with writing(target, f"{TO_GO_ON} from {begin}"):
        sweep(folder)  # what a process left that was killed
        with appearing(target) as scratch:
            scratch.mkdir()
            for name, data in files.items():
                write_synced(scratch / name, data)
    keep_states(folder, state.step, keep)
    return target


def load_state(path: Path) -> State:
    """Read a state that `save_state` wrote, its tensors on the CPU."""
    try:
        values = read_object(path / VALUES)
        with readable(path / TENSORS):
            data = read_bytes(path / TENSORS)
    except InputError as error:
        raise InputError(
            f"cannot read the state {path!s:.300}: {error} Or remove that folder to go on from the"
            " one before it, or give --resume_from_checkpoint none."
        ) from error
    if values.get("version") != STATE_VERSION:
        raise InputError(
            f"{path} has state version {values.get('version')!r:.80}, this program reads"
            f" {STATE_VERSION}: finish the run with the program that began it, or give"
            " --resume_from_checkpoint none."
        )
    if values.pop("digest", None) != _digest(values, data):
        raise InputError(
            f"the state {path} is not as it was written, by its digest: remove that folder to go"
            " on from the one before it, or give --resume_from_checkpoint none."
        )
    return State(load(data), values)


def _digest(values: Mapping[str, Any], tensors: bytes) -> str:
    """The sha256 of a state: of its values as sorted JSON, then of its tensors' file."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode() + tensors).hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """The states of a run folder, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)]
    return sorted((path for path in found if path.is_dir()), key=step_of)


def latest(folder: Path) -> Path | None:
    """The newest state of a run folder, if it has any."""
    return next(reversed(checkpoints(folder)), None)


def step_of(path: Path) -> int:
    """The step in a state's name."""
    return int(path.name.removeprefix("checkpoint-"))


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimizer remembers, as named tensors and numbers; rates are not among it."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, memory in optimizer.state_dict()["state"].items():
        for name, value in memory.items():
            kind = tensors if isinstance(value, Tensor) else numbers
            kind[f"optimizer.{index}.{name}"] = value
    return tensors, numbers


def restore_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Give an optimizer of the same parameters the memory that `optimizer_state` took."""
    memory: dict[int, dict[str, Any]] = {}
    for key, value in {**state.tensors, **state.values["optimizer"]}.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, _, name = rest.partition(".")
            memory.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})


def rng_states() -> dict[str, Tensor]:
    """The states of PyTorch's generators; nothing here draws from others."""
    of_gpus = enumerate(torch.cuda.get_rng_state_all())
    return {"rng.cpu": torch.get_rng_state(), **{f"rng.cuda.{i}": s for i, s in of_gpus}}


def restore_rng(state: State) -> None:
    """Set the generators; those of GPUs as far as there are as many as before."""
    torch.set_rng_state(state.tensors["rng.cpu"])
    for i in range(torch.cuda.device_count()):
        if f"rng.cuda.{i}" in state.tensors:
            torch.cuda.set_rng_state(state.tensors[f"rng.cuda.{i}"], i)


def keep_states(folder: Path, step: int, keep: int) -> None:
    """Remove all states but the newest `keep` up to `step`.

    Later ones a run that goes on from there would take for its own; of older ones a kill may
    have left some, in part.
    """
    found = checkpoints(folder)
    kept = [path for path in found if step_of(path) <= step][-keep:]
    with writing(folder, "remove its states yourself, and run the same command again"):
        for path in found:
            if path not in kept:
                remove(path)
