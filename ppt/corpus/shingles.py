"""Samples of documents' shingles, by which documents that hold others' text are found.

A shingle is a run of eight words. Documents keep those whose hash is small, so that whatever
two of them share is in both samples or in neither (Broder 1997, "On the resemblance and
containment of documents", section 4.1: sketches modulo m). Short documents keep more: all of
up to 64 shingles, an eighth of 256 and more; of two documents the coarser sample tells.
"""

from collections.abc import Sequence

import numpy as np

from ppt.base.arrays import begins
from ppt.base.words import words_of

SHINGLE_WORDS = 8
LEVELS = 4
"""Level l keeps one shingle in 2^l."""

_FEWEST = 32
"""Shingles that a document keeps at least, on average, if it has as many."""

SAMPLE = np.dtype(
    [("hash", "<u8"), ("document", "<u8"), ("words", "<u4"), ("level", "u1"),
     ("counts", "<u4", (LEVELS,))]
)  # fmt: skip
"""A sampled shingle: its hash, its document, and of the document the words, the level, and how
many of the sample each level from there on has."""

LIMITS = np.uint64(2**64 - 1) >> np.arange(LEVELS, dtype=np.uint64)
"""The largest hash that each level keeps."""


def sample_shingles(documents: Sequence[int], texts: Sequence[str]) -> np.ndarray:
    """The `SAMPLE` of documents, given by number and text.

    A document of fewer words has one shingle, of all of them; one without words has none.
    """
    words = words_of(texts)
    lengths = words.counts
    places, hashes = words.runs(SHINGLE_WORDS)
    text = words.texts[places]
    for few in range(1, SHINGLE_WORDS):
        short = np.flatnonzero(lengths == few)
        places = words.starts[short]
        text = np.concatenate([text, short])
        hashes = np.concatenate([hashes, words.hashed(places, few)])
    shingles = np.bincount(text, minlength=len(texts))
    levels = np.digitize(shingles, [2 * _FEWEST << level for level in range(LEVELS - 1)])
    kept = hashes <= LIMITS[levels[text]]
    text, hashes = text[kept], hashes[kept]
    order = np.lexsort((hashes, text))
    text, hashes = text[order], hashes[order]
    first = begins(text) | begins(hashes)
    text, hashes = text[first], hashes[first]
    found = np.zeros(len(hashes), dtype=SAMPLE)
    found["hash"] = hashes
    found["document"] = np.array(documents, dtype=np.uint64)[text]
    found["words"] = lengths[text]
    found["level"] = levels[text]
    for level in range(LEVELS):
        inside = text[hashes <= LIMITS[level]]
        found["counts"][:, level] = np.bincount(inside, minlength=len(texts))[text]
    return found
