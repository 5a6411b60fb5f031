"""Packing, collating, and the order of batches: complete, reproducible, resumable, shared out."""

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt.errors import ConfigError
from ppt.prompts.batches import collate, pack
from ppt.prompts.order import BatchOrder, evaluation_batches, part
from ppt.prompts.rendering import Rendered
from ppt.prompts.tensors import LabelWords

sizes = st.tuples(st.integers(1, 300), st.integers(1, 40))
WORDS = LabelWords(torch.tensor([[5], [6], [7]]), torch.tensor([1, 1, 1]))


def lengths_of(count, seed=0):
    """Lengths as of rendered sentences: log-normal around 60 tokens."""
    drawn = np.random.default_rng(seed).lognormal(4, 0.5, count)
    return np.clip(drawn, 8, 512).astype(np.int64)


def flat(batches):
    return list(chain.from_iterable(batches))


def epoch_of(order, epoch=0):
    return [order.batch(epoch, step).tolist() for step in range(order.steps_per_epoch)]


@given(sizes, st.integers(0, 2**40), st.integers(0, 5))
def test_an_epoch_has_every_row_once_in_nearly_equal_batches(size, seed, epoch):
    count, batch_size = size
    batches = epoch_of(BatchOrder(lengths_of(count), batch_size, seed), epoch)
    assert sorted(flat(batches)) == list(range(count))
    assert len(batches) == -(-count // batch_size)
    assert max(map(len, batches)) <= batch_size
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


@given(sizes, st.integers(1, 5))
def test_evaluation_has_every_row_once_the_longest_first(size, world):
    count, batch_size = size
    lengths = lengths_of(count)
    ranks = [evaluation_batches(lengths, batch_size, rank, world) for rank in range(world)]
    batches = [np.concatenate(parts).tolist() for parts in zip(*ranks, strict=True)]
    assert batches == [b.tolist() for b in evaluation_batches(lengths, batch_size)]
    assert sorted(flat(batches)) == list(range(count))
    assert (np.diff(lengths[flat(batches)]) <= 0).all()


@settings(max_examples=50)
@given(sizes, st.integers(0, 60), st.integers(0, 20))
def test_an_order_resumed_anywhere_goes_on_as_if_uninterrupted(size, before, after):
    count, batch_size = size
    order = BatchOrder(lengths_of(count), batch_size, seed=7)
    for _ in range(before):
        next(order)
    resumed = BatchOrder(lengths_of(count), batch_size, seed=7)
    resumed.load_state_dict(order.state_dict())
    sought = BatchOrder(lengths_of(count), batch_size, seed=7)
    sought.seek(before)
    for _ in range(after):
        expected = next(order).tolist()
        assert next(resumed).tolist() == expected
        assert next(sought).tolist() == expected
    assert resumed.state_dict() == sought.state_dict() == order.state_dict()


def padding_share(lengths, batches):
    """The share of positions that are padding when each batch is padded to its longest row."""
    real = total = 0
    for batch in batches:
        real += int(lengths[batch].sum())
        total += int(lengths[batch].max(initial=0)) * len(batch)
    return 1 - real / total if total else 0.0


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = lengths_of(1000)
    order, again = (BatchOrder(lengths, 16, seed=3) for _ in range(2))
    assert epoch_of(order) == epoch_of(again)
    assert epoch_of(order, 2) == epoch_of(again, 2)
    assert epoch_of(order) != epoch_of(order, 1)
    assert epoch_of(order) != epoch_of(BatchOrder(lengths, 16, seed=4))


def test_the_order_is_the_same_on_every_machine_and_version():
    order = BatchOrder(np.arange(10, 22), 4, seed=0)
    assert epoch_of(order) == [[4, 6, 9, 11], [0, 2, 3, 8], [1, 5, 7, 10]]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_each_global_batch(world):
    lengths = lengths_of(203)
    whole = BatchOrder(lengths, 16, seed=1)
    ranks = [BatchOrder(lengths, 16, 1, rank, world) for rank in range(world)]
    for _ in range(30):
        parts = [next(order) for order in ranks]
        assert np.concatenate(parts).tolist() == next(whole).tolist()
        assert min(map(len, parts)) >= 1
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_position_may_be_taken_over_by_another_number_of_processes():
    lengths = lengths_of(203)
    two = BatchOrder(lengths, 16, 1, rank=1, world=2)
    for _ in range(20):
        next(two)
    one = BatchOrder(lengths, 16, 1)
    one.load_state_dict(two.state_dict())
    assert part(next(one), 1, 2).tolist() == next(two).tolist()


def test_rows_meet_other_rows_in_each_epoch_even_in_small_tasks():
    for count, batch_size in ((32, 8), (1000, 16), (20_000, 32)):
        order = BatchOrder(lengths_of(count), batch_size, seed=0)
        first, second = ({frozenset(b) for b in epoch_of(order, e)} for e in (0, 1))
        assert not first & second


def test_little_is_padded():
    lengths = lengths_of(20_000)
    order = BatchOrder(lengths, 16, seed=0)
    bucketed = padding_share(lengths, (order.batch(0, s) for s in range(order.steps_per_epoch)))
    rows = np.random.default_rng(0).permutation(len(lengths))
    unsorted = padding_share(lengths, rows.reshape(-1, 16))
    assert bucketed < 0.05 < 0.4 < unsorted
    assert padding_share(lengths, evaluation_batches(lengths, 16)) < 0.01
    assert padding_share(lengths, []) == 0


def test_jumping_far_is_cheap():
    order = BatchOrder(lengths_of(1000), 10, seed=0)
    order.seek(10**12 + 1)
    assert (order.epoch, order.step) == (10**10, 1)
    assert len(next(order)) == 10


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"seed": 2}, "seed 1"), ({"batch_size": 8}, "batch_size 16"), ({"lengths": 150}, "rows 203")],
)
def test_a_position_in_another_order_is_refused(wrong, named):
    state = BatchOrder(lengths_of(203), 16, 1).state_dict()
    other = {"lengths": 203, "batch_size": 16, "seed": 1, **wrong}
    other["lengths"] = lengths_of(other["lengths"])
    with pytest.raises(ConfigError, match=named):
        BatchOrder(**other).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lengths_of(0), 4, 0), "got 0 rows"),
        ((lengths_of(9), 0, 0), "batch_size 0"),
        ((lengths_of(9), 4, 0, 2, 2), "rank is 2"),
        ((lengths_of(9), 4, 0, 0, 4), "each of 4 processes"),
    ],
)
def test_impossible_orders_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        BatchOrder(*arguments)


rendered_rows = st.lists(
    st.builds(
        Rendered,
        ids=st.lists(st.integers(1, 99_999), min_size=1, max_size=12),
        label=st.integers(0, 2),
        options=st.sampled_from([0, 2, 3]),
        cut=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(rendered_rows, st.data(), st.integers(1, 20))
def test_a_batch_holds_its_rows_padded_on_the_right(rows, data, multiple):
    packed = pack(iter(rows))
    assert packed.lengths.tolist() == [len(row.ids) for row in rows]
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5))
    batch = collate(packed, np.array(indices), WORDS, pad_id=0, multiple=multiple)
    assert len(batch) == len(indices)
    longest, limit = (
        max(len(row.ids) for row in some) for some in ([rows[i] for i in indices], rows)
    )
    width = batch.input_ids.shape[1]
    assert longest <= width < longest + multiple
    assert width % multiple == 0 or width == limit, "a model may have no positions beyond that"
    for i, ids, mask, label, allowed in zip(
        indices, batch.input_ids, batch.attention_mask, batch.labels, batch.allowed, strict=True
    ):
        length = len(rows[i].ids)
        assert ids[:length].tolist() == rows[i].ids
        assert (ids[length:] == 0).all()
        assert mask.tolist() == [1] * length + [0] * (len(ids) - length)
        assert label == rows[i].label
        assert allowed.tolist() == [n < (rows[i].options or 3) for n in range(3)]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == batch.labels.dtype == torch.int64
    assert batch.allowed.dtype == torch.bool


def test_texts_of_options_are_padded_to_a_multiple_too_but_never_beyond_the_longest_of_all():
    packed = pack(
        Rendered([1, 2], 0, 2, cut=False, choices=choices)
        for choices in ([[3] * 5, [4]], [[5, 6], [7]], [[8] * 9, [9]])
    )
    for rows, multiple, width in (
        ([0], 8, 8),
        ([1], 8, 8),
        ([1], 1, 2),
        ([2, 0], 8, 9),
        ([0], 16, 9),
    ):
        words = collate(packed, np.array(rows), WORDS, 0, multiple).words
        assert words.ids.shape == (len(rows), 2, width)
        assert words.lengths.max() <= width


def test_an_empty_part_gives_an_empty_batch():
    packed = pack([Rendered([1, 2], 0, 0, cut=False)])
    batch = collate(packed, np.zeros(0, np.int64), WORDS)
    assert len(batch) == 0
    assert batch.allowed.shape == (0, 3)
    assert len(pack([])) == 0


def test_a_label_without_a_word_is_refused():
    packed = pack([Rendered([1, 2], 3, 0, cut=False)])
    with pytest.raises(ConfigError, match="label 3, but the verbalizer has 3 words"):
        collate(packed, np.array([0]), WORDS)
