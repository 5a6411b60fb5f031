"""`--exclude`: the texts of tasks and files that a study tests on, read before a build."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.config import ExcludedSource
from ppt.base.text import normalise
from ppt.corpus.exclusion import Excluded
from ppt.errors import ConfigError, InputError, did_you_mean
from ppt.tasks.cells import BadRow
from ppt.tasks.folders import held_out_files
from ppt.tasks.readers import EXPECTED, Table, is_data_file, read_hub, read_table, read_tables
from ppt.tasks.spec import Hub
from ppt.tasks.table import TASKS
from ppt.tasks.unpacked import lines

_LINES = (".txt", ".lines")
"""Ends of the names of files that have a row a line."""


def read_excluded(
    names: Sequence[str], data_dir: str | None
) -> tuple[Excluded, tuple[ExcludedSource, ...]]:
    """The texts of all `names`, and what is told of each. Raises PPTError.

    A name is a task's or a file's. Of a task all splits of ``data_dir/<name>/`` but the
    training data are read, or from the hub the split that few-shot tuning tests on. A text is
    whatever is one in a row: each cell, of lists each item.
    """
    places: list[tuple[str, str]] = []
    texts: list[str] = []
    told: dict[str, tuple[int, int]] = {}
    for given in names:
        table, name = _table(given, data_dir), Path(given).name
        if name in told:
            raise ConfigError(f"--exclude: two are called {name!r}: give each once, or rename one.")
        found = [(place, text) for place, row in table.rows for text in _texts(row)]
        if not found:
            raise InputError(f"--exclude {given}: {table.source} has no texts: expected rows.")
        told[name] = (len(found), sum(isinstance(row, BadRow) for _, row in table.rows))
        places += [(name, place) for place, _ in found]
        texts += [normalise(text) for _, text in found]  # as documents are
    excluded = Excluded.of(places, texts)
    sources = [
        ExcludedSource(name, *counts, excluded.digest(name)) for name, counts in told.items()
    ]
    return excluded, tuple(sources)


def _table(name: str, data_dir: str | None) -> Table:
    path = Path(name)
    if name in TASKS:
        if data_dir is not None:
            return read_tables(held_out_files(name, Path(data_dir)))
        source = TASKS[name].source
        if isinstance(source, Hub) and source.id:
            cure = f"put {name}/{source.splits[1]}.jsonl into a folder and give it as --data_dir."
            return read_hub(source.id, source.config, source.splits[1], cure)
        raise InputError(f"--exclude {name}: it is on no hub that we know: give --data_dir.")
    if path.is_file() and path.suffix.lower() in _LINES:
        rows = ((f"line {n}", {"text": line}) for n, line in enumerate(lines(path), start=1))
        return Table(name, ("text",), tuple(row for row in rows if row[1]["text"].strip()))
    if path.is_file() and is_data_file(name):
        return read_table(path)
    known = did_you_mean(name, TASKS)
    raise ConfigError(
        f"--exclude: got {name!r}, expected the name of a task ({', '.join(TASKS)}) or a file that"
        f" ends in {EXPECTED}, .txt or .lines.{known}"
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
