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

_STARS = (
    Label("0", "very negative", "terrible"),
    Label("1", "negative", "bad"),
    Label("2", "neutral", "maybe"),
    Label("3", "positive", "good"),
    Label("4", "very positive", "great"),
)
_CHINESE_STARS = tuple(
    replace(star, word=word) for star, word in zip(_STARS, "糟差中好棒", strict=True)
)
_TOPICS = (
    Label("0", "Society & Culture", "society"),
    Label("1", "Science & Mathematics", "science"),
    Label("2", "Health", "health"),
    Label("3", "Education & Reference", "education"),
    Label("4", "Computers & Internet", "computers"),
    Label("5", "Sports", "sports"),
    Label("6", "Business & Finance", "business"),
    Label("7", "Entertainment & Music", "entertainment"),
    Label("8", "Family & Relationships", "family"),
    Label("9", "Politics & Government", "politics"),
)
_CHINESE_INFERENCE = (
    Label("2", "contradiction", "错误"),
    Label("0", "neutral", "中立"),
    Label("1", "entailment", "正确"),
)
_HYPOTHESIS = Columns(("hypothesis",), ("premise",))
_RACE = Columns(("question",), ("article",), ("options",), "answer")
_SENTENCES = Columns(("sentence1",), ("sentence2",))
_TEXT = Columns(("text",))
_TRAIN_TEST = ("train", "test")

# fmt: off
_ENGLISH = (
    Task("sst2", "sentiment", (Label("0", "negative", "bad"), Label("1", "positive", "good")),
         Columns(("sentence",)), Hub("stanfordnlp/sst2", seen="files")),
    Task("sst5", "sentiment", _STARS, _TEXT, Hub("SetFit/sst5", splits=_TRAIN_TEST, seen="files")),
    Task("yahoo_answers", "topic", _TOPICS,
         Columns(("question_title", "question_content", "best_answer"), label="topic"),
         Hub("community-datasets/yahoo_answers_topics", splits=_TRAIN_TEST, seen="docs")),
    Task("race_middle", "multiple_choice", letters(4), _RACE,
         Hub("ehovy/race", "middle", _TRAIN_TEST, seen="files"), answer="letter", balance="level"),
    Task("race_high", "multiple_choice", letters(4), _RACE,
         Hub("ehovy/race", "high", _TRAIN_TEST, seen="files"), answer="letter", balance="level"),
    Task("boolq", "sentence_pair", (Label("0", "no", "no"), Label("1", "yes", "yes")),
         Columns(("question",), ("passage",)), Hub("aps/super_glue", "boolq", seen="files")),
    Task("rte", "sentence_pair",
         (Label("1", "not_entailment", "no"), Label("0", "entailment", "yes")),
         _HYPOTHESIS, Hub("aps/super_glue", "rte", seen="files")),
    Task("cb", "sentence_pair",
         (Label("1", "contradiction", "no"), Label("2", "neutral", "maybe"),
          Label("0", "entailment", "yes")),
         _HYPOTHESIS, Hub("aps/super_glue", "cb", seen="files"),
         balance="level"),  # 16 of the 250 training rows are neutral; 32 + 32 would take 22
    Task("yelp5", "sentiment", _STARS, _TEXT,
         Hub("Yelp/yelp_review_full", splits=_TRAIN_TEST, seen="files")),
)
_CHINESE = (
    Task("chnsenticorp", "sentiment", (Label("0", "negative", "差"), Label("1", "positive", "好")),
         _TEXT, Hub("lansinuote/ChnSentiCorp", splits=_TRAIN_TEST, seen="docs"), "zh"),
    Task("amazon_zh", "sentiment", _CHINESE_STARS, _TEXT,
         Hub("SetFit/amazon_reviews_multi_zh", splits=_TRAIN_TEST, seen="no"), "zh"),
    Task("ccpm", "multiple_choice", letters(4),
         Columns(("translation",), options=("choices",), label="answer"),
         Hub("", home="https://github.com/THUNLP-AIPoet/CCPM (valid.jsonl as validation.jsonl)"),
         "zh", answer="index", balance="level"),
    Task("c3", "multiple_choice", letters(4),
         Columns(("question",), ("context",), ("choice",), "answer"),
         Hub("clue/clue", "c3", seen="docs"), "zh", answer="option", balance="level"),
    Task("lcqmc", "sentence_pair", (Label("0", "different", "错误"), Label("1", "same", "正确")),
         Columns(("sentence1",), ("sentence2",), label="score"),
         Hub("C-MTEB/LCQMC", splits=_TRAIN_TEST, seen="no"), "zh"),
    Task("cmnli", "sentence_pair", _CHINESE_INFERENCE, _SENTENCES,
         Hub("clue/clue", "cmnli", seen="no"), "zh"),
    Task("ocnli", "sentence_pair", _CHINESE_INFERENCE, _SENTENCES,
         Hub("clue/clue", "ocnli", seen="no"), "zh"),
)
# fmt: on
TASKS: Mapping[str, Task] = {task.name: task for task in (*_ENGLISH, *_CHINESE)}
"""Name → task."""


def named_task(name: str) -> Task:
    """The task of that name; raises UnknownNameError with the nearest."""
    require_known("task", name, TASKS)
    return TASKS[name]
