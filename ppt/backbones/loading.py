"""Loading a backbone by the name that users give: embedded name, folder or hub id.

What it does for a batch is in `base`, how in `causal` and `seq2seq`. Any causal model of
transformers is welcome: each is checked against its own forward pass when it is loaded, so
that it gives exact scores or a clear error, never wrong ones.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ppt.backbones.base import Backbone
from ppt.backbones.causal import CausalBackbone
from ppt.backbones.converted import without_bars
from ppt.backbones.seq2seq import SEQ2SEQ_TYPES, Seq2SeqBackbone
from ppt.backbones.sources import DEFAULT_MODEL, find_model, read_config, require_safetensors
from ppt.errors import ConfigError, InputError, brief, first_line, note, require_known
from ppt.prompts.patterns import TARGETS

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""``--dtype`` → precision; "auto" is bfloat16 on a GPU that has it and float32 elsewhere."""


FAMILIES: list[type[Backbone]] = [Seq2SeqBackbone, CausalBackbone]
"""The kinds of models that can be backbones; a new one is appended (docs/extending.md)."""


@contextmanager
def torch_as_usual() -> Iterator[None]:
    """PyTorch as the commands have it, whatever a program around us has set.

    Under its inference mode nothing could be trained, and with another default precision prompts
    would begin otherwise.
    """
    kind = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False):
            yield
    finally:
        torch.set_default_dtype(kind)


@torch_as_usual()
def load_backbone(
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str | None = None,
    dtype: str = "auto",
    attention: str | None = None,
    threads: int | None = None,
    target: str = TARGETS[0],
) -> Backbone:
    """The frozen backbone `name`: an embedded name, a hub id or a local folder.

    `target` is how an encoder-decoder says label words (`TARGETS`). `device` is a GPU where
    there is one. `attention` is transformers' own choice, or "eager", which in bfloat16 on a CPU
    takes a third less time for short texts, and more memory for long ones. `threads` limits
    PyTorch's, for the whole process.
    """
    name, where = str(name), prepared_device(device, threads)
    require_known("dtype", str(dtype), [*DTYPES, "auto"])
    folder = find_model(name)
    with _clear("config.json", name):
        if not (folder / "config.json").is_file():
            raise OSError("there is none.")
        config = read_config(folder)
    model, tokenizer = read_model(
        family_of(config).auto_class(config), folder, name, config,
        dtype=DTYPES.get(dtype) or _best_dtype(where), attn_implementation=attention,
    )  # fmt: skip
    with _clear("the weights", name):
        model = model.to(where)
    backbone = as_backbone(model, tokenizer, name)
    backbone.aim_at(target)
    return backbone


def read_model(
    auto_class: Any, folder: Path, name: str, config: Any, head: str = "language-model", **how: Any
) -> tuple[Any, Any]:
    """A model of transformers and its tokenizer, from a folder that has all of both.

    `head` is what the weights must end in, `how` goes to `from_pretrained`. Raises InputError.
    """
    from transformers import AutoTokenizer

    with _clear("the tokenizer", name):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    require_safetensors(folder, name)
    with _clear("the weights", name), without_bars():
        model, report = auto_class.from_pretrained(
            folder, config=config, output_loading_info=True, trust_remote_code=False,
            use_safetensors=True, ignore_mismatched_sizes=True, **how,
        )  # fmt: skip
    _require_whole(report, name, head)
    return model, tokenizer


def _require_whole(report: Mapping[str, Any], name: str, head: str) -> None:
    """Refuse weights that a model lacks or has in other shapes; tell of those that it passes over.

    Each is of another config.json than the weights are: fewer layers, another size.
    """
    if report["mismatched_keys"]:
        key, found, wanted = min(report["mismatched_keys"])
        raise InputError(
            f"model {name!r} has weights of other shapes than its config.json asks for, such as"
            f" {key} {list(found)} for {list(wanted)}: take the config that they were saved with."
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise InputError(
            f"model {name!r} lacks {len(missing)} of its weights, such as {missing[0]}: it may be"
            f" a model for another task: take one with a {head} head."
        )
    if more := sorted(report["unexpected_keys"]):
        told = f"model {name!r} has no place for {len(more)} of the weights in its folder"
        note(f"{told}, such as {more[0]}: is its config.json that of these weights?")


def prepared_device(device: str | None, threads: int | None = None) -> torch.device:
    """The device of that name; PyTorch's threads are limited, for the whole process.

    Raises ConfigError where the device cannot be used.
    """
    if threads is not None:
        if type(threads) is not int or threads < 1:
            raise ConfigError(f"threads: got {threads!r}, expected a whole number above 0.")
        torch.set_num_threads(threads)
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros(1, device=device)
        probe.cpu()  # "meta" holds nothing
        return probe.device
    except Exception as error:  # each kind of device has its own
        raise ConfigError(
            f"device {device!r} cannot be used ({first_line(error)}): expected cpu, cuda or"
            " cuda:<number>."
        ) from error


def fast_dtype(device: str | None = None) -> str:
    """The fastest precision on a machine, for what needs no last digits: 16 bits on AMX too."""
    return "bfloat16" if prepared_device(device).type == "cpu" and _has_amx() else "auto"


def _has_amx() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # from 2.10 on
    return bool(capabilities.get("amx_bf16"))


def with_backbone(settings: Mapping[str, Any], backbone: Backbone) -> dict[str, Any]:
    """Settings of a command with the flags that give this backbone, which decide its numbers.

    Raises ConfigError where `settings` have others.
    """
    if not isinstance(backbone, Backbone):
        raise ConfigError(
            f"backbone: got {brief(backbone)}, expected what ppt.load_backbone gives."
        )
    backbone.require_plain()
    is_best = backbone.dtype == _best_dtype(backbone.device)
    named = [name for name, kind in DTYPES.items() if kind == backbone.dtype]
    target = backbone.layout if backbone.layout in TARGETS else TARGETS[0]
    known: dict[str, list[Any]] = {
        "model": [backbone.name],
        "dtype": [*["auto"] * is_best, *named] or ["auto"],
        "target": [target],
        "device": [None, backbone.device.type, str(backbone.device)],
        "threads": [None, torch.get_num_threads()],
    }
    for name, spellings in known.items():
        if settings.get(name, spellings[0]) not in spellings:
            raise ConfigError(
                f"{name}: got {settings[name]!r}, but the backbone has {spellings[-1]}: leave it"
                " out, or load a backbone with it."
            )
    return {**{name: spellings[0] for name, spellings in known.items()}, **settings}


def dtype_hint(backbone: Backbone) -> str | None:
    """What users of float32 should know where the CPU has units for bfloat16.

    "auto" does not choose it there: results of CPUs should differ by rounding in float32 only.
    """
    if backbone.device.type != "cpu" or backbone.dtype != torch.float32 or not _has_amx():
        return None
    return "hint: this CPU has units for bfloat16 (AMX): --dtype=bfloat16 is faster"


def as_backbone(model: Any, tokenizer: Any, name: str = "", **own: Any) -> Backbone:
    """A loaded transformers model as a backbone; it is frozen in place. `own` is for its family.

    Where rows of a model cannot share a prompt's states they do not, and a note on stderr
    says so. Raises ConfigError where its scores would not be exact either way.
    """
    prepare_tokenizer(tokenizer)
    return family_of(model.config)(model, tokenizer, name, **own)


def prepare_tokenizer(tokenizer: Any) -> None:
    """Let a tokenizer pad on the right, with whatever it has, and give a text the same tokens
    each time.
    """
    if tokenizer.pad_token_id is None and tokenizer.eos_token:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"  # a prompt stands right before the text
    pieces: Any = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if getattr(pieces, "dropout", None):
        pieces.dropout = None  # of BPE, which trains models: a text would be other tokens each time


def family_of(config: Any) -> type[Backbone]:
    """The class that serves models of `config`, the last that does; raises ConfigError."""
    for family in reversed(FAMILIES):
        if family.auto_class(config) is not None:
            return family
    raise ConfigError(
        f"model type {config.model_type!r} is not supported: take a causal language model (GPT-2,"
        f" Llama, Qwen, Gemma...) or an encoder-decoder of type {', '.join(SEQ2SEQ_TYPES)}."
    )


def _best_dtype(device: torch.device) -> torch.dtype:
    half = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if half else torch.float32


@contextmanager
def _clear(part: str, name: str) -> Iterator[None]:
    """Turn what transformers raises over unreadable files into one line."""
    try:
        yield
    except Exception as error:  # there is no end of what fields of a wrong type lead to
        raise InputError(
            f"cannot read {part} of model {name!r}: {first_line(error)} Expected a transformers"
            " model folder or hub id with config, tokenizer and weights."
        ) from error
