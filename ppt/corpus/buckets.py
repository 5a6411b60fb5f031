"""Sentences → their words as numbers, for all of a pool at once: no Python object a word.

A word is a run of letters and digits, known by its first eight bytes (which spares a stemmer),
signs of scripts without spaces by two of them, and hashed into one of `BUCKETS`.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ppt.base.arrays import Indices

BUCKETS = 1 << 18

_AT_ONCE = 4096
"""Texts: their arrays stay in the processor's caches."""

_PREFIX = 8
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_IDEOGRAPHS = 0xE3
"""From this lead byte on UTF-8 holds scripts that put no spaces between words."""
_TWO_SIGNS = 6
_SIGNS = ((0xE2, 0x80), (0xE2, 0x81), (0xE3, 0x80))
"""How typographic signs begin: quotation marks, dashes, CJK stops."""

_FOLDED = bytes(
    code if code > 127 else ord(chr(code).lower()) if chr(code).isalnum() else 0
    for code in range(256)
)
"""Byte → its letter in lower case, 0 where a word ends."""
_FIRST = np.array([(1 << 8 * n) - 1 for n in range(_PREFIX + 1)], np.uint64)
"""Masks of the first n bytes."""


def word_buckets(texts: Sequence[str]) -> tuple[Indices, Indices]:
    """Of W words in N texts: the number of its text, ascending, and its bucket; [W] each."""
    parts = [_words(texts[i : i + _AT_ONCE]) for i in range(0, len(texts), _AT_ONCE)]
    counts = np.concatenate([np.zeros(0, np.int64), *(counts for counts, _ in parts)])
    buckets = np.concatenate([np.zeros(0, np.int64), *(bucket for _, bucket in parts)])
    return np.repeat(np.arange(len(texts)), counts), buckets


def _words(texts: Sequence[str]) -> tuple[Indices, Indices]:
    """How many words each text has; the bucket of each word."""
    sizes = np.frombuffer(pa.array(texts, pa.string()).buffers()[1], np.int32)[: len(texts) + 1]
    offsets = sizes.astype(np.int64) + np.arange(len(texts) + 1)
    letters = _letters("\n".join([*texts, " " * _PREFIX]).encode())
    starts, lengths = _runs(letters)
    eight = np.ndarray(len(letters) - _PREFIX + 1, "<u8", letters, strides=(1,))
    keys = eight[starts] & _FIRST[lengths]
    bucket = (keys * _SPREAD) >> np.uint64(64 - BUCKETS.bit_length() + 1)
    return np.diff(np.searchsorted(starts, offsets)), bucket.astype(np.int64)


def _letters(text: bytes) -> NDArray[np.uint8]:
    """The bytes as `_FOLDED` has them, 0 too where signs of more bytes stand."""
    letters = np.frombuffer(bytearray(text.translate(_FOLDED)), np.uint8)
    if not text.isascii():
        leads = np.flatnonzero(letters >= _SIGNS[0][0])
        for first, second in _SIGNS:
            signs = leads[(letters[leads] == first) & (letters[leads + 1] == second)]
            for k in range(3):
                letters[signs + k] = 0
    return letters


def _runs(letters: NDArray[np.uint8]) -> tuple[Indices, Indices]:
    """[W] where words begin; [W] how many bytes of each count."""
    inside = letters > 0
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    ends = np.flatnonzero(inside[:-1] & ~inside[1:]) + 1  # the text ends in spaces
    ideographs = letters >= _IDEOGRAPHS
    if not ideographs.any():
        starts = np.flatnonzero(begins)
        return starts, np.minimum(ends - starts, _PREFIX)
    starts = np.flatnonzero(begins | ideographs)
    ends = ends[np.searchsorted(ends, starts, side="right")]
    limit = np.where(ideographs[starts], _TWO_SIGNS, _PREFIX)
    return starts, np.minimum(ends - starts, limit)
