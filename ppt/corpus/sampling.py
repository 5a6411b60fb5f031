"""Sampling as arithmetic on pool indices, for all anchors at once.

Every draw comes from the anchor's own random stream, so it depends on seed,
document and shard alone. All draws are uniform over what is allowed, without
replacement and without rejection. A anchors, N pool sentences.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, Mask
from ppt.base.streams import below, stream
from ppt.corpus.pool import Pool


class Draw(IntEnum):
    """Places in a random stream; each serves one choice only, or a run of choices."""

    DIRECTION = 0
    NUMBER = 1
    TASK = 2
    ORDER = 3
    PLACE = 4
    MIX = 5
    SAME = 64
    OTHER = 128
    SHUFFLE = 192


def adjacent(pool: Pool, anchors: Indices, adjacency: str, bits: Bits) -> Indices:
    """[A] the pool index of a neighbour in the source, -1 where none is usable."""
    after, before = pool.has_next[anchors], pool.has_previous[anchors]
    if adjacency == "both":
        forward = (stream(bits, Draw.DIRECTION) & np.uint64(1)).astype(bool)
        forward = np.where(after & before, forward, after)
    else:
        forward = np.full(len(anchors), adjacency == "next")
    usable = np.where(forward, after, before)
    return np.where(usable, np.where(forward, anchors + 1, anchors - 1), -1)


def same_document(pool: Pool, anchors: Indices, k: int, bits: Bits) -> tuple[Indices, Indices]:
    """[A, k] distinct sentences of the anchor's document, not adjacent; [A] how many there are."""
    first = anchors - pool.has_previous[anchors]
    near = anchors + pool.has_next[anchors] - first + 1
    counts = pool.sizes[anchors] - near
    drawn = pool.starts[anchors][:, None] + _distinct(bits, counts, k, Draw.SAME)
    return drawn + (drawn >= first[:, None]) * near[:, None], counts


def other_documents(pool: Pool, anchors: Indices, k: int, bits: Bits) -> tuple[Indices, Indices]:
    """[A, k] distinct sentences of other documents of the pool; [A] how many there are."""
    sizes = pool.sizes[anchors]
    counts = len(pool) - sizes
    drawn = _distinct(bits, counts, k, Draw.OTHER)
    return drawn + (drawn >= pool.starts[anchors][:, None]) * sizes[:, None], counts


def _distinct(bits: Bits, counts: Indices, k: int, counter: int) -> Indices:
    """[A, k] distinct integers in [0, counts), uniform; meaningless where counts < k.

    Draw j comes from the counts - j values left and steps over the earlier ones.
    """
    drawn = np.empty((len(bits), k), dtype=np.int64)
    for j in range(k):
        value = below(stream(bits, counter + j), counts - j)
        earlier = np.sort(drawn[:, :j], axis=1)
        for i in range(j):
            value += value >= earlier[:, i]
        drawn[:, j] = value
    return drawn


def place(answer: Indices, wrong: Indices, bits: Bits) -> tuple[Indices, NDArray[np.int8]]:
    """Options [R, n] with each position holding the answer equally often; labels [R]."""
    n_rows, n_wrong = wrong.shape
    ranks = stream(bits, Draw.PLACE)
    label = np.empty(n_rows, dtype=np.int64)
    # Start anywhere: many small groups would else give the first letters what is left over.
    first = int(ranks.min(initial=2**64 - 1))
    label[np.argsort(ranks, kind="stable")] = (np.arange(n_rows) + first % (n_wrong + 1)) % (
        n_wrong + 1
    )
    keys = stream(bits[:, None], Draw.SHUFFLE + np.arange(n_wrong, dtype=np.uint64)[None, :])
    wrong = np.take_along_axis(wrong, np.argsort(keys, axis=1, kind="stable"), axis=1)
    options = np.empty((n_rows, n_wrong + 1), dtype=np.int64)
    is_answer = np.arange(n_wrong + 1)[None, :] == label[:, None]
    options[is_answer] = answer
    options[~is_answer] = wrong.ravel()
    return options, label.astype(np.int8)


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
