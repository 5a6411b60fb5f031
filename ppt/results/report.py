"""Results, from a folder or from memory: read, selected and summed up."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ppt.base.extras import cure, is_there, need
from ppt.base.files import given
from ppt.errors import InputError
from ppt.results.lines import read_lines
from ppt.results.predictions import Examples, example_runs, examples_of, read_predictions
from ppt.results.rows import BASELINE, Row, find_baseline, result_rows
from ppt.results.run import Run
from ppt.results.selection import PREDICTIONS, RESULTS, check_labels, doubts, selected
from ppt.results.tables import overviews, to_markdown


@dataclass(frozen=True)
class Results:
    """Runs in the order they ended, and what a reader must be told of them."""

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()

    def selected(self) -> tuple[Run, ...]:
        """Of each task, method, number of shots and seed the run that validated best."""
        return selected(self.runs)

    def rows(self, metric: str = "accuracy", baseline: str | None = None) -> tuple[Row, ...]:
        """Means over seeds of the selected, and differences in `metric` to the `baseline`.

        `baseline` None: `BASELINE` where it was run, else none. Raises UnknownNameError.
        """
        chosen = self.selected()
        return result_rows(chosen, metric=metric, baseline=find_baseline(chosen, baseline))

    def table(self, metric: str = "accuracy", baseline: str | None = None) -> str:
        """Methods down, tasks across, a table for each number of shots; text, and Markdown."""
        return "\n".join(map(to_markdown, overviews(self.rows(metric, baseline))))

    def to_pandas(self) -> Any:
        """A DataFrame with a row a run, its columns those of `Run.flat`.

        Raises ConfigError where pandas is not installed.
        """
        need("pandas", "to_pandas()")
        import pandas as pd

        return pd.DataFrame([run.flat() for run in self.runs])


@dataclass(frozen=True)
class Report:
    """What a page is made of: all runs, of them the selected, their rows, examples, notes."""

    runs: tuple[Run, ...]
    chosen: tuple[Run, ...]
    rows: tuple[Row, ...]
    examples: tuple[Examples, ...]
    notes: tuple[str, ...]


def results_of(
    runs: Iterable[Run], notes: Iterable[str] = (), place: str = "the results"
) -> Results:
    """Runs from anywhere with the notes that they call for.

    Raises InputError, which names their `place`, where a task has several sets of labels.
    """
    kept = tuple(runs)
    check_labels(kept, place)
    return Results(kept, (*notes, *doubts(kept)))


def read_results(folder: Path | str) -> Results:
    """Read ``folder/results.jsonl``; raises InputError where there is none or it is broken."""
    path = given(folder) / RESULTS
    lines = read_lines(path)
    if not lines.runs:
        raise InputError(f"{path} holds no finished run: let python -m ppt.fewshot end one first.")
    return results_of(lines.runs.values(), lines.notes, str(path))


def report_of(
    results: Results,
    predictions: pa.Table | None = None,
    *,
    metric: str = "accuracy",
    baseline: str | None = None,
) -> Report:
    """Sum up results; `predictions` are rows of `PREDICTION_COLUMNS`.

    Raises InputError where there are no runs, UnknownNameError for the metric and the baseline.
    """
    if not results.runs:
        raise InputError("there are no runs to report: give results of one or more.")
    chosen, rows = results.selected(), results.rows(metric, baseline)
    examples = () if predictions is None else examples_of(predictions, example_runs(chosen))
    notes = list(results.notes)
    if rows[0].baseline is None:
        notes.append(f"No run of {BASELINE}: no differences. Name a --baseline to have them.")
    if missing := sum(not one.predictions for one in examples):
        notes.append(f"{PREDICTIONS} has no rows of {missing} of the runs that examples are from.")
    return Report(results.runs, chosen, rows, examples, tuple(notes))


def make_report(folder: Path, *, metric: str = "accuracy", baseline: str | None = None) -> Report:
    """The same of a results folder; raises InputError too, for files that cannot be read."""
    results = read_results(folder)
    predictions = read_predictions(folder, example_runs(results.selected()))
    notes = list(results.notes)
    if predictions is None:
        notes.append(f"There is no {PREDICTIONS}, so no example predictions.")
    if not is_there("matplotlib"):
        notes.append(f"There are no plots, as matplotlib is missing: {cure('matplotlib')}.")
    results = replace(results, notes=tuple(notes))
    return report_of(results, predictions, metric=metric, baseline=baseline)
