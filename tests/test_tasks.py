"""Tasks: rows read from files and the hub, rejects counted, views, the table, the demo."""

import csv
import gzip
import io
import json
import lzma
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppt.corpus.formats import FORMATS
from ppt.errors import ConfigError, InputError, UnknownNameError
from ppt.prompts.patterns import PATTERNS, rendered_text, standard_pattern
from ppt.tasks.cells import BadRow
from ppt.tasks.forms import FORMS, PROMPT_FORMATS, SHAPES
from ppt.tasks.loading import load_rows, look, without_duplicates
from ppt.tasks.readers import read_table
from ppt.tasks.rows import FIRST, REASONS, content_id
from ppt.tasks.spec import Columns, Files, Hub, Label, Rows, Task, letters
from ppt.tasks.table import TASKS, TASKS_VERSION, named_task
from ppt.tasks.user_file import load_task_file
from ppt.text.vader import vader_compound

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "tasks" / "verdicts"

ROWS = [
    {"text": "It rained.", "label": 0},
    {"text": "The sun, at last!", "label": 1},
    {"text": 'She said "no".', "label": 0},
    {"text": "Two lines\nof it", "label": 1},
]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_bytes(rows, delimiter=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


FILES = {
    "train.jsonl": jsonl(ROWS),
    "train.csv": csv_bytes(ROWS),
    "semicolons.csv": csv_bytes(ROWS, ";"),
    "train.tsv": csv_bytes(ROWS, "\t"),
    "bom.csv": b"\xef\xbb\xbf" + csv_bytes(ROWS),
    "train.parquet": parquet(ROWS),
    "train.jsonl.gz": gzip.compress(jsonl(ROWS)),
    "train.csv.gz": gzip.compress(csv_bytes(ROWS)),
    "train.parquet.gz": gzip.compress(parquet(ROWS)),
}


def task_of(train, test=None, **changes):
    usual = Task(
        "toy",
        "sentiment",
        (Label("0", "sad", "bad"), Label("1", "glad", "good")),
        Columns(("text",)),
        Files(train, test),
    )
    return replace(usual, **changes)


def write(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else jsonl(data))
    return path


def rows_of(folder, rows, **changes):
    return load_rows(task_of(write(folder, "rows.jsonl", rows), **changes))


@pytest.mark.parametrize("name", FILES)
def test_all_kinds_of_files_give_the_same_rows(tmp_path, name):
    data = load_rows(task_of(write(tmp_path, name, FILES[name])))
    assert [(row["text_a"], row["label"]) for row in data.train] == [
        (row["text"], row["label"]) for row in ROWS
    ]
    assert all(row["text_b"] is None and row["options"] is None for row in data.train)
    assert data.read == {"train": 4}
    assert not data.rejects


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.sampled_from("01")),
        min_size=1,
        max_size=8,
    )
)
def test_csv_and_jsonl_say_the_same_of_any_text(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    records = [{"text": text, "label": label} for text, label in rows]
    tables = [
        read_table(write(folder, name, data))
        for name, data in (("a.jsonl", jsonl(records)), ("a.csv", csv_bytes(records)))
    ]
    assert [row for _, row in tables[0].rows] == records
    if not any("\r" in text for text, _ in rows):  # csv writes any line end, and reads it back
        assert [row for _, row in tables[1].rows] == records


def test_csv_cells_are_never_guessed(tmp_path):
    cells = ["NA", "null", "None", "1.0", "01", "true", ""]
    data = csv_bytes([{"text": cell, "label": cell} for cell in cells])
    table = read_table(write(tmp_path, "a.csv", data))
    assert [row["text"] for _, row in table.rows] == cells


BAD_ROWS = {
    "no json": (b'{"text": "a", "lab\n', "broken_line", "no JSON"),
    "a list": (b"[1]\n", "broken_line", "a JSON list"),
    "no label": (jsonl([{"text": "a"}]), "missing_field", "label"),
    "null text": (jsonl([{"text": None, "label": 0}]), "missing_field", "text"),
    "a number": (jsonl([{"text": 5, "label": 0}]), "not_a_string", "text is 5"),
    "half a pair": (jsonl([{"text": "\ud800", "label": 0}]), "lone_surrogate", "text"),
    "blank": (jsonl([{"text": " \n", "label": 0}]), "blank", "text"),
    "a label": (jsonl([{"text": "a", "label": 7}]), "unknown_label", "'7', expected one of"),
    "hidden": (jsonl([{"text": "a", "label": -1}]), "unknown_label", "'-1'"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_kept_aside_with_reason_and_place(tmp_path, case):
    line, reason, detail = BAD_ROWS[case]
    data = load_rows(task_of(write(tmp_path, "rows.jsonl", jsonl(ROWS[:2]) + line)))
    (reject,) = data.rejects
    assert (reject.split, reject.place, reject.reason) == ("train", "line 3", reason)
    assert detail in reject.detail
    assert len(data.train) + len(data.rejects) == data.read["train"] == 3
    assert f"2 of 3 rows of {tmp_path}/rows.jsonl; not kept: {reason} 1" in data.report()
    assert reject.reason in REASONS


def test_ragged_csv_lines_are_rejects_and_blank_ones_are_nothing(tmp_path):
    data = b"text,label\nfine,0\n\nwith, a comma,1\nshort\nalso fine,1\n"
    table = read_table(write(tmp_path, "a.csv", data))
    assert [(place, isinstance(row, BadRow)) for place, row in table.rows] == [
        ("line 2", False), ("line 4", True), ("line 5", True), ("line 6", False),
    ]  # fmt: skip
    assert "3 cells, but the header has 2" in table.rows[1][1].detail


WHOLE_FILES = {
    "latin.csv": (b"text,label\ncaf\xe9,0\n", r"line 2: byte 0xe9 is not UTF-8"),
    "utf16.csv": ("text,label\na,0\n".encode("utf-16"), r"not UTF-8"),
    "empty.csv": (b"", r"is empty"),
    "empty.jsonl": (b"\n", r"has no rows"),
    "header.csv": (b"text,label\n", r"has no rows"),
    "twice.csv": (b"text,text,label\na,b,0\n", r"two columns have one name"),
    "other.csv": (b"txt,label\na,0\n", r"no column 'text'. Did you mean 'txt'\? .*txt, label"),
    "cut.csv.gz": (gzip.compress(csv_bytes(ROWS))[:-9], r"no whole gzip file"),
    "cut.parquet": (parquet(ROWS)[:-9], r"no whole Parquet file"),
    "rows.xlsx": (b"PK", r"expected a file that ends in .jsonl, .csv"),
    "hidden.jsonl": (
        jsonl([{"text": "a", "label": -1}] * 3),
        r"none of 3 rows can be used; line 1: the label has no word.*'-1'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_what_is_wrong_with_a_whole_file_is_one_error(tmp_path, name):
    content, message = WHOLE_FILES[name]
    with pytest.raises(InputError, match=message) as caught:
        load_rows(task_of(write(tmp_path, name, content)))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.csv \(No such file"):
        load_rows(task_of(tmp_path / "none.csv"))


def test_long_files_are_read_up_to_a_row_and_say_so(tmp_path):
    path = write(tmp_path, "a.jsonl", jsonl(ROWS))
    assert len(read_table(path, 3).rows) == 3
    assert read_table(path, 3).source == f"{path}, first 3 rows"
    assert read_table(path, 4).source == str(path)


def test_several_columns_make_one_text_and_lists_are_lines(tmp_path):
    rows = [
        {"title": "One", "body": "two", "turns": ["a: hi", "b: hello"], "label": 0},
        {"title": "Alone", "body": None, "turns": ["c"], "label": 1},
        {"title": "", "body": " ", "turns": ["d"], "label": 1},
    ]
    columns = Columns(("title", "body"), ("turns",))
    data = rows_of(tmp_path, rows, columns=columns, format="sentence_pair")
    assert [(row["text_a"], row["text_b"]) for row in data.train] == [
        ("One two", "a: hi\nb: hello"), ("Alone", "c"),
    ]  # fmt: skip
    assert [reject.reason for reject in data.rejects] == ["blank"]


def choice(answer, columns=None):
    columns = columns or Columns(("q",), options=("o",), label="a")
    return {"format": "multiple_choice", "labels": letters(4), "columns": columns,
            "answer": answer, "balance": "level"}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "right"), [("letter", "B"), ("index", 1), ("index", "1"), ("option", "two ")]
)
def test_the_answer_of_a_choice_is_a_letter_a_number_or_an_option(tmp_path, answer, right):
    rows = [{"q": "Which?", "o": ["one", "two", "three"], "a": right}]
    (row,) = rows_of(tmp_path, rows, **choice(answer)).train
    assert (row["options"], row["label"]) == (["one", "two", "three"], 1)


@pytest.mark.parametrize(
    ("options", "answer", "right", "reason"),
    [
        (["one"], "letter", "A", "bad_options"),
        (["one", "", "three"], "letter", "A", "bad_options"),
        (["1", "2", "3", "4", "5"], "letter", "A", "bad_options"),
        ("one, two", "letter", "A", "bad_options"),
        (["one", "two"], "letter", "C", "unknown_label"),
        (["one", "two"], "index", 2, "unknown_label"),
        (["one", "one"], "option", "one", "doubled_option"),
        (["one", 2], "letter", "A", "not_a_string"),
    ],
)
def test_choices_that_cannot_be_used_are_rejects(tmp_path, options, answer, right, reason):
    first = {"letter": "A", "index": 0, "option": "one"}[answer]
    rows = [
        {"q": "Which?", "o": ["one", "two"], "a": first},
        {"q": "And?", "o": options, "a": right},
    ]
    (reject,) = rows_of(tmp_path, rows, **choice(answer)).rejects
    assert (reject.place, reject.reason) == ("line 2", reason)


@pytest.mark.parametrize(
    ("names", "right", "label"),
    [
        (["A", "B", "C"], "C", 2),
        (["1", "2", "3"], "2", 1),
        ([1, 2, 3], 3, 2),
        (["C", "A", "B"], "A", 1),  # the row's own names go before the places
        ("['1', '2', '3']", "3", 2),
        (None, "B", 1),
    ],
)
def test_options_are_called_what_the_row_calls_them(tmp_path, names, right, label):
    texts = ["a rope", "a raft", "a reed"]
    rows = [{"q": "Which?", "o": {"text": texts, "label": names}, "a": right}]
    made = choice("letter", Columns(("q",), options=("o.text",), label="a"))
    (row,) = rows_of(tmp_path, rows, **made).train
    assert (row["options"], row["label"]) == (texts, label)


@pytest.mark.parametrize(
    ("names", "right", "reason"),
    [
        (["1", "2", "3"], "A", "unknown_label"),
        (["1", "2"], "3", "unknown_label"),  # the third has no name
        (["1", "1", "2"], "1", "doubled_option"),
    ],
)
def test_names_of_options_that_do_not_lead_to_one_are_rejects(tmp_path, names, right, reason):
    rows = [
        {"q": "Which?", "o": {"text": ["x", "y"], "label": ["A", "B"]}, "a": "A"},
        {"q": "And?", "o": {"text": ["one", "two", "three"], "label": names}, "a": right},
    ]
    made = choice("letter", Columns(("q",), options=("o.text",), label="a"))
    (reject,) = rows_of(tmp_path, rows, **made).rejects
    assert (reject.place, reject.reason) == ("line 2", reason)


def test_options_may_stand_in_columns_the_last_of_them_blank(tmp_path):
    columns = Columns(("q",), options=("x", "y", "z"), label="a")
    rows = [{"q": "Which?", "x": "one", "y": "two", "z": "", "a": "B"}]
    path = write(tmp_path, "rows.csv", csv_bytes(rows))
    (row,) = load_rows(task_of(path, **choice("letter", columns))).train
    assert row["options"] == ["one", "two"]


LABELS = st.sampled_from(["0", "1"])
TEXTS = st.sampled_from(["a", "A", " a ", "b", "b  c", "B c", "d", "e", "f"])


SECOND = st.sampled_from([None, "a", "A"])
OPTIONS = st.sampled_from([None, ["a", "b"], ["A", "b"]])
ROW = st.tuples(TEXTS, SECOND, OPTIONS, LABELS)


@given(
    st.lists(ROW, min_size=1, max_size=20),
    st.lists(ROW, max_size=5),
    st.randoms(use_true_random=False),
)
def test_no_text_reaches_two_sides_and_none_is_lost(train, test, random):
    def examples(rows):
        made = [
            {"text_a": a, "text_b": b, "options": options, "label": int(y)}
            for a, b, options, y in rows
        ]
        return [{**row, "id": look(row)} for row in made]

    placed = list(zip(map(str, range(99)), examples(train), strict=False))
    kept, rejects = without_duplicates(placed, examples(test))
    assert len(kept) + len(rejects) == len(train)
    keys = [look(row) for row in kept]
    assert len({*keys}) == len(keys)
    assert not {*keys} & {look(row) for row in examples(test)}
    labels = {}
    for row in examples(train):
        labels.setdefault(look(row), set()).add(row["label"])
    assert all(labels[key] == {row["label"]} for key, row in zip(keys, kept, strict=True))
    sure = {key for key, seen in labels.items() if len(seen) == 1}
    assert {*keys} == sure - {look(row) for row in examples(test)}
    random.shuffle(placed)
    again, _ = without_duplicates(placed, examples(test))
    assert sorted(again, key=str) == sorted(kept, key=str)


def test_doubles_are_counted_by_reason(tmp_path):
    rows = [
        {"text": "in the test", "label": 0}, {"text": "Once", "label": 1},
        {"text": "twice", "label": 0}, {"text": "Twice ", "label": 0},
        {"text": "torn", "label": 0}, {"text": "torn", "label": 1},
    ]  # fmt: skip
    test = write(
        tmp_path, "test.jsonl", jsonl([{"text": "IN the\u200b  te\u00adst", "label": 1}] * 2)
    )
    data = load_rows(task_of(write(tmp_path, "train.jsonl", jsonl(rows)), test))
    assert Counter(reject.reason for reject in data.rejects) == {
        "in_test": 1, "duplicate": 1, "conflicting_labels": 2,
    }  # fmt: skip
    assert (len(data.train), len(data.test)) == (2, 2)  # the test stays as it was published
    assert data.report().endswith("; none has the label sad")


def test_own_ids_are_used_and_must_differ(tmp_path):
    columns = Columns(("text",), id="key")
    rows = [{**row, "key": number} for number, row in enumerate(ROWS)]
    data = rows_of(tmp_path, rows, columns=columns)
    assert [row["id"] for row in data.train] == ["0", "1", "2", "3"]
    rows[2]["key"] = 1
    with pytest.raises(InputError, match="key is '1' on line 2 and on line 3: expected a diff"):
        rows_of(tmp_path, rows, columns=columns)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=3, unique=True))
def test_content_ids_tell_texts_from_their_parts(texts):
    def row(a, b):
        return {"text_a": a, "text_b": b, "options": None}

    a, b = texts[:2]
    fold = lambda text: " ".join(text.split()).casefold()  # noqa: E731
    assert (content_id(row(a, b)) == content_id(row(b, a))) == (fold(a) == fold(b))
    assert content_id(row(a, b)) == content_id(row(f" {a}\n", b))
    if fold(b):
        assert content_id(row(a, b)) != content_id(row(a + b, ""))


def numbered(count):
    return [{"text": f"Sentence {i}.", "label": i % 2} for i in range(count)]


def test_a_few_shot_run_has_three_sides_without_a_common_row(tmp_path):
    data = rows_of(tmp_path, numbered(100))
    few = data.few_shot(16, seed=3)
    sides = [{row["id"] for row in side} for side in (few.train, few.validation, few.test)]
    assert [len(side) for side in sides] == [16, 16, 68]
    assert len(sides[0] | sides[1] | sides[2]) == 100
    assert Counter(row["label"] for row in few.train) == {0: 8, 1: 8}
    assert data.few_shot(16, seed=3) == few
    assert data.few_shot(16, seed=4) != few


def test_with_a_test_file_the_test_is_that_file(tmp_path):
    test = write(tmp_path, "test.jsonl", jsonl([{"text": "other", "label": 1}]))
    data = rows_of(tmp_path, numbered(64), source=Files(tmp_path / "rows.jsonl", test))
    assert data.few_shot(32, 0).test == data.test
    assert [row["text_a"] for row in data.test] == ["other"]


def test_when_nothing_is_left_to_test_a_cure_is_told_that_works(tmp_path):
    data = rows_of(tmp_path, numbered(64))
    with pytest.raises(InputError, match=r"takes all 64 rows, .* lower --shots to 21, add rows"):
        data.few_shot(32, 0)
    assert len(data.few_shot(21, 0).test) == 22


# --- the folder and the hub


HUB = Task(
    "toyset",
    "sentiment",
    (Label("0", "sad", "bad"), Label("1", "glad", "good")),
    Columns(("text",)),
    Hub("someone/toyset", "plain", ("train", "test")),
)


@pytest.mark.parametrize(
    ("files", "train", "test"),
    [
        (["train.jsonl", "test.jsonl"], "train", "test"),
        (["train.jsonl", "validation.csv"], "train", "validation"),
        (["train.jsonl", "validation.jsonl", "test.parquet"], "train", "test"),
        (["validation.jsonl.gz", "test.jsonl"], "validation", "test"),
    ],
)
def test_a_folder_is_read_by_the_names_of_its_files(tmp_path, files, train, test):
    for name in files:
        rows = numbered(3) if name.startswith(train) else ROWS
        raw = {"csv": csv_bytes, "jsonl": jsonl, "parquet": parquet}[name.split(".")[1]](rows)
        write(tmp_path, f"toyset/{name}", gzip.compress(raw) if name.endswith(".gz") else raw)
    data = load_rows(HUB, tmp_path)
    assert (len(data.train), len(data.test)) == (3, 4)
    assert Path(data.sources["train"]).name.startswith(train)
    assert Path(data.sources["test"]).name.startswith(test)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "found none of them: put them there, or leave --data_dir out"),
        (["train.jsonl"], "found train.jsonl"),
        (["test.jsonl"], "found test.jsonl"),
        (["train.jsonl", "train.csv", "test.jsonl"], "has train.csv and train.jsonl: remove one"),
    ],
)
def test_a_folder_that_lacks_files_says_what_is_expected(tmp_path, files, message):
    for name in files:
        write(tmp_path, f"toyset/{name}", ROWS)
    with pytest.raises(InputError, match=re.escape(message)):
        load_rows(HUB, tmp_path)


def test_the_hub_is_read_through_datasets(monkeypatch):
    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["sad", "glad"])}
        )
        return datasets.Dataset.from_list(ROWS if split == "train" else numbered(2), features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load_rows(HUB)
    assert asked == [("someone/toyset", "plain", "train"), ("someone/toyset", "plain", "test")]
    assert [row["label"] for row in data.train] == [0, 1, 0, 1]
    assert len(data.test) == 2
    assert data.sources["train"] == "someone/toyset (plain), split train"


def test_without_a_hub_both_cures_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(InputError) as caught:
        load_rows(HUB)
    message = str(caught.value)
    assert message.startswith("cannot load train of someone/toyset (plain) from the hub (")
    assert message.endswith(
        ": connect to the internet (and unset HF_HUB_OFFLINE), or put toyset/train.jsonl and"
        " toyset/test.jsonl into a folder and give it as --data_dir."
    )
    assert "\n" not in message


def test_a_set_that_is_on_no_hub_says_where_it_is():
    with pytest.raises(InputError, match=r"ccpm is on no hub .*github.com/THUNLP-AIPoet/CCPM"):
        load_rows(TASKS["ccpm"])


# --- the table and its views


def sample(task):
    """A row such as the task's sets have them."""
    options = ["first", "second", "third", "fourth"][: len(task.labels)]
    return {
        "text_a": "First text",
        "text_b": "Second text" if task.columns.text_b else None,
        "options": options if task.is_choice else None,
        "label": 1,
        "id": "1",
    }


def test_the_table_has_the_published_tasks():
    assert TASKS_VERSION == 1
    english = "sst2 sst5 yahoo_answers race_middle race_high boolq rte cb yelp5"
    chinese = "chnsenticorp amazon_zh ccpm c3 lcqmc cmnli ocnli"
    assert " ".join(TASKS) == f"{english} {chinese}"
    assert " ".join(name for name, task in TASKS.items() if task.language == "zh") == chinese
    assert all(isinstance(task.source, Hub) for task in TASKS.values())
    assert {task.source.seen for task in TASKS.values()} <= {"files", "docs", "no"}
    with pytest.raises(UnknownNameError, match="Did you mean 'sst2'"):
        named_task("sst-2")


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
@pytest.mark.parametrize("unified", [False, True])
def test_every_task_has_patterns_and_words_in_every_view(task, unified):
    (row,) = task.examples([sample(task)], unified)
    words = list(task.verbalizer(unified).words.values())
    assert list(task.verbalizer(unified).words) == [label.name for label in task.labels]
    for layout in ("cloze", "suffix"):
        for style in ("soft", "hybrid", "hard"):
            pattern = task.pattern(layout, style, unified)
            shown = rendered_text(row, pattern)
            assert "First text" in shown
            assert ("Second text" in shown) == bool(task.columns.text_b)
            assert pattern.lettered == (unified or task.is_choice)
            if pattern.lettered:
                for letter, option in zip(words, row["options"], strict=True):
                    assert f"{letter}. {option}" in shown
    assert all(words)


def test_tasks_read_as_the_corpora_their_prompts_come_from():
    for name, format_name in (("sst2", "sentiment"), ("boolq", "sentence_pair")):
        for layout in ("cloze", "suffix"):
            for style in ("soft", "hybrid", "hard"):
                plain = TASKS[name].pattern(layout, style)
                assert plain == standard_pattern(format_name, layout, style)
                unified = TASKS[name].pattern(layout, style, unified=True)
                standard = standard_pattern("unified", layout, style)
                row = sample(TASKS[name])
                row["options"] = list(TASKS[name].words)
                assert rendered_text(row, unified) == rendered_text(row, standard)


def test_label_words_are_in_the_order_of_the_pre_training_format():
    for task in TASKS.values():
        words = FORMATS[task.format].words if task.format in FORMATS else ()
        if task.language == "en" and task.format in ("sentiment", "sentence_pair"):
            places = [words.index(word) for word in task.words]
            assert places == sorted(places), task.name


GOLDEN = {
    ("sst2", "soft", False): "First text <X>",
    ("rte", "soft", False): "First text <X> Second text",
    ("race_middle", "soft", False): (
        "Second text; First text? A. first. B. second. C. third. D. fourth. The correct one is <X>"
    ),
    ("sst5", "soft", True): (
        "First text? A. terrible. B. bad. C. maybe. D. good. E. great. The correct one is <X>"
    ),
    ("cb", "soft", True): (
        "First text? Second text. A. no. B. maybe. C. yes. The correct one is <X>"
    ),
    ("boolq", "hybrid", False): "First text? <X>. Second text",
}


@pytest.mark.parametrize("key", GOLDEN, ids=str)
def test_published_forms(key):
    name, style, unified = key
    (row,) = TASKS[name].examples([sample(TASKS[name])], unified)
    assert rendered_text(row, TASKS[name].pattern("cloze", style, unified)) == GOLDEN[key]


RAW = {
    "sst2": ({"sentence": "A film.", "label": 1}, "good"),
    "sst5": ({"text": "A film.", "label": 3, "label_text": "positive"}, "good"),
    "yahoo_answers": (
        {"id": 5, "topic": 5, "question_title": "Why?", "question_content": "",
         "best_answer": "So."}, "sports",
    ),
    "race_middle": (
        {"article": "A.", "question": "Q?", "options": ["a", "b", "c", "d"], "answer": "C"}, "C",
    ),
    "boolq": ({"question": "is it", "passage": "It is.", "label": 1, "idx": 0}, "yes"),
    "rte": ({"premise": "P.", "hypothesis": "H.", "label": 1, "idx": 0}, "no"),
    "cb": ({"premise": "P.", "hypothesis": "H.", "label": 2, "idx": 0}, "maybe"),
    "yelp5": ({"label": 0, "text": "Cold."}, "terrible"),
    "ccpm": ({"translation": "T", "choices": ["a", "b", "c", "d"], "answer": 3}, "D"),
    "c3": (
        {"id": 1, "context": ["男：你好", "女：好"], "question": "谁？", "choice": ["男", "女"],
         "answer": "女"}, "B",
    ),
    "lcqmc": ({"sentence1": "一", "sentence2": "二", "score": 1}, "正确"),
    "ocnli": ({"sentence1": "一", "sentence2": "二", "label": 2, "id": 0}, "错误"),
    "amazon_zh": ({"id": "zh_1", "text": "好", "label": 4, "label_text": "4"}, "棒"),
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_raw_rows_of_the_public_sets_get_the_right_word(tmp_path, name):
    raw, word = RAW[name]
    write(tmp_path, f"{name}/train.jsonl", [raw])
    write(tmp_path, f"{name}/validation.jsonl", [raw])
    data = load_rows(TASKS[name], tmp_path)
    assert TASKS[name].words[data.test[0]["label"]] == word
    assert [reject.reason for reject in data.rejects] == ["in_test"]


def test_the_forms_are_whole():
    names = {name for shape in SHAPES.values() for name in shape}
    for forms in FORMS.values():
        assert names <= set(forms)
        for name, form in forms.items():
            causal = name in ("answer", "passage_answer")  # those of the texts of options
            assert {layout: set(styles) for layout, styles in form.items()} == {
                layout: {"soft", "hard"} for layout in ("cloze", "suffix")[causal:]
            }
    assert {format_name for format_name, _ in SHAPES} == set(PROMPT_FORMATS)
    assert set(PROMPT_FORMATS.values()) == set(FORMATS)
    assert FORMS["en"].keys() >= PATTERNS.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "sentimant"}, "Did you mean 'sentiment'"),
        ({"language": "fr"}, "unknown language 'fr'"),
        ({"balance": "even"}, "unknown balance"),
        ({"answer": "word"}, "unknown answer"),
        ({"format": "sentence_pair"}, "needs two texts a row"),
        ({"columns": Columns(("text",), ("more",))}, "takes one text a row"),
        ({"format": "multiple_choice"}, "needs options"),
        ({"columns": Columns(("text",), options=("o",))}, "takes no options"),
        ({"labels": (Label("0", "a", "x"), Label("1", "b", "x"))}, "'a', 'b' have one word, 'x'"),
        ({"labels": (Label("0", "a", "x"), Label("0", "b", "y"))}, "have one value, '0'"),
        ({"labels": (Label("0", "a", "x"),)}, "give two labels at least"),
        ({"labels": (Label("0", "0", "a"), Label("1", "a", "x"))}, "have one title, 'a'"),
        (
            {
                "format": "multiple_choice",
                "columns": Columns(("text",), options=("o",)),
                "labels": (Label("1", "1", "B"), Label("2", "2", "A")),
            },
            "have the words B, A, but options are shown behind A, B",
        ),
        ({"patterns": {"prefix": "{text_a} {mask}"}}, "unknown pattern 'prefix'"),
        ({"patterns": {"suffix": "{text_a} {mask}."}}, "move what follows"),
        ({"patterns": {"cloze": "{text_b} {mask}"}}, "shows {text_b}"),
        ({"patterns": {"cloze": "{text_a} {options} {mask}"}}, "shows {options}"),
        ({"patterns": {"unified_cloze": "{text_a} {mask}"}}, "lacks {options}"),
    ],
)
def test_tasks_that_cannot_be_are_refused(changes, message):
    with pytest.raises((ConfigError, UnknownNameError), match=re.escape(message)):
        task_of(Path("a.csv"), **changes)


@pytest.mark.parametrize("side", ["text_a", "text_b"])
def test_a_label_that_is_a_text_too_would_tell_the_answer(side):
    with pytest.raises(ConfigError, match="'y' is the label and stands in a text too"):
        Columns(**{"text_a": ("x",), side: ("x", "y"), "label": "y"})


@pytest.mark.parametrize("part", ["text_a", "text_b", "options"])
def test_a_column_that_is_named_twice_is_a_slip(part):
    with pytest.raises(ConfigError, match=rf"^columns: {part} has one twice, \('x', 'z', 'x'\)"):
        Columns(**{"text_a": ("a",), part: ["x", "z", "x"]})


def test_own_patterns_replace_every_style_of_their_layout_only():
    task = task_of(Path("a.csv"), patterns={"cloze": "{text_a}: {mask}!"})
    row = {"text_a": "Tea", "text_b": None, "options": None, "label": 0}
    for style in ("soft", "hybrid", "hard"):
        assert rendered_text(row, task.pattern("cloze", style)) == "Tea: <X>!"
    with pytest.raises(ConfigError, match=r"none for suffix: add one, which ends with \{mask\}"):
        task.pattern("suffix", "hard")
    assert task.pattern("suffix", "hard", unified=True).lettered
    with pytest.raises(UnknownNameError, match="unknown style"):
        task.pattern("suffix", "firm", unified=True)


def test_more_labels_than_letters_have_no_unified_view():
    labels = tuple(Label(str(i), f"l{i}", f"w{i}") for i in range(17))
    task = task_of(Path("a.csv"), labels=labels)
    assert len(task.verbalizer().words) == 17
    with pytest.raises(ConfigError, match="17 labels, and the unified form letters for 16"):
        task.verbalizer(unified=True)


# --- the demo


def words_of(text):
    return {*re.findall(r"[a-z']+", text.lower())}


def naive_bayes(train, test):
    """Accuracy on `test` of Bernoulli-like naive Bayes with the words of `train`."""
    counts = [Counter(), Counter()]
    for row in train:
        counts[row["label"]].update(words_of(row["text_a"]))
    vocabulary = len({*counts[0], *counts[1]})

    def score(words, count):
        return sum(math.log((count[w] + 1) / (count.total() + vocabulary)) for w in words)

    said = [score(words_of(r["text_a"]), counts[1]) > score(words_of(r["text_a"]), counts[0])
            for r in test]  # fmt: skip
    return sum(yes == (r["label"] == 1) for yes, r in zip(said, test, strict=True)) / len(test)


@pytest.fixture(scope="module")
def demo():
    return load_task_file(DEMO / "task.yaml")


def test_the_demo_is_whole_and_balanced(demo):
    assert not demo.rejects
    assert Counter(row["label"] for row in demo.train) == {0: 50, 1: 50}
    assert Counter(row["label"] for row in demo.test) == {0: 70, 1: 70}
    few = demo.few_shot(32, 0)
    assert [len(side) for side in (few.train, few.validation, few.test)] == [32, 32, 140]


def test_the_demo_needs_more_than_words(demo):
    assert naive_bayes(demo.train, demo.test) < 0.65
    easy = [
        {"text_a": f"{w} {i}", "label": y} for i in range(20) for y, w in enumerate(("no", "yes"))
    ]
    assert naive_bayes(easy[:20], easy[20:]) == 1.0  # it does learn where words are all it takes


def test_the_demo_readme_says_what_is_so(demo, capsys, monkeypatch):
    readme = (DEMO / "README.md").read_text()
    monkeypatch.chdir(ROOT)
    exec(re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1], {})
    vader = capsys.readouterr().out.strip()
    assert f"| VADER (score above 0 is praise) | {vader} |" in readme
    scores = vader_compound([row["text_a"] for row in demo.test])
    right = [(score > 0) == (row["label"] == 1)
             for score, row in zip(scores, demo.test, strict=True)]  # fmt: skip
    assert vader == f"{sum(right) / len(right):.2f}"
    bayes = naive_bayes(demo.train, demo.test)
    assert f"| naive Bayes on the words, trained on all 100 rows | {bayes:.2f} |" in readme


# --- what is wrong in silence


def quiz(answers, counts=3):
    return [
        {"q": f"Which {i}?", "o": [f"x{i}", "y", "z", "w"][:counts], "a": answer}
        for i, answer in enumerate(answers)
    ]


@pytest.mark.parametrize("answers", [[1, 2, 3], ["1", "3", "2", "1"], [3.0, 1.0]])
def test_answers_counted_from_one_are_read_as_such_or_refused_with_advice(tmp_path, answers):
    rows = quiz(answers)
    data = rows_of(tmp_path, rows, **choice("number"))
    assert [row["label"] for row in data.train] == [int(answer) - 1 for answer in answers]
    assert not data.rejects
    with pytest.raises(ConfigError, match=r"counts from 1: write answer: number\.$"):
        rows_of(tmp_path, rows, **choice("index"))


def test_answers_counted_from_nought_are_no_numbers_from_one(tmp_path):
    rows = quiz([0, 1, 2, 0])
    assert [row["label"] for row in rows_of(tmp_path, rows, **choice("index")).train] == [
        0,
        1,
        2,
        0,
    ]
    with pytest.raises(ConfigError, match=r"counts from 0: write answer: index\.$"):
        rows_of(tmp_path, rows, **choice("number"))


@pytest.mark.parametrize(("is_so", "said"), [("number", "index"), ("index", "number")])
def test_one_bad_row_does_not_shift_the_answers_of_all_others(tmp_path, is_so, said):
    counted = [1, 2, 3] * 11 + [0] if is_so == "number" else [0, 1, 2] * 11 + [3]
    data = rows_of(tmp_path, quiz(counted), **choice(is_so))
    assert [row["label"] for row in data.train] == [n - FIRST[is_so] for n in counted[:-1]]
    (reject,) = data.rejects
    assert reject.reason == "unknown_label"
    with pytest.raises(ConfigError, match=rf"write answer: {is_so}\.$"):
        rows_of(tmp_path, quiz(counted), **choice(said))


@pytest.mark.parametrize(
    ("answers", "kept"), [([1, 1], 2), ([0, 3, 1], 2), ([-1, 2, 0], 2), ([0, 0, 1, 3, 3, 3], 3)]
)
def test_answers_that_fit_both_or_neither_are_taken_at_their_word(tmp_path, answers, kept):
    data = rows_of(tmp_path, quiz(answers), **choice("index"))
    assert (len(data.train), len(data.rejects)) == (kept, len(answers) - kept)


@pytest.mark.parametrize(
    "text",
    ['["one", "two", "three"]', "['one', 'two', 'three']", ' ["one",\n "two", "three"] ',
     "['one', \"two\", 'three', '']"],
)  # fmt: skip
def test_a_list_of_options_may_stand_as_text(tmp_path, text):
    rows = [{"q": "Which?", "o": text, "a": "B"}]
    path = write(tmp_path, "rows.csv", csv_bytes(rows))
    (row,) = load_rows(task_of(path, **choice("letter"))).train
    assert (row["options"], row["label"]) == (["one", "two", "three"], 1)


@pytest.mark.parametrize("text", ["[1, 2", "[[[[" * 5000, "[__import__('os')]", "['a' 'b']", "[]"])
def test_text_that_is_no_list_is_a_reject(tmp_path, text):
    rows = [{"q": "Which?", "o": text, "a": "A"}, *quiz(["A"])]
    (reject,) = rows_of(tmp_path, rows, **choice("letter")).rejects
    assert (reject.place, reject.reason) == ("line 1", "bad_options")


def test_the_right_option_that_stands_twice_has_its_own_reason(tmp_path):
    rows = [
        {"q": "Which?", "o": ["a", "b", "b"], "a": "b"},
        {"q": "And?", "o": ["a", "b", "b"], "a": "a"},
        {"q": "Or?", "o": ["a", "b"], "a": "c"},
    ]
    data = rows_of(tmp_path, rows, **choice("option"))
    assert [reject.reason for reject in data.rejects] == ["doubled_option", "unknown_label"]
    assert data.report().endswith("1 of 3 rows of " + str(tmp_path / "rows.jsonl") +
                                  "; not kept: doubled_option 1, unknown_label 1")  # fmt: skip
    assert "stands twice" in REASONS["doubled_option"]


def test_rows_whose_letter_stands_for_one_of_two_equal_options_are_told(tmp_path):
    options = ["on 2", "on 22", "on  22", "on 2"]  # as in a row of RACE
    rows = [{"q": f"{right}?", "o": options, "a": right} for right in "AB"]
    rows.append({"q": "Which?", "o": ["x", "x", "y"], "a": "C"})
    data = rows_of(tmp_path, rows, **choice("letter"))
    assert not data.rejects
    assert data.report().endswith("; 2 have the right option twice: the other counts as wrong")


def test_parts_of_objects_are_options(tmp_path):
    rows = [{"q": "?", "o": {"text": ["a", "b"], "label": ["A", "B"]}, "a": "B"}]
    columns = Columns(("q",), options=("o.text",), label="a")
    (row,) = rows_of(tmp_path, rows, **choice("letter", columns)).train
    assert row["options"] == ["a", "b"]
    with pytest.raises(
        InputError, match=r"'o' of .* holds objects: name one part, o\.text, o\.lab"
    ):
        rows_of(tmp_path, rows, **choice("letter"))


def test_repeated_rows_of_a_test_are_kept_and_told(tmp_path):
    again = [ROWS[0], ROWS[1], {"text": "It  rained. ", "label": 0}, ROWS[0]]
    test = write(tmp_path, "test.jsonl", jsonl(again))
    data = load_rows(task_of(write(tmp_path, "train.jsonl", jsonl(numbered(4))), test))
    assert len(data.test) == 4
    assert data.report().splitlines()[1] == (
        f"toy test: 4 of 4 rows of {test}; 2 repeat the texts of another, and are kept"
    )


@pytest.mark.parametrize("always", [True, False])
def test_a_choice_whose_right_option_has_one_place_is_told(always):
    """As of sets with columns of their own for the right option and for the wrong ones."""
    rows = [
        {"q": f"What is {i}?", "o": ["no", f"{i}"][:: -1 if always or i % 2 else 1], "y": f"{i}"}
        for i in range(6)
    ]
    columns, kind = Columns(("q",), (), ("o",), "y"), "multiple_choice"
    report = load_rows(Task("q", kind, letters(2), columns, Rows(rows), answer="option")).report()
    assert ("the right option is always A, which is easier to learn" in report) == always


def test_ids_are_whole_texts(tmp_path):
    columns = Columns(("text",), id="key")
    rows = [{**ROWS[0], "key": "\ud800"}, {**ROWS[1], "key": 2}]
    data = rows_of(tmp_path, rows, columns=columns)
    assert [reject.reason for reject in data.rejects] == ["lone_surrogate"]


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        (["train.tsv", "dev.tsv"], (3, 4)),
        (["Train.CSV", "val.jsonl.xz"], (3, 4)),
        (["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"], (3, 4)),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test.jsonl"], (6, 4)),
        (["train-00000-of-00001-a1b2c3.parquet", "valid.jsonl"], (3, 4)),
    ],
)
def test_a_folder_may_have_the_hubs_names(tmp_path, files, counts):
    pack = {"xz": lzma.compress, "tsv": bytes}
    for place, name in enumerate(files):
        rows = (
            ROWS if not name.lower().startswith("train") else numbered(3 * place + 3)[3 * place :]
        )
        kind = name.lower().split(".")[1]
        make = {"csv": csv_bytes, "jsonl": jsonl, "parquet": parquet,
                "tsv": lambda rows: csv_bytes(rows, "\t")}[kind]  # fmt: skip
        data = make(rows)
        write(tmp_path, f"toyset/{name}", pack.get(name.split(".")[-1], bytes)(data))
    data = load_rows(HUB, tmp_path)
    assert (data.read["train"], data.read["test"]) == counts
    assert not data.rejects


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["train-00000-of-00002.parquet", "test.jsonl"], "has 1 of 2 files like train-00000-of-0"),
        (["train-00000-of-00001.jsonl", "train.jsonl", "test.jsonl"], "remove one"),
        (
            ["train.jsonl", "dev.jsonl", "validation.jsonl"],
            "dev.jsonl and validation.jsonl: remove",
        ),
    ],
)
def test_a_folder_with_too_many_or_too_few_says_so(tmp_path, files, message):
    for name in files:
        write(tmp_path, f"toyset/{name}", ROWS)
    with pytest.raises(InputError, match=re.escape(message)):
        load_rows(HUB, tmp_path)
