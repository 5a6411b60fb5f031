"""Sentiment pseudo-labels: five classes, confidence, balance.

The classes, the thresholds and the balance are those of PPT (Gu, Han, Liu
and Huang 2022, "PPT: Pre-trained prompt tuning for few-shot learning").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, Mask, places_in_groups
from ppt.errors import ConfigError

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

LABELS = ("terrible", "bad", "maybe", "good", "great")

PUBLISHED_THRESHOLDS = (0.95, 0.5, 0.5, 0.5, 0.7)
"""The confidence that a pseudo-label of each class needs to be kept (PPT)."""

LM_THRESHOLDS = (0.5,) * 5
"""The same for a zero-shot language model, whose confidence is how far its answers agree:
measured (docs/decisions.md)."""

MATCHED, MOST_BINS = 16, 16
"""Sentences of the smallest class in a bin of lengths; bins at the most."""

EQUAL = (1.0,) * len(LABELS)
"""Shares of classes of which equally many are taken."""

ROUNDING = 1e-9
"""How much less than a whole number of rows is one."""

_CENTRE = len(LABELS) // 2
_CLASSES_PER_UNIT = 1 / 0.3  # one over the distance of two class centres


def class_distribution(compound: Floats) -> Floats:
    """VADER's score in [-1, 1], [N], spread over the two nearest classes: [N, 5].

    The class centres are -0.6, -0.3, 0, 0.3 and 0.6: one word of common strength
    moves a sentence by about 0.4, two of them by about 0.7. Between two centres the
    mass is shared linearly; beyond the outermost all of it lies there.
    """
    return spread(compound * _CLASSES_PER_UNIT + _CENTRE)


def spread(position: Floats) -> Floats:
    """Places [...] on the scale of the class numbers → the two nearest classes, [..., 5]."""
    inside = np.clip(position, 0, len(LABELS) - 1)
    return np.maximum(1.0 - np.abs(inside[..., None] - np.arange(len(LABELS))), 0.0)


def agreed(
    members: Sequence[NDArray[np.floating]], weights: Sequence[float]
) -> NDArray[np.floating]:
    """Probabilities [N, 5] of several labellers together: the weighted mean, so that a class has
    much where they agree.

    Models differ in how far apart they place opinions, so the first one sets the scale: the
    mean classes of each other one, in their order, become those of the first. Where any of them
    has NaN there is no mean, and the sentence counts for no order.
    """
    known = np.isfinite(members).all(axis=(0, 2))
    first, *others = (member[known] for member in members)
    classes = np.arange(len(LABELS))
    sums = np.concatenate([[0.0], np.cumsum(np.sort(first @ classes))])
    total = weights[0] * first
    for probabilities, weight in zip(others, weights[1:], strict=True):
        _, group, counts = np.unique(
            probabilities @ classes, return_inverse=True, return_counts=True
        )
        ends = np.cumsum(counts)
        places = (sums[ends] - sums[ends - counts]) / counts  # equal ones stay equal
        total = total + weight * spread(places)[group]
    mean: NDArray[np.floating] = np.full(members[0].shape, np.nan)
    mean[known] = total / sum(weights)
    return mean


def in_context(
    probabilities: NDArray[np.floating], documents: Indices, weight: float
) -> NDArray[np.floating]:
    """Probabilities [N, 5] pulled towards what the other sentences of each document say.

    By `weight` classes for each class that these are off the middle in the mean: a reviewer who
    pans a film meant an unclear sentence so. `documents` [N] are numbers of documents; where a
    sentence is the only one nothing is known; one that has NaN says nothing of the others. What
    lies beyond the last class stays there.
    """
    classes = np.arange(len(LABELS))
    own = probabilities @ (classes - _CENTRE)
    known = np.isfinite(own)
    own = np.where(known, own, 0)
    count = np.bincount(documents, known)[documents]
    others = np.bincount(documents, own)[documents] - own
    pull = weight * others / np.maximum(count - 1, 1)
    moved: NDArray[np.floating] = np.einsum(
        "nc,nck->nk", probabilities, spread(classes + pull[:, None])
    )
    return moved


def keep(probabilities: NDArray[np.floating], thresholds: Sequence[float]) -> tuple[Labels, Mask]:
    """The likeliest class of each row of [N, 5], and whether its probability is enough.

    Of equally likely classes the lower one is taken; NaN is never enough.
    """
    if len(thresholds) != len(LABELS) or not all(0 <= t <= 1 for t in thresholds):
        raise ConfigError(
            f"got the confidence thresholds {tuple(thresholds)}, expected {len(LABELS)}"
            f" numbers from 0 to 1, one each for {', '.join(LABELS)}."
        )
    labels = probabilities.argmax(axis=1).astype(np.int8)
    confidence = probabilities[np.arange(len(labels)), labels]
    return labels, confidence >= np.asarray(thresholds)[labels]


def cut(places: NDArray[np.floating], shares: Sequence[float]) -> Labels:
    """Classes [N] of places [N] on the scale of the classes: the lowest are class 0, and so on up,
    so that each class has its share of them. Equal places stay in one class, that of their middle.
    """
    _, group, counts = np.unique(places, return_inverse=True, return_counts=True)
    middles = (np.cumsum(counts) - counts / 2) / max(len(places), 1)
    edges = np.cumsum(shares)[:-1] / np.sum(shares)
    classes: Labels = np.searchsorted(edges, middles, side="right").astype(np.int8)[group]
    return classes


def most(counts: Indices, shares: Sequence[float]) -> Indices:
    """How many of each class [..., 5] can be taken of `counts` [..., 5], in these shares."""
    weights = np.asarray(shares) / min(shares)
    level = (counts / weights).min(-1, keepdims=True) * weights + ROUNDING
    found: Indices = np.floor(level).astype(np.int64)
    return found


def balance(
    labels: Labels, kept: Mask, lengths: Indices, bits: Bits, shares: Sequence[float] = EQUAL
) -> Mask:
    """Choose of the kept sentences as many of each class *and length* as its share says: [N].

    Lengths, [N], are parted where they part the scarcest class into bins of `MATCHED`, up to
    `MOST_BINS`; of each bin each class gives its share of as many as all can. So none at all
    where one class is empty, and nothing is told of a class by its length. `bits` holds random
    bits for each sentence, [N]; those with the smallest are chosen, and of equal ones the one
    that stands first.
    """
    some = np.flatnonzero(kept)
    counts = np.bincount(labels[some], minlength=len(LABELS))
    scarcest = np.sort(lengths[some[labels[some] == (counts / shares).argmin()]])
    bins = min(max(len(scarcest) // MATCHED, 1), MOST_BINS)
    edges = scarcest[np.arange(1, bins) * len(scarcest) // bins]
    cell = np.searchsorted(edges, lengths[some], side="right") * len(LABELS) + labels[some]
    sizes = np.bincount(cell, minlength=bins * len(LABELS)).reshape(bins, len(LABELS))
    rank = places_in_groups(cell, np.lexsort((bits[some], cell)))
    level = most(sizes, shares).ravel()
    mask = np.zeros(len(labels), dtype=np.bool_)
    mask[some[rank < level[cell]]] = True
    return mask
