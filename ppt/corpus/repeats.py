"""Sentences that stand in more than one document of the whole corpus, counted exactly.

What is counted are content keys (`ppt.base.text.content_key`) as hashes: of two keys in 2^64
one hash, and so one sentence too many left out, is met once in some 10^9 sentences.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from ppt.base.arrays import Bits, begins, distinct
from ppt.base.words import hashes_of
from ppt.corpus.clusters import Clusters

STANDING = np.dtype([("key", "<u8"), ("document", "<u8")])
"""The hash of a content key, and the number of a document that has it."""


def standing(documents: Sequence[int], keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Where content keys stand, given those of each document."""
    found = np.empty(sum(map(len, keys)), dtype=STANDING)
    found["key"] = hashes_of([*chain.from_iterable(keys)])
    found["document"] = np.repeat(np.array(documents, np.uint64), [len(one) for one in keys])
    return found


def repeated(rows: np.ndarray, without: Bits) -> np.ndarray:
    """Those of `rows`, all that have some keys, whose key stands in two documents or more.

    Documents of `without` do not count. Sorted, each once.
    """
    rows = rows[~np.isin(rows["document"], without)]
    rows = distinct(rows, "key", "document")
    first = begins(rows["key"])
    last = np.append(first[1:], True)[: len(rows)]
    found: np.ndarray = rows[~(first & last)]
    return found


def barred(rows: np.ndarray, clusters: Clusters) -> np.ndarray:
    """Those `repeated` rows whose sentences may not be used.

    All may not, but that a sentence which only one cluster has is the first's of its documents:
    editions of a text, or a message and what quotes it, would else lose what they share.
    """
    if not len(rows):
        return rows
    first = np.flatnonzero(begins(rows["key"]))
    of = clusters.of(rows["document"])
    one = np.minimum.reduceat(of, first) == np.maximum.reduceat(of, first)
    found: np.ndarray = np.delete(rows, first[one])
    return found
