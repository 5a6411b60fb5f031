"""The formats of corpora: one table, from which all else that knows formats is read.

A row says what a format's label words are, what is said of it, which builder makes its
rows, and how they become text. Add yours with ``FORMATS["name"] = Format(...)``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ppt.corpus import builders
from ppt.corpus.options import FormatOptions
from ppt.corpus.rows import PAIR_LABELS
from ppt.corpus.sentiment import LABELS
from ppt.errors import require_known

Form = Mapping[str, Mapping[str, str]]
"""Layout → soft or hard → the text of a pattern; `ppt.prompts.patterns` reads and explains
them."""

STYLES = {"soft": "soft", "hybrid": "hard", "hard": "hard"}
"""Style → its text in a `Form`: hybrid shows the hard words too, beside the soft prompt."""

LETTERS = "ABCDEFGHIJKLMNOP"
"""What options are called, so the most that a row may have."""


@dataclass(frozen=True)
class Format:
    """One format. `words` are what its labels index; `summary` says in its card what it is.

    `patterns` has a form for each kind of rows: kind → layout → style → text. Its order is
    that of `Rows.kind`, and the words before the mask must be the same in all of them. Of
    the kinds in `shrinking` texts are cut shorter the more options a row has. `texts` are the
    forms without letters, in which an option itself is the answer, for causal models.
    """

    words: tuple[str, ...]
    summary: str
    build: builders.Builder
    patterns: Mapping[str, Form]
    texts: Mapping[str, Form] = field(default_factory=dict)
    needs_labels: Callable[[FormatOptions], bool] = lambda _: False
    shrinking: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of rows that it has."""
        return tuple(self.patterns)


def pattern_text(form: Form, layout: str, style: str) -> str:
    """The text of a form. Raises UnknownNameError."""
    for what, name, known in (("layout", layout, form), ("style", style, STYLES)):
        require_known(what, name, known)
    return form[layout][STYLES[style]]


_PAIR: Form = {
    "cloze": {
        "soft": "{text_a} {mask} {text_b}",
        "hard": "{text_a}? {mask}. {text_b}",
    },
    "suffix": {
        "soft": "{text_a}\n{text_b}\n=> {mask}",
        "hard": "{text_b}\nQuestion: {text_a}?\nAnswer: {mask}",
    },
}
_CHOICE: Form = {
    "cloze": {
        "soft": "{text_a}? {options:sentences} The correct one is {mask}",
        "hard": "Question: {text_a}? {options:sentences} The correct one is {mask}.",
    },
    "suffix": {
        "soft": "{text_a}\n{options:lines}\nThe correct one is {mask}",
        "hard": "Question: {text_a}\nChoices:\n{options:lines}\nAnswer: {mask}",
    },
}
_SENTIMENT: Form = {
    "cloze": {
        "soft": "{text_a} {mask}",
        "hard": "{text_a} It was {mask}.",
    },
    "suffix": {
        "soft": "{text_a}\n=> {mask}",
        "hard": "Review: {text_a}\nIn one word, the reviewer describes it as {mask}",
    },
}
_CHOICE_OF_PAIR: Form = {
    "cloze": {
        "soft": "{text_a}? {text_b}. {options:sentences} The correct one is {mask}",
        "hard": "{text_b} Question: {text_a}? {options:sentences} The correct one is {mask}.",
    },
    "suffix": {
        "soft": "{text_a}\n{text_b}\n{options:lines}\nThe correct one is {mask}",
        "hard": "{text_b}\nQuestion: {text_a}?\nChoices:\n{options:lines}\nAnswer: {mask}",
    },
}

_CONTINUED: Form = {"suffix": {"soft": "{text_a}\n=> {mask}", "hard": "{text_a} {mask}"}}

FORMATS = {
    "sentence_pair": Format(
        words=PAIR_LABELS,
        summary="Two sentences `text_a`, `text_b`: adjacent in a document (yes), of one "
        "document but not adjacent (maybe), of two documents (no).",
        build=builders.sentence_pair,
        patterns={"pair": _PAIR},
    ),
    "multiple_choice": Format(
        words=tuple(LETTERS[: builders.CHOICES]),
        summary="`text_a` and six `options`: one is adjacent to it in its document (the "
        "answer), one more is of the same document, four are of others.",
        build=builders.multiple_choice,
        patterns={"choice": _CHOICE},
        texts={"choice": _CONTINUED},
    ),
    "sentiment": Format(
        words=LABELS,
        summary="A sentence `text_a` with a five-class pseudo-label, kept where the labeller "
        "was confident, classes balanced.",
        build=builders.sentiment,
        patterns={"sentiment": _SENTIMENT},
        needs_labels=lambda _: True,
    ),
    "unified": Format(
        words=tuple(LETTERS),
        summary="Multiple choice with 2 to 16 `options`: n-way selection of the adjacent "
        "sentence, and sentence pairs and sentiment with their label words as options.",
        build=builders.unified,
        patterns={"choice": _CHOICE, "pair": _CHOICE_OF_PAIR, "sentiment": _CHOICE},
        texts={"choice": _CONTINUED, "pair": _PAIR, "sentiment": _SENTIMENT},
        needs_labels=lambda options: options.mixture.sentiment > 0,
        shrinking=("choice",),
    ),
}
"""`text_a` of a pair is the question or hypothesis, `text_b` the passage or premise, as
published.

*soft* cloze forms and the hard words of cloze ones are those of PPT (Gu et al. 2022).
There is one set of hard words: zero-shot shows them alone, *hybrid* beside a soft prompt, and
the `lm:` labeller asks with them. Causal models read the label at the last token: ``=>``
makes it the same one in every row, and the space before the mask keeps words such as
" terrible" one token. Their hard words of sentiment were measured on training rows
(docs/decisions.md). Where a text changes, raise `ppt.prompts.patterns.PATTERNS_VERSION`.
"""
