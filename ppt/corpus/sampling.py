"""Sampling as arithmetic on pool indices, for all anchors at once.

Every draw comes from the anchor's own random stream, so it depends on seed, document and
shard alone, and is without replacement. Wrong options are drawn to be hard, by `Likeness`:
what overlaps with the anchor, or looks other than the rest, should not give the answer away.
A anchors, N pool sentences.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, Mask
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
    TURN = 6
    SAME = 64
    OTHER = 128
    SHUFFLE = 192
    BLOCK = 320


TRIES = 12
"""Sentences that are looked at for each wrong option of the anchor's document."""

SPARE = 8
"""How many more of a block are looked at than are needed: some are of the anchor's document."""

_AT_ONCE = 4096
"""Anchors: their arrays stay in the processor's caches."""


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


def wrong_options(
    like: Likeness, anchors: Indices, answers: Indices, same: int, other: int, bits: Bits
) -> Indices:
    """[A, same + other] distinct wrong options beside each answer: first those of the anchor's
    document, which are not adjacent, then those of others. Meaningless where there are fewer.
    """
    drawn = np.empty((len(anchors), same + other), np.int64)
    for i in range(0, len(anchors), _AT_ONCE):
        part = slice(i, i + _AT_ONCE)
        own = _same_document(like, anchors[part], answers[part], same, bits[part])
        beside = np.column_stack([answers[part], own])
        drawn[part, :same] = own
        drawn[part, same:] = _other_documents(like, anchors[part], beside, other, bits[part])
    return drawn


def _same_document(
    like: Likeness, anchors: Indices, answers: Indices, k: int, bits: Bits
) -> Indices:
    """[A, k] sentences of the anchor's document: each the fittest of `TRIES` on end."""
    pool = like.pool
    near = 1 + pool.has_previous[anchors] + pool.has_next[anchors]
    first = anchors - pool.has_previous[anchors]
    counts = distant(pool, anchors)
    drawn = _distinct(bits, counts, k, Draw.SAME)
    links = like.links(anchors, answers)

    def sentences(number: Indices) -> Indices:
        found: Indices = pool.starts[anchors][:, None] + number
        found += (found >= first[:, None]) * near[:, None]
        return np.minimum(found, max(len(pool) - 1, 0))

    for j in range(k):
        tries = (drawn[:, j, None] + np.arange(TRIES)) % np.maximum(counts, 1)[:, None]
        costs = like.difference(answers, sentences(tries), links)
        for i in range(k):
            if i != j:
                costs[tries == drawn[:, i, None]] = np.iinfo(np.int32).max
        drawn[:, j] = np.take_along_axis(tries, costs.argmin(axis=1)[:, None], axis=1)[:, 0]
    return sentences(drawn)


def _other_documents(
    like: Likeness, anchors: Indices, beside: Indices, k: int, bits: Bits
) -> Indices:
    """[A, k] sentences of other documents; near duplicates of the anchor's are none: what
    stands in them may stand in it.

    `beside` [A, B] are the options of the anchor's document, the answer first. As many are taken
    from the blocks of each, so that none is known by standing amid the others: first those of
    the word that links answer and anchor, then those of their looks. What these lack is drawn
    from the pool.
    """
    pool = like.pool
    starts, sizes = pool.kin_starts[anchors, None], pool.kin_sizes[anchors, None]
    n_beside = beside.shape[1]
    each, seats = np.arange(len(anchors)), np.arange(-(-k // n_beside) + SPARE)
    first = below(stream(bits, Draw.TURN), np.full(len(anchors), n_beside))
    links = like.links(anchors, beside[:, 0])
    drawn = np.full((len(anchors), k), -1)
    filled = before = np.zeros(len(anchors), np.int64)
    for step in range(2 * n_beside):
        turn = step % n_beside
        if turn == 0:
            before, filled = filled, filled.copy()
        wanted = before + (k - before) * (turn + 1) // n_beside
        sentences = beside[each, (first + turn) % n_beside]
        block = like.linked(links, sentences) if step < n_beside else like.look[sentences]
        rows = np.flatnonzero((block >= 0) & (filled < wanted))
        size = like.size[block[rows]][:, None]
        place = below(stream(bits[rows], Draw.BLOCK + step), size[:, 0])[:, None]
        place = place + np.minimum(seats, size - 1)
        place -= size * (place >= size)
        found = like.members.take(like.start[block[rows]][:, None] + place)
        fits = (seats < size) & _strange(found, starts[rows], sizes[rows], drawn[rows])
        filled[rows] = _put(drawn, rows, found, fits, filled[rows], wanted[rows])
    rows = np.flatnonzero(filled < k)
    found = _distinct(bits[rows], len(pool) - sizes[rows, 0], k, Draw.OTHER)
    found += (found >= starts[rows]) * sizes[rows]
    fits = _strange(found, starts[rows], sizes[rows], drawn[rows])
    _put(drawn, rows, found, fits, filled[rows], np.full(len(rows), k))
    return drawn


def _strange(found: Indices, starts: Indices, sizes: Indices, drawn: Indices) -> Mask:
    """[R, C] which of `found` are of other clusters, and not drawn [R, k] yet."""
    fits = (found < starts) | (found >= starts + sizes)
    for j in range(drawn.shape[1]):
        if (drawn[:, j] >= 0).any():
            fits &= found != drawn[:, j, None]
    return fits


def _put(
    drawn: Indices, rows: Indices, found: Indices, fits: Mask, filled: Indices, wanted: Indices
) -> Indices:
    """Put those of `found` [R, C] that fit into `rows` [R] of `drawn`, from `filled` [R] on up to
    `wanted` [R]; returns how many are filled then.
    """
    number = np.cumsum(fits, axis=1) + filled[:, None]
    row, column = np.nonzero(fits & (number <= wanted[:, None]))
    drawn[rows[row], number[row, column] - 1] = found[row, column]
    reached: Indices = np.minimum(filled + fits.sum(axis=1), wanted)
    return reached


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
