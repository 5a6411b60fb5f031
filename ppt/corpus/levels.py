"""How many of what: labels as equal, kinds and numbers of options as asked, as can be.

What an anchor can be decides first; then an excess is thinned, up to a `THINNED` of all rows.
A anchors.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, Mask, places_in_groups
from ppt.base.streams import stream
from ppt.corpus.options import UNIFIED_OPTIONS, Mixture
from ppt.corpus.sampling import Draw

THINNED = 1 / 3
"""The most that is given up for equal labels and for the mixture; what is still missed is told."""


def counts_of_kinds(
    mixture: Mixture, choices: int, pairs: int, either: int, sentiments: int
) -> tuple[int, int, int]:
    """How many rows of each kind to make: choices, pairs, sentiments.

    So many anchors could be each of them, `either` of them one of the first two: an anchor is one
    of these at most, and its sentiment comes on top. Shares are met by thinning what there is
    too much of, up to `THINNED` of the anchors.
    """
    first, second, third = mixture.choice, mixture.pair, mixture.sentiment
    shares = ((first, choices), (second, pairs), (third, sentiments), (first + second, either))
    reached = min(have / share for share, have in shares if share)
    anchors = int(max(reached * (first + second), either * (1 - THINNED)))
    wanted = round(anchors * first / (first + second))
    chosen = min(choices, max(wanted, anchors - pairs))
    paired = min(pairs, anchors - chosen)
    mixed_in = round((chosen + paired) * third / (first + second))
    return chosen, paired, min(sentiments, mixed_in)


def numbers_of_options(most: Indices, bits: Bits) -> Indices:
    """[A] a number of options for each selection, `most` [A] at the most, all equally often as
    far as can be: the largest are dealt first.
    """
    number = np.zeros(len(most), np.int64)
    left = np.argsort(stream(bits, Draw.NUMBER), kind="stable")
    for n in reversed(UNIFIED_OPTIONS):
        taken = np.flatnonzero(most[left] >= n)[: len(left) // (n - 1)]
        number[left[taken]] = n
        left = np.delete(left, taken)
    return number


def evenly(labels: NDArray[np.int8], amount: int, bits: Bits) -> Indices:
    """Which rows [R] to take, ascending, `amount` of them, as many of each label as can be."""
    order = np.lexsort((stream(bits, Draw.MIX), labels))
    rank = places_in_groups(labels, order)
    return np.sort(np.lexsort((stream(bits, Draw.MIX), rank))[:amount])


def thinned(labels: NDArray[np.int8], bits: Bits) -> Mask:
    """[A] which to keep, so that all labels that there are (>= 0) come equally often.

    All that have a label, where that would cost more than `THINNED` of them.
    """
    kept = labels >= 0
    _, counts = np.unique(labels[kept], return_counts=True)
    level = int(counts.min(initial=len(labels))) * len(counts)
    if level < kept.sum() * (1 - THINNED):
        return kept
    some = np.flatnonzero(kept)
    mask = np.zeros(len(labels), dtype=bool)
    mask[some[evenly(labels[some], level, bits[some])]] = True
    return mask


def level_labels(feasible: Mask, bits: Bits) -> NDArray[np.int8]:
    """[A] labels, each feasible [A, L], as equal in number as can be; -1 where none is.

    Anchors with the fewest choices go first; each group then fills the rarest labels.
    """
    n_labels = feasible.shape[1]
    order = stream(bits, Draw.PLACE)
    group = feasible @ (1 << np.arange(n_labels))
    counts = [0] * n_labels
    label = np.full(len(feasible), -1, dtype=np.int8)
    for code in sorted(range(1, 1 << n_labels), key=lambda code: (code.bit_count(), code)):
        members = np.flatnonzero(group == code)
        members = members[np.argsort(order[members], kind="stable")]
        choices = [i for i in range(n_labels) if code >> i & 1]
        filled = _fill([counts[i] for i in choices], len(members))
        start = 0
        for i, added in zip(choices, filled, strict=True):
            label[members[start : start + added]] = i
            counts[i] += added
            start += added
    return label


def _fill(levels: Sequence[int], amount: int) -> list[int]:
    """What to add to each level so that `amount` raises the lowest ones first."""
    added = [0] * len(levels)
    while amount:
        totals = [level + more for level, more in zip(levels, added, strict=True)]
        low = min(totals)
        lowest = [i for i, total in enumerate(totals) if total == low][:amount]
        above = min((total for total in totals if total > low), default=low + amount)
        step = min(above - low, amount // len(lowest))
        for i in lowest:
            added[i] += step
        amount -= step * len(lowest)
    return added
