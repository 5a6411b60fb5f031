"""Examples as indices into a pool, before they are texts; what anchors that give none are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices
from ppt.base.streams import stream
from ppt.corpus.sampling import Draw
from ppt.corpus.sentiment import LABELS

EXAMPLE_DROPS = {
    "max_examples_per_document": "its document has given --max_examples_per_document already",
    "no_adjacent": "neither neighbour of the anchor is a usable sentence",
    "too_few_same_document": "its document has too few usable sentences that are not adjacent",
    "too_few_other_documents": "its shard has too few usable sentences of other documents",
    "no_label": "none of the format's labels can be given to the anchor",
    "low_confidence": "the labeller's confidence is below the class's threshold",
    "class_balance": "its class has more examples than the smallest one",
    "length_balance": "its class has more examples of its length than another",
    "mixture": "not needed for --unified_mixture",
}
"""Why an anchor gives no example of a format: anchors = examples + drops, always."""

PAIR_LABELS = ("no", "maybe", "yes")
"""Of two sentences: of two documents, of one but not adjacent, adjacent."""

OPTION_WORDS = (*PAIR_LABELS, *LABELS)
"""Label words that stand as options in the unified format."""


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

    @classmethod
    def joined(cls, parts: Sequence["Rows"], drops: Counter[str]) -> "Rows":
        """The rows of all parts, one after the other."""
        counts = np.concatenate([part.option_counts() for part in parts])
        columns = ("anchor", "second", "options", "label", "kind")
        columns_of = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in columns
        }
        return cls(**columns_of, offsets=np.concatenate(([0], np.cumsum(counts))), drops=drops)
