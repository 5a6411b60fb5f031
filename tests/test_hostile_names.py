"""Names and texts of others: none leaves its folder, steers a terminal, or is computed."""

import csv
import io
import json
import os
import random
import re
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ppt.base.files import write_atomically
from ppt.base.markdown import markdown_table
from ppt.base.names import LONGEST, check_name, is_name
from ppt.base.text import shortened
from ppt.errors import ConfigError, PPTError, visible
from ppt.fewshot.__main__ import main as fewshot
from ppt.inspect import main as inspect
from ppt.results.figures import plots_of
from ppt.results.page import html_page
from ppt.results.report import make_report, read_results, report_of, results_of
from ppt.results.run import read_run
from ppt.results.tables import details, overviews, save_tables, to_csv, to_rich
from ppt.tasks.loading import load_rows
from ppt.tasks.rejects import RowReject
from ppt.tasks.spec import Columns, Label, Rows, Task
from ppt.tasks.user_file import load_task_file
from tests.synthetic import synthetic_grid, synthetic_run, write_results

MUTATIONS = int(os.environ.get("PPT_FUZZ", "300"))

BAD_NAMES = [
    "", ".", "..", "../../victim", "/etc/passwd", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2J", "\x9b",
    "a\u202eb", "\ud800", ".hidden", " a", "a ", "x" * 201, 67 * "\u597d",
    "\u2028", "\ufeffa", "\u2066",
]  # fmt: skip
GOOD_NAMES = [
    "sst2", "my task", "a.b", "a-b_c", "好" * 66, "x" * LONGEST, "Ärger", "نمی‌خواهم", "50%", "a:b",
]  # fmt: skip
HOSTILE = "\x1b]0;x\x07\x9b2J\u202eevil\r\n\u2066"


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_be_a_path_or_steer_a_terminal_is_refused(tmp_path, name):
    assert not is_name(name)
    with pytest.raises(ConfigError) as caught:
        check_name(name, "name")
    assert str(caught.value).isprintable()
    with pytest.raises(ConfigError, match=r"^name: got"):
        task_of(name=name)
    (tmp_path / "task.yaml").write_text(f"name: {json.dumps(name)}\n{YAML}")
    (tmp_path / "train.csv").write_text("text,label\na,0\nb,0\nc,1\nd,1\n")
    with pytest.raises(PPTError) as caught:
        load_task_file(tmp_path / "task.yaml")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


YAML = """\
format: sentiment
train: train.csv
columns: {text_a: text, label: label}
labels: {0: bad, 1: good}
"""


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_other_names_are_names_of_files(tmp_path, name):
    check_name(name, "name")
    write_atomically(tmp_path / f"{name}.jsonl", b"")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.jsonl"]
    assert task_of(name=name).name == name


@given(st.text())
def test_a_name_stays_in_its_folder(name):
    if is_name(name):
        path = os.path.normpath(os.path.join("/folder", name))
        assert os.path.split(path) == ("/folder", name)


@given(st.text())
def test_visible_text_is_one_line_that_steers_nothing(text):
    shown = visible(text)
    assert re.sub("[\u200c\u200d\xa0\u202f\u3000]", "", shown).isprintable()
    assert visible(shown) == shown
    assert len(shown.splitlines()) <= 1
    assert shown == text or not text.isprintable()
    shown.encode()


def test_hostile_signs_are_escaped_and_scripts_left():
    assert visible(HOSTILE) == r"\x1b]0;x\x07\x9b2J\u202eevil\r\n\u2066"
    for text in ("naïve", "好评", "نمی‌خواهم", "👩‍👩‍👧", "שלום", "a b"):
        assert visible(text) == text
    assert markdown_table([HOSTILE], [["a|b"]]).splitlines() == [
        r"| \x1b]0;x\x07\x9b2J\u202eevil\r\n\u2066 |", "|---|", r"| a\|b |",
    ]  # fmt: skip
    assert shortened("abcdefgh", 4) == "ab […] gh"


def task_of(**changes):
    usual = {
        "name": "toy", "format": "sentiment", "columns": Columns(("text",)),
        "labels": (Label("0", "sad", "bad"), Label("1", "glad", "good")),
        "source": Rows([{"text": f"row {i}", "label": i % 2} for i in range(6)]),
    }  # fmt: skip
    return Task(**{**usual, **changes})


def test_texts_of_rejected_rows_are_visible():
    rows = [{"text": HOSTILE, "label": 0}, {"text": HOSTILE, "label": 1}, {"text": "a", "label": 0}]
    rows += [{"text": "b", "label": HOSTILE + "\ud800"}, {"text": "c", "label": 1}]
    data = load_rows(task_of(source=Rows(rows)))
    reasons = [one.reason for one in data.rejects]
    assert reasons == ["unknown_label", "conflicting_labels", "conflicting_labels"]
    for one in data.rejects:
        assert one.detail.isprintable()
        json.dumps(asdict(one), ensure_ascii=False).encode()
    assert RowReject("train", "line 1", "blank", HOSTILE).detail == visible(HOSTILE)


# --- results


def hostile_grid(tmp_path, task=HOSTILE, method="=1+1", labels=None):
    runs = synthetic_grid(tasks=(task, "cb"), methods=("zero_shot", "ppt"), seeds=2)
    for run in runs:
        run["method"] = {"ppt": method}.get(run["method"], run["method"])
        run["model"] = HOSTILE + run["task"]
        if labels:
            run["labels"] = [labels, *run["labels"][1:]]
    return write_results(tmp_path, runs)


def test_results_never_steer_a_terminal_or_stand_raw_in_tables(tmp_path):
    report = make_report(hostile_grid(tmp_path, labels=HOSTILE))
    for note in report.notes:
        assert note.isprintable()
    assert any("2 models" in note for note in report.notes)
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    for sheet in (*overviews(report.rows), details(report.rows)):
        console.print(to_rich(sheet))
    texts = [console.file.getvalue()]
    texts += [path.read_text() for path in save_tables(tmp_path, report.rows)]
    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert r"\u202eevil" in text
    page = html_page(report)
    assert not re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f]", page)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_formulas_are_texts_in_csv_and_numbers_are_numbers(tmp_path, sign):
    formula = f'{sign}HYPERLINK("http://x")'
    report = report_of(read_results(hostile_grid(tmp_path, formula, formula)), baseline="zero_shot")
    rows = list(csv.DictReader(io.StringIO(to_csv(report.rows))))
    assert {row["task"] for row in rows} == {
        {"\t": r"\t", "\r": r"\r", "\n": r"\n"}.get(sign, f"'{sign}") + formula[1:], "cb", "",
    }  # fmt: skip
    for row in rows:
        for name, value in row.items():
            if name in ("task", "method", "baseline"):
                assert not value.startswith(("=", "+", "-", "@", "\t", "\r"))
            elif name != "metric" and value:
                float(value)
    assert any(float(row["difference_mean"] or 0) for row in rows)


def test_long_names_of_tasks_have_plots_of_their_own(tmp_path):
    names = ["好" * 66, "好" * 65 + "坏"]
    runs = synthetic_grid(tasks=names, methods=("zero_shot",), seeds=1)
    report = make_report(write_results(tmp_path, runs))
    plots = [plot.name for plot in plots_of(report.chosen, report.rows)]
    assert len({*plots}) == len(plots)
    assert max(map(len, plots)) < 200


@pytest.mark.promise("results")
def test_fuzz_a_line_of_a_run_alone_is_one_error_and_so_is_any_changed_line(tmp_path, cases):
    cases(MUTATIONS)
    with pytest.raises(PPTError, match=r"^here: the key 'task' is missing"):
        read_run({"run": "a"}, "here")
    good = synthetic_grid(tasks=("sst2",), methods=("ppt",), seeds=2)
    draw = random.Random(0)
    values = [None, True, -1, 1e300, "", HOSTILE, "\ud800", [], {}, [[]], [None], 2**62, "x" * 5000]
    values += [int("9" * 400), float("nan"), float("inf"), "../x", [{"step": 1}], {"loss": {}}]
    read = 0
    for _ in range(MUTATIONS):
        lines = [json.dumps(run) for run in good]
        if draw.random() < 0.7:
            changed = dict(good[0])
            changed[draw.choice(list(changed))] = draw.choice(values)
            lines[0] = json.dumps(changed)
        else:
            place = draw.randrange(len(lines[0]))
            lines[0] = (
                lines[0][:place]
                + draw.choice(['"', "}", "[" * 2000, "9" * 400, "\x00", ""])
                + (lines[0][place + draw.randrange(3) :])
            )
        (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n", errors="surrogatepass")
        told = ""
        try:
            report = make_report(tmp_path)
            save_tables(tmp_path, report.rows)
            html_page(report) if read % 20 == 0 else None
            read += 1
        except PPTError as error:
            told = str(error)
        assert told.isprintable()
        assert len(told) < 1000
    assert 0 < read < MUTATIONS


def test_predictions_that_cannot_be_read_are_one_error(tmp_path):
    runs = synthetic_grid(tasks=("sst2",), methods=("ppt",), seeds=1)
    write_results(tmp_path, runs)
    path = tmp_path / "predictions.parquet"
    good = path.read_bytes()
    table = pq.read_table(path)
    bad_text = pa.array([b"\xff\xfe"] * len(table)).view(pa.string())
    sink = io.BytesIO()
    pq.write_table(table.set_column(table.column_names.index("text"), "text", bad_text), sink)
    changes = [b"", b"PAR1", good[:-9], good[9:], sink.getvalue()]
    draw = random.Random(1)
    for _ in range(MUTATIONS // 4):
        data = bytearray(good)
        for _ in range(3):
            data[draw.randrange(len(data))] = draw.randrange(256)
        changes.append(bytes(data))
    told = 0
    for data in changes:
        path.write_bytes(data)
        try:
            html_page(make_report(tmp_path)) if told < 6 else make_report(tmp_path)
        except PPTError as error:
            told += f"cannot read {path}" in str(error)
    assert told >= 5


def test_no_name_is_an_emoji_of_rich_or_an_element_of_markdown(tmp_path):
    names = ["a:smile:b", "[bold]x", "<img src=x onerror=alert(1)>", "*a* `b`"]
    runs = [synthetic_run(name, "zero_shot", 32, 0, None) for name in names]
    rows = make_report(write_results(tmp_path, runs)).rows
    console = Console(file=io.StringIO(), width=200)
    console.print(to_rich(overviews(rows)[0]))
    for name in names:
        assert name in console.file.getvalue()
    save_tables(tmp_path, rows)
    text = (tmp_path / "results.md").read_text()
    assert r"| a:smile:b | \[bold]x | &lt;img src=x onerror=alert(1)> | \*a\* \`b\` |" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("curve", [{"step": 1e309, "loss": 1.0, "accuracy": 0.5}]),
        ("curve", [{"step": 1, "loss": 1.0, "accuracy": 1e308}]),
        ("confusion", [[2**62, 0], [0, 0]]),
    ],
)
def test_numbers_that_no_plot_could_show_are_refused(name, value):
    with pytest.raises(PPTError, match=f"here: '{name}' is "):
        read_run({**synthetic_run("sst2", "ppt", 32, 0, 1e-3), name: value}, "here")


def test_a_loss_beyond_all_axes_is_left_out_of_plots():
    curve = [
        {"step": step, "loss": loss, "accuracy": 0.5} for step, loss in ((0, -1e308), (4, 1e308))
    ]
    known = {"curve": curve, "train_curve": [{"step": 4, "loss": 1e308}], "best_step": 4}
    run = read_run({**synthetic_run("sst2", "ppt", 32, 0, 1e-3), **known}, "here")
    assert "training" in html_page(report_of(results_of([run])))


def test_rejects_that_no_build_wrote_are_shown_or_one_error(tmp_path, capsys):
    place = tmp_path / "rejects"
    place.mkdir()
    lines = [{"source": "a", "offset": 1, "reason": "x", "detail": 5},
             {"source": ["\x1b[2J"], "offset": "b", "reason": {}, "detail": None}]  # fmt: skip
    (place / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert inspect([str(place)]) == 0
    shown = capsys.readouterr().out
    assert "x: 5" in shown
    assert "\x1b" not in shown
    broken = {**lines[0], "records": 1}
    for line in ({"source": "a"}, *({**broken, "records": n} for n in (-1, "1", 1e999, 2**60))):
        (place / "a.jsonl").write_text(json.dumps(line) + "\n")
        assert inspect([str(place)]) == 2
        assert "has a line that no build wrote" in capsys.readouterr().err
    os.mkfifo(place / "b.jsonl")  # it would never end
    (place / "a.jsonl").unlink()
    assert inspect([str(place)]) == 2
    assert "b.jsonl has a line that no build wrote (it is no file)" in capsys.readouterr().err


def test_a_results_file_that_is_none_is_not_waited_for(tmp_path):
    runs = write_results(tmp_path / "r", [synthetic_run("sst2", "ppt", 32, 0, 1e-3)])
    for name in ("predictions.parquet", "results.jsonl"):
        (runs / name).unlink(missing_ok=True)
        os.mkfifo(runs / name)
        with pytest.raises(PPTError, match=rf"cannot read .*{name}: it is no file"):
            make_report(runs)


def test_flags_of_a_folder_that_cannot_be_read_are_one_short_line(tmp_path, capsys):
    (tmp_path / "task.yaml").write_text(YAML)
    argv = [f"--task_file={tmp_path / 'task.yaml'}", f"--output_dir={tmp_path / 'r'}"]
    path = tmp_path / "r" / "config.json"
    path.parent.mkdir()
    (path.parent / "results.jsonl").write_text("")
    texts = ["[" * 100_000, json.dumps({"max_steps": "x" * 10**6}), json.dumps({"x" * 10**5: 1})]
    for text in (*texts, None):
        path.unlink(missing_ok=True)
        path.write_text(text) if text else os.mkfifo(path)
        assert fewshot(argv) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"error: {path.parent} is not empty and holds no config.json")
        assert len(told) < 4100
