"""What a device is asked, by part: is it right, how fast is it, what share of its best is that."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ppt.backbones.base import Backbone
from ppt.backbones.loading import load_backbone
from ppt.prompts.tensors import Batch, LabelWords
from ppt.training.replay import Replay
from ppt.training.trainables import PromptBank

PROMPT, TOKENS, LANES = 100, 64, 20
BATCHES = (16, 64, 256)
SIZES = {"small": (2, 4, (2, 4)), "full": (LANES, PROMPT, BATCHES)}
"""Setting → K lanes, P prompt tokens, B rows."""

Numbers = dict[str, float]


@dataclass
class Bench:
    """The backbone on the device, and how large things are."""

    backbone: Backbone
    model: str
    lanes: int
    prompt: int
    batches: tuple[int, ...]

    def batch(self, rows: int, tokens: int = TOKENS) -> Batch:
        """Random rows of equal length with two label words of one token each."""
        generator = torch.Generator().manual_seed(rows)
        ids = torch.randint(10, self.backbone.vocab_size, (rows, tokens), generator=generator)
        words = LabelWords(torch.tensor([[11], [12]]), torch.ones(2, dtype=torch.long))
        allowed = torch.ones(rows, 2, dtype=torch.bool)
        batch = Batch(ids, torch.ones_like(ids), torch.arange(rows) % 2, words, allowed)
        return batch.to(self.backbone.device)

    def start(self) -> nn.Parameter:
        """A prompt [P, H] of embeddings, on the device."""
        return nn.Parameter(self.backbone.input_embeddings()[: self.prompt].float().clone())


def clock(step: Callable[[], object], device: torch.device, seconds: float = 3.0) -> float:
    """Seconds that `step` takes, the mean over some seconds after two to warm up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(2):
        step()
    wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        wait()
        count += 1
    return (time.perf_counter() - began) / count


def ours(bench: Bench, rows: int, lanes: int = 1, *, record: bool = True) -> Callable[[], None]:
    """A training step of `lanes` prompts on `rows` rows each, as `ppt.training` takes it."""
    trainable = PromptBank(bench.backbone, [bench.start().detach() for _ in range(lanes)])

    def loss(which: Any, batch: Batch, places: Any, shares: Tensor) -> tuple[Tensor, Tensor]:
        each = cross_entropy(
            trainable.score(which, batch, rows=places), batch.labels, reduction="none"
        )
        own = (each.view_as(shares) * shares).sum(1)
        return own.sum(), own

    replay, which = Replay(trainable, loss, record=record), range(lanes)
    batch = bench.batch(rows * lanes)
    shares = torch.full((lanes, rows), 1 / rows, device=bench.backbone.device)
    weights = [weight for lane in which for weight in trainable.parameters(lane)]
    places = np.zeros((lanes, rows), np.int64)
    return stepping(weights, lambda: replay(which, batch, places, shares))


def scores_and_gradient(backbone: Backbone, batch: Batch, start: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [B, L] and the gradient [P, H] of their loss, on the CPU."""
    prompt = start.detach().to(backbone.device, copy=True).requires_grad_()
    scores = backbone.score(prompt, batch.to(backbone.device))
    cross_entropy(scores, batch.labels.to(backbone.device)).backward()
    assert prompt.grad is not None
    return scores.detach().float().cpu(), prompt.grad.float().cpu()


def check(bench: Bench) -> Numbers:
    """How far scores and gradients are from those of the CPU in float32, relative to their size."""
    start, batch = bench.start(), bench.batch(bench.batches[0])
    truth = scores_and_gradient(
        load_backbone(bench.model, device="cpu", dtype="float32"), batch, start
    )
    found: Numbers = {}
    for dtype in ("float32", "bfloat16"):
        where = str(bench.backbone.device)
        own = scores_and_gradient(
            load_backbone(bench.model, device=where, dtype=dtype), batch, start
        )
        for name, ours, right in zip(("scores", "gradient"), own, truth, strict=True):
            found[f"{dtype} {name}"] = float((ours - right).norm() / right.norm())
    if found["float32 scores"] > 1e-3 or found["float32 gradient"] > 1e-2:
        raise SystemExit(f"the device computes other numbers than the CPU: {found}")
    return found


def steps(bench: Bench) -> Numbers:
    """Examples a second of our step and of PEFT's, by batch size."""
    found: Numbers = {}
    for rows in bench.batches:
        device = bench.backbone.device
        found[f"ours, B={rows}"] = rows / clock(ours(bench, rows), device)
        found[f"not recorded, B={rows}"] = rows / clock(ours(bench, rows, record=False), device)
        found[f"PEFT, B={rows}"] = rows / clock(peft_step(bench, bench.batch(rows)), device)
        found[f"times, B={rows}"] = found[f"ours, B={rows}"] / found[f"PEFT, B={rows}"]
    return found


def stepping(weights: list[nn.Parameter], backward: Callable[[], object]) -> Callable[[], None]:
    """A step of AdamW on what `backward` gives gradients to."""
    optimizer = torch.optim.AdamW(weights, lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        backward()
        optimizer.step()

    return step


def peft_step(bench: Bench, batch: Batch) -> Callable[[], None]:
    """A step of PEFT's prompt tuning on the same rows, without the Trainer's own costs."""
    from peft import PromptTuningConfig, get_peft_model

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=bench.prompt)
    plain = load_backbone(bench.model, device=str(bench.backbone.device), dtype=precision(bench))
    tuned = get_peft_model(copy.copy(plain.model), config).to(bench.backbone.device)
    weights = [one for one in tuned.parameters() if one.requires_grad]
    text = torch.cat([batch.input_ids, batch.words.ids[batch.labels]], 1)
    labels = torch.full_like(text, -100)
    labels[:, -1] = text[:, -1]

    def backward() -> None:
        tuned(input_ids=text, attention_mask=torch.ones_like(text), labels=labels).loss.backward()

    return stepping(weights, backward)


def precision(bench: Bench) -> str:
    """The name of the precision that the backbone is in."""
    return str(bench.backbone.dtype).removeprefix("torch.")


def lanes(bench: Bench) -> Numbers:
    """Runs a minute, each of 50 steps of 16 rows: K side by side, and one after another."""
    device, rows = bench.backbone.device, 16
    alone = clock(ours(bench, rows), device)
    together = clock(ours(bench, rows, bench.lanes), device)
    return {
        "one after another": 60 / (50 * alone),
        "side by side": 60 * bench.lanes / (50 * together),
        "times": alone * bench.lanes / together,
    }


def peak(bench: Bench) -> Numbers:
    """What share of the best that the device does on square matrices our largest step does.

    Forward and backward of a frozen model are 4 operations a weight and token, embeddings and
    attention aside; tokens of the prompt count once a batch, as they are computed once.
    """
    backbone, rows = bench.backbone, bench.batches[-1]
    size = 8192 if backbone.device.type == "cuda" else 256
    square = torch.randn(size, size, device=backbone.device, dtype=backbone.dtype)
    best = 2 * size**3 / clock(lambda: square @ square, backbone.device, 1.0)
    weights = (
        sum(p.numel() for p in backbone.model.parameters()) - backbone.input_embeddings().numel()
    )
    done = 4 * weights * (rows * TOKENS + bench.prompt) / clock(ours(bench, rows), backbone.device)
    return {
        "TFLOP/s of a square": best / 1e12,
        "TFLOP/s of a step": done / 1e12,
        "share": done / best,
    }


def labels(bench: Bench) -> Numbers:
    """Sentences of some twenty words that the `lm:` labeller labels a second."""
    from ppt.backbones.labeller import BATCH_SIZES, LMLabeller

    count = 2 * BATCH_SIZES.get(bench.backbone.device.type, 128)
    sentences = [
        f"The {i}th of the plays was long, and its second act a joy to all of us."
        for i in range(count)
    ]
    labeller = LMLabeller.of(bench.backbone)
    return {
        "sentences a second": count
        / clock(lambda: labeller.probabilities(sentences), bench.backbone.device)
    }


PARTS: dict[str, Callable[[Bench], Numbers]] = {
    "against the CPU (relative)": check,
    "examples a second": steps,
    "runs a minute": lanes,
    "of the device's best": peak,
    "labelling": labels,
}
