"""What a step costs that trains keys and values: against embeddings, and against PEFT's prefixes.

    python -m benchmarks.deep --lengths 20 100

The same frozen backbone, rows and loss (over all tokens, as PEFT's) on each side; keys and
values begin as those of the embeddings, so that all first losses must agree. A step is
forward, backward and AdamW. Sides take turns in one process, and CPU time is what counts, so a
busy machine slows no side more than another; each length is a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.training import load

SIDES = {
    "embeddings": "our prompt tuning",
    "kv": "our keys and values",
    "kv, masked": "the same, each row with a mask of its own",
    "PEFT's prefix": "PEFT's PREFIX_TUNING",
    "PEFT's prompt": "PEFT's PROMPT_TUNING",
}

Step = tuple[nn.Parameter, Callable[[], Tensor]]


def our_sides(model: object, tokenizer: object, start: Tensor, rows: int, tokens: int) -> dict:
    """Our steps by side, the batch, and the keys and values of `start` [P, H]."""
    from torch.nn.functional import nll_loss

    from ppt.backbones.loading import as_backbone
    from ppt.prompts.deep import DeepBank
    from ppt.prompts.tensors import Batch, LabelWords

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(300, 20000, (rows, tokens), generator=generator)
    label = torch.randint(0, 2, (rows,), generator=generator)
    words = LabelWords(torch.tensor([[400], [500]]), torch.ones(2, dtype=torch.long))
    batch = Batch(ids, torch.ones_like(ids), label, words, torch.ones(rows, 2, dtype=torch.bool))
    backbone = as_backbone(model, tokenizer)
    values = backbone.keys_values(start[None])[0]
    soft, deep, masked = (nn.Parameter(one.clone()) for one in (start, values, values))
    seen = torch.ones(rows, len(start), dtype=torch.bool)

    def loss(prompt: object) -> Tensor:
        return nll_loss(backbone.score(prompt, batch, full_vocabulary=True), label)

    steps = {
        "embeddings": (soft, lambda: loss(soft)),
        "kv": (deep, lambda: loss(DeepBank(deep[None]))),
        "kv, masked": (masked, lambda: loss(DeepBank(masked[None], seen))),
    }
    return {"steps": steps, "batch": batch, "values": values}


def peft_side(kind: str, model: object, start: Tensor, batch: object) -> Step:
    """PEFT as its users run it: labels in, loss out."""
    import peft

    settings = {"task_type": "CAUSAL_LM", "num_virtual_tokens": len(start)}
    config = {"PEFT's prefix": peft.PrefixTuningConfig, "PEFT's prompt": peft.PromptTuningConfig}
    tuned = peft.get_peft_model(model, config[kind](**settings)).eval()
    (weight,) = (one for one in tuned.parameters() if one.requires_grad)
    weight.data.copy_(start)
    text = torch.cat([batch.input_ids, batch.words.ids[batch.labels]], 1)
    labels = torch.full_like(text, -100)
    labels[:, -1] = text[:, -1]
    mask = torch.ones_like(text)
    return weight, lambda: tuned(input_ids=text, attention_mask=mask, labels=labels).loss


def measure(dtype: str, rows: int, tokens: int, length: int, rounds: int) -> None:
    """Print the rows of the table for one length."""
    from ppt.backbones.loading import DTYPES

    model, tokenizer = load("smollm2", DTYPES[dtype])
    common = torch.randint(300, 5000, (length,), generator=torch.Generator().manual_seed(1))
    start = model.get_input_embeddings().weight[common].detach().float()
    ours = our_sides(model, tokenizer, start, rows, tokens)
    steps: dict[str, Step] = dict(ours["steps"])
    for kind, begin in (("PEFT's prefix", ours["values"]), ("PEFT's prompt", start)):
        steps[kind] = peft_side(kind, load("smollm2", DTYPES[dtype])[0], begin, ours["batch"])
    optimizers = {side: torch.optim.AdamW([one[0]], lr=1e-4) for side, one in steps.items()}
    times: dict[str, list[float]] = {side: [] for side in steps}
    first: dict[str, float] = {}
    for turn in range(rounds + 1):  # the first warms up
        for side, (_, loss) in steps.items():
            began = time.process_time()
            value = loss()
            value.backward()
            optimizers[side].step()
            optimizers[side].zero_grad()
            if turn:
                times[side].append(time.process_time() - began)
            first.setdefault(side, value.item())
    base = statistics.median(times["embeddings"])
    for side, told in SIDES.items():
        seconds = statistics.median(times[side])
        print(f"| {dtype} P={length} | {side}: {told} | {seconds:.2f} | {seconds / base:.2f} |"
              f" {first[side]:.5f} |", flush=True)  # fmt: skip


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", nargs="*", type=int, default=[20, 100], help="P of prompts")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rows", type=int, default=16, help="of a batch")
    parser.add_argument("--tokens", type=int, default=40, help="of a row")
    parser.add_argument("--rounds", type=int, default=3, help="steps timed of each side")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    if len(flags.lengths) == 1:
        measure(flags.dtype, flags.rows, flags.tokens, flags.lengths[0], flags.rounds)
        return
    print("| case | side | CPU-s a step (median) | of embeddings' | first loss |")
    print("|---|---|---:|---:|---:|", flush=True)
    for length in flags.lengths:
        own = [f"--{name}={getattr(flags, name)}" for name in ("dtype", "rows", "tokens", "rounds")]
        argv = [sys.executable, "-m", "benchmarks.deep", *own, "--lengths", str(length)]
        subprocess.run(argv, check=True)


if __name__ == "__main__":
    main()
