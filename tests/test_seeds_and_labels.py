"""Seeds by number or by name, in all ways in; and what reports call labels."""

import json

import pandas as pd
import pytest

import ppt
from ppt.base.flags import from_json, parse, to_json
from ppt.errors import ConfigError
from ppt.fewshot.__main__ import main
from ppt.fewshot.running import Grid
from ppt.fewshot.settings import FewshotConfig
from tests.few import toy_place
from tests.tiny import tiny


def seeds_of(text):
    argv = ["--tasks=sst2", f"--seeds={text}"]
    return parse(FewshotConfig, argv, prog="fewshot", description="").seed_numbers


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", [0, 1, 2, 3, 4]), ("1", [0]), ("0,3", [0, 3]), ("3,0,3", [3, 0]), ("7,", [7]),
     (" 1 , 2147483647", [1, 2147483647])],
)  # fmt: skip
def test_a_number_counts_seeds_and_a_comma_names_them(text, seeds):
    assert seeds_of(text) == seeds


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "1.5", "0,-1", "0,x", ",", "2147483648,", "10001", "9" * 400]
)
def test_other_seeds_are_one_error(text):
    with pytest.raises(ConfigError, match=r"^--seeds: got '.*expected .*number"):
        seeds_of(text)
    with pytest.raises(ConfigError, match="--seeds: got True, expected text"):
        FewshotConfig(tasks="sst2", seeds=True)


def test_folders_of_before_have_a_number_and_are_read_as_such():
    old = to_json(FewshotConfig(tasks="sst2")).replace('"seeds": "5"', '"seeds": 3')
    assert json.loads(old)["seeds"] == 3
    config = from_json(FewshotConfig, old)
    assert config == FewshotConfig(tasks="sst2", seeds=3) == FewshotConfig(tasks="sst2", seeds="3")
    assert config.seed_numbers == [0, 1, 2]
    named = FewshotConfig(tasks="sst2", seeds="0,3")
    assert from_json(FewshotConfig, to_json(named)) == named


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return toy_place(tmp_path_factory.mktemp("place"))


FLAGS = {"shots": "6", "max_steps": 2, "eval_steps": 2, "max_length": 60, "prompt_length": 4}


def test_named_seeds_add_to_a_folder_of_before_and_equal_counted_ones(place, tmp_path):
    argv = [f"--{name}={value}" for name, value in FLAGS.items()]
    argv += [f"--task_file={place / 'toy.yaml'}", f"--model={place / 'llama'}"]
    argv += ["--methods=prompt_tuning", "--threads=1"]
    few, many = tmp_path / "few", tmp_path / "many"
    assert main([*argv, f"--output_dir={few}", "--seeds=1"]) == 0
    config = few / "config.json"
    config.write_text(config.read_text().replace('"seeds": "1"', '"seeds": 1'))
    assert main([*argv, f"--output_dir={few}", "--seeds=0,3"]) == 0
    assert main([*argv, f"--output_dir={many}", "--seeds=4"]) == 0
    runs = {run.run: run for run in ppt.read_results(many).runs}
    added = ppt.read_results(few).runs
    assert [run.seed for run in added] == [0, 3]
    for run in added:
        assert run.test.accuracy == runs[run.run].test.accuracy


def test_tune_takes_a_number_or_seeds(place):
    task = ppt.load_task(place / "toy.yaml")
    for seeds, expected in ((1, [0]), ([0, 3], [0, 3]), ([3], [3]), (range(2), [0, 1])):
        result = ppt.tune(task, tiny("llama"), methods=["zero_shot"], seeds=seeds, shots=4,
                          max_length=60)  # fmt: skip
        assert [run.seed for run in result.runs] == expected
    with pytest.raises(ConfigError, match="--seeds"):
        ppt.tune(task, tiny("llama"), seeds=[])


def test_reports_show_words_where_labels_have_no_names(place, tmp_path):
    yaml = (place / "toy.yaml").read_text()
    rows = (place / "train.jsonl").read_text()
    (place / "raw.jsonl").write_text(rows.replace('"bad"', "0").replace('"good"', "1"))
    yaml = yaml.replace("train.jsonl", "raw.jsonl").replace("test: test.jsonl\n", "")
    (place / "raw.yaml").write_text(yaml.replace("  bad: bad\n  good: good", "  0: bad\n  1: good"))
    argv = [f"--{name}={value}" for name, value in FLAGS.items()]
    argv += [f"--task_file={place / 'raw.yaml'}", f"--model={place / 'llama'}", "--seeds=1"]
    assert main([*argv, "--methods=zero_shot", f"--output_dir={tmp_path}"]) == 0
    (run,) = ppt.read_results(tmp_path).runs
    assert run.labels == ("bad", "good")
    assert {*pd.read_parquet(tmp_path / "predictions.parquet").label} == {"bad", "good"}


def test_a_plan_has_the_seeds_that_are_named(place):
    task = ppt.load_task(place / "toy.yaml")
    config = FewshotConfig(tasks="toy", seeds="3,1")
    trials = Grid(config, {"toy": task}, {("toy", "zero_shot"): None}).trials
    assert [one.seed for one in trials] == [3, 1]
