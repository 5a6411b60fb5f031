"""Rows of which the labels are wanted: read as a task reads its own, label and id aside."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ppt.corpus.records import UnusableError
from ppt.errors import InputError
from ppt.prompts.patterns import Example
from ppt.tasks.readers import Table
from ppt.tasks.rejects import RowReject, usable_rows
from ppt.tasks.rows import known_answers, shown
from ppt.tasks.spec import Task

NEW = "input"
"""The `RowReject.split` of rows without labels."""

PREDICTION, PROBABILITY = "prediction", "probability"


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """A row as it was read, its `example`, and what its label column would hold for each label."""

    fields: Mapping[str, Any]
    example: Example
    answers: list[str]


def label_columns(task: Task) -> tuple[str, ...]:
    """The columns that labelled rows get: what is predicted, how surely, and each label's share."""
    return (PREDICTION, PROBABILITY, *(f"p({label.value})" for label in task.labels))


def unlabelled(task: Task, table: Table) -> tuple[list[Unlabelled], list[RowReject]]:
    """The rows of a table that a label can be found for, and those that are not usable.

    Every row is in one of them. Raises InputError where a column is missing or has the name of one
    that rows get, or no row is usable.
    """
    if twice := [name for name in label_columns(task) if name in table.columns]:
        raise InputError(
            f"{table.source} has a column {twice[0]!r}, which is what a label is put into: rename"
            " it, or leave it out."
        )
    columns = task.columns
    names = (*columns.text_a, *columns.text_b, *columns.options)
    kept, rejects = usable_rows(table, NEW, names, partial(_row, task))
    return [row for _, row in kept], rejects


def _row(task: Task, fields: Mapping[str, Any]) -> Unlabelled:
    example = shown(task, fields)
    answers = known_answers(task, fields, example)
    options = example["options"] or ()
    if len(answers) < len(options):
        told = f"{task.columns.option_names} names {len(answers)} of {len(options)} options"
        raise UnusableError("bad_options", told)
    return Unlabelled(fields, {**example, "label": 0}, answers)
