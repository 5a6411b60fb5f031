"""Which sentences of a pool are alike: where the wrong options that are hard are looked for.

Two orders put like sentences side by side. In the one, sentences of a *word* stand by length;
in the other all sentences by how they begin and end, then by length. Both are parted into
blocks, shuffled within: what shares a block with the answer has its look, and the answer may
stand anywhere among it. All is integers, so equal on every machine. N sentences.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, begins, places_in_groups
from ppt.corpus.buckets import BUCKETS, word_buckets
from ppt.corpus.pool import Pool
from ppt.errors import InputError

BLOCK = 16
"""Sentences of a block at the least, where a word has so many."""

COMMON = 8
"""A word of more than one sentence in so many links nothing: all kinds of sentences have it."""

DOCUMENTS = 3
"""A word links only where so many documents have it, so that others can be found by it."""

SHARED, LOOK, LACKING = 16, 32, 48

Costs = NDArray[np.int32]

_PRINT = 256
_NUMBER, _LOW = np.uint64(24), np.uint64((1 << 24) - 1)
"""A pool's sentences are numbered in 24 bits: 16 million."""


class Likeness:
    """The blocks of a pool's sentences, and their fingerprints.

    Block b holds `members[start[b] : start[b] + size[b]]`. `look` [N] is the block of each
    sentence among those that look alike.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool, n = pool, len(pool)
        if n > _LOW:
            raise InputError(
                f"a shard has {n:,} usable sentences, expected at most {_LOW:,}: give more "
                "--num_shards, or a smaller --shard_mb."
            )
        words = _Postings(pool)
        mixed = np.empty(n, np.int64)
        mixed[np.argsort(pool.bits, kind="stable")] = np.arange(n)
        by_length = _ranks(pool.lengths, mixed)
        look = _looks(pool.text) * (int(pool.lengths.max(initial=0)) + 1) + pool.lengths
        look_rank = _ranks(look, mixed)
        self._looks = (look_rank * LOOK // max(n, 1)).astype(np.int32)
        word = np.concatenate([words.word, np.full(n, BUCKETS)])
        sentence = np.concatenate([words.sentence, np.arange(n)])
        rank = np.concatenate([by_length[words.sentence], look_rank])
        block = _blocks(word, rank)
        members = np.sort(_packed(block, mixed[sentence])) & _LOW  # shuffled within
        self.members = np.argsort(mixed)[members.astype(np.int64)]
        self.size = np.bincount(block)
        self.start = np.cumsum(self.size) - self.size
        self.look = block[len(words.word) :]
        self._words, self._block = words, block

    def links(self, anchors: Indices, answers: Indices) -> Indices:
        """[A] the answer's posting of a word that it shares with its anchor, and other documents
        have too; -1 where they share none.
        """
        posting = self._words.linked[np.minimum(anchors, answers)]
        return np.where(posting < 0, -1, posting + (answers > anchors))

    def linked(self, links: Indices, sentences: Indices) -> Indices:
        """[A] the block of `sentences` among those of the word that links; of the answer, where
        they lack it; -1 where nothing links.
        """
        words, block = self._words, np.full(len(links), -1)
        rows = np.flatnonzero(links >= 0)
        block[rows] = self._block[links[rows]]
        rows = rows[sentences[rows] != words.sentence[links[rows]]]
        keys = _packed(words.word[links[rows]], sentences[rows])
        found = np.minimum(np.searchsorted(words.keys, keys), len(words.keys) - 1)
        having = words.keys[found] == keys
        block[rows[having]] = self._block[found[having]]
        return block

    def difference(self, answers: Indices, others: Indices, links: Indices) -> Costs:
        """[A, C] how unfit each of `others` is to stand beside its answer: shared words, but
        common ones, count `SHARED` each, a look from one end of their order to the other `LOOK`,
        to lack the word that links answer and anchor `LACKING`.
        """
        prints, word = self._words.prints, self._words.bit[links]
        theirs = prints.take(others, axis=0)
        has = theirs.view(np.uint8)[np.arange(len(links)), :, word // 8]
        has = has >> (7 - word % 8)[:, None] & (links >= 0)[:, None]
        counts = np.bitwise_count(theirs & prints[answers][:, None])
        shared = counts.view(np.uint32)[..., 0] * np.uint32(0x01010101) >> np.uint32(24)
        apart = np.abs(self._looks[answers][:, None] - self._looks.take(others))
        costs: Costs = SHARED * shared.view(np.int32) + apart
        costs -= LACKING * has
        return costs


class _Postings:
    """The words that link neighbours, and all sentences that have them.

    `word`, `sentence` [P] of each posting, in this order; `keys` has both. `linked` [N] is the
    posting of a sentence for a word that it shares with the one that follows, whose own is the
    next: the rarest that a third sentence of the document has, else the rarest; -1: none.
    `prints` [N, 4] of 64 bits: a Bloom filter of the words of a sentence; `bit` [P + 1] the place
    of each posting's word in it, 0 for none.
    """

    def __init__(self, pool: Pool) -> None:
        n = len(pool)
        sentence, word = word_buckets(pool.text)
        uses = np.bincount(word, minlength=BUCKETS)
        telling = ((uses > 1) & (uses * COMMON <= n))[word]
        sentence, word = sentence[telling], word[telling]
        flags = np.zeros((n, _PRINT), dtype=bool)
        flags[sentence, word % _PRINT] = True
        self.prints: Bits = np.packbits(flags, axis=1).view(np.uint64)
        keys = np.sort(_packed(word, sentence))
        keys = keys[begins(keys)]  # a word twice is one
        word, sentence = (keys >> _NUMBER).astype(np.int64), (keys & _LOW).astype(np.int64)
        uses = np.bincount(word, minlength=BUCKETS)
        document = pool.document[sentence]
        starts = np.flatnonzero(begins(word) | begins(document))
        serves = np.bincount(word[starts], minlength=BUCKETS) >= DOCUMENTS
        sizes = np.diff(np.append(starts, len(keys)))
        again = np.repeat(sizes > 2, sizes)  # a third sentence of its document has it
        first = np.flatnonzero(
            (keys[1:] - keys[:-1] == 1) & pool.has_next[sentence[:-1]] & serves[word[:-1]]
        )
        rank = again[first] * len(keys) - uses[word[first]]
        first = first[np.argsort(rank, kind="stable")]
        linked = np.full(n, -1)
        linked[sentence[first]] = first  # of several the last stays
        used = np.zeros(BUCKETS, dtype=bool)
        used[word[linked[linked >= 0]]] = True
        kept = used[word]
        self.keys, self.word, self.sentence = keys[kept], word[kept], sentence[kept]
        self.bit = np.append(self.word % _PRINT, 0)
        self.linked = np.where(linked < 0, -1, np.append(0, np.cumsum(kept))[linked])


def _looks(texts: Sequence[str]) -> Indices:
    """[N] how a sentence looks: its end, whether it begins with a capital, has a quotation."""
    looks = [
        (".?!".find(text[-1]) + 1) * 4 + text[0].isupper() * 2 + ('"' in text or "“" in text)
        for text in texts
    ]
    return np.array(looks, np.int64)


def _ranks(keys: Indices, mixed: Indices) -> Indices:
    """[N] the place of each by its key, equal ones as `mixed`, a permutation, has them."""
    ranks = np.empty(len(keys), np.int64)
    ranks[np.argsort(_packed(keys, mixed))] = np.arange(len(keys))
    return ranks


def _blocks(word: Indices, rank: Indices) -> Indices:
    """[P] the block of each posting; `rank` [P] are the places of their sentences by length."""
    order = np.argsort(_packed(word, rank))
    counts = np.bincount(word, minlength=BUCKETS + 1)
    blocks = np.where(counts, np.maximum(counts // BLOCK, 1), 0)
    within = places_in_groups(word, order)
    block: Indices = (np.cumsum(blocks) - blocks)[word] + within * blocks[word] // counts[word]
    return block


def _packed(high: Indices, number: Indices) -> Bits:
    """Keys in the order of `high`, then `number`; no two are equal, so any sort will do."""
    return high.astype(np.uint64) << _NUMBER | number.astype(np.uint64)
