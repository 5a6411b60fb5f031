"""A library and a grid's results, compared: what is near, what gained, whether these agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np

from ppt.base.names import is_name
from ppt.errors import InputError
from ppt.prompts.early import read_early
from ppt.prompts.files import read_card
from ppt.results.folder import embedding_file
from ppt.results.rows import BASELINE
from ppt.results.run import Run
from ppt.results.selection import best_validated, distinct
from ppt.results.transfer import Correlation, Gain, correlation, error, gains, source_of
from ppt.transfer.similarity import Matrix, similarities
from ppt.transfer.sources import Source

Point = tuple[str, float, float]
"""(source, similarity, gain) of a target and a seed."""


@dataclass(frozen=True)
class Top:
    """Mean errors over `seeds`: without transfer, and with the best of the nearest sources.

    Which of them is best each seed's validation tells, never the test. The seeds are those that
    were run from the most sources, so that they are the same for all numbers of sources.
    """

    before: float
    after: float
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """Of one number of shots: the selected `runs`, the `gains` of their sources, `near`: the
    similarity of (target, source, seed), and the early `steps` by which targets are known.
    """

    shots: int
    runs: tuple[Run, ...]
    gains: tuple[Gain, ...]
    near: Mapping[tuple[str, str, int], float]
    steps: frozenset[int] = frozenset()

    @property
    def untold(self) -> list[str]:
        """Targets with runs from sources, and nothing that these could gain."""
        begun = (run.task for run in self.runs if source_of(run))
        return [task for task in dict.fromkeys(begun) if task not in self.targets]

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets that any source gained something, or lost."""
        return tuple(dict.fromkeys(one.target for one in self.gains))

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the runs, in their order."""
        return tuple(dict.fromkeys(one.source for one in self.gains))

    def similarity(self, target: str, source: str) -> float | None:
        """The mean over seeds."""
        own = [near for (t, s, _), near in self.near.items() if (t, s) == (target, source)]
        return fmean(own) if own else None

    def points(self, target: str) -> list[Point]:
        """The points of a target whose similarity and gain are both known."""
        return [
            (one.source, self.near[target, one.source, seed], gain)
            for one in self.gains if one.target == target
            for seed, gain in one.by_seed.items() if (target, one.source, seed) in self.near
        ]  # fmt: skip

    @cached_property
    def correlations(self) -> dict[str | None, Correlation | None]:
        """Of similarity and gain, by target; of all together under None."""
        grids = {target: self._grids(target) for target in self.targets}
        found: dict[str | None, Correlation | None] = {
            target: correlation(x[None], y[None]) for target, (x, y) in grids.items()
        }
        if len(grids) > 1:
            together = (np.stack([pair[side] for pair in grids.values()]) for side in (0, 1))
            found[None] = correlation(*together)
        return found

    def _grids(self, target: str) -> tuple[Matrix, Matrix]:
        """Similarities and gains of a target, [sources, seeds]; NaN where there is none."""
        seeds = sorted(distinct(self.runs, "seed"))
        known = {one.source: one.by_seed for one in self.gains if one.target == target}
        x = [[self.near.get((target, s, seed), np.nan) for seed in seeds] for s in self.sources]
        y = [[known.get(s, {}).get(seed, np.nan) for seed in seeds] for s in self.sources]
        return np.array(x, np.float64), np.array(y, np.float64)

    def top(self, target: str, k: int | None) -> Top | None:
        """The best of a target's `k` nearest sources, or of all; None where there are fewer."""
        tried = self._tried(target)
        if not tried or len(tried[0][1]) < (k or 1):
            return None
        after = [error(best_validated(near[:k])) for _, near in tried]
        return Top(fmean(error(base) for base, _ in tried), fmean(after), len(tried))

    def _tried(self, target: str) -> list[tuple[Run, list[Run]]]:
        """The run without transfer and those from sources, the nearest first, of each seed that
        has the most of them.
        """
        own = [run for run in self.runs if run.task == target]
        tried = []
        for base in (run for run in own if run.method == BASELINE):
            near = {
                (-self.near[place], place[1]): run
                for run in own if run.seed == base.seed
                if (place := (target, source_of(run) or "", base.seed)) in self.near
            }  # fmt: skip
            tried.append((base, [near[key] for key in sorted(near)]))
        most = max((len(near) for _, near in tried), default=0)
        return [pair for pair in tried if len(pair[1]) == most]


def compare(
    sources: Sequence[Source], runs: Sequence[Run], folder: Path, shots: int, measure: str
) -> Comparison:
    """Of selected `runs` of one number of shots, whose targets' embeddings are in `folder`.

    Raises InputError where these are of another backbone than the sources.
    """
    near: dict[tuple[str, str, int], float] = {}
    steps = set()
    for task, seed in dict.fromkeys((run.task, run.seed) for run in runs):
        file = embedding_file(folder, task, shots, seed)
        early = read_early(file) if is_name(task) else None  # the name is of another's file
        if early is None or not sources:
            continue
        size, wanted = early.value.shape[1], sources[0].embedding.shape[1]
        if size != wanted:
            raise InputError(
                f"{file} has hidden size {size}, the sources have {wanted}: give results and a"
                " library of one backbone."
            )
        steps.add(early.step)
        row = similarities([early.value], [one.embedding for one in sources], measure)[0]
        near |= {(task, one.name, seed): float(s) for one, s in zip(sources, row, strict=True)}
    return Comparison(shots, tuple(runs), tuple(gains(runs)), near, frozenset(steps))


def of_other_prompts(sources: Sequence[Source], runs: Sequence[Run], folder: Path) -> list[str]:
    """Sources whose runs began with another prompt than that of the library, by adapters' cards."""
    known = {one.name: one.prompt.digest for one in sources}
    begun = {(source_of(run), run.adapter) for run in runs if run.adapter}
    told = (
        (name, read_card(folder / adapter).get("source_digest"))
        for name, adapter in sorted(begun, key=str) if name in known
    )  # fmt: skip
    return sorted({name for name, digest in told if digest not in {None, known[name]}})
