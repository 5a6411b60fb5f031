"""What a labelled task is: its data, its columns, its label words and patterns, checked.

A `Task` is pure description, the same for the table of `ppt.tasks.table` and for a user's
YAML (`ppt.tasks.user_file`); `ppt.tasks.loading` reads its rows.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppt.base.names import check_name
from ppt.base.text import normalise
from ppt.corpus.formats import Form, pattern_text
from ppt.errors import ConfigError, require_kind, require_known
from ppt.prompts.patterns import (
    LAYOUTS,
    LETTERS,
    TEXTS,
    Example,
    Pattern,
    Verbalizer,
    parse_pattern,
)
from ppt.tasks.forms import task_form
from ppt.tasks.splits import BALANCES

ANSWERS = ("value", "letter", "index", "number", "option")
"""What a label column holds: a `Label.value`; or, of the right option, its letter, its
number from 0 (index) or from 1 (number), or its text."""


def label_value(value: Any) -> str:
    """A label as text: 1, 1.0 and "1" are one, as are true and "true"; NaN is none."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and (value.is_integer() or math.isnan(value)):
        return "" if math.isnan(value) else str(int(value))
    return normalise(str(value)).strip()


@dataclass(frozen=True, slots=True)
class Label:
    """A class: its `value` in the data, its `name` in reports, the `word` that stands for it.

    A value that is a number or a truth value is the text that `label_value` makes of it.
    """

    value: str
    name: str
    word: str

    def __post_init__(self) -> None:
        for part in ("name", "word"):
            text = getattr(self, part)
            require_kind(f"label {self.value!r:.60}: {part}", text, str, "text")
            object.__setattr__(self, part, normalise(text))
        object.__setattr__(self, "value", label_value(self.value))

    @property
    def title(self) -> str:
        """What reports call it: its name; its word where no name was given."""
        return self.word if self.name == self.value else self.name


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what. Several columns of a text are joined, those that are blank aside.

    `options` names one column of lists, or one column an option. Without `id`, ids are
    made from the texts.
    """

    text_a: tuple[str, ...]
    text_b: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    label: str = "label"
    id: str = ""

    def __post_init__(self) -> None:
        for part in ("text_a", "text_b", "options"):
            names = _names(part, getattr(self, part))
            if len({*names}) < len(names):
                raise ConfigError(f"columns: {part} has one twice, {names!r:.99}: name each once.")
            object.__setattr__(self, part, names)
        for part in ("label", "id"):
            object.__setattr__(self, part, *_names(part, (getattr(self, part),)))
        if self.label in (*self.text_a, *self.text_b):
            raise ConfigError(
                f"columns: {self.label!r} is the label and stands in a text too, which would tell"
                " the answer: name it once."
            )

    def all(self) -> tuple[str, ...]:
        """Every column that is read."""
        last = (self.id,) if self.id else ()
        return (*self.text_a, *self.text_b, *self.options, self.label, *last)

    @property
    def option_names(self) -> str:
        """The column of the options' own letters, which stands beside `choices.text` in some sets.

        Its rows go before A, B, C where it is there.
        """
        whole, _, part = self.options[0].rpartition(".") if len(self.options) == 1 else ("",) * 3
        return f"{whole}.label" if part == "text" else ""


def _names(part: str, given: Any) -> tuple[str, ...]:
    """Columns by name; a text is one name, and no list of letters."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    names = tuple(given) if several else (given,)
    for name in names:
        require_kind(f"columns: {part}", name, str, "the name of a column")
    return tuple(map(normalise, names))


@dataclass(frozen=True, slots=True)
class Hub:
    """A set on the Hugging Face hub. `splits` are those of training and of test.

    `seen` says how its columns are known: "files" were read that have them, a page of
    "docs" names them, or "no". Without `id` it is on no hub: `home` says where it is.
    """

    id: str
    config: str | None = None
    splits: tuple[str, str] = ("train", "validation")
    seen: str = "no"
    home: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """Files of a user; without `test`, rows that are not drawn are the test."""

    train: Path
    test: Path | None = None
    quoting: str | None = None
    """Of CSV and TSV: what quotation marks are (`ppt.tasks.cells.QUOTINGS`)."""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            if (path := getattr(self, part)) is not None:
                object.__setattr__(self, part, Path(path))  # of a text too


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in memory, by column; without `test`, rows that are not drawn are the test."""

    train: Sequence[Mapping[str, Any]]
    test: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Task:
    """A labelled task. `labels` are in the order of the label numbers of its rows.

    Those of a choice are its letters. `balance` is what draws promise
    (`ppt.tasks.splits.BALANCES`); `patterns` are own texts by "cloze", "suffix",
    "unified_cloze" and "unified_suffix", in place of those of `ppt.tasks.forms`.
    """

    name: str
    format: str
    labels: tuple[Label, ...]
    columns: Columns
    source: Hub | Files | Rows
    language: str = "en"
    answer: str = "value"
    balance: str = "equal"
    patterns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "name")
        require_kind("source", self.source, Hub | Files | Rows, "Rows, Files or a Hub")
        require_kind("columns", self.columns, Columns, "Columns")
        require_kind("labels", self.labels, list | tuple, "a tuple of Label")
        for label in self.labels:
            require_kind("labels", label, Label, "Label(value, name, word)")
        self._form(unified=False)
        require_known("balance", self.balance, BALANCES)
        require_known("answer", self.answer, ANSWERS)
        if self.answer != "value" and not self.is_choice:  # it would pass over the labels' order
            raise ConfigError(
                f"answer: got {self.answer}, which is for choices: leave it out, as the labels say"
                f" what the column of a {self.format} task holds."
            )
        for part in ("value", "name", "word", "title"):
            alike: dict[str, list[str]] = {}
            for label in self.labels:
                alike.setdefault(getattr(label, part), []).append(repr(label.name))
            for text, named in alike.items():
                if len(named) > 1:
                    told = f"the labels {', '.join(named)} have one {part}, {text!r}"
                    raise ConfigError(f"{told}: change one.")
        if self.is_choice != bool(self.columns.options):
            raise ConfigError(
                f"format {self.format} {'needs' if self.is_choice else 'takes no'} options:"
                f" {'name their columns' if self.is_choice else 'take format multiple_choice'}."
            )
        self.verbalizer()
        if self.is_choice and self.words != tuple(LETTERS[: len(self.words)]):
            raise ConfigError(
                f"the labels have the words {', '.join(self.words)}, but options are shown behind"
                f" {', '.join(LETTERS[: len(self.words)])}: give letters({len(self.words)})."
            )
        for key, text in self.patterns.items():
            self._check_pattern(key, text)

    @property
    def is_choice(self) -> bool:
        """Whether each row brings its own options, and its label is the place of one."""
        return self.format == "multiple_choice"

    @property
    def words(self) -> tuple[str, ...]:
        """The label words, in the order of the label numbers."""
        return tuple(label.word for label in self.labels)

    def pattern(
        self, layout: str, style: str, unified: bool = False, *, by_text: bool = False
    ) -> Pattern:
        """How a row becomes text; for rows of `examples` with the same `unified`.

        With `by_text`, without its options: their texts are the answers. Raises ConfigError.
        """
        prefix, texts = "unified_" if unified else "", TEXTS[layout]
        own = self.patterns.get(("" if by_text and not self.is_choice else prefix) + texts)
        if by_text and layout != "suffix":
            raise ConfigError(
                "answers by the texts of options need a causal model: take --answers letters."
            )
        if by_text and own is not None and self.is_choice:
            raise ConfigError(
                f"task {self.name} has an own pattern, which shows letters: take --answers letters,"
                " or leave its pattern out."
            )
        if own is None and any(prefix + other in self.patterns for other in LAYOUTS):
            raise ConfigError(
                f"task {self.name} has an own {prefix}pattern, but none for {texts}: add one"
                f"{', which ends with {mask}' if texts == 'suffix' else ''}."
            )
        form = self._form(unified, by_text=by_text)
        return parse_pattern(own or pattern_text(form, texts, style), layout)

    def verbalizer(self, unified: bool = False) -> Verbalizer:
        """Label name → word; in the unified view, and for a choice, the letters."""
        if not unified:
            return Verbalizer({label.name: label.word for label in self.labels})
        if len(self.labels) > len(LETTERS):
            raise ConfigError(
                f"task {self.name} has {len(self.labels)} labels, and the unified form letters for"
                f" {len(LETTERS)}: take a prompt of another format."
            )
        return Verbalizer({one.name: sign for one, sign in zip(self.labels, LETTERS, strict=False)})

    def examples(self, rows: Iterable[Example], unified: bool = False) -> list[Example]:
        """Rows as the pattern shows them: unified, the label words are the options (A. bad …).

        A label is then the number of its option, as the options are in the labels' order.
        """
        if not unified or self.is_choice:
            return list(rows)
        options = list(self.words)
        return [{**row, "options": options} for row in rows]

    def _form(self, unified: bool, *, by_text: bool = False) -> Form:
        view = "texts" if by_text else "unified" if unified else "plain"
        return task_form(self.format, self.language, pair=bool(self.columns.text_b), view=view)

    def _check_pattern(self, key: str, text: str) -> None:
        known = {prefix + one: one for prefix in ("", "unified_") for one in LAYOUTS}
        require_known("pattern", key, known)
        require_kind(f"pattern {key}", text, str, "text")
        pattern = parse_pattern(text, known[key])
        lettered = self.is_choice or key.startswith("unified")
        if lettered != pattern.lettered:
            raise ConfigError(
                f"pattern {text!r} {'lacks' if lettered else 'shows'} {{options}}, but the label"
                f" word is {'a letter' if lettered else 'no letter'}:"
                f" {'add' if lettered else 'leave out'} {{options}}."
            )
        if "text_b" in pattern.fields and not self.columns.text_b:
            raise ConfigError(
                f"pattern {text!r} shows {{text_b}}: name its column, or leave it out."
            )


def letters(count: int) -> tuple[Label, ...]:
    """The labels of a choice of up to `count` options."""
    if count not in range(2, len(LETTERS) + 1):
        raise ConfigError(f"letters: got {count!r:.60}, expected 2 to {len(LETTERS)}.")
    return tuple(Label(letter, letter, letter) for letter in LETTERS[:count])
