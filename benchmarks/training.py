"""What training costs: our step against PEFT's, and our batches against padding to the maximum.

    python -m benchmarks.training --corpus corpora

First, a step of prompt tuning (forward, backward, optimizer) with the same model, batch,
prompt and precision on both sides; the first losses of PEFT and of our vocabulary loss
must agree. Second, the first 300 examples that a pre-training of the default length
takes from a corpus, batched as they are there (rows of like length together, padded to
the longest of the batch) and with each row padded to the longest of all, as the
published code pads; the mean losses must agree.

Each measurement is a process of its own, so that peak memory is its own. The embedded
backbone has its real weights; "t5" is a T5 of v1.1-small's size with random ones.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppt.corpus.storage import open_corpus
from ppt.errors import exit_status

CASES = {
    "smollm2 fp32 P=100": ("smollm2", "float32", 16, 40, 100),
    "smollm2 fp32 P=20": ("smollm2", "float32", 16, 40, 20),
    "smollm2 bf16 P=100": ("smollm2", "bfloat16", 16, 40, 100),
    "t5-v1.1-small fp32 P=100": ("t5", "float32", 16, 60, 100),
}
"""Name → backbone, dtype, B rows, T text tokens, P prompt tokens."""

SIDES = ("peft", "verbalizer", "vocabulary")
WARM = 1

CORPORA = ("unified", "sentence_pair")
PADDINGS = {"maximum": "the longest of all", "bucket": "the longest of the batch"}
ROWS, ROWS_A_BATCH, PROMPT = 300, 15, 20

UNCUT = 768
"""No row is as long. The published script for unified pads to this; here rows of all its
length would be too easy to beat, so they are padded to the longest that there is."""


def load(kind: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The embedded backbone, or a random T5 of v1.1-small's size; and a tokenizer."""
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        T5Config,
        T5ForConditionalGeneration,
    )

    from ppt.backbones.sources import find_model
    from tests.tiny import tiny_tokenizer

    if kind == "smollm2":
        folder = find_model("smollm2-135m")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        return model, AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=32128,
        d_model=512,
        d_kv=64,
        d_ff=1024,
        num_layers=8,
        num_heads=6,
        decoder_start_token_id=0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    return T5ForConditionalGeneration(config).to(dtype), tiny_tokenizer()


def peft_loss(
    kind: str, model: Any, start: Tensor, ids: Tensor, target: Tensor
) -> tuple[nn.Parameter, Callable[[], Tensor]]:
    """PEFT as its users run it: labels in, loss out; no dropout, as ours."""
    import peft

    rows = len(ids)
    task = "CAUSAL_LM" if kind == "smollm2" else "SEQ_2_SEQ_LM"
    settings = peft.PromptTuningConfig(
        task_type=task, num_virtual_tokens=len(start), num_transformer_submodules=1
    )
    tuned = peft.get_peft_model(model, settings).eval()
    (weight,) = (p for p in tuned.parameters() if p.requires_grad)
    weight.data.copy_(start)
    if kind == "smollm2":
        text = torch.cat([ids, target], dim=1)
        labels = torch.full_like(text, -100)
        labels[:, -1] = text[:, -1]
        extra: dict[str, Tensor] = {}
    else:
        text = ids
        labels = torch.cat([torch.full((rows, 1), -100), target], dim=1)
        extra = {"decoder_input_ids": torch.tensor([[0, 3]]).expand(rows, 2)}
    mask = torch.ones_like(text)
    return weight, lambda: tuned(input_ids=text, attention_mask=mask, labels=labels, **extra).loss


def our_loss(
    model: Any, tokenizer: Any, start: Tensor, ids: Tensor, label: Tensor, words: Tensor, name: str
) -> tuple[nn.Parameter, Callable[[], Tensor]]:
    """Our scores of the two label words, with either loss."""
    from ppt.backbones.base import LOSSES
    from ppt.backbones.loading import as_backbone
    from ppt.prompts.tensors import Batch, LabelWords

    backbone = as_backbone(model, tokenizer)
    weight = nn.Parameter(start.clone())
    label_words = LabelWords(words, torch.ones(2, dtype=torch.long))
    allowed = torch.ones(len(ids), 2, dtype=torch.bool)
    batch = Batch(ids, torch.ones_like(ids), label, label_words, allowed)
    full = name == "vocabulary"
    return weight, lambda: LOSSES[name](backbone.score(weight, batch, full_vocabulary=full), label)


def step_cost(case: str, side: str, steps: str) -> dict[str, Any]:
    """Time some steps of one side of one case in this process."""
    from ppt.backbones.loading import DTYPES

    kind, dtype, rows, tokens, prompt = CASES[case]
    model, tokenizer = load(kind, DTYPES[dtype])
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(300, 20000, (rows, tokens), generator=generator)
    label = torch.randint(0, 2, (rows,), generator=generator)
    words = torch.tensor([[400], [500]])
    common = torch.randint(300, 5000, (prompt,), generator=generator)
    start = model.get_input_embeddings().weight[common].detach().float()
    if side == "peft":
        weight, loss = peft_loss(kind, model, start, ids, words[label])
    else:
        weight, loss = our_loss(model, tokenizer, start, ids, label, words, side)
    optimizer = torch.optim.AdamW([weight], lr=1e-3)
    times, losses = [], []
    for _ in range(WARM + int(steps)):
        begin = time.perf_counter()
        value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin)
        losses.append(value.item())
    return {"times": times[WARM:], "loss": losses[0]}


def padding_cost(corpus: str, format_name: str, padding: str, dtype: str) -> dict[str, Any]:
    """Time forward and backward over real examples with one way of padding, in this process."""
    from torch.nn.functional import cross_entropy

    from ppt.backbones.loading import load_backbone

    backbone = load_backbone(device="cpu", dtype=dtype)
    batches, longest = real_batches(backbone, f"{corpus}/{format_name}", format_name)
    if padding == "maximum":
        batches = [pad_to(longest, batch) for batch in batches]
    prompt = nn.Parameter(backbone.input_embeddings()[300 : 300 + PROMPT].float().clone())
    cross_entropy(backbone.score(prompt, batches[0]), batches[0].labels).backward()  # warm up
    began, total = time.perf_counter(), 0.0
    for batch in batches:
        loss = cross_entropy(backbone.score(prompt, batch), batch.labels, reduction="sum")
        loss.backward()
        total += loss.item()
    seconds, rows = time.perf_counter() - began, sum(map(len, batches))
    tokens = sum(batch.input_ids.numel() for batch in batches) / rows
    return {"rows": rows, "rate": rows / seconds, "loss": total / rows, "tokens": tokens}


def real_batches(backbone: Any, corpus: str, format_name: str) -> tuple[list[Any], int]:
    """The first batches of a pre-training, and the tokens of the longest row that it reads."""
    from ppt.prompts.batches import collate
    from ppt.prompts.order import BatchOrder
    from ppt.prompts.rendering import Renderer
    from ppt.training.examples import load_examples
    from ppt.training.settings import PretrainConfig

    usual = PretrainConfig(format=format_name)
    renderer = Renderer.standard(format_name, "suffix", usual.style, backbone.tokenizer, UNCUT)
    count = usual.max_steps * usual.local_batch_size
    examples = load_examples(open_corpus(corpus, format_name), renderer, count, 1, progress=False)
    rows = examples.train
    order = BatchOrder(rows.lengths, ROWS_A_BATCH, seed=usual.seed)
    chosen = [next(order) for _ in range(ROWS // ROWS_A_BATCH)]
    batches = [collate(rows, indices, examples.words) for indices in chosen]
    return batches, int(rows.lengths.max())


def pad_to(length: int, batch: Any) -> Any:
    """The batch with columns of padding up to `length`."""
    more = (0, length - batch.input_ids.shape[1])
    ids, mask = functional.pad(batch.input_ids, more), functional.pad(batch.attention_mask, more)
    return replace(batch, input_ids=ids, attention_mask=mask)


def apart(measurement: str, *arguments: Any) -> dict[str, Any]:
    """What a measurement in a process of its own found, with its peak memory in MB."""
    command = [sys.executable, "-m", "benchmarks.training", "--child", measurement]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(measurement: str, *arguments: str) -> None:
    """Measure, and print the result as JSON."""
    torch.set_num_threads(int(os.environ["THREADS"]))
    found = {"step": step_cost, "padding": padding_cost}[measurement](*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak": peak}))


def compare_steps(cases: Sequence[str], steps: int, rounds: int) -> None:
    """Print the table of steps; with several rounds, sides alternate."""
    print("| case | side | s/step (median) | PEFT's over it | peak MB | first loss |")
    print("|---|---|---:|---:|---:|---:|")
    for case in cases:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                found[side].append(apart("step", case, side, steps))
        medians = {
            side: statistics.median(chain.from_iterable(run["times"] for run in runs))
            for side, runs in found.items()
        }
        for side, runs in found.items():
            times = f"{medians[side]:.2f} | {medians['peft'] / medians[side]:.2f}"
            peak = max(run["peak"] for run in runs)
            print(f"| {case} | {side} | {times} | {peak:.0f} | {runs[0]['loss']:.5f} |", flush=True)


def compare_padding(corpus: str, dtype: str) -> None:
    """Print the table of real examples."""
    print("| examples | padded to | tokens a row | examples/s | times | peak MB | mean loss |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for format_name in CORPORA:
        base = 0.0
        for padding, shown in PADDINGS.items():
            run = apart("padding", corpus, format_name, padding, dtype)
            base = base or run["rate"]
            speed = f"{run['tokens']:.0f} | {run['rate']:.2f} | {run['rate'] / base:.2f}"
            name = f"{run['rows']} of {format_name} | {shown}"
            print(f"| {name} | {speed} | {run['peak']:.0f} | {run['loss']:.5f} |", flush=True)


def main() -> int:
    """Measure and print Markdown. Returns the exit code."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default="corpora", help="folder of corpora")
    parser.add_argument(
        "--cases", nargs="*", choices=CASES, default=list(CASES), metavar="CASE",
        help=f"of {', '.join(map(repr, CASES))} (default: all; none: only real examples)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=3, help="steps timed in a process")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each side of a case")
    parser.add_argument("--dtype", default="bfloat16", help="for the real examples")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    flags = parser.parse_args()
    for format_name in CORPORA:  # what is missing is told before anything is measured
        open_corpus(f"{flags.corpus}/{format_name}", format_name)
    os.environ["THREADS"] = str(flags.threads)
    began = time.monotonic()
    if flags.cases:
        compare_steps(flags.cases, flags.steps, flags.rounds)
    print(f"\nReal examples, smollm2 {flags.dtype} P={PROMPT}:\n")
    compare_padding(flags.corpus, flags.dtype)
    print(f"\n{flags.threads} threads, {time.monotonic() - began:.0f} seconds in all.")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
