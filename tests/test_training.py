"""The loop: it learns, resumes bit by bit, keeps the best, stops as asked, fails clearly."""

import errno
import json
import os
import signal

import numpy as np
import pytest
import torch

from ppt.base import files
from ppt.base.files import SCRATCH
from ppt.base.signals import StopRequest
from ppt.errors import ConfigError, InputError, OutputError, TrainingError
from ppt.prompts.batches import collate
from ppt.prompts.soft import Residual, SoftPrompt
from ppt.training import keeper, objective
from ppt.training import log as logs
from ppt.training import state as checkpoints
from ppt.training.card import draw_loss, read_metrics, smoothed
from ppt.training.evaluation import (
    Evaluation,
    best_of,
    best_step,
    has_stalled,
    is_clear,
)
from ppt.training.log import RunLog
from ppt.training.loop import Loop
from ppt.training.settings import PretrainConfig
from ppt.training.state import latest, load_state, save_state
from ppt.training.trainables import PromptBank
from tests.toys import settings, toy, train


@pytest.fixture(scope="module")
def llama():
    return toy("llama", num_hidden_layers=1)


def fresh(backbone, residual=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(4, backbone.hidden_size, generator=generator) * 0.3
    network = Residual(backbone.hidden_size, residual, generator) if residual else None
    return SoftPrompt(values, network)


class Ended:
    """A run that came to its end: its course, the prompt it is left with, its last state."""

    def __init__(self, course, bank, folder, metric):
        self.course, self.best = course, course.best(metric)
        (self.prompt,) = bank.value(0)
        last = load_state(latest(folder))
        times = {"seconds", "window", "metrics_bytes"}
        self.values = {k: v for k, v in last.values.items() if k not in times}
        # rng: the tests draw from it in between, and training never does
        self.tensors = {k: v for k, v in last.tensors.items() if not k.startswith("rng")}


def run(toy, folder, *, residual=0, resume="auto", identity=None, **changes):
    backbone, examples = toy
    bank, own = PromptBank(backbone, [fresh(backbone, residual)]), settings(**changes)
    course = train(bank, examples, own, folder, resume=resume, identity=identity, progress="none")
    return Ended(course, bank, folder, own.metric_for_best_model)


def evaluated(bank, examples, **changes):
    rows = objective.CorpusRows(bank, examples, settings(**changes).resolved())
    (found,) = rows.evaluate([0], 0, lambda _: False)
    return found


def same(one, other):
    assert torch.equal(one.prompt, other.prompt)
    assert one.course.history == other.course.history
    assert one.values == other.values
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name


def without_times(rows):
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows]


class KilledError(Exception):
    """Stands in for a kill, at whatever place a test puts it."""


def stop_in(monkeypatch, owner, name, at):
    """Let call number `at` of a function raise before it does anything."""
    real, calls = getattr(owner, name), [0]

    def stopping(*args, **kwargs):
        calls[0] += 1
        if calls[0] == at:
            raise KilledError
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("loss", ["verbalizer", "vocabulary"])
def test_the_loss_falls_on_what_can_be_learned(tmp_path, family, optimizer, loss):
    result = run(toy(family), tmp_path, optimizer=optimizer, loss=loss, max_steps=40,
                 eval_steps=10, learning_rate=0.2)  # fmt: skip
    assert result.best.loss < 0.9 * result.course.first.loss
    assert [one.step for one in result.course.history] == [0, 10, 20, 30, 40]
    assert result.best is best_of(result.course.history, "loss")
    assert result.course.examples == 40 * 8


def test_training_leaves_the_backbone_alone(tmp_path, llama):
    before = {name: p.clone() for name, p in llama[0].model.named_parameters()}
    run(llama, tmp_path)
    for name, parameter in llama[0].model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_where_gradients_are_off_training_turns_them_on(tmp_path, llama):
    usual = run(llama, tmp_path / "usual")
    with torch.no_grad():
        same(run(llama, tmp_path / "off"), usual)


PLACES = [
    *((Loop, "_step", at) for at in (1, 2, 4, 5, 9, 12)),
    *((Loop, "_evaluate", at) for at in (1, 2, 4)),
    *((keeper, "save_state", at) for at in (1, 2, 4)),
    *((files.os, "replace", at) for at in (1, 3)),
    *((checkpoints, "write_synced", at) for at in (2, 5)),
    (RunLog, "trained", 3),
    (RunLog, "evaluated", 3),
]


KINDS = {
    "adamw": {"optimizer": "adamw", "residual": 0},
    "adafactor": {"optimizer": "adafactor", "residual": 8, "pull": 2.0},
}
CUT = {"max_steps": 13, "gradient_accumulation_steps": 2, "lr_scheduler_type": "cosine"}


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory, llama):
    folder = tmp_path_factory.mktemp(request.param)
    changes = {**CUT, **KINDS[request.param]}
    return run(llama, folder, **changes), without_times(read_metrics(folder)), changes


@pytest.mark.promise("bits")
@pytest.mark.parametrize(("owner", "name", "at"), PLACES)
def test_a_run_cut_off_anywhere_ends_in_the_same_bits(tmp_path, llama, whole, owner, name, at):
    result, rows, changes = whole
    with pytest.MonkeyPatch.context() as patch:
        stop_in(patch, owner, name, at)
        with pytest.raises(KilledError):
            run(llama, tmp_path, **changes)
    torch.manual_seed(99)
    same(run(llama, tmp_path, **changes), result)
    assert without_times(read_metrics(tmp_path)) == rows
    assert [row["step"] for row in rows if row["split"] == "train"] == [2, 4, 6, 8, 10, 12, 13]


def test_each_step_goes_part_of_the_way_back_to_the_start(tmp_path, llama):
    start, one = fresh(llama[0]).values, {"max_steps": 1, "eval_steps": 1}
    free = run(llama, tmp_path / "free", **one).prompt
    pulled = run(llama, tmp_path / "pulled", pull=5.0, learning_rate=0.05, **one).prompt
    assert not torch.equal(free, start)
    assert torch.allclose(pulled, free + 0.05 * 5 * (start - free), atol=1e-6)
    held = run(llama, tmp_path / "held", pull=1e6, max_steps=12)
    assert torch.equal(held.prompt, start)


def test_a_finished_run_gives_its_result_again(tmp_path, llama):
    same(run(llama, tmp_path), run(llama, tmp_path))


def test_the_state_holds_all_and_the_newest_are_kept(tmp_path, llama):
    run(llama, tmp_path, save_total_limit=3)
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-12", "checkpoint-6", "checkpoint-9",
    ]  # fmt: skip
    assert not list(tmp_path.glob(f"{SCRATCH}*"))
    state = load_state(latest(tmp_path))
    assert {"prompt.values", "best.0", "rng.cpu", "optimizer.0.exp_avg"} <= set(state.tensors)
    assert state.step == 12


def test_runs_can_begin_anew_or_go_on_from_a_given_state(tmp_path, llama):
    whole = run(llama, tmp_path, save_total_limit=9)
    same(run(llama, tmp_path, resume=str(tmp_path / "checkpoint-6"), save_total_limit=9), whole)
    same(run(llama, tmp_path, resume="none"), whole)
    steps = [row["step"] for row in read_metrics(tmp_path) if row["split"] == "validation"]
    assert steps == [0, 4, 8, 12]
    with pytest.raises(InputError, match=r"cannot read the state .*nowhere"):
        run(llama, tmp_path, resume=str(tmp_path / "nowhere"))


def test_a_state_of_other_data_is_refused(tmp_path, llama):
    run(llama, tmp_path, identity={"corpus": "a"})
    with pytest.raises(ConfigError, match="made with corpus 'a', this run has 'b'"):
        run(llama, tmp_path, identity={"corpus": "b"})
    with pytest.raises(ConfigError, match="stored data position has rows 48, this run has 40"):
        run(toy("llama", train=40), tmp_path, identity={"corpus": "a"})


def test_a_corrupt_state_is_named(tmp_path, llama):
    run(llama, tmp_path)
    (tmp_path / "checkpoint-12" / "state.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read the state .*checkpoint-12.*remove"):
        run(llama, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("place", ["_step", "_evaluate"])
def test_signals_save_and_leave_with_the_usual_code(
    tmp_path, llama, monkeypatch, number, place, capsys
):
    whole = run(llama, tmp_path / "whole", logging_steps=4)
    real, calls = getattr(Loop, place), [0]

    def with_signal(self, active, stop):
        calls[0] += 1
        if calls[0] == 2:
            os.kill(os.getpid(), number)
        real(self, active, stop)

    before = signal.getsignal(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, place, with_signal)
        leave = KeyboardInterrupt if number == signal.SIGINT else SystemExit
        with pytest.raises(leave) as left:
            run(llama, tmp_path / "cut", logging_steps=4)
    if number == signal.SIGTERM:
        assert left.value.code == 143
        assert capsys.readouterr().err == "stopped; run the same command again to go on.\n"
    assert signal.getsignal(number) is before
    assert latest(tmp_path / "cut").name == f"checkpoint-{ {'_step': 2, '_evaluate': 4}[place] }"
    same(run(llama, tmp_path / "cut", logging_steps=4), whole)
    rows = [without_times(read_metrics(tmp_path / name)) for name in ("whole", "cut")]
    assert rows[0] == rows[1]


def test_a_second_signal_is_not_held_back():
    # A shell's background jobs ignore SIGINT from the start: take Python's own handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.received == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, llama, monkeypatch, scale):
    real, calls = objective.LOSSES["verbalizer"], [0]

    def spoiled(scores, labels, reduction):
        calls[0] += 1
        return real(scores, labels, reduction=reduction) * (scale if calls[0] == 6 else 1)

    monkeypatch.setitem(objective.LOSSES, "verbalizer", spoiled)  # call 1 is the evaluation
    with pytest.raises(TrainingError) as error:
        run(llama, tmp_path, eval_steps=100)
    text = str(error.value)
    assert f"the loss is {scale} at step 4" in text
    assert f"the last good checkpoint is {tmp_path / 'checkpoint-3'}" in text
    assert "--learning_rate (now 0.05)" in text
    assert "\n" not in text
    assert load_state(latest(tmp_path)).tensors["prompt.values"].isfinite().all()


def test_a_loss_that_is_no_number_stops_a_run_in_memory_too(llama, monkeypatch):
    backbone, examples = llama
    bank = PromptBank(backbone, [fresh(backbone)])
    real, calls = objective.LOSSES["verbalizer"], [0]

    def spoiled(scores, labels, reduction):
        calls[0] += 1
        return real(scores, labels, reduction=reduction) * (float("nan") if calls[0] == 4 else 1)

    monkeypatch.setitem(objective.LOSSES, "verbalizer", spoiled)
    with pytest.raises(TrainingError, match="the loss is nan at step 2; there is no checkpoint"):
        train(bank, examples, settings(eval_steps=100), progress="none")


def test_want_of_memory_is_one_line_with_its_cures(tmp_path, llama, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it.")

    monkeypatch.setattr(type(llama[0]), "score", full)
    with pytest.raises(TrainingError) as error:
        run(llama, tmp_path)
    assert str(error.value).startswith("cpu has too little memory (CUDA out of memory): begin anew")
    assert "--per_device_train_batch_size" in str(error.value)


def test_want_of_memory_on_a_cpu_is_one_line_too(tmp_path, llama, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail at x.cpp:1] . DefaultCPUAllocator: can't allocate memory")

    def broken(*_, **__):
        raise RuntimeError("another matter")

    monkeypatch.setattr(type(llama[0]), "score", full)
    with pytest.raises(TrainingError, match="cpu has too little memory"):
        run(llama, tmp_path)
    monkeypatch.setattr(type(llama[0]), "score", broken)
    with pytest.raises(RuntimeError, match="another matter"):
        run(llama, tmp_path)


@pytest.mark.parametrize("value", [1e38, 1e300, 0.0, -1.0, float("inf")])
def test_rates_that_no_number_of_32_bits_holds_are_refused(value):
    with pytest.raises(ConfigError, match="--learning_rate"):
        settings(learning_rate=value)


@pytest.mark.parametrize("change", [{"threads": 100_000}, {"prompt_length": 10**9}])
def test_numbers_that_would_break_the_process_are_refused(change):
    with pytest.raises(ConfigError, match=r"expected 1 to [\d,]+\."):
        PretrainConfig(format="sentiment", **change)


def test_fewer_examples_than_a_batch_make_one_batch(tmp_path):
    result = run(toy("llama", train=5, validation=2), tmp_path, per_device_train_batch_size=8,
                 gradient_accumulation_steps=2, max_steps=3)  # fmt: skip
    assert result.course.examples == 15
    assert result.course.history[0].rows == 2


def test_no_more_passes_than_rows(tmp_path, llama):
    one, other = (
        run(llama, tmp_path / str(turns), per_device_train_batch_size=1, max_steps=2,
            gradient_accumulation_steps=turns) for turns in (len(llama[1].train), 10**12)
    )  # fmt: skip
    assert torch.equal(one.tensors["prompt.values"], other.tensors["prompt.values"])


def test_accumulation_is_a_larger_batch(tmp_path, llama):
    one = run(llama, tmp_path / "one", per_device_train_batch_size=12)
    for turns, size in ((2, 6), (4, 3), (12, 1)):
        other = run(llama, tmp_path / str(turns), per_device_train_batch_size=size,
                    gradient_accumulation_steps=turns)  # fmt: skip
        assert torch.allclose(
            one.tensors["prompt.values"], other.tensors["prompt.values"], atol=2e-4
        )
        assert other.best.loss == pytest.approx(one.best.loss, rel=1e-4)


def test_gradients_are_clipped(tmp_path, llama):
    for norm in (0.0, 1e-3):
        run(llama, tmp_path / str(norm), max_grad_norm=norm)
    free, clipped = (read_metrics(tmp_path / str(norm))[1] for norm in (0.0, 1e-3))
    assert free["grad_norm"] == pytest.approx(clipped["grad_norm"], rel=0.2)  # before clipping


def scores(step, loss, accuracy=0.0):
    return Evaluation(step, loss, accuracy, 0.2, 5, {})


def test_the_best_is_by_loss_or_by_accuracy_then_loss_or_the_first():
    history = [scores(0, 3.0, 0.1), scores(1, 1.0, 0.2), scores(2, 2.0, 0.4), scores(3, 1.5, 0.4),
               scores(4, 1.0, 0.1)]  # fmt: skip
    assert best_of(history, "loss").step == 1
    assert best_of(history, "accuracy").step == 3
    assert best_of(history, "one_standard_error").step == 2
    assert [has_stalled(history, "loss", n) for n in (0, 3, 4)] == [False, True, False]
    assert not has_stalled(history, "accuracy", 2)


def answered(step, right, rows):
    return Evaluation(step, 1.0 / (1 + step), right / rows, 0.5, rows, {})


@pytest.mark.parametrize(
    ("before", "after", "rows", "clear"),
    [
        (7, 8, 8, False),  # one answer more is no evidence, however few there are
        (3, 4, 4, False),
        (6, 8, 8, True),  # 2 > sqrt(8 * 0.75 * 0.25) = 1.22
        (28, 30, 32, True),  # 2 > 1.87
        (27, 29, 32, False),  # 2 < 2.05
        (16, 19, 32, True),  # 3 > 2.83
        (16, 18, 32, False),
        (8, 8, 8, False),
        (0, 1, 8, False),
        (0, 2, 8, True),
    ],
)
def test_a_gain_is_clear_above_one_answer_and_one_standard_error(before, after, rows, clear):
    assert is_clear(answered(1, after, rows), answered(0, before, rows)) is clear


def test_a_start_is_kept_until_a_step_is_clearly_better():
    rule, rights = "one_standard_error", (6, 7, 8, 8, 7)
    history = [answered(step, right, 8) for step, right in enumerate(rights)]
    kept = [best_step(history[: n + 1], rule).step for n in range(5)]
    assert kept == [0, 0, 2, 2, 2]
    assert best_step(history, "accuracy").step == 3  # of equals the lower loss
    assert [has_stalled(history[:2], rule, n) for n in (1, 2)] == [True, False]


def test_early_stopping_keeps_the_best_prompt(tmp_path):
    backbone, examples = whole = toy("llama")
    stops = {"learning_rate": 30.0, "early_stopping_patience": 2, "eval_steps": 1, "max_steps": 30}
    result = run(whole, tmp_path, **stops)
    assert result.course.stopped_early
    assert result.course.step == result.best.step + 2 < 30
    again = evaluated(PromptBank(backbone, [result.prompt]), examples)
    assert again.loss == pytest.approx(result.best.loss, rel=1e-6)
    assert not torch.equal(result.prompt, result.tensors["prompt.values"])
    same(run(whole, tmp_path, **stops), result)


@pytest.mark.parametrize("format_name", ["unified", "multiple_choice", "sentence_pair"])
def test_evaluation_agrees_with_counting_row_by_row(format_name):
    backbone, examples = toy("llama", format_name)
    prompt = fresh(backbone).folded()
    bank = PromptBank(backbone, [prompt])
    result = evaluated(bank, examples, per_device_eval_batch_size=5)
    right, losses, chances = [], [], []
    for i in range(len(examples.validation)):
        batch = collate(examples.validation, np.array([i]), examples.words)
        row = backbone.score(prompt, batch)[0]
        right.append(int(row.argmax()) == int(batch.labels))
        losses.append(-float(row.log_softmax(-1)[batch.labels]))
        chances.append(1 / int(batch.allowed.sum()))
    assert result.accuracy == pytest.approx(np.mean(right))
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert result.chance == pytest.approx(np.mean(chances))
    kinds = {"unified": {"2", "3", "4"}, "multiple_choice": {"6"}, "sentence_pair": {"3"}}
    assert set(result.by_options) == kinds[format_name]
    assert sum(one["rows"] for one in result.by_options.values()) == result.rows == 24
    hits = sum(one["rows"] * one["accuracy"] for one in result.by_options.values())
    assert hits == pytest.approx(sum(right))


@pytest.mark.promise("disk")
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tmp_path, llama, monkeypatch):
    whole = run(llama, tmp_path / "whole")
    real, calls = checkpoints.write_synced, [0]

    def full(path, data):
        calls[0] += 1
        if calls[0] > 3:  # the second state's second file
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "write_synced", full)
        with pytest.raises(OutputError) as error:
            run(llama, tmp_path / "full")
    assert str(error.value) == (
        f"cannot write {tmp_path / 'full' / 'checkpoint-6'}: No space left on device: free some"
        " space and run the same command again to go on from step 3."
    )
    assert [p.name for p in (tmp_path / "full").glob("*check*")] == ["checkpoint-3"]
    same(run(llama, tmp_path / "full"), whole)


@pytest.mark.promise("disk")
def test_a_full_disk_for_the_metrics_is_one_line_too(tmp_path, llama, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*metrics.jsonl: No space left"):
        run(llama, tmp_path)


def test_a_killed_save_leaves_no_litter(tmp_path):
    (tmp_path / f"{SCRATCH}77-1").mkdir()
    save_state(tmp_path, checkpoints.State({"a": torch.ones(1)}, {"step": 2}), keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-2"]


def test_logs_for_people(drawn, tmp_path, llama):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(llama, tmp_path, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = read_metrics(tmp_path)
    for split in ("train", "validation"):
        wanted = [(r["step"], r["loss"]) for r in rows if r["split"] == split]
        found = [(e.step, e.value) for e in events.Scalars(f"{split}/loss")]
        assert found == [(step, pytest.approx(loss)) for step, loss in wanted]
    assert draw_loss(tmp_path, rows, "toy").stat().st_size > 5000
    assert json.dumps(rows)
    for line in ("[1]", '{"split": "train", "step": 1}', '{"split": [], "loss": 1}', '{"loss": 2}'):
        (tmp_path / "metrics.jsonl").write_text(json.dumps(rows[0]) + f"\n{line}\n")
        with pytest.raises(InputError, match="line 2 is no row of a run"):
            read_metrics(tmp_path)
    assert {"grad_norm", "learning_rate", "accuracy", "examples_per_second"} <= set(rows[1])


@pytest.mark.promise("bits")
@pytest.mark.parametrize("torn", ['{"split": "tra', ""])
def test_metrics_torn_within_what_a_state_counts_on_lose_only_the_torn_row(tmp_path, llama, torn):
    run(llama, tmp_path)
    rows = read_metrics(tmp_path)
    state = tmp_path / "checkpoint-9"
    kept = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)[:4]
    (tmp_path / "metrics.jsonl").write_text("".join(kept) + torn)  # by a crash of the machine
    run(llama, tmp_path, resume=str(state))
    assert without_times(read_metrics(tmp_path)) == without_times(
        [row for i, row in enumerate(rows) if i < 4 or row["step"] > 9]
    )


def test_the_bar_ends_at_its_end_and_tells_the_time_left(tmp_path, llama, monkeypatch, capsys):
    bars = []

    class Bar(logs.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "mininterval": 0})
            bars.append(self)

    monkeypatch.setattr(logs, "tqdm", Bar)
    backbone, examples = llama
    bank = PromptBank(backbone, [fresh(backbone)])
    train(bank, examples, settings(max_steps=10), tmp_path, progress="bar")
    assert bars[0].n == bars[0].total == 10 * 8 * 2 + 4 * 24  # steps and evaluations are work
    shown = capsys.readouterr().err.split("\r")
    assert any("step 0 of 10, evaluating" in one for one in shown)
    assert "step 10 of 10: 100%" in shown[-1]
    assert "validation=" in shown[-1]
    assert any(f"<00:0{n}" in one for n in range(9) for one in shown)


def test_lines_for_log_files(tmp_path, llama, capsys):
    backbone, examples = llama
    bank = PromptBank(backbone, [fresh(backbone)])
    train(bank, examples, settings(), tmp_path, progress="lines")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"step {n} of 12" for n in (0, 4, 8, 12)]
    assert all(" validation " in line for line in lines)
    assert "examples " in lines[-1]
    assert lines[-1].endswith(", 00:00 left")


def test_smoothing_starts_unbiased():
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2, 2, 2])
    assert smoothed([1.0, 0.0])[1] == pytest.approx(0.16 / 0.36)
