"""All the plots of a results folder: named, drawn when asked for, saved as files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ppt.base.files import save_figure
from ppt.errors import require_known
from ppt.results.heat import transfer_map
from ppt.results.plots import box_plots, confusion_tables, sample_curves, training_curves
from ppt.results.rows import Row
from ppt.results.run import Run
from ppt.results.selection import at_shots, distinct, methods_of, shots_of
from ppt.results.style import looks
from ppt.results.transfer import gains
from ppt.results.trial import digest

BOXES, SAMPLES, TRAINING, CONFUSION = "boxes", "samples", "training", "confusion"
TRANSFER = "transfer"
KINDS = (BOXES, SAMPLES, TRANSFER, TRAINING, CONFUSION)
SUFFIXES = ("png", "svg")

LONGEST = 150
"""Letters of a task's name in the names of plots."""

POINTS, FEWEST, MOST = 80_000, 16, 60
"""Points of training curves on all plots together, and the least and most of one line."""


@dataclass(frozen=True)
class Plot:
    """A plot: `draw` makes its Figure. `name` is a file name without suffix, no other's."""

    kind: str
    name: str
    title: str
    draw: Callable[[], Any]


def plots_of(runs: Sequence[Run], rows: Sequence[Row]) -> tuple[Plot, ...]:
    """The plots of selected `runs` and their `rows`; sample curves need two numbers of shots."""
    shown = looks(methods_of(runs))
    metric = rows[0].metric
    points = points_per_line(runs)
    plots = []
    for shots in shots_of(runs):
        here, words = at_shots(runs, shots), f"{shots} shots"
        draw = partial(box_plots, here, metric, shown, words)
        plots.append(Plot(BOXES, f"{BOXES}-{shots}", words, draw))
        if gains(here):
            draw = partial(transfer_map, here, words)
            plots.append(Plot(TRANSFER, f"{TRANSFER}-{shots}", words, draw))
        for task in distinct(here, "task"):
            own = [run for run in here if run.task == task]
            name, title = f"{_file_name(task)}-{shots}", f"{task}, {words}"
            draw = partial(confusion_tables, own, title)
            plots.append(Plot(CONFUSION, f"{CONFUSION}-{name}", title, draw))
            if any(run.curve for run in own):
                draw = partial(training_curves, own, shown, title, points)
                plots.append(Plot(TRAINING, f"{TRAINING}-{name}", title, draw))
    if len(shots_of(runs)) > 1:
        chance = {run.task: run.chance for run in runs}
        draw = partial(sample_curves, rows, chance, shown)
        plots.append(Plot(SAMPLES, SAMPLES, "sample curves", draw))
    return tuple(sorted(plots, key=lambda plot: KINDS.index(plot.kind)))


def _file_name(task: str) -> str:
    """A name of signs that all systems and SVG take; of a long one the end is its digest."""
    name = quote(task, safe="", errors="replace")
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}{digest(task)[:8]}"


def points_per_line(runs: Iterable[Run]) -> int:
    """How many points a training curve may have, so that a page of many stays small."""
    lines = sum(3 for run in runs if run.curve)
    return max(FEWEST, min(MOST, POINTS // max(lines, 1)))


def save_plots(folder: Path | str, plots: Iterable[Plot], suffix: str = "png") -> tuple[Path, ...]:
    """Write ``folder/<name>.<suffix>`` for each plot, on white; one of `SUFFIXES`."""
    require_known("suffix", suffix, SUFFIXES)
    return tuple(
        save_figure(Path(folder) / f"{one.name}.{suffix}", one.draw(), dpi=120, facecolor="white")
        for one in plots
    )
