"""The public tasks of the published evaluations, by name.

English: the eight sets of PPT (Gu, Han, Liu and Huang 2022), and Yelp in five classes;
Chinese: their seven. The order of a task's labels is that of the words of the
pre-training format (no, maybe, yes; terrible … great), so that unified options stand in
the order that the prompt was trained with; a label's number in the data is its `value`.

Draws are balanced by label; for a choice, whose labels are letters, as far as the rows
allow, so that no letter is the answer more often among 32 examples. Tests are the public
validation sets where the labels of the test are hidden, as published. `Hub.seen` says how
each set's columns are known; none was loaded from the hub where this table was written.
"""

from collections.abc import Mapping
from dataclasses import replace

from ppt.errors import require_known
from ppt.tasks.spec import Columns, Hub, Label, Task, letters

TASKS_VERSION = 1
"""Kept with every result; raise it when an entry changes what a task reads or shows."""

_STARS = tuple(
    Label(str(number), name, word)
    for number, (name, word) in enumerate(
        [
            ("very negative", "terrible"),
            ("negative", "bad"),
            ("neutral", "maybe"),
            ("positive", "good"),
            ("very positive", "great"),
        ]
    )
)
_TOPICS = (
    ("Society & Culture", "society"),
    ("Science & Mathematics", "science"),
    ("Health", "health"),
    ("Education & Reference", "education"),
    ("Computers & Internet", "computers"),
    ("Sports", "sports"),
    ("Business & Finance", "business"),
    ("Entertainment & Music", "entertainment"),
    ("Family & Relationships", "family"),
    ("Politics & Government", "politics"),
)
_CHINESE_INFERENCE = (
    Label("2", "contradiction", "错误"),
    Label("0", "neutral", "中立"),
    Label("1", "entailment", "正确"),
)
_RACE = Columns(("question",), ("article",), ("options",), "answer")
_SENTENCES = Columns(("sentence1",), ("sentence2",))


def _race(level: str) -> Task:
    return Task(
        f"race_{level}",
        "multiple_choice",
        letters(4),
        _RACE,
        Hub("ehovy/race", level, ("train", "test"), seen="files"),
        answer="letter",
        balance="level",
    )


def _clue(config: str) -> Task:
    """Natural language inference of CLUE; 0 neutral, 1 entailment, 2 contradiction."""
    source = Hub("clue/clue", config, seen="no")
    return Task(config, "sentence_pair", _CHINESE_INFERENCE, _SENTENCES, source, language="zh")


_ENGLISH = (
    Task(
        "sst2",
        "sentiment",
        (Label("0", "negative", "bad"), Label("1", "positive", "good")),
        Columns(("sentence",)),
        Hub("stanfordnlp/sst2", seen="files"),
    ),
    Task(
        "sst5",
        "sentiment",
        _STARS,
        Columns(("text",)),
        Hub("SetFit/sst5", splits=("train", "test"), seen="files"),
    ),
    Task(
        "yahoo_answers",
        "topic",
        tuple(Label(str(number), *topic) for number, topic in enumerate(_TOPICS)),
        Columns(("question_title", "question_content", "best_answer"), label="topic"),
        Hub("community-datasets/yahoo_answers_topics", splits=("train", "test"), seen="docs"),
    ),
    _race("middle"),
    _race("high"),
    Task(
        "boolq",
        "sentence_pair",
        (Label("0", "no", "no"), Label("1", "yes", "yes")),
        Columns(("question",), ("passage",)),
        Hub("aps/super_glue", "boolq", seen="files"),
    ),
    Task(
        "rte",
        "sentence_pair",
        (Label("1", "not_entailment", "no"), Label("0", "entailment", "yes")),
        Columns(("hypothesis",), ("premise",)),
        Hub("aps/super_glue", "rte", seen="files"),
    ),
    Task(
        "cb",
        "sentence_pair",
        (
            Label("1", "contradiction", "no"),
            Label("2", "neutral", "maybe"),
            Label("0", "entailment", "yes"),
        ),
        Columns(("hypothesis",), ("premise",)),
        Hub("aps/super_glue", "cb", seen="files"),
        balance="level",  # 16 of the 250 training rows are neutral; 32 + 32 would take 22
    ),
    Task(
        "yelp5",
        "sentiment",
        _STARS,
        Columns(("text",)),
        Hub("Yelp/yelp_review_full", splits=("train", "test"), seen="files"),
    ),
)
_CHINESE = (
    Task(
        "chnsenticorp",
        "sentiment",
        (Label("0", "negative", "差"), Label("1", "positive", "好")),
        Columns(("text",)),
        Hub("lansinuote/ChnSentiCorp", splits=("train", "test"), seen="docs"),
        language="zh",
    ),
    Task(
        "amazon_zh",
        "sentiment",
        tuple(replace(star, word=word) for star, word in zip(_STARS, "糟差中好棒", strict=True)),
        Columns(("text",)),
        Hub("SetFit/amazon_reviews_multi_zh", splits=("train", "test"), seen="no"),
        language="zh",
    ),
    Task(
        "ccpm",
        "multiple_choice",
        letters(4),
        Columns(("translation",), options=("choices",), label="answer"),
        Hub("", home="https://github.com/THUNLP-AIPoet/CCPM (valid.jsonl as validation.jsonl)"),
        language="zh",
        answer="index",
        balance="level",
    ),
    Task(
        "c3",
        "multiple_choice",
        letters(4),
        Columns(("question",), ("context",), ("choice",), "answer"),
        Hub("clue/clue", "c3", seen="docs"),
        language="zh",
        answer="option",
        balance="level",
    ),
    Task(
        "lcqmc",
        "sentence_pair",
        (Label("0", "different", "错误"), Label("1", "same", "正确")),
        Columns(("sentence1",), ("sentence2",), label="score"),
        Hub("C-MTEB/LCQMC", splits=("train", "test"), seen="no"),
        language="zh",
    ),
    _clue("cmnli"),
    _clue("ocnli"),
)
TASKS: Mapping[str, Task] = {task.name: task for task in (*_ENGLISH, *_CHINESE)}
"""Name → task."""


def named_task(name: str) -> Task:
    """The task of that name; raises UnknownNameError with the nearest."""
    require_known("task", name, TASKS)
    return TASKS[name]
