"""Means, deviations and intervals, against plain Python and the exhaustive bootstrap."""

import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppt.results.statistics import Summary, bootstrap_interval, paired_difference, summary

scores = st.lists(st.floats(0, 1).map(lambda x: round(x, 4)), min_size=2, max_size=12)


@given(scores)
def test_mean_and_deviation_are_those_of_the_standard_library(values):
    one = summary(values)
    assert one.n == len(values)
    assert one.mean == pytest.approx(statistics.fmean(values))
    assert one.deviation == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_one_value_has_no_deviation_and_no_interval():
    assert summary([0.7]) == Summary(1, 0.7, None, None, None)


@pytest.mark.parametrize(
    "values", [[0.2, 0.9], [0.1, 0.5, 0.6], [0.5, 0.5, 0.9, 0.7], [0.3, 0.35, 0.5, 0.8, 0.9]]
)
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_interval_is_that_of_all_samples(values, confidence):
    means = sorted(statistics.fmean(one) for one in itertools.product(values, repeat=len(values)))
    low, high = bootstrap_interval(values, confidence)
    tail, slack = (1 - confidence) / 2, 0.012  # 10,000 draws: more than 2 standard errors
    for end, share in ((low, tail), (high, 1 - tail)):
        below = sum(mean < end - 1e-9 for mean in means) / len(means)
        up_to = sum(mean <= end + 1e-9 for mean in means) / len(means)
        assert below - slack <= share <= up_to + slack


@given(scores, st.randoms())
def test_the_order_of_values_changes_nothing(values, rng):
    shuffled = rng.sample(values, len(values))
    assert bootstrap_interval(values) == bootstrap_interval(shuffled)


@given(scores, st.floats(-2, 2), st.floats(0.1, 3))
def test_the_interval_moves_and_grows_with_the_values(values, shift, scale):
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    moved = bootstrap_interval([scale * value + shift for value in values])
    assert moved == pytest.approx((scale * low + shift, scale * high + shift), abs=1e-9)


@pytest.mark.parametrize(("n", "share"), [(2, 0.5), (5, 0.84), (10, 0.90)])
def test_how_often_the_true_mean_is_inside(n, share):
    """What the documentation says of small samples; 1,000 samples err by up to 0.035."""
    rng, hits = random.Random(7), 0
    for _ in range(1000):
        low, high = bootstrap_interval([rng.gauss(0, 1) for _ in range(n)])
        hits += low <= 0 <= high
    assert hits / 1000 == pytest.approx(share, abs=0.04)


def test_pairs_are_those_of_both():
    one = {"a": 0.5, "b": 0.75, "c": 0.9}
    base = {"c": 0.4, "a": 0.25, "d": 0.1}
    assert paired_difference(one, base) == summary([0.25, 0.5])
    assert paired_difference(one, {"d": 1.0}) is None
    assert paired_difference({"a": 1.0}, {"a": 0.5}) == Summary(1, 0.5, None, None, None)


@given(st.dictionaries(st.integers(0, 20), st.floats(0, 1), min_size=2))
def test_what_all_pairs_share_drops_out(base):
    """However much the seeds differ, a constant gain has an interval of no width."""
    gained = {key: value + 0.125 for key, value in base.items()}
    difference = paired_difference(gained, base)
    ends = difference.mean, difference.low, difference.high
    assert ends == pytest.approx((0.125, 0.125, 0.125))
    mirrored = paired_difference(base, gained)
    assert mirrored.mean == pytest.approx(-difference.mean)
