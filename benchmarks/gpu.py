"""One call on a GPU: is it right, how fast is it, and what can be trained in the time left?

    python -m benchmarks.gpu --corpora corpora --seconds 540 --out gpu

Checks scores and gradients against the CPU, times our step against PEFT's, runs side by side
against one after another, the share of what the device multiplies at its best, and the labeller;
then pre-trains prompts, a part of the time left for each. `--out` gets `gpu.json`, a table in
`gpu.md` and all runs, unfinished ones too, in `runs.tar`; given as `--runs`, that file lets
another call go on from there. It needs torch, transformers, peft, safetensors, pyarrow, NumPy
and what these bring. `--small` runs all of it in a minute on a CPU, to see that it works.
"""

import argparse
import copy
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ppt.backbones.base import Backbone
from ppt.backbones.loading import load_backbone
from ppt.errors import exit_status
from ppt.prompts.tensors import Batch, LabelWords
from ppt.training.replay import Replay
from ppt.training.trainables import PromptBank

PROMPT, TOKENS, LANES = 100, 64, 20
BATCHES = (16, 64, 256)
SIZES = {"small": (2, 4, (2, 4)), "full": (LANES, PROMPT, BATCHES)}
"""Setting → K lanes, P prompt tokens, B rows."""

ANSWERS = {"sentiment": "letters", "sentence_pair": "letters",
           "multiple_choice": "texts", "unified": "texts"}  # fmt: skip
"""Format that is pre-trained → how its options answer: a small model does not bind letters."""

RUNS = tuple((name, style) for name in ANSWERS for style in ("soft", "hybrid"))
"""What is pre-trained: format and style."""

SAVING = 30.0
"""Seconds that a run gets to save its state when its time is over."""

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


def train(flags: argparse.Namespace, folder: Path, ends: float) -> dict[str, Any]:
    """Pre-train what `--corpora` has corpora for, each in its share of the time until `ends`."""
    todo = [(name, style) for name, style in RUNS if (Path(flags.corpora) / name).is_dir()]
    found = {}
    for place, (name, style) in enumerate(todo):
        run = folder / f"{name}-{style}"
        share = (ends - time.monotonic()) / (len(todo) - place)
        command = [
            sys.executable, "-m", "ppt.pretrain", f"--format={name}", f"--style={style}",
            f"--corpus={Path(flags.corpora) / name}", f"--model={flags.model}",
            f"--answers={ANSWERS[name]}",
            f"--output_dir={run}", *flags.pretrain,
        ]  # fmt: skip
        if (run / "result.json").is_file() or share <= SAVING:
            continue
        process = subprocess.Popen(command)
        try:
            process.wait(share - SAVING)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # it saves its state, and goes on next time
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAVING)
            process.kill()  # does nothing to one that has ended
            process.wait()
        result, ended = run / "result.json", process.returncode
        state = "goes on" if ended == 128 + signal.SIGTERM else f"failed with exit code {ended}"
        found[run.name] = json.loads(result.read_text()) if result.is_file() else state
    return found


def table(found: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    lines = ["| what | | |", "|---|---|---:|"]
    for part, numbers in found.items():
        if isinstance(numbers, dict):
            lines += [
                f"| {part} | {name} | {value:.4g} |"
                for name, value in numbers.items()
                if isinstance(value, float)
            ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Check, measure, train. Returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m", help="the backbone (%(default)s)")
    parser.add_argument("--corpora", default="corpora", help="folder of corpora (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder (%(default)s)")
    parser.add_argument("--runs", type=Path, help="runs.tar of an earlier call, to go on from")
    parser.add_argument("--seconds", type=float, default=540, help="in all (%(default)s)")
    parser.add_argument("--small", action="store_true", help="on any machine, to see that it works")
    parser.add_argument("pretrain", nargs="*", help="after --: flags for python -m ppt.pretrain")
    flags = parser.parse_args(argv)
    if not (flags.small or torch.cuda.is_available()):
        parser.error("there is no GPU: give --small to try all of it on a CPU.")
    backbone = load_backbone(flags.model)
    bench = Bench(backbone, flags.model, *SIZES["small" if flags.small else "full"])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    found: dict[str, Any] = {"device": device, "torch": torch.__version__}
    flags.out.mkdir(parents=True, exist_ok=True)

    def keep() -> None:
        (flags.out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")
        (flags.out / "gpu.md").write_text(f"{device}, torch {torch.__version__}\n\n{table(found)}")

    for name, part in PARTS.items():
        found[name] = part(bench)
        keep()
        print(f"{time.monotonic() - began:4.0f} s  {name}: {json.dumps(found[name])}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        if flags.runs:
            with tarfile.open(flags.runs) as tar:
                tar.extractall(scratch, filter="data")
        found["trained"] = train(flags, Path(scratch), began + flags.seconds - SAVING)
        keep()
        with tarfile.open(flags.out / "runs.tar", "w") as tar:
            for run in sorted(Path(scratch).iterdir()):
                tar.add(run, arcname=run.name)
    print((flags.out / "gpu.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
