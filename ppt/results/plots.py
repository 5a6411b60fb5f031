"""Figures of results: box plots, sample curves, training curves, confusion. Data in, Figure out.

Scores are in per cent. Each figure is readable alone: a heading says what is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt.results.rows import Row
from ppt.results.run import Point, Run
from ppt.results.selection import METRICS, distinct, methods_of
from ppt.results.statistics import CONFIDENCE
from ppt.results.style import (
    COLOURS,
    FAINT,
    INK,
    WIDTH,
    Look,
    Space,
    columns_for,
    panels,
    plain,
    styled,
)

NAMES = 1.65
"""Inches for the names of methods."""

LEGEND = 2.0
"""Inches for an entry of a legend."""

SHOWN_LABELS, NAMED_LABELS = 6, 24
"""Confusion tables of more labels are colours without numbers; with names for some, in an image."""

LARGEST = 1e30
"""What losses an axis can span; those of runs that diverged may be more."""


@styled
def box_plots(runs: Sequence[Run], metric: str, looks: Mapping[str, Look], title: str) -> Any:
    """A panel a task, a box a method, a dot a seed; `runs` are selected, of one number of shots."""
    tasks, methods = distinct(runs, "task"), methods_of(runs)
    columns = columns_for(len(tasks), 4)
    space = Space(left=NAMES, bottom=0.3)
    size = (_share(NAMES, columns, space, 3.6), 0.21 * len(methods) + 0.15)
    title = f"Test {METRICS[metric]} (%), {title}"
    note = "Box: quartiles and median; whiskers: lowest and highest; dots: seeds; dashed: chance."
    figure, axes = panels(len(tasks), columns, size, space, title, note)
    for place, (task, ax) in enumerate(zip(tasks, axes, strict=True)):
        own = [run for run in runs if run.task == task]
        _boxes(ax, own, methods, metric, looks)
        if metric == "accuracy":
            ax.axvline(100 * own[0].chance, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        names = [plain(name) for name in methods] if place % columns == 0 else []
        ax.set_yticks(range(len(methods)) if names else [], names)
        ax.set(ylim=(len(methods) - 0.5, -0.5), title=plain(task))
        ax.use_sticky_edges = False  # a bar's edge would be the panel's, and cut dots in half
        ax.margins(x=0.05)
        ax.grid(axis="x")
    return figure


def _boxes(
    ax: Any, runs: Sequence[Run], methods: Sequence[str], metric: str, looks: Mapping[str, Look]
) -> None:
    for y, method in enumerate(methods):
        values = [100 * getattr(run.test, metric) for run in runs if run.method == method]
        if not values:
            continue
        colour = looks[method].colour
        low, q1, median, q3, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
        ax.hlines(y, low, high, color=colour, linewidth=1)
        ax.barh(y, q3 - q1, left=q1, height=0.56, color=colour, alpha=0.4, linewidth=0)
        ax.vlines(median, y - 0.28, y + 0.28, color=colour, linewidth=1.8)
        ax.plot(
            values, np.full(len(values), y), "o", color=colour, markersize=3.4,
            markeredgecolor=INK, markeredgewidth=0.4,
        )  # fmt: skip


@styled
def sample_curves(
    rows: Sequence[Row], chance: Mapping[str, float], looks: Mapping[str, Look]
) -> Any:
    """A panel a task (and one of the mean over tasks): scores over the numbers of examples.

    `chance` is by task.
    """
    from matplotlib.lines import Line2D

    tasks = list(dict.fromkeys(row.task for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    shots = sorted({row.shots for row in rows})
    columns = columns_for(len(tasks), 4)
    width = _share(0.45, columns, Space(across=0.4), 4.2)
    beside = max(2, int(columns * width / LEGEND))
    space = Space(bottom=0.55 + 0.2 * -(-len(methods) // beside), across=0.4, down=0.55)
    title = f"Test {METRICS[rows[0].metric]} (%) over numbers of training examples"
    note = f"Bars: {CONFIDENCE:.0%} bootstrap intervals over seeds; dashed: chance."
    figure, axes = panels(len(tasks), columns, (width, 0.66 * width), space, title, note)
    for task, ax in zip(tasks, axes, strict=True):
        own = [row for row in rows if row.task == task]
        for place, method in enumerate(methods):
            dodge = 2 ** (0.24 * ((place + 0.5) / len(methods) - 0.5))
            _sample_curve(ax, [r for r in own if r.method == method], looks[method], dodge)
        if task is not None and rows[0].metric == "accuracy":
            ax.axhline(100 * chance[task], color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        ax.set_xscale("log", base=2)
        ax.set_xticks(shots, [str(n) for n in shots])
        ax.minorticks_off()
        ax.set(xlim=(shots[0] / 1.2, shots[-1] * 1.2))
        ax.set_title("all tasks" if task is None else plain(task))
        ax.grid(axis="y")
    for ax in axes[-columns:]:
        ax.set_xlabel("training examples")
    figure.legend(
        handles=[
            Line2D([], [], color=o.colour, marker=o.mark, linestyle=o.dash, label=plain(name))
            for name, o in ((name, looks[name]) for name in methods)
        ],
        loc="lower center", ncols=min(beside, len(methods)), handlelength=3.4,
    )  # fmt: skip
    return figure


def _sample_curve(ax: Any, rows: Sequence[Row], look: Look, dodge: float) -> None:
    """`dodge` moves a method's points a little, so that the bars of others stay in sight."""
    shots = [row.shots * dodge for row in rows]
    scores = [row.scores[row.metric] for row in rows]
    means = [100 * one.mean for one in scores]
    ax.plot(shots, means, color=look.colour, marker=look.mark, linestyle=look.dash)
    bars = [(x, one) for x, one in zip(shots, scores, strict=True) if one.low is not None]
    ax.vlines(
        [x for x, _ in bars], [100 * (one.low or 0) for _, one in bars],
        [100 * (one.high or 0) for _, one in bars], color=look.colour, linewidth=0.9, alpha=0.7,
    )  # fmt: skip


@styled
def training_curves(
    runs: Sequence[Run], looks: Mapping[str, Look], title: str, points: int = 60
) -> Any:
    """Loss and accuracy on validation over steps: two panels a method, a line a seed.

    `runs` are of one task and number of shots; a line keeps at most `points` points.
    """
    trained = [run for run in runs if run.curve]
    methods = methods_of(trained)
    columns = 2 if len(methods) == 1 else 4
    space = Space(across=0.4)
    size = (_share(0.45, 4, space, WIDTH), 1.15)
    title = f"Training: {title}"
    note = "Lines: validation, one a seed; dots: the step kept; dotted: training; dashed: chance."
    figure, axes = panels(2 * len(methods), columns, size, space, title, note)
    for place, method in enumerate(methods):
        losses, accuracies = axes[2 * place : 2 * place + 2]
        for run in (run for run in trained if run.method == method):
            _training_curve(losses, accuracies, run, looks[method].colour, points)
        losses.set_title(f"{plain(method)}: loss", loc="left")
        accuracies.set_title("accuracy (%)", loc="left")
        accuracies.axhline(100 * trained[0].chance, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        accuracies.set_ylim(-2, 102)
        for ax in (losses, accuracies):
            ax.grid(axis="y")
    for ax in axes[-columns:]:
        ax.set_xlabel("step")
    return figure


def _training_curve(losses: Any, accuracies: Any, run: Run, colour: str, points: int) -> None:
    curve, train = thinned(run.curve, points), thinned(run.train_curve, points)
    for ax, name, of, scale, dash in (
        (losses, "loss", train, 1, ":"),
        (losses, "loss", curve, 1, "-"),
        (accuracies, "accuracy", curve, 100, "-"),
    ):
        values = [scale * _drawn(point[name]) for point in of]
        ax.plot([point["step"] for point in of], values, color=colour, linestyle=dash,
                alpha=0.55 if dash == ":" else 0.85, linewidth=0.8)  # fmt: skip
        kept = [point for point in run.curve if point["step"] == run.best_step]
        if dash == "-" and kept:
            ax.plot(run.best_step, scale * _drawn(kept[0][name]), "o", color=colour, markersize=3.5,
                    markeredgecolor=INK, markeredgewidth=0.4)  # fmt: skip


def _drawn(value: float) -> float:
    return value if abs(value) < LARGEST else math.nan


def thinned(curve: Sequence[Point], points: int) -> list[Point]:
    """At most `points` (2 or more) of a curve, evenly far apart, its two ends among them."""
    if len(curve) <= points:
        return list(curve)
    places = np.linspace(0, len(curve) - 1, points).round().astype(int)
    return [curve[i] for i in places]


@styled
def confusion_tables(runs: Sequence[Run], title: str) -> Any:
    """A panel a method: per cent of each true label's test rows by predicted label.

    `runs` are of one task and number of shots; their seeds are added up.
    """
    labels = [plain(name, 14) for name in runs[0].labels]
    methods = methods_of(runs)
    side = min(2.6, max(1.35, 0.5 + 0.24 * len(labels)))
    letters = 0.2 + 0.075 * max(map(len, labels))
    space = Space(left=letters, bottom=letters, across=0.15, down=0.35)
    columns = columns_for(len(methods), int((WIDTH - letters) / (side + space.across)))
    note = "Rows: the true label; columns: the predicted one; per cent of the row."
    title = f"Confusion: {title}"
    figure, axes = panels(len(methods), columns, (side, side), space, title, note)
    for place, (method, ax) in enumerate(zip(methods, axes, strict=True)):
        counts = np.sum([run.confusion for run in runs if run.method == method], axis=0)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        _cells(ax, shares)
        named = range(0, len(labels), -(-len(labels) // NAMED_LABELS))
        middles, names = [i + 0.5 for i in named], [labels[i] for i in named]
        first, last = place % columns == 0, place + columns >= len(methods)
        ax.set_yticks(middles if first else [], names if first else [])
        ax.set_xticks(middles if last else [], names if last else [], rotation=90)
        ax.invert_yaxis()
        ax.set_title(plain(method), fontsize=7.5)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    return figure


def _cells(ax: Any, shares: Any) -> None:
    """A blue the stronger the greater the share, so that a page of any colour may lie below."""
    from matplotlib.colors import to_rgba

    colours = [to_rgba(COLOURS[0], share) for share in shares.ravel()]
    if len(shares) > NAMED_LABELS:
        image, ends = np.reshape(colours, (*shares.shape, 4)), (0, len(shares)) * 2
        ax.imshow(image, extent=ends, origin="lower", aspect="auto", interpolation="none")
        return
    mesh = ax.pcolormesh(shares, edgecolor=FAINT, linewidth=0.5)
    mesh.set(array=None, facecolor=colours)
    if len(shares) > SHOWN_LABELS:
        return
    for (row, column), share in np.ndenumerate(shares):
        ax.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center",
                fontsize=7.5, color="white" if share > 0.85 else INK)  # fmt: skip


def _share(left: float, columns: int, space: Space, most: float) -> float:
    """The width of a panel where `columns` of them fill a page, or `most` inches."""
    return min(most, (WIDTH - left - space.right + space.across) / columns - space.across)
