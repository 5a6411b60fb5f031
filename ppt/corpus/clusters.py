"""Samples of shingles → pairs of documents that share them → clusters of near duplicates.

One document belongs to another's cluster where 0.8 of its shingles stand in the other: a near
duplicate (a Jaccard index of 0.8 is more than that), or a message in the reply that quotes it.
What more than `COMMON` documents share (a letterhead, a licence) tells nothing of any two of
them, so it is left out of both sides of that fraction; but a document that holds hardly anything
else joins the first of them, so that a thousand copies of one letter are a cluster.

Each function takes and gives plain arrays, in any order, and what comes out in any number of
parts is the same: parts of samples by hash, of links by their `one`, and all edges together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ppt.base.arrays import Bits, Mask, begins, distinct
from ppt.base.streams import mix
from ppt.corpus.shingles import LEVELS, LIMITS

CONTAINED = 0.8
"""The part of a document's shingles that must stand in another one."""

COMMON = 32
"""A shingle that more documents have tells nothing of any two of them."""

_DEVIATIONS = 3.0
"""A sample may fall this many standard deviations short of `CONTAINED`."""

_LEAST = (2, 3)
"""Sampled shingles that two documents must share: two where there are no more, else three. Of
whole sets one is enough."""

_AT_ONCE = 1 << 22
"""Pairs held before they are added up."""

LINK = np.dtype(
    [("one", "<u8"), ("other", "<u8"), ("level", "u1"), ("shared", "<u4"), ("starred", "<u4"),
     ("words", "<u4", (2,)), ("counts", "<u4", (LEVELS,))]
)  # fmt: skip
"""What documents `one` and `other` share at the coarser of their levels: shingles that tell, and
others, counted for one pair of many; the words of both; the sample of `one` by level. Where
they are the same document, `counts` has those of its shingles that are common."""

EDGE = np.dtype([("one", "<u8"), ("other", "<u8"), ("words", "<u4", (2,))])
"""Two documents of one cluster, and their words."""


MEMBER = np.dtype([("number", "<u8"), ("cluster", "<u8"), ("kept", "<u8")])
"""A document that is not alone; the hash of the smallest number of its cluster, as that number
itself would send large clusters to one split; the longest document of it, of equals the one with
the smallest number."""


@dataclass(frozen=True)
class Clusters:
    """Which documents belong together: `members`, of the kind `MEMBER`, sorted by number."""

    members: np.ndarray = field(default_factory=lambda: np.empty(0, MEMBER))

    def has(self, documents: Bits) -> Mask:
        """Which of `documents` have a near duplicate."""
        return np.isin(documents, self.members["number"])

    def of(self, documents: Bits, what: str = "cluster") -> Bits:
        """The cluster of each of `documents`, or what else is known; one alone is its own."""
        found = documents.copy()
        inside = self.has(documents)
        at = np.searchsorted(self.members["number"], documents[inside])
        found[inside] = self.members[what][at]
        return found

    @property
    def others(self) -> Bits:
        """The documents that are not the longest of their clusters."""
        number: Bits = self.members["number"]
        others: Bits = number[number != self.members["kept"]]
        return others

    def counts(self) -> dict[str, int]:
        """How many clusters there are, documents in them, and in the largest."""
        _, sizes = np.unique(self.members["cluster"], return_counts=True)
        largest = int(sizes.max(initial=0))
        return {"clusters": len(sizes), "documents": len(self.members), "largest": largest}


def link(samples: np.ndarray) -> np.ndarray:
    """`LINK`s of all documents of a part of the samples that share a shingle in it."""
    samples = distinct(samples, "hash", "document")  # equal documents are one
    firsts = np.flatnonzero(begins(samples["hash"]))
    sizes = np.diff(np.append(firsts, len(samples)))
    size_of, first_of = np.repeat(sizes, sizes), np.repeat(firsts, sizes)
    common = np.flatnonzero(size_of > COMMON)
    stars = common[first_of[common] != common]
    pairs = _Pairs(samples)
    starred = pairs.links(pairs.codes(stars, first_of[stars]), "starred")
    telling = np.flatnonzero((size_of > 1) & (size_of <= COMMON))
    for step in range(1, COMMON):
        telling = telling[telling + step < len(samples)]
        telling = telling[first_of[telling] == first_of[telling + step]]
        if not len(telling):
            break
        pairs.meet(telling, telling + step)
    return np.concatenate([_commons(samples[common]), starred, *pairs.both_ways()])


def edges(links: np.ndarray) -> np.ndarray:
    """`EDGE`s of the pairs among a part's links of which one holds enough of the other."""
    links = added([links])
    own = links["one"] == links["other"]
    commons, pairs = links[own], links[~own]
    level = pairs["level"].astype(np.int64)
    whole = pairs["counts"][np.arange(len(pairs)), level].astype(np.int64)
    left_out = np.zeros(len(pairs), dtype=np.int64)
    known = np.isin(pairs["one"], commons["one"])
    at = np.searchsorted(commons["one"], pairs["one"][known])
    left_out[known] = commons["counts"][at, level[known]]
    shared, all_shared = (pairs[name].astype(np.int64) for name in ("shared", "starred"))
    all_shared += shared
    joined = _enough(shared, whole - left_out, level, sampled=(level > 0) | (left_out > 0))
    joined |= _enough(all_shared, whole, level, sampled=level > 0)
    found = np.zeros(int(joined.sum()), dtype=EDGE)
    for name in EDGE.names or ():
        found[name] = pairs[name][joined]
    return found


def cluster(found: np.ndarray) -> Clusters:
    """All edges → clusters, by union of the sets that each one joins."""
    parent: dict[int, int] = {}
    words: dict[int, int] = {}

    def root(document: int) -> int:
        while (above := parent.setdefault(document, document)) != document:
            parent[document] = parent[above]
            document = above
        return document

    for one, other, (of_one, of_other) in found.tolist():
        words[one], words[other] = of_one, of_other
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    members = sorted(parent)
    kept: dict[int, int] = {}
    for member in members:
        best = kept.setdefault(root(member), member)
        if words[member] > words[best]:
            kept[root(member)] = member
    rows = np.array([(member, root(member), kept[root(member)]) for member in members], MEMBER)
    rows["cluster"] = mix(rows["cluster"])
    return Clusters(rows)


def added(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Links of all parts, those of one pair as one, sorted by `one` and `other`."""
    rows = np.concatenate(parts)
    rows = rows[np.lexsort((rows["other"], rows["one"]))]
    firsts = np.flatnonzero(begins(rows["one"]) | begins(rows["other"]))
    if not len(firsts):
        return rows
    found = rows[firsts]
    for name in ("shared", "starred"):
        found[name] = np.add.reduceat(rows[name], firsts)
    own = found["one"] == found["other"]
    found["counts"][own] = np.add.reduceat(rows["counts"], firsts)[own]
    return found


def _enough(shared: np.ndarray, of: np.ndarray, level: np.ndarray, sampled: Mask) -> Mask:
    """Whether `shared` of a sample may be `CONTAINED` of the whole.

    The sample is drawn without replacement: at level 0 it is the whole, and its count exact.
    """
    left = 1 - 0.5**level
    spread = np.sqrt(CONTAINED * (1 - CONTAINED) * left * np.maximum(of, 0))
    wanted = CONTAINED * of - _DEVIATIONS * spread
    enough: Mask = shared >= np.maximum(wanted, np.where(sampled, np.clip(of, *_LEAST), 1))
    return (of > 0) & enough


def _commons(samples: np.ndarray) -> np.ndarray:
    """A link of each document to itself, with how many of `samples` it has at each level."""
    found = np.zeros(len(samples), dtype=LINK)
    found["one"] = found["other"] = samples["document"]
    found["counts"] = samples["hash"][:, None] <= LIMITS
    return found


class _Pairs:
    """Pairs of rows of `samples`, counted as pairs of documents: a number for each pair."""

    def __init__(self, samples: np.ndarray) -> None:
        documents, first, self._places = np.unique(
            samples["document"], return_index=True, return_inverse=True
        )
        self._known, self._many = samples[first], len(documents)
        self._met = [np.empty(0, np.int64)]
        self._counted = np.empty((2, 0), np.int64)

    def codes(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The numbers of the pairs of documents that rows are of."""
        found: np.ndarray = self._places[one] * self._many + self._places[other]
        return found

    def meet(self, one: np.ndarray, other: np.ndarray) -> None:
        """Count pairs of rows that share a shingle."""
        self._met.append(self.codes(one, other))
        if sum(map(len, self._met)) > _AT_ONCE:
            self._count()

    def _count(self) -> None:
        codes, counts = np.unique(np.concatenate(self._met), return_counts=True)
        merged = np.concatenate([self._counted, [codes, counts]], axis=1)
        codes, first = np.unique(merged[0], return_inverse=True)
        counts = np.bincount(first, merged[1], len(codes)).astype(np.int64)
        self._met, self._counted = [np.empty(0, np.int64)], np.stack([codes, counts])

    def both_ways(self) -> Iterator[np.ndarray]:
        """The links of all that met, from each side."""
        self._count()
        codes, counts = self._counted
        yield self._made(codes // self._many, codes % self._many, "shared", counts)
        yield self._made(codes % self._many, codes // self._many, "shared", counts)

    def links(self, codes: np.ndarray, what: str) -> np.ndarray:
        """The links of pairs, from one side."""
        codes, counts = np.unique(codes, return_counts=True)
        return self._made(codes // self._many, codes % self._many, what, counts)

    def _made(
        self, one: np.ndarray, other: np.ndarray, what: str, counts: np.ndarray
    ) -> np.ndarray:
        found = np.zeros(len(counts), dtype=LINK)
        known = self._known
        found["one"], found["other"] = known["document"][one], known["document"][other]
        found["level"] = np.maximum(known["level"][one], known["level"][other])
        found["words"][:, 0], found["words"][:, 1] = known["words"][one], known["words"][other]
        found["counts"] = known["counts"][one]
        found[what] = counts
        return found
