"""The mixing pool: every usable sentence of one shard, as columns.

A shard's documents are sorted by key and their sentences stand in document
order, so a document is a contiguous range, "another document" is everything
outside that range, and all sampling is arithmetic on indices.

Noise leaves here, once, for all formats: a sentence enters the pool only if
its content key (`ppt.base.text.content_keys`) occurs once in the whole corpus. So no
two options can be near-equal, no "other document" sentence also stands in the
anchor's document, no sentence stands in both splits, and boilerplate that repeats
is neither anchor nor option. Nor is what another sentence of the shard begins with: a
wrong option would read like a right one that goes on.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np

from ppt.base.arrays import Bits, Indices, Mask
from ppt.base.streams import mix, seed_bits
from ppt.base.text import NEAR_EQUAL_LETTERS, SHORTEST_CUT, content_keys, document_number
from ppt.base.words import hashes_of
from ppt.corpus.trim import whole

SENTENCE_DROPS = {
    "too_short": "fewer characters than --min_sentence_chars",
    "too_long": "more characters than --max_sentence_chars",
    "too_few_letters": "hardly any letters: numbers, rules, tables",
    "excluded": "shares words with a row of --exclude",
    "repeated": "occurs again in the corpus, but for case, digits and punctuation",
    "beginning": "another sentence of its shard begins with it, but for these",
}
"""Why a sentence of a kept document is neither anchor nor option."""

_MIN_LETTERS = 3


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A kept document: its key, the user's id for it, and its sentences in order.

    `cluster` is the one of its near duplicates, which stand beside it; None where it has none.
    """

    key: bytes
    id: str
    sentences: Sequence[str]
    cluster: int | None = None

    @property
    def number(self) -> int:
        """64 bits of its key."""
        return document_number(self.key)


@dataclass(frozen=True)
class Pool:
    """N usable sentences of D documents, in document order.

    `text` N strings; `document` [N] int64, the number of the sentence's document
    in `documents`; `position` [N] int64, its place among all sentences of the
    document that have letters (others part no neighbours); `bits` [N] uint64, the
    root of its random stream; `drops` counts the sentences left out, by reason.
    """

    documents: Sequence[SplitDocument]
    text: Sequence[str]
    document: Indices
    position: Indices
    bits: Bits
    drops: Counter[str]

    def __len__(self) -> int:
        return len(self.text)

    @cached_property
    def whole(self) -> Sequence[str]:
        """N strings: the sentences as they stand alone (`ppt.corpus.trim`)."""
        return [whole(text) for text in self.text]

    @cached_property
    def lengths(self) -> Indices:
        """[N] the characters of each sentence."""
        return np.fromiter(map(len, self.text), np.int64, len(self))

    @cached_property
    def starts(self) -> Indices:
        """[N] the pool index at which the sentence's document starts."""
        return np.searchsorted(self.document, self.document, side="left")

    @cached_property
    def sizes(self) -> Indices:
        """[N] the number of usable sentences of the sentence's document."""
        return np.searchsorted(self.document, self.document, side="right") - self.starts

    @cached_property
    def _kin(self) -> Indices:
        """[N] the number of the first document of the sentence's cluster."""
        clusters = [document.cluster for document in self.documents]
        firsts: list[int] = []
        for place, cluster in enumerate(clusters):
            goes_on = place and cluster is not None and cluster == clusters[place - 1]
            firsts.append(firsts[-1] if goes_on else place)
        return np.array(firsts, dtype=np.int64)[self.document]

    @cached_property
    def kin_starts(self) -> Indices:
        """[N] the pool index at which the sentence's cluster starts; others are strangers."""
        return np.searchsorted(self._kin, self._kin, side="left")

    @cached_property
    def kin_sizes(self) -> Indices:
        """[N] the number of usable sentences of the sentence's cluster."""
        return np.searchsorted(self._kin, self._kin, side="right") - self.kin_starts

    @cached_property
    def strangers(self) -> Indices:
        """[N] the number of usable sentences of other clusters, which `kin_starts` tells."""
        return len(self) - self.kin_sizes

    @cached_property
    def has_next(self) -> Mask:
        """[N] whether the sentence that follows in the source is the next of the pool."""
        follows = (np.diff(self.document) == 0) & (np.diff(self.position) == 1)
        return np.append(follows, False)[: len(self)]

    @cached_property
    def has_previous(self) -> Mask:
        """[N] whether the sentence that precedes in the source is the previous of the pool."""
        return np.insert(self.has_next[:-1], 0, False)[: len(self)]


def build_pool(
    documents: Sequence[SplitDocument],
    seed: int,
    repeated: np.ndarray,
    min_chars: int = 20,
    max_chars: int = 600,
    excluded: Mask | None = None,
) -> Pool:
    """Collect the usable sentences of `documents`, sorted by cluster and key.

    Every sentence is either in the pool or counted in its `drops`. `repeated` are the standings
    (`ppt.corpus.repeats`) that are barred, as other documents, of this shard or another, have
    the sentence too. `excluded` [all sentences] says which may not be used.
    """
    keys = [content_keys(doc.sentences) for doc in documents]
    again = iter(_repeats(documents, keys, repeated))
    beginnings = _beginnings(chain.from_iterable(keys))
    barred = iter(() if excluded is None else excluded.tolist())
    text: list[str] = []
    document: list[int] = []
    position: list[int] = []
    drops: Counter[str] = Counter()
    for number, (doc, document_keys) in enumerate(zip(documents, keys, strict=True)):
        place = -1
        for sentence, key in zip(doc.sentences, document_keys, strict=True):
            place += (letters := has_letters(sentence))
            reason = _unusable(sentence, key, letters, next(again), min_chars, max_chars)
            if next(barred, False):
                reason = "excluded"
            elif not reason and key in beginnings:
                reason = "beginning"
            if reason:
                drops[reason] += 1
                continue
            text.append(sentence)
            document.append(number)
            position.append(place)
    numbers = np.array(document, dtype=np.int64)
    places = np.array(position, dtype=np.int64)
    roots = np.array([seed_bits(seed, doc.key) for doc in documents], dtype=np.uint64)
    bits = mix(roots[numbers] ^ mix(places.astype(np.uint64)))
    return Pool(documents, text, numbers, places, bits, drops)


def _repeats(
    documents: Sequence[SplitDocument], keys: Sequence[Sequence[str]], rows: np.ndarray
) -> Sequence[bool]:
    """Whether each of all sentences repeats: within its document, or in others by `rows`."""
    within: list[bool] = []
    for own in keys:
        counts = Counter(own) if len(set(own)) < len(own) else {}
        within += [counts.get(key, 1) > 1 for key in own]
    if not len(rows):
        return within
    numbers = np.array([document.number for document in documents], np.uint64)
    standing = np.repeat(numbers, [len(own) for own in keys])
    ours = mix(hashes_of([*chain.from_iterable(keys)]) ^ mix(standing))
    barred = np.isin(ours, mix(rows["key"] ^ mix(rows["document"])))
    repeats: Sequence[bool] = (np.array(within) | barred).tolist()
    return repeats


def _beginnings(keys: Iterable[str]) -> frozenset[str]:
    """The keys that others begin with. In order, each stands right before one of those."""
    ordered = sorted(set(keys))
    return frozenset(key for key, after in pairwise(ordered) if after.startswith(key))


def has_letters(sentence: str) -> bool:
    """Whether any sign of it is a letter, of any script."""
    return sentence[:1].isalpha() or any(map(str.isalpha, sentence))


def _unusable(
    sentence: str, key: str, letters: bool, again: bool, min_chars: int, max_chars: int
) -> str:
    """The reason word of `SENTENCE_DROPS` that applies, or ''."""
    if len(sentence) < min_chars:
        return "too_short"
    if len(sentence) > max_chars:
        return "too_long"
    if not letters:
        return "too_few_letters"
    # A long sentence with a short key could be cut down to another one's text.
    if len(key) < (NEAR_EQUAL_LETTERS if len(sentence) > SHORTEST_CUT else _MIN_LETTERS):
        return "too_few_letters"
    return "repeated" if again else ""
