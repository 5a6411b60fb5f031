"""The results folder while a grid runs: rows are appended, and never twice.

The predictions and adapters of a bank of trials are written first, its rows then in one
write. So a process killed at any moment leaves whole rows, whose files are all there; a
last line that a full disk cut off is removed, and its trial made again.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ppt.base.files import appearing, synced, write_atomically
from ppt.errors import InputError, OutputError
from ppt.results.folder import PARTS, clear
from ppt.results.selection import PREDICTIONS, RESULTS
from ppt.results.trial import Trial

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


class ResultStore:
    """`rows` are those in ``results.jsonl``, by id, in the order they ended.

    With `anew` they are none: what is there is not read, and goes when the grid `begin`s.
    """

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        self.folder, self._path, self._anew = folder, folder / RESULTS, anew
        self.rows, self._whole, self._size = ({}, 0, 0) if anew else _read(self._path)

    def begin(self) -> None:
        """Remove what is to go."""
        if self._anew:
            clear(self.folder)

    def missing(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials without a row; raises OutputError where one was made from other things."""
        known = {
            (row["task"], row["method"], row["shots"], row["seed"], row["learning_rate"]): id_
            for id_, row in self.rows.items()
        }
        for one in trials:
            if known.get(one.place, one.id) != one.id:
                raise OutputError(
                    f"{self._path} has {one.task}, {one.method}, {one.shots} shots, seed"
                    f" {one.seed} with another prompt, data or program: give another"
                    " --output_dir, remove those lines, or --overwrite_output_dir to begin anew."
                )
        return [one for one in trials if one.id not in self.rows]

    def add(self, rows: Sequence[Mapping[str, Any]], parts: Mapping[str, pa.Table]) -> None:
        """Write the predictions (by id of the trial), then append the rows at once."""
        for id_, table in parts.items():
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd")
            write_atomically(self._part(id_), sink.getvalue().to_pybytes())
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        self._append(data)
        self.rows |= {row["run"]: dict(row) for row in rows}

    def write_predictions(self) -> Path:
        """Put the parts of all rows together, in their order, as one file."""
        path = self.folder / PREDICTIONS
        try:
            with (
                appearing(path) as scratch,
                synced(scratch) as file,
                pq.ParquetWriter(file, PREDICTION_COLUMNS, compression="zstd") as writer,
            ):
                for id_ in self.rows:
                    writer.write_table(pq.read_table(self._part(id_), schema=PREDICTION_COLUMNS))
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error}.") from error
        return path

    def _append(self, data: bytes) -> None:
        """Add whole lines after those that were read or written, and wait for the disk."""
        if (self._path.stat().st_size if self._path.exists() else 0) != self._size:
            raise OutputError(
                f"{self._path} was changed meanwhile, by another process it seems: give each its"
                " own --output_dir, and run this command again to go on."
            )
        try:
            with self._path.open("ab") as file:
                file.truncate(self._whole)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror}: free some space and run the same"
                " command again to go on."
            ) from error
        self._whole += len(data)
        self._size = self._whole

    def _part(self, id_: str) -> Path:
        return self.folder / PARTS / f"{id_}.parquet"


def open_store(folder: Path, trials: Iterable[Trial], *, overwrite: bool) -> ResultStore:
    """The store of `folder`; with `overwrite` anew, unless its rows are a beginning of `trials`.

    So an interrupted command goes on when it is given again: that ends in the same rows.
    """
    if not overwrite:
        return ResultStore(folder)
    try:
        store = ResultStore(folder)
    except InputError:  # rows that cannot be read go as well
        return ResultStore(folder, anew=True)
    begun = set(store.rows) < {one.id for one in trials}
    return store if begun else ResultStore(folder, anew=True)


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], int, int]:
    """The rows of a file by id, the bytes of its whole lines, and all its bytes."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, 0, 0
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    rows, whole = {}, data.rfind(b"\n") + 1
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
            rows[str(row["run"])] = row
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number} is no row of results ({error}): remove that line."
            ) from error
    return rows, whole, len(data)
