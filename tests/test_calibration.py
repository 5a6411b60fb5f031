"""`ppt.backbones.calibration`: the laws of calibrated scores, whatever the scores and the prior."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ppt.backbones.calibration import CONTENT_FREE, calibrate, content_free, label_prior
from ppt.errors import ConfigError
from ppt.prompts.patterns import parse_pattern

INF = math.inf
numbers = st.floats(-200, 200)  # e to these is far beyond float32


@st.composite
def scores(draw, forbidden=True):
    """Scores [R, L] of 1 to 5 rows and 2 to 6 labels; some are not allowed, the first always is."""
    rows, labels = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    row = st.lists(numbers, min_size=labels, max_size=labels)
    table = torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))
    if forbidden:
        mask = st.lists(st.booleans(), min_size=labels, max_size=labels)
        off = torch.tensor(draw(st.lists(mask, min_size=rows, max_size=rows)))
        off[:, 0] = False
        table[off] = -INF
    return table


@st.composite
def scores_and_prior(draw):
    table = draw(scores())
    labels = table.shape[1]
    prior = draw(st.lists(numbers, min_size=labels, max_size=labels))
    return table, torch.tensor(prior).log_softmax(-1)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@given(scores_and_prior())
def test_rows_are_distributions_and_what_is_not_allowed_stays_so(case):
    table, prior = case
    out = calibrate(table, prior)
    assert not out.isnan().any()
    assert torch.equal(out.isneginf(), table.isneginf())
    close(out.exp().sum(-1), torch.ones(len(table)))


@given(scores())
def test_a_uniform_prior_changes_nothing(table):
    labels = table.shape[1]
    close(calibrate(table, torch.full((labels,), -math.log(labels))), table.log_softmax(-1))


@given(scores(forbidden=False))
def test_a_content_free_text_itself_becomes_uniform(table):
    one = table[:1]
    uniform = torch.full_like(one, -math.log(one.shape[1]))
    close(calibrate(one, label_prior(one)), uniform)


@given(scores_and_prior(), numbers)
def test_a_constant_in_scores_or_prior_does_not_matter(case, constant):
    table, prior = case
    out = calibrate(table, prior)
    torch.testing.assert_close(calibrate(table + constant, prior), out, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(calibrate(table, prior + constant), out, rtol=1e-3, atol=1e-3)


@given(scores_and_prior())
def test_each_row_may_have_a_prior_of_its_own(case):
    table, prior = case
    close(calibrate(table, prior.expand_as(table)), calibrate(table, prior))


def test_it_is_the_division_of_the_paper():
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
    free = torch.tensor([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1]])
    weights = torch.diag(1 / free.mean(0))  # W, with b = 0
    expected = probabilities @ weights
    expected /= expected.sum(-1, keepdim=True)
    close(calibrate(probabilities.log(), label_prior(free.log())).exp(), expected)


def test_a_prior_is_averaged_after_softmax_and_never_underflows():
    sure = torch.tensor([[0.0, -500.0], [0.0, -700.0]])
    assert label_prior(sure)[1] == pytest.approx(-500 - math.log(2))
    assert label_prior(sure.expand(4, 2, 2)).shape == (4, 2)


def test_a_prior_of_fewer_options_than_the_row_is_refused():
    with pytest.raises(ConfigError, match="give each row the prior of its own"):
        calibrate(torch.zeros(1, 3), torch.tensor([-1.0, -1.0, -INF]))


def test_content_free_texts_replace_texts_and_nothing_else():
    pair = {"id": "x", "text_a": "Why?", "text_b": "Because.", "options": ["p", "q"], "label": 1}
    for text, row in zip(CONTENT_FREE, content_free(pair), strict=True):
        assert row == {**pair, "text_a": text, "text_b": text}
    single = {"text_a": "Fine.", "text_b": None, "label": 0}
    assert [row["text_b"] for row in content_free(single)] == [None] * 3
    pattern = parse_pattern("{text_b} Question: {text_a}? {options} Answer: {mask}", "suffix")
    shown = [pattern.fill(pattern.cells(row))[0] for row in content_free(pair, ["N/A"])]
    assert shown == ["N/A Question: N/A? A. p B. q Answer:"]
