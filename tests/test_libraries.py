"""Libraries and results that others filled, or that were cut off: told, and never mixed up."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import ppt
from ppt.base.files import SCRATCH, owner
from ppt.base.output_folder import locked
from ppt.errors import ConfigError, InputError
from ppt.fewshot.__main__ import main
from ppt.fewshot.shelving import mixture_name
from ppt.prompts.early import EARLY, read_early, save_early
from ppt.prompts.files import Prompt, read_card, save_prompt
from ppt.results.folder import embedding_file
from ppt.transfer.__main__ import main as transfer
from ppt.transfer.library import find_prompts
from ppt.transfer.similarity import clustered
from ppt.transfer.sources import LONGEST, as_sources
from tests.test_fewshot import fails
from tests.test_transfer import LENGTH, flags, place, prompt_of, put_source, rows_of

__all__ = ["place"]

VALUE = prompt_of(2)


# --- sources ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"step": torch.tensor([1, 2])},
        {"step": torch.tensor(float("nan"))},
        {"step": torch.tensor(-5)},
        {"value": VALUE.long(), "start": VALUE.long()},
        {"value": VALUE[:0], "start": VALUE[:0]},
        {"value": VALUE.to(torch.complex64)},
        {"value": VALUE.double() * 1e300},
    ],
)
def test_an_early_prompt_that_is_none_is_told(tmp_path, changed):
    file = tmp_path / EARLY
    tensors = {"start": VALUE, "value": VALUE, "step": torch.tensor(4), **changed}
    save_file({name: one.clone() for name, one in tensors.items()}, str(file))
    with pytest.raises(InputError, match="expected two finite"):
        read_early(file)


def test_an_early_prompt_must_be_the_same_prompts(place, tmp_path):
    """One token would be added to all by broadcasting."""
    put_source(tmp_path / "a", 1, place / "llama")
    save_early(tmp_path / "a" / EARLY, 4, VALUE[:1], 2 * VALUE[:1])
    with pytest.raises(InputError, match=r"a prompt \[4, 32\] and an early one \[1, 32\]"):
        _ = as_sources(find_prompts([str(tmp_path)]), str(place / "llama"))[0][0].early


def test_a_link_in_a_library_has_its_own_name(place, tmp_path):
    put_source(tmp_path / "store" / "run" / "prompt", 1, place / "llama")
    for name in ("first", "second"):
        (tmp_path / "library").mkdir(exist_ok=True)
        (tmp_path / "library" / name).symlink_to(tmp_path / "store" / "run")
    sources, _ = as_sources(find_prompts([str(tmp_path / "library")]), str(place / "llama"))
    assert [one.name for one in sources] == ["first", "second"]


def test_sources_of_unlike_names_have_unlike_adapters(place, tmp_path):
    for seed, name in enumerate(("a:b", "a-b")):
        put_source(tmp_path / "library" / name, seed, place / "llama")
    argv = flags(place, tmp_path / "results", sources=tmp_path / "library", methods="spot:all",
                 seeds=1)  # fmt: skip
    assert main(argv) == 0
    assert len({row["adapter"] for row in rows_of(tmp_path / "results")}) == 2


def test_a_source_whose_runs_could_not_be_read_again_is_refused(place, tmp_path, capsys):
    put_source(tmp_path / "library" / ("x" * (LONGEST + 1)), 1, place / "llama")
    argv = flags(place, tmp_path / "results", sources=tmp_path / "library", methods="spot:all")
    assert "expected a name of 1 to 195 bytes" in fails(capsys, argv)


def test_sources_of_another_backbone_are_told_before_anything_runs(place, tmp_path, capsys):
    """Prompts of others have no card that tells their backbone."""
    library = tmp_path / "library"
    put_source(library / "ours", 1, place / "llama")
    for size, kind, said in ((16, "causal", "several hidden sizes (theirs 16 and ours 32 numbers"),
                             (32, "seq2seq", "SEQ_2_SEQ_LM, expected CAUSAL_LM")):  # fmt: skip
        save_prompt(library / "theirs", torch.ones(LENGTH, size), kind=kind, model="m", card={})
        (library / "theirs" / "prompt.json").unlink()
        argv = flags(place, tmp_path / "results", sources=library, methods="spot:all")
        assert said in fails(capsys, argv)
        assert not (tmp_path / "results" / "results.jsonl").exists()
    argv = [library, f"--model={place / 'llama'}", f"--output_dir={tmp_path / 'out'}"]
    save_prompt(library / "theirs", torch.ones(LENGTH, 16), kind="causal", model="m", card={})
    assert transfer([str(one) for one in argv]) == 0
    assert "is no source: it was trained for m." in capsys.readouterr().err
    (library / "theirs" / "prompt.json").unlink()
    assert "several hidden sizes" in fails(capsys, argv, transfer)


def test_a_start_does_not_depend_on_what_else_runs(place, tmp_path):
    """Targets are as long as the sources that they are compared with."""
    put_source(tmp_path / "library" / "long", 1, place / "llama", early=False, length=6)
    put_source(tmp_path / "library" / "short", 2, place / "llama", length=2)
    found = []
    for number, methods in enumerate(("spot:long,spot_vectors:1", "spot_vectors:1")):
        output = tmp_path / str(number)
        argv = flags(place, output, sources=tmp_path / "library", methods=methods, seeds=1)
        assert main(argv) == 0
        (row,) = [row for row in rows_of(output) if row["method"] == "spot_vectors:1"]
        found.append((row["run"], row["init"], read_early(embedding_file(output, "toy", 8, 0))))
    assert found[0][:2] == found[1][:2]
    assert torch.equal(found[0][2].value, found[1][2].value)


def test_early_prompts_of_another_step_than_the_targets_are_told(place, tmp_path, capsys):
    argv = flags(place, tmp_path, methods="spot:pair", seeds=1, embedding_steps=2)
    assert main(argv) == 0
    assert "--sources are of step 4, those of targets of step 2" in capsys.readouterr().err


def test_spot_all_without_sources_says_what_it_needs(place, tmp_path, capsys):
    argv = flags(place, tmp_path, methods="spot:all", sources=None)
    assert "give a folder of them as --sources" in fails(capsys, argv)


# --- the library that a grid fills ------------------------------------------------------


def grown(place, tmp_path, library, methods="prompt_tuning", **changes):
    return flags(place, tmp_path / "results", sources=None, methods=methods, seeds=1,
                 library=library, **changes)  # fmt: skip


def test_a_library_that_cannot_be_filled_is_told_before_anything_runs(place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "toy").write_text("")
    for library, said in {
        "file": "is a file: give another --library",
        "file/inner": "is a file: give another --library",
        "library": "is a file: give another --library",
        "results": "--library: got the --output_dir",
    }.items():
        assert said in fails(capsys, grown(place, tmp_path, tmp_path / library))
        assert not (tmp_path / "results").exists()


def test_a_link_in_a_library_is_followed(place, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "toy").symlink_to(tmp_path / "elsewhere")
    assert main(grown(place, tmp_path, tmp_path / "library")) == 0
    assert (tmp_path / "library" / "toy").is_symlink()
    assert read_card(tmp_path / "elsewhere")["task"] == "toy"


def test_a_kill_leaves_no_early_prompt_of_another_run(place, tmp_path, monkeypatch):
    library = tmp_path / "library"
    put_source(library / "toy", 4, place / "llama", task="toy")
    replaced = os.replace

    def killed(old, new):
        if Path(new) == library / "toy" / "adapter_config.json":
            raise KeyboardInterrupt
        replaced(old, new)

    monkeypatch.setattr(os, "replace", killed)
    assert main(grown(place, tmp_path, library)) == 130
    assert read_early(library / "toy" / EARLY) is None
    monkeypatch.undo()
    assert main(grown(place, tmp_path, library)) == 0
    assert read_early(library / "toy" / EARLY).step == 4


def test_what_killed_processes_left_half_written_of_adapters_goes(place, tmp_path):
    """They lie deeper than the folders that are swept when a grid begins."""
    argv = flags(place, tmp_path / "results", methods="spot:pair", seeds=1, embedding_steps=4)
    assert main(argv) == 0
    (row,) = rows_of(tmp_path / "results")
    (tmp_path / "results" / "results.jsonl").write_text("")
    places = [tmp_path / "results" / row["adapter"], tmp_path / "results" / "embeddings" / "toy"]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for folder in places:
        for file in list(folder.iterdir()):
            (folder / f"{SCRATCH}{owner(dead.pid)}-0-{file.name[-30:]}").write_bytes(b"half")
    assert main(argv) == 0
    assert not list((tmp_path / "results").rglob(f"{SCRATCH}*"))


def test_a_mixture_that_was_trained_before_is_no_silent_lack(place, tmp_path, capsys):
    both = {"task_file": f"{place / 'toy.yaml'},{place / 'other.yaml'}", "max_length": 96}
    argv = grown(place, tmp_path, None, "multitask_prompt", **both)
    assert main(argv) == 0
    argv = grown(place, tmp_path, tmp_path / "library", "multitask_prompt", **both)
    assert "toy+other has no prompt of this mixture" in fails(capsys, argv)


def test_the_name_of_a_mixture_is_that_of_a_source():
    assert mixture_name(["a", "b"]) == "a+b"
    names = [f"task-{number}-é" for number in range(40)]
    long, other = mixture_name(names), mixture_name([*names, "more"])
    assert len(long.encode()) <= LONGEST
    assert long != other


def test_an_adapter_without_its_card_is_told(place, tmp_path, capsys):
    assert main(grown(place, tmp_path, None)) == 0
    (tmp_path / "results" / rows_of(tmp_path / "results")[0]["adapter"] / "prompt.json").unlink()
    assert "has no prompt.json" in fails(capsys, grown(place, tmp_path, tmp_path / "library"))


def test_patience_outlasts_another_that_writes(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ppt.base.output_folder import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(0.5)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    began = time.monotonic()
    with locked(tmp_path, patience=60):
        assert time.monotonic() - began < 50
    assert other.wait() == 0


# --- many ---------------------------------------------------------------------------


def test_many_sources_are_clustered_soon():
    """Of 200 it took 10 s, eight times as much of twice as many."""
    points = np.random.default_rng(0).normal(size=(300, 8))
    began = time.process_time()
    assert sorted(clustered(points @ points.T)) == list(range(300))
    assert time.process_time() - began < 5


# --- from Python ------------------------------------------------------------------------


def test_one_text_is_no_list_of_letters(place):
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    task = ppt.load_task(place / "toy.yaml")
    known = {"seeds": 1, "max_steps": 1, "eval_steps": 1, "max_length": 48, "prompt_length": 4,
             "max_test_examples": 4}  # fmt: skip
    done = ppt.tune(task, backbone, methods="spot:all", sources=str(place / "library" / "pair"),
                    shots="all", **known)  # fmt: skip
    assert [(run.method, run.shots) for run in done.runs] == [("spot:pair", 36)]
    with pytest.raises(ConfigError, match="a library and no output_dir"):
        ppt.tune(task, backbone, methods="prompt_tuning", library="prompts", **known)
    with pytest.raises(InputError, match="hidden size 16, the backbone has 32"):
        ppt.tune(task, backbone, methods="spot:all", sources=Prompt(tensor=torch.ones(4, 16)),
                 shots=8, **known)  # fmt: skip


def test_all_rows_of_the_smallest_tasks(tmp_path):
    rows = [{"q": f"What is {i}?", "a": "it", "b": "not", "label": i % 2} for i in range(4)]
    (tmp_path / "test.jsonl").write_text(json.dumps(rows[3]))
    (tmp_path / "small.yaml").write_text(
        "name: small\nformat: multiple_choice\ntrain: train.jsonl\ntest: test.jsonl\n"
        "columns:\n  text_a: q\n  options: [a, b]\n  label: label\nanswer: index\n"
    )

    def task(count):
        lines = "".join(json.dumps(row) + "\n" for row in rows[:count])
        (tmp_path / "train.jsonl").write_text(lines)
        return ppt.load_task(tmp_path / "small.yaml")

    drawn = task(2).few_shot(task(2).all_shots, 0)
    assert (len(drawn.train), len(drawn.validation)) == (1, 1)
    with pytest.raises(InputError, match="rows left to train: 1, expected 2 at least"):
        _ = task(1).all_shots
