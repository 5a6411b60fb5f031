"""Ours against PEFT's prompt tuning: forward, backward and optimizer, in one run.

    python -m benchmarks.training ["smollm2 fp32 P=20" ...]

Each measurement is a process of its own, so that peak memory is its own, and
the sides alternate, so that a busy machine slows both. Both start from the same
prompt and batch; the first losses of PEFT and of our vocabulary loss must agree.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

CASES = {
    "smollm2 fp32 P=100": ("smollm2", "float32", 16, 40, 100),
    "smollm2 fp32 P=20": ("smollm2", "float32", 16, 40, 20),
    "smollm2 bf16 P=100": ("smollm2", "bfloat16", 16, 40, 100),
    "t5-v1.1-small fp32 P=100": ("t5", "float32", 16, 60, 100),
}
"""Name → backbone, dtype, B rows, T text tokens, P prompt tokens."""

SIDES = ("peft", "verbalizer", "vocabulary")
ROUNDS, WARM, STEPS = 2, 2, 4


def load(kind: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The embedded backbone, or a random T5 of v1.1-small's size; and a tokenizer."""
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        T5Config,
        T5ForConditionalGeneration,
    )

    from ppt.embedded import find_model
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
    from ppt.backbones import LOSSES, as_backbone
    from ppt.tensors import Batch, LabelWords

    backbone = as_backbone(model, tokenizer)
    weight = nn.Parameter(start.clone())
    label_words = LabelWords(words, torch.ones(2, dtype=torch.long))
    allowed = torch.ones(len(ids), 2, dtype=torch.bool)
    batch = Batch(ids, torch.ones_like(ids), label, label_words, allowed)
    full = name == "vocabulary"
    return weight, lambda: LOSSES[name](backbone.score(weight, batch, full_vocabulary=full), label)


def measure(case: str, side: str) -> None:
    """Time one side of one case in this process and print the result as JSON."""
    from ppt.backbones import DTYPES

    torch.set_num_threads(2)
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
    for _ in range(WARM + STEPS):
        begin = time.perf_counter()
        value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin)
        losses.append(value.item())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times[WARM:], "loss": losses[0], "peak": peak}))


def main(names: list[str]) -> None:
    """Measure the named cases, or all, and print a Markdown table."""
    print("| case | side | s/step (median) | PEFT's over it | peak MB | first loss |")
    print("|---|---|---|---|---|---|")
    for case in names or CASES:
        found: dict[str, dict[str, Any]] = {side: {"times": [], "peak": 0.0} for side in SIDES}
        for _ in range(ROUNDS):
            for side in SIDES:
                command = [sys.executable, "-m", "benchmarks.training", "--child", case, side]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr[-2000:])
                result = json.loads(done.stdout.splitlines()[-1])
                found[side]["times"] += result["times"]
                found[side]["peak"] = max(found[side]["peak"], result["peak"])
                found[side]["loss"] = result["loss"]
        base = statistics.median(found["peft"]["times"])
        for side, row in found.items():
            median = statistics.median(row["times"])
            cells = f"{median:.2f} | {base / median:.2f} | {row['peak']:.0f} | {row['loss']:.5f}"
            print(f"| {case} | {side} | {cells} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(*sys.argv[2:4])
    else:
        main(sys.argv[1:])
