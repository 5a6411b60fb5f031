"""Examples of predictions: of each task and method the surest mistakes and the least sure hits.

The choice is the same for the same files: the selected run with the most shots, of its
seeds the lowest; wrong rows by falling probability, right ones by rising, equals by id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ppt.errors import InputError, first_line
from ppt.results.run import Run
from ppt.results.selection import PREDICTIONS, distinct, methods_of

WRONG, RIGHT = 3, 2
LONGEST = 700
"""Characters of a text; of a longer one its two ends are shown."""

COLUMNS = pa.schema(
    [
        ("run", pa.string()),
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("prediction", pa.string()),
        ("probability", pa.float64()),
        ("correct", pa.bool_()),
    ]
)

CHOICE = (
    f"Of each task and method the run with the most shots and the lowest seed: the {WRONG} wrong"
    f" predictions of highest probability, the {RIGHT} right ones of lowest."
)


@dataclass(frozen=True)
class Prediction:
    """A row of predictions.parquet; `text` may be shortened."""

    id: str
    text: str
    label: str
    prediction: str
    probability: float
    correct: bool


@dataclass(frozen=True)
class Examples:
    """The predictions of one run that are shown; none where the file has no row of it."""

    run: Run
    predictions: tuple[Prediction, ...]


def example_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Of each task and method the selected run whose predictions are shown."""
    chosen = []
    for task in distinct(runs, "task"):
        for method in methods_of(runs):
            own = [run for run in runs if (run.task, run.method) == (task, method)]
            chosen += sorted(own, key=lambda run: (-run.shots, run.seed))[:1]
    return tuple(chosen)


def read_examples(folder: Path, runs: Sequence[Run]) -> tuple[Examples, ...]:
    """Examples of `runs` from ``folder/predictions.parquet``; none where there is no file.

    Raises InputError where the file cannot be read.
    """
    path = folder / PREDICTIONS
    if not path.exists():
        return ()
    try:
        table = pq.read_table(
            path, columns=COLUMNS.names, filters=pc.field("run").isin([run.run for run in runs])
        ).cast(COLUMNS)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InputError(
            f"cannot read {path}: {first_line(error)}: let python -m ppt.fewshot write it"
            " anew, or move it away to get a report without examples."
        ) from error
    return tuple(Examples(run, _chosen(table, run)) for run in runs)


def shortened(text: str, limit: int = LONGEST) -> str:
    """The text, or its two ends where it is longer than `limit` characters."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} […] {text[-half:]}"


def _chosen(table: pa.Table, run: Run) -> tuple[Prediction, ...]:
    own = table.filter(pc.equal(table["run"], run.run))
    correct = own["correct"].fill_null(False).to_numpy()
    sure = np.nan_to_num(own["probability"].fill_null(0).to_numpy())
    order = np.argsort(own["id"].fill_null("").to_numpy())
    wrong = [i for i in order if not correct[i]]
    right = [i for i in order if correct[i]]
    wrong.sort(key=lambda i: -sure[i])  # a stable sort: equals stay by id
    right.sort(key=lambda i: sure[i])
    shown = own.take(pa.array([*wrong[:WRONG], *right[:RIGHT]], pa.int64()))
    return tuple(_prediction(row) for row in shown.to_pylist())


def _prediction(row: dict[str, Any]) -> Prediction:
    id_, text, label, prediction = (row[name] or "" for name in COLUMNS.names[1:5])
    sure, correct = row["probability"] or 0.0, bool(row["correct"])
    return Prediction(id_, shortened(text), label, prediction, sure, correct)
