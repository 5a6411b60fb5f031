"""Toy corpora, rows and settings for the training tests: milliseconds, no network."""

import numpy as np
import pyarrow as pa

from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import MANIFEST, Manifest, encode_shard, shard_name, statistics
from ppt.corpus.tables import COLUMNS
from ppt.prompts.batches import pack
from ppt.prompts.rendering import Renderer
from ppt.training.examples import Examples
from ppt.training.keeper import run
from ppt.training.objective import CorpusRows
from ppt.training.settings import TrainSettings
from tests.tiny import tiny

TEXTS = ("it rained", "we ran", "the sun", "a long road home", "no", "tea at five", "he sang")


def toy_rows(format_name, count, seed=0):
    """Rows of a format whose labels lean to one answer, so that a prompt can learn it."""
    rng = np.random.default_rng(seed)
    words = FORMATS[format_name].words
    kind = FORMATS[format_name].kinds[0]
    rows = []
    for i in range(count):
        options = []
        if format_name in ("multiple_choice", "unified"):
            n = 6 if format_name == "multiple_choice" else int(rng.integers(2, 5))
            options = [str(word) for word in rng.choice(TEXTS, n, replace=False)]
        allowed = len(options) or len(words)
        label = int(rng.choice(allowed, p=[0.8] + [0.2 / (allowed - 1)] * (allowed - 1)))
        pair = str(rng.choice(TEXTS)) if format_name == "sentence_pair" else None
        text = " ".join(rng.choice(TEXTS, int(rng.integers(1, 3))))
        rows.append(
            {"id": f"r{i}", "document_id": f"d{i}", "kind": kind, "text_a": text, "text_b": pair,
             "options": options, "label": label}
        )  # fmt: skip
    return rows


def toy_corpus(folder, format_name="sentiment", train=48, validation=24):
    """A complete corpus on disk."""
    folder.mkdir(parents=True)
    shards, stats = {}, {}
    for split, count in (("train", train), ("validation", validation)):
        name = shard_name(split, 0, 1)
        table = pa.Table.from_pylist(toy_rows(format_name, count, seed=count), schema=COLUMNS)
        data, shard = encode_shard(table, name, format_name)
        (folder / name).write_bytes(data)
        shards[split], stats[split] = [shard], statistics(table, format_name)
    documents = {"read": 9, "kept": 9, "rejected": {}, "duplicates": 0}
    manifest = Manifest(format_name, {}, {}, documents, {}, {"drops": {}}, shards, stats)
    (folder / MANIFEST).write_text(manifest.to_json())
    return folder


def toy(family="llama", format_name="sentiment", train=48, validation=24, **changes):
    """A tiny random backbone and rendered rows for it."""
    backbone = tiny(family, **changes)
    renderer = Renderer.standard(format_name, backbone.layout, "soft", backbone.tokenizer, 48)
    packed = [
        pack(renderer.rows(iter(toy_rows(format_name, count, seed=count))))
        for count in (train, validation)
    ]
    return backbone, Examples(*packed, renderer.words())


def train(trainable, examples, settings, folder=None, **how):
    """Train the one lane of `trainable` on rows of a corpus."""
    return run(CorpusRows(trainable, examples, settings.resolved()), folder, **how)


def settings(**changes):
    """Settings of a run of milliseconds."""
    usual = {
        "max_steps": 12, "eval_steps": 4, "save_steps": 3, "logging_steps": 2,
        "per_device_train_batch_size": 8, "learning_rate": 0.05, "tensorboard": False,
    }  # fmt: skip
    return TrainSettings(**{**usual, **changes})
