"""Adapting a language model to raw documents, from read flags to what is kept."""

from collections.abc import Mapping
from pathlib import Path

import ppt
from ppt.backbones.base import Backbone
from ppt.backbones.converted import without_bars
from ppt.backbones.fresh import CHARACTERS, new_backbone, read_new_config, train_tokenizer, wrapped
from ppt.backbones.loading import load_backbone
from ppt.backbones.sources import base_model
from ppt.base.files import appearing_folder, write_synced
from ppt.prompts.files import ADAPTER
from ppt.prompts.foreign import readable
from ppt.training.adaptation import AdaptConfig
from ppt.training.card import model_heading
from ppt.training.evaluation import Course, Evaluation
from ppt.training.folder import MODEL, begin_run, end_run
from ppt.training.keeper import run
from ppt.training.language import language_run
from ppt.training.processes import Session
from ppt.training.trainables import Weights, everything, lora
from ppt.training.windows import TOKENS, Reading

TOKENIZER = "tokenizer.json"
"""Where a new tokenizer is kept, beside the tokens that it made, until the model is saved."""


def adapt(
    config: AdaptConfig, reading: Reading, folder: Path, session: Session
) -> Course[Evaluation]:
    """Train on raw documents as resolved `config` says, and keep everything in `folder`."""
    kept = folder if session.goes_on else None
    backbone = beginning(config, reading, session.processes.device or config.device, kept)
    backbone.require_room(0, config.max_length, 1, "lower --max_length")

    def begin(tokens: Path) -> None:
        if config.config:
            core = backbone.tokenizer.backend_tokenizer.to_str()
            write_synced(tokens / TOKENIZER, core.encode())
        begin_run(folder, config, goes_on=session.goes_on)

    is_lora = config.trains == "lora"
    with lora(backbone, config.seed) if is_lora else everything(backbone) as weights:
        made = language_run(
            weights, reading, config.objective, config, folder, session, begin=begin
        )
        session.told(made.told, folder)
        course = run(
            made.objective, folder, resume=config.resume_from_checkpoint, identity=made.identity,
            progress=session.progress,
        )  # fmt: skip
        if session.processes.first:
            finish(config, folder, weights, made.facts, course)
    return course


def beginning(
    config: AdaptConfig, reading: Reading, device: str | None, folder: Path | None
) -> Backbone:
    """The model that training begins from, found or made of nothing.

    A run that goes on in `folder` has its tokenizer there, unless it was killed at its very end.
    """
    if config.model is not None:
        return load_backbone(
            config.model, device=device, dtype=config.dtype, threads=config.threads
        )
    from tokenizers import Tokenizer

    assert config.config is not None, "flags are checked, and resolved"
    fields = read_new_config(config.config)
    kept = folder and folder / TOKENS / TOKENIZER
    if kept and kept.is_file():
        with readable(kept):
            core = Tokenizer.from_file(str(kept))
    else:
        assert config.train_tokenizer is not None, "flags are checked"
        texts = reading.training_texts(CHARACTERS)
        core = train_tokenizer(texts, config.train_tokenizer, sentinels=fields.is_encoder_decoder)
    return new_backbone(fields, wrapped(core), config.seed, config.config, device, config.threads)


def place_of(config: AdaptConfig) -> str:
    """Where in the run folder the result is."""
    return ADAPTER if config.trains == "lora" and not config.merge else MODEL


def finish(
    config: AdaptConfig,
    folder: Path,
    weights: Weights,
    facts: Mapping[str, str],
    course: Course[Evaluation],
) -> None:
    """Write what was trained, and all that is told of it."""
    base, backbone = config.model and base_model(config.model), weights.backbone
    loader = type(backbone).auto_class(backbone.model.config).__name__
    if place_of(config) == ADAPTER:
        scores = course.scores(config.metric_for_best_model)
        card = {"backbone": config.model, "objective": config.objective, **scores}
        weights.save(0, folder / ADAPTER, str(base), card)
    else:
        with without_bars(), appearing_folder(folder / MODEL) as scratch:
            weights.merged().save_pretrained(scratch)
            backbone.tokenizer.save_pretrained(scratch)
    heading = model_heading(base, place_of(config), loader)
    facts = {"objective": config.objective, **facts, "ppt": ppt.__version__}
    title = f"{config.objective}, {config.model or config.config}"
    # "loss" is that of label words, which documents have none of
    end_run(folder, config, course, title, heading, facts, aside=("loss",))
