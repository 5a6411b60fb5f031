"""Accuracy, F1 and confusion of predictions; what several seeds say: mean, deviation, interval.

The intervals tell of seeds, that is of the examples drawn and of the start of training,
not of the test rows. Percentile intervals of so few values are too narrow: of 5 normal
values the one called 95% holds the true mean about 84 times in 100, of 10 about 90
(simulated: tests/test_statistics.py).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Indices

K = TypeVar("K", bound=Hashable)

CONFIDENCE = 0.95
RESAMPLES = 10_000
GENERATOR_SEED = 0
"""Fixed, so that the same scores give the same interval in every table."""


def accuracy(labels: Indices, predictions: Indices) -> float:
    """The share of rows whose prediction is right; both are [N]."""
    return float((labels == predictions).mean())


def confusion(labels: Indices, predictions: Indices, count: int) -> NDArray[np.int64]:
    """How often each label (row) was predicted as each (column), [L, L] for L = `count`."""
    pairs = np.bincount(labels * count + predictions, minlength=count * count)
    return pairs.reshape(count, count).astype(np.int64)


def macro_f1(table: NDArray[Any]) -> float:
    """The mean F1 of a confusion table's labels, whatever their frequency.

    Labels that neither stand in the data nor were predicted are left out, so that the
    letters that no row of a choice uses do not count as mistakes.
    """
    right, predicted, actual = np.diag(table), table.sum(0), table.sum(1)
    present = predicted + actual > 0
    return float((2 * right[present] / (predicted + actual)[present]).mean())


@dataclass(frozen=True)
class Summary:
    """`n` values; `deviation`, `low` and `high` are None where n is 1: it has no spread."""

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None


def summary(values: Sequence[float]) -> Summary:
    """Mean, sample standard deviation (n - 1) and bootstrap interval of the mean."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return Summary(1, mean, None, None, None)
    low, high = bootstrap_interval(values)
    return Summary(len(values), mean, float(np.std(values, ddof=1)), low, high)


def bootstrap_interval(
    values: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean of 2 values or more.

    Means of `RESAMPLES` samples of the same size, drawn with replacement, and their
    quantiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
    The values are sorted first: their order changes nothing.
    """
    assert len(values) > 1, values
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    generator = np.random.default_rng(GENERATOR_SEED)
    draws = generator.integers(len(ordered), size=(RESAMPLES, len(ordered)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(ordered[draws].mean(axis=1), (tail, 1 - tail))
    return float(low), float(high)


def paired_difference(values: Mapping[K, float], baseline: Mapping[K, float]) -> Summary | None:
    """The summary of ``values - baseline`` over the keys of both; its n is the number of pairs.

    Pairs share the examples and the seed, so what these do to both methods drops out;
    the bootstrap draws whole pairs. None where no key is in both.
    """
    differences = [value - baseline[key] for key, value in values.items() if key in baseline]
    return summary(differences) if differences else None
