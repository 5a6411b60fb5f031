"""The laws of draws: balanced, disjoint, nested, by seed, and whatever the order of rows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppt.errors import InputError, UnknownNameError
from ppt.tasks.splits import BALANCES, Split, deal, draw, draw_all, subset


def ids_of(labels):
    return [f"row {i}" for i in range(len(labels))]


@st.composite
def pools(draw_from):
    """Labels with enough rows of each for some shots, and those shots."""
    n_labels = draw_from(st.integers(1, 6))
    shots = draw_from(st.integers(1, 20))
    need = 2 * -(-shots // n_labels)
    counts = draw_from(st.lists(st.integers(need, need + 9), min_size=n_labels, max_size=n_labels))
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return draw_from(st.permutations(labels)), shots


seeds = st.integers(0, 2**63 - 1)


@given(pools(), seeds)
def test_a_draw_is_balanced_and_disjoint(pool, seed):
    labels, shots = pool
    split = draw(labels, shots, seed, ids_of(labels))
    assert not {*split.train} & {*split.validation}
    for side in (split.train, split.validation):
        assert len(side) == len({*side}) == shots
        counts = Counter(labels[row] for row in side)
        sizes = [counts[label] for label in set(labels)]
        assert max(sizes) - min(sizes) <= 1
    assert sorted((*split.train, *split.validation, *split.rest(len(labels)))) == list(
        range(len(labels))
    )


@given(pools(), seeds, st.randoms(use_true_random=False))
def test_a_draw_does_not_depend_on_the_order_of_rows(pool, seed, random):
    labels, shots = pool
    ids = ids_of(labels)
    order = list(range(len(labels)))
    random.shuffle(order)
    one = draw(labels, shots, seed, ids)
    other = draw([labels[i] for i in order], shots, seed, [ids[i] for i in order])
    assert [ids[i] for i in one.train] == [ids[order[i]] for i in other.train]
    assert [ids[i] for i in one.validation] == [ids[order[i]] for i in other.validation]


@given(pools(), seeds, st.data(), st.sampled_from(sorted(BALANCES)))
def test_fewer_shots_are_among_more(pool, seed, data, balance):
    labels, shots = pool
    fewer = data.draw(st.integers(1, shots))
    small = draw(labels, fewer, seed, ids_of(labels), balance=balance)
    large = draw(labels, shots, seed, ids_of(labels), balance=balance)
    assert {*small.train} <= {*large.train}
    assert {*small.validation} <= {*large.validation}


@given(st.lists(st.integers(0, 4), min_size=10, max_size=60), st.data(), seeds)
def test_level_draws_are_as_equal_as_the_rows_allow(labels, data, seed):
    have = Counter(labels)
    shots = data.draw(st.integers(1, sum(count // 2 for count in have.values())))
    split = draw(labels, shots, seed, ids_of(labels), balance="level")
    assert not {*split.train} & {*split.validation}
    for side, room in ((split.train, lambda n: (n + 1) // 2), (split.validation, lambda n: n // 2)):
        assert len(side) == shots
        counts = Counter(labels[row] for row in side)
        most = max(counts.values())
        for label, count in have.items():  # below the level only where a label has no more
            assert counts[label] >= most - 1 or counts[label] == room(count)


def test_the_draw_is_the_same_on_every_machine():
    labels = [0, 1, 2] * 6
    split = draw(labels, 4, 7, ids_of(labels))
    assert split == Split(train=(12, 2, 4, 15), validation=(9, 10, 17, 6))


def test_a_seed_may_be_one_of_numpy():
    ids = [f"row {i}" for i in range(20)]
    labels = [i % 2 for i in range(20)]
    assert draw(labels, 4, np.int64(3), ids) == draw(labels, 4, 3, ids)


def test_seeds_differ():
    labels = [0, 1] * 100
    draws = {draw(labels, 16, seed, ids_of(labels)).train for seed in range(20)}
    assert len(draws) == 20


def test_the_remainder_is_spread_by_the_seed():
    labels = [label for label in range(3) for _ in range(4)]
    more = {
        next(iter(Counter(labels[row] for row in split.train).most_common(1)))[0]
        for split in (draw(labels, 4, seed, ids_of(labels)) for seed in range(40))
    }
    assert more == {0, 1, 2}


def test_every_row_is_drawn_by_some_seed():
    labels = [0, 1] * 10
    met = [draw(labels, 4, seed, ids_of(labels)) for seed in range(200)]
    for side in ("train", "validation"):
        counts = Counter(row for split in met for row in getattr(split, side))
        assert min(counts[row] for row in range(20)) > 15  # 40 are expected of each


@given(st.integers(0, 50), st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_deal_gives_what_there_is_room_for(shots, room):
    rooms = dict(enumerate(room))
    counts = deal(shots, list(rooms), rooms)
    assert sum(counts.values()) == min(shots, sum(room))
    assert all(counts[label] <= rooms[label] for label in rooms)


@pytest.mark.parametrize(
    ("labels", "shots", "balance", "names", "expected"),
    [
        (
            [0] * 40 + [1] * 9, 32, "equal", ["no", "maybe"],
            ("32 rows to train and 32 to validate, over 2 labels, take 32 of each label, but"
            " 'maybe' has 9: lower --shots to 8, add rows, or let the task say balance: level."),
        ),
        (
            [0] * 40, 4, "equal", ["no", "yes"],
            ("4 rows to train and 4 to validate, over 2 labels, take 4 of each label, but 'yes' has"
            " 0: add rows, or let the task say balance: level."),
        ),
        (
            [0] * 10 + [1] * 3, 8, "level", [],
            ("8 rows to train and 8 to validate take 16 rows, but there are 13: lower --shots to"
            " 6, or add rows."),
        ),
        ([0, 1], 0, "equal", [], "got 0 shots: expected a whole number, 1 or more."),
        ([0, 1] * 8, 4.5, "equal", [], "got 4.5 shots: expected a whole number, 1 or more."),
    ],
)  # fmt: skip
def test_too_few_rows_are_told_with_counts(labels, shots, balance, names, expected):
    with pytest.raises(InputError) as caught:
        draw(labels, shots, 0, ids_of(labels), balance=balance, names=names)
    assert str(caught.value) == expected


@given(pools(), seeds)
def test_the_advice_works(pool, seed):
    labels, _ = pool
    with pytest.raises(InputError, match="lower --shots to") as caught:
        draw(labels, len(labels), seed, ids_of(labels))
    advised = int(str(caught.value).split("lower --shots to ")[1].split(",")[0])
    draw(labels, advised, seed, ids_of(labels))
    with pytest.raises(InputError):
        draw(labels, advised + 1, seed, ids_of(labels))


def test_ids_must_differ_and_balances_be_known():
    with pytest.raises(InputError, match="id 'a' stands on several rows"):
        draw([0, 1, 0, 1], 1, 0, ["a", "b", "a", "c"])
    with pytest.raises(UnknownNameError, match="Did you mean 'level'"):
        draw([0, 1], 1, 0, ["a", "b"], balance="leveled")


@given(st.lists(st.text(max_size=3), min_size=1, max_size=40), st.integers(1, 50))
def test_a_subset_is_the_same_rows_in_any_order(ids, limit):
    chosen = subset(ids, limit)
    assert chosen == sorted({*chosen})
    assert len(chosen) == min(limit, len(ids))
    backwards = subset(ids[::-1], limit)
    assert Counter(ids[i] for i in chosen) == Counter(ids[::-1][i] for i in backwards)
    assert {*chosen} <= {*subset(ids, limit + 1)}


def test_a_subset_of_all_is_all():
    assert subset(ids_of(range(5)), None) == [0, 1, 2, 3, 4]
    assert subset(ids_of(range(300)), 100) != list(range(100))


@pytest.mark.parametrize("seed", [1.5, "0", None, np.float64(2), 2**127, -(2**200)])
def test_what_is_no_seed_is_told(seed):
    """1.5 was seed 1, "0" was 0, and numbers without end were a traceback."""
    ids = list("abcd")
    for drawn in (lambda: draw([0, 1, 0, 1], 2, seed, ids), lambda: draw_all(seed, ids)):
        with pytest.raises(InputError, match=r"^got the seed .*: expected a whole number of 127"):
            drawn()
