"""Figures as PNG. matplotlib is imported only when one is drawn."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppt.base.files import write_atomically
from ppt.corpus.manifest import SPLITS, Manifest
from ppt.corpus.storage import LENGTH_BIN

HISTOGRAMS = "histograms.png"


def draw_histograms(folder: Path, manifest: Manifest) -> None:
    """Draw them beside a corpus's manifest."""
    write_atomically(folder / HISTOGRAMS, histograms(manifest))


def histograms(manifest: Manifest) -> bytes:
    """A PNG of labels, lengths and answer positions of a corpus."""
    data = io.BytesIO()
    figure_of(manifest).savefig(data, format="png", dpi=100)
    return data.getvalue()


def figure_of(manifest: Manifest) -> Any:
    """The same as Matplotlib's figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6))
    figure.subplots_adjust(left=0.06, right=0.97, bottom=0.15, top=0.82, wspace=0.25)
    labels, lengths, positions = figure.subplots(1, 3)
    figure.suptitle(f"{manifest.format}: {manifest.rows['train']:,} training examples")
    for split in SPLITS:
        stats = manifest.stats[split]
        if not stats.get("rows"):
            continue
        name = f"{split} ({stats['rows']:,})"
        _shares(labels, stats["labels"], name)
        _lengths(lengths, stats["text_chars"], f"text_a, {split}")
        if split == "train" and stats["option_chars"]:
            _lengths(lengths, stats["option_chars"], f"options, {split}")
    labels.set(title="labels", ylabel="share")
    lengths.set(title="characters", xlabel="characters", ylabel="share")
    _positions(positions, manifest.stats["train"].get("answer_positions", {}))
    for axes in (labels, lengths):
        if axes.has_data():
            axes.legend(fontsize=8)
    return figure


def _shares(axes: Any, counts: Mapping[str, int], name: str) -> None:
    total = max(sum(counts.values()), 1)
    axes.bar(list(counts), [n / total for n in counts.values()], alpha=0.6, label=name)


def _lengths(axes: Any, counts: Mapping[str, int], name: str) -> None:
    total = max(sum(counts.values()), 1)
    starts = sorted(map(int, counts))
    shares = [counts[str(start)] / total for start in starts]
    axes.step([start + LENGTH_BIN / 2 for start in starts], shares, where="mid", label=name)


def _positions(axes: Any, positions: Mapping[str, Mapping[str, int]]) -> None:
    """Answer positions by number of options: a heat map, even along each row if unbiased."""
    axes.set(title="answer position by number of options")
    if not positions:
        axes.text(0.5, 0.5, "no options in this format", ha="center", va="center")
        axes.set_axis_off()
        return
    sizes = sorted(map(int, positions))
    width = max(sizes)
    grid = [_evenness(positions[str(n)], n, width) for n in sizes]
    image = axes.imshow(grid, aspect="auto", cmap="viridis", vmin=0, vmax=2)
    axes.set(
        yticks=range(len(sizes)), yticklabels=sizes, xticks=range(width),
        xticklabels=[chr(ord("A") + i) for i in range(width)],
    )  # fmt: skip
    axes.figure.colorbar(image, ax=axes, label="share, 1 = even")


def _evenness(counts: Mapping[str, int], n: int, width: int) -> list[float]:
    """How often each position holds the answer, over what an even spread would give."""
    total = max(sum(counts.values()), 1)
    return [counts.get(str(i), 0) * n / total if i < n else float("nan") for i in range(width)]
