"""Task files: what a user writes, every mistake with its message, and the manual's snippets."""

import json
import os
import re
import shlex
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from ppt.base.flags import parse
from ppt.errors import PPTError
from ppt.fewshot.settings import FewshotConfig
from ppt.prompts.patterns import rendered_text
from ppt.tasks.forms import PROMPT_FORMATS
from ppt.tasks.user_file import COLUMN_KEYS, KEYS, load_task_file

MANUAL = Path(__file__).parents[1] / "docs" / "your-own-task.md"

YAML = """\
name: tea
format: sentiment
train: train.csv
test: test.csv
columns:
  text_a: text
  label: mood
labels:
  sad: bad
  glad: good
"""
TRAIN = "text,mood\n" + "".join(f"Sentence {i},{('sad', 'glad')[i % 2]}\n" for i in range(8))
TEST = "text,mood\nAnother,glad\nOne more,sad\n"
CHOICE = """\
format: multiple_choice
train: quiz.jsonl
columns: {text_a: q, options: o, label: a}
"""
QUIZ = "".join(
    json.dumps({"q": f"Question {i}?", "o": ["x", "y", "z"][: 2 + i % 2], "a": "B", "n": 2}) + "\n"
    for i in range(4)
)


@pytest.fixture
def write(tmp_path):
    """Write a task file and its data; returns the task file's path."""

    def write(yaml=YAML, train=TRAIN, test=TEST):
        files = {"train.csv": train, "test.csv": test, "quiz.jsonl": QUIZ}
        for name, text in files.items():
            if text is not None:
                (tmp_path / name).write_text(text)
        path = tmp_path / "my_task.yaml"
        path.write_bytes(yaml if isinstance(yaml, bytes) else yaml.encode())
        return path

    return write


def test_a_task_file_gives_a_task(write):
    data = load_task_file(write())
    task = data.task
    assert (task.name, task.format, task.words) == ("tea", "sentiment", ("bad", "good"))
    assert (len(data.train), len(data.test)) == (8, 2)
    assert [row["label"] for row in data.test] == [1, 0]
    few = data.few_shot(2, seed=0)
    assert Counter(row["label"] for row in few.train) == {0: 1, 1: 1}


def test_the_name_is_the_files_and_the_test_the_rest(write):
    data = load_task_file(write(YAML.replace("name: tea\n", "").replace("test: test.csv\n", "")))
    assert data.task.name == "my_task"
    assert len(data.few_shot(2, seed=0).test) == 4


def test_yes_no_and_numbers_are_words_and_labels(write):
    yaml = YAML.replace("sad: bad", "no: no").replace("glad: good", "1: yes")
    train = TRAIN.replace(",sad", ",no").replace(",glad", ",1")
    task = load_task_file(write(yaml, train, "text,mood\nAnother,no\n")).task
    assert [(label.value, label.word) for label in task.labels] == [("no", "no"), ("1", "yes")]


def test_labels_are_one_in_every_normal_form_and_with_spaces(write):
    composed, parts = "sch\xf6n", "scho\u0308n"
    for in_yaml, in_data in ((parts, parts), (parts, composed), (composed, parts)):
        train, test = (text.replace("glad", f" {in_data} ") for text in (TRAIN, TEST))
        path = write(YAML.replace("  glad: good", f'  "{in_yaml} ": {parts}'), train, test)
        data = load_task_file(path)
        assert [label.value for label in data.task.labels] == ["sad", composed]
        assert data.task.words == ("bad", composed)
        assert (len(data.train), data.rejects) == (8, ())
    path = write(YAML.replace("  glad: good", f"  {parts}: good\n  {composed}: fine"), train, test)
    with pytest.raises(PPTError, match="have one value"):
        load_task_file(path)


def test_columns_and_files_are_one_in_every_normal_form(write, tmp_path):
    composed, parts = "\xe9t\xe9", "e\u0301te\u0301"
    yaml = YAML.replace("test: test.csv\n", "")
    for in_yaml, in_data in ((parts, parts), (parts, composed), (composed, parts)):
        path = write(yaml.replace("text_a: text", f"text_a: {in_yaml}").replace(
            "train.csv", f"{in_yaml}.csv"))  # fmt: skip
        data = tmp_path / f"{in_data}.csv"
        data.write_text(TRAIN.replace("text,", f"{in_data},"))
        assert len(load_task_file(path).train) == 8
        data.rename(tmp_path / f"{in_data}.jsonl").write_text(
            "".join(
                json.dumps({in_data: {in_data: f"Row {i}"}, "mood": ("sad", "glad")[i % 2]}) + "\n"
                for i in range(8)
            )
        )
        nested = f"text_a: {in_yaml}.{in_yaml}"
        path.write_text(path.read_text().replace(".csv", ".jsonl").replace(
            f"text_a: {in_yaml}", nested))  # fmt: skip
        assert [row["text_a"] for row in load_task_file(path).train][:2] == ["Row 0", "Row 1"]
        (tmp_path / f"{in_data}.jsonl").unlink()


def test_a_row_without_a_label_is_a_reject_and_not_the_whole_file(write, tmp_path):
    data = load_task_file(write(train=TRAIN + "No label,\nNor here, \n"))
    assert [(one.place, one.reason) for one in data.rejects] == [
        ("line 10", "unknown_label"), ("line 11", "unknown_label"),
    ]  # fmt: skip
    assert len(data.train) == 8
    known = (
        YAML.replace("  sad: bad", '  "": bad'),
        TRAIN.replace("sad", ""),
        TEST.replace("sad", ""),
    )
    assert len(load_task_file(write(*known)).train) == 8
    moods = [0.0, 1.0, "null", "NaN"] * 2
    rows = [f'{{"text": "Row {i}", "mood": {mood}}}\n' for i, mood in enumerate(moods)]
    path = write(YAML.replace("sad:", "0:").replace("glad:", "1:").replace("train.csv", "n.jsonl"))
    path.write_text(path.read_text().replace("test: test.csv\n", ""))
    (tmp_path / "n.jsonl").write_text("".join(rows))
    data = load_task_file(path)
    assert [row["label"] for row in data.train] == [0, 1] * 2
    assert Counter(one.reason for one in data.rejects) == {"missing_field": 2, "unknown_label": 2}


def test_json_lines_that_cannot_be_read_are_told(write, tmp_path):
    rows = [f'{{"text": "Row {i}", "mood": "{("sad", "glad")[i % 2]}"}}\n' for i in range(6)]
    twice = '{"text": "Two", "mood": "sad", "mood": "glad"}\n'
    path = write(YAML.replace("train.csv", "train.jsonl"))
    (tmp_path / "train.jsonl").write_text("".join([*rows, twice]))
    (reject,) = load_task_file(path).rejects
    assert (reject.place, reject.reason) == ("line 7", "broken_line")
    assert reject.detail == "the key 'mood' stands twice"
    (tmp_path / "train.jsonl").write_text("".join(rows).replace("\n", "\r"))
    with pytest.raises(PPTError, match=r"no row can be read; line 1: no JSON: Extra data"):
        load_task_file(path)


def test_a_choice_has_the_letters_that_its_rows_need(write):
    data = load_task_file(write(CHOICE))
    task = data.task
    assert task.words == ("A", "B", "C")
    assert task.balance == "level"
    assert [row["label"] for row in data.train] == [1, 1, 1, 1]


def test_a_choice_of_too_many_options_is_a_reject_and_not_the_whole_file(write, tmp_path):
    path = write(CHOICE)
    many = {"q": "Which of all?", "o": [f"option {i}" for i in range(30)], "a": "B"}
    (tmp_path / "quiz.jsonl").write_text(QUIZ + json.dumps(many))
    data = load_task_file(path)
    assert data.task.words == ("A", "B", "C")
    assert [(one.place, one.reason) for one in data.rejects] == [("line 5", "bad_options")]


def test_a_choice_whose_rows_are_all_in_the_test_says_so(write):
    data = load_task_file(write(CHOICE + "test: quiz.jsonl\n"))
    with pytest.raises(PPTError, match=r"rows left to train: 0, .* not kept: in_test 4$"):
        data.few_shot(1, seed=0)


def test_a_pattern_may_be_a_block_of_yaml(write):
    block = "pattern: |\n  Read: {text_a}\n  It is {mask}\n"
    both = "pattern:\n  suffix: |\n    {text_a}\n    So {mask}\n  cloze: |\n    {text_a} {mask}.\n"
    task = load_task_file(write(YAML + block)).task
    assert task.patterns == dict.fromkeys(("cloze", "suffix"), "Read: {text_a}\nIt is {mask}")
    task = load_task_file(write(YAML + both)).task
    assert task.patterns == {"suffix": "{text_a}\nSo {mask}", "cloze": "{text_a} {mask}.\n"}


def test_own_patterns_are_used(write):
    own = (
        'pattern: "{text_a} So it is {mask}"\nunified_pattern: "{text_a} {options:lines}: {mask}"\n'
    )
    data = load_task_file(write(YAML + own))
    task = data.task
    (row,) = data.test[:1]
    for layout in ("cloze", "suffix"):
        assert rendered_text(row, task.pattern(layout, "soft")) == "Another So it is <X>"
    (row,) = task.examples([row], unified=True)
    shown = rendered_text(row, task.pattern("suffix", "hard", unified=True))
    assert shown == "Another A. bad\nB. good: <X>"


def test_a_pattern_that_goes_on_serves_cloze_only_and_says_so(write):
    task = load_task_file(write(YAML + 'pattern: "{text_a} {mask}, they say"\n')).task
    assert task.pattern("cloze", "soft").after
    with pytest.raises(PPTError, match="none for suffix"):
        task.pattern("suffix", "soft")


def changed(old, new):
    assert old in YAML
    return YAML.replace(old, new)


MISTAKES = {
    "no file": (
        None,
        TRAIN,
        "cannot be read (No such file or directory)",
    ),
    "broken yaml": (
        changed("test: test.csv", "test: [a"),
        TRAIN,
        "line 5: no YAML (expected ',' or ']'",
    ),
    "a tab": (
        changed("  text_a", "\ttext_a"),
        TRAIN,
        "line 6: no YAML (found character '\\t'",
    ),
    "no utf-8": (
        YAML.encode("utf-16"),
        TRAIN,
        "is not UTF-8",
    ),
    "control characters": (
        "name: \x00",
        TRAIN,
        "no YAML (unacceptable character",
    ),
    "empty": (
        "",
        TRAIN,
        "expected lines such as 'format: sentiment', got None",
    ),
    "a list": (
        "- a\n- b\n",
        TRAIN,
        "expected lines such as",
    ),
    "key twice": (
        YAML + "name: coffee\n",
        TRAIN,
        "line 11: 'name' stands on line 1 too: keep one",
    ),
    "label twice": (
        YAML + "  sad: awful\n",
        TRAIN,
        "line 11: 'sad' stands on line 9 too",
    ),
    "a key that is a list": (
        YAML + "[a, b]: c\n",
        TRAIN,
        "line 11: a key must be a word",
    ),
    "recursive": (
        "format: &a [*a]\n",
        TRAIN,
        "no YAML",
    ),
    "unknown key": (
        changed("train:", "trian:"),
        TRAIN,
        "line 3: unknown key 'trian'. Did you mean 'train'?",
    ),
    "unknown column key": (
        changed("text_a", "text"),
        TRAIN,
        "line 6: unknown key of columns 'text'. Did you mean 'text_a'?",
    ),
    "unknown format": (
        changed("sentiment", "sentimental"),
        TRAIN,
        "unknown format 'sentimental'. Did you mean 'sentiment'?",
    ),
    "no format": (
        changed("format: sentiment\n", ""),
        TRAIN,
        "the key 'format' is missing: format is one of sentiment, topic",
    ),
    "no train": (
        changed("train: train.csv\n", ""),
        TRAIN,
        "the key 'train' is missing: train is the file to draw",
    ),
    "no columns": (
        changed("columns:\n  text_a: text\n  label: mood\n", ""),
        TRAIN,
        "the key 'columns' is missing",
    ),
    "columns are text": (
        changed("columns:\n  text_a: text\n  label: mood", "columns: text"),
        TRAIN,
        "line 5: columns: expected indented lines",
    ),
    "no text": (
        changed("  text_a: text\n", ""),
        TRAIN,
        "line 5: columns: text_a is missing",
    ),
    "no label column": (
        changed("  label: mood\n", ""),
        TRAIN,
        "line 5: columns: label is missing",
    ),
    "two label columns": (
        changed("mood", "[mood, text]"),
        TRAIN,
        "line 7: label: expected one column",
    ),
    "an empty column": (
        changed("text_a: text", "text_a: "),
        TRAIN,
        "line 6: text_a: expected the name of a column",
    ),
    "format is a list": (
        changed("format: sentiment", "format: [sentiment]"),
        TRAIN,
        "line 2: format: expected a word, got ['sentiment']",
    ),
    "missing train file": (
        changed("train.csv", "tran.csv"),
        TRAIN,
        "line 3: train: there is no file",
    ),
    "missing test file": (
        YAML,
        TRAIN,
        "line 4: test: there is no file",
    ),
    "unknown column": (
        changed("text_a: text", "text_a: txt"),
        TRAIN,
        "has no column 'txt'. Did you mean 'text'? Its columns: text, mood",
    ),
    "unknown label column": (
        changed("mood", "feeling"),
        TRAIN,
        "line 7: label: ",
    ),
    "column missing in the test": (
        YAML,
        TRAIN,
        "test.csv has no column 'mood'",
    ),
    "no rows": (
        YAML,
        "text,mood\n",
        "train.csv has no rows: expected one row an example",
    ),
    "label without a word": (
        changed("  glad: good\n", "  happy: good\n"),
        TRAIN,
        "line 8: labels: ",
    ),
    "label of the test without a word": (
        YAML,
        TRAIN,
        "has the label 'gladd' (1 times), which has no word here. Did you mean 'glad'?",
    ),
    "word without rows": (
        YAML + "  calm: maybe\n",
        TRAIN,
        "line 11: no row of",
    ),
    "no labels": (
        changed("labels:\n  sad: bad\n  glad: good\n", ""),
        TRAIN,
        "as its value and a word (glad: ..., sad: ...)",
    ),
    "labels are a list": (
        changed("labels:\n  sad: bad\n  glad: good\n", "labels: [sad, glad]\n"),
        TRAIN,
        "labels: expected a line a label",
    ),
    "no word": (
        changed("sad: bad", "sad:"),
        TRAIN,
        "line 9: sad: expected a word, got ''",
    ),
    "one word for two": (
        changed("sad: bad", "sad: good"),
        TRAIN,
        "labels 'sad', 'glad' have one word, 'good': change one",
    ),
    "one label": (
        changed("  glad: good\n", "").replace("test: test.csv\n", ""),
        TRAIN.replace("glad", "sad"),
        "give two labels at least",
    ),
    "too few of a class": (
        YAML,
        "text,mood\na,sad\nb,sad\nc,glad\n",
        "label 'glad' has 1 usable rows, expected 2 at least",
    ),
    "too few after rejects": (
        YAML,
        "text,mood\na,sad\nb,sad\nc,glad\nc,glad\n",
        "duplicate 1",
    ),
    "all blank": (
        YAML,
        "text,mood\n ,sad\n ,glad\n",
        "none of 2 rows can be used; line 2: a text is empty",
    ),
    "two texts": (
        changed("  label", "  text_b: text\n  label"),
        TRAIN,
        "format sentiment takes one text a row",
    ),
    "one text of a pair": (
        changed("sentiment", "sentence_pair"),
        TRAIN,
        "format sentence_pair needs two texts a row",
    ),
    "unknown language": (
        YAML + "language: de\n",
        TRAIN,
        "unknown language 'de'",
    ),
    "unknown balance": (
        YAML + "balance: levels\n",
        TRAIN,
        "unknown balance 'levels'. Did you mean 'level'?",
    ),
    "pattern without a mask": (
        YAML + 'pattern: "{text_a} is"\n',
        TRAIN,
        "got 0 masks: write {mask} once",
    ),
    "pattern of an unknown column": (
        YAML + 'pattern: "{text} is {mask}"\n',
        TRAIN,
        "got {text}: expected one of {mask}, {text_a}",
    ),
    "pattern of no column": (
        YAML + 'pattern: "It is {mask}"\n',
        TRAIN,
        "shows nothing of the example",
    ),
    "pattern of a second text": (
        YAML + 'pattern: "{text_a} {text_b} {mask}"\n',
        TRAIN,
        "shows {text_b}: name its column",
    ),
    "pattern with options": (
        YAML + 'pattern: "{text_a} {options} {mask}"\n',
        TRAIN,
        "shows {options}, but the label word is no letter",
    ),
    "unified without options": (
        YAML + 'unified_pattern: "{text_a} {mask}"\n',
        TRAIN,
        "lacks {options}, but the label word is a letter",
    ),
    "suffix that goes on": (
        YAML + 'pattern: {suffix: "{text_a} {mask}."}\n',
        TRAIN,
        "a suffix pattern ends with {mask}",
    ),
    "a brace": (
        YAML + 'pattern: "{text_a {mask}"\n',
        TRAIN,
        "A literal brace is written twice",
    ),
    "unknown layout": (
        YAML + 'pattern: {clozed: "{text_a} {mask}."}\n',
        TRAIN,
        "unknown layout of pattern 'clozed'. Did you mean 'cloze'?",
    ),
    "pattern is a list": (
        YAML + "pattern: [a]\n",
        TRAIN,
        "line 11: pattern: expected text, in quotation marks",
    ),
    "a line break that is none": (
        YAML + "pattern: 'Text: {text_a}\\nOf the kind {mask}'\n",
        TRAIN,
        "line 11: pattern: got a backslash and n, expected a line break: set the text in double",
    ),
    "unquoted pattern": (
        YAML + "pattern: {text_a} is {mask}\n",
        TRAIN,
        "line 11: no YAML",
    ),
    "choice with labels": (
        CHOICE + "labels: {A: A, B: B}\n",
        TRAIN,
        "line 4: labels: a choice has none",
    ),
    "choice without options": (
        CHOICE.replace("options: o, ", ""),
        TRAIN,
        "columns: options is missing",
    ),
    "choice of texts": (
        CHOICE.replace("options: o", "options: q"),
        TRAIN,
        "options: got 0 a row, expected 2 to 16",
    ),
    "a name that is a path": (
        changed("name: tea", "name: ../../victim"),
        TRAIN,
        "name: got '../../victim', expected a name of 1 to 200 bytes without /",
    ),
    "a file's name of 5,000 characters": (
        changed("train.csv", "x" * 5000),
        TRAIN,
        "line 3: train: there is no file",
    ),
    "a file in a folder of 5,000 characters": (
        changed("train.csv", "x" * 5000 + "/train.csv"),
        TRAIN,
        "line 3: train: there is no file",
    ),
    "a folder as a file": (
        changed("train.csv", "."),
        TRAIN,
        "line 3: train: there is no file",
    ),
    "aliases": (
        "format: topic\ntrain: train.csv\ncolumns: &a {text_a: text, label: mood}\nlabels: *a\n",
        TRAIN,
        "line 4: no YAML of plain texts: *a is an alias",
    ),
    "a bomb of aliases": (
        "name: &a [x, x]\n"
        + "".join(
            f"label{i}: &{b} [*{a}, *{a}, *{a}, *{a}]\n"
            for i, (a, b) in enumerate(pairwise("abcdefghijklmnopqrstuvwxyz"))
        ),
        TRAIN,
        "line 2: no YAML of plain texts: *a is an alias",
    ),
    "half a pair": (
        changed("sad: bad", 'sad: "\\ud800"'),
        TRAIN,
        "line 9: '\\ud800' has half a surrogate pair",
    ),
    "no character": (
        changed("sad: bad", 'sad: "\\UFFFFFFFF"'),
        TRAIN,
        "no YAML",
    ),
    "deep": (
        YAML + "pattern: " + "[" * 20_000 + "\n",
        TRAIN,
        "no YAML",
    ),
    "deep blocks": (
        YAML + "pattern:\n" + "".join(" " * i + "a:\n" for i in range(1, 400)),
        TRAIN,
        "no YAML",
    ),
    "long": (
        YAML + "#" * 100_000,
        TRAIN,
        "has more than 100,000 bytes",
    ),
    "terminal codes": (
        changed("glad: good", '"\\e[2J": good'),
        TRAIN,
        "labels: ",
    ),
    "unknown quoting": (
        YAML + "quoting: cvs\n",
        TRAIN,
        "unknown quoting 'cvs'. Did you mean 'csv'?",
    ),
    "texts for labels": (
        changed("text_a: text\n  label: mood", "text_a: mood\n  label: text"),
        "text,mood\n" + "".join(f"{'long ' * 200}{i},sad\n" for i in range(500)),
        "has the label 'long long",
    ),
    "a text that is the label": (
        changed("label: mood", "label: text"),
        TRAIN,
        "'text' is the label and stands in a text too",
    ),
    "many columns": (
        changed("text_a: text", "text_a: txet"),
        ",".join(f"column{i}" for i in range(5000)) + "\n",
        "has no rows",
    ),
    "many columns and a row": (
        changed("text_a: text", "text_a: " + "text" * 1000),
        ",".join(f"column{i}" for i in range(5000)) + "\n" + "," * 4999 + "\n",
        "column18, column19, …",
    ),
    "answers of no choice": (
        YAML + "answer: index\n",
        TRAIN,
        "answer: got index, which is for choices: leave it out",
    ),
    "answers from one": (
        CHOICE.replace("a}", "n}") + "answer: index\n",
        TRAIN,
        "answer: index counts options from 0, but the column 'n' counts from 1: write answer: num",
    ),
    "unknown answer": (
        CHOICE + "answer: leter\n",
        TRAIN,
        "unknown answer 'leter'. Did you mean 'letter'?",
    ),
    "wrong answer": (
        CHOICE + "answer: index\n",
        TRAIN,
        "none of 4 rows can be used; line 1: the label has no word",
    ),
}
TESTS = {
    "missing test file": None,
    "column missing in the test": "text,feeling\na,sad\n",
    "label of the test without a word": "text,mood\na,gladd\n",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_has_its_message(write, mistake):
    yaml, train, message = MISTAKES[mistake]
    path = write("" if yaml is None else yaml, train, TESTS.get(mistake, TEST))
    if yaml is None:
        path.unlink()
    with pytest.raises(PPTError) as caught:
        load_task_file(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert message in told
    assert told.isprintable()
    assert len(told) < 700


def test_a_near_file_is_suggested(write):
    with pytest.raises(PPTError, match=r"Did you mean train\.csv\? Paths are relative"):
        load_task_file(write(changed("train: train.csv", "train: tran.csv")))


def test_the_values_of_an_unknown_label_are_told(write):
    with pytest.raises(PPTError, match=r"has the label 'glad' \(4 times\), which has no word here"):
        load_task_file(write(changed("  glad: good\n", "  happy: good\n")))
    with pytest.raises(PPTError, match=r"label 'calm': the column 'mood' holds 'glad', 'sad'"):
        load_task_file(write(YAML + "  calm: maybe\n"))


# --- the manual


def manual_files():
    found = re.findall(r"```\w+ file=(\S+)\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert len({name for name, _ in found}) == len(found)
    return dict(found)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in manual_files().items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [name for name in manual_files() if name.endswith(".yaml")])
def test_the_manuals_task_files_load(folder, name):
    data = load_task_file(name)
    assert not data.rejects
    for unified in (False, True):
        for row in data.task.examples(data.train, unified):
            assert "<X>" in rendered_text(row, data.task.pattern("suffix", "hybrid", unified))


def test_the_manuals_first_task_runs_with_the_usual_shots(folder):
    files = manual_files()
    assert len(files["helpdesk.yaml"].splitlines()) == 10
    data = load_task_file("helpdesk.yaml")
    assert len(data.train) == 64
    few = data.few_shot(32, seed=0)
    assert Counter(row["label"] for row in few.train) == dict.fromkeys(range(4), 8)
    assert Counter(row["label"] for row in few.validation) == dict.fromkeys(range(4), 8)
    assert few.test == data.test


def test_the_manuals_python_prints_what_it_says(folder, capsys):
    text = MANUAL.read_text()
    for code, shown in re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", text, re.DOTALL):
        exec(code, {})
        assert capsys.readouterr().out == shown
    assert text.count("```python") == text.count("```text") == 1


def test_the_manuals_commands_have_flags_that_exist():
    commands = re.findall(r"^python -m ppt\.fewshot (.*)$", MANUAL.read_text(), re.MULTILINE)
    for command in commands:
        parse(FewshotConfig, shlex.split(command), prog="fewshot", description="")
    assert commands


def test_the_manual_has_all_keys_and_formats():
    text = MANUAL.read_text()
    for key in (*KEYS, *COLUMN_KEYS, *PROMPT_FORMATS):
        assert f"`{key}`" in text


def test_quoting_settles_what_marks_are(write):
    train = TRAIN + '"He said ""no""",sad\n" open,glad\n'
    for quoting, text, rejects in (("csv", 'He said "no"', 1), ("none", '"He said ""no"""', 0)):
        data = load_task_file(write(YAML + f"quoting: {quoting}\n", train))
        assert text in [row["text_a"] for row in data.train]
        assert [reject.place for reject in data.rejects] == ["line 11"] * rejects
        assert len(data.train) + rejects == 10
    assert load_task_file(write(YAML, train)).report().splitlines()[0].endswith("broken_line 1")


def test_a_path_that_cannot_be_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    paths = [tmp_path / ("x" * 5000 + ".yaml"), tmp_path, tmp_path / "pipe.yaml"]
    for path in [*paths, tmp_path / "no" / "where.yaml", Path("a\0b.yaml")]:
        with pytest.raises(PPTError, match="cannot be read"):
            load_task_file(path)


def test_a_pipe_for_rows_is_no_file(write, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(PPTError, match="line 3: train: there is no file"):
        load_task_file(write(changed("train: train.csv", "train: pipe.csv")))
