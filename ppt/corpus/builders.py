"""A shard's stock of sentences → rows of examples: one pure function a format.

A builder samples *indices into the pool* for all anchors at once; no Python
object is made per example.

Formats and their published numbers: PPT (Gu, Han, Liu and Huang 2022, "PPT:
Pre-trained Prompt Tuning for Few-shot Learning"), sections 3.2 and 3.3.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices, Mask, places_in_groups
from ppt.base.streams import mix, seed_bits, stream
from ppt.corpus.levels import counts_of_kinds, evenly, level_labels, numbers_of_options, thinned
from ppt.corpus.likeness import Likeness
from ppt.corpus.options import UNIFIED_OPTIONS, FormatOptions, most_options, same_document_options
from ppt.corpus.pool import Pool
from ppt.corpus.rows import Rows
from ppt.corpus.sampling import Draw, adjacent, distant, place, wrong_options
from ppt.corpus.sentiment import EQUAL, LABELS, balance, cut, in_context, keep, most

Probabilities = NDArray[np.floating[Any]]

CHOICES = 6
"""Options of the multiple-choice format."""

CHOICE, PAIR, SENTIMENT = range(3)
"""Kinds of unified rows, by the format that they come from."""

KINDS = ("choice", "pair", "sentiment")

_CODES = {PAIR: -1 - np.arange(3), SENTIMENT: -4 - np.arange(5)}
"""Kind → the codes of its label words as options."""


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

    @cached_property
    def likeness(self) -> Likeness:
        """Which of its sentences are alike."""
        return Likeness(self.pool)

    def anchors(self) -> tuple[Indices, Counter[str]]:
        """[A] pool indices to build examples around, ascending; a count of what they are not.

        They are the same for every format. Each call gives a new counter, to go on with.
        """
        pool, limit = self.pool, self.options.max_examples_per_document
        if not limit:
            return np.arange(len(pool)), Counter()
        order = np.lexsort((stream(pool.bits, Draw.ORDER), pool.document))
        chosen = np.flatnonzero(places_in_groups(pool.document, order) < limit)
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
    feasible = [pool.strangers[anchors] > 0, distant(pool, anchors) > 0, near >= 0]
    label = level_labels(np.stack(feasible, axis=1), bits)
    kept = thinned(label, bits)
    drops["no_label"] += int((label < 0).sum())
    drops["class_balance"] += int((label >= 0).sum() - kept.sum())
    answers = np.where(near < 0, anchors, near)
    second = near
    for value, (same, other) in enumerate(((0, 1), (1, 0))):
        mine = np.flatnonzero(kept & (label == value))
        wrong = wrong_options(stock.likeness, anchors[mine], answers[mine], same, other, bits[mine])
        second[mine] = wrong[:, 0]
    return Rows.even(anchors[kept], label[kept], drops, second=second[kept]).shuffled(bits[kept])


def multiple_choice(stock: Stock) -> Rows:
    """Which of six sentences is adjacent to the anchor? One more is of its document."""
    anchors, drops = stock.anchors()
    bits = stock.bits("multiple_choice")
    answers = adjacent(stock.pool, anchors, stock.options.adjacency, bits[anchors])
    rows = _selection(stock, anchors, answers, CHOICES, bits, drops)
    return rows.shuffled(bits[rows.anchor])


def sentiment(stock: Stock) -> Rows:
    """One sentence and its pseudo-label, from the class probabilities of the anchors.

    Kept are labels of enough confidence, then equally many of each class and length, or as
    many as shares of the classes say, by which the labels are cut too;
    without labels there is no confidence in any.
    """
    anchors, drops = stock.anchors()
    bits = stock.bits("sentiment")[anchors]
    probabilities = stock.probabilities
    if probabilities is None:
        probabilities = np.zeros((len(anchors), len(LABELS)))
    elif stock.options.document_weight:
        documents = stock.pool.document[anchors]
        probabilities = in_context(probabilities, documents, stock.options.document_weight)
    label, kept = keep(probabilities, stock.options.thresholds)
    shares = stock.options.shares
    if shares:
        label[kept] = cut(probabilities[kept] @ np.arange(len(LABELS)), shares)
    shares = shares or EQUAL
    chosen = np.flatnonzero(balance(label, kept, stock.pool.lengths[anchors], bits, shares))
    level = int(most(np.bincount(label[kept], minlength=len(LABELS)), shares).sum())
    drops["low_confidence"] += int((~kept).sum())
    drops["class_balance"] += int(kept.sum()) - level
    drops["length_balance"] += level - len(chosen)
    return Rows.even(anchors[chosen], label[chosen], drops).shuffled(bits[chosen])


def unified(stock: Stock) -> Rows:
    """Everything as multiple choice with 2 to 16 options, mixed as `options.mixture` says.

    Each anchor becomes either an n-way selection of the adjacent sentence or its
    sentence-pair example, by what it can be; sentiment examples come on top.
    """
    pool, mixture = stock.pool, stock.options.mixture
    pairs, sentiments = stock.rows(sentence_pair), stock.rows(sentiment)
    anchors, drops = stock.anchors()
    bits = stock.bits("unified")
    answers = adjacent(pool, anchors, stock.options.adjacency, bits[anchors])
    most = most_options(distant(pool, anchors), pool.strangers[anchors])
    most[answers < 0] = 1
    chooses = (most > 1) & (mixture.choice > 0)
    pairs_up = np.isin(anchors, pairs.anchor) & (mixture.pair > 0)
    either = chooses | pairs_up
    n_choices, n_pairs, n_sentiments = counts_of_kinds(
        mixture, int(chooses.sum()), int(pairs_up.sum()), int(either.sum()), len(sentiments)
    )
    turn = np.lexsort((stream(bits[anchors], Draw.TASK), pairs_up, ~chooses))
    chosen, left = np.sort(turn[:n_choices]), np.ones(len(pool), dtype=bool)
    left[anchors[chosen]] = False
    number = numbers_of_options(most[chosen], bits[anchors[chosen]])
    of_number = {n: chosen[number == n] for n in UNIFIED_OPTIONS}
    parts = [
        _selection(stock, anchors[mine], answers[mine], n, bits, drops)
        for n, mine in of_number.items()
    ]
    order = [bits[part.anchor] for part in parts]
    for rows, kind, amount in (
        (pairs.take(np.flatnonzero(left[pairs.anchor])), PAIR, n_pairs),
        (sentiments, SENTIMENT, n_sentiments // len(LABELS) * len(LABELS)),
    ):
        own = stock.bits(f"unified/{KINDS[kind]}")
        taken = evenly(rows.label, amount, own[rows.anchor])
        parts.append(unify(rows.take(taken), kind, own))
        order.append(own[parts[-1].anchor])
    made = sum(map(len, parts))
    drops["mixture"] += int(either.sum()) + len(sentiments) - made
    neither = np.flatnonzero(~either)
    alive = _count_failures(stock, anchors[neither], answers[neither], UNIFIED_OPTIONS[0], drops)
    drops["no_label"] += int(alive.sum())
    return Rows.joined(parts, drops).shuffled(np.concatenate(order))


def unify(rows: Rows, kind: int, bits: Bits) -> Rows:
    """Rows with label words → multiple choice with those words as shuffled options.

    `bits` [N] are the pool's streams.
    """
    codes = _CODES[kind]
    n = len(codes)
    wrong = (rows.label[:, None].astype(np.int64) + 1 + np.arange(n - 1)) % n
    placed, label = place(codes[rows.label], codes[wrong], bits[rows.anchor])
    return Rows.even(rows.anchor, label, Counter(), second=rows.second, options=placed, kind=kind)


def _selection(
    stock: Stock, anchors: Indices, answers: Indices, n: int, pool_bits: Bits, drops: Counter[str]
) -> Rows:
    """n-way choice of the answer, which is adjacent to the anchor; counts what cannot be built."""
    kept = _count_failures(stock, anchors, answers, n, drops)
    anchors, answers, from_same = anchors[kept], answers[kept], same_document_options(n)
    bits = pool_bits[anchors]
    wrong = wrong_options(stock.likeness, anchors, answers, from_same, n - 1 - from_same, bits)
    placed, label = place(answers, wrong, bits)
    return Rows.even(anchors, label, drops, options=placed, kind=CHOICE)


def _count_failures(
    stock: Stock, anchors: Indices, answers: Indices, n: int, drops: Counter[str]
) -> Mask:
    """[A] of which anchors an n-way choice can be made; of the others the reasons are counted."""
    pool, from_same = stock.pool, same_document_options(n)
    failures = {
        "no_adjacent": answers < 0,
        "too_few_same_document": distant(pool, anchors) < from_same,
        "too_few_other_documents": pool.strangers[anchors] < n - 1 - from_same,
    }
    alive = np.ones(len(anchors), dtype=bool)
    for reason, fails in failures.items():
        drops[reason] += int((alive & fails).sum())
        alive &= ~fails
    return alive
