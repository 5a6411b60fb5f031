"""The command, end to end on tiny models: every method, restarts, kill -9, errors."""

import json
import shutil
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import ppt
from ppt.base import terminal
from ppt.fewshot.__main__ import main
from ppt.fewshot.lanes import score_rows
from ppt.fewshot.views import TaskView
from ppt.methods import EXAMPLES, METHODS
from ppt.prompts.files import read_card, read_values, save_prompt
from ppt.report import main as report
from ppt.results.folder import GRID, MODEL
from ppt.results.run import Run, read_run
from ppt.training.trainables import PromptBank
from tests import golden
from tests.few import ALONE, toy_adapter, toy_place, toy_task
from tests.forks import forked
from tests.test_golden import KNOWN, compare
from tests.tiny import save_tiny

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Tiny models, a task, and a pre-trained prompt for each kind of PPT."""
    return toy_place(tmp_path_factory.mktemp("place"))


def flags(place, output, model="llama", **changes):
    usual = {
        "task_file": place / "toy.yaml", "model": place / model, "output_dir": output,
        "prompt": place / f"runs-{model}", "shots": 6, "seeds": 2, "max_length": 60,
        "prompt_length": 3, "max_steps": 4, "eval_steps": 2, "per_device_train_batch_size": 4,
        "device": "cpu", "threads": 1,
    }  # fmt: skip
    merged = {**usual, **changes}
    return [f"--{name}={value}" for name, value in merged.items() if value is not None]


def rows_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def without_time(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def fails(capsys, argv, command=main):
    """The one line that the command prints."""
    assert command([str(arg) for arg in argv]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.split("\n") if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    return lines[0]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Where golden grids ran, and what is compared of them."""
    folder = tmp_path_factory.mktemp("golden")
    return folder, golden.results(folder)


def test_grids_give_the_numbers_that_they_gave(recorded):
    compare(recorded[1], KNOWN["results"])


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_every_method_runs_and_leaves_what_people_expect(recorded, capsys, model):
    place, _ = recorded
    output = place / "results" / model
    names = [name for name in ALONE if model == "llama" or METHODS[name].trains != "kv"]
    assert main(flags(place, output, model, methods=",".join(names))) == 0
    shown = capsys.readouterr().out
    assert "toy train: 40 of 40 rows" in shown
    rows = rows_of(output)
    assert {(row["method"], row["seed"]) for row in rows} == {
        (name, seed) for name in names for seed in (0, 1)
    }
    for row in rows:
        method = METHODS[row["method"]]
        assert row["method"] in shown
        assert sum(map(sum, row["confusion"])) == row["test"]["rows"] == row["test_rows"] == 13
        right = sum(row["confusion"][i][i] for i in range(2))
        assert row["test"]["accuracy"] == pytest.approx(right / 13)
        assert row["validation"]["rows"] == 6
        assert [point["step"] for point in row["curve"]] == ([0, 2, 4] if method.is_trained else [])
        assert len(row["train_curve"]) == (4 if method.is_trained else 0)
        assert (row["parameters"] > 0) == method.is_trained
        shows = method.demonstrations or method.init == EXAMPLES
        assert (row["demonstrations"] or 0) == (6 if shows else 0)
        assert (row["adapter"] is not None) == (
            method.is_trained and method.trains in ("prompt", "kv", "lora")
        )
    by_method = {row["method"]: row for row in rows if row["seed"] == 1}
    assert by_method["unified_ppt"]["format"] == "unified"
    assert by_method["hybrid_ppt"]["init"].endswith("sentiment-hybrid/prompt")
    assert by_method["lora_ppt"]["init"].endswith("sentiment-lora/adapter")
    for untouched in ("pretrained", "hybrid_pretrained", "unified_pretrained", "lora_pretrained"):
        own, tuned = by_method[untouched], by_method[untouched.replace("pretrained", "ppt")]
        assert own["init"] == tuned["init"]
        assert own["validation"]["loss"] == pytest.approx(tuned["curve"][0]["loss"], rel=1e-4)
    first = by_method["lora_ppt"]["curve"][0]["loss"]
    assert first != pytest.approx(by_method["lora"]["curve"][0]["loss"], rel=1e-3)
    assert by_method["ensemble_vote"]["parameters"] == 5 * by_method["prompt_tuning"]["parameters"]
    predictions = pd.read_parquet(output / "predictions.parquet")
    assert len(predictions) == 13 * len(rows)
    assert set(predictions.label) == {"good", "bad"}
    accuracy = predictions.groupby("run").correct.mean()
    assert all(accuracy[row["run"]] == pytest.approx(row["test"]["accuracy"]) for row in rows)
    assert predictions.text.str.contains("<X>").all()
    for name in ("results.md", "results.csv", "config.json", "plots"):
        assert (output / name).exists(), name
    prompt = output / by_method["ppt"]["adapter"]
    assert read_values(prompt, hidden_size=32).shape == (4, 32)
    assert read_card(prompt)["task"] == "toy"
    members = output / by_method["ensemble_mean"]["adapter"]
    first = read_values(members / "member-0")
    assert not torch.equal(first, read_values(members / "member-1"))
    alone = read_values(output / by_method["prompt_tuning"]["adapter"])
    assert torch.allclose(first, alone, atol=1e-3), "member 0 is the run alone"
    if model == "llama":
        assert by_method["hybrid_kv_ppt"]["init"].endswith("sentiment-hybrid-kv/prompt")
        assert by_method["kv_tuning"]["curve"][0]["loss"] == pytest.approx(
            by_method["prompt_tuning"]["curve"][0]["loss"], rel=1e-4
        ), "keys and values of the same vocabulary"
        begun = read_card(output / by_method["context_tuning"]["adapter"])
        assert begun["prompt_length"] > 60
        assert begun["num_layers"] == 3


def test_a_rerun_is_identical_and_a_restart_runs_nothing(place, tmp_path, monkeypatch):
    argv = {"methods": "zero_shot,prompt_tuning,lora,ensemble_vote", "grid": "0.01,0.05"}
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(flags(place, one, **argv)) == main(flags(place, two, **argv)) == 0
    assert without_time(rows_of(one)) == without_time(rows_of(two))
    frames = [pd.read_parquet(folder / "predictions.parquet") for folder in (one, two)]
    pd.testing.assert_frame_equal(*frames)
    before = (one / "results.jsonl").read_bytes()
    lines = before.decode().splitlines()
    assert [read_run(json.loads(line), line).line() for line in lines] == lines
    assert all([*json.loads(line)] == [field.name for field in fields(Run)] for line in lines)
    monkeypatch.setattr(
        "ppt.fewshot.bench.asked_backbone", lambda _: pytest.fail("nothing is left to run")
    )
    assert main(flags(place, one, **argv)) == 0
    assert (one / "results.jsonl").read_bytes() == before


def test_more_seeds_and_methods_add_to_what_is_there(place, tmp_path):
    output = tmp_path / "results"
    assert main(flags(place, output, methods="prompt_tuning", seeds=1)) == 0
    (old,) = rows_of(output)
    assert main(flags(place, output, methods="prompt_tuning,ppt", seeds=2, shots="6,8")) == 0
    rows = rows_of(output)
    assert rows[0] == old
    assert len(rows) == len({row["run"] for row in rows}) == 8


@pytest.mark.promise("kill")
def test_kill_9_in_a_grid_and_going_on_gives_the_rows_of_an_undisturbed_run(
    place, tmp_path, capsys
):
    changes = {"methods": "prompt_tuning,lora,ensemble_mean", "grid": "0.01,0.05",
               "seeds": 3, "side_by_side": 2}  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(flags(place, whole, **changes)) == 0
    reached = [0]
    for _ in range(2):
        process = forked(main, flags(place, cut, **changes))
        while process.is_alive() and count(cut) < reached[-1] + 2:
            time.sleep(0.01)
        process.kill()
        process.join()
        reached.append(count(cut))
    assert reached[0] < reached[1] < reached[2] < 18, "all must have been cut off"
    with (cut / "results.jsonl").open("ab") as file:
        file.write(b'{"run": "torn')
    capsys.readouterr()
    assert main(flags(place, cut, **changes)) == 0
    assert "note: The last line of results.jsonl was cut off" in capsys.readouterr().err
    assert without_time(rows_of(cut)) == without_time(rows_of(whole))
    frames = [pd.read_parquet(folder / "predictions.parquet") for folder in (cut, whole)]
    pd.testing.assert_frame_equal(*frames)


def count(folder):
    path = folder / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def test_selection_never_looks_at_the_test(place, tmp_path):
    """With every test label flipped, the same steps are chosen and the same prompts saved."""
    flipped = toy_task(tmp_path / "flipped", flip_test=True)
    changes = {"methods": "prompt_tuning,ensemble_vote", "grid": "0.01,0.3", "max_steps": 8}
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(flags(place, one, **changes)) == 0
    assert main(flags(place, two, task_file=flipped, **changes)) == 0
    for row, other in zip(rows_of(one), rows_of(two), strict=True):
        assert row["run"] != other["run"]
        assert row["test"]["accuracy"] == pytest.approx(1 - other["test"]["accuracy"])
        for name in ("validation", "curve", "train_curve", "best_step", "adapter"):
            assert row[name] == other[name]
    weights = [sorted(folder.glob("adapters/**/*.safetensors")) for folder in (one, two)]
    assert len(weights[0]) == 2 * 2 * 6
    for path, other in zip(*weights, strict=True):
        assert path.read_bytes() == other.read_bytes()


def test_without_methods_the_prompts_decide(place, tmp_path):
    assert main(flags(place, tmp_path / "all", seeds=1)) == 0
    methods = [row["method"] for row in rows_of(tmp_path / "all")]
    ppt = ["ppt", "hybrid_ppt", "unified_ppt", "kv_ppt", "hybrid_kv_ppt", "lora_ppt"]
    assert methods == ["zero_shot", "prompt_tuning", *ppt]
    one = place / "runs-llama" / "unified-soft"
    assert main(flags(place, tmp_path / "one", seeds=1, prompt=one)) == 0
    methods = [row["method"] for row in rows_of(tmp_path / "one")]
    assert methods == ["zero_shot", "prompt_tuning", "unified_ppt"]


def test_without_a_terminal_a_line_a_minute_tells_how_far_a_grid_is(
    place, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(terminal, "LINE_EVERY", 0.0)
    argv = flags(place, tmp_path, methods="prompt_tuning,ppt", max_steps=2, seeds=2)
    assert main(argv) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "runs done" in line]
    assert lines == [
        f"toy, {method}, 6 shots, step {step} of 2; {done} of 4 runs done"
        for method, done in (("prompt_tuning", 0), ("ppt", 2))
        for step in (1, 2)
    ]
    monkeypatch.setattr(terminal, "LINE_EVERY", 60.0)
    assert main(flags(place, tmp_path, methods="prompt_tuning", max_steps=2, seeds=3)) == 0
    assert "runs done" not in capsys.readouterr().err


def test_a_task_of_one_file_is_tested_on_the_rows_that_are_not_drawn(place, tmp_path):
    path = toy_task(tmp_path / "task")
    path.write_text(path.read_text().replace("test: test.jsonl\n", ""))
    argv = flags(place, tmp_path / "r", task_file=path, methods="zero_shot,prompt_tuning")
    assert main(argv) == 0
    assert {row["test_rows"] for row in rows_of(tmp_path / "r")} == {40 - 12}
    frame = pd.read_parquet(tmp_path / "r" / "predictions.parquet")
    tested = [set(frame[frame.seed == seed].id) for seed in (0, 1)]
    assert tested[0] != tested[1]


def test_bad_input_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    output = tmp_path / "r"
    other = tmp_path / "other"
    card = {"format": "sentiment", "style": "soft", "backbone": "gpt2"}
    save_prompt(other, torch.ones(4, 32), kind="causal", model="gpt2", card=card)
    wide = tmp_path / "wide"
    save_prompt(wide, torch.ones(4, 16), kind="causal", model="x", card={
        **card, "backbone": str(place / "llama")})  # fmt: skip
    misfit = tmp_path / "misfit"
    toy_adapter(misfit, save_tiny(tmp_path / "m", hidden_size=64), of=place / "llama")
    (tmp_path / "file").touch()
    again = toy_task(tmp_path / "again")
    cases = {
        "no task: give --tasks": {"task_file": None},
        "unknown task 'sst22'. Did you mean 'sst2'?": {"tasks": "sst22"},
        "two tasks are called 'toy'": {"task_file": f"{place / 'toy.yaml'},{again}"},
        "unknown method 'ptt'. Did you mean 'ppt'?": {"methods": "zero_shot,ptt"},
        "--shots: got '0', expected 1 or more": {"shots": 0},
        "--grid: got '0.1,x'": {"grid": "0.1,x"},
        "give one of them": {"grid": "0.1", "learning_rate": 0.2},
        "lower --shots to 14": {"shots": 30},
        "needs a prompt of format sentiment, style soft; got no --prompt: make one (python -m "
        "ppt.pretrain --format=sentiment)": {"methods": "ppt", "prompt": None},
        "--style=hybrid --output_dir=runs/sentiment-hybrid": {
            "methods": "hybrid_ppt", "prompt": place / "runs-llama" / "sentiment-soft"},
        "was trained for gpt2": {"methods": "ppt", "prompt": other},
        "there is no prompt in": {"prompt": tmp_path / "again"},
        "there is no folder": {"prompt": tmp_path / "nowhere"},
        "expected one of format sentence_pair or unified, got": {
            "prompt": place / "runs-llama/sentiment-soft", "task_file": None, "tasks": "rte",
            "data_dir": tmp_path / "pairs"},
        "give --task_file=mine.yaml": {"tasks": "sst2,mine.yaml"},
        "has hidden size 16, the backbone has 32": {"methods": "ppt", "prompt": wide},
        "--trains=lora --style=hard --output_dir=runs/sentiment-lora": {
            "methods": "lora_ppt", "prompt": place / "runs-llama" / "sentiment-soft"},
        "the LoRA adapter in": {"methods": "lora_ppt", "prompt": misfit},
        "several prompts fit": {"methods": "ppt", "prompt": f"{place / 'runs-llama'},{wide}"},
        "--max_length 600 and label words of up to": {"methods": "zero_shot", "max_length": 600},
        "a prompt of 3 tokens, --max_length 507": {"max_length": 507,
                                                      "methods": "prompt_tuning"},
        "raise --context_length": {"methods": "in_context", "context_length": 9},
        "is a file": {"output_dir": tmp_path / "file"},
        f"{tmp_path / 'file'} is a file": {"output_dir": tmp_path / "file" / "results"},
        "there is no model folder": {"model": "../nowhere/at/all",
                                         "methods": "zero_shot"},
        "holds no config.json of results": {"output_dir": place},
    }  # fmt: skip
    (tmp_path / "pairs" / "rte").mkdir(parents=True)
    for split in ("train", "validation"):
        rows = [{"premise": f"a {i} {split}", "hypothesis": "b", "label": i % 2} for i in range(40)]
        path = tmp_path / "pairs" / "rte" / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for message, change in cases.items():
        model = change.pop("model", place / "llama")
        argv = [*flags(place, output, **change), f"--model={model}"]
        assert message in fails(capsys, argv), message
    assert not output.exists(), "a refusal leaves nothing"


def test_results_of_other_flags_or_prompts_are_not_mixed(place, tmp_path, capsys):
    output, prompt = tmp_path / "r", tmp_path / "prompt"
    card = {"format": "sentiment", "style": "soft", "backbone": str(place / "llama")}
    known = {"kind": "causal", "model": "m", "card": card}
    save_prompt(prompt, torch.ones(4, 32), **known)
    argv = {"methods": "ppt", "prompt": prompt, "seeds": 1}
    assert main(flags(place, output, **argv)) == 0
    line = fails(capsys, flags(place, output, **argv, max_steps=6))
    assert "are of --max_steps 4, got 6" in line
    assert "or --overwrite_output_dir to begin anew" in line
    save_prompt(prompt, torch.zeros(4, 32), **known)
    line = fails(capsys, flags(place, output, **argv))
    assert "toy, ppt, 6 shots, seed 0 with another prompt" in line
    assert len(rows_of(output)) == 1
    (output / "results.jsonl").write_text("no json\n")
    assert "line 1: no JSON" in fails(capsys, flags(place, output, **argv))


def test_results_of_a_model_that_was_trained_on_meanwhile_are_not_mixed(place, tmp_path, capsys):
    output, model = tmp_path / "r", tmp_path / "model"
    shutil.copytree(place / "llama", model)
    argv = {"methods": "zero_shot", "prompt": None, "model": model}
    assert main(flags(place, output, **argv, seeds=1)) == 0
    assert main(flags(place, output, **argv, seeds=2)) == 0
    before = rows_of(output)
    weights = load_file(model / "model.safetensors")
    save_file({name: one + 0.5 for name, one in weights.items()}, model / "model.safetensors",
              {"format": "pt"})  # fmt: skip
    line = fails(capsys, flags(place, output, **argv, seeds=3))
    assert "of a model that had other weights, by the same name" in line
    assert rows_of(output) == before
    (output / MODEL).unlink()  # results of before it was noted are added to
    assert main(flags(place, output, **argv, seeds=3)) == 0
    assert len(rows_of(output)) == 3


def everything_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
        if path.is_file()
    }  # fmt: skip


def test_overwriting_begins_anew_and_leaves_nothing_of_before(place, tmp_path, capsys):
    output, prompt = tmp_path / "r", tmp_path / "prompt"
    card = {"format": "sentiment", "style": "soft", "backbone": str(place / "llama")}
    known = {"kind": "causal", "model": "m", "card": card}
    save_prompt(prompt, torch.ones(4, 32), **known)
    argv = {"methods": "ppt", "prompt": prompt, "seeds": 2, "overwrite_output_dir": "true"}
    assert main(flags(place, output, **argv)) == 0, "a script may always give it"
    assert report([str(output)]) == 0
    (output / "rejects").mkdir()
    (output / "rejects" / "old.jsonl").touch()
    (output / "notes.txt").write_text("mine")
    (first, _) = rows_of(output)
    for change in ("seeds", "max_steps", "prompt", "a broken line", "nothing"):
        if change == "seeds":
            argv["seeds"] = 1
        elif change == "max_steps":
            argv["max_steps"] = 2
        elif change == "prompt":
            save_prompt(prompt, torch.zeros(4, 32), **known)
        elif change == "a broken line":
            (output / "results.jsonl").write_text("no json\n")
        capsys.readouterr()
        assert main(flags(place, output, **argv)) == 0, change
        assert "1 runs, 0 of them finished before" in capsys.readouterr().out, change
        (row,) = rows_of(output)
        assert (row["run"] == first["run"]) == (change == "seeds")
        left = {name for name in everything_in(output) if not name.startswith(("plots", "adapt"))}
        assert left == {
            "config.json", "model.sha256", "results.jsonl", "results.md", "results.csv",
            "predictions.parquet",
            f"predictions/{row['run']}.parquet", "notes.txt",
        }, change  # fmt: skip
        assert len(list((output / "adapters" / "toy" / "ppt").iterdir())) == 1
    assert len(pd.read_parquet(output / "predictions.parquet")) == 13
    GRID.clear(output)
    assert list(everything_in(output)) == ["notes.txt"], "all that a grid leaves is known"


def test_overwriting_goes_on_where_this_very_grid_was_interrupted(place, tmp_path, capsys):
    output, argv = tmp_path / "r", {"methods": "zero_shot,prompt_tuning", "seeds": 1}
    assert main(flags(place, output, **{**argv, "methods": "zero_shot"})) == 0
    capsys.readouterr()
    assert main([*flags(place, output, **argv), "--overwrite_output_dir"]) == 0
    assert "2 runs, 1 of them finished before" in capsys.readouterr().out


def test_overwriting_takes_away_nothing_before_all_is_checked(place, tmp_path, capsys):
    output, argv = tmp_path / "r", {"methods": "ppt", "seeds": 1, "overwrite_output_dir": "true"}
    assert main(flags(place, output, **argv)) == 0
    before = everything_in(output)
    for change in ({"methods": "ptt"}, {"shots": 99}, {"max_length": 600}, {"prompt": tmp_path}):
        fails(capsys, flags(place, output, **{**argv, **change}))
        assert everything_in(output) == before
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("config.json", "results.jsonl"):
        (theirs / name).write_text('{"model_type": "llama"}')
    before = everything_in(theirs)
    assert "unknown key model_type" in fails(capsys, flags(place, theirs, **argv))
    (theirs / "config.json").unlink()
    assert "holds no config.json of results" in fails(capsys, flags(place, theirs, **argv))
    assert everything_in(theirs).items() <= before.items()


def test_help_lists_the_methods_with_their_rates(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for name, method in METHODS.items():
        assert f"{name} " in shown
        assert method.summary in shown


def test_two_tasks_of_one_name_are_refused_from_python_too(place):
    task = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    with pytest.raises(ppt.ConfigError, match="two tasks are called 'toy'"):
        ppt.tune([task, task], backbone)
    with pytest.raises(ppt.ConfigError, match="got prompt as a setting"):
        ppt.tune(task, backbone, prompt="runs/")


def test_each_member_of_an_ensemble_has_a_card_of_its_own(place, tmp_path):
    task = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    given = {"methods": "ensemble_mean", "seeds": 1, "shots": 6, "max_steps": 6, "eval_steps": 1,
             "max_length": 60, "prompt_length": 3}  # fmt: skip
    view = TaskView.of(task, METHODS["ensemble_mean"], backbone, 60, None)
    rows = view.draw(6, 0).validation.tokens
    for folder in (None, tmp_path):
        found = ppt.tune(task, backbone, output_dir=folder, **given)
        prompts = found.prompts[found.runs[0].run]
        bank = PromptBank(backbone, [one.values() for one in prompts])
        scores = score_rows(bank, range(5), rows, np.tile(np.arange(6), (5, 1)), view.words,
                            loss="verbalizer", tokens_at_once=4096)  # fmt: skip
        for own, prompt in zip(scores, prompts, strict=True):
            loss = torch.nn.functional.cross_entropy(own, torch.tensor(rows.labels))
            assert prompt.card["validation"]["loss"] == pytest.approx(float(loss), rel=1e-4)


def test_python_in_memory_gives_the_rows_of_the_command(place, tmp_path):
    names = ["zero_shot", "prompt_tuning", "ppt"]
    assert main(flags(place, tmp_path / "r", methods=",".join(names))) == 0
    wanted = {row["run"]: row for row in without_time(rows_of(tmp_path / "r"))}
    task = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu", threads=1)
    settings = {"max_length": 60, "prompt_length": 3, "max_steps": 4, "eval_steps": 2,
                "per_device_train_batch_size": 4}  # fmt: skip
    prompts = [place / "runs-llama" / "sentiment-soft"]
    found = ppt.tune(task, backbone, methods=names, prompts=prompts, shots=6, seeds=2, **settings)
    assert len(found.runs) == len(wanted) == 6
    for run in found.runs:
        one = without_time([json.loads(run.line())])[0]
        known = wanted[run.run]
        for name in ("adapter", "init"):  # where it lies, and how its place was spelt
            one.pop(name), known.pop(name)
        assert one == known
    folder = tmp_path / "r" / "adapters" / "toy" / "ppt" / "shots-6-seed-0-lr-0.002"
    run = next(run for run in found.runs if (run.method, run.seed) == ("ppt", 0))
    assert torch.equal(found.prompts[run.run][0].values(), read_values(folder))
    again = ppt.tune(task, backbone, methods=names, prompts=prompts, shots=6, seeds=2,
                     output_dir=tmp_path / "r", **settings)  # fmt: skip
    assert [run.run for run in again.runs] == [run.run for run in found.runs]
    assert torch.equal(again.prompts[run.run][0].values(), read_values(folder))
    shutil.rmtree(tmp_path / "r" / "adapters")  # to save space; the results are there
    cleared = ppt.tune(task, backbone, methods=names, prompts=prompts, shots=6, seeds=2,
                       output_dir=tmp_path / "r", **settings)  # fmt: skip
    assert (cleared.runs, cleared.prompts) == (again.runs, {})


def test_what_is_left_as_it_began_is_tested_once_a_grid(place, monkeypatch):
    scored = []

    def counted(trainable, which, rows, chosen, *rest, **given):
        scored.append(np.shape(chosen))
        return score_rows(trainable, which, rows, chosen, *rest, **given)

    monkeypatch.setattr("ppt.fewshot.banks.score_rows", counted)
    task = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    prompts = [place / "runs-llama" / f"sentiment-{kind}" for kind in ("soft", "hybrid", "lora")]
    given = {"prompts": prompts, "seeds": 2, "max_steps": 2, "eval_steps": 1, "max_length": 60}
    names = ["zero_shot", "pretrained", "ppt", "hybrid_ppt", "lora_pretrained", "lora_ppt"]
    found = ppt.tune(task, backbone, methods=names, shots=[6, 8], learning_rate=1e-9, **given)
    assert {one.best_step for one in found.runs} == {0}
    assert scored == [(1, 13)] * len(names), "for two numbers of examples and two seeds"
    test = {one.method: one.test for one in found.runs}
    assert test["ppt"].accuracy == test["pretrained"].accuracy
    assert test["lora_ppt"].accuracy == test["lora_pretrained"].accuracy
    assert test["ppt"].loss != test["hybrid_ppt"].loss != test["zero_shot"].loss
    scored.clear()
    vocabulary = {"methods": ["prompt_tuning"], "shots": 6, "learning_rate": 1e-9}
    ppt.tune(task, backbone, **vocabulary, **given)
    assert sum(lanes for lanes, _ in scored) == 2, "each seed begins elsewhere"
