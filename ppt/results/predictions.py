"""Examples of predictions: of each task and method the surest mistakes and the least sure hits.

The choice is the same for the same files: the selected run with the most shots, of its
seeds the lowest; wrong rows by falling probability, right ones by rising, equals by id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ppt.base.files import require_file
from ppt.base.pages import bounded_table
from ppt.base.text import shortened
from ppt.errors import InputError, first_line
from ppt.results.run import Run
from ppt.results.selection import PREDICTIONS, distinct, methods_of

WRONG, RIGHT = 3, 2
LONGEST = 700
"""Characters of a text; of a longer one its two ends are shown."""

PREDICTION_COLUMNS = pa.schema(
    {
        "run": pa.string(),
        "task": pa.string(),
        "method": pa.string(),
        "shots": pa.int32(),
        "seed": pa.int32(),
        "learning_rate": pa.float64(),
        "id": pa.string(),
        "text": pa.string(),
        "label": pa.string(),
        "prediction": pa.string(),
        "probability": pa.float32(),
        "correct": pa.bool_(),
    }
)
"""A row of predictions: which run, which test row, and what was said of it."""

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


SHOWN = pa.schema([PREDICTION_COLUMNS.field(name) for name in ("run", *Prediction.__annotations__)])
_NOTHING = {pa.string(): "", pa.float32(): 0.0, pa.bool_(): False}
"""What stands for null, by type."""


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


def read_predictions(folder: Path, runs: Sequence[Run]) -> pa.Table | None:
    """The rows of `runs` in ``folder/predictions.parquet``; None where there is no file.

    Raises InputError where the file cannot be read.
    """
    path = folder / PREDICTIONS
    try:
        if not path.exists():
            return None
        require_file(path)
        of_runs = pc.field("run").isin([run.run for run in runs])
        with path.open("rb") as file:
            found = bounded_table(file, SHOWN.names, of_runs).cast(SHOWN)
        found.validate(full=True)
        return found
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"cannot read {path}: {first_line(error)}: let python -m ppt.fewshot write it"
            " anew, or move it away to get a report without examples."
        ) from error


def examples_of(predictions: pa.Table, runs: Sequence[Run]) -> tuple[Examples, ...]:
    """Examples of `runs` from rows of `PREDICTION_COLUMNS`."""
    columns = [predictions[one.name].fill_null(_NOTHING[one.type]) for one in SHOWN]
    known = pa.table(columns, schema=SHOWN)
    return tuple(Examples(run, _chosen(known, run)) for run in runs)


def _chosen(table: pa.Table, run: Run) -> tuple[Prediction, ...]:
    own = table.filter(pc.equal(table["run"], run.run)).drop_columns("run")
    ids, correct = own["id"].to_numpy(), own["correct"].to_numpy()
    sure = np.nan_to_num(own["probability"].to_numpy())
    order = sorted(range(len(own)), key=lambda i: (sure[i] if correct[i] else -sure[i], ids[i]))
    wrong = [i for i in order if not correct[i]][:WRONG]
    right = [i for i in order if correct[i]][:RIGHT]
    shown = own.take(pa.array([*wrong, *right], pa.int64()))
    return tuple(
        Prediction(**{**row, "text": shortened(row["text"], LONGEST)}) for row in shown.to_pylist()
    )
