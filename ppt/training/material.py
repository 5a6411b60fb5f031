"""What a run is trained on, ready for the loop: the rows of a corpus (`language` has documents)."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from ppt.backbones.base import Backbone
from ppt.base.files import file_digest
from ppt.corpus.storage import MANIFEST, Corpus
from ppt.prompts.rendering import Renderer
from ppt.training.examples import load_examples
from ppt.training.objective import CorpusRows, OneRun
from ppt.training.processes import Processes
from ppt.training.settings import PretrainConfig
from ppt.training.trainables import Trainable

SAMPLED = 64
"""Numbers of each weight by which a model is known again, at least where it has as many."""


def origin(backbone: Backbone) -> str:
    """What tells models apart, as training begins: a digest of config, vocabulary and weights.

    Of each weight a sample, in 16 bits: so it is the same in every precision.
    """
    config = backbone.model.config.to_dict()
    shape = {name: one for name, one in config.items() if name not in OF_FILES}
    vocabulary = sorted(backbone.tokenizer.get_vocab().items())
    digest = hashlib.sha256(json.dumps([shape, vocabulary], sort_keys=True, default=str).encode())
    for name, weight in backbone.model.named_parameters():
        if "lora_" in name:
            continue  # is trained, and begins by the seed
        every = max(1, weight.numel() // SAMPLED)
        numbers = weight.detach().flatten()[::every].to("cpu", torch.bfloat16).float()
        digest.update(f"{list(weight.shape)}".encode() + numbers.numpy().tobytes())
    return digest.hexdigest()


OF_FILES = ("transformers_version", "_name_or_path", "dtype")
"""What a config tells of the files that it came from, and nothing of the model."""


@dataclass(frozen=True)
class Material:
    """What is trained on, ready: what cards tell of it, and what a run that goes on must share."""

    objective: OneRun
    facts: dict[str, str]
    identity: dict[str, Any]
    told: str


def corpus_rows(
    config: PretrainConfig, corpus: Corpus, renderer: Renderer, trainable: Trainable,
    processes: Processes, *, progress: bool,
) -> Material:  # fmt: skip
    """The rows of a corpus as what a prompt is trained on."""
    limit = config.max_steps * config.local_batch_size * processes.world
    examples = load_examples(
        corpus, renderer, config.max_train_examples or limit, config.max_eval_examples,
        progress=progress,
    )  # fmt: skip
    digest, cut = file_digest(corpus.folder / MANIFEST), f"{examples.cut_share:.1%}"
    count = f"{len(examples.train):,} train, {len(examples.validation):,} validation"
    facts = {
        "corpus": str(config.corpus),
        "corpus manifest sha256": digest,
        "examples": count,
        "documents kept": f"{corpus.manifest.documents['kept']:,}",
        "cut to --max_length": cut,
    }
    told = f"{count} examples of {corpus.folder}; {cut} cut to {config.max_length} tokens"
    objective = CorpusRows(trainable, examples, config, processes)
    identity = {"corpus": digest, "model": origin(trainable.backbone)}
    return Material(objective, facts, identity, told)
