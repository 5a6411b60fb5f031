"""Packages that only some features need: where they are missing, and what is then said."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ppt.base import extras
from ppt.base.extras import EXTRAS, PACKAGE, is_there, left_out, need
from ppt.errors import ConfigError
from tests.few import toy_place
from tests.toys import toy_corpus

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MISSING = (
    "apache_beam", "nltk", "datasets", "matplotlib", "tensorboard", "gguf", "vaderSentiment",
    "zstandard", "accelerate",
)  # fmt: skip

WITHOUT = f"""
import sys
for name in {MISSING}: sys.modules[name] = None
import ppt.{{module}} as command
sys.exit(command.main(sys.argv[1:]))
"""


def without(module, *argv, expect=0):
    """What a command says where `MISSING` cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module), *map(str, argv)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == expect, done.stderr
    return done


def test_ppt_trains_and_tunes_where_beam_nltk_datasets_and_plots_are_missing(tmp_path):
    place = toy_place(tmp_path)
    corpus, run, results = toy_corpus(place / "sentiment"), place / "run", place / "results"
    tiny = (f"--model={place / 'llama'}", "--max_steps=2", "--device=cpu", "--prompt_length=4")
    argv = ("--format=sentiment", f"--corpus={corpus}", f"--output_dir={run}", *tiny,
            "--max_length=56")  # fmt: skip
    said = without("pretrain", *argv).stderr
    for what, extra in (("tensorboard/", "tensorboard"), ("loss.png", "plots")):
        assert len(re.findall(f"note: {what} is left out.*\\[{extra}\\]'\n", said)) == 1, said
    assert json.loads((run / "result.json").read_text())["steps"] == 2
    assert json.loads((run / "config.json").read_text())["tensorboard"] is None
    assert "loss.png" not in (run / "README.md").read_text()
    assert not (run / "tensorboard").exists()
    said = without("pretrain", *argv, "--overwrite_output_dir", "--tensorboard", expect=2).stderr
    cure = f"pip install '{PACKAGE}[tensorboard]'"
    assert said == f"error: --tensorboard=true needs tensorboard: {cure}.\n"
    few = (f"--task_file={place / 'toy.yaml'}", f"--prompt={run}", *tiny, "--max_length=96",
           "--shots=4", "--seeds=1", f"--output_dir={results}")  # fmt: skip
    said = without("fewshot.__main__", *few).stderr
    assert said.count(f"There are no plots, as matplotlib is missing: pip install '{PACKAGE}") == 1
    assert len((results / "results.jsonl").read_text().splitlines()) == 3
    assert "| ppt |" in (results / "results.md").read_text()
    assert not (results / "plots").exists()
    said = without("report", results).stderr
    assert "[plots]" in said
    page = (results / "report.html").read_text()
    assert "There are no plots" in page
    assert "Box plots" not in page
    without("inspect", corpus)


def test_extras_are_those_of_the_project():
    optional = PROJECT["optional-dependencies"]
    for module, extra in EXTRAS.items():
        assert [re.split("[><=]", name)[0] for name in optional[extra]] == [
            module.replace("_", "-")
        ]
    own = set(EXTRAS.values())
    assert optional["all"] == [f"{PACKAGE}[{','.join(sorted(own))}]"]
    assert set(optional) == own | {"all", "gcp", "test"}
    assert PROJECT["name"] == PACKAGE
    hard = {re.split("[><=]", name)[0] for name in PROJECT["dependencies"]}
    assert not hard & set(EXTRAS)


def test_what_is_missing_is_told_with_its_cure(monkeypatch, capsys):
    assert is_there("json")
    assert not is_there("no_such_module")
    assert not is_there("no_such_package.module")
    assert not left_out("json", "x")
    need("json", "x")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(extras, "is_there", lambda _: False)
    with pytest.raises(ConfigError, match=r"^method lora needs peft: pip install '.*\[peft\]'\.$"):
        need("peft", "method lora")
    assert left_out("duckdb", "a view")
    said = capsys.readouterr().err
    assert said == "note: a view is left out, as duckdb is missing: pip install duckdb\n"


def test_lora_several_processes_and_the_embedded_backbone_name_their_extras(monkeypatch, tmp_path):
    from ppt.backbones.sources import DEFAULT_MODEL, EMBEDDED, embedded_folder
    from ppt.training.processes import join
    from ppt.training.trainables import lora

    monkeypatch.setattr(extras, "is_there", lambda _: False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"several processes needs accelerate: .*\[multi-gpu\]"):
        join()
    with pytest.raises(ConfigError, match=r"\[peft\]"), lora(None, 0):
        pass
    monkeypatch.setenv("PPT_CACHE", str(tmp_path))
    monkeypatch.setattr(type(EMBEDDED[DEFAULT_MODEL]), "weights", lambda _: tmp_path)
    with pytest.raises(ConfigError, match=r"needs gguf: .*\[gguf\]"):
        embedded_folder(DEFAULT_MODEL)
