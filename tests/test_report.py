"""The HTML page: whole, safe, self-contained, small; the command; what a browser shows."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from ppt.base.text import shortened
from ppt.errors import InputError
from ppt.report import main, make_report
from ppt.results.page import html_page
from ppt.results.predictions import (
    LONGEST,
    RIGHT,
    WRONG,
    Examples,
    Prediction,
    example_runs,
    examples_of,
    read_predictions,
)
from ppt.results.report import read_results
from ppt.results.selection import selected
from ppt.results.style import COLOURS
from tests.synthetic import (
    SCHEMA,
    TASKS,
    TEXTS,
    synthetic_grid,
    synthetic_predictions,
    synthetic_run,
    write_results,
)
from tests.test_imports import ROOT


def read_examples(folder, runs):
    return examples_of(read_predictions(folder, runs), runs)


VOID = {"meta", "br", "link", "img", "input"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    runs = synthetic_grid(("sst2", "reviews_de"), shots=(32, 128), seeds=3, rates=(1e-4, 1e-3))
    return write_results(tmp_path_factory.mktemp("results"), runs)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    runs = synthetic_grid(("sst2",), methods=("ppt", "lora"), seeds=2)
    return write_results(tmp_path_factory.mktemp("small"), runs)


@pytest.fixture(scope="module")
def page(folder):
    return html_page(make_report(folder))


class Page(HTMLParser):
    """A page's elements as (tag, attributes), its text, and whether each tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


# --- the page --------------------------------------------------------------------------


def test_the_page_is_well_formed_and_has_all_sections(page):
    read = Page(page)
    assert page.startswith("<!DOCTYPE html>")
    sections = [one["id"] for one in read.all("section")]
    assert sections == [
        "scores", "boxes", "samples", "training", "confusion", "examples", "runs", "reading",
    ]  # fmt: skip
    assert [a["href"] for a in read.all("a")][:8] == [f"#{name}" for name in sections]
    ids = [attributes["id"] for _, attributes in read.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    plots = [one["data-plot"] for one in read.all("figure") if "data-plot" in one]
    assert len(plots) == len(read.all("svg")) == 2 + 1 + 4 + 4
    assert all(one.get("aria-label") for one in read.all("figure") if "data-plot" in one)


def test_the_page_needs_nothing_else(page):
    read = Page(page)
    for tag, attributes in read.elements:
        for name in ("href", "src", "action", "data", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert not {"link", "iframe", "object", "embed", "img", "base"} & {
        tag for tag, _ in read.elements
    }
    assert not re.search(r"@import|url\((?!#)", page)
    assert "://" not in page
    assert "default-src 'none'" in read.all("meta")[1]["content"]


def test_the_policy_allows_our_script_alone(page):
    read = Page(page)
    (script,) = [text for tag, text in read.texts if tag == "script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = read.all("meta")[1]["content"]
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert len(read.all("script")) == 1
    assert not any(name.startswith("on") for _, found in read.elements for name in found)


def test_predictions_are_shown_as_text(page):
    shown = "".join(text for tag, text in Page(page).texts if tag == "div")
    assert TEXTS[0] in shown
    assert "🎬👩‍👩‍👧" in shown
    assert "فيلم رائع حقًا" in shown
    assert "\u202e stays inside ��" in shown
    assert "\x00" not in page
    assert page.count('<div dir="auto">') == 2 * 10 * (WRONG + RIGHT)


def test_the_same_results_give_the_same_page(small):
    assert html_page(make_report(small)) == html_page(make_report(small))


def test_the_csv_in_the_page_is_that_of_the_rows(folder, page):
    from ppt.results.tables import to_csv

    (link,) = [a["href"] for a in Page(page).all("a") if "download" in a]
    text = base64.b64decode(link.partition("base64,")[2]).decode()
    assert text == to_csv(make_report(folder).rows)


def test_test_scores_of_runs_not_chosen_are_not_shown(folder, page):
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index('<section id="runs">') :], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    runs = [row for row in cells if row]
    assert len(runs) == len(read_results(folder).runs)
    assert {(row[6], row[9] == "–") for row in runs} == {("yes", False), ("no", True)}
    assert sum(row[6] == "yes" for row in runs) == len(selected(read_results(folder).runs))


anything = st.text(st.characters(exclude_categories=[]), max_size=60)


def small_report(tmp_path_factory):
    runs = [synthetic_run("sst2", "in_context", 32, 0, None)]
    return make_report(write_results(tmp_path_factory.mktemp("one"), runs, predictions=False))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return small_report(tmp_path_factory)


@given(text=anything, label=anything)
@settings(max_examples=25)
def test_any_text_is_escaped(one, text, label):
    from dataclasses import replace

    shown = Examples(one.runs[0], (Prediction("id", text, label, label, 0.5, True),))
    page = html_page(replace(one, examples=[shown], notes=[text]))
    read = Page(page.encode("utf-8", "replace").decode())
    visible = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "�", text)
    texts = "".join(text for tag, text in read.texts if tag in ("div", "li"))
    for line in visible.split("\r"):
        assert line in texts or line == ""
    assert len(read.all("script")) == 1


# --- examples --------------------------------------------------------------------------


def test_examples_are_the_surest_mistakes_and_the_least_sure_hits(folder):
    runs = selected(read_results(folder).runs)
    chosen = example_runs(runs)
    assert len(chosen) == 2 * 10
    assert {(run.shots, run.seed) for run in chosen} == {(128, 0)}
    lines = (folder / "results.jsonl").read_text().splitlines()
    raw = {one["run"]: one for one in map(json.loads, lines)}
    for example in read_examples(folder, chosen):
        rows = list(synthetic_predictions(raw[example.run.run]))
        wrong = sorted(
            (r for r in rows if not r["correct"]), key=lambda r: (-r["probability"], r["id"])
        )
        right = sorted((r for r in rows if r["correct"]), key=lambda r: (r["probability"], r["id"]))
        expected = [r["id"] for r in (*wrong[:WRONG], *right[:RIGHT])]
        assert [one.id for one in example.predictions] == expected
        assert [one.correct for one in example.predictions] == [False] * WRONG + [True] * RIGHT


def test_equal_probabilities_are_ordered_by_id(tmp_path):
    run = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    rows = [{**row, "probability": 0.75} for row in synthetic_predictions(run)]
    write_results(tmp_path, [run], predictions=False)
    (chosen,) = selected(read_results(tmp_path).runs)
    orders = []
    for table in (rows, rows[::-1]):
        pq.write_table(pa.Table.from_pylist(table, SCHEMA), tmp_path / "predictions.parquet")
        orders.append([one.id for one in read_examples(tmp_path, [chosen])[0].predictions])
    assert orders[0] == orders[1]
    assert orders[0][:WRONG] == sorted(row["id"] for row in rows if not row["correct"])[:WRONG]


def test_nulls_and_other_types_of_text_do_no_harm(tmp_path):
    run = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    rows = list(synthetic_predictions(run))[:4]
    rows[0] |= {"text": None, "probability": None, "correct": None}
    table = pa.Table.from_pylist(rows, SCHEMA)
    narrow = table.set_column(7, "text", table["text"].dictionary_encode())
    narrow = narrow.set_column(10, "probability", table["probability"].cast(pa.float32()))
    write_results(tmp_path, [run], predictions=False)
    pq.write_table(narrow, tmp_path / "predictions.parquet")
    (example,) = read_examples(tmp_path, selected(read_results(tmp_path).runs))
    assert len(example.predictions) <= 4
    assert any(one.text == "" and one.probability == 0 for one in example.predictions)


def test_long_texts_keep_both_ends():
    text = "".join(chr(ord("a") + i % 26) for i in range(5000))
    short = shortened(text, LONGEST)
    assert len(short) == LONGEST + 5
    assert short.startswith(text[:300])
    assert short.endswith(text[-300:])
    assert shortened(text[:LONGEST], LONGEST) == text[:LONGEST]


# --- the command -----------------------------------------------------------------------


def test_the_command_writes_a_page_and_shows_the_scores(small, tmp_path, capsys):
    output = tmp_path / "new" / "page.html"
    assert main([str(small), "--output", str(output), "--baseline=ppt"]) == 0
    shown = capsys.readouterr()
    assert f"{output}: 4 runs, 0." in shown.out
    assert "Test accuracy (%), 32 shots" in shown.out
    assert re.search(r"^ lora +\d\d.\d ±", shown.out, re.MULTILINE)
    assert shown.err == ""
    assert [path.name for path in output.parent.iterdir()] == ["page.html"]
    assert output.read_text(encoding="utf-8") == html_page(make_report(small, baseline="ppt"))


def test_flags_choose_metric_baseline_and_place(tmp_path, capsys):
    runs = synthetic_grid(("sst2",), methods=("zero_shot", "ppt"), seeds=5)
    folder = write_results(tmp_path, runs, predictions=False)
    assert main([str(folder), "--metric=macro_f1", "--baseline=zero_shot"]) == 0
    text = (folder / "report.html").read_text()
    assert "Test macro-F1 (%), 32 shots" in text
    assert "differences to zero_shot over common seeds" in text
    told = capsys.readouterr()
    assert told.err == "note: There is no predictions.parquet, so no example predictions.\n"
    assert main([str(folder)]) == 0
    assert "note: No run of prompt_tuning: no differences." in capsys.readouterr().err


def test_a_page_can_be_opened(small, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main([str(small), f"--output={tmp_path / 'a b.html'}", "--open"]) == 0
    assert opened == [(tmp_path / "a b.html").as_uri()]


def test_a_grid_that_still_runs_can_be_reported(small, tmp_path, capsys):
    data = (small / "results.jsonl").read_bytes()
    (tmp_path / "results.jsonl").write_bytes(data[: len(data) * 3 // 4])
    shutil.copy(small / "predictions.parquet", tmp_path)
    assert main([str(tmp_path)]) == 0
    assert "note: The last line of results.jsonl was cut off" in capsys.readouterr().err
    assert "The last line of results.jsonl was cut off" in (tmp_path / "report.html").read_text()


def test_runs_without_predictions_are_told(tmp_path):
    runs = synthetic_grid(("sst2",), methods=("ppt", "lora"), seeds=1)
    write_results(tmp_path, runs[:1])
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    assert any("has no rows of 1 of the runs" in note for note in make_report(tmp_path).notes)


def broken_parquet(folder):
    (folder / "predictions.parquet").write_bytes(b"PAR1 no parquet PAR1")


def other_parquet(folder):
    pq.write_table(pa.table({"run": ["a"], "text": ["b"]}), folder / "predictions.parquet")


def wrong_types(folder):
    columns = {name: ["x"] for name in ("run", "id", "text", "label", "prediction", "correct")}
    run = json.loads((folder / "results.jsonl").read_text())["run"]
    table = pa.table({**columns, "run": [run], "probability": ["high"]})
    pq.write_table(table, folder / "predictions.parquet")


def empty(folder):
    (folder / "results.jsonl").write_bytes(b"")


def no_json(folder):
    (folder / "results.jsonl").write_bytes(b"results\n")


def nothing(folder):
    (folder / "results.jsonl").unlink()


def occupied(folder):
    (folder / "report.html").mkdir()


@pytest.mark.parametrize(
    ("spoil", "flags", "words"),
    [
        (broken_parquet, [], "cannot read .*predictions.parquet: .*: let python -m ppt.fewshot"),
        (other_parquet, [], "cannot read .*predictions.parquet: "),
        (wrong_types, [], "cannot read .*predictions.parquet: "),
        (empty, [], "holds no finished run"),
        (no_json, [], r"line 1: no JSON"),
        (nothing, [], "cannot read .*results.jsonl: No such file"),
        (occupied, [], "report.html is there and is no page"),
        (None, ["--baseline=lora"], r"unknown baseline 'lora'\. Known: ppt\."),
        (None, ["--metric=f1"], "--metric: got 'f1', expected one of accuracy, macro_f1"),
        (None, ["--output=/dev/null/x.html"], "cannot write /dev/null/x.html"),
        (
            None,
            ["--base=lora"],
            "unknown argument --base=lora. Did you mean --baseline. --help shows all flags",
        ),
    ],
)
def test_errors_are_one_line_and_exit_code_2(tmp_path, capsys, spoil, flags, words):
    write_results(tmp_path, [synthetic_run("sst2", "ppt", 32, 0, 1e-3)])
    if spoil:
        spoil(tmp_path)
    assert main([str(tmp_path), *flags]) == 2
    told = capsys.readouterr()
    assert re.search(words, told.err)
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert not (tmp_path / "report.html").is_file()


def test_a_page_is_written_over_pages_alone(tmp_path, capsys):
    write_results(tmp_path, [synthetic_run("sst2", "ppt", 32, 0, 1e-3)])
    path = tmp_path / "results.jsonl"
    before = path.read_bytes()
    assert main([str(tmp_path), f"--output={path}"]) == 2
    assert "results.jsonl is there and is no page" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert main([str(tmp_path)]) == main([str(tmp_path)]) == 0
    os.mkfifo(pipe := tmp_path / "pipe")  # as /dev/stdout is, or /dev/null a device
    assert main([str(tmp_path), f"--output={pipe}"]) == 2
    assert "pipe is there and is no page" in capsys.readouterr().err
    assert pipe.is_fifo()


def test_an_old_page_stays_when_the_new_one_fails(small, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text(old := "<!DOCTYPE html>\nold")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main([str(small), f"--output={path}"]) == 2
    assert path.read_text() == old
    assert list(tmp_path.iterdir()) == [path]


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for words in (
        "python -m ppt.report results/",
        "--baseline",
        "predictions.parquet",
        "no network",
    ):
        assert words in text
    assert max(map(len, text.split("\n"))) <= 100


def test_250_runs_with_long_curves_make_a_small_page(tmp_path):
    tasks = [*TASKS][:2]
    runs = synthetic_grid(tasks, seeds=5, rates=(1e-4, 1e-3, 1e-2))
    assert len(runs) >= 250
    for run in runs:
        if run["curve"]:
            run["curve"] = [{**run["curve"][i % 17], "step": i} for i in range(100)]
            run["train_curve"] = [{"step": i, "loss": 1 / (1 + i)} for i in range(300)]
    page = html_page(make_report(write_results(tmp_path, runs, predictions=False)))
    assert len(page.encode()) < 1e6


# --- in a browser ----------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 9000

WHERE = """<script>
document.title = JSON.stringify([...document.querySelectorAll("[data-plot]")]
  .filter((one) => one.checkVisibility()).map((one) => {
  const box = one.getBoundingClientRect();
  return [one.dataset.plot, box.left, box.top, box.right, box.bottom].map(
    (x) => typeof x === "number" ? Math.round(x) : x);
}));
</script>"""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


def browse(browser, tmp_path, text, *flags):
    """Open a page in headless Chromium; its standard output."""
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={WIDTH},{HEIGHT}", *flags, path.as_uri(),
        ],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_script(page, script):
    """The page without its policy, which would not run a test's script, and with that script."""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    return bare.replace("</body>", f"{script}</body>")


def title_of(dumped):
    return html.unescape(re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)[1])


def screenshot(browser, tmp_path, text, *flags):
    """The pixels [height, width, 3] of a page, 0 to 1."""
    path = tmp_path / "shot.png"
    browse(browser, tmp_path, text, f"--screenshot={path}", *flags)
    return imread(path)[..., :3]


def colours_in(pixels):
    """Which of the plots' colours are there, in 10 pixels or more."""
    return {
        colour for colour in COLOURS[:-1]  # the edges of letters are grey too
        if (np.abs(pixels - to_rgb(colour)).max(axis=-1) < 0.04).sum() >= 10
    }  # fmt: skip


@pytest.fixture(scope="module")
def places(browser, page, tmp_path_factory):
    """(name, left, top, right, bottom) of each plot that is unfolded."""
    dumped = browse(
        browser, tmp_path_factory.mktemp("where"), with_script(page, WHERE), "--dump-dom"
    )
    return json.loads(title_of(dumped))


@pytest.mark.parametrize("kind", ["light", "dark", "no script"])
def test_a_browser_shows_the_plots_in_their_places(browser, page, places, tmp_path, kind):
    dark = kind == "dark"
    flags = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    if kind == "no script":
        page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    pixels = screenshot(browser, tmp_path, page, *flags)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert (pixels[5, 5].max() < 0.2) == dark
    names = [name for name, *_ in places]
    assert names == ["boxes-32", "boxes-128", "samples", "training-sst2-32", "confusion-sst2-32"]
    for name, left, top, right, bottom in places:
        assert bottom < HEIGHT
        own = pixels[top:bottom, left:right]
        ink = (own.min(axis=-1) > 0.8) if dark else (own.max(axis=-1) < 0.3)
        assert ink.sum() > 300, name  # names and axes can be told from the page
        if name.startswith("confusion"):
            assert (own[..., 2] - own[..., 0] > 0.3).mean() > 0.05, name  # blue cells
        else:
            assert colours_in(own) == {*COLOURS[:-1]}, name
    outside = pixels[: places[0][2]]
    assert not colours_in(outside)


def test_without_its_drawing_a_place_is_empty(browser, page, places, tmp_path):
    """What the test above looks for is drawn by the plots and by nothing else."""
    bare = re.sub(r"(<svg [^>]*>).*?</svg>", r"\1</svg>", page, flags=re.DOTALL)
    pixels = screenshot(browser, tmp_path, bare)
    assert not colours_in(pixels[places[0][2] : places[2][4]])


def test_tables_sort_and_examples_filter(browser, page, tmp_path):
    script = """<script>{
    const cells = (table, i) => [...table.tBodies[0].rows].map((row) => row.cells[i].textContent);
    const names = (table) => cells(table, 0);
    const numbers = (table) => cells(table, 1).map(parseFloat);
    const table = document.querySelector("table.sortable");
    const click = (i) => table.tHead.rows[0].cells[i].querySelector("button").click();
    const found = [];
    click(1); found.push(numbers(table));
    click(1); found.push(numbers(table));
    click(0); found.push(names(table));
    const form = document.getElementById("filter");
    form.querySelector("[name=method]").value = "lora";
    form.querySelector("[name=outcome]").value = "wrong";
    form.dispatchEvent(new Event("change"));
    found.push([...document.querySelectorAll("table.examples tbody tr")]
      .filter((row) => !row.hidden).map((row) => row.dataset.task));
    found.push(form.querySelector("output").textContent);
    document.title = JSON.stringify(found);
    }</script>"""
    dumped = browse(browser, tmp_path, with_script(page, script), "--dump-dom")
    falling, rising, names, left, told = json.loads(title_of(dumped))
    assert len(falling) == 10
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    assert names == sorted(names)
    assert left == ["sst2"] * WRONG + ["reviews_de"] * WRONG
    assert told == f"{2 * WRONG} shown"


def test_the_policy_stops_any_other_script(browser, page, tmp_path):
    broken = page.replace("</body>", "<script>document.title = 'ran'</script></body>")
    assert title_of(browse(browser, tmp_path, broken, "--dump-dom")) == "Few-shot results"


def test_the_page_prints_unfolded(browser, page, tmp_path):
    path = tmp_path / "page.pdf"
    browse(browser, tmp_path, page, f"--print-to-pdf={path}", "--no-pdf-header-footer")
    assert path.read_bytes().startswith(b"%PDF")
    assert len(path.read_bytes()) > 100_000


def test_the_example_of_the_documentation_runs(small, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "fewshot-report.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shutil.copytree(small, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "results.jsonl", "predictions.parquet", "results.md", "results.csv", "plots",
    }  # fmt: skip
    assert len(list((tmp_path / "results" / "plots").glob("*.svg"))) == 3


def test_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*nowhere.results\.jsonl"):
        make_report(tmp_path / "nowhere")
