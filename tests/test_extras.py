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

END = "----"
WITHOUT = f"""
import importlib, json, sys
for name in {MISSING}: sys.modules[name] = None
for module, argv in json.loads(sys.argv[1]):
    print(importlib.import_module("ppt." + module).main(argv), file=sys.stderr)
    print("{END}", file=sys.stderr)
"""


def without(*commands):
    """What each command says to its standard error where `MISSING` cannot be imported.

    They run in one process; the last line of each is its exit code.
    """
    given = json.dumps([(module, list(map(str, argv))) for module, *argv in commands])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, given],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *told, last = done.stderr.split(f"{END}\n")
    assert last == ""
    return told


def test_ppt_trains_and_tunes_where_beam_nltk_datasets_and_plots_are_missing(tmp_path):
    place = toy_place(tmp_path)
    corpus, run, results = toy_corpus(place / "sentiment"), place / "run", place / "results"
    tiny = (f"--model={place / 'llama'}", "--max_steps=2", "--device=cpu", "--prompt_length=4")
    argv = ("--format=sentiment", f"--corpus={corpus}", f"--output_dir={run}", *tiny,
            "--max_length=56")  # fmt: skip
    few = (f"--task_file={place / 'toy.yaml'}", f"--prompt={run}", *tiny, "--max_length=96",
           "--shots=4", "--seeds=1", f"--output_dir={results}")  # fmt: skip
    trained, refused, tuned, reported, looked = without(
        ("pretrain", *argv),
        ("pretrain", *argv, "--overwrite_output_dir", "--tensorboard"),
        ("fewshot.__main__", *few),
        ("report", results),
        ("inspect", corpus),
    )
    assert trained.endswith("\n0\n"), trained
    for what, extra in (("tensorboard/", "tensorboard"), ("loss.png", "plots")):
        told = re.findall(f"note: {what} is left out.*\\[{extra}\\]'\n", trained)
        assert len(told) == 1, trained
    assert json.loads((run / "result.json").read_text())["steps"] == 2
    assert json.loads((run / "config.json").read_text())["tensorboard"] is None
    assert "loss.png" not in (run / "README.md").read_text()
    assert not (run / "tensorboard").exists()
    cure = f"pip install '{PACKAGE}[tensorboard]'"
    assert refused == f"error: --tensorboard=true needs tensorboard: {cure}.\n2\n"
    assert tuned.endswith("\n0\n"), tuned
    assert tuned.count(f"There are no plots, as matplotlib is missing: pip install '{PACKAGE}") == 1
    assert len((results / "results.jsonl").read_text().splitlines()) == 3
    assert "| ppt |" in (results / "results.md").read_text()
    assert not (results / "plots").exists()
    assert reported.endswith("\n0\n"), reported
    assert "[plots]" in reported
    page = (results / "report.html").read_text()
    assert "There are no plots" in page
    assert "Box plots" not in page
    assert looked.endswith("\n0\n"), looked
    assert looked.startswith("note: histograms.png is left out")


def test_extras_are_those_of_the_project():
    optional = PROJECT["optional-dependencies"]
    gcp = {module for module, extra in EXTRAS.items() if extra == "gcp"}  # which Beam brings
    assert optional["gcp"][0].startswith("apache-beam[gcp]")
    for module, extra in EXTRAS.items() - dict.fromkeys(gcp, "gcp").items():
        assert [re.split("[><=]", name)[0] for name in optional[extra]] == [
            module.replace("_", "-")
        ]
    own = set(EXTRAS.values()) - {"gcp"}
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
