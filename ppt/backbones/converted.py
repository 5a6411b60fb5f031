"""GGUF files, as llama.cpp reads them, made into folders that transformers reads.

Their weights are mostly quantised, and are expanded to float32 once, into a cache folder that
appears by a single rename: a folder that exists is complete, and processes that convert at
the same time do no harm to each other. The embedded backbone takes 20 seconds and 540 MB.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ppt.base.extras import need
from ppt.base.files import share_as_folder, writing
from ppt.errors import InputError, first_line, note

CONVERSION = 1
"""Part of the cache folder's name: raise it when conversion changes, and old results are left."""

STALE_SECONDS = 3600
"""A killed conversion leaves its folder behind; a later one sweeps it after this time."""

DIGITS_APART = ("smollm",)
"""Tokenizers that set each digit apart, which also decides where the white space before it
ends, by the GGUF field tokenizer.ggml.pre, which transformers ignores."""


@dataclass(frozen=True)
class Gguf:
    """A GGUF `file` of that `sha256` (None where it is no longer there), called `name`."""

    name: str
    file: Path | None
    sha256: str
    note: str

    @property
    def folder(self) -> Path:
        """Where it is, or will be, as transformers reads it: in ``$PPT_CACHE`` or ~/.cache/ppt."""
        root = Path(os.environ.get("PPT_CACHE") or "~/.cache/ppt").expanduser()
        return root / f"{self.name}-{self.sha256[:12]}-{CONVERSION}"


def converted(source: Gguf) -> Path:
    """The folder of `source`, which appears complete or not at all.

    Raises InputError where the file is none, or of a model that transformers does not know.
    """
    folder = source.folder
    if folder.is_dir():
        return folder
    assert source.file is not None, "without its file a folder must be there"
    need("gguf", f"backbone {source.name!r}")
    megabytes = source.file.stat().st_size * 8 // 1_000_000  # 4 bits become 32
    cure = f"free about {megabytes:,} MB there, or set PPT_CACHE to another folder"
    with writing(f"the backbone to {folder}", cure):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{folder.name}-*"):  # by conversions that were killed
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            complete = Path(scratch) / "model"
            with _readable(source.file):
                expand(source.name, source.file, complete)
            told = (
                f"# {source.name}\n\n{source.note}(sha256 {source.sha256}),\n"
                "expanded to float32. Where they were quantised, its scores are near those of the\n"
                "original, not equal.\n"
            )
            (complete / "SOURCE.md").write_text(told, encoding="utf-8")
            share_as_folder(complete)
            try:
                complete.rename(folder)
            except OSError:
                if not folder.is_dir():  # another process was first: its folder stays
                    raise
    return folder


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Make whatever a broken or unknown file leads to one line; there is no end of what it is."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(
            f"cannot convert {file}: {first_line(error)}: expected a whole GGUF file of a causal"
            " language model that transformers reads: give another, or its folder as safetensors."
        ) from error


def expand(name: str, file: Path, target: Path) -> None:
    """Write the model and tokenizer of a GGUF file as a folder that transformers reads.

    transformers refuses to save a model that it read from GGUF, hence the fresh copy.
    """
    import torch
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import Digits, Sequence
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise InputError(f"{file} does not begin as a GGUF file does: give another.")
    where = {"gguf_file": file.name, "trust_remote_code": False}
    with without_bars(), tqdm(total=4, desc=f"{name}: reading the tokenizer", unit="step") as bar:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
        reader = GGUFReader(file)
        field = reader.fields.get("tokenizer.ggml.pre")
        if field and str(field.contents()) in DIGITS_APART:
            core = tokenizer.backend_tokenizer
            core.pre_tokenizer = Sequence([Digits(individual_digits=True), core.pre_tokenizer])
        tokenizer.save_pretrained(target)
        _next(bar, f"{name}: expanding the weights")
        quantised, report = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.float32, output_loading_info=True, **where
        )
        if missing := sorted(report["missing_keys"]):
            raise InputError(
                f"{file} lacks {len(missing)} of its model's weights, such as {missing[0]}: give"
                " the whole file (llama-gguf-split --merge makes one of its parts)."
            )
        taken = sum(weight.numel() for weight in quantised.parameters())
        if more := sum(int(one.n_elements) for one in reader.tensors) - taken:
            told = f"transformers passes over {more:,} numbers of {file}"
            note(f"{told}: scores are not those of llama.cpp.")
        _next(bar, f"{name}: copying the weights")
        fields = quantised.config.to_dict()
        for one in ("quantization_config", "_model_name_or_path"):
            fields.pop(one, None)
        fresh = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields))
        fresh.load_state_dict(quantised.state_dict())
        _next(bar, f"{name}: writing the weights")
        fresh.save_pretrained(target)
        _next(bar, f"{name}: ready")


def _next(bar: "tqdm[None]", description: str) -> None:
    bar.set_description(description)
    bar.update()


@contextmanager
def without_bars() -> Iterator[None]:
    """Silence transformers' own progress bars, which would break ours into pieces, and its tables
    of weights that do not fit, of which we tell in a line.
    """
    from transformers.utils import logging

    enabled, told = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(max(told, logging.ERROR))
    try:
        yield
    finally:
        logging.set_verbosity(told)
        if enabled:
            logging.enable_progress_bar()
