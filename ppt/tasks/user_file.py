"""A user's own task: a YAML file of some ten lines beside the data.

``docs/your-own-task.md`` is the manual. Everything that can be wrong is looked for when
the file is loaded, the data included, and each mistake has its message.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from ppt.base.text import normalise, shortened
from ppt.errors import ConfigError, InputError, PPTError, did_you_mean, require_known, visible
from ppt.prompts.patterns import LAYOUTS, LETTERS
from ppt.tasks.cells import QUOTINGS, BadRow
from ppt.tasks.forms import PROMPT_FORMATS
from ppt.tasks.loading import TEST, TRAIN, TaskData, data_of, file_tables
from ppt.tasks.readers import Table, listed
from ppt.tasks.rows import option_list
from ppt.tasks.spec import Columns, Files, Label, Task, label_value, letters
from ppt.tasks.yaml_keys import Keys, read_keys

KEYS = {
    "name": "what reports call the task; else the name of the file",
    "format": f"one of {', '.join(PROMPT_FORMATS)}",
    "train": "the file to draw examples from",
    "test": "the file to test on; else rows that are not drawn",
    "columns": "which column holds what",
    "labels": "label in the data: its word",
    "language": "en or zh: the language of the built-in patterns",
    "pattern": "an own pattern, or one each for cloze and suffix",
    "unified_pattern": "the same for prompts of the format unified",
    "answer": "of a choice, what the label column holds: letter, index, number or option",
    "balance": "equal or level: what to do where a label has too few rows",
    "quoting": "of CSV and TSV, what quotation marks are: csv or none; else the file shows it",
}
"""The keys of a task file, each with its meaning."""

COLUMN_KEYS = ("text_a", "text_b", "options", "label", "id")
REQUIRED = ("format", "train", "columns")

_LONGEST = 1000
"""Characters of a message: a file can have anything in any place."""

FEWEST = 2
"""Rows a label must have: one to train, one to validate."""


def load_task_file(path: Path | str) -> TaskData:
    """Read a task file and its data; raises ConfigError or InputError that names the mistake."""
    path = Path(path)
    try:
        keys = _read(path)
        places = {key: _file(keys, key, path) for key in (TRAIN, TEST) if key in keys}
        quoting = _text(keys, "quoting") if "quoting" in keys else None
        if quoting is not None:
            require_known("quoting", quoting, QUOTINGS)
        files = Files(**places, quoting=quoting)
        tables = dict(file_tables(files))
        data = data_of(_task(keys, path, files, list(tables.values())), tables)
        _require_rows(data)
    except PPTError as error:
        raise type(error)(shortened(visible(f"{path}: {error}"), _LONGEST)) from None
    return data


def _read(path: Path) -> Keys:
    found = read_keys(path)
    _require_keys(found, KEYS, "key")
    for key in REQUIRED:
        if key not in found:
            raise ConfigError(f"the key {key!r} is missing: {key} is {KEYS[key]}.")
    return found


def _task(keys: Keys, path: Path, files: Files, tables: list[Table]) -> Task:
    """The task, checked against the columns and labels of its files."""
    format_name = _text(keys, "format")
    require_known("format", format_name, PROMPT_FORMATS)
    columns = _columns(keys, format_name)
    for table in tables:
        _require_columns(keys["columns"], table)
    is_choice = format_name == "multiple_choice"
    labels = _letters(keys, columns, tables) if is_choice else _labels(keys, columns, tables)
    return Task(
        name=_text(keys, "name", path.stem),
        format=format_name,
        labels=labels,
        columns=columns,
        source=files,
        language=_text(keys, "language", "en"),
        answer=_text(keys, "answer", "letter" if is_choice else "value"),
        balance=_text(keys, "balance", "level" if is_choice else "equal"),
        patterns=_patterns(keys),
    )


def _columns(keys: Keys, format_name: str) -> Columns:
    given = keys["columns"]
    if not isinstance(given, Keys):
        told = f"expected indented lines such as 'text_a: review', got {given!r:.60}."
        raise keys.wrong("columns", told)
    _require_keys(given, COLUMN_KEYS, "key of columns")
    for key in ("text_a", "label", *(("options",) if format_name == "multiple_choice" else ())):
        if key not in given:
            raise keys.wrong("columns", f"{key} is missing: name the column.")
    names = {key: _names(given, key) for key in given}
    for key in ("label", "id"):
        if len(names.get(key, ())) > 1:
            raise given.wrong(key, "expected one column.")
    return Columns(
        names["text_a"],
        names.get("text_b", ()),
        names.get("options", ()),
        names["label"][0],
        *names.get("id", ()),
    )


def _names(given: Keys, key: str) -> tuple[str, ...]:
    """One column, or a list of them."""
    names = given[key] if isinstance(given[key], list) else [given[key]]
    if not names or not all(isinstance(name, str) and name for name in names):
        told = "expected the name of a column, or a list of them as [first, second]"
        raise given.wrong(key, f"{told}, got {given[key]!r:.60}.")
    return tuple(map(normalise, names))


def _file(keys: Keys, key: str, path: Path) -> Path:
    file = path.parent / _text(keys, key)
    if not os.path.isfile(file):  # noqa: PTH113 (pathlib raises for some that cannot be)
        try:
            near = islice(file.parent.iterdir(), 1000)
            others = sorted(other.name for other in near if other != path)
        except (OSError, ValueError):
            others = []
        for other in others:  # some systems spell a letter and its mark as two signs
            if other != file.name and normalise(other) == normalise(file.name):
                return file.with_name(other)
        hint = did_you_mean(file.name[:100], others, str)
        raise InputError(
            f"line {keys.lines[key]}: {key}: there is no file {shortened(str(file), 300)}.{hint}"
            " Paths are relative to the task file."
        )
    return file


def _require_columns(given: Keys, table: Table) -> None:
    if not table.rows:
        raise InputError(f"{table.source} has no rows: expected one row an example.")
    for key in given:
        for name in _names(given, key):
            if lack := table.lacks(name):
                raise given.wrong(key, lack)


def _labels(keys: Keys, columns: Columns, tables: list[Table]) -> tuple[Label, ...]:
    """The labels in the order of the file, each with a word and with rows."""
    given = keys.get("labels")
    counts = [_label_counts(table, columns.label) for table in tables]
    if not isinstance(given, Keys) or not given:
        seen = listed((f"{value[:50]}: ..." for value in sorted(counts[0])), len(LETTERS))
        raise ConfigError(f"labels: expected a line a label, as its value and a word ({seen}).")
    values = {key: label_value(key) for key in given}
    known = set(values.values())
    for table, count in zip(tables, counts, strict=True):
        for value, rows in count.items():
            if value and value not in known:  # a blank cell is a row without a label
                raise keys.wrong(
                    "labels",
                    f"{table.source} has the label {value[:60]!r} ({rows} times), which has no word"
                    f" here.{did_you_mean(value[:60], known)} Add '{value[:60]}: <word>', or leave"
                    " those rows out of the file.",
                )
    for key, word in given.items():
        value, line = values[key], f"line {given.lines[key]}: "
        if not isinstance(word, str) or not word:
            raise ConfigError(f"{line}{value}: expected a word, got {word!r}.")
        if not counts[0][value]:
            seen = listed(map(repr, sorted(counts[0])))
            raise ConfigError(
                f"{line}no row of {tables[0].source} has the label {value!r}:"
                f" the column {columns.label!r} holds {seen}."
            )
    return tuple(Label(values[key], values[key], word) for key, word in given.items())


def _label_counts(table: Table, column: str) -> Counter[str]:
    records = (row for _, row in table.rows if not isinstance(row, BadRow))
    return Counter(label_value(row[column]) for row in records if row.get(column) is not None)


def _letters(keys: Keys, columns: Columns, tables: list[Table]) -> tuple[Label, ...]:
    """As many letters as the row with the most options needs."""
    if "labels" in keys:
        told = "a choice has none, as its words are the letters of the options: leave labels out."
        raise keys.wrong("labels", told)
    count = len(columns.options)
    if count == 1:
        column = columns.options[0]
        records = [row for table in tables for _, row in table.rows if not isinstance(row, BadRow)]
        counts = [len(option_list(row.get(column)) or ()) for row in records]
        usable = (one for one in counts if one <= len(LETTERS))  # others are rejects, each alone
        count = max(usable, default=max(counts, default=0))
    if not 2 <= count <= len(LETTERS):
        raise ConfigError(
            f"options: got {count} a row, expected 2 to {len(LETTERS)}: name one column an option"
            " as [first, second], or (JSON, Parquet) a column of lists."
        )
    return letters(count)


def _patterns(keys: Keys) -> dict[str, str]:
    """Own patterns by layout; one text is for both."""
    patterns: dict[str, str] = {}
    for key, prefix in (("pattern", ""), ("unified_pattern", "unified_")):
        given = keys.get(key, {})
        if isinstance(given, Keys):
            _require_keys(given, LAYOUTS, f"layout of {key}")
        elif isinstance(given, str):  # what goes on after the mask is for cloze alone
            ends = given.rstrip().endswith("{mask}")
            given = dict.fromkeys(LAYOUTS if ends else LAYOUTS[:1], given)
        if not isinstance(given, Mapping) or not all(isinstance(t, str) for t in given.values()):
            raise keys.wrong(key, "expected text, in quotation marks.")
        if any("\\n" in text for text in given.values()):  # YAML takes it so in ' or in none
            told = "got a backslash and n, expected a line break"
            raise keys.wrong(key, f"{told}: set the text in double quotation marks.")
        patterns |= {prefix + layout: _to_mask(text) for layout, text in given.items()}
    return patterns


def _to_mask(text: str) -> str:
    """A text that ends with its mask, without the line feed that a block of YAML ends with."""
    bare = text.rstrip()
    return bare if bare.endswith("{mask}") else text


def _require_rows(data: TaskData) -> None:
    """Enough usable rows of each label for the smallest draw there is."""
    if data.task.is_choice:
        return
    counts = Counter(row["label"] for row in data.train)
    for number, label in enumerate(data.task.labels):
        if counts[number] < FEWEST:
            raise InputError(
                f"label {label.name!r} has {counts[number]} usable rows, expected {FEWEST} at least"
                f" (one to train, one to validate): add rows. {data.report().splitlines()[0]}"
            )


def _text(keys: Keys, key: str, default: str = "") -> str:
    value = keys.get(key, default)
    if not isinstance(value, str) or not value:
        raise keys.wrong(key, f"expected a word, got {value!r:.60}.")
    return value


def _require_keys(given: Keys, known: Iterable[str], kind: str) -> None:
    names = list(known)
    for key in given:
        if key not in names:
            raise ConfigError(
                f"line {given.lines[key]}: unknown {kind} {key!r}.{did_you_mean(key, names)} Known:"
                f" {', '.join(names)}."
            )
