"""Sampling as arithmetic on pool indices, for all anchors at once.

Every draw comes from the anchor's own random stream, so it depends on seed, document and
shard alone, and is without replacement. Wrong options are drawn to be hard, by `Likeness`:
what overlaps with the anchor, or looks other than the rest, should not give the answer away.
A anchors, N pool sentences.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices
from ppt.base.streams import below, stream
from ppt.corpus.likeness import Likeness
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
    TRY = 256
    BLOCK = 320


TRIES = 8
"""Sentences that are looked at for each wrong option of the anchor's document."""

SPARE = 8
"""How many more of a block are looked at than are needed: some are of the anchor's document."""


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


def distant(pool: Pool, anchors: Indices) -> Indices:
    """[A] how many sentences of its document are not adjacent to the anchor."""
    return pool.sizes[anchors] - 1 - pool.has_previous[anchors] - pool.has_next[anchors]


def same_document(
    like: Likeness, anchors: Indices, answers: Indices, k: int, bits: Bits
) -> Indices:
    """[A, k] distinct sentences of the anchor's document, not adjacent, if there are so many.

    Each is the best of `TRIES`: the least like the answer in its words, for else the two of
    one document show among the options, and of like look.
    """
    pool = like.pool
    near = 1 + pool.has_previous[anchors] + pool.has_next[anchors]
    first = anchors - pool.has_previous[anchors]
    counts = distant(pool, anchors)
    drawn = _distinct(bits, counts, k, Draw.SAME)

    def sentences(number: Indices) -> Indices:
        found: Indices = pool.starts[anchors][:, None] + number
        found += (found >= first[:, None]) * near[:, None]
        return np.minimum(found, max(len(pool) - 1, 0))

    for j in range(k):
        turns = Draw.TRY + TRIES * j + np.arange(TRIES, dtype=np.uint64)
        tries = below(stream(bits[:, None], turns), counts[:, None])
        tries[:, 0] = drawn[:, j]
        costs = like.difference(answers, sentences(tries))
        for i in range(k):
            if i != j:
                costs[tries == drawn[:, i, None]] = np.iinfo(np.int64).max
        drawn[:, j] = np.take_along_axis(tries, costs.argmin(axis=1)[:, None], axis=1)[:, 0]
    return sentences(drawn)


def other_documents(
    like: Likeness, anchors: Indices, answers: Indices, k: int, bits: Bits
) -> Indices:
    """[A, k] distinct sentences of other documents of the pool, if there are so many.

    Near duplicates of the anchor's are none: what stands in them may stand in it.
    They come from two blocks of the answer's: that of the word which it shares with the anchor,
    so that they share it too, and that of its look. What these lack is drawn from the pool.
    """
    pool = like.pool
    starts, sizes = pool.kin_starts[anchors], pool.kin_sizes[anchors]
    drawn = _distinct(bits, len(pool) - sizes, k, Draw.OTHER)
    drawn += (drawn >= starts[:, None]) * sizes[:, None]
    filled = np.zeros(len(anchors), np.int64)
    for step, block in enumerate((like.linked(anchors, answers), like.look[answers])):
        rows = np.flatnonzero((block >= 0) & (filled < k))
        size = like.size[block[rows]][:, None]
        seats = np.arange(k + SPARE)
        turn = below(stream(bits[rows], Draw.BLOCK + step), size[:, 0])[:, None]
        place = turn + np.minimum(seats, size - 1)
        place -= size * (place >= size)
        found = like.members[like.start[block[rows]][:, None] + place]
        own = starts[rows][:, None]
        fits = (seats < size) & ((found < own) | (found >= own + sizes[rows][:, None]))
        for j in range(k):
            fits &= found != drawn[rows, j, None]
        number = np.cumsum(fits, axis=1) + filled[rows, None]
        row, column = np.nonzero(fits & (number <= k))
        drawn[rows[row], number[row, column] - 1] = found[row, column]
        filled[rows] = np.minimum(number[:, -1], k)
    return drawn


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
