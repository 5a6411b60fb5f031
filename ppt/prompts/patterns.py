"""Patterns and verbalizers as data: how an example becomes text with one mask.

A pattern is text with fields and one mask: ``"{text_a}? {options} It is {mask}."``
In the *cloze* layout (seq2seq) the mask stands anywhere. In the *suffix* layout
(causal) it stands last: nothing follows, and the label word is the continuation.
The soft prompt always comes first, so it needs no place in a pattern. All of this
is about text; `ppt.prompts.rendering` makes tokens of it.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ppt.corpus.formats import FORMATS, Form, pattern_text
from ppt.errors import ConfigError, InputError, require_known

Example = Mapping[str, Any]
"""A corpus row: `text_a` str, `text_b` str or None, `options` list of str, `label` int."""

Cells = dict[str, str]
"""The texts of one row that a pattern shows, by field name or option letter."""

LAYOUTS = ("cloze", "suffix")
TEXTS = {"cloze": "cloze", "suffix": "suffix", "sentinel": "suffix", "word": "suffix"}
"""Layout → whose texts it has. In the last two an encoder reads the text without a mask, to its
end, and the decoder says a sentinel and the label word, or the word alone (`TARGETS`)."""

TARGETS = ("cloze", "sentinel", "word")
"""``--target``: the layouts of encoder-decoders."""

LETTERS = "".join(FORMATS["unified"].words)
SHOWN_MASK = "<X>"

PATTERNS_VERSION = 3
"""Kept with every prompt and part of every trial's id; raise it when a text of the tables changes.

2 changed the hard words of sentiment in the suffix layout; 3 made the hard words those of hybrid
patterns too. What is soft never changed, so soft prompts of all versions are shown as they were
trained.
"""

HARD_WORDS_SINCE = {"hybrid": 3, "hard": 2}
"""Style → the version whose hard words are those of today: what was trained beside others does
not fit."""

PATTERNS: dict[str, Form] = {
    **{name: next(iter(known.patterns.values())) for name, known in FORMATS.items()},
    "unified_pair": FORMATS["unified"].patterns["pair"],
}
"""The forms of this project's own formats, by name, for tasks that read like their rows."""


@dataclass(frozen=True, slots=True)
class Field:
    """The text of one column."""

    name: str

    def fill(self, cells: Cells) -> str:
        """The row's text of this column."""
        return cells[self.name]


@dataclass(frozen=True, slots=True)
class Options:
    """The options after their letters: `end` closes each, `joint` stands between two."""

    end: str = ""
    joint: str = " "

    def fill(self, cells: Cells) -> str:
        """As many lettered options as the row has."""
        shown = (f"{key}. {text}{self.end}" for key, text in cells.items() if key in LETTERS)
        return self.joint.join(shown)


Part = str | Field | Options
"""Of a pattern: fixed text, or what a row has in its place."""

SLOTS: dict[str, Field | Options] = {
    "text_a": Field("text_a"),
    "text_b": Field("text_b"),
    "options": Options(),
    "options:sentences": Options(end="."),
    "options:lines": Options(joint="\n"),
}
"""What may stand in braces in a pattern's text, besides ``{mask}``."""


@dataclass(frozen=True)
class Pattern:
    """Parts `before` and `after` the one mask.

    `space` stands before the mask too, but belongs to the label word's token.
    `kinds` are the patterns of rows of other kinds, where a corpus has several.
    """

    before: tuple[Part, ...]
    after: tuple[Part, ...] = ()
    space: str = " "
    layout: str = "cloze"
    kinds: "Mapping[str, Pattern]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_known("layout", self.layout, TEXTS)
        if self.layout != "cloze" and self.after:
            raise ConfigError(
                f"a {self.layout} pattern ends with {{mask}}, as the label word is what the model"
                " says next: move what follows {mask} before it."
            )
        if all(isinstance(part, str) for part in self.before + self.after):
            raise ConfigError("the pattern shows nothing of the example: add {text_a}.")

    def behind(self, text: str) -> "Pattern":
        """The same behind a fixed text."""
        kinds = {kind: one.behind(text) for kind, one in self.kinds.items()}
        return replace(self, before=(text, *self.before), kinds=kinds)

    def form(self, example: Example) -> "Pattern":
        """The pattern for this row, by its `kind`.

        Rows that do not name it (of tasks, and of corpora of format version 1) are pairs if
        they have a `text_b`.
        """
        if not self.kinds:
            return self
        kind = example.get("kind") or ("pair" if example.get("text_b") is not None else "")
        return self.kinds.get(kind, self)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns that are shown."""
        return tuple(part.name for part in self.before + self.after if isinstance(part, Field))

    @cached_property
    def lettered(self) -> bool:
        """Whether the options are shown."""
        return any(isinstance(part, Options) for part in self.before + self.after)

    def cells(self, example: Example) -> Cells:
        """The texts of the row that are shown, by field name or option letter."""
        cells: dict[str, Any] = {name: example.get(name) for name in self.fields}
        if self.lettered:
            cells.update(zip(LETTERS, answers_of(example), strict=False))
        for name, text in cells.items():
            if not isinstance(text, str):
                raise InputError(
                    f"{name} is {text!r} in {example!r:.200}: expected text, as the pattern"
                    " shows it: mend the row, or take a pattern without it."
                )
        return cells

    def letters(self, example: Example) -> int:
        """How many options the row shows; 0 where the pattern shows none."""
        return len(example["options"]) if self.lettered else 0

    def fill(self, cells: Cells) -> tuple[str, str]:
        """The texts before the mask (without its `space`) and after it."""
        before, after = (
            "".join([part if isinstance(part, str) else part.fill(cells) for part in side])
            for side in (self.before, self.after)
        )
        return before, after


def answers_of(example: Example) -> Sequence[str]:
    """The options of a row; raises InputError where the right one is not among them."""
    options: Sequence[str] = example.get("options") or ()
    if not 0 <= example["label"] < len(options) <= len(LETTERS):
        raise InputError(
            f"label {example['label']} of {len(options)} options in {example!r:.200}:"
            f" expected 1 to {len(LETTERS)} options and the index of one: mend the row,"
            " or take a pattern without {options}."
        )
    return options


def parse_pattern(text: str, layout: str = "cloze") -> Pattern:
    """Read a pattern such as ``"{text_a} It was {mask}."``; a literal brace is doubled."""
    sides: list[list[Part]] = [[]]
    space = ""
    try:
        for literal, *slot in string.Formatter().parse(text):
            name = _slot_name(*slot)
            fixed = literal.rstrip(" ") if name == "mask" else literal
            if fixed:
                sides[-1].append(fixed)
            if name == "mask":
                sides.append([])
                space = " " if fixed != literal else ""
            elif name is not None:
                sides[-1].append(SLOTS[name])
        if len(sides) != 2:
            raise ConfigError(f"got {len(sides) - 1} masks: write {{mask}} once.")
        before, after = map(tuple, sides)
        return Pattern(before, after, space, layout)
    except ValueError as error:  # ConfigError is one, and string.Formatter raises it
        raise ConfigError(
            f"pattern {text!r}: {error} (A literal brace is written twice.)"
        ) from None


def _slot_name(name: str | None, form: str | None, conversion: str | None) -> str | None:
    """What stood in the braces, which must be known; None for text without braces."""
    if name is None:
        return None
    slot = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
    if slot not in SLOTS and slot != "mask":
        known = ", ".join(f"{{{known}}}" for known in ("mask", *SLOTS))
        raise ConfigError(f"got {{{slot}}}: expected one of {known}.")
    return slot


ANSWERS = ("letters", "texts")
"""``--answers``: what stands for an option where rows have options, its letter or itself."""


def standard_texts(
    format_name: str, layout: str, style: str, answers: str = "letters"
) -> dict[str, str]:
    """Kind of rows → the text of its pattern in a format. Raises UnknownNameError, ConfigError."""
    require_known("format", format_name, FORMATS)
    require_known("answers", answers, ANSWERS)
    known = FORMATS[format_name]
    if answers == "texts" and not (known.texts and layout == "suffix"):
        raise ConfigError(
            "answers by the texts of options need a format with options and a causal model, got"
            f" format {format_name}, layout {layout}: take letters."
        )
    forms = known.texts if answers == "texts" else known.patterns
    return {
        kind: pattern_text(form, TEXTS.get(layout, layout), style) for kind, form in forms.items()
    }


def standard_pattern(
    format_name: str, layout: str, style: str, answers: str = "letters"
) -> Pattern:
    """The pattern of a format, with those of other kinds of rows where the format has any."""
    texts = standard_texts(format_name, layout, style, answers)
    forms = {kind: parse_pattern(text, layout) for kind, text in texts.items()}
    first = next(iter(forms.values()))
    return replace(first, kinds={kind: form for kind, form in forms.items() if form != first})


def rendered_text(example: Example, pattern: Pattern) -> str:
    """The example as people read it, uncut, with ``<X>`` for the label word."""
    form = pattern.form(example)
    before, after = form.fill(form.cells(example))
    return f"{before}{form.space}{SHOWN_MASK}{after}"


@dataclass(frozen=True)
class Verbalizer:
    """Label → word, in the order of the label numbers."""

    words: Mapping[str, str]

    def __post_init__(self) -> None:
        if len(self.words) < 2:
            raise ConfigError(f"got words for {list(self.words)}: give two labels at least.")
        for label, word in self.words.items():
            if not word or word != word.strip():
                raise ConfigError(
                    f"the word of label {label!r} is {word!r}: expected text without white space"
                    " at its ends; the space before it comes from the pattern."
                )


def standard_verbalizer(format_name: str) -> Verbalizer:
    """The label words of a format."""
    require_known("format", format_name, FORMATS)
    return Verbalizer({word: word for word in FORMATS[format_name].words})
