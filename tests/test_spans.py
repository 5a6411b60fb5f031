"""How windows are cut: span corruption against an implementation of its own, prefixes, ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt.base.streams import seed_bits
from ppt.prompts.spans import continued, corrupted, gap_count, gaps, next_tokens

SENTINELS = list(range(1000, 1100))
GOLDEN = (
    [*range(21), 1000, *range(23, 36), 1001],
    [1000, 21, 22, 1001, 36, 37, 38, 39, 1002],
    34,
)
BITS = st.integers(0, 2**64 - 1)


def by_mask(window, noise):
    """Span corruption as section 3.1.4 of the paper tells it, one token after another.

    `noise` says of each token whether it is left out. Knows nothing of gaps, only of tokens.
    """
    text, target, used, before = [], [], 0, False
    for token, is_noise in zip(window, noise, strict=True):
        if is_noise and not before:
            text.append(SENTINELS[used])
            target.append(SENTINELS[used])
            used += 1
        (target if is_noise else text).append(token)
        before = is_noise
    return text, [*target, SENTINELS[used]]


def put_back(text, target):
    """The window: each sentinel of the text gives way to what follows it in the target."""
    found, now = {}, None
    for token in target:
        if token in SENTINELS:
            now = token
            found[now] = []
        else:
            found[now].append(token)
    return [one for token in text for one in found.get(token, [token])]


@settings(max_examples=150)
@given(length=st.integers(2, 600), bits=BITS)
def test_span_corruption_is_that_of_the_paper(length, bits):
    window = np.arange(length, dtype=np.int32)
    text, target = corrupted(window, bits, SENTINELS)
    left_out = set(target.tolist()) - set(SENTINELS)
    assert (text.tolist(), target.tolist()) == by_mask(
        window.tolist(), [token in left_out for token in window.tolist()]
    )
    assert put_back(text.tolist(), target.tolist()) == window.tolist()
    used = [token for token in text.tolist() if token in SENTINELS]
    assert used == SENTINELS[: len(used)]  # in their order, none left out
    assert len(used) == gap_count(length)
    assert target.tolist()[-1] == SENTINELS[len(used)]
    assert len(left_out) == min(max(round(length * 0.15), 1), length - 1)
    assert text.tolist()[0] == 0  # as in the published code the first token is never left out
    assert text.dtype == target.dtype == np.int32


@pytest.mark.parametrize(
    ("length", "noise", "count"), [(2, 1, 1), (10, 2, 1), (100, 15, 5), (512, 77, 26)]
)
def test_the_gaps_are_as_many_and_as_long_as_published(length, noise, count):
    """15% of the tokens, 3 in a gap: what random_spans_noise_mask of the T5 code rounds to."""
    for seed in range(20):
        starts, lengths = gaps(length, seed_bits(seed, "gaps"))
        assert (lengths.sum(), len(lengths)) == (noise, count)
        assert (lengths > 0).all()
        assert (starts[1:] > starts[:-1] + lengths[:-1]).all()  # text stands between two
        assert starts[0] > 0
        assert starts[-1] + lengths[-1] == length  # as published, the last one ends the window


def test_all_ways_to_part_a_window_are_equally_likely():
    """Of 36 tokens 5 are left out, in 2 gaps: 4 ways for their lengths."""
    ways = [tuple(gaps(36, seed_bits(seed, "ways"))[1].tolist()) for seed in range(4000)]
    counts = {way: ways.count(way) for way in set(ways)}
    assert set(counts) == {(1, 4), (2, 3), (3, 2), (4, 1)}
    expected = len(ways) / 4
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert statistic < 16.3  # chi square, 3 degrees, p = 0.001


def test_a_golden_window():
    """Recorded: what is cut must not change from one version or machine to the next."""
    text, target = corrupted(np.arange(40, dtype=np.int32), seed_bits(0, "golden"), SENTINELS)
    assert text.tolist() == GOLDEN[0]
    assert target.tolist() == GOLDEN[1]
    assert continued(np.arange(40, dtype=np.int32), seed_bits(0, "golden"))[0].size == GOLDEN[2]


@given(length=st.integers(2, 300), bits=BITS)
def test_a_prefix_and_its_continuation_are_the_window(length, bits):
    window = np.arange(length, dtype=np.int32)
    prefix, rest = continued(window, bits)
    assert len(prefix) > 0
    assert len(rest) > 0
    assert np.array_equal(np.concatenate([prefix, rest]), window)
    first, others = next_tokens(window)
    assert np.array_equal(np.concatenate([first, others]), window)
    assert len(first) == 1


def test_prefixes_end_anywhere():
    sizes = [continued(np.arange(5), seed_bits(seed, "x"))[0].size for seed in range(2000)]
    counts = np.bincount(sizes, minlength=5)
    assert counts[0] == 0
    assert (abs(counts[1:] - 500) < 100).all()
