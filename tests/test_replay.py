"""Recorded steps give what steps give that are launched kernel by kernel."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ppt.errors import InputError
from ppt.training import replay as replays
from ppt.training.replay import SEEN_BEFORE, Replay
from ppt.training.trainables import PromptBank, Trainable
from tests.tiny import tiny_batch, tiny_llama


class Again:
    """A graph for machines without a GPU: a replay computes anew and writes where it wrote."""

    def __init__(self, step):
        self.step, self.found = step, step()

    def replay(self):
        told, gradients = self.step()
        self.found[0].copy_(told)
        for kept, one in zip(self.found[1], gradients, strict=True):
            kept.copy_(one)

    def pool(self):
        return None


def stepping(backbone, *, record, lanes=2):
    """A bank of prompts, and what adds the gradients of a batch of all its lanes."""
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(3, backbone.hidden_size, generator=generator) for _ in range(lanes)]
    bank = PromptBank(backbone, starts)

    def loss(which, batch, rows, shares):
        each = cross_entropy(bank.score(which, batch, rows=rows), batch.labels, reduction="none")
        own = (each.view_as(shares) * shares).sum(1)
        return own.sum(), own

    step = Replay(bank, loss, record=record)
    rows = np.zeros((lanes, 2), np.int64)
    device = backbone.device

    def take(number, lengths, share):
        batch = tiny_batch(lengths=lengths, seed=number).to(device)
        told = step(range(lanes), batch, rows, torch.full((lanes, 2), share, device=device))
        gradients = [bank.parameters(lane)[0].grad.clone() for lane in range(lanes)]
        return told.clone(), gradients

    return step, take


def same(one, other):
    torch.testing.assert_close(one[0], other[0])
    for ours, theirs in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(ours, theirs)


STEPS = [((4, 3, 2, 4), 0.5), ((4, 1, 4, 2), 0.5), ((4, 4, 4, 4), 0.25), ((5, 3, 2, 4), 0.5)] * 3
"""Two shapes of batches, other rows and shares each time."""


def test_a_replayed_step_reads_its_own_batch_and_adds_its_gradients(monkeypatch):
    made = []
    monkeypatch.setattr(
        replays,
        "captured",
        lambda step, pool: (made.append(Again(step)) or made[-1], made[-1].found),
    )
    plain, recorded = (stepping(tiny_llama(), record=record) for record in (False, True))
    recorded[0]._records = True
    for number, step in enumerate(STEPS):
        same(recorded[1](number, *step), plain[1](number, *step))
    assert len(made) == 2, "one for each shape"
    assert SEEN_BEFORE == 2


def test_a_model_that_cannot_be_recorded_is_told_of_once_and_trained_all_the_same(
    monkeypatch, capsys
):
    def captured(step, pool):
        raise RuntimeError("operation not permitted when stream is capturing\nMore of it.")

    monkeypatch.setattr(replays, "captured", captured)
    plain, other = (stepping(tiny_llama(), record=record) for record in (False, True))
    other[0]._records = True
    for number, step in enumerate(STEPS):
        same(other[1](number, *step), plain[1](number, *step))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "cannot be recorded (operation not permitted when stream is capturing" in told[0]


def test_where_memory_is_too_small_to_record_steps_are_computed_without(monkeypatch, capsys):
    made = []

    def captured(step, pool):
        if made:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        made.append(Again(step))
        return made[-1], made[-1].found

    monkeypatch.setattr(replays, "captured", captured)
    plain, other = (stepping(tiny_llama(), record=record) for record in (False, True))
    other[0]._records = True
    for number, step in enumerate(STEPS):
        same(other[1](number, *step), plain[1](number, *step))
    assert "cannot be recorded (CUDA out of memory.)" in capsys.readouterr().err
    assert not other[0]._recorded, "what the first shape held is free"


def test_a_row_without_tokens_is_refused_where_steps_are_recorded_too(monkeypatch):
    monkeypatch.setattr(replays, "captured", lambda step, _: ((again := Again(step)), again.found))
    step, take = stepping(tiny_llama(), record=True)
    step._records = True
    for number in range(SEEN_BEFORE + 1):
        take(number, (4, 3, 2, 4), 0.5)
    with pytest.raises(InputError, match="a row has no tokens"):
        take(3, (4, 3, 0, 4), 0.5)


def test_nothing_is_recorded_on_a_cpu_or_where_rows_read_different_things():
    backbone = tiny_llama()
    assert Replay(Trainable(backbone), None).multiple == 1

    class Other(Trainable):
        by_rows = True

    other = Other(backbone)
    assert Replay(other, None).multiple == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_replays_what_it_computes():
    backbone = tiny_llama()
    backbone.model.to("cuda")
    plain, recorded = (stepping(backbone, record=record) for record in (False, True))
    for number, step in enumerate(STEPS):
        same(recorded[1](number, *step), plain[1](number, *step))
