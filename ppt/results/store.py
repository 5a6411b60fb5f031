"""The results folder while a grid runs: rows are appended, and never twice.

The predictions and adapters of a bank of trials are written first, its rows then in one
write. So a process killed at any moment leaves whole rows, whose files are all there; a
last line that a full disk cut off is removed with the next, and its trial made again.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ppt.base.files import TO_GO_ON, appearing, synced, write_atomically, writing
from ppt.errors import InputError, OutputError, first_line
from ppt.results.folder import GRID, PARTS
from ppt.results.lines import Lines, read_lines
from ppt.results.predictions import PREDICTION_COLUMNS
from ppt.results.run import Run
from ppt.results.selection import PREDICTIONS, RESULTS
from ppt.results.trial import Trial, place_of


class Store:
    """Where finished runs go: `runs` by id in the order they ended; files only in a `folder`.

    `notes` are what must be told of the file. These runs are kept in memory alone.
    """

    folder: Path | None = None

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.notes: tuple[str, ...] = ()

    def begin(self) -> None:
        """What is to be done before the first run."""

    def missing(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials without a run."""
        return [one for one in trials if one.id not in self.runs]

    def add(self, runs: Sequence[Run], parts: Mapping[str, pa.Table]) -> None:  # noqa: ARG002
        """Take finished runs, and what they predicted by id."""
        self.runs |= {run.run: run for run in runs}


class ResultStore(Store):
    """`runs` are those in ``results.jsonl`` of the folder.

    With `anew` there are none: what is there is not read, and goes when the grid `begin`s.
    """

    folder: Path

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        self.folder = folder
        self._path, self._anew = folder / RESULTS, anew
        lines = Lines() if anew or not self._path.exists() else read_lines(self._path)
        self.runs, self.notes = dict(lines.runs), lines.notes
        self._size, self._whole, self._gap = lines.size, lines.whole, lines.gap

    def begin(self) -> None:
        """Remove what is to go."""
        if self._anew:
            GRID.clear(self.folder)

    def missing(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials without a row; raises OutputError where one was made from other things."""
        known: dict[tuple[Any, ...], set[str]] = {}
        for id_, run in self.runs.items():
            known.setdefault(place_of(run), set()).add(id_)
        for one in trials:
            if known.get(place_of(one), set()) - {one.id}:
                raise OutputError(
                    f"{self._path} has {one.task}, {one.method}, {one.shots} shots, seed"
                    f" {one.seed} with another prompt, data or program (or of a version that named"
                    " runs otherwise): give another --output_dir, remove those lines, or"
                    " --overwrite_output_dir to begin anew."
                )
        return super().missing(trials)

    def add(self, runs: Sequence[Run], parts: Mapping[str, pa.Table]) -> None:
        """Write the predictions (by id of the trial), then append the rows at once."""
        for id_, table in parts.items():
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd")
            write_atomically(self._part(id_), sink.getvalue().to_pybytes())
        self._append(self._gap + "".join(f"{run.line()}\n" for run in runs).encode())
        super().add(runs, parts)

    def write_predictions(self) -> Path:
        """Put the parts of all rows together, in their order, as one file."""
        path = self.folder / PREDICTIONS
        try:
            with (
                appearing(path) as scratch,
                synced(scratch) as file,
                pq.ParquetWriter(file, PREDICTION_COLUMNS, compression="zstd") as writer,
            ):
                for id_ in self.runs:
                    with self._part(id_).open("rb") as part:
                        writer.write_table(pq.read_table(part, schema=PREDICTION_COLUMNS))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise OutputError(
                f"cannot write {path}: {first_line(error)}: free some space; or, where a"
                f" file of {PARTS}/ is broken, remove the line of its run from {RESULTS}."
            ) from error
        return path

    def _append(self, data: bytes) -> None:
        """Add whole lines after those that were read or written, and wait for the disk."""
        if (self._path.stat().st_size if self._path.exists() else 0) != self._size:
            raise OutputError(
                f"{self._path} was changed meanwhile, by another process it seems: give each its"
                " own --output_dir, and run this command again to go on."
            )
        with writing(self._path, TO_GO_ON), self._path.open("ab") as file:
            file.truncate(self._whole)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._whole += len(data)
        self._size, self._gap = self._whole, b""

    def _part(self, id_: str) -> Path:
        return self.folder / PARTS / f"{id_}.parquet"


def open_store(folder: Path, trials: Iterable[Trial], *, overwrite: bool) -> ResultStore:
    """The store of `folder`; with `overwrite` anew, unless its runs are a beginning of `trials`.

    So an interrupted command goes on when it is given again: that ends in the same rows.
    """
    if not overwrite:
        return ResultStore(folder)
    try:
        store = ResultStore(folder)
    except InputError:  # rows that cannot be read go as well
        return ResultStore(folder, anew=True)
    # Without a run, what lies there may be the rest of a grid that was being removed.
    begun = bool(store.runs) and store.runs.keys() < {one.id for one in trials}
    return store if begun else ResultStore(folder, anew=True)
