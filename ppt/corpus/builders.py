"""A shard's stock of sentences → rows of examples: one pure function a format.

A builder samples *indices into the pool* for all anchors at once; no Python
object is made per example.

Formats and their published numbers: PPT (Gu, Han, Liu and Huang 2022, "PPT:
Pre-trained Prompt Tuning for Few-shot Learning"), sections 3.2 and 3.3.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices
from ppt.base.streams import below, mix, seed_bits, stream, uniform
from ppt.corpus.options import FormatOptions, same_document_options
from ppt.corpus.pool import Pool
from ppt.corpus.sampling import Draw, adjacent, level_labels, other_documents, place, same_document
from ppt.corpus.sentiment import LABELS, balance, keep

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

PAIR_LABELS = ("no", "maybe", "yes")
"""Of two sentences: of two documents, of one but not adjacent, adjacent."""

CHOICES = 6
"""Options of the multiple-choice format."""

UNIFIED_OPTIONS = range(2, 17)
"""Numbers of options of the unified format (published: uniform in 2...16)."""

OPTION_WORDS = (*PAIR_LABELS, *LABELS)
"""Label words that stand as options in the unified format."""

CHOICE, PAIR, SENTIMENT = range(3)
"""Kinds of unified rows, by the format that they come from."""

_CODES = {PAIR: -1 - np.arange(3), SENTIMENT: -4 - np.arange(5)}
"""Kind → the codes of its label words as options."""


@dataclass(frozen=True)
class Rows:
    """R examples as indices. `anchor`, `second` [R] index the pool (-1: none).

    `options` holds R arrays laid end to end, row r at `offsets[r]:offsets[r+1]`;
    a value >= 0 is a sentence of the pool, a value < 0 is `OPTION_WORDS[-1 - value]`.
    `label` [R] indexes the row's options or, where it has none, the format's words;
    `kind` [R] indexes the format's kinds.
    """

    anchor: Indices
    second: Indices
    options: Indices
    offsets: Indices
    label: NDArray[np.int8]
    kind: NDArray[np.int8]
    drops: Counter[str]

    @classmethod
    def even(
        cls,
        anchor: Indices,
        label: NDArray[np.int8],
        drops: Counter[str],
        *,
        second: Indices | None = None,
        options: Indices | None = None,
        kind: int = 0,
    ) -> "Rows":
        """Rows of one kind that all have n options: `options` [R, n], none if not given."""
        n_rows = len(anchor)
        second = np.full(n_rows, -1) if second is None else second
        options = np.zeros((n_rows, 0), np.int64) if options is None else options
        offsets = np.arange(n_rows + 1, dtype=np.int64) * options.shape[1]
        kinds = np.full(n_rows, kind, np.int8)
        return cls(anchor, second, options.ravel(), offsets, label, kinds, drops)

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
            self.anchor[rows], self.second[rows], options, offsets, self.label[rows],
            self.kind[rows], self.drops,
        )  # fmt: skip

    def shuffled(self, bits: Bits) -> "Rows":
        """In random order, by a stream a row, so that any prefix is a fair sample of all."""
        return self.take(np.argsort(stream(bits, Draw.ORDER), kind="stable"))


@dataclass(frozen=True)
class Stock:
    """What the rows of a shard are made from: its pool, the options, its anchors' labels.

    `probabilities` [A, 5] of classes, for A anchors; None where no format needs labels.
    """

    pool: Pool
    options: FormatOptions
    probabilities: Probabilities | None = None
    _made: "dict[Builder, Rows]" = field(default_factory=dict, repr=False)

    def rows(self, build: "Builder") -> Rows:
        """What `build` makes of this stock; made once, as a format may hold another's rows."""
        if build not in self._made:
            self._made[build] = build(self)
        return self._made[build]

    def anchors(self) -> tuple[Indices, Counter[str]]:
        """[A] pool indices to build examples around, ascending; a count of what they are not.

        They are the same for every format. Each call gives a new counter, to go on with.
        """
        pool, limit = self.pool, self.options.max_examples_per_document
        if not limit:
            return np.arange(len(pool)), Counter()
        order = np.lexsort((stream(pool.bits, Draw.ORDER), pool.document))
        rank = np.empty(len(pool), dtype=np.int64)
        rank[order] = np.arange(len(pool)) - pool.starts[order]
        chosen = np.flatnonzero(rank < limit)
        return chosen, Counter(max_examples_per_document=len(pool) - len(chosen))

    def bits(self, name: str) -> Bits:
        """[N] a random stream per sentence and name, so that formats draw independently."""
        return mix(self.pool.bits ^ np.uint64(seed_bits(0, name)))


Builder = Callable[[Stock], Rows]
"""Makes the rows of a format: anchors = rows + drops."""


def sentence_pair(stock: Stock) -> Rows:
    """Anchor and a second sentence; adjacent: yes, same document: maybe, another: no.

    Labels are a third each as nearly as the documents allow: an anchor that
    cannot have some label gets one of the others, and the rest make up for it.
    """
    pool = stock.pool
    anchors, drops = stock.anchors()
    bits = stock.bits("sentence_pair")[anchors]
    near = adjacent(pool, anchors, stock.options.adjacency, bits)
    same, n_same = same_document(pool, anchors, 1, bits)
    other, n_other = other_documents(pool, anchors, 1, bits)
    seconds = np.stack([other[:, 0], same[:, 0], near], axis=1)
    feasible = np.stack([n_other > 0, n_same > 0, near >= 0], axis=1)
    label = level_labels(feasible, bits)
    kept = np.flatnonzero(label >= 0)
    drops["no_label"] += len(label) - len(kept)
    rows = Rows.even(anchors[kept], label[kept], drops, second=seconds[kept, label[kept]])
    return rows.shuffled(bits[kept])


def multiple_choice(stock: Stock) -> Rows:
    """Which of six sentences is adjacent to the anchor? One more is of its document."""
    anchors, drops = stock.anchors()
    bits = stock.bits("multiple_choice")
    rows = _selection(stock, anchors, CHOICES, bits, drops)
    return rows.shuffled(bits[rows.anchor])


def sentiment(stock: Stock) -> Rows:
    """One sentence and its pseudo-label, from the class probabilities of the anchors.

    Kept are labels of enough confidence, then as many of each class as the
    smallest has; without labels there is no confidence in any.
    """
    anchors, drops = stock.anchors()
    bits = stock.bits("sentiment")[anchors]
    probabilities = stock.probabilities
    if probabilities is None:
        probabilities = np.zeros((len(anchors), len(LABELS)))
    label, _, kept = keep(probabilities, stock.options.thresholds)
    chosen = np.flatnonzero(balance(label, kept, bits))
    drops["low_confidence"] += int((~kept).sum())
    drops["class_balance"] += int(kept.sum()) - len(chosen)
    return Rows.even(anchors[chosen], label[chosen], drops).shuffled(bits[chosen])


def unified(stock: Stock) -> Rows:
    """Everything as multiple choice with 2 to 16 options, mixed as `options.mixture` says.

    Each anchor becomes either an n-way selection of the adjacent sentence or its
    sentence-pair example; sentiment examples come on top as far as there are any.
    """
    pool, mixture = stock.pool, stock.options.mixture
    pairs, sentiments = stock.rows(sentence_pair), stock.rows(sentiment)
    anchors, drops = stock.anchors()
    bits = stock.bits("unified")
    selects = uniform(stream(bits, Draw.TASK)) < mixture.choice / (mixture.choice + mixture.pair)
    number = UNIFIED_OPTIONS.start + below(
        stream(bits, Draw.NUMBER), np.full(len(pool), len(UNIFIED_OPTIONS))
    )
    parts = []
    for n in UNIFIED_OPTIONS:
        chosen = anchors[selects[anchors] & (number[anchors] == n)]
        parts.append(_selection(stock, chosen, n, bits, drops))
    order = [bits[part.anchor] for part in parts]
    paired = pairs.take(np.flatnonzero(~selects[pairs.anchor]))
    drops["no_label"] += int((~selects[anchors]).sum()) - len(paired)
    others = sum(map(len, parts)) + len(paired)
    sentiment_bits = stock.bits("unified/sentiment")
    mixed = _share(sentiments, others, mixture.sentiment, sentiment_bits)
    drops["mixture"] += len(sentiments) - len(mixed)
    for rows, kind, own in (
        (paired, PAIR, stock.bits("unified/pair")),
        (mixed, SENTIMENT, sentiment_bits),
    ):
        parts.append(unify(rows, kind, own))
        order.append(own[rows.anchor])
    return _concatenate(parts, drops).shuffled(np.concatenate(order))


def unify(rows: Rows, kind: int, bits: Bits) -> Rows:
    """Rows with label words → multiple choice with those words as shuffled options.

    `bits` [N] are the pool's streams.
    """
    codes = _CODES[kind]
    n = len(codes)
    wrong = (rows.label[:, None].astype(np.int64) + 1 + np.arange(n - 1)) % n
    placed, label = place(codes[rows.label], codes[wrong], bits[rows.anchor])
    return Rows.even(rows.anchor, label, Counter(), second=rows.second, options=placed, kind=kind)


def _share(rows: Rows, others: int, share: float, bits: Bits) -> Rows:
    """As many class-balanced rows as make up `share` beside `others`, or all there are."""
    classes = len(LABELS)
    per_class = round(others * share / (1 - share)) // classes
    order = np.argsort(stream(bits[rows.anchor], Draw.MIX), kind="stable")
    chosen = [order[rows.label[order] == label][:per_class] for label in range(classes)]
    return rows.take(np.sort(np.concatenate(chosen)))


def _selection(
    stock: Stock, anchors: Indices, n: int, pool_bits: Bits, drops: Counter[str]
) -> Rows:
    """n-way choice of the sentence adjacent to the anchor; counts what cannot be built."""
    pool = stock.pool
    from_same = same_document_options(n)
    from_other = n - 1 - from_same
    bits = pool_bits[anchors]
    answer = adjacent(pool, anchors, stock.options.adjacency, bits)
    same, n_same = same_document(pool, anchors, from_same, bits)
    other, n_other = other_documents(pool, anchors, from_other, bits)
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
    placed, label = place(answer[kept], wrong, bits[kept])
    return Rows.even(anchors[kept], label, drops, options=placed, kind=CHOICE)


def _concatenate(parts: Sequence[Rows], drops: Counter[str]) -> Rows:
    counts = np.concatenate([part.option_counts() for part in parts])
    columns = ("anchor", "second", "options", "label", "kind")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return Rows(**joined, offsets=np.concatenate(([0], np.cumsum(counts))), drops=drops)
