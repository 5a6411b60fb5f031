"""What rows cost whose options answer by their texts: as they are read, and padded to a grid.

    python -m benchmarks.options corpora/unified corpora/multiple_choice

The same rows and prompt on each side; in the grid each option has as many tokens as the longest of
its batch, each row as many options as any. A step is forward and backward. Sides take turns in
one process, and CPU time is what counts, so a busy machine slows no side more than another.
"""

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import torch

from ppt.base.markdown import markdown_table

SIDES = ("grid", "without gaps")

HEAD = (
    "format",
    *(f"tokens a row, {side}" for side in SIDES),
    *(f"rows a CPU-second, {side}" for side in SIDES),
    "times as fast",
    "gradients apart",
)


def measure(corpus: str, rows: int, batches: int, rounds: int, model: str) -> list[str]:
    """A line of the table for one corpus."""
    from torch.nn.functional import cross_entropy

    from ppt.backbones.causal import side_by_side
    from ppt.backbones.loading import load_backbone
    from ppt.corpus.storage import open_corpus
    from ppt.prompts.batches import collate, pack
    from ppt.prompts.order import BatchOrder
    from ppt.prompts.rendering import Renderer
    from ppt.training.examples import head

    backbone, opened = load_backbone(model, device="cpu", dtype="float32"), open_corpus(corpus)
    form = opened.manifest.format
    renderer = Renderer.standard(
        form, backbone.layout, "soft", backbone.tokenizer, 192, answers="texts"
    )
    packed = pack(renderer.rows(head(opened, "train", 50 * rows)))
    prompt = backbone.input_embeddings()[100:120].float().clone().requires_grad_()
    order = BatchOrder(packed.lengths, rows, seed=0)
    tokens = dict.fromkeys(SIDES, 0)
    spent: dict[str, list[float]] = {side: [] for side in SIDES}
    furthest = 0.0
    for _ in range(batches):
        ours, found = collate(packed, next(order), renderer.words()), {}
        sides = dict(zip(SIDES, (in_a_grid(ours), ours), strict=True))
        for name, batch in sides.items():
            last = batch.attention_mask.sum(1, keepdim=True) - 1
            tokens[name] += side_by_side(batch, last)[0].numel()
        for name, batch in [*sides.items()] * rounds:
            prompt.grad, began = None, time.process_time()
            cross_entropy(backbone.score(prompt, batch), batch.labels).backward()
            spent[name].append(time.process_time() - began)
            found[name] = prompt.grad
        one, other = found.values()
        furthest = max(furthest, float((one - other).norm() / one.norm()))
    ratio = statistics.median(one / other for one, other in zip(*spent.values(), strict=True))
    return [
        form,
        *(f"{count / batches / rows:.0f}" for count in tokens.values()),
        *(f"{batches * rounds * rows / sum(times):.2f}" for times in spent.values()),
        f"**{ratio:.1f}**",
        f"{furthest:.0e}",
    ]


def in_a_grid(batch: Any) -> Any:
    """The same rows, each option padded to the longest and each row to the most options."""
    longest = int(batch.attention_mask.sum(1).max())
    return replace(
        batch,
        input_ids=batch.input_ids[:, :longest],
        attention_mask=batch.attention_mask[:, :longest],
        words=replace(batch.words, room=None),
    )


def main() -> None:
    """Measure each corpus."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="+", help="folders of corpora whose rows have options")
    parser.add_argument("--rows", type=int, default=16, help="of a batch")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2, help="steps of each batch and side")
    parser.add_argument("--model", default="smollm2-135m")
    flags = parser.parse_args()
    torch.set_num_threads(1)
    body = [
        measure(one, flags.rows, flags.batches, flags.rounds, flags.model) for one in flags.corpora
    ]
    print(markdown_table(HEAD, body, 1))


if __name__ == "__main__":
    main()
