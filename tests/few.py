"""Toy few-shot tasks and lanes: files, rows and settings of runs of milliseconds."""

import json

import numpy as np
import torch

from ppt.backbones.loading import load_backbone
from ppt.fewshot.lanes import Lane
from ppt.methods import METHODS
from ppt.prompts.batches import pack
from ppt.prompts.files import save_prompt
from ppt.prompts.rendering import Renderer
from ppt.training.deep import DeepPrompts
from ppt.training.settings import StepSettings
from ppt.training.trainables import lora
from tests.tiny import save_tiny
from tests.toys import toy_rows

ALONE = [name for name, method in METHODS.items() if method.transfer is None]
"""Methods that need nothing of other tasks; tests/test_transfer.py has the others."""

GOOD = ("good", "fine", "lovely", "bright", "warm")
BAD = ("bad", "poor", "ugly", "dull", "cold")
THINGS = ("tea", "rain", "a song", "the road", "bread", "a lamp")


CONTEXT = {"max_position_embeddings": 512}


def toy_place(folder):
    """A folder of tiny models, a task, and a pre-trained prompt for each kind of PPT."""
    save_tiny(folder / "llama", **CONTEXT)
    save_tiny(folder / "t5", "t5")
    toy_task(folder)
    for name, kind in (("llama", "causal"), ("t5", "seq2seq")):
        for style, format_name in (
            ("soft", "sentiment"), ("hybrid", "sentiment"), ("soft", "unified"),
        ):  # fmt: skip
            card = {"backbone": str(folder / name), "format": format_name, "style": style}
            save_prompt(
                folder / f"runs-{name}" / f"{format_name}-{style}" / "prompt",
                torch.randn(4, 32, generator=torch.Generator().manual_seed(len(style))),
                kind=kind, model=str(folder / name), card=card,
            )  # fmt: skip
        toy_adapter(folder / f"runs-{name}" / "sentiment-lora" / "adapter", folder / name)
    for style in ("soft", "hybrid"):
        toy_deep(
            folder / "runs-llama" / f"sentiment-{style}-kv" / "prompt", folder / "llama", style
        )
    return folder


def toy_deep(folder, model, style):
    """A deep prompt as `ppt.pretrain` keeps it."""
    backbone = load_backbone(str(model), device="cpu")
    values = torch.randn(4, backbone.deep.width, generator=torch.Generator().manual_seed(2))
    card = {"backbone": str(model), "format": "sentiment", "style": style}
    assert DeepPrompts(backbone, [0.3 * values]).save(0, folder, str(model), card)


def toy_adapter(folder, model, of=None):
    """A LoRA adapter as `ppt.pretrain` keeps it, whose updates are not nothing.

    Its card says that it is of the backbone `of`.
    """
    backbone = load_backbone(str(model), device="cpu")
    card = {"backbone": str(of or model), "format": "sentiment", "style": "hard"}
    with lora(backbone, seed=3) as weights, torch.no_grad():
        for weight in weights.parameters(0):
            weight.add_(0.02)
        assert weights.save(0, folder, str(model), card)


def toy_task(folder, train=40, test=13, flip_test=False):
    """A two-class task of its own files, and the path of its YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"text": f"{thing} {more} {word}{mark}", "label": label}
        for mark in ("", "!")
        for label, words in (("bad", BAD), ("good", GOOD))
        for word in words
        for thing in THINGS
        for more in ("is", "was")
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    sides = {"train": order[:train], "test": order[train : train + test]}
    for side, chosen in sides.items():
        picked = [dict(rows[i]) for i in chosen]
        if flip_test and side == "test":
            for row in picked:
                row["label"] = "good" if row["label"] == "bad" else "bad"
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in picked))
    path = folder / "toy.yaml"
    path.write_text(
        "name: toy\nformat: sentiment\ntrain: train.jsonl\ntest: test.jsonl\n"
        "columns:\n  text_a: text\n  label: label\nlabels:\n  bad: bad\n  good: good\n"
    )
    return path


def toy_lanes(backbone, points, train=13, validation=9, format_name="sentiment"):
    """A lane for each (seed, rate), with rows of its own, and the label words."""
    renderer = Renderer.standard(format_name, backbone.layout, "soft", backbone.tokenizer, 48)

    def rows(count, seed):
        return pack(renderer.rows(iter(toy_rows(format_name, count, seed=seed))))

    lanes = [Lane(rows(train, seed), rows(validation, 100 + seed), rate, seed)
             for seed, rate in points]  # fmt: skip
    return lanes, renderer.words()


def steps(**changes):
    """Settings of the loop."""
    usual = {
        "max_steps": 7, "eval_steps": 3, "per_device_train_batch_size": 4,
        "metric_for_best_model": "accuracy", "early_stopping_patience": 0,
    }  # fmt: skip
    return StepSettings(**{**usual, **changes})
