"""Every named step of commands killed with -9 once: the rerun ends as if it had not been.

Builds are in tests/test_build_kills.py.

A child process (tests/forks.py) kills itself at the n-th call of a function, before it does
anything. What is left must be gone on from, and the end be the same bytes. Steps of training itself
are in tests/test_training.py.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from pipelines.train_punkt import main as learn
from ppt.adapt import main as adapt
from ppt.base.files import SCRATCH, owner
from ppt.errors import ConfigError
from ppt.fewshot.__main__ import main as fewshot
from ppt.inspect import main as inspect
from ppt.pretrain import main as pretrain
from ppt.report import SURE
from ppt.report import main as report
from ppt.results.figures import plots_of
from ppt.results.folder import PAGE
from ppt.text.sentences import PUNKT_FILES, load_punkt
from ppt.transfer.__main__ import main as transfer
from ppt.transfer.library import find_prompts
from tests import test_fewshot, test_pretrain
from tests.few import toy_place
from tests.forks import killed_at
from tests.tiny import save_tiny
from tests.toys import toy_corpus

TIMES = ("seconds", "examples_per_second")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    toy_place(folder)
    (folder / "llama" / "stays").touch()
    toy_corpus(folder / "corpora" / "sentiment")
    save_tiny(folder / "small", max_position_embeddings=80)
    return folder


def without(value, names):
    if isinstance(value, dict):
        return {key: without(one, names) for key, one in value.items() if key not in names}
    return [without(one, names) for one in value] if isinstance(value, list) else value


def left_of_training(folder):
    """All that a run leaves, times aside; states by their bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.endswith((".png", "state.json", ".lock")):
            continue  # times, or nothing
        assert SCRATCH not in name
        data = path.read_bytes()
        if name == "result.json":
            data = without(json.loads(data), TIMES)
        elif name == "metrics.jsonl":
            data = [without(json.loads(line), TIMES) for line in data.splitlines()]
        elif name == "README.md":
            data = data.replace(str(folder).encode(), b"")
        elif name == "config.json":
            data = without(json.loads(data), ("output_dir", "overwrite_output_dir"))
        found[name] = data
    return found


def left_of_a_grid(folder):
    """Rows, predictions, adapters and the names of all files."""
    lines = (folder / "results.jsonl").read_text().splitlines()
    rows = [without(json.loads(line), TIMES) for line in lines]
    predictions = pq.read_table(folder / "predictions.parquet").to_pylist()
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*")
                   if path.is_file() and path.name != ".lock")  # fmt: skip
    assert not any(SCRATCH in name for name in names)
    weights = {name: (folder / name).read_bytes() for name in names if "safetensors" in name}
    return rows, predictions, names, weights


TRAINING = [
    ("ppt.training.pretraining:load_examples", 1),
    ("ppt.training.pretraining:begin_run", 1),
    ("ppt.training.keeper:Keeper", 1),
    ("ppt.training.keeper:save_state", 1),
    ("ppt.training.keeper:save_state", 3),
    ("ppt.training.state:write_synced", 3),
    ("ppt.base.files:os.replace", 2),
    ("ppt.training.pretraining:card_of", 1),
    ("ppt.training.pretraining:base_model", 1),
    ("ppt.prompts.files:write_synced", 1),
    ("ppt.prompts.files:write_synced", 2),
    ("ppt.prompts.files:write_synced", 3),
    ("ppt.training.folder:draw_loss", 1),
    ("ppt.training.folder:write_atomically", 2),
    ("ppt.training.folder:write_atomically", 3),
]

GUARD = "ppt.base.output_folder"
CLEARING = [
    *(("ppt.base.files:shutil.rmtree", call) for call in (1, 3)),
    *((f"{GUARD}:Path.unlink", call) for call in (1, 2, 4)),
]


def training_flags(place, output, *more, **changes):
    usual = {"corpus": place / "corpora" / "sentiment", "model": place / "small"}
    return [*test_pretrain.flags(place, output, **{**usual, **changes}), *more]


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert pretrain(training_flags(place, folder)) == 0
    return left_of_training(folder)


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), TRAINING)
def test_a_pretraining_killed_at_any_step_ends_as_if_it_had_not_been(
    place, trained, tmp_path, step, call
):
    argv = training_flags(place, tmp_path / "run")
    killed_at(step, call, pretrain, argv)
    assert not (tmp_path / "run" / "result.json").exists()
    assert pretrain(argv) == 0
    assert left_of_training(tmp_path / "run") == trained


@pytest.fixture(scope="module")
def trained_before(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("before") / "run"
    assert pretrain(training_flags(place, folder, seed=5)) == 0
    return folder


@pytest.mark.promise("clear")
@pytest.mark.parametrize(("step", "call"), CLEARING)
def test_a_pretraining_killed_while_it_clears_begins_anew(
    place, trained, trained_before, tmp_path, step, call
):
    folder = shutil.copytree(trained_before, tmp_path / "run")
    (folder / "notes.txt").write_text("a user's own")
    argv = training_flags(place, folder, "--overwrite_output_dir")
    killed_at(step, call, pretrain, argv)
    assert (folder / "notes.txt").read_text() == "a user's own"
    assert pretrain(argv) == 0
    left = left_of_training(folder)
    assert left.pop("notes.txt") == b"a user's own"
    assert left == trained


ADAPTING = [
    ("ppt.training.windows:write_windows", 1),
    ("ppt.training.windows:write_synced", 1),
    ("ppt.training.adapting:begin_run", 1),
    ("ppt.training.keeper:save_state", 1),
    ("ppt.training.keeper:save_state", 3),
    ("ppt.training.adapting:appearing_folder", 1),
    ("ppt.base.files:os.fsync", 2),
    ("ppt.training.folder:write_atomically", 3),
    ("ppt.training.folder:remove", 1),
    ("ppt.training.folder:write_atomically", 4),
]


def adapting_flags(place, output):
    fields = {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1,
              "num_heads": 4}  # fmt: skip
    (place / "t5.json").write_text(json.dumps(fields))
    texts = [f"Day {i}: it rained on the old road, and we ran home." for i in range(40)]
    (place / "docs.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    flags = {
        "objective": "span_corruption", "corpus": place / "docs.jsonl", "output_dir": output,
        "config": place / "t5.json", "train_tokenizer": 380, "max_length": 24, "max_steps": 6,
        "eval_steps": 3, "save_steps": 2, "held_out": 0.1, "device": "cpu", "threads": 1,
        "tensorboard": "false",
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in flags.items()]


@pytest.fixture(scope="module")
def adapted(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert adapt(adapting_flags(place, folder)) == 0
    return left_of_training(folder)


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), ADAPTING)
def test_an_adaptation_killed_at_any_step_ends_as_if_it_had_not_been(
    place, adapted, tmp_path, step, call
):
    argv = adapting_flags(place, tmp_path / "run")
    killed_at(step, call, adapt, argv)
    assert not (tmp_path / "run" / "result.json").exists()
    assert adapt(argv) == 0
    assert left_of_training(tmp_path / "run") == adapted


GRID = [
    ("ppt.fewshot.running:rehearse", 1),
    ("ppt.fewshot.running:write_folder", 1),
    ("ppt.fewshot.running:run_bank", 2),
    ("ppt.training.trainables:save_prompt", 1),
    ("ppt.training.trainables:save_prompt", 2),
    ("ppt.prompts.files:write_synced", 2),
    ("ppt.results.store:write_atomically", 1),
    ("ppt.results.store:write_atomically", 3),
    ("ppt.results.store:ResultStore._append", 1),
    ("ppt.results.store:ResultStore._append", 2),
    ("ppt.results.store:os.fsync", 1),
    ("ppt.results.store:ResultStore.write_predictions", 1),
    ("ppt.results.store:synced", 1),
    ("ppt.results.tables:write_atomically", 2),
    ("ppt.results.figures:save_figure", 1),
]


def grid_flags(place, output, *more, **changes):
    usual = {"methods": "zero_shot,prompt_tuning,ensemble_vote", "max_steps": 2}
    return [*test_fewshot.flags(place, output, **{**usual, **changes}), *more]


@pytest.fixture(scope="module")
def made(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "results"
    assert fewshot(grid_flags(place, folder)) == 0
    return left_of_a_grid(folder)


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), GRID)
def test_a_grid_killed_at_any_step_ends_as_if_it_had_not_been(place, made, tmp_path, step, call):
    argv = grid_flags(place, tmp_path / "r")
    killed_at(step, call, fewshot, argv)
    assert fewshot(argv) == 0
    assert left_of_a_grid(tmp_path / "r") == made


@pytest.fixture(scope="module")
def made_before(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("before") / "results"
    assert fewshot(grid_flags(place, folder, prompt_length=5)) == 0
    return folder


@pytest.mark.promise("clear")
@pytest.mark.parametrize(("step", "call"), CLEARING)
def test_a_grid_killed_while_it_clears_begins_anew(place, made, made_before, tmp_path, step, call):
    folder = shutil.copytree(made_before, tmp_path / "r")
    argv = grid_flags(place, folder, "--overwrite_output_dir")
    killed_at(step, call, fewshot, argv)
    assert fewshot(argv) == 0
    assert left_of_a_grid(folder) == made


REPORTING = [
    ("ppt.report:make_report", 1),
    ("ppt.report:html_page", 1),
    ("ppt.report:write_atomically", 1),
    ("ppt.base.files:write_synced", 1),
    ("ppt.base.files:os.fsync", 1),
    ("ppt.base.files:os.replace", 1),
    ("ppt.base.files:sweep_dead", 1),
    ("ppt.base.files:_sync_folder", 1),
    ("ppt.report:overviews", 1),
]


@pytest.fixture(scope="module")
def grid(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported") / "results"
    assert fewshot(grid_flags(place, folder)) == 0
    return folder


def pages(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(autouse=True, scope="module")
def blank_plots():
    """Pages are compared here, not looked at."""

    def blank(chosen, rows):
        return [replace(plot, draw=Figure) for plot in plots_of(chosen, rows)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ppt.results.page.plots_of", blank)
        yield


@pytest.fixture(scope="module")
def reported(grid):
    assert report([str(grid)]) == 0
    whole = pages(grid)
    (grid / PAGE).unlink()
    return whole


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), REPORTING)
def test_a_report_killed_at_any_step_ends_as_if_it_had_not_been(
    grid, reported, tmp_path, step, call
):
    shutil.copytree(grid, tmp_path / "r")
    old = reported[PAGE][:SURE] + b"of before"
    (tmp_path / "r" / PAGE).write_bytes(old)
    argv = [str(tmp_path / "r")]
    killed_at(step, call, report, argv)
    assert (tmp_path / "r" / PAGE).read_bytes() in (old, reported[PAGE])
    assert report(argv) == 0
    assert pages(tmp_path / "r") == reported


SHELVING = [
    ("ppt.fewshot.shelving:save_prompt", 1),
    ("ppt.fewshot.shelving:save_early", 1),
    ("ppt.prompts.early:write_atomically", 2),
]


def shelving_flags(place, folder):
    return test_fewshot.flags(
        place, folder / "results", methods="prompt_tuning", seeds=1, embedding_steps=2,
        library=folder / "library",
    )  # fmt: skip


@pytest.fixture(scope="module")
def shelved(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelved") / "whole"
    assert fewshot(shelving_flags(place, folder)) == 0
    return folder


@pytest.mark.promise("kill")
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("step", "call"), SHELVING)
def test_a_library_killed_while_a_prompt_comes_in_is_as_if_it_had_not_been(
    place, shelved, tmp_path, step, call, again
):
    killed = tmp_path / "killed"
    if again:
        shutil.copytree(shelved, killed)
        (killed / "library" / "toy" / "mine").write_text("stays")
    argv = shelving_flags(place, killed)
    killed_at(step, 1 if again else call, fewshot, argv)
    assert fewshot(argv) == 0
    left = [{str(path.relative_to(folder / "library")): path.read_bytes()
             for path in (folder / "library").rglob("*") if path.is_file()}
            for folder in (shelved, killed)]  # fmt: skip
    assert left[1].pop("toy/mine", b"stays") == b"stays"
    assert left[0].keys() == left[1].keys()
    assert left[0]["toy/adapter_model.safetensors"] == left[1]["toy/adapter_model.safetensors"]
    (found,) = find_prompts([str(killed / "library")])
    assert found.folder.name == "toy"


COMPARING = [
    *(("ppt.transfer.__main__:write_atomically", call) for call in (1, 2, 3)),
    ("ppt.transfer.__main__:save_figure", 1),
    ("ppt.base.files:os.replace", 2),
    ("ppt.base.output_folder:Path.unlink", 2),
]


def comparing_flags(place, folder):
    return [str(place / "runs-llama"), f"--model={place / 'llama'}", f"--output_dir={folder}"]


@pytest.fixture(scope="module")
def compared(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "whole"
    assert transfer(comparing_flags(place, folder)) == 0
    return folder


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), COMPARING)
def test_a_comparison_killed_at_any_step_ends_as_if_it_had_not_been(
    place, compared, tmp_path, step, call
):
    killed = shutil.copytree(compared, tmp_path / "killed")  # there is something to clear
    argv = comparing_flags(place, killed)
    killed_at(step, call, transfer, argv)
    assert transfer(argv) == 0
    left = [pages(folder) for folder in (compared, killed)]
    assert all(one.pop("config.json") for one in left)  # it tells the folder
    assert left[0] == left[1]
    assert {"transfer.md", "similarities.csv", "similarities.png"} <= left[0].keys()


def test_a_report_leaves_alone_what_a_living_grid_has_half_written(grid, reported, tmp_path):
    shutil.copytree(grid, tmp_path / "r")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {
        f"{SCRATCH}{owner(os.getpid())}-1-{PAGE}": True,
        f"{SCRATCH}{owner(dead.pid)}-1-predictions.parquet": True,
        f"{SCRATCH}{owner(dead.pid)}-1-{PAGE}": False,
        f"{SCRATCH}00000000.{dead.pid}-1-{PAGE}": True,  # of another machine
    }
    for name in names:
        (tmp_path / "r" / name).touch()
    assert report([str(tmp_path / "r")]) == 0
    assert {name: (tmp_path / "r" / name).exists() for name in names} == names


LOOKING = [
    ("ppt.inspect:draw_histograms", 1),
    *((f"ppt.base.files:{name}", 1) for name in ("write_synced", "os.replace", "_sync_folder")),
]


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), LOOKING)
def test_a_look_into_a_corpus_killed_at_any_step_leaves_what_it_leaves(
    drawn, place, tmp_path, step, call
):
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        shutil.copytree(place / "corpora" / "sentiment", folder)
    whole, cut = ([str(folder)] for folder in folders)
    killed_at(step, call, inspect, cut)
    assert inspect(cut) == inspect(whole) == 0
    assert pages(folders[1]) == pages(folders[0])


LEARNING = [
    ("pipelines.train_punkt:train_punkt", 1),
    ("pipelines.train_punkt:locked", 1),
    ("pipelines.train_punkt:save_punkt", 1),
    *(("ppt.text.sentences:write_synced", call) for call in (1, 3)),
    ("ppt.base.files:os.replace", 3),
    ("pipelines.train_punkt:move_together", 1),
    *(("ppt.base.files:Path.unlink", call) for call in (1, 2, 4)),
    *(("ppt.base.files:os.replace", call) for call in (5, 6, 8)),
    ("pipelines.train_punkt:shutil.rmtree", 1),
]
"""From the fifth on `os.replace` moves: each of the four files was renamed once before."""

MODELS = {
    "old": ("Prof. Gray saw birds. A nest was left. Birds saw Prof. Gray.", "none"),
    "new": ("Dr. Brown saw fish. The fish saw Dr. Brown.", "english"),
}


def learning(folder, name, output):
    return ["--input", str(folder / f"{name}.txt"), "--output", str(output), "--min_count", "1",
            "--supplement", MODELS[name][1]]  # fmt: skip


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Folders of two models that differ in all they learned."""
    folder = tmp_path_factory.mktemp("learned")
    for name, (text, _) in MODELS.items():
        (folder / f"{name}.txt").write_text(" ".join([text] * 20))
        assert learn(learning(folder, name, folder / name)) == 0
    old, new = pages(folder / "old"), pages(folder / "new")
    assert sum(old[file] != new[file] for file in PUNKT_FILES) == 3  # neither has sentence starters
    return folder


@pytest.mark.promise("kill")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("step", "call"), LEARNING)
def test_parameters_killed_at_any_step_are_those_of_one_model(learned, tmp_path, step, call, first):
    whole = {name: pages(learned / name) for name in MODELS}
    output = tmp_path / "p"
    if not first:
        shutil.copytree(learned / "old", output)
        (output / "notes.txt").write_text("a user's own")
    argv = learning(learned, "new", output)
    killed_at(step, call, learn, argv)
    left = {file: (output / file).read_bytes() for file in PUNKT_FILES if (output / file).exists()}
    assert left.items() <= whole["old"].items() or left.items() <= whole["new"].items()
    if left and left not in whole.values():
        with pytest.raises(ConfigError, match="no Punkt parameters in"):
            load_punkt(output)
    assert learn(argv) == 0
    own = {} if first else {"notes.txt": b"a user's own"}
    assert {path.name: path.read_bytes() for path in output.iterdir()} == whole["new"] | own
