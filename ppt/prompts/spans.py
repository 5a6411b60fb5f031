"""Raw text as its own task: a window of tokens, cut into what is read and what must be said.

Pure functions of a window [T] and 64 random bits (`ppt.base.streams`): equal bits cut
equally, on every machine.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Indices
from ppt.base.streams import below, stream

Tokens = NDArray[np.int32]
Pair = tuple[Tokens, Tokens]
"""What is read, and what is to be said after it."""

NOISE, MEAN_SPAN = 0.15, 3.0
"""The share of tokens that is left out; the mean length of a gap (Raffel et al. 2020, 3.3.4)."""


def next_tokens(window: Tokens) -> Pair:
    """Every token but the first, each after those before it."""
    return window[:1], window[1:]


def continued(window: Tokens, bits: int) -> Pair:
    """A prefix and its continuation, parted anywhere: prefix language modelling.

    Raffel et al. 2020, section 3.2.3; with this Lester et al. 2021 (2.2) adapted T5.
    """
    (at,) = 1 + below(stream(_root(bits), 0), np.array([len(window) - 1]))
    return window[:at], window[at:]


def corrupted(window: Tokens, bits: int, sentinels: Sequence[int]) -> Pair:
    """Span corruption (Raffel et al. 2020, section 3.1.4): gaps, and what stood in them.

    A sentinel stands for each gap, the same one before what it held, and one more ends what
    is to be said.
    """
    starts, lengths = gaps(len(window), bits)
    marks = np.array(sentinels[: len(starts) + 1], np.int32)
    text, target, place = [], [], 0
    for mark, start, length in zip(marks, starts.tolist(), lengths.tolist(), strict=False):
        text += [window[place:start], [mark]]
        place = start + length
        target += [[mark], window[start:place]]
    read = np.concatenate([*text, window[place:]])
    return read.astype(np.int32), np.concatenate([*target, marks[-1:]]).astype(np.int32)


def gap_count(length: int) -> int:
    """How many gaps a window of that many tokens gets."""
    noise = _noise(length)
    return int(np.clip(round(noise / MEAN_SPAN), 1, min(noise, length - noise)))


def gaps(length: int, bits: int) -> tuple[Indices, Indices]:
    """Where the gaps of a window begin, and how long they are.

    All ways to part its tokens into as many gaps, with text before each of them, are equally
    likely, as in the published code.
    """
    noise, count = _noise(length), gap_count(length)
    kept, left_out = (
        _parts(total, count, stream(_root(bits), number))
        for number, total in enumerate((length - noise, noise))
    )
    ends = np.cumsum(kept + left_out)
    return ends - left_out, left_out


def _noise(length: int) -> int:
    return int(np.clip(round(length * NOISE), 1, length - 1))


def _parts(total: int, count: int, root: NDArray[np.uint64]) -> Indices:
    """`total` as a sum of `count` whole numbers above 0, all such sums equally likely."""
    order = np.argsort(stream(root, np.arange(total - 1, dtype=np.uint64)), kind="stable")
    cuts = np.sort(order[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _root(bits: int) -> NDArray[np.uint64]:
    return np.array([bits], np.uint64)
