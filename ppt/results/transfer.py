"""What starting from other tasks' prompts has gained: errors against those without transfer.

Pure functions of runs. A run from a source is of the method ``spot:<source>``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ppt.methods import METHODS, ONE
from ppt.results.rows import BASELINE
from ppt.results.run import Run
from ppt.results.statistics import GENERATOR_SEED

Floats = NDArray[np.float64]

FROM = next(name for name, method in METHODS.items() if method.transfer == ONE) + ":"
"""How the methods of single sources begin."""

FEWEST = 3
"""Points of a correlation, at least."""

PERMUTATIONS = 2000


@dataclass(frozen=True)
class Gain:
    """The relative reduction of the test error, by seed, of a target that began with a source.

    SPoT's measure (Vu et al. 2022): 0.1 is a tenth of the errors fewer than without
    transfer, -0.1 a tenth more. Of each seed it is taken to the mean error over `by_seed`.
    """

    target: str
    source: str
    by_seed: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Over seeds: the reduction of the mean error."""
        return fmean(self.by_seed.values())


def source_of(run: Run) -> str | None:
    """The source that a run began with, if it was one alone."""
    return run.method.removeprefix(FROM) if run.method.startswith(FROM) else None


def gains(chosen: Iterable[Run]) -> list[Gain]:
    """Of selected runs of one number of shots what each source gained each target.

    Over the seeds that were run both ways; none where these made no error without transfer.
    """
    runs = list(chosen)
    without = {(run.task, run.seed): error(run) for run in runs if run.method == BASELINE}
    errors: dict[tuple[str, str], dict[int, float]] = {}
    for run in runs:
        source = source_of(run)
        if source is not None and (run.task, run.seed) in without:
            errors.setdefault((run.task, source), {})[run.seed] = error(run)
    found = []
    for (target, source), by_seed in errors.items():
        before = {seed: without[target, seed] for seed in by_seed}
        if usual := fmean(before.values()):
            reduced = {seed: (before[seed] - one) / usual for seed, one in by_seed.items()}
            found.append(Gain(target, source, reduced))
    return found


def error(run: Run) -> float:
    """The share of test rows that are wrong."""
    return 1 - run.test.accuracy


def matrix(
    values: Mapping[tuple[str, str], float], rows: Sequence[str], columns: Sequence[str]
) -> NDArray[np.float64]:
    """Values by (row, column) as [R, C]; NaN where there is none."""
    found = [[values.get((row, column), np.nan) for column in columns] for row in rows]
    return np.array(found, np.float64).reshape(len(rows), len(columns))


@dataclass(frozen=True)
class Correlation:
    """Pearson's `r` of `n` points, and how often chance gives one as far from 0."""

    r: float
    n: int
    p: float


def correlation(x: Floats, y: Floats) -> Correlation | None:
    """Of x and y, [G, S, N]: S sources of G targets, each with N seeds; NaN where one lacks.

    Both are taken from their target's mean, as targets differ in how near all sources are. The
    p-value is that of permuting sources within each target, the seeds of a source together:
    they are no points of their own. None where there are too few points, or x or y are constant.
    """
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < FEWEST:
        return None
    generator = np.random.default_rng(GENERATOR_SEED)
    r = _pearson(x, y, there)
    if r is None:
        return None
    far = 0
    for _ in range(PERMUTATIONS):
        mixed = np.stack([one[generator.permutation(len(one))] for one in y])
        other = _pearson(x, mixed, np.isfinite(x) & np.isfinite(mixed))
        far += other is not None and abs(other) >= abs(r) - 1e-12
    return Correlation(r, int(there.sum()), (far + 1) / (PERMUTATIONS + 1))


def _pearson(x: Floats, y: Floats, there: NDArray[np.bool_]) -> float | None:
    """Pearson's r of the points that are `there`, from the mean of each target (first axis)."""
    count = np.maximum(there.sum((1, 2), keepdims=True), 1)
    apart = []
    for one in (x, y):
        kept = np.where(there, one, 0.0)
        apart.append(np.where(there, kept - kept.sum((1, 2), keepdims=True) / count, 0.0))
    size = float(np.sqrt((apart[0] ** 2).sum() * (apart[1] ** 2).sum()))
    return float((apart[0] * apart[1]).sum()) / size if size > 1e-12 else None
