"""What a comparison says, as tables for the terminal, Markdown and spreadsheets."""

from collections.abc import Iterable, Sequence

import numpy as np

from ppt.results.heat import GAIN_NOTE
from ppt.results.rows import BASELINE
from ppt.results.tables import NONE, Sheet, csv_text, percent
from ppt.results.transfer import FROM, Correlation, error, matrix
from ppt.transfer.comparison import Comparison
from ppt.transfer.similarity import Matrix

NEAREST = (1, 3, None)
"""Numbers of sources that a table of retrieval has; None: all of them."""

TOP_NOTE = (
    "Per cent of test rows that are wrong, mean over the seeds that were run from the most sources;"
    " of the k nearest the one that validates best counts."
)


def similarity_sheet(names: Sequence[str], likeness: Matrix, measure: str) -> Sheet:
    """Each source against each."""
    rows = tuple(
        (name, *(f"{value:.3f}" for value in row))
        for name, row in zip(names, likeness, strict=True)
    )
    return Sheet(f"Similarity of sources ({measure})", ("source", *names), rows, names=1)


def ranking_sheet(names: Sequence[str], likeness: Matrix) -> Sheet:
    """For each source the others, the nearest first."""
    rows = []
    for place, name in enumerate(names):
        order = [i for i in np.argsort(-likeness[place], kind="stable") if i != place]
        rows.append((name, ", ".join(f"{names[i]} {likeness[place, i]:.3f}" for i in order)))
    return Sheet("Nearest sources", ("source", "the others, the nearest first"), tuple(rows), 2)


def target_ranking(one: Comparison) -> Sheet:
    """For each target the sources, the nearest first, with what each gained."""
    gained = {(gain.target, gain.source): gain.mean for gain in one.gains}
    rows = []
    for target in one.targets:
        near = {source: one.similarity(target, source) for source in one.sources}
        known = {source: value for source, value in near.items() if value is not None}
        told = (
            f"{source} {value:.3f} ({_percent(gained.get((target, source)))})"
            for source, value in sorted(known.items(), key=lambda pair: (-pair[1], pair[0]))
        )
        rows.append((target, ", ".join(told) or NONE))
    title = f"Sources by similarity to the target, {one.shots} shots (gain)"
    return Sheet(title, ("target", "the nearest first"), tuple(rows), names=2)


def gain_sheet(one: Comparison) -> Sheet:
    """The transfer matrix: sources down, targets across."""
    values = matrix({(g.source, g.target): g.mean for g in one.gains}, one.sources, one.targets)
    rows = tuple(
        (source, *(_percent(value) for value in row))
        for source, row in zip(one.sources, values, strict=True)
    )
    title = f"Transfer, {one.shots} shots (%)"
    return Sheet(title, ("source", *one.targets), rows, names=1, note=GAIN_NOTE)


def top_sheet(one: Comparison) -> Sheet:
    """Errors without transfer, and with the best of the 1, 3 and all nearest sources."""
    rows = []
    for target in one.targets:
        tops = [one.top(target, k) for k in NEAREST]
        known = [top for top in tops if top]
        before = f"{100 * known[0].before:.1f}" if known else NONE
        after = (f"{100 * top.after:.1f}" if top else NONE for top in tops)
        rows.append((target, before, *after, str(known[0].seeds) if known else NONE))
    heads = [f"best of {k or 'all'}" for k in NEAREST]
    title = f"Errors by retrieval, {one.shots} shots (%)"
    return Sheet(title, ("target", "no transfer", *heads, "seeds"), tuple(rows), 1, TOP_NOTE)


def correlation_sheet(one: Comparison) -> Sheet:
    """How far similarity tells the gain."""
    rows = tuple(
        ("all targets" if target is None else target, *_told(found))
        for target, found in one.correlations.items()
    )
    note = (
        "Pearson's r over sources and seeds, each from its target's mean; p: how often sources in"
        " another order give one as far from 0."
    )
    title = f"Similarity and gain, {one.shots} shots"
    return Sheet(title, ("target", "r", "points", "p"), rows, names=1, note=note)


def _told(found: Correlation | None) -> tuple[str, str, str]:
    return (f"{found.r:+.2f}", str(found.n), f"{found.p:.3f}") if found else (NONE, NONE, NONE)


def likeness_csv(names: Sequence[str], likeness: Matrix) -> str:
    """Source, source, similarity; unrounded."""
    return csv_text(
        ("source", "other", "similarity"),
        ((a, b, likeness[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)),
    )


def transfer_csv(several: Iterable[Comparison]) -> str:
    """A line for each number of shots, target, source and seed; unrounded."""
    errors = ("error", "error_without_transfer")
    head = ("shots", "target", "source", "seed", "similarity", "gain", *errors)
    rows = []
    for one in several:
        wrong = {(run.task, run.method, run.seed): error(run) for run in one.runs}
        for gain in one.gains:
            for seed, value in gain.by_seed.items():
                near = one.near.get((gain.target, gain.source, seed))
                both = (wrong[gain.target, name, seed] for name in (FROM + gain.source, BASELINE))
                rows.append((one.shots, gain.target, gain.source, seed, near, value, *both))
    return csv_text(head, rows)


def _percent(value: float | None) -> str:
    return NONE if value is None or not np.isfinite(value) else percent(value, "+")
