"""Runs of other data, prompts or backbones never stand in one table; Python's face of grids."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import ppt
from ppt.errors import ConfigError, CorpusError, InputError, UnknownNameError
from ppt.fewshot.__main__ import main
from ppt.results.figures import save_plots
from ppt.results.report import read_results
from ppt.tasks.spec import Columns, Files, Label, Rows, Task, letters
from tests.few import CONTEXT, toy_adapter, toy_place, toy_task
from tests.tiny import save_tiny
from tests.toys import toy_corpus

FAST = {"shots": 4, "seeds": 1, "max_steps": 2, "eval_steps": 1, "max_length": 60}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return toy_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def llama(place):
    return ppt.load_backbone(str(place / "llama"), device="cpu")


def grid(place, task, output, **changes):
    usual = {**FAST, "task_file": task, "model": place / "llama", "output_dir": output,
             "device": "cpu", "threads": 1}  # fmt: skip
    return main([f"--{name}={value}" for name, value in {**usual, **changes}.items()])


def test_changed_data_are_met_by_other_seeds_and_methods(place, tmp_path, capsys):
    task, output = toy_task(tmp_path / "data"), tmp_path / "r"
    assert grid(place, task, output, methods="zero_shot") == 0
    assert grid(place, task, output, methods="zero_shot", seeds="3,") == 0
    data = tmp_path / "data" / "train.jsonl"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[3:]))
    capsys.readouterr()
    for changes in ({"methods": "zero_shot", "seeds": "7,"}, {"methods": "prompt_tuning"}):
        assert grid(place, task, output, **changes) == 2
        told = capsys.readouterr().err
        assert "has toy, zero_shot, 4 shots, seed 0 with another prompt, data or program" in told
    assert len(read_results(output).runs) == 2


def test_a_prompt_is_known_by_its_weights_not_by_its_path(place, tmp_path, monkeypatch, capsys):
    source, output = place / "runs-llama" / "sentiment-soft" / "prompt", tmp_path / "r"
    prompt = tmp_path / "prompt"
    prompt.mkdir()
    for file in source.iterdir():
        (prompt / file.name).write_bytes(file.read_bytes())
    known = place, place / "toy.yaml", output
    assert grid(*known, methods="ppt", learning_rate=0.001, prompt=prompt) == 0
    monkeypatch.chdir(tmp_path)
    assert grid(*known, methods="ppt", learning_rate=0.002, prompt="prompt") == 0
    (note,) = (one for one in read_results(output).notes if "places" in one)
    assert note.startswith("Runs of ppt on toy begin with prompts at 2 places (")
    assert note.endswith("prompt): compare them only if that is one prompt.")
    weights = prompt / "adapter_model.safetensors"
    save_file({name: 2 * one for name, one in load_file(weights).items()}, weights)
    capsys.readouterr()
    assert grid(*known, methods="ppt", learning_rate=0.004, prompt=prompt) == 2
    assert "has toy, ppt, 4 shots, seed 0 with another prompt" in capsys.readouterr().err
    assert grid(*known, methods="zero_shot") == 0
    assert len(read_results(output).runs) == 3


def test_results_of_another_target_or_precision_are_not_taken_for_this_ones(place, tmp_path):
    task = ppt.load_task(place / "toy.yaml")
    known = {**FAST, "methods": "zero_shot"}
    for name, values, model in (
        ("target", ("cloze", "word"), "t5"),
        ("dtype", ("float32", "bfloat16"), "llama"),
    ):
        folder, losses = tmp_path / name, []
        for value in values:
            backbone = ppt.load_backbone(str(place / model), device="cpu", **{name: value})
            losses.append(ppt.tune(task, backbone, **known).runs[0].test.loss)
            if value == values[0]:
                first = ppt.tune(task, backbone, output_dir=folder, **known).runs[0]
                assert first.test.loss == losses[0]
        assert losses[0] != losses[1]
        with pytest.raises(ConfigError, match=f"are of --{name} "):
            ppt.tune(task, backbone, output_dir=folder, **known)
        with pytest.raises(ConfigError, match=rf"{name}: got '{values[0]}', but the backbone has"):
            ppt.tune(task, backbone, **{name: values[0]}, **known)
        assert ppt.tune(task, backbone, **{name: values[1]}, **known).runs[0].test.loss == losses[1]


@pytest.mark.parametrize(
    ("seeds", "found"),
    [("2", [0, 1]), ("0,3", [0, 3]), (np.int64(2), [0, 1]), (np.array([1, 4]), [1, 4])],
)
def test_seeds_are_those_of_the_flag_however_they_are_given(place, llama, seeds, found):
    task = ppt.load_task(place / "toy.yaml")
    known = {**FAST, "methods": "zero_shot", "seeds": seeds, "shots": np.int64(4)}
    assert [run.seed for run in ppt.tune(task, llama, prompts=None, **known).runs] == found


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_runs_are_the_same_whatever_pytorch_is_set_to(place, tmp_path, kind):
    def losses():
        llama = ppt.load_backbone(str(place / "llama"), device="cpu")
        task, corpus = ppt.load_task(place / "toy.yaml"), tmp_path / "corpus"
        names = ["prompt_tuning_random", "hybrid_prompt_tuning", "ensemble_mean"]
        runs = ppt.tune(task, llama, methods=names, **FAST).runs
        known = {"max_steps": 2, "eval_steps": 1, "prompt_length": 4, "max_length": 48}
        made = ppt.train_prompt(corpus, llama, **known)
        return [run.test.loss for run in runs], made.best.loss, made.prompt.values().tolist()

    toy_corpus(tmp_path / "corpus")
    usual = losses()
    torch.set_default_dtype(kind)
    try:
        with torch.inference_mode():
            assert losses() == usual
        assert torch.get_default_dtype() == kind
    finally:
        torch.set_default_dtype(torch.float32)


def test_prompts_that_were_trained_for_other_weights_are_told(place, tmp_path):
    task, corpus = ppt.load_task(place / "toy.yaml"), toy_corpus(tmp_path / "corpus")
    model, run = tmp_path / "model", tmp_path / "run"

    def notes(prompt, *methods):
        llama = ppt.load_backbone(model, device="cpu")
        found = ppt.tune(task, llama, methods=methods, prompts=prompt, sources=prompt, **FAST)
        return [one for one in found.notes if "was trained for" in one]

    llama = ppt.load_backbone(save_tiny(model, **CONTEXT), device="cpu")
    known = {"max_steps": 1, "prompt_length": 4, "max_length": 48, "tensorboard": False}
    ppt.train_prompt(corpus, llama, output_dir=run, **known)
    assert notes(run, "ppt", "spot:run") == []
    save_tiny(model, seed=1, **CONTEXT)
    told = [f"{run / 'prompt'} was trained for {model} when its weights were others."]
    for methods in (["ppt"], ["spot:run"], ["ppt", "spot:run"]):
        assert notes(run, *methods) == told
    (run / "prompt" / "prompt.json").unlink()  # as PEFT leaves it
    assert notes(run, "ppt") == []
    config = run / "prompt" / "adapter_config.json"
    values = {**json.loads(config.read_text()), "base_model_name_or_path": "an/other"}
    config.write_text(json.dumps(values))
    (line,) = notes(ppt.load_prompt(run), "ppt")
    assert line.endswith(f"was trained for an/other, by its {config.name}, not for {model}.")


def test_lora_adapters_in_folders_serve_from_python_too(place, llama, tmp_path):
    task, runs = ppt.load_task(place / "toy.yaml"), place / "runs-llama"
    known = {**FAST, "methods": ["lora_ppt", "ppt"]}
    found = ppt.tune(task, llama, prompts=runs, **known)
    assert [run.init for run in found.runs] == [
        f"checkpoint:{runs / 'sentiment-lora' / 'adapter'}",
        f"checkpoint:{runs / 'sentiment-soft' / 'prompt'}",
    ]
    for name, value in {
        "use_rslora": True, "alpha_pattern": {"q_proj": 32}, "init_lora_weights": "pissa_niter_4",
        "r": 4, "alora_invocation_tokens": [7], "of_a_release_to_come": "on",
    }.items():  # fmt: skip
        toy_adapter(tmp_path / name, place / "llama")
        config = tmp_path / name / "adapter_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), name: value}))
        with pytest.raises(InputError, match=f"fit the backbone, {name} .*: expected rank 8 and"):
            ppt.tune(task, llama, prompts=tmp_path / name, **{**known, "methods": "lora_ppt"})


def test_what_is_no_task_backbone_or_rows_is_told_in_one_line(llama):
    rows = [{"text": f"row {i}", "label": np.bool_(i % 2)} for i in range(12)]
    labels = (Label(False, "sad", "bad"), Label(True, "glad", "good"))
    task = Task("a", "sentiment", labels, Columns("text"), Rows(rows))
    data = ppt.load_task(task)
    assert [row["label"] for row in data.train] == [0, 1] * 6
    assert Files("a/b.csv", "c.csv") == Files(Path("a/b.csv"), Path("c.csv"))
    for call, words in (
        (lambda: ppt.tune("sst2", llama), r"tasks: got 'sst2', expected what ppt\.load_task"),
        (lambda: ppt.tune(task, llama), r"tasks: got Task\(name='a'"),
        (lambda: ppt.tune(data, "smollm2-135m"), "backbone: got 'smollm2-135m', expected"),
        (lambda: ppt.tune(data, llama, prompts=np.ones(4)), "prompts: got a float64, expected p"),
        (lambda: ppt.train_prompt("a", llama, format="lm", dtype="bfloat16"), "dtype: got 'bfl"),
        (lambda: save_plots("plots", (), "exe"), "unknown suffix 'exe'. Known: png, svg"),
        (lambda: ppt.load_task([task]), r"task: got \[Task"),
        (lambda: Task("a", "topic", labels, Columns("text"), rows), r"source: got \[\{"),
        (lambda: Label("a", "a", 5), "label 'a': word: got 5, expected text"),
        (lambda: replace(task, labels={"0": "bad"}), r"labels: got \{'0': 'bad'\}, expected a tup"),
        (lambda: replace(task, labels={*labels}), r"labels: got \{Label\("),
        (lambda: replace(task, labels=("bad", "good")), r"labels: got 'bad', expected Label\("),
        (lambda: replace(task, columns="text"), "columns: got 'text', expected Columns"),
        (lambda: replace(task, patterns={"suffix": None}), "pattern suffix: got None, expected"),
        (lambda: Columns(("text", 1)), "columns: text_a: got 1, expected the name of a column"),
        (lambda: Columns("text", label=None), "columns: label: got None, expected the name"),
        (lambda: letters(-1), "letters: got -1, expected 2 to 16"),
        (lambda: letters("4"), "letters: got '4', expected 2 to 16"),
    ):
        with pytest.raises((ConfigError, UnknownNameError), match=words):
            call()
    for wrong in (["text"], [("a", 0)], [{0: "a"}], None, 5):
        with pytest.raises(InputError, match=r"row 0: got .*, expected a mapping by the names"):
            ppt.load_task(Task("a", "sentiment", labels, Columns("text"), Rows(wrong)))


def test_an_empty_path_is_not_the_folder_at_hand(place, llama, monkeypatch):
    task = ppt.load_task(place / "toy.yaml")
    monkeypatch.chdir(place / "runs-llama" / "sentiment-soft" / "prompt")
    for read in (
        lambda: ppt.load_prompt(""),
        lambda: ppt.read_results(""),
        lambda: ppt.open_corpus(""),
        lambda: ppt.load_task("sst2", data_dir=""),
        lambda: ppt.tune(task, llama, methods="ppt", prompts="", **FAST),
        lambda: ppt.tune(task, llama, methods="spot:all", sources=[""], **FAST),
    ):
        with pytest.raises(InputError, match="got '', expected a path"):
            read()
    for read in (
        ppt.load_prompt, ppt.read_results, ppt.open_corpus,
        lambda path: ppt.load_task("sst2", data_dir=path),
        lambda path: ppt.tune(task, llama, output_dir=path, **FAST), ppt.load_classifier,
    ):  # fmt: skip
        for odd in (5, "\0", "\ud800", "a" * 300):
            with pytest.raises((InputError, ConfigError), match=r"got .*, expected (a path|text)"):
                read(odd)
    for call in (lambda: ppt.tune(task, llama.model, **FAST), lambda: ppt.load_task(llama.model)):
        with pytest.raises(ConfigError, match=r"got LlamaForCausalLM\(\\n") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert ppt.load_prompt(".").values().shape == (4, 32)


def test_what_a_prompt_is_trained_on_and_for_is_what_was_given(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    llama = ppt.load_backbone(place / "llama", device="cpu")
    corpus = ppt.open_corpus(toy_corpus(tmp_path / "unified", "unified"))
    known = {"max_steps": 1, "max_length": 60, "threads": torch.get_num_threads(), "device": "cpu"}
    made = ppt.train_prompt(corpus, llama, format="unified", model=str(place / "llama"), **known)
    assert made.prompt.card["backbone"] == str(place / "llama")
    made.prompt.values().zero_()  # is theirs who asked
    assert made.prompt.values().any()
    for wrong, words in (
        ({"format": "multiple_choice"}, "is a unified corpus, expected multiple_choice"),
        ({"model": "gpt2"}, "model: got 'gpt2', but the backbone has"),
        ({"device": "cuda"}, "device: got 'cuda', but the backbone has cpu"),
        ({"threads": 1000}, "threads: got 1000, but the backbone has"),
        ({"progress": True}, "unknown progress 'True'. Known: bar, lines, none"),
        ({"output_dir": ""}, "--output_dir: got '', expected text"),
        ({"output_dir": "a\0b"}, r"--output_dir: got 'a\\x00b', expected text"),
    ):
        with pytest.raises(ppt.PPTError, match=words):
            ppt.train_prompt(corpus, llama, **{**known, **wrong})
    (shard,) = corpus.folder.glob("train*")
    data = shard.read_bytes()
    shard.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    with pytest.raises(CorpusError, match="sha256"):
        ppt.train_prompt(corpus, llama, verify="full", **known)
    with pytest.raises(ConfigError, match="threads: got 0, expected a whole number above 0"):
        ppt.load_backbone(place / "llama", threads=0)


def test_texts_that_are_cut_are_told(place, llama, tmp_path, capsys):
    task = ppt.load_task(place / "toy.yaml")
    known = {**FAST, "methods": ["zero_shot", "prompt_tuning"]}
    lengths = [len(llama.tokenizer(row["text_a"]).input_ids) for row in task.test]
    told = "test texts of toy are cut to {} tokens (--max_length)."
    short, long = min(lengths) + 50, max(lengths) + 50  # the hard words take 50
    (note,) = ppt.tune(task, llama, **{**known, "max_length": short}).notes
    assert note.endswith(told.format(short))
    assert 0 < int(note.split()[0]) < len(lengths)
    assert ppt.tune(task, llama, **{**known, "max_length": long}).notes == ()
    assert grid(place, place / "toy.yaml", tmp_path, methods="zero_shot", max_length=short) == 0
    assert f"note: {note}" in capsys.readouterr().err


def test_rows_that_have_been_mended_are_no_rejects_any_more(place, tmp_path):
    task, output = toy_task(tmp_path / "data"), tmp_path / "r"
    data, rejects = tmp_path / "data" / "train.jsonl", output / "rejects" / "toy.jsonl"
    whole = data.read_text()
    data.write_text(whole + "no JSON\n")
    assert grid(place, task, output, methods="zero_shot") == 0
    assert json.loads(rejects.read_text())["reason"] == "broken_line"
    data.write_text(whole)
    assert grid(place, task, output, methods="zero_shot", seeds=2) == 0
    assert not rejects.exists()
    assert len(read_results(output).runs) == 2
