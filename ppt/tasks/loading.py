"""The rows of labelled tasks: read, checked, counted, and drawn for a few-shot run.

`load_rows` makes `Example` rows of a task's data. No row is lost in silence: read =
kept + rejected, each reject with its reason and place. What is wrong with the data as a
whole (a column that no row has) is one error.

Texts that stand twice never reach two sides of a draw: of equal rows of the training
data one is kept, those whose labels disagree all leave, and so do those of the test.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ppt.errors import ConfigError, InputError, visible
from ppt.prompts.patterns import Example
from ppt.tasks.cells import BadRow
from ppt.tasks.folders import split_files
from ppt.tasks.readers import (
    MAX_ROWS,
    Table,
    listed,
    read_hub,
    read_table,
    read_tables,
    rows_table,
)
from ppt.tasks.rejects import RowReject, tally, usable_rows
from ppt.tasks.rows import FIRST, advised_answer, look, right_is_doubled, to_example
from ppt.tasks.spec import Files, Hub, Rows, Task
from ppt.tasks.splits import Split, draw, draw_all, held_out

TRAIN, TEST = "train", "test"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class FewShot:
    """The rows of one run; none of them stands on two sides."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True)
class TaskData:
    """The rows of a task. Without test data, `test` is empty: `few_shot` then tests on the rest.

    A row is an `Example` (text_a, text_b, options, label) with an `id`. `read` counts the
    rows of each split before rejects, `sources` tell where they came from, `notes` what is
    to be known of how they were read.
    """

    task: Task
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    rejects: tuple[RowReject, ...]
    read: Mapping[str, int]
    sources: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_shots(self) -> int:
        """The rows that train where all do, but for those that validate (``--shots all``).

        Raises InputError where one row is all there is, or none.
        """
        if len(self.train) < 2:
            raise InputError(
                f"task {self.task.name}: rows left to train: {len(self.train)}, expected 2 at least"
                f" (one to train, one to validate): add rows. {self.report().splitlines()[0]}"
            )
        return len(self.train) - held_out(len(self.train))

    def few_shot(self, shots: int, seed: int) -> FewShot:
        """Draw `shots` rows to train and as many to validate; raises InputError if too few.

        With `all_shots`, these: a tenth of the rows validates, and labels are as they are.
        """
        split = self.split(shots, seed)
        test = self.test
        if TEST not in self.sources:
            test = tuple(self.train[row] for row in split.rest(len(self.train)))
            if not test:
                raise InputError(
                    f"task {self.task.name}: --shots {shots} takes all {len(self.train)} rows, so"
                    f" none is left to test: lower --shots to {max(len(self.train) // 3, 1)}, add"
                    " rows, or name a test file."
                )
        train, validation = (
            tuple(self.train[row] for row in side) for side in (split.train, split.validation)
        )
        return FewShot(train, validation, test)

    def split(self, shots: int, seed: int) -> Split:
        """Which rows of `train` train and validate; raises InputError if there are too few."""
        ids = [row["id"] for row in self.train]
        try:
            if shots == self.all_shots and 2 * shots >= len(ids):
                return draw_all(seed, ids)
            return draw(
                [row["label"] for row in self.train],
                shots,
                seed,
                ids,
                balance=self.task.balance,
                names=[] if self.task.is_choice else [label.name for label in self.task.labels],
            )
        except InputError as error:
            raise InputError(f"task {self.task.name}: {error}") from None

    def report(self) -> str:
        """A line a split: rows read, kept and rejected, by reason."""
        lines = []
        for split, source in self.sources.items():
            reasons = [one.reason for one in self.rejects if one.split == split]
            kept = self.read[split] - len(reasons)
            parts = [f"{self.task.name} {split}: {kept:,} of {self.read[split]:,} rows of {source}"]
            parts += [f"not kept: {tally(reasons)}"] if reasons else []
            parts += [note] if (note := self.notes.get(split)) else []
            lines.append(visible("; ".join(parts)))
        return "\n".join(lines)


def load_rows(task: Task, data_dir: Path | None = None) -> TaskData:
    """Read a task's data: its own rows or files, or ``data_dir/<name>/``, or the hub.

    Raises InputError that says what is wrong with the data as a whole, and the cure.
    """
    return data_of(task, dict(_tables(task, data_dir)))


def data_of(task: Task, tables: Mapping[str, Table]) -> TaskData:
    """The rows of a task in the raw rows of `TRAIN` and, if there are any, `TEST`."""
    rejects: list[RowReject] = []
    if task.is_choice:
        _require_right_numbers(task, tables.values())
    kept = {split: _examples(task, split, table, rejects) for split, table in tables.items()}
    test = [row for _, row in kept.get(TEST, [])]
    train, doubles = without_duplicates(kept[TRAIN], test)
    notes = {split: [table.note] if table.note else [] for split, table in tables.items()}
    if again := len(test) - len({look(row) for row in test}):
        notes[TEST].append(f"{again:,} repeat the texts of another, and are kept")
    met = {row["label"] for row in test}
    never = [label.title for number, label in enumerate(task.labels) if number not in met]
    if test and never and not task.is_choice:
        notes[TEST].append(f"none has the label {listed(never)}")
    for split, rows in ((TRAIN, train), (TEST, test)):
        if twice := sum(map(right_is_doubled, rows)):
            notes[split].append(f"{twice:,} have the right option twice: the other counts as wrong")
    if task.is_choice and len({row["label"] for row in train}) == 1 < len(train):
        letter = task.words[train[0]["label"]]
        notes[TRAIN].append(
            f"the right option is always {letter}, which is easier to learn than"
            " the task: shuffle the options, or take --answers texts"
        )
    return TaskData(
        task,
        tuple(train),
        tuple(test),
        (*rejects, *doubles),
        {split: len(table.rows) for split, table in tables.items()},
        {split: table.source for split, table in tables.items()},
        {split: "; ".join(told) for split, told in notes.items() if told},
    )


def without_duplicates(
    train: Sequence[tuple[str, Example]], test: Sequence[Example]
) -> tuple[list[Example], list[RowReject]]:
    """Of `train` (rows with their places) those whose texts stand once, and in no test row.

    Texts are equal if they differ in white space, case and unseen signs only. Which of equal
    rows is kept does not depend on their order.
    """
    tested = {look(row) for row in test}
    keys = [look(row) for _, row in train]
    groups: dict[str, list[Example]] = {}
    for key, (_, row) in zip(keys, train, strict=True):
        groups.setdefault(key, []).append(row)
    torn = {key for key, same in groups.items() if len({row["label"] for row in same}) > 1}
    first = {key: min(same, key=_spelling) for key, same in groups.items()}
    kept, rejects = [], []
    for key, (place, row) in zip(keys, train, strict=True):
        if key in tested:
            reason = "in_test"
        elif key in torn:
            reason = "conflicting_labels"
        elif row is not first[key]:
            reason = "duplicate"
        else:
            kept.append(row)
            continue
        rejects.append(RowReject(TRAIN, place, reason, row["text_a"][:_SHOWN]))
    return kept, rejects


def _spelling(row: Example) -> tuple[str, str, str, Sequence[str]]:
    """What equal rows are told apart by."""
    return row["id"], row["text_a"], row["text_b"] or "", row["options"] or ()


def _examples(
    task: Task, split: str, table: Table, rejects: list[RowReject]
) -> list[tuple[str, Example]]:
    """The usable rows with their places; the others go to `rejects`."""
    kept, others = usable_rows(table, split, task.columns.all(), partial(to_example, task))
    rejects += others
    if task.columns.id:
        _require_own_ids(task.columns.id, kept, table)
    return kept


def _require_right_numbers(task: Task, tables: Iterable[Table]) -> None:
    """Refuse answers that are counted from another number than the task says."""
    records = (row for one in tables for _, row in one.rows if not isinstance(row, BadRow))
    if advice := advised_answer(task, records):
        raise ConfigError(
            f"answer: {task.answer} counts options from {FIRST[task.answer]}, but the column"
            f" {task.columns.label!r} counts from {FIRST[advice]}: write answer: {advice}."
        )


def _require_own_ids(column: str, rows: Sequence[tuple[str, Example]], table: Table) -> None:
    places: dict[str, str] = {}
    for place, row in rows:
        if row["id"] in places:
            raise InputError(
                f"{table.source}: {column} is {row['id']!r} on {places[row['id']]} and on {place}:"
                " expected a different id on each row; leave id out to have them made."
            )
        places[row["id"]] = place


def file_tables(files: Files) -> Iterator[tuple[str, Table]]:
    """The splits of files and their raw rows."""
    yield TRAIN, read_table(files.train, MAX_ROWS, files.quoting)
    if files.test is not None:
        yield TEST, read_table(files.test, quoting=files.quoting)


def _tables(task: Task, data_dir: Path | None) -> Iterator[tuple[str, Table]]:
    """The splits of a task and their raw rows: its own files, those of a folder, or the hub."""
    source = task.source
    if isinstance(source, Hub) and data_dir is not None:
        train_files, test_files = split_files(task.name, Path(data_dir), source.splits[1])
        yield TRAIN, read_tables(train_files, MAX_ROWS)
        yield TEST, read_tables(test_files)
        return
    if isinstance(source, Rows):
        yield TRAIN, rows_table("the training rows", source.train)
        if source.test is not None:
            yield TEST, rows_table("the test rows", source.test)
        return
    if isinstance(source, Files):
        yield from file_tables(source)
        return
    train, test = source.splits
    folder = f"put {task.name}/train.jsonl and {task.name}/{test}.jsonl into a folder and give it"
    if not source.id:
        raise InputError(
            f"task {task.name} is on no hub that we know: get it from {source.home}, then {folder}"
            " as --data_dir."
        )
    cure = f"connect to the internet (and unset HF_HUB_OFFLINE), or {folder} as --data_dir."
    yield TRAIN, read_hub(source.id, source.config, train, cure, MAX_ROWS)
    yield TEST, read_hub(source.id, source.config, test, cure)
