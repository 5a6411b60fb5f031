"""Rows without labels get those that the test rows had: of every kind of method; tiny models."""

import csv
import json
import math
import shutil
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

import ppt
from ppt.fewshot.__main__ import main as fewshot
from ppt.fewshot.lanes import score_rows
from ppt.fewshot.memory import remembered
from ppt.predict import main
from ppt.tasks.rows import known_answers, to_example
from ppt.tasks.spec import Columns, Rows, Task, letters
from tests.few import toy_place
from tests.forks import killed_at

METHODS = (
    "zero_shot", "prompt_tuning", "ppt", "hybrid_ppt", "unified_ppt", "lora", "lora_ppt", "kv_ppt",
    "context_tuning", "ensemble_vote", "ensemble_mean", "pretrained", "hybrid_pretrained",
    "unified_pretrained", "lora_pretrained",
)  # fmt: skip
SILENT = ("zero_shot_calibrated", "in_context", "fine_tuning")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with results of all of these on the toy task."""
    folder = toy_place(tmp_path_factory.mktemp("predict"))
    code = fewshot(
        [f"--task_file={folder / 'toy.yaml'}", f"--model={folder / 'llama'}", "--device=cpu",
         f"--prompt={folder / 'runs-llama'}", "--shots=4,8", "--seeds=0,", "--max_steps=2",
         "--eval_steps=2", f"--output_dir={folder / 'results'}", "--residual=3",
         f"--methods={','.join((*METHODS, *SILENT))}"]
    )  # fmt: skip
    assert code == 0
    return folder


def label(place, name, *more):
    """What the command makes of the test rows: its exit code and, if it is 0, the rows."""
    output = place / name
    code = main(
        [str(place / "results"), f"--input={place / 'test.jsonl'}", f"--output={output}",
         "--overwrite", "--device=cpu", *more]
    )  # fmt: skip
    if code:
        return code, []
    with output.open(newline="") as file:
        known = {".csv": csv.DictReader, ".jsonl": lambda lines: map(json.loads, lines)}
        return code, list(known[output.suffix](file))


@pytest.mark.parametrize("method", METHODS)
def test_the_test_rows_get_the_labels_that_they_had(place, method):
    """By few-shot's own predictions, which were made in the run that trained."""
    known = pq.read_table(place / "results" / "predictions.parquet").to_pylist()
    for shots, seed in ((4, 0), (8, 0)):
        code, found = label(
            place, "own.jsonl", f"--method={method}", f"--seed={seed}", f"--shots={shots}"
        )
        mine = [
            row for row in known
            if (row["method"], row["shots"], row["seed"]) == (method, shots, seed)
        ]  # fmt: skip
        assert code == 0
        assert [row["prediction"] for row in found] == [row["prediction"] for row in mine]
        assert [row["probability"] for row in found] == pytest.approx(
            [row["probability"] for row in mine], abs=1e-5
        )
        assert all(row["p(bad)"] + row["p(good)"] == pytest.approx(1) for row in found)
        assert all("label" in row for row in found), "columns of the input stay"


def test_the_best_validated_run_of_the_most_examples_labels(place, capsys):
    runs = [run for run in ppt.read_results(place / "results").runs if run.shots == 8]
    able = [run for run in runs if run.method not in SILENT]
    best = max(run.validation.accuracy for run in able)
    assert label(place, "best.csv")[0] == 0
    name = capsys.readouterr().out.split()[2].rstrip(":")
    (chosen,) = (run for run in able if run.run == name)
    assert chosen.validation.accuracy == best


@pytest.mark.parametrize("method", SILENT)
def test_what_leaves_nothing_cannot_label(place, method, capsys):
    assert label(place, "none.csv", f"--method={method}")[0] == 2
    assert "no run leaves what labels rows" in capsys.readouterr().err
    assert not (place / "none.csv").exists()


def given_rows(place, text, name="given.jsonl"):
    (place / name).write_text(text)
    return place / name


def test_rows_that_cannot_be_used_stand_beside_with_their_reasons(place, capsys):
    rows = [
        '{"text": "tea is good", "more": {"a": [1, "x"]}, "note": null}', '{"text": " \\u200b "}',
        "no JSON", '{"other": 1}', '{"text": 5}', '{"text": "a \\"b\\", c\\rd\\ne", "note": true}',
    ]  # fmt: skip
    path = given_rows(place, "\n".join(rows) + "\n")
    for name in ("kept.csv", "kept.jsonl"):
        assert main([str(place / "results"), f"--input={path}", f"--output={place / name}"]) == 0
        told = capsys.readouterr().out
        assert "2 of 6 rows of" in told
        assert "blank 1, broken_line 1, missing_field 1, not_a_string 1" in told
        rejects = (place / f"{name}.rejects.jsonl").read_text().splitlines()
        assert [json.loads(one)["place"] for one in rejects] == [f"line {n}" for n in (2, 3, 4, 5)]
    with (place / "kept.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["text"] for row in cells] == ["tea is good", 'a "b", c\rd\ne']
    assert [(row["more.a"], row["note"]) for row in cells] == [('[1, "x"]', ""), ("", "true")]
    lines = [json.loads(one) for one in (place / "kept.jsonl").read_text().splitlines()]
    assert [row["prediction"] for row in lines] == [row["prediction"] for row in cells]
    path.write_text(rows[0])
    again = [str(place / "results"), f"--input={path}", f"--output={place / 'kept.csv'}"]
    assert main([*again, "--overwrite"]) == 0
    assert not (place / "kept.csv.rejects.jsonl").exists(), "it was of other rows"


def test_each_mistake_is_one_line_and_writes_nothing(place, capsys):
    results, rows = str(place / "results"), given_rows(place, '{"text": "tea is good"}')
    (place / "there.csv").write_text("mine")
    clash = given_rows(place, '{"text": "tea", "p(bad)": 1}', "clash.jsonl")
    other = given_rows(place, '{"words": "tea"}', "other.jsonl")
    renamed = (place / "toy.yaml").read_text().replace("good: good", "good: great")
    (place / "renamed.yaml").write_text(renamed)
    own = "pattern: 'It says {text_a}, {mask}'\n"
    (place / "shown.yaml").write_text((place / "toy.yaml").read_text() + own)
    for argv, expected in (
        ([results], "input is missing"),
        ([results, f"--input={rows}", "--output=a.txt"], "ends in one of .csv, .tsv, .jsonl"),
        ([results, f"--input={rows}", f"--output={place / 'there.csv'}"], "or --overwrite"),
        ([results, f"--input={rows}", f"--output={rows}", "--overwrite"], "is the input"),
        ([results, f"--input={place / 'none.csv'}", f"--output={place / 'a.csv'}"], "none.csv"),
        ([results, f"--input={clash}", f"--output={place / 'a.csv'}"], "rename it"),
        ([results, f"--input={other}", f"--output={place / 'a.csv'}"], "no column 'text'"),
        ([results, f"--input={rows}", f"--output={place / 'a.csv'}", "--seed=7"], "Theirs are 0."),
        ([results, f"--input={rows}", f"--output={place / 'a.csv'}", "--shots=4", "--method=ppt",
          f"--task_file={place / 'renamed.yaml'}"], "the labels ['bad', 'great'], but run"),
        ([results, f"--input={rows}", f"--output={place / 'a.csv'}", "--shots=4", "--method=ppt",
          f"--task_file={place / 'shown.yaml'}"], "the pattern 'It says {text_a}, <X>', but run"),
        ([str(place), f"--input={rows}", f"--output={place / 'a.csv'}"], "results.jsonl"),
    ):  # fmt: skip
        assert main(argv) == 2, argv
        told = capsys.readouterr().err
        assert told.startswith("error: "), told
        assert expected in told.splitlines()[-1], told
        assert not (place / "a.csv").exists()
    assert (place / "there.csv").read_text() == "mine"


def test_values_of_parquet_are_what_other_tools_read(place):
    """Dates and decimals as they are; JSON has no NaN."""
    columns = {
        "text": ["tea is good"], "day": [date(2024, 2, 29)], "price": [Decimal("1.50")],
        "score": [math.nan], "list": [[1.0, math.inf]], "sure": [True], "count": [3],
    }  # fmt: skip
    pq.write_table(pa.table(columns), place / "odd.parquet")
    argv = [str(place / "results"), f"--input={place / 'odd.parquet'}", "--method=zero_shot"]
    for name in ("odd.csv", "odd.jsonl"):
        assert main([*argv, f"--output={place / name}"]) == 0

    def refuse(name):
        raise ValueError(name)

    (line,) = (place / "odd.jsonl").read_text().splitlines()
    row = json.loads(line, parse_constant=refuse)
    assert {name: row[name] for name in columns} == {
        "text": "tea is good", "day": "2024-02-29", "price": "1.50", "score": None,
        "list": [1.0, None], "sure": True, "count": 3,
    }  # fmt: skip
    with (place / "odd.csv").open(newline="") as file:
        (cells,) = csv.DictReader(file)
    assert {name: cells[name] for name in columns} == {
        "text": "tea is good", "day": "2024-02-29", "price": "1.50", "score": "nan",
        "list": "[1.0, null]", "sure": "true", "count": "3",
    }  # fmt: skip


def test_what_lies_where_rejects_go_is_never_lost(place, capsys, monkeypatch):
    """Rows to be labelled, what somebody else has put there, or the rejects of rows before."""
    results, output = str(place / "results"), place / "new.csv"
    beside = given_rows(place, '{"text": "tea is good"}\n{"text": ""}\n', "new.csv.rejects.jsonl")
    before = beside.read_text()
    rows = given_rows(place, before)
    for given, more, expected in (
        (beside, ["--overwrite"], "new.csv.rejects.jsonl is the input"),
        (rows, [], "new.csv.rejects.jsonl is there: give another --output, or --overwrite"),
    ):
        assert main([results, f"--input={given}", f"--output={output}", *more]) == 2
        assert expected in capsys.readouterr().err
        assert beside.read_text() == before
        assert not output.exists()
    beside.unlink()
    beside.mkdir()
    assert main([results, f"--input={rows}", f"--output={output}", "--overwrite"]) == 2
    assert "or a folder" in capsys.readouterr().err
    beside.rmdir()

    def full(*_):
        raise ppt.errors.OutputError("the disk is full")

    monkeypatch.setattr("ppt.predict.keep_rejects", full)
    assert main([results, f"--input={rows}", f"--output={output}"]) == 2
    assert not list(place.glob("*new.csv*")), "no output without its rejects, and no scratch"


def test_a_run_labels_by_all_that_it_has_tuned_or_not_at_all(place, tmp_path, capsys):
    """Not by four of five members, nor by what another run has left at its place."""
    results = tmp_path / "results"
    shutil.copytree(place / "results", results)
    tuned = results / "adapters" / "toy"
    vote, mean, soft = (
        next((tuned / name).glob("shots-8*")) for name in ("ensemble_vote", "ensemble_mean", "ppt")
    )
    shutil.rmtree(vote / "member-3")
    (mean / "member-4" / "prompt.json").unlink()
    other = next((tuned / "prompt_tuning").glob("shots-8*"))
    shutil.copytree(other, soft, dirs_exist_ok=True)
    shutil.rmtree(other)
    argv = [str(results), f"--input={place / 'test.jsonl'}", f"--output={tmp_path / 'a.csv'}"]
    for method, count in (
        ("ensemble_vote", "4 of 5"), ("ensemble_mean", "4 of 5"), ("ppt", "0 of 1"),
        ("prompt_tuning", "0 of 1"),
    ):  # fmt: skip
        assert main([*argv, f"--method={method}", "--shots=8"]) == 2
        told = capsys.readouterr().err
        assert f"holds {count} whole: copy the whole folder" in told
    assert not (tmp_path / "a.csv").exists()


@pytest.fixture
def many(place, monkeypatch):
    """The command's words for 13 rows, four of them at once."""
    monkeypatch.setattr("ppt.fewshot.classifier.AT_ONCE", 4)
    output = place / "many.jsonl"
    yield [str(place / "results"), f"--input={place / 'test.jsonl'}", f"--output={output}",
           "--method=ensemble_vote", "--shots=8", "--device=cpu", "--overwrite"]  # fmt: skip
    output.unlink(missing_ok=True)


def kept_labels(place):
    return sorted(place.glob(".ppt-labels-many.jsonl/*.npy"))


@pytest.fixture
def scored(monkeypatch):
    """How many rows each call scores."""
    sizes = []

    def counted(trainable, which, rows, *more, **how):
        sizes.append(len(rows))
        return score_rows(trainable, which, rows, *more, **how)

    monkeypatch.setattr("ppt.fewshot.classifier.score_rows", counted)
    return sizes


def test_labelling_goes_on_where_it_was_killed(place, many, scored):
    """To the same bytes; what is broken of what was kept is scored anew."""
    assert main(many) == 0
    whole = (place / "many.jsonl").read_bytes()
    assert not list(place.glob(".ppt-labels*")), "what ended well leaves nothing"
    killed_at("ppt.fewshot.classifier:score_rows", 12, main, many)  # five members, four rows each
    first, _ = kept_labels(place)
    first.write_bytes(first.read_bytes()[:-3])
    scored.clear()
    assert main(many) == 0
    assert scored == [4] * 5 + [4] * 5 + [1] * 5, "one of two parts was whole"
    assert (place / "many.jsonl").read_bytes() == whole
    assert not list(place.glob(".ppt-labels*"))


@pytest.mark.parametrize(
    ("change", "members"),
    [
        ("--tokens_at_once=64", 5),
        ("--dtype=bfloat16", 5),
        ("--method=ppt", 1),
        ("--method=lora", 1),
    ],
)
def test_what_another_scored_or_otherwise_is_not_taken_up(place, many, scored, change, members):
    killed_at("ppt.fewshot.classifier:score_rows", 12, main, many)
    assert len(kept_labels(place)) == 2
    assert main([*many, change]) == 0
    assert scored == [4] * members * 3 + [1] * members
    assert not kept_labels(place)


def test_two_processes_do_not_label_into_one_file(place, many, capsys):
    with remembered(place / "many.jsonl"):
        assert main(many) == 2
    assert "another process is writing to" in capsys.readouterr().err
    assert not list(place.glob(".ppt-labels*"))


def test_what_is_odd_about_the_results_is_told(place, tmp_path, capsys):
    """What was left out of them, steers a terminal, or is not there, and names for other kinds."""
    results = tmp_path / "results"
    shutil.copytree(place / "results", results)
    argv = [str(results), f"--input={place / 'test.jsonl'}", f"--output={tmp_path / 'a.csv'}"]
    argv += ["--method=ppt", "--shots=8"]
    lines = (results / "results.jsonl").read_text()
    (results / "results.jsonl").write_text(lines + lines[:40])
    assert main(argv) == 0
    assert "note: The last line of results.jsonl was cut off" in capsys.readouterr().err
    (results / "results.jsonl").write_text(lines.replace('"ppt"', '"ppt\\u001b[2J"'))
    assert main([*argv[:3], "--overwrite", "--method=ppt\x1b[2J", "--shots=8"]) == 2
    told = capsys.readouterr()
    assert "toy, ppt\\x1b[2J, 8 shots" in told.out
    assert "\x1b" not in told.out + told.err
    (results / "results.jsonl").write_text(lines)
    with pytest.raises(ppt.ConfigError, match="--shots: got '8', of which"):
        ppt.load_classifier(results, shots="8")
    card = next((results / "adapters" / "toy" / "ppt").glob("shots-8*")) / "prompt.json"
    card.write_text(card.read_text().replace('"text_start": []', '"text_start": 5'))
    assert main([*argv, "--overwrite"]) == 2
    assert "has text_start 5, expected a list" in capsys.readouterr().err
    (results / "config.json").unlink()
    assert main([*argv, "--overwrite"]) == 2
    assert "config.json: No such file or directory: copy the whole" in capsys.readouterr().err


def test_from_python_in_memory_and_from_a_folder(place):
    backbone = ppt.load_backbone(place / "llama", device="cpu")
    task = ppt.load_task(place / "toy.yaml")
    before = {name: one.clone() for name, one in backbone.model.named_parameters()}
    rows = [{"text": "tea is good"}, {"text": "rain was ugly!"}, {"text": ""}]
    for method in ("prompt_tuning", "lora_ppt"):
        with ppt.load_classifier(
            place / "results", task=task, backbone=backbone, method=method, shots=8, seed=0
        ) as classifier:
            kept = classifier.predict(rows)
        assert classifier.run.method == method
        assert [row["text"] for row in kept.rows] == ["tea is good", "rain was ugly!"]
        assert [one.reason for one in kept.rejects] == ["blank"]
        assert list(kept.to_pandas().columns) == list(kept.columns)
    with pytest.raises(ppt.ConfigError, match="is closed"):
        classifier.predict(rows)
    open_one = {"task": task, "backbone": backbone, "shots": 8}
    soft = ppt.load_classifier(place / "results", method="ppt", **open_one)
    with ppt.load_classifier(place / "results", method="lora", **open_one) as classifier:
        classifier.predict(rows)
        for wrong in (
            lambda: ppt.load_classifier(place / "results", method="lora_ppt", **open_one),
            lambda: ppt.tune(task, backbone, methods="zero_shot", shots=4, seeds=1),
            lambda: soft.predict(rows),
        ):
            with pytest.raises(ppt.ConfigError, match="close the classifier"):
                wrong()
    assert len(soft.predict(rows).rows) == 2
    after = dict(backbone.model.named_parameters())
    assert after.keys() == before.keys(), "an adapter leaves no weights behind"
    assert all((after[name] == one).all() for name, one in before.items())
    made = ppt.tune(
        task, backbone, methods=["prompt_tuning"], shots=8, seeds=1, max_steps=2, eval_steps=2,
        residual=3,
    )  # fmt: skip
    found = ppt.load_classifier(made, task=task, backbone=backbone).predict(rows)
    known = ppt.load_classifier(
        place / "results", task=task, backbone=backbone, method="prompt_tuning", shots=8, seed=0
    ).predict(rows)
    assert [row["p(bad)"] for row in found.rows] == pytest.approx(
        [row["p(bad)"] for row in known.rows], abs=1e-5
    )
    with pytest.raises(ppt.ConfigError, match=r"got 'smollm2-135m', expected what ppt\.load_b"):
        ppt.load_classifier(made, task=task, backbone="smollm2-135m")
    with pytest.raises(ppt.ConfigError, match="expected the backbone"):
        ppt.load_classifier(made, task=task)


def test_a_choice_by_texts_and_marks_that_are_signs(place, capsys):
    """The options' texts answer; in a file without quoting a mark at a line's start is text."""
    folder = place / "choice"
    folder.mkdir()
    for side, count in (("train", 12), ("test", 5)):
        rows = [
            f'"{side} {i}\t{side} tea that is {word} for a long while in {i} places'
            f"\tit {word}s {i}\tno {i}\t{1 + i % 2}"
            for i, word in zip(range(count), ["good", "bad"] * count, strict=False)
        ]
        (folder / f"{side}.tsv").write_text("\n".join(["id\tq\ta\tb\tright", *rows]) + "\n")
    (folder / "choice.yaml").write_text(
        "format: multiple_choice\ntrain: train.tsv\ntest: test.tsv\nquoting: none\n"
        "answer: number\ncolumns: {text_a: q, options: [a, b], label: right, id: id}\n"
    )
    argv = ["--answers=texts", "--methods=prompt_tuning", "--shots=4", "--seeds=1"]
    code = fewshot(
        [f"--task_file={folder / 'choice.yaml'}", f"--model={place / 'llama'}", "--max_steps=2",
         "--device=cpu", f"--output_dir={folder / 'results'}", "--max_length=32", *argv]
    )  # fmt: skip
    assert code == 0
    capsys.readouterr()
    output = folder / "labelled.tsv"
    test = ["--input", str(folder / "test.tsv"), "--output", str(output)]
    assert main([str(folder / "results"), *test, "--device=cpu"]) == 0
    assert "texts cut to the 32 tokens of the run: 5" in capsys.readouterr().err
    with output.open(newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t"))
    known = pq.read_table(folder / "results" / "predictions.parquet").to_pylist()
    assert [row["id"] for row in found] == [f'"test {i}' for i in range(5)]
    letters_of = {"1": "A", "2": "B"}
    assert [letters_of[row["prediction"]] for row in found] == [r["prediction"] for r in known]
    (folder / "choice.yaml").unlink()
    assert main([str(folder / "results"), *test, "--overwrite"]) == 2
    assert "choice.yaml" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("answer", ["letter", "index", "number", "option"])
def test_a_choice_is_answered_as_its_label_column_does(answer):
    """What is said of an option is what a labelled row would have to hold for it."""
    fields = {"question": "Which?", "o.text": ["tea", "rain", "bread"], "o.label": ["1", "2", "x"]}
    task = Task(
        "choice", "multiple_choice", letters(4),
        Columns(("question",), options=("o.text",), label="answer"), Rows([]), answer=answer,
    )  # fmt: skip
    answers = known_answers(task, fields, {"options": fields["o.text"]})
    read = [to_example(task, {**fields, "answer": one})["label"] for one in answers]
    assert read == [0, 1, 2]


def test_what_was_taken_as_it_is_labels_from_python_too(place, tmp_path):
    """From memory, from where it lay, and from where it has gone."""
    backbone, rows = ppt.load_backbone(place / "llama", device="cpu"), [{"text": "tea is good"}]
    shutil.copytree(place / "runs-llama", tmp_path / "runs")
    lain = {"pretrained": "sentiment-soft", "lora_pretrained": "sentiment-lora"}
    task = ppt.load_task(place / "toy.yaml")
    settings = {"methods": [*lain], "shots": 8, "seeds": 1}
    folders = [tmp_path / "runs" / name for name in lain.values()]
    made = ppt.tune(task, backbone, prompts=folders, output_dir=tmp_path / "made", **settings)
    soft = replace(ppt.load_prompt(folders[0]), folder=None)
    memory = ppt.tune(task, backbone, prompts=[soft, folders[1]], **settings)

    def found(results, method, **more):
        with ppt.load_classifier(
            results, task=task, backbone=backbone, method=method, **more
        ) as classifier:
            assert not classifier.notes
            return [row["p(bad)"] for row in classifier.predict(rows).rows]

    known = {method: found(place / "results", method, shots=8) for method in lain}
    for results in (made, memory, tmp_path / "made"):
        assert {method: found(results, method) for method in lain} == known
    other = folders[0] / "prompt" / "adapter_model.safetensors"
    weights = other.read_bytes()
    save_file({name: 2 * one for name, one in load_file(other).items()}, other, {"format": "pt"})
    changed = ppt.load_classifier(
        tmp_path / "made", task=task, backbone=backbone, method="pretrained"
    )
    assert changed.predict(rows).rows[0]["p(bad)"] != known["pretrained"][0]
    assert changed.notes == [f"{other.parent} is another prompt than run {changed.run.run} took."]
    other.write_bytes(weights)
    (tmp_path / "runs").rename(tmp_path / "moved")
    for method, name in lain.items():
        with pytest.raises(ppt.InputError, match="which is not there: give it as --prompt"):
            found(tmp_path / "made", method)
        moved = tmp_path / "moved" / name
        assert found(tmp_path / "made", method, prompt=moved) == known[method]


def test_a_model_may_have_moved_and_one_that_is_another_by_now_is_told(place, tmp_path, capsys):
    """By its weights, also where nothing that was tuned tells."""
    model = tmp_path / "llama"
    shutil.copytree(place / "llama", model)
    argv = [str(place / "results"), f"--input={place / 'test.jsonl'}", f"--model={model}"]
    methods = ("zero_shot", "ppt", "lora")
    for method in methods:
        output = tmp_path / f"{method}.jsonl"
        assert main([*argv, f"--output={output}", f"--method={method}", "--shots=8"]) == 0
        assert "note:" not in capsys.readouterr().err
        label(place, "there.jsonl", f"--method={method}", "--shots=8")
        capsys.readouterr()
        assert output.read_text() == (place / "there.jsonl").read_text()
    weights = load_file(model / "model.safetensors")
    save_file({name: one + 0.1 for name, one in weights.items()}, model / "model.safetensors")
    for method in methods:
        output = tmp_path / f"{method}-other.jsonl"
        assert main([*argv, f"--output={output}", f"--method={method}", "--shots=8"]) == 0
        (told,) = [one for one in capsys.readouterr().err.splitlines() if "note:" in one]
        expected = "are of other weights than" if method == "zero_shot" else f"not for {model}"
        assert expected in told
