"""Accuracy, macro-F1 and confusion of predicted labels; pure NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def accuracy(labels: Labels, predictions: Labels) -> float:
    """The share of rows whose prediction is right; both are [N]."""
    return float((labels == predictions).mean())


def confusion(labels: Labels, predictions: Labels, count: int) -> NDArray[np.int64]:
    """How often each label (row) was predicted as each (column), [L, L] for L = `count`."""
    pairs = np.bincount(labels * count + predictions, minlength=count * count)
    return pairs.reshape(count, count).astype(np.int64)


def macro_f1(table: NDArray[Any]) -> float:
    """The mean F1 of a confusion table's labels, whatever their frequency.

    Labels that neither stand in the data nor were predicted are left out, so that the
    letters that no row of a choice uses do not count as mistakes.
    """
    right, said, are = np.diag(table), table.sum(0), table.sum(1)
    present = said + are > 0
    return float((2 * right[present] / (said + are)[present]).mean())
