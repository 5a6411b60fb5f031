"""Sentence pool → rows of examples: one pure function a format, plus `unify`.

A format samples *indices into the pool* for all anchors at once; no Python
object is made per example.

Formats and their published numbers: PPT (Gu, Han, Liu and Huang 2022, "PPT:
Pre-trained Prompt Tuning for Few-shot Learning"), sections 3.2 and 3.3.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Indices, Words
from ppt.base.streams import below, mix, seed_word, stream, uniform
from ppt.corpus.formats import LABEL_WORDS
from ppt.corpus.options import FormatOptions, same_document_options
from ppt.corpus.pool import Pool
from ppt.corpus.sampling import Draw, adjacent, level_labels, other_documents, place, same_document
from ppt.corpus.sentiment import balance, keep

Probabilities = NDArray[np.floating[Any]]

EXAMPLE_DROPS = {
    "max_examples_per_document": "its document has given --max_examples_per_document already",
    "no_adjacent": "neither neighbour of the anchor is a usable sentence",
    "too_few_same_document": "its document has too few usable sentences that are not adjacent",
    "too_few_other_documents": "its shard has too few usable sentences of other documents",
    "no_label": "none of the format's labels can be given to the anchor",
    "low_confidence": "the labeller's confidence is below the class's threshold",
    "class_balance": "its class has more examples than the smallest one",
    "mixture": "not needed for --unified_mixture",
}
"""Why an anchor gives no example of a format: anchors = examples + drops, always."""

UNIFIED_OPTIONS = range(2, 17)
"""Numbers of options of the unified format (published: uniform in 2...16)."""


@dataclass(frozen=True)
class Rows:
    """R examples as indices. `anchor`, `second` [R] index the pool (-1: none).

    `options` holds R arrays laid end to end, row r at `offsets[r]:offsets[r+1]`;
    a value >= 0 is a sentence of the pool, a value < 0 is `OPTION_WORDS[-1 - value]`.
    `label` [R] indexes the row's options or, where it has none, the format's words.
    """

    anchor: Indices
    second: Indices
    options: Indices
    offsets: Indices
    label: NDArray[np.int8]
    drops: Counter[str]

    def __len__(self) -> int:
        return len(self.anchor)

    def option_counts(self) -> Indices:
        """[R] the number of options of each row."""
        return np.diff(self.offsets)

    def take(self, rows: Indices) -> "Rows":
        """The given rows in the given order; the drops stay."""
        counts = self.option_counts()[rows]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        options = self.options[np.repeat(self.offsets[:-1][rows], counts) + within]
        return Rows(
            self.anchor[rows], self.second[rows], options, offsets, self.label[rows], self.drops
        )


OPTION_WORDS = (*LABEL_WORDS["sentence_pair"], *LABEL_WORDS["sentiment"])
"""Label words that stand as options in the unified format."""

_PAIR_WORDS = -1 - np.arange(3)
_SENTIMENT_WORDS = -4 - np.arange(5)


def sentence_pair(pool: Pool, options: FormatOptions) -> Rows:
    """Anchor and a second sentence; adjacent: yes, same document: maybe, another: no.

    Labels are a third each as nearly as the documents allow: an anchor that
    cannot have some label gets one of the others, and the rest make up for it.
    """
    anchors, drops = anchors_of(pool, options)
    words = _words(pool, "sentence_pair")[anchors]
    near = adjacent(pool, anchors, options.adjacency, words)
    same, n_same = same_document(pool, anchors, 1, words)
    other, n_other = other_documents(pool, anchors, 1, words)
    seconds = np.stack([other[:, 0], same[:, 0], near], axis=1)
    feasible = np.stack([n_other > 0, n_same > 0, near >= 0], axis=1)
    label = level_labels(feasible, words)
    kept = np.flatnonzero(label >= 0)
    drops["no_label"] += len(label) - len(kept)
    rows = _without_options(anchors[kept], seconds[kept, label[kept]], label[kept], drops)
    return _shuffled(rows, words[kept])


def multiple_choice(pool: Pool, options: FormatOptions) -> Rows:
    """Which of six sentences is adjacent to the anchor? One more is of its document."""
    anchors, drops = anchors_of(pool, options)
    words = _words(pool, "multiple_choice")
    n_options = len(LABEL_WORDS["multiple_choice"])
    rows = _selection(pool, anchors, n_options, options.adjacency, words, drops)
    return _shuffled(rows, words[rows.anchor])


def sentiment(pool: Pool, options: FormatOptions, probabilities: Probabilities) -> Rows:
    """One sentence and its pseudo-label, from class probabilities [A, 5] of the anchors.

    Kept are labels of enough confidence, then as many of each class as the
    smallest has.
    """
    anchors, drops = anchors_of(pool, options)
    words = _words(pool, "sentiment")[anchors]
    label, _, kept = keep(probabilities, options.thresholds)
    balanced = balance(label, kept, words)
    chosen = np.flatnonzero(balanced)
    drops["low_confidence"] += int((~kept).sum())
    drops["class_balance"] += int(kept.sum()) - len(chosen)
    rows = _without_options(anchors[chosen], np.full(len(chosen), -1), label[chosen], drops)
    return _shuffled(rows, words[chosen])


def unified(pool: Pool, options: FormatOptions, pairs: Rows, sentiments: Rows) -> Rows:
    """Everything as multiple choice with 2 to 16 options, mixed as `options.mixture` says.

    Each anchor becomes either an n-way selection of the adjacent sentence or its
    sentence-pair example; sentiment examples come on top as far as there are any.
    """
    mixture = options.mixture
    anchors, drops = anchors_of(pool, options)
    words = _words(pool, "unified")
    selects = uniform(stream(words, Draw.TASK)) < mixture.choice / (mixture.choice + mixture.pair)
    number = UNIFIED_OPTIONS.start + below(
        stream(words, Draw.NUMBER), np.full(len(pool), len(UNIFIED_OPTIONS))
    )
    parts = []
    for n in UNIFIED_OPTIONS:
        chosen = anchors[selects[anchors] & (number[anchors] == n)]
        parts.append(_selection(pool, chosen, n, options.adjacency, words, drops))
    paired = pairs.take(np.flatnonzero(~selects[pairs.anchor]))
    drops["no_label"] += int((~selects[anchors]).sum()) - len(paired)
    pair_words = _words(pool, "unified/pair")
    parts.append(unify(paired, _PAIR_WORDS, pair_words))
    sentiment_words = _words(pool, "unified/sentiment")
    mixed = _share(sentiments, sum(map(len, parts)), mixture.sentiment, sentiment_words)
    drops["mixture"] += len(sentiments) - len(mixed)
    order = [*(words[part.anchor] for part in parts[:-1]), pair_words[paired.anchor]]
    parts.append(unify(mixed, _SENTIMENT_WORDS, sentiment_words))
    order.append(sentiment_words[mixed.anchor])
    return _shuffled(_concatenate(parts, drops), np.concatenate(order))


def unify(rows: Rows, label_words: Indices, words: Words) -> Rows:
    """Rows with label words → multiple choice with those words as shuffled options.

    `label_words` [n] are codes of `OPTION_WORDS`; `words` [N] the pool's streams.
    """
    n = len(label_words)
    wrong = (rows.label[:, None].astype(np.int64) + 1 + np.arange(n - 1)) % n
    placed, label = place(label_words[rows.label], label_words[wrong], words[rows.anchor])
    return Rows(
        rows.anchor, rows.second, placed.ravel(), _even_offsets(len(rows), n), label, Counter()
    )


def _share(rows: Rows, others: int, share: float, words: Words) -> Rows:
    """As many class-balanced rows as make up `share` beside `others`, or all there are."""
    classes = len(LABEL_WORDS["sentiment"])
    per_class = round(others * share / (1 - share)) // classes
    order = np.argsort(stream(words[rows.anchor], Draw.MIX), kind="stable")
    chosen = [order[rows.label[order] == label][:per_class] for label in range(classes)]
    return rows.take(np.sort(np.concatenate(chosen)))


def _words(pool: Pool, name: str) -> Words:
    """[N] a random stream per sentence and format, so that formats draw independently."""
    return mix(pool.words ^ np.uint64(seed_word(0, name)))


def anchors_of(pool: Pool, options: FormatOptions) -> tuple[Indices, Counter[str]]:
    """The A pool indices to build examples around, ascending: the same for every format."""
    limit = options.max_examples_per_document
    if not limit:
        return np.arange(len(pool)), Counter()
    order = np.lexsort((stream(pool.words, Draw.ORDER), pool.document))
    rank = np.empty(len(pool), dtype=np.int64)
    rank[order] = np.arange(len(pool)) - pool.starts[order]
    chosen = np.flatnonzero(rank < limit)
    return chosen, Counter(max_examples_per_document=len(pool) - len(chosen))


def _selection(
    pool: Pool, anchors: Indices, n: int, adjacency: str, pool_words: Words, drops: Counter[str]
) -> Rows:
    """n-way choice of the sentence adjacent to the anchor; counts what cannot be built."""
    from_same = same_document_options(n)
    from_other = n - 1 - from_same
    words = pool_words[anchors]
    answer = adjacent(pool, anchors, adjacency, words)
    same, n_same = same_document(pool, anchors, from_same, words)
    other, n_other = other_documents(pool, anchors, from_other, words)
    failures = {
        "no_adjacent": answer < 0,
        "too_few_same_document": n_same < from_same,
        "too_few_other_documents": n_other < from_other,
    }
    alive = np.ones(len(anchors), dtype=bool)
    for reason, fails in failures.items():
        drops[reason] += int((alive & fails).sum())
        alive &= ~fails
    kept = np.flatnonzero(alive)
    wrong = np.concatenate([same, other], axis=1)[kept]
    placed, label = place(answer[kept], wrong, words[kept])
    none = np.full(len(kept), -1)
    return Rows(anchors[kept], none, placed.ravel(), _even_offsets(len(kept), n), label, drops)


def _without_options(
    anchor: Indices, second: Indices, label: NDArray[np.int8], drops: Counter[str]
) -> Rows:
    return Rows(anchor, second, np.zeros(0, np.int64), _even_offsets(len(anchor), 0), label, drops)


def _even_offsets(n_rows: int, n: int) -> Indices:
    return np.arange(n_rows + 1, dtype=np.int64) * n


def _concatenate(parts: Sequence[Rows], drops: Counter[str]) -> Rows:
    counts = np.concatenate([part.option_counts() for part in parts])
    return Rows(
        np.concatenate([part.anchor for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.options for part in parts]),
        np.concatenate(([0], np.cumsum(counts))),
        np.concatenate([part.label for part in parts]),
        drops,
    )


def _shuffled(rows: Rows, words: Words) -> Rows:
    """Rows in random order, so that any prefix of a shard is a fair sample of it."""
    return rows.take(np.argsort(stream(words, Draw.ORDER), kind="stable"))
