"""A record of labelled data → an `Example`, or the reason why it cannot be one."""

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppt.base.text import fold_whitespace, normalise
from ppt.base.words import UNSEEN
from ppt.corpus.records import UnusableError
from ppt.prompts.patterns import LETTERS, Example
from ppt.tasks.spec import Task, label_value

REASONS = {
    "broken_line": "the line is no record (no JSON object, or another number of cells)",
    "missing_field": "a column that the task reads is missing or null",
    "not_a_string": "a text is something else than a string",
    "lone_surrogate": "a text has half a surrogate pair, which no UTF-8 file can hold",
    "blank": "a text is empty or white space",
    "bad_options": "fewer than two options, more than the task has letters, or a blank one",
    "unknown_label": "the label has no word, or is none of the row's options",
    "doubled_option": "the right option stands twice among the row's options",
    "duplicate": "an equal row of the training data is kept",
    "conflicting_labels": "equal texts of the training data have different labels",
    "in_test": "the same text is in the test data",
}
"""Stable reason words for rows that are not kept, each with its meaning."""

_SHOWN = 80

_UNSEEN = dict.fromkeys(code for first, end in UNSEEN for code in range(first, end))

LONGEST_LIST = 100_000
"""Characters of a list of options that is written as text."""

STRAY = 10
"""Of so many answers that show where numbers begin one may be a mistake."""

FIRST = {"index": 0, "number": 1}
"""What the first option's number is, for the answers that are numbers."""


def to_example(task: Task, fields: Mapping[str, Any]) -> Example:
    """A record as an `Example` with an `id`; raises UnusableError."""
    columns, row = task.columns, shown(task, fields)
    value, answers = label_value(_field(fields, columns.label)), known_answers(task, fields, row)
    row["label"] = _label(value, answers)
    row["id"] = content_id(row)
    if columns.id:
        row["id"] = _string(label_value(_field(fields, columns.id)), columns.id)
    return row


def shown(task: Task, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a record shows of itself: an `Example` without label and id; raises UnusableError."""
    columns = task.columns
    return {
        "text_a": _text(fields, columns.text_a),
        "text_b": _text(fields, columns.text_b) if columns.text_b else None,
        "options": _options(fields, columns.options, len(task.labels)) if task.is_choice else None,
    }


def known_answers(task: Task, fields: Mapping[str, Any], row: Example) -> list[str]:
    """What a record's label column holds for each of its labels, in their order.

    Of a choice one for each option. A row may call its options itself: letters in one, 1 to 4
    in the next.
    """
    options = row["options"]
    known = [label.value for label in task.labels]
    if task.answer == "letter":
        names = option_list(fields.get(task.columns.option_names))
        known = [*(LETTERS if names is None else map(label_value, names))]
    elif task.answer in FIRST:
        known = [str(number + FIRST[task.answer]) for number in range(len(task.labels))]
    elif task.answer == "option" and options is not None:
        known = [option.strip() for option in options]
    return known if options is None else known[: len(options)]


def advised_answer(task: Task, records: Iterable[Mapping[str, Any]]) -> str | None:
    """What fits a choice's label column better than `Task.answer`, if that is a number.

    Numbers from 1 never are 0 and may be as many as there are options; from 0 the reverse. Of
    columns that have both, a few bad rows count for nothing beside `STRAY` times as many others;
    where 0 is often, it may stand for no answer.
    """
    if task.answer not in FIRST:
        return None
    ends = Counter[str]()
    for fields in records:
        try:
            count = len(_options(fields, task.columns.options, len(LETTERS)))
            value = label_value(_field(fields, task.columns.label))
        except UnusableError:
            continue
        ends["index"] += value == "0"
        ends["number"] += value == str(count)
    (other,) = FIRST.keys() - {task.answer}
    return other if ends[other] > STRAY * ends[task.answer] else None


def _field(fields: Mapping[str, Any], name: str) -> Any:
    value = fields.get(name)
    if value is None:
        raise UnusableError("missing_field", name)
    return value


def _text(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """The columns as one text; a list of texts (the turns of a dialogue) counts as lines."""
    parts = []
    for name in names:
        value = _field(fields, name) if len(names) == 1 else _or_blank(fields.get(name))
        lines = value if isinstance(value, list) else [value]
        parts.append("\n".join(_string(line, name) for line in lines).strip())
    text = " ".join(part for part in parts if part)
    if not text.translate(_UNSEEN).strip():
        raise UnusableError("blank", ", ".join(names))
    return text


def _or_blank(value: Any) -> Any:
    return "" if value is None else value


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UnusableError("not_a_string", f"{name} is {value!r:.{_SHOWN}}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnusableError("lone_surrogate", name) from None
    return normalise(value)


def _options(fields: Mapping[str, Any], names: Sequence[str], most: int) -> list[str]:
    """The options; of several columns the last ones may be blank."""
    values = _field(fields, names[0]) if len(names) == 1 else [fields.get(name) for name in names]
    values = option_list(values)
    if values is None:
        value = fields[names[0]]
        raise UnusableError("bad_options", f"{names[0]} is {value!r:.{_SHOWN}}, no list")
    options = [_string(_or_blank(value), "an option").strip() for value in values]
    while options and not options[-1]:
        options.pop()
    if not 2 <= len(options) <= most or not all(options):
        raise UnusableError("bad_options", f"{options!r:.{_SHOWN}}, expected 2 to {most}")
    return options


def option_list(value: Any) -> list[Any] | None:
    """A list as it is, or as CSV has it: text in JSON's or Python's spelling; None for others."""
    if isinstance(value, str) and value.strip().startswith("[") and len(value) <= LONGEST_LIST:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value.strip())
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value if isinstance(value, list) else None


def _label(value: str, answers: list[str]) -> int:
    """The number of the label that the column's `value` stands for."""
    if answers.count(value) > 1:
        raise UnusableError("doubled_option", f"{value!r:.{_SHOWN}}")
    if value not in answers:
        told = f"{value!r:.{_SHOWN}}, expected one of {answers!r:.{3 * _SHOWN}}"
        raise UnusableError("unknown_label", told)
    return answers.index(value)


def right_is_doubled(row: Example) -> bool:
    """Whether the right option of a row stands at another letter too."""
    options = [fold_whitespace(option) for option in row["options"] or ()]
    return bool(options) and options.count(options[row["label"]]) > 1


def content_id(row: Example) -> str:
    """20 hex digits that are equal for texts and options of equal content."""
    return _digest(_parts(row))


def look(row: Example) -> str:
    """The same, and equal for rows that differ in signs that are not seen, too."""
    return _digest(part.translate(_UNSEEN) for part in _parts(row))


def _parts(row: Example) -> Iterable[str]:
    return row["text_a"], row["text_b"] or "", *(row["options"] or ())


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=10)
    for part in parts:
        data = fold_whitespace(part).casefold().encode()
        digest.update(len(data).to_bytes(4, "little") + data)
    return digest.hexdigest()
