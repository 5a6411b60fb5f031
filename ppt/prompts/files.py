"""A prompt, or a LoRA adapter, on disk: PEFT's folder with our own `prompt.json` beside it.

`PeftModel.from_pretrained` loads it with equal logits. Each file is replaced by a
rename, the weights first, so that a process killed at any moment leaves a prompt that
loads. Only safetensors are read; nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ppt.base.files import TO_GO_ON, appearing, file_digest, sweep_dead, write_synced, writing
from ppt.errors import InputError
from ppt.prompts.deep import DeepShape
from ppt.prompts.foreign import read_object, read_tensors, readable, told

WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "prompt.json"
FOLDER, ADAPTER = "prompt", "adapter"
"""Where a run folder keeps its prompt, and a LoRA adapter that was trained in its place."""

TENSOR = "prompt_embeddings"

PRECISIONS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
"""What a prompt may be kept in; 8 bits or whole numbers are no prompt that was trained."""

CARD_FIELDS = {
    "model": str, "kind": str, "backbone": str, "format": str, "style": str, "task": str,
    "answers": str, "prompt_length": int, "hidden_size": int, "patterns_version": int,
    "weights_sha256": str, "run": str, "text_start": list,
}  # fmt: skip
"""What is read of `prompt.json`, if it is there; the rest is for people."""

LONGEST = 1000
"""Characters of a text in a card; they come back in messages."""

TRAINED = {"PROMPT_TUNING": "prompt", "PREFIX_TUNING": "kv", "LORA": "lora"}
"""PEFT's name for what an adapter is → what was trained: a row of ``ppt.fewshot.starts.STARTS``."""

TASK_TYPES = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
"""Kind of backbone → PEFT's name for it."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """A soft prompt and what is known of it: in memory (`tensor` [P, H]) or in a `folder`.

    A prompt made elsewhere has an empty card: any format may be its own. A deep prompt
    (`trains` is "kv") has [P, D]. In a folder it may be a LoRA adapter too ("lora"), which has
    no values of that kind. What was read has its PEFT `config`.
    """

    card: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    tensor: Tensor | None = None
    trains: str = "prompt"
    config: Mapping[str, Any] = field(default_factory=dict)

    def values(
        self, *, hidden_size: int | None = None, kind: str | None = None,
        deep: DeepShape | None = None,
    ) -> Tensor:  # fmt: skip
        """The prompt [P, H] or [P, D] float32; raises InputError where it is of another backbone.

        With `hidden_size` it must be one of embeddings, with `deep` one of keys and values.
        """
        if self.tensor is None:
            assert self.folder is not None, "a prompt is in memory or in a folder"
            return read_values(self.folder, hidden_size=hidden_size, kind=kind, deep=deep)
        size, wanted = self.tensor.shape[1], deep.width if deep else hidden_size
        if wanted not in {None, size}:
            raise InputError(
                f"the prompt has hidden size {size}, the backbone has {wanted}: take a prompt"
                " trained for this backbone."
            )
        if self.config:
            _is_deep(self, self.config, hidden_size, kind, deep)
        return self.tensor.to(torch.float32, copy=True)

    @property
    def digest(self) -> str:
        """What tells two prompts apart, wherever they are: the sha256 of their weights' file."""
        if self.tensor is None:
            assert self.folder is not None, "a prompt is in memory or in a folder"
            with readable(self.folder / WEIGHTS):
                return file_digest(self.folder / WEIGHTS)
        return hashlib.sha256(_weights(self.tensor)).hexdigest()

    def __str__(self) -> str:
        return str(self.folder or "a prompt in memory")


def load_prompt(path: str | Path) -> Prompt:
    """The prompt, or LoRA adapter, of its own folder or of the run folder that it is in.

    A prompt's values are read and checked at once, an adapter's by the backbone that it is for.
    Raises InputError that says what is wrong.
    """
    found = open_prompt(folder := prompt_folder(path))
    return found if found.trains == "lora" else replace(found, tensor=read_values(folder))


def open_prompt(folder: Path) -> Prompt:
    """The prompt or adapter of an adapter's own folder, by its config and card alone.

    One of PEFT's other kinds counts as a prompt, until its values are asked for.
    """
    card, config = read_card(folder), _adapter_config(folder)
    trains = TRAINED.get(str(config.get("peft_type")), "prompt")
    return Prompt(card, folder, None, trains, config)


def prompt_folder(path: str | Path) -> Path:
    """The adapter's own folder, of it or of the run folder that it is in."""
    with readable(path):
        inside = [Path(path) / one for one in (FOLDER, ADAPTER)]
        return next((one for one in inside if (one / CONFIG).is_file()), Path(path))


def save_prompt(
    folder: str | Path, prompt: Tensor, *, kind: str, model: str, card: Mapping[str, Any],
    deep: DeepShape | None = None,
) -> None:  # fmt: skip
    """Write `prompt` [P, H] for the backbone `model` of that `kind` as a PEFT adapter.

    With `deep` it is [P, D], keys and values of that shape. `card` is what else is to be known
    of it (JSON values), kept in `prompt.json`.
    """
    length, size = prompt.shape
    own: dict[str, Any] = {"peft_type": "PROMPT_TUNING", "token_dim": size}
    own["prompt_tuning_init"] = "RANDOM"  # TEXT would ask for a tokenizer
    config = {
        **(own if deep is None else {"peft_type": "PREFIX_TUNING", **deep.fields}),
        "task_type": TASK_TYPES[kind],
        "base_model_name_or_path": model,
        "num_virtual_tokens": length,
        "num_transformer_submodules": 1,  # PEFT's default of 2 for seq2seq is twice the rows
        "inference_mode": True,
    }
    known = {"model": model, "kind": kind, "prompt_length": length}
    known |= {"hidden_size": size} if deep is None else deep.fields
    files = {WEIGHTS: _weights(prompt), CONFIG: _json(config), CARD: _json({**known, **card})}
    _write(Path(folder), files)


def save_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write what is to be known of an adapter that PEFT saves itself."""
    _write(folder, {CARD: _json(card)})


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        with writing(f"the prompt to {folder}", TO_GO_ON), appearing(folder / name) as scratch:
            sweep_dead(folder / name)
            write_synced(scratch, data)


def read_values(
    path: str | Path, *, hidden_size: int | None = None, kind: str | None = None,
    deep: DeepShape | None = None,
) -> Tensor:  # fmt: skip
    """The prompt [P, H] or [P, D] float32 of an adapter folder, or of a run folder with `prompt/`.

    What it must be is said as in `Prompt.values`. PEFT's own prompts are read as well. For
    seq2seq models it saves 2 * P rows by default; it feeds the first P of them to the encoder
    and never the others.
    """
    config = _adapter_config(folder := prompt_folder(path))
    is_deep = _is_deep(folder, config, hidden_size, kind, deep)
    rows, length = _tensor(folder), _count(folder, config, "num_virtual_tokens")
    size = None
    if is_deep:
        size = 2 * _count(folder, config, "num_layers") * _count(folder, config, "token_dim")
    twice = not is_deep and config.get("task_type") == TASK_TYPES["seq2seq"]
    counts = {length, length + twice * length}
    fits = rows.ndim == 2 and rows.shape[0] in counts and size in {None, rows.shape[1]}
    if not (fits and rows.numel()):
        raise InputError(
            f"{folder / WEIGHTS} has shape {list(rows.shape)}, expected [{length}, {size or 'H'}]"
            f" by its {CONFIG}: the files are not of one prompt; save it again."
        )
    if hidden_size not in {None, rows.shape[1]}:
        raise InputError(
            f"the prompt in {folder} has hidden size {rows.shape[1]}, the backbone has"
            f" {hidden_size}: take a prompt trained for this backbone, or its backbone"
            f" ({told(config.get('base_model_name_or_path'))})."
        )
    values = rows[:length].float().clone()
    if not values.isfinite().all():
        raise InputError(f"the prompt in {folder} has NaN or infinite values: train it again.")
    return values


def _is_deep(
    place: Path | Prompt, config: Mapping[str, Any], hidden_size: int | None, kind: str | None,
    deep: DeepShape | None,
) -> bool:  # fmt: skip
    """Whether a prompt is one of keys and values; InputError where its config is of another."""
    is_prefix = config.get("peft_type") == "PREFIX_TUNING"
    is_deep = deep is not None or (hidden_size is None and is_prefix)
    wanted = {"peft_type": "PREFIX_TUNING" if is_deep else "PROMPT_TUNING",
              "task_type": TASK_TYPES.get(kind or ""), **(deep.fields if deep else {})}  # fmt: skip
    for key, value in wanted.items():
        if value is not None and config.get(key) != value:
            raise InputError(
                f"{place} has {key} {told(config.get(key))}, expected {value}: give the folder of"
                " a soft prompt that was trained for this kind of backbone."
            )
    return is_deep


def _count(folder: Path, config: Mapping[str, Any], key: str) -> int:
    count = config.get(key)
    if type(count) is int and count > 0:
        return count
    told = f"{folder / CONFIG} has {key} {count!r:.80}, expected a whole number above 0"
    raise InputError(f"{told}: save the prompt again.")


def read_card(path: str | Path) -> dict[str, Any]:
    """Our `prompt.json` beside a prompt; empty for prompts made elsewhere."""
    file = Path(path) / CARD
    with readable(file):
        card = read_object(file) if file.exists() else {}
    for key, kind in CARD_FIELDS.items():
        value = card.get(key)
        odd = isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST)
        if type(value) not in {kind, type(None)} or odd:
            expected = {str: "text", int: "a whole number", list: "a list"}[kind]
            raise InputError(
                f"{file} has {key} {value!r:.80}, expected {expected}: mend that field, or remove"
                " the file: a prompt without it may be of any format."
            )
    return card


def _adapter_config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    with readable(file):
        if not file.exists():
            raise InputError(
                f"there is no prompt in {folder}: expected a folder with {CONFIG} and {WEIGHTS},"
                " such as runs/<name>/prompt."
            )
    return read_object(file)


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the weights of a LoRA adapter; raises InputError where it is none."""
    config = _adapter_config(folder)
    if config.get("peft_type") != "LORA":
        raise InputError(
            f"{folder} has peft_type {told(config.get('peft_type'))}, expected LORA: give the run"
            " folder of python -m ppt.pretrain --trains=lora."
        )
    tensors = _tensors(folder)
    odd = [name for name, one in tensors.items() if one.dtype not in PRECISIONS]
    if odd or not all(one.isfinite().all() for one in tensors.values()):
        what = f"{told(odd[0])} is {tensors[odd[0]].dtype}" if odd else "NaN or infinite weights"
        raise InputError(f"the adapter in {folder} is broken ({what}): train it again.")
    return config, tensors


def _tensors(folder: Path) -> dict[str, Tensor]:
    file = folder / WEIGHTS
    if not file.exists():
        pickled = (folder / "adapter_model.bin").is_file()
        cure = "save it with PEFT as safetensors" if pickled else "copy the whole folder"
        found = "only a pickled adapter_model.bin, which is never read" if pickled else "no weights"
        raise InputError(f"{folder} has {found}: expected {WEIGHTS}; {cure}.")
    return read_tensors(file)


def _tensor(folder: Path) -> Tensor:
    """The only tensor of a prompt's weights."""
    file, tensors = folder / WEIGHTS, _tensors(folder)
    if set(tensors) != {TENSOR}:
        raise InputError(
            f"{file} holds {told(', '.join(sorted(tensors)))}, expected {TENSOR} alone."
        )
    rows: Tensor = tensors[TENSOR]
    if rows.dtype not in PRECISIONS:
        raise InputError(f"{file} holds {rows.dtype}, expected floats of 16 bits or more.")
    return rows


def _weights(prompt: Tensor) -> bytes:
    return bytes(save({TENSOR: prompt.detach().float().cpu().contiguous()}, {"format": "pt"}))


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
