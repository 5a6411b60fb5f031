"""results.jsonl → runs → selected runs → rows → tables."""

import csv
import dataclasses
import io
import json
import math
import statistics
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ppt.base.markdown import markdown_table
from ppt.errors import ConfigError, InputError, UnknownNameError
from ppt.results.page import html_page
from ppt.results.predictions import PREDICTION_COLUMNS
from ppt.results.report import Results, make_report, read_results, report_of, results_of
from ppt.results.rows import find_baseline, result_rows
from ppt.results.run import Run, Scores, kinds, read_run
from ppt.results.selection import METRICS, methods_of, selected, shots_of
from ppt.results.statistics import paired_difference, summary
from ppt.results.store import ResultStore
from ppt.results.tables import details, overview, save_tables, to_csv, to_markdown, to_rich
from tests.synthetic import (
    SCHEMA,
    synthetic_grid,
    synthetic_predictions,
    synthetic_run,
    write_results,
)

SMALL = {"steps": 2}


def runs_of(values):
    return tuple(read_run(one, "here") for one in values)


def run(task="sst2", method="ppt", shots=32, seed=0, rate=1e-3, **changes):
    return read_run({**synthetic_run(task, method, shots, seed, rate), **changes}, "here")


def scored(accuracy, task="sst2", method="ppt", shots=32, seed=0):
    one = run(task, method, shots, seed)
    return dataclasses.replace(one, test=dataclasses.replace(one.test, accuracy=accuracy))


# --- reading ---------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(tmp_path):
    values = synthetic_run("cb", "ppt", 32, 1, 1e-3)
    (one,) = read_results(write_results(tmp_path, [values], predictions=False)).runs
    for field in dataclasses.fields(Run):
        got = getattr(one, field.name)
        got = dataclasses.asdict(got) if dataclasses.is_dataclass(got) else got
        assert json.loads(json.dumps(got)) == values[field.name]
    assert one.line() == json.dumps(values), "the same keys in the same order"
    assert read_run(json.loads(one.line()), "here") == one


def test_a_file_cut_off_anywhere_gives_its_whole_lines(tmp_path):
    values = [synthetic_run("sst2", "ppt", 32, seed, 1e-3, steps=2) for seed in range(3)]
    folder = write_results(tmp_path, values, predictions=False)
    data = (folder / "results.jsonl").read_bytes()
    first = data.index(b"\n")
    for size in [*range(first, len(data), 11), len(data) - 1, len(data)]:
        (folder / "results.jsonl").write_bytes(data[:size])
        results = read_results(folder)
        # A line is whole when its last brace is there, with its line feed or without.
        assert len(results.runs) == data[: size + 1].count(b"\n"), size
        torn = b"\n" not in data[size - 1 : size + 1]
        assert any("cut off" in note for note in results.notes) == torn, size


def test_a_cut_inside_a_letter_is_a_torn_line_too(tmp_path):
    values = synthetic_run("Kürze", "ppt", 32, 0, 1e-3, labels=["ja", "nein"])
    text = json.dumps({"task": "Kürze", **values}, ensure_ascii=False).encode()
    whole = json.dumps(synthetic_run("cb", "ppt", 32, 0, 1e-3)).encode() + b"\n"
    (tmp_path / "results.jsonl").write_bytes(whole + text[: text.index("ü".encode()) + 1])
    assert len(read_results(tmp_path).runs) == 1


def test_of_a_run_that_stands_twice_the_last_counts(tmp_path):
    first = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    again = {**first, "seconds": 99.0}
    other = synthetic_run("sst2", "ppt", 32, 1, 1e-3)
    results = read_results(write_results(tmp_path, [first, other, again], predictions=False))
    assert [one.seconds for one in results.runs] == [other["seconds"], 99.0]
    assert results.notes == (
        "Lines of results.jsonl that repeat a run: 1. The last of each run counts.",
    )


BAD = {
    "shots": ("32", "a whole number from 0 on"),
    "seed": (True, "an integer"),
    "learning_rate": ("fast", "a number or null"),
    "labels": ([], "a list of names"),
    "chance": (2, "a number from 0 to 1"),
    "test": (None, "an object of loss, accuracy, macro_f1 and rows"),
    "validation": ({"loss": 1}, "an object of loss, accuracy, macro_f1 and rows or null"),
    "confusion": ([[1, 2]], "a square of counts"),
    "curve": ([{"step": 1}], "a list of points with step, loss and accuracy"),
    "train_curve": (1, "a list of points with step and loss"),
    "run": ("../../victim", "the name of a file"),
    "task": (None, "text"),
    "members": (False, "a whole number from 0 on"),
    "parameters": (True, "a whole number from 0 on"),
    "best_step": (1.5, "a whole number from 0 on or null"),
    "seconds": (True, "a number"),
    "diverged": (0, "true or false"),
    "adapter": ("adapters/../../victim", "a path in the folder or null"),
    "test_rows": (-1, "a whole number from 0 on"),
}
UNLIKE = (
    ("learning_rate", math.inf, "a number or null"),
    ("seconds", math.nan, "a number"),
    ("chance", math.nan, "a number from 0 to 1"),
    ("seed", 1.0, "an integer"),
    ("run", None, "the name of a file"),
    ("run", "x" * 201, "the name of a file"),
    ("run", "a\0b", "the name of a file"),
    ("adapter", ["a"], "a path in the folder or null"),
    ("adapter", "/etc/adapter", "a path in the folder or null"),
    ("task", 5, "text"),
    ("labels", ["a", 1], "a list of names"),
    ("confusion", [[True, 1], [1, 1]], "a square of counts"),
    ("train_curve", [{"step": 1e308, "loss": 1.0}], "a list of points with step and loss"),
    ("train_curve", [{"step": -1, "loss": 1.0}], "a list of points with step and loss"),
    ("curve", [{"step": 1, "loss": 1.0, "accuracy": True}],
     "a list of points with step, loss and accuracy"),
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_named_with_its_line(tmp_path, name):
    value, words = BAD[name]
    good = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    write_results(tmp_path, [good, {**good, "run": "x", name: value}], predictions=False)
    with pytest.raises(InputError) as error:
        read_results(tmp_path)
    place = f"{tmp_path / 'results.jsonl'}, line 2"
    assert str(error.value) == f"{place}: '{name}' is {json.dumps(value)}, expected {words}."


@pytest.mark.parametrize(("name", "value", "words"), UNLIKE)
def test_numbers_are_finite_and_no_truth_values(name, value, words):
    with pytest.raises(InputError) as error:
        run(**{name: value})
    shown = json.dumps(value)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    assert str(error.value) == f"here: '{name}' is {shown}, expected {words}."


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_losses_of_runs_that_diverged_are_read(tmp_path, loss):
    values = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    for side in ("validation", "test"):
        values[side] = {**values[side], "loss": loss}
    values["curve"][1]["loss"] = loss
    (one,) = read_results(write_results(tmp_path, [values], predictions=False)).runs
    for got in (one.validation.loss, one.test.loss, one.curve[1]["loss"]):
        assert math.isnan(got) if math.isnan(loss) else got == loss
    assert one.line() == json.dumps(values)


GOOD = json.dumps(synthetic_run("sst2", "ppt", 32, 0, 1e-3))
LIMIT = "64 bits can be read"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"run": "a"}', "the key 'task' is missing: was it written by ppt.fewshot?"),
        ('{"run": [' + "1" * 400 + "]}", f"no JSON (an integer of 400 digits; {LIMIT})"),
        ('{"later": ' + "1" * 5000 + "}", f"no JSON (an integer of 5000 digits; {LIMIT})"),
        ('{"seed": 9223372036854775808}', f"no JSON (an integer of 19 digits; {LIMIT})"),
        ('{"seed": -9223372036854775809}', f"no JSON (an integer of 20 digits; {LIMIT})"),
        ("[" * 100_000, "no JSON (maximum recursion depth exceeded"),
        ('{"run": ' + "[" * 600 + "]" * 600 + "}", "'run' is [[[[[[["),
        ("NaN", "got NaN, expected a run as a JSON object."),
        ("{} {}", "no JSON (Extra data"),
    ],
)
@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("read", [read_results, ResultStore])
def test_a_bad_line_is_one_error_for_report_and_store(tmp_path, line, words, end, read):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{GOOD}\n{line}{end}")
    if line == "{} {}" and not end:
        assert "cut off" in read(tmp_path).notes[0]
        return
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert str(error.value).startswith(f"{path}, line 2: {words}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_the_largest_integers_of_64_bits_are_read():
    assert run(seed=-(2**63)).seed == -(2**63)
    assert run(parameters=2**63 - 1).parameters == 2**63 - 1


def test_keys_of_a_later_version_are_passed_over_and_told_once(tmp_path):
    values = [{**synthetic_run("sst2", "ppt", 32, seed, 1e-3), "watts": seed} for seed in (1, 2)]
    values[1]["a\nb"] = {"deep": [None]}
    folder = write_results(tmp_path, values, predictions=False)
    note = (
        "Keys of results.jsonl that this version does not know, and passes over: 'a\\nb', 'watts'."
    )
    before = (folder / "results.jsonl").read_bytes()
    for results in (read_results(folder), ResultStore(folder)):
        assert results.notes == (note,)
        assert len(results.runs) == 2
    store = ResultStore(folder)
    store.add([run(seed=3)], {})
    assert (folder / "results.jsonl").read_bytes() == before + run(seed=3).line().encode() + b"\n"


def test_the_store_reads_what_the_report_reads(tmp_path):
    first, again = run(), run(seconds=99.0)
    other = run(seed=1)
    lines = "".join(f"{one.line()}\n\n" for one in (first, other, again))
    (tmp_path / "results.jsonl").write_text(lines + '{"run')
    results, store = read_results(tmp_path), ResultStore(tmp_path)
    assert results.runs == (other, again) == tuple(store.runs.values())
    assert results.notes == store.notes
    assert [note.split(" ")[0] for note in store.notes] == ["The", "Lines"]
    last = run(seed=2)
    store.add([last], {})
    assert (tmp_path / "results.jsonl").read_text() == f"{lines}{last.line()}\n"


def test_a_line_without_its_line_feed_is_kept(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(run().line())
    store = ResultStore(tmp_path)
    for seed in (1, 2):
        store.add([run(seed=seed)], {})
    assert path.read_text() == "".join(f"{run(seed=seed).line()}\n" for seed in (0, 1, 2))


LATER = {"init_digest": None, "demonstrations": None, "members": 1, "steps": 0,
         "stopped_early": False, "diverged": False, "adapter": None}  # fmt: skip
"""Keys that lines may lack, and what they then are."""


def test_results_of_before_are_read(tmp_path):
    values = synthetic_run("sst2", "ensemble_vote", 32, 0, 1e-3)
    older = {name: value for name, value in values.items() if name not in LATER}
    (one,) = read_results(write_results(tmp_path, [older], predictions=False)).runs
    assert one == dataclasses.replace(read_run(values, "here"), **LATER)


@pytest.mark.parametrize(
    "name", [field.name for field in dataclasses.fields(Run) if field.name not in LATER]
)
def test_a_missing_key_is_named(tmp_path, name):
    values = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    del values[name]
    write_results(tmp_path, [values], predictions=False)
    with pytest.raises(InputError, match=f"line 1: the key '{name}' is missing"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot read .*results.jsonl: No such file or directory: give the folder"),
        (b"", "holds no finished run: let python -m ppt.fewshot end one first"),
        (b'{"run": "a', "holds no finished run"),
        (b'{"run": "a\n{}\n', r"line 1: no JSON \(.*\): remove that line"),
        (b"[1]\n", r"line 1: got \[1\], expected a run as a JSON object"),
        (b"\xff\xfe\n", "line 1: no JSON"),
    ],
)
def test_files_that_are_no_results(tmp_path, data, words):
    if data is not None:
        (tmp_path / "results.jsonl").write_bytes(data)
    with pytest.raises(InputError, match=words) as error:
        read_results(tmp_path)
    assert "\n" not in str(error.value)


def test_a_confusion_table_must_count_the_test_rows_and_the_right_ones():
    values = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    with pytest.raises(InputError, match="'confusion' counts 3 rows by 2 labels, expected 200 by"):
        read_run({**values, "confusion": [[1, 1], [1, 0]]}, "here")
    values["test"] = {**values["test"], "accuracy": 0.99}
    with pytest.raises(InputError, match=r"of 200 rows right, but the accuracy of 'test' is 0.99"):
        read_run(values, "here")


def test_a_task_has_one_set_of_labels(tmp_path):
    runs = [synthetic_run("a", "ppt", 32, i, 1e-3, labels=["n", "y", "z"][: 2 + i]) for i in (0, 1)]
    with pytest.raises(InputError, match=r"runs of a differ in labels \(n, y and n, y, z\)"):
        read_results(write_results(tmp_path, runs, predictions=False))


def test_what_makes_scores_doubtful_is_told(tmp_path):
    one, two = (synthetic_run("sst2", name, 32, 0, 1e-3) for name in ("ppt", "lora"))
    two["test"] = {**two["test"], "rows": 100, "accuracy": 1.0}
    two["confusion"] = [[50, 0], [0, 50]]
    two["validation"] = {**two["validation"], "loss": math.nan}
    two["model"] = "other"
    notes = read_results(write_results(tmp_path, [one, two], predictions=False)).notes
    assert [note.split(":")[0] for note in notes] == [
        "Runs of sst2 were tested on unlike numbers of rows (100, 200)",
        "Runs that diverged (no finite validation loss)",
        "The runs are of 2 models",
    ]


# --- selection -------------------------------------------------------------------------

validations = st.tuples(
    st.sampled_from([0.25, 0.5, 0.75]), st.sampled_from([0.5, 1.0, math.nan, math.inf])
)


@given(st.lists(validations, min_size=1, max_size=6), st.randoms())
def test_selection_is_by_accuracy_then_loss_then_rate_and_never_by_test(cases, rng):
    runs = [
        run(
            rate=10.0**-i,
            validation={"loss": loss, "accuracy": accuracy, "macro_f1": 0.5, "rows": 4},
        )
        for i, (accuracy, loss) in enumerate(cases)
    ]
    (best,) = selected(rng.sample(runs, len(runs)))
    accuracy = max(one.validation.accuracy for one in runs)
    alike = [one for one in runs if one.validation.accuracy == accuracy]
    losses = [one.validation.loss for one in alike if not math.isnan(one.validation.loss)]
    loss = min(losses, default=math.inf)
    alike = [
        one for one in alike
        if one.validation.loss == loss or (math.isinf(loss) and math.isnan(one.validation.loss))
    ]  # fmt: skip
    assert best.learning_rate == min(one.learning_rate for one in alike)
    swapped = [dataclasses.replace(one, test=rng.choice(runs).test) for one in runs]
    assert selected(swapped)[0].learning_rate == best.learning_rate


def test_every_task_method_shots_and_seed_keeps_one_run():
    runs = runs_of(synthetic_grid(shots=(32, 64), seeds=2, rates=(1e-4, 1e-3, 1e-2)))
    chosen = selected(runs)
    cells = {(one.task, one.method, one.shots, one.seed) for one in runs}
    assert len(chosen) == len(cells) == 2 * 10 * 2 * 2
    assert {one.run for one in chosen} <= {one.run for one in runs}


@pytest.mark.parametrize("name", ["model", "format", "style", "init"])
def test_unlike_runs_are_not_chosen_among(name):
    with pytest.raises(InputError, match=f"sst2, ppt, 32 shots, seed 0: runs differ in {name} "):
        selected([run(rate=1e-3), run(rate=1e-4, **{name: "other"})])


@pytest.mark.parametrize("rate", [1e-3, None])
def test_runs_of_one_place_that_differ_in_what_is_not_told_are_not_chosen_among(rate):
    """Two grids in one file, of other steps or data: nothing of a run but its id tells."""
    words = f"2 runs with the learning rate {rate}; expected one of each: keep one grid"
    with pytest.raises(InputError, match=words):
        selected([run(rate=rate), run(rate=rate, run="other")])


def test_one_start_from_other_tasks_may_be_told_with_other_last_digits():
    one, two = "sources:rte=0.871,cb=0.502", "sources:rte=0.870,cb=0.502"
    runs = [run(rate=1e-3, init=one), run(rate=1e-4, init=two)]
    assert len(selected(runs)) == 1
    with pytest.raises(InputError, match="runs differ in init"):
        selected([*runs, run(rate=1e-2, init="vocabulary")])


def test_runs_without_validation_are_not_chosen_among():
    assert selected([run(validation=None)])[0].validation is None
    with pytest.raises(InputError, match="2 runs, one without validation scores"):
        selected([run(rate=1e-3), run(rate=1e-4, validation=None)])


# --- rows ------------------------------------------------------------------------------


@given(st.sets(st.tuples(st.sampled_from(["sst2", "cb"]), st.sampled_from(["ppt", "prompt_tuning"]),
                         st.sampled_from([32, 64]), st.integers(0, 3)), min_size=1),
       st.sampled_from(list(METRICS)))  # fmt: skip
def test_rows_say_what_the_runs_do(cells, metric):
    runs = [run(*cell) for cell in sorted(cells)]
    rows = result_rows(runs, metric=metric, baseline="prompt_tuning")
    assert len(rows) == len({(row.task, row.shots, row.method) for row in rows})
    tasks = {one.task for one in runs}
    for row in rows:
        by_seed = {}
        for one in runs:
            if (one.method, one.shots) == (row.method, row.shots) and row.task in (one.task, None):
                by_seed.setdefault(one.seed, {})[one.task] = one
        if row.task is None:
            by_seed = {seed: own for seed, own in by_seed.items() if set(own) == tasks}
        for name in METRICS:
            values = [
                statistics.fmean(getattr(one.test, name) for one in own.values())
                for own in by_seed.values()
            ]
            assert row.scores[name].mean == pytest.approx(statistics.fmean(values))
            assert row.scores[name].n == len(values)
    means = {(row.shots, row.method) for row in rows if row.task is None}
    for shots, method in means:
        assert len(tasks) == 2
        assert all(
            (task, shots, method) in {(r.task, r.shots, r.method) for r in rows} for task in tasks
        )


def test_a_mean_over_tasks_needs_all_tasks():
    whole = [scored(0.5, "sst2"), scored(0.7, "cb")]
    part = [scored(0.9, "sst2", "lora")]
    rows = result_rows(whole + part)
    assert [(row.method, row.scores["accuracy"].mean) for row in rows if row.task is None] == [
        ("ppt", pytest.approx(0.6))
    ]
    assert all(row.task is not None for row in result_rows([scored(0.5)]))


def test_differences_are_over_common_seeds_of_the_same_task_and_shots():
    runs = [
        *(scored(x, seed=i) for i, x in enumerate([0.8, 0.9, 0.7])),
        *(scored(x, method="lora", seed=i + 1) for i, x in enumerate([0.5, 0.6, 0.1])),
        scored(0.3, method="lora", shots=64, seed=0),
        scored(0.3, method="lora", task="cb", seed=0),
    ]
    ppt, lora = (
        next(r for r in result_rows(runs, baseline="lora") if r.method == name and r.task == "sst2")
        for name in ("ppt", "lora")
    )
    assert ppt.difference == paired_difference({1: 0.9, 2: 0.7}, {1: 0.5, 2: 0.6})
    assert (ppt.difference.n, ppt.scores["accuracy"]) == (2, summary([0.8, 0.9, 0.7]))
    assert lora.difference is None
    assert all(row.difference is None for row in result_rows(runs))


@pytest.mark.parametrize(
    ("gains", "mark"),
    [([0.1] * 5, "▲"), ([-0.1] * 5, "▼"), ([0.1] * 4, ""), ([0.1, -0.2, 0.1, 0.1, -0.1], "")],
)
def test_only_clear_differences_of_enough_pairs_are_marked(gains, mark):
    runs = [scored(0.5 + gain, seed=seed) for seed, gain in enumerate(gains)]
    runs += [scored(0.5, method="lora", seed=seed) for seed in range(len(gains))]
    assert [row.mark for row in result_rows(runs, baseline="lora")] == [mark, ""]


def test_the_baseline_is_one_that_was_run():
    runs = [run(method="ppt"), run(method="lora")]
    assert find_baseline(runs, None) is None
    assert find_baseline([*runs, run(method="prompt_tuning")], None) == "prompt_tuning"
    with pytest.raises(UnknownNameError, match=r"unknown baseline 'pppt'\. Did you mean 'ppt'"):
        find_baseline(runs, "pppt")


def test_methods_come_in_the_order_of_their_table():
    runs = [run(method=name) for name in ("lora", "mine", "ppt", "zero_shot")]
    assert methods_of(runs) == ("zero_shot", "ppt", "lora", "mine")


# --- tables ----------------------------------------------------------------------------


def grid_rows(**kwargs):
    return result_rows(selected(runs_of(synthetic_grid(**kwargs))), baseline="prompt_tuning")


def test_the_overview_has_methods_down_and_tasks_across():
    runs = [
        scored(0.5, seed=0),
        scored(0.7, seed=1),
        scored(0.25, "cb"),
        scored(1.0, method="lora"),
    ]
    one = overview(result_rows(runs), 32)
    assert one.head == ("method", "sst2", "cb", "all tasks")
    assert one.rows == (("ppt", "60.0 ±14.1", "25.0", "37.5"), ("lora", "100.0", "–", "–"))
    assert "▲" not in one.note


def test_the_details_hold_everything():
    runs = [scored(0.5 + 0.01 * i, seed=i) for i in range(5)]
    runs += [scored(0.4, method="prompt_tuning", seed=i) for i in range(5)]
    rows = result_rows(runs, baseline="prompt_tuning")
    sheet = details(rows)
    line = dict(zip(sheet.head, sheet.rows[1], strict=True))
    assert line["method"] == "ppt"
    assert line["accuracy (%)"] == "52.0 ±1.6"
    assert line["difference"] == "+12.0▲"
    low, high = (
        f"{100 * x:.1f}" for x in (rows[1].scores["accuracy"].low, rows[1].scores["accuracy"].high)
    )
    assert line["95% interval"] == f"{low} to {high}"
    assert (line["seeds"], line["pairs"]) == ("5", "5")
    assert sheet.title.endswith("differences to prompt_tuning over common seeds")
    assert dict(zip(sheet.head, sheet.rows[0], strict=True))["difference"] == "–"


def test_without_a_baseline_there_are_no_differences():
    sheet = details(result_rows([scored(0.5), scored(0.4, method="lora")]))
    assert sheet.head[-2:] == ("95% interval", "seeds")
    assert sheet.title == "Test scores; intervals of accuracy"


def test_csv_says_the_numbers_unrounded():
    rows = grid_rows(shots=(32, 64), seeds=3)
    back = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(back) == len(rows)
    for row, line in zip(rows, back, strict=True):
        assert (line["task"] or None, line["shots"], line["method"]) == (
            row.task,
            str(row.shots),
            row.method,
        )
        for name, one in {**row.scores, "difference": row.difference}.items():
            for part in ("n", "mean", "deviation", "low", "high"):
                value = getattr(one, part, None)
                assert line[f"{name}_{part}"] == ("" if value is None else str(value))


def test_markdown_is_one_table_whatever_the_names_are():
    rows = result_rows([run(task="a|b\nc", method="[bold]x[/bold]", labels=["n", "y"])])
    text = to_markdown(overview(rows, 32))
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert table[0] == "| method | a\\|b\\nc |"
    assert table[1] == "|---|---:|"
    assert len(table) == 3
    console = Console(width=100, file=io.StringIO())
    console.print(to_rich(overview(rows, 32)))
    assert "[bold]x[/bold]" in console.file.getvalue()


def test_the_terminal_shows_a_whole_grid_in_132_columns():
    rows = grid_rows(tasks=("sst2", "sst5", "race_middle", "race_high", "boolq", "rte", "cb", "de"))
    console = Console(width=132, file=io.StringIO())
    console.print(to_rich(overview(rows, 32)))
    lines = console.file.getvalue().split("\n")
    for row in overview(rows, 32).rows:
        assert any(all(cell in line for cell in row) for line in lines), row


def test_tables_are_saved(tmp_path):
    rows = grid_rows(shots=(32, 64), seeds=2)
    paths = save_tables(tmp_path / "new", rows)
    assert [path.name for path in paths] == ["results.md", "results.csv"]
    assert paths[1].read_text() == to_csv(rows)
    text = paths[0].read_text()
    for shots in shots_of(runs_of(synthetic_grid(shots=(32, 64), seeds=1))):
        assert f"### Test accuracy (%), {shots} shots" in text


def test_markdown_tables_align_numbers():
    assert (
        markdown_table(["a", "b"], [[1, "x|y"]], left=1) == "| a | b |\n|---|---:|\n| 1 | x\\|y |"
    )
    assert markdown_table(["a", "b"], []) == "| a | b |\n|---|---|"


# --- from memory -----------------------------------------------------------------------


def test_results_from_memory_are_those_of_a_folder(tmp_path):
    methods = ("zero_shot", "prompt_tuning", "ppt", "ensemble_vote", "lora")
    grid = synthetic_grid(("sst2",), methods, (32, 64), seeds=2, rates=(1e-3, 1e-2))
    read = read_results(write_results(tmp_path, grid))
    made = results_of(runs_of(grid))
    assert made == read
    assert made.selected() == selected(made.runs)
    predictions = pa.Table.from_pylist(
        [row for one in grid for row in synthetic_predictions(one)], SCHEMA
    ).cast(PREDICTION_COLUMNS)
    for metric, baseline in (("accuracy", None), ("macro_f1", "ppt")):
        known = {"metric": metric, "baseline": baseline}
        whole = make_report(tmp_path, **known)
        assert report_of(made, predictions, **known) == whole
    assert html_page(report_of(made, predictions, **known)) == html_page(whole)
    bare = report_of(made)
    assert (bare.examples, bare.notes) == ((), ())


def test_results_are_a_table(tmp_path):
    runs = [*(scored(x, seed=i) for i, x in enumerate((0.5, 0.7))), scored(0.25, shots=64)]
    assert Results(tuple(runs)).table() == (
        "### Test accuracy (%), 32 shots\n\n"
        "| method | sst2 |\n|---|---:|\n| ppt | 60.0 ±14.1 |\n\n"
        "### Test accuracy (%), 64 shots\n\n"
        "| method | sst2 |\n|---|---:|\n| ppt | 25.0 |\n"
    )
    results = results_of(runs_of(synthetic_grid(seeds=5)))
    text = results.table(metric="macro_f1", baseline="zero_shot")
    assert text.startswith("### Test macro-F1 (%), 32 shots\n\n| method | sst2 | cb | all tasks |")
    assert text != results.table(metric="macro_f1")
    save_tables(tmp_path, results.rows())
    assert (tmp_path / "results.md").read_text().startswith(results.table())
    with pytest.raises(UnknownNameError, match="unknown metric 'f1'"):
        results.table(metric="f1")
    with pytest.raises(UnknownNameError, match=r"unknown metric \['accuracy'\]"):
        results.table(metric=["accuracy"])
    with pytest.raises(UnknownNameError, match="unknown baseline 'zero'"):
        results.table(baseline="zero")


def test_no_runs_are_an_empty_table_and_no_report():
    none = results_of([])
    assert (none.table(), none.selected(), none.notes) == ("", (), ())
    assert none.to_pandas().empty
    with pytest.raises(InputError, match="there are no runs to report"):
        report_of(none)


SIDES = ("validation", "test")


def test_a_frame_has_a_row_a_run_and_flat_columns():
    runs = [run(seed=1), run(method="zero_shot", rate=None, validation=None, seed=2)]
    frame = results_of(runs).to_pandas()
    validation, test = ([f"{side}_{name}" for name in kinds(Scores)] for side in SIDES)
    assert list(frame.columns) == [
        "run", "task", "method", "shots", "seed", "learning_rate", "model", "format", "style",
        "init", "init_digest", "demonstrations", "members", "chance", "test_rows",
        *validation, *test[:-1],
        "steps", "best_step",
        "stopped_early", "diverged", "seconds", "parameters", "adapter",
    ]  # fmt: skip
    assert list(frame.test_accuracy) == [one.test.accuracy for one in runs]
    assert frame.validation_loss[0] == runs[0].validation.loss
    assert math.isnan(frame.validation_accuracy[1])
    assert list(frame.seed) == [1, 2]
    assert frame.groupby("method").test_rows.sum().to_dict() == {"ppt": 200, "zero_shot": 200}


def test_without_pandas_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match="pip install pandas"):
        results_of([run()]).to_pandas()


def test_labels_of_a_task_must_agree_in_memory_too():
    runs = [run(labels=["n", "y"]), run(seed=1, labels=["y", "n"])]
    with pytest.raises(InputError, match="the results: runs of sst2 differ in labels"):
        results_of(runs)
    assert results_of([run(), run(seed=1, model="b")], ["first"]).notes == (
        "first", "The runs are of 2 models: synthetic, b.",
    )  # fmt: skip
