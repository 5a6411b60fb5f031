"""Selected runs → a row for each task, number of shots and method, ready for any table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppt.errors import require_known
from ppt.results.run import Run
from ppt.results.selection import METRICS, at_shots, distinct, methods_of, shots_of
from ppt.results.statistics import Summary, paired_difference, summary

BASELINE = "prompt_tuning"
"""What differences are taken to where nothing else is asked for."""

MIN_PAIRS = 5
"""With fewer pairs no difference is marked: intervals of 2 leave out 0 half of the time."""

Values = dict[tuple[str, int], float]
"""(task, seed) → score, of one method at one number of shots."""


@dataclass(frozen=True)
class Row:
    """Scores of a method over seeds; `task` None: the mean over all tasks of each seed.

    `scores` has a summary for each of `METRICS`, `difference` is that of `metric` to the
    `baseline` over common seeds: None for the baseline itself and where there are none.
    """

    task: str | None
    shots: int
    method: str
    metric: str
    baseline: str | None
    scores: Mapping[str, Summary]
    difference: Summary | None

    @property
    def mark(self) -> str:
        """▲ or ▼ where the interval of `MIN_PAIRS` differences or more leaves out 0."""
        one = self.difference
        if one is None or one.n < MIN_PAIRS or one.low is None or one.high is None:
            return ""
        return "▲" if one.low > 0 else "▼" if one.high < 0 else ""


def find_baseline(runs: Sequence[Run], name: str | None) -> str | None:
    """The baseline: `name`, else `BASELINE` where it was run; raises UnknownNameError."""
    methods = methods_of(runs)
    if name is not None:
        require_known("baseline", name, methods)
    return name or (BASELINE if BASELINE in methods else None)


def result_rows(
    runs: Sequence[Run], *, metric: str = "accuracy", baseline: str | None = None
) -> tuple[Row, ...]:
    """Rows by shots, then task, then method; last of a number of shots the means over tasks.

    `runs` are selected ones. A mean over tasks stands only where there are two tasks or
    more and the method has all of them, for some seed. Raises UnknownNameError for `metric`.
    """
    require_known("metric", metric, METRICS)
    return tuple(
        row
        for shots in shots_of(runs)
        for row in _rows(at_shots(runs, shots), distinct(runs, "task"), shots, metric, baseline)
    )


def _rows(
    runs: Sequence[Run], tasks: Sequence[str], shots: int, metric: str, baseline: str | None
) -> list[Row]:
    scores = {name: {one: _values(runs, name, one) for one in METRICS} for name in methods_of(runs)}
    rows = []
    for task in (*tasks, None) if len(tasks) > 1 else tasks:
        base = _of(scores[baseline][metric], task, tasks) if baseline in scores else {}
        for name, by_metric in scores.items():
            values = {one: _of(by_metric[one], task, tasks) for one in METRICS}
            if not values[metric]:
                continue
            difference = None if name == baseline else paired_difference(values[metric], base)
            summaries = {one: summary([*numbers.values()]) for one, numbers in values.items()}
            rows.append(Row(task, shots, name, metric, baseline, summaries, difference))
    return rows


def _values(runs: Iterable[Run], method: str, metric: str) -> Values:
    own = (run for run in runs if run.method == method)
    return {(run.task, run.seed): float(getattr(run.test, metric)) for run in own}


def _of(values: Values, task: str | None, tasks: Sequence[str]) -> Values:
    """Those of `task`; of None the means over `tasks`, for the seeds that have all of them."""
    if task is not None:
        return {key: value for key, value in values.items() if key[0] == task}
    seeds = dict.fromkeys(seed for _, seed in values)
    whole = [seed for seed in seeds if all((one, seed) in values for one in tasks)]
    return {("", seed): float(np.mean([values[one, seed] for one in tasks])) for seed in whole}
