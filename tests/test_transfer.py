"""Prompts of other tasks as starts: similarity, retrieval, mixtures, the library, the matrix."""

import base64
import csv
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import ppt
from ppt.errors import ConfigError, InputError, UnknownNameError
from ppt.fewshot.__main__ import main
from ppt.fewshot.mixture import Mixture, Portion, drawn, shares
from ppt.methods import BEST, CLEAR, METHODS, find_method
from ppt.pretrain import main as pretrain
from ppt.prompts.batches import collate
from ppt.prompts.early import EARLY, read_early, save_early
from ppt.prompts.files import read_card, read_values, save_prompt
from ppt.report import main as report
from ppt.results.folder import embedding_file
from ppt.results.lines import read_lines
from ppt.results.page import html_page
from ppt.results.selection import selected
from ppt.results.transfer import correlation, gains
from ppt.tasks.spec import Columns, Label, Rows, Task
from ppt.training.trainables import PromptBank
from ppt.transfer.__main__ import main as transfer
from ppt.transfer.comparison import compare
from ppt.transfer.library import find_prompts
from ppt.transfer.similarity import clustered, similarities, weights
from ppt.transfer.sources import as_sources, ranked
from tests.few import CONTEXT, steps, toy_lanes, toy_task
from tests.test_fewshot import fails
from tests.tiny import save_tiny, tiny_llama
from tests.toys import toy_corpus

LENGTH = 4


def prompt_of(seed, length=LENGTH):
    return torch.randn(length, 32, generator=torch.Generator().manual_seed(seed))


def put_source(folder, seed, model, early=True, length=LENGTH, **card):
    """A prompt in a library, whose early prompt lies near the best."""
    known = {"backbone": str(model), "format": "sentiment", "style": "soft", **card}
    value = prompt_of(seed, length)
    save_prompt(folder, value, kind="causal", model=str(model), card=known)
    if early:
        save_early(folder / EARLY, 4, value * 0.5, value + 0.1 * prompt_of(seed + 50, length))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny model, a task, a second one, a corpus, and a library of four prompts."""
    folder = tmp_path_factory.mktemp("place")
    model = save_tiny(folder / "llama", **CONTEXT)
    toy_task(folder)
    text = (folder / "toy.yaml").read_text().replace("name: toy", "name: other")
    (folder / "other.yaml").write_text(text)
    toy_corpus(folder / "corpora" / "sentiment")
    library = folder / "library"
    put_source(library / "sentiment" / "prompt", 1, model)
    put_source(library / "pair" / "prompt", 2, model, format="sentence_pair")
    put_source(library / "other", 3, model, task="other")
    put_source(library / "toy", 4, model, task="toy")
    return folder


def flags(place, output, **changes):
    usual = {
        "task_file": place / "toy.yaml", "model": place / "llama", "output_dir": output,
        "sources": place / "library", "corpora": place / "corpora", "seeds": 2, "shots": 8,
        "max_steps": 4, "eval_steps": 2, "max_length": 48, "prompt_length": LENGTH,
        "per_device_train_batch_size": 4, "device": "cpu", "mixture_steps": 3,
        "max_test_examples": 9,
    }  # fmt: skip
    merged = {**usual, **changes}
    return [f"--{name}={value}" for name, value in merged.items() if value is not None]


def rows_of(output):
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


# --- similarity -------------------------------------------------------------------------


GOLDEN = {"means": -0.599254277, "pairs": -0.247781435}
"""Of sin(0 .. 14) in 3 tokens and cos(0 .. 9) + 0.2 in 2, by NumPy."""


def test_similarities_are_those_of_numpy():
    one, other = np.sin(np.arange(15.0)).reshape(3, 5), np.cos(np.arange(10.0)).reshape(2, 5) + 0.2
    mean_one, mean_other = one.mean(0), other.mean(0)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in one for b in other]
    expected = {
        "means": mean_one @ mean_other / np.linalg.norm(mean_one) / np.linalg.norm(mean_other),
        "pairs": np.mean(cosines),
    }
    for measure in ("means", "pairs"):
        found = similarities([torch.from_numpy(one)], [torch.from_numpy(other)], measure)
        assert found == pytest.approx(np.array([[expected[measure]]]), abs=1e-12)
        assert found[0, 0] == pytest.approx(GOLDEN[measure], abs=1e-6)


def test_prompts_of_unlike_lengths_can_be_compared():
    found = similarities([prompt_of(1, 3)], [prompt_of(2, 5), prompt_of(1, 3)], "pairs")
    assert found.shape == (1, 2)
    assert similarities([prompt_of(1)], [prompt_of(1)], "means")[0, 0] == pytest.approx(1)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_weights_are_shares(near):
    found = weights(near)
    assert sum(found) == pytest.approx(1)
    assert all(one >= 0 for one in found)
    if sum(max(one, 0) for one in near) > 0:
        assert all(share == 0 for share, one in zip(found, near, strict=True) if one <= 0)


def test_clusters_put_what_is_alike_together():
    likeness = np.full((6, 6), 0.1)
    for group in ([0, 3, 5], [1, 4], [2]):
        likeness[np.ix_(group, group)] = 0.9
    order = clustered(likeness)
    assert sorted(order) == list(range(6))
    kinds = [{0: "a", 3: "a", 5: "a", 1: "b", 4: "b", 2: "c"}[one] for one in order]
    assert sum(a != b for a, b in pairwise(kinds)) == 2


def test_the_nearest_come_first_and_ties_go_by_name(place):
    sources, _ = as_sources(find_prompts([str(place / "library")]), str(place / "llama"))
    assert [one.name for one in sources] == ["other", "pair", "sentiment", "toy"]
    near = ranked(sources, sources[1].embedding, 2, "means")
    assert near[0][0].name == "pair"
    assert near[0][1] == pytest.approx(1)
    assert len(near) == 2


# --- mixtures ---------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=6), st.integers(1, 2**19))
def test_shares_go_by_size_up_to_the_cap(sizes, cap):
    found = shares(sizes, cap)
    assert found.sum() == pytest.approx(1)
    assert found == pytest.approx([min(n, cap) / sum(min(m, cap) for m in sizes) for n in sizes])


def test_batches_are_drawn_by_the_shares_alike_every_time():
    share = shares([1000, 3000, 10**9], 4000)
    counts = np.array([drawn(share, 7, step, 32) for step in range(400)])
    assert (counts.sum(1) == 32).all()
    assert counts.sum(0) / counts.sum() == pytest.approx(share, abs=0.02)
    assert drawn(share, 7, 5, 32) == counts[5].tolist()


def test_the_gradient_of_a_mixed_batch_is_that_of_its_mean_loss():
    """Parts have label words of their own; their gradients add up to the whole batch's."""
    backbone = tiny_llama()
    parts = []
    for format_name in ("sentiment", "sentence_pair"):
        (lane,), words = toy_lanes(backbone, [(0, None)], format_name=format_name)
        parts.append(Portion(13, lane.train, lane.validation, words))
    bank = PromptBank(backbone, [0.3 * prompt_of(0)])
    own = steps(per_device_train_batch_size=6)
    mixture = Mixture(bank, parts, own, cap=2**19, seed=3, tokens_at_once=4096)
    counts = drawn(shares([13, 13], 2**19), 3, 0, 6)
    assert 0 < counts[0] < 6
    sums = mixture.step([0])
    (prompt,) = bank.parameters(0)
    whole, total = torch.zeros_like(prompt), 0.0
    for part, order, count in zip(parts, mixture._orders, counts, strict=True):
        order.seek(0)
        rows = np.concatenate([next(order) for _ in range(count)])
        for row in rows:
            batch = collate(part.train, np.array([row]), part.words, backbone.pad_id)
            value = prompt.detach().clone().requires_grad_()
            scores = backbone.score(value[None], batch)
            loss = torch.nn.functional.cross_entropy(scores, batch.labels)
            loss.backward()
            whole, total = whole + value.grad / 6, total + float(loss.detach()) / 6
    assert torch.allclose(prompt.grad, whole, atol=1e-5)
    assert float(sums.sums[0, 0]) == pytest.approx(total, abs=1e-5)


# --- the grid ---------------------------------------------------------------------------

EVERY = "prompt_tuning,spot:all,spot_best:2,spot_average:2,spot_vectors:2,spot_mixture:1"


@pytest.fixture(scope="module")
def grid(place):
    """A grid of all ways from sources."""
    output = place / "results"
    assert main(flags(place, output, methods=EVERY, embedding_steps=2)) == 0
    return output


def test_every_way_from_sources_is_a_run(grid):
    rows = rows_of(grid)
    names = ["prompt_tuning", "spot:other", "spot:pair", "spot:sentiment", "spot_best:2",
             "spot_average:2", "spot_vectors:2", "spot_mixture:1"]  # fmt: skip
    assert {(row["method"], row["seed"]) for row in rows} == {(n, s) for n in names for s in (0, 1)}
    by_name = {row["method"]: row for row in rows if row["seed"] == 0}
    assert by_name["spot:pair"]["init"] == "sources:pair"
    assert by_name["spot_best:2"]["init"].count("=") == 2
    assert by_name["spot_best:2"]["members"] == 2
    assert all(row["parameters"] == LENGTH * 32 for row in rows)


def test_the_best_of_the_nearest_is_the_run_that_validates_best(grid):
    rows = {(row["method"], row["seed"]): row for row in rows_of(grid)}
    for seed in (0, 1):
        row = rows["spot_best:2", seed]
        near = [one.split("=")[0] for one in row["init"].removeprefix("sources:").split(",")]
        alone = [rows[f"spot:{name}", seed] for name in near]
        best = min(
            alone, key=lambda one: (-one["validation"]["accuracy"], one["validation"]["loss"])
        )
        assert row["validation"]["loss"] == pytest.approx(best["validation"]["loss"], abs=1e-5)
        assert row["test"]["accuracy"] == best["test"]["accuracy"]
        card = read_card(grid / row["adapter"])
        assert f"spot:{card['source']}" == best["method"]
        assert torch.allclose(
            read_values(grid / row["adapter"]), read_values(grid / best["adapter"]), atol=1e-5
        )


def test_targets_are_known_by_the_early_step_from_one_start(place, grid):
    found = [read_early(embedding_file(grid, "toy", 8, seed)) for seed in (0, 1)]
    assert [one.step for one in found] == [2, 2]
    assert torch.equal(found[0].start, found[1].start)
    assert not torch.equal(found[0].value, found[1].value)


def test_what_prompt_tuning_keeps_early_is_its_prompt_at_that_step(place, grid, tmp_path):
    adapter = grid / next(row["adapter"] for row in rows_of(grid))
    early = read_early(adapter / EARLY)
    assert early.step == 2
    assert main(flags(place, tmp_path, methods="prompt_tuning", max_steps=2, sources=None, seeds=1,
                      metric_for_best_model="loss", embedding_steps=2)) == 0  # fmt: skip
    again = read_early(tmp_path / rows_of(tmp_path)[0]["adapter"] / EARLY)
    assert torch.equal(again.value, early.value)
    assert torch.equal(again.start, early.start)
    assert not torch.equal(early.value, early.start)


def test_averages_and_vectors_are_what_they_say(place):
    """Untrained: with a rate of nearly nothing the start is what is kept."""
    tasks = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    sources, _ = as_sources(find_prompts([str(place / "library")]), str(place / "llama"))
    mine = [one.prompt for one in sources if one.name in ("pair", "sentiment")]
    done = ppt.tune(
        tasks, backbone, methods=["spot_average:2", "spot_vectors:2", "prompt_tuning"],
        sources=mine, seeds=1, shots=8, max_steps=2, eval_steps=2, max_length=48,
        prompt_length=LENGTH, learning_rate=1e-6, max_test_examples=4,
    )  # fmt: skip
    values = {run.method: done.prompts[run.run][0].values() for run in done.runs}
    init = next(run.init for run in done.runs if run.method == "spot_average:2")
    near = dict(one.split("=") for one in init.removeprefix("sources:").split(","))
    by_name = {one.name: one for one in sources}
    shares = dict(zip(near, weights([float(one) for one in near.values()]), strict=True))
    mean = sum(share * by_name[name].values for name, share in shares.items())
    assert torch.allclose(values["spot_average:2"], mean, atol=1e-2)
    added = sum(by_name[name].values - by_name[name].early.start for name in near)
    assert torch.allclose(values["spot_vectors:2"], values["prompt_tuning"] + added, atol=1e-4)


def test_a_finished_grid_is_not_made_again_and_another_source_is_another_run(
    place, grid, tmp_path, capsys
):
    before = rows_of(grid)
    assert main(flags(place, grid, methods=EVERY, embedding_steps=2)) == 0
    assert "16 runs, 16 of them finished before" in capsys.readouterr().out
    assert rows_of(grid) == before
    for name in ("pair", "sentiment"):
        put_source(tmp_path / "library" / name, 9, place / "llama")
    argv = flags(place, grid, methods="spot:pair", sources=tmp_path / "library")
    assert "with another prompt, data or program" in fails(capsys, argv)


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 0.05}, {"similarity": "pairs", "seeds": "1,"}]
)
def test_starts_that_other_flags_make_are_not_mixed(place, tmp_path, capsys, changes):
    """Whatever the place in the grid: one table would have both, or none could be made."""
    known = {"seeds": 1, "methods": "spot_average:2,prompt_tuning"}
    assert main(flags(place, tmp_path, **known)) == 0
    told = fails(capsys, flags(place, tmp_path, **{**known, **changes}))
    assert "has toy, spot_average:2, 8 shots, seed 0 with another prompt, data" in told
    assert len(rows_of(tmp_path)) == 2
    assert main(flags(place, tmp_path, **{**known, **changes, "methods": "prompt_tuning"})) == 0


def test_several_tasks_are_trained_together(place, tmp_path, capsys):
    both = f"{place / 'toy.yaml'},{place / 'other.yaml'}"
    argv = flags(place, tmp_path, task_file=both, seeds=1, sources=None, library=tmp_path / "lib",
                 max_length=96, mixture_steps=6,
                 methods="multitask_prompt,multitask_tuning")  # fmt: skip
    assert main(argv) == 0
    rows = rows_of(tmp_path)
    assert {(row["task"], row["method"]) for row in rows} == {
        (task, name)
        for task in ("toy", "other")
        for name in ("multitask_prompt", "multitask_tuning")
    }
    assert {row["init"] for row in rows} == {"tasks:toy,other", None}
    (source,), _ = as_sources(find_prompts([str(tmp_path / "lib")]), str(place / "llama"))
    assert (source.name, source.tasks) == ("toy+other", ("toy", "other"))
    assert (source.early.step, source.prompt.card["steps"]) == (4, 6)
    argv = flags(
        place, tmp_path / "again", sources=tmp_path / "lib", methods="spot:all,spot_best:1"
    )
    assert "takes 1 sources, and 0 can serve" in fails(capsys, argv)
    argv = flags(place, tmp_path / "again", sources=tmp_path / "lib", methods="spot:all")
    assert "nothing to run: all sources were trained on the very tasks" in fails(capsys, argv)


def test_test_texts_that_another_task_trains_on_are_told(place, tmp_path, capsys):
    lines = [(place / f"{side}.jsonl").read_text() for side in ("test", "train")]
    (tmp_path / "train.jsonl").write_text(lines[0] + "".join(lines[1].splitlines(True)[:9]))
    (tmp_path / "test.jsonl").write_text('{"text": "unlike", "label": "bad"}\n')
    text = (place / "toy.yaml").read_text().replace("name: toy", "name: leak")
    (tmp_path / "leak.yaml").write_text(text)
    both = f"{place / 'toy.yaml'},{tmp_path / 'leak.yaml'}"
    argv = flags(place, tmp_path / "out", task_file=both, sources=None, seeds=1, shots=4,
                 methods="multitask_prompt")  # fmt: skip
    assert main(argv) == 0
    assert "note: 13 test texts of toy are training texts of leak" in capsys.readouterr().err
    known = (place / "toy.yaml").read_text().replace("test: test.jsonl\n", "")
    (place / "rest.yaml").write_text(known.replace("name: toy", "name: rest"))
    both = f"{place / 'rest.yaml'},{tmp_path / 'leak.yaml'}"
    argv = flags(place, tmp_path / "rest", task_file=both, sources=None, seeds=1, shots=4,
                 methods="multitask_prompt")  # fmt: skip
    assert main(argv) == 0
    told = "9 texts, which are tested where they are not drawn, of rest are training texts of leak"
    assert told in capsys.readouterr().err


def test_the_name_of_the_task_stands_before_its_text(place):
    from ppt.fewshot.views import TaskView

    data = ppt.load_task(place / "toy.yaml")
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    view = TaskView.of(data, METHODS["multitask_tuning"], backbone, 96, None)
    shown = view.draw(4, 0).train
    assert all(text.startswith("toy: ") for text in shown.texts)


def test_all_rows_train_but_those_that_validate(place, tmp_path):
    library = tmp_path / "library"
    argv = flags(place, tmp_path / "all", shots="all", seeds=1, sources=None,
                 methods="prompt_tuning", library=library)  # fmt: skip
    assert main(argv) == 0
    (row,) = rows_of(tmp_path / "all")
    assert (row["shots"], row["validation"]["rows"]) == (36, 4)
    card = read_card(library / "toy")
    assert card["task"] == "toy"
    assert card["steps"] == 4
    assert card["embedding_step"] == 4
    assert card["validation"]["accuracy"] == row["validation"]["accuracy"]
    assert torch.equal(read_values(library / "toy"), read_values(tmp_path / "all" / row["adapter"]))
    assert read_early(library / "toy" / EARLY).step == 4
    (source,), _ = as_sources(find_prompts([str(library)]), str(place / "llama"))
    assert (source.name, source.task) == ("toy", "toy")


# --- what users meet --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": "spot_best", "sources": None}, "give a folder of them as --sources"),
        ({"methods": "spot_best:9"}, "takes 9 sources, and 3 can serve (other, pair, sentiment)"),
        ({"methods": "spot_mixture:3"}, "their corpora as --corpora"),
        ({"methods": "spot"}, "give spot:<name>, or spot:all for each"),
        ({"methods": "spot:sentimnt"}, "Did you mean 'sentiment'?"),
        ({"methods": "spot_best:x"}, "expected a number from 1 to 1000"),
        ({"methods": "multitask_prompt"}, "got one task, expected several"),
        ({"methods": "spot:pair", "embedding_steps": 5}, "expected at most 4 (--max_steps)"),
        ({"methods": "zero_shot", "library": "x"}, "add prompt_tuning to --methods"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(place, tmp_path, capsys, changes, said):
    assert said in fails(capsys, flags(place, tmp_path / "results", **changes))


def test_sources_that_do_not_fit_are_told(place, tmp_path, capsys):
    put_source(tmp_path / "library" / "foreign", 1, "another-model")
    argv = flags(place, tmp_path / "a", sources=tmp_path / "library", methods="spot:all")
    assert "was trained for another-model" in fails(capsys, argv)
    put_source(tmp_path / "library" / "short", 1, place / "llama", length=2)
    put_source(tmp_path / "library" / "long", 2, place / "llama")
    argv = flags(place, tmp_path / "b", sources=tmp_path / "library", methods="spot_average:2")
    assert "the sources have several lengths (short 2 and long 4 tokens)" in fails(capsys, argv)


def test_a_library_keeps_what_is_not_of_the_task(place, tmp_path, capsys):
    put_source(tmp_path / "toy", 1, place / "llama", task="else")
    argv = flags(place, tmp_path / "results", sources=None, methods="prompt_tuning",
                 library=tmp_path)  # fmt: skip
    assert "holds no prompt of task toy" in fails(capsys, argv)


def test_names_with_a_colon_are_methods():
    assert find_method("spot_best:5").members == 5
    assert find_method("spot_best:1").combine is None
    assert find_method("spot_best").combine == BEST
    assert find_method("spot:x").source == "x"
    with pytest.raises(UnknownNameError):
        find_method("ppt:3")
    with pytest.raises(ConfigError):
        find_method("spot_best:0")
    with pytest.raises(ConfigError, match=r"expected a number from 1 to 1000\.$"):
        find_method("spot_best:" + "9" * 5000)


# --- pre-training keeps the early prompt ------------------------------------------------


def test_pretraining_keeps_the_prompt_of_the_early_step_over_a_kill(place, tmp_path, monkeypatch):
    argv = [f"--{name}={value}" for name, value in {
        "format": "sentiment", "corpus": place / "corpora" / "sentiment", "model": place / "llama",
        "max_steps": 6, "eval_steps": 2, "save_steps": 1, "max_length": 48, "prompt_length": 4,
        "per_device_train_batch_size": 4, "embedding_steps": 3, "device": "cpu",
        "tensorboard": "false",
    }.items()]  # fmt: skip
    assert pretrain([*argv, f"--output_dir={tmp_path / 'whole'}"]) == 0
    early = read_early(tmp_path / "whole" / "prompt" / EARLY)
    assert early.step == 3
    assert not torch.equal(early.start, early.value)
    part = tmp_path / "part"
    from ppt.training.loop import Loop

    step = Loop._step

    def killed(self, *args):
        if self.step == 2:
            raise KeyboardInterrupt
        step(self, *args)

    monkeypatch.setattr(Loop, "_step", killed)
    assert pretrain([*argv, f"--output_dir={part}"]) == 130
    monkeypatch.undo()
    assert read_early(part / "prompt" / EARLY) is None
    assert pretrain([*argv, f"--output_dir={part}"]) == 0
    assert load_file(part / "prompt" / EARLY).keys() == {"start", "value", "step"}
    again = read_early(part / "prompt" / EARLY)
    assert torch.equal(again.value, early.value)
    assert torch.equal(again.start, early.start)
    card = read_card(part / "prompt")
    assert (card["format"], card["steps"], card["embedding_step"]) == ("sentiment", 6, 3)


def test_pretraining_that_stops_before_the_early_step_keeps_its_last(place, tmp_path):
    argv = [f"--{name}={value}" for name, value in {
        "format": "sentiment", "corpus": place / "corpora" / "sentiment", "model": place / "llama",
        "max_steps": 9, "eval_steps": 1, "early_stopping_patience": 2,
        "metric_for_best_model": CLEAR,
        "max_length": 48, "prompt_length": 4, "embedding_steps": 9, "device": "cpu",
        "tensorboard": "false", "output_dir": tmp_path / "run",
    }.items()]  # fmt: skip
    assert pretrain(argv) == 0
    folder = tmp_path / "run" / "prompt"
    early, card = read_early(folder / EARLY), read_card(folder)
    assert early.step == card["embedding_step"] == card["steps"] < 9
    assert not torch.equal(early.start, early.value)


def test_tuning_that_stops_before_the_early_step_keeps_its_last(place, tmp_path):
    argv = flags(place, tmp_path / "results", sources=None, methods="prompt_tuning", seeds=3,
                 max_steps=9, eval_steps=1, early_stopping_patience=1, learning_rate=3,
                 embedding_steps=9, library=tmp_path / "library")  # fmt: skip
    assert main(argv) == 0
    rows = rows_of(tmp_path / "results")
    assert any(row["stopped_early"] for row in rows)
    for row in rows:
        assert read_early(tmp_path / "results" / row["adapter"] / EARLY).step == row["steps"]
    folder = tmp_path / "library" / "toy"
    card = read_card(folder)
    assert read_early(folder / EARLY).step == card["embedding_step"] == card["steps"]


# --- the matrix -------------------------------------------------------------------------


def test_gains_are_relative_reductions_of_the_error(grid):
    runs = read_lines(grid / "results.jsonl").runs.values()
    one = next(gain for gain in gains(runs) if gain.source == "pair")
    wrong = {(run.method, run.seed): 1 - run.test.accuracy for run in runs}
    before = np.mean([wrong["prompt_tuning", seed] for seed in (0, 1)])
    after = np.mean([wrong["spot:pair", seed] for seed in (0, 1)])
    assert one.mean == pytest.approx((before - after) / before)


def test_correlation_is_pearsons_from_each_targets_mean():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 3))
    y = x + 0.5 * noise + np.array([0.0, 30.0])[:, None, None]
    found = correlation(x, y)
    apart = [(one - one.mean((1, 2), keepdims=True)).ravel() for one in (x, y)]
    assert found.r == pytest.approx(np.corrcoef(*apart)[0, 1])
    assert found.n == 30
    assert found.p < 0.05
    assert correlation(x, rng.normal(size=x.shape)).p > 0.05
    x[0, 0] = np.nan
    assert correlation(x, y).n == 27
    assert correlation(np.ones((1, 4, 1)), np.ones((1, 4, 1))) is None


def test_the_command_shows_and_writes_all(place, grid, tmp_path, capsys):
    output = tmp_path / "transfer"
    argv = [str(place / "library"), f"--results={grid}", f"--model={place / 'llama'}",
            f"--output_dir={output}"]  # fmt: skip
    assert transfer(argv) == 0
    assert transfer(argv) == 0, "what it wrote itself may be written again"
    shown = capsys.readouterr().out
    text = (output / "transfer.md").read_text()
    for title in ("Similarity of sources (means)", "Nearest sources", "Transfer, 8 shots (%)",
                  "Errors by retrieval, 8 shots (%)", "Similarity and gain, 8 shots"):  # fmt: skip
        assert title in text
        assert title in shown
    lines = list(csv.DictReader((output / "transfer.csv").open()))
    assert len(lines) == 6
    for line in lines:
        assert float(line["similarity"]) <= 1
        assert line["target"] == "toy"
    assert len(list(csv.DictReader((output / "similarities.csv").open()))) == 16
    assert {path.name for path in output.glob("*")} >= {"config.json", "transfer.md"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "transfer.md").write_text("mine")
    assert transfer([*argv[:-1], f"--output_dir={tmp_path / 'mine'}"]) == 2
    assert (tmp_path / "mine" / "transfer.md").read_text() == "mine"


def test_the_best_of_the_nearest_in_the_table_is_that_of_the_method(place, grid):
    """`spot_best:2` and the table of retrieval, which chooses among runs that exist, agree."""
    sources, _ = as_sources(find_prompts([str(place / "library")]), str(place / "llama"))
    runs = selected(read_lines(grid / "results.jsonl").runs.values())
    top = compare(sources, runs, grid, 8, "means").top("toy", 2)
    rows = [row for row in rows_of(grid) if row["method"] == "spot_best:2"]
    assert top.after == pytest.approx(np.mean([1 - row["test"]["accuracy"] for row in rows]))
    assert top.seeds == 2


def test_the_report_has_the_matrix(grid):
    from ppt.results.figures import plots_of
    from ppt.results.report import make_report

    made = make_report(grid)
    plots = [one for one in plots_of(made.chosen, made.rows) if one.kind == "transfer"]
    assert [one.name for one in plots] == ["transfer-8"]
    figure = plots[0].draw()
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert len(numbers) == 3
    page = html_page(made)
    assert 'id="transfer"' in page
    assert METHODS["spot"].summary.split(":")[0] in page


def test_the_report_shows_the_plots_of_the_comparison(place, grid, tmp_path, capsys):
    plots, page = tmp_path / "out", tmp_path / "page.html"
    assert transfer([str(place / "library"), f"--model={place / 'llama'}", f"--results={grid}",
                     f"--output_dir={plots}"]) == 0  # fmt: skip
    argv = [str(grid), f"--output={page}"]
    assert report([*argv, f"--transfer={plots}"]) == 0
    shown = page.read_text()
    for name in ("similarities", "correlation-8"):
        data = base64.b64encode((plots / f"{name}.png").read_bytes()).decode()
        assert f'alt="{name}" src="data:image/png;base64,{data}"' in shown
    capsys.readouterr()
    assert report([*argv, f"--transfer={tmp_path}"]) == 2
    assert "expected a folder with the plots of python -m ppt.transfer" in capsys.readouterr().err


def test_sources_without_an_early_prompt_are_told_and_stand_for_themselves(place, tmp_path, capsys):
    for seed, name in enumerate("ab"):
        put_source(tmp_path / name, seed, place / "llama", early=False)
    assert transfer([str(tmp_path), f"--model={place / 'llama'}",
                     f"--output_dir={tmp_path / 'out'}"]) == 0  # fmt: skip
    said = capsys.readouterr()
    assert "a, b: no early prompt was kept" in said.err
    expected = similarities([prompt_of(0)], [prompt_of(1)], "means")[0, 0]
    rows = list(csv.DictReader((tmp_path / "out" / "similarities.csv").open()))
    found = {(row["source"], row["other"]): float(row["similarity"]) for row in rows}
    assert found["a", "b"] == pytest.approx(expected, abs=1e-6)


def test_labels_of_tasks_in_memory_may_differ(place):
    """Sources of one set of labels serve tasks of another."""
    labels = tuple(Label(word, word, word) for word in ("no", "maybe", "yes"))
    rows = [
        {"t": f"text {i} {labels[i % 3].word}", "label": labels[i % 3].value} for i in range(24)
    ]
    task = Task("three", "sentiment", labels, Columns(("t",)), Rows(rows[:18], rows[18:]))
    backbone = ppt.load_backbone(str(place / "llama"), device="cpu")
    done = ppt.tune(ppt.load_task(task), backbone, methods=["spot:all"], shots=3, seeds=1,
                    sources=[place / "library" / "pair", place / "library" / "toy"],
                    max_steps=1, eval_steps=1, max_length=48)  # fmt: skip
    assert [run.method for run in done.runs] == ["spot:pair", "spot:toy"]
    assert replace(done.runs[0], seconds=0.0).init == "sources:pair"


# --- results that others changed --------------------------------------------------------


def compared(place, grid, runs, measure="means"):
    sources, _ = as_sources(find_prompts([str(place / "library")]), str(place / "llama"))
    return compare(sources, runs, grid, 8, measure)


def test_errors_by_retrieval_are_over_the_same_seeds(place, grid):
    runs = selected(read_lines(grid / "results.jsonl").runs.values())
    lacking = [run for run in runs if (run.method, run.seed) != ("spot:pair", 1)]
    one = compared(place, grid, lacking)
    (base,) = [run for run in runs if (run.method, run.seed) == ("prompt_tuning", 0)]
    for k in (1, 3, None):
        assert one.top("toy", k).seeds == 1
        assert one.top("toy", k).before == pytest.approx(1 - base.test.accuracy)
    assert one.top("toy", 4) is None


def test_a_strangers_task_names_no_file_elsewhere(place, grid, tmp_path):
    runs = [replace(run, task="../out") for run in read_lines(grid / "results.jsonl").runs.values()]
    save_early(tmp_path / "out" / "shots-8-seed-0.safetensors", 2, prompt_of(2), 2 * prompt_of(2))
    (tmp_path / "embeddings").mkdir()
    assert compared(place, tmp_path, runs).near == {}


def changed_results(grid, folder, change):
    folder.mkdir()
    lines = [json.dumps(change(row)) + "\n" for row in rows_of(grid)]
    (folder / "results.jsonl").write_text("".join(lines))
    return folder


def test_results_of_another_backbone_are_refused(place, grid, tmp_path, capsys):
    folder = changed_results(grid, tmp_path / "other", lambda row: {**row, "model": "gpt2"})
    argv = [str(place / "library"), f"--results={folder}", f"--model={place / 'llama'}",
            f"--output_dir={tmp_path / 'out'}"]  # fmt: skip
    assert "has runs of gpt2, got --model" in fails(capsys, argv, transfer)
    wide = torch.ones(LENGTH, 16)
    save_early(embedding_file(folder, "toy", 8, 0), 2, wide, 2 * wide)
    with pytest.raises(InputError, match="hidden size 16, the sources have 32"):
        compared(place, folder, read_lines(grid / "results.jsonl").runs.values())


def test_a_target_without_errors_is_told(place, grid, tmp_path, capsys):
    def perfect(row):
        if row["method"] != "prompt_tuning":
            return row
        sizes = [sum(counts) for counts in row["confusion"]]
        right = [[n * (i == j) for j in range(len(sizes))] for i, n in enumerate(sizes)]
        return {**row, "test": {**row["test"], "accuracy": 1.0}, "confusion": right}

    folder = changed_results(grid, tmp_path / "perfect", perfect)
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"run": "cut')
    argv = [str(place / "library"), f"--results={folder}", f"--model={place / 'llama'}",
            f"--output_dir={tmp_path / 'out'}"]  # fmt: skip
    assert transfer(argv) == 0
    told = capsys.readouterr().err
    assert "toy, 8 shots: no gain to tell" in told
    assert "The last line of results.jsonl was cut off" in told


def test_runs_from_another_librarys_prompts_are_told(place, grid, tmp_path, capsys):
    put_source(tmp_path / "library" / "pair", 2, place / "llama")
    argv = [f"--results={grid}", f"--model={place / 'llama'}", f"--output_dir={tmp_path / 'out'}"]
    assert transfer([str(tmp_path / "library"), *argv]) == 0
    assert "began with other prompts" not in capsys.readouterr().err
    put_source(tmp_path / "library" / "pair", 9, place / "llama")
    assert transfer([str(tmp_path / "library"), *argv]) == 0
    assert "note: runs from pair began with other prompts" in capsys.readouterr().err
