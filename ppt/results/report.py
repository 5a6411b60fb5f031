"""A results folder read, selected and summed up: what tables and pages are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppt.base.extras import cure, is_there
from ppt.results.predictions import Examples, example_runs, read_examples
from ppt.results.rows import BASELINE, Row, find_baseline, result_rows
from ppt.results.run import Run
from ppt.results.selection import PREDICTIONS, read_results, selected


@dataclass(frozen=True)
class Report:
    """What a page is made of: all runs, of them the selected, their rows, examples, notes."""

    title: str
    runs: Sequence[Run]
    chosen: Sequence[Run]
    rows: Sequence[Row]
    examples: Sequence[Examples]
    notes: Sequence[str]


def make_report(folder: Path, *, metric: str = "accuracy", baseline: str | None = None) -> Report:
    """Read a results folder; `baseline` None: `BASELINE` where it was run, else none.

    Raises InputError for files that cannot be read, UnknownNameError for the baseline.
    """
    results = read_results(folder)
    chosen = selected(results.runs)
    baseline = find_baseline(chosen, baseline)
    examples = read_examples(folder, example_runs(chosen))
    notes = list(results.notes)
    if baseline is None:
        notes.append(f"No run of {BASELINE}: no differences. Name a --baseline to have them.")
    missing = sum(not one.predictions for one in examples)
    if not examples:
        notes.append(f"There is no {PREDICTIONS}, so no example predictions.")
    elif missing:
        notes.append(f"{PREDICTIONS} has no rows of {missing} of the runs that examples are from.")
    if not is_there("matplotlib"):
        notes.append(f"There are no plots, as matplotlib is missing: {cure('matplotlib')}.")
    rows = result_rows(chosen, metric=metric, baseline=baseline)
    return Report("Few-shot results", results.runs, chosen, rows, examples, notes)
