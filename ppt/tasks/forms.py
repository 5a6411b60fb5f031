"""The texts of tasks: for each kind of task and language a plain and a unified form.

Where a task reads like a row of a pre-training corpus, its form is that of
`ppt.prompts.patterns.PATTERNS`; a prompt then meets the words that it was trained with. Forms
that corpora have no rows for stand here: choice about a passage, topics, Chinese.
"""

from collections.abc import Mapping

from ppt.corpus.formats import Form
from ppt.errors import ConfigError, require_known
from ppt.prompts.patterns import PATTERNS

PROMPT_FORMATS = {
    "sentiment": "sentiment",
    "topic": "unified",
    "sentence_pair": "sentence_pair",
    "multiple_choice": "multiple_choice",
}
"""Format of a task → format of the pre-trained prompt that suits its plain form best."""

VIEWS = ("plain", "unified", "texts")

SHAPES = {
    ("sentiment", False): ("sentiment", "unified", "sentiment"),
    ("topic", False): ("topic", "unified", "topic"),
    ("sentence_pair", True): ("sentence_pair", "unified_pair", "sentence_pair"),
    ("multiple_choice", False): ("multiple_choice", "unified", "answer"),
    ("multiple_choice", True): ("passage_choice", "passage_choice", "passage_answer"),
}
"""(format, whether rows have a `text_b`) → names of the forms of `VIEWS`: as the task is, as a
choice among lettered options, and as one whose answers are the options themselves."""

_ENGLISH: Mapping[str, Form] = {
    **PATTERNS,
    "answer": {
        "suffix": {"soft": "{text_a}\n=> {mask}", "hard": "Question: {text_a}\nAnswer: {mask}"},
    },
    "passage_answer": {
        "suffix": {
            "soft": "{text_b}\n{text_a}\n=> {mask}",
            "hard": "{text_b}\nQuestion: {text_a}\nAnswer: {mask}",
        },
    },
    "passage_choice": {
        "cloze": {
            "soft": "{text_b}; {text_a}? {options:sentences} The correct one is {mask}",
            "hard": "{text_b} Question: {text_a} {options:sentences} The correct one is {mask}.",
        },
        "suffix": {
            "soft": "{text_b}\n{text_a}\n{options:lines}\nThe correct one is {mask}",
            "hard": "{text_b}\nQuestion: {text_a}\nChoices:\n{options:lines}\nAnswer: {mask}",
        },
    },
    "topic": {
        "cloze": {"soft": "{text_a} {mask}", "hard": "{text_a} This is about {mask}."},
        "suffix": {"soft": "{text_a}\n=> {mask}", "hard": "{text_a} This is about {mask}"},
    },
}
_CHINESE: Mapping[str, Form] = {
    "sentiment": {
        "cloze": {"soft": "{text_a}{mask}", "hard": "{text_a}评价：{mask}。"},
        "suffix": {"soft": "{text_a}\n=> {mask}", "hard": "{text_a}评价：{mask}"},
    },
    "topic": {
        "cloze": {"soft": "{text_a}{mask}", "hard": "{text_a}主题：{mask}。"},
        "suffix": {"soft": "{text_a}\n=> {mask}", "hard": "{text_a}主题：{mask}"},
    },
    "sentence_pair": {
        "cloze": {
            "soft": "{text_a}{mask}{text_b}",
            "hard": "问题：{text_a}？回答：{mask}。{text_b}",
        },
        "suffix": {
            "soft": "{text_a}\n{text_b}\n=> {mask}",
            "hard": "{text_b}\n问题：{text_a}？\n回答：{mask}",
        },
    },
    "multiple_choice": {
        "cloze": {
            "soft": "{text_a}？{options:sentences}正确的是 {mask}",
            "hard": "问题：{text_a}？选项：{options:sentences}正确的是 {mask}。",
        },
        "suffix": {
            "soft": "{text_a}\n{options:lines}\n正确的是 {mask}",
            "hard": "问题：{text_a}\n选项：\n{options:lines}\n答案是 {mask}",
        },
    },
    "answer": {
        "suffix": {"soft": "{text_a}\n=> {mask}", "hard": "问题：{text_a}\n答案是 {mask}"},
    },
    "passage_answer": {
        "suffix": {
            "soft": "{text_b}\n{text_a}\n=> {mask}",
            "hard": "{text_b}\n问题：{text_a}\n答案是 {mask}",
        },
    },
    "passage_choice": {
        "cloze": {
            "soft": "{text_b}；{text_a}？{options:sentences}正确的是 {mask}",
            "hard": "{text_b}问题：{text_a}选项：{options:sentences}正确的是 {mask}。",
        },
        "suffix": {
            "soft": "{text_b}\n{text_a}\n{options:lines}\n正确的是 {mask}",
            "hard": "{text_b}\n问题：{text_a}\n选项：\n{options:lines}\n答案是 {mask}",
        },
    },
    "unified_pair": {
        "cloze": {
            "soft": "{text_a}？{text_b}。{options:sentences}正确的是 {mask}",
            "hard": "{text_b}问题：{text_a}？选项：{options:sentences}正确的是 {mask}。",
        },
        "suffix": {
            "soft": "{text_a}\n{text_b}\n{options:lines}\n正确的是 {mask}",
            "hard": "{text_b}\n问题：{text_a}？\n选项：\n{options:lines}\n答案是 {mask}",
        },
    },
}
FORMS: Mapping[str, Mapping[str, Form]] = {
    "en": _ENGLISH,
    "zh": {**_CHINESE, "unified": _CHINESE["multiple_choice"]},
}
"""Language → name → form. The soft cloze forms are those of PPT (Gu et al. 2022): single
``s <X>``, pair ``a <X> b``, choice ``article; question? A. … The correct one is <X>``."""


def task_form(format_name: str, language: str, *, pair: bool, view: str) -> Form:
    """The form of a kind of task; `pair` says whether its rows have a `text_b`."""
    require_known("format", format_name, PROMPT_FORMATS)
    require_known("language", language, FORMS)
    if (format_name, pair) not in SHAPES:
        cure = "leave text_b out of" if pair else "add text_b to"
        raise ConfigError(
            f"format {format_name} {'takes one text a row' if pair else 'needs two texts a row'}:"
            f" {cure} the columns, or take another format ({', '.join(PROMPT_FORMATS)})."
        )
    return FORMS[language][SHAPES[format_name, pair][VIEWS.index(view)]]
