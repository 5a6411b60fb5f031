"""Kinds of NumPy arrays that all wings pass around, and what sorted ones are asked."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint64]
"""64 random bits each (`ppt.base.streams`)."""


def begins(values: NDArray[Any]) -> Mask:
    """Where sorted values change, the first of all included."""
    return np.append(True, values[1:] != values[:-1])[: len(values)]


def places_in_groups(group: NDArray[Any], order: Indices) -> Indices:
    """[N] how many of its own group come before each, in an `order` that puts groups one after
    another, ascending. `group` [N] are whole numbers from 0 on.
    """
    counts = np.bincount(group)
    places = np.empty(len(group), np.int64)
    places[order] = np.arange(len(group)) - (np.cumsum(counts) - counts)[group[order]]
    return places


def distinct(rows: NDArray[Any], first: str, second: str) -> NDArray[Any]:
    """Records sorted by two columns; of those that agree in both, one."""
    rows = rows[np.lexsort((rows[second], rows[first]))]
    return rows[begins(rows[first]) | begins(rows[second])]
