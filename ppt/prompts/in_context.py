"""In-context learning: training examples, answered, as a prompt of token embeddings.

What stands before the text is the same for all rows, like a soft prompt. So examples
are rendered as every row is, the label word put where the mask was, and their tokens'
embeddings [P, H] are given to the backbone as its prompt: computed once a batch, not
once a row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ppt.prompts.batches import TokenRows
from ppt.prompts.encoder import Encoder, Ids, mask_id
from ppt.prompts.tensors import LabelWords

BETWEEN = "\n\n"
"""What stands between two examples (nothing, where a tokenizer drops line feeds)."""


@dataclass(frozen=True)
class Demonstrations:
    """The ids of answered examples, and the row that each is of; -1 before all of them."""

    ids: Ids
    rows: list[int]

    @property
    def count(self) -> int:
        """How many examples they are."""
        return len({*self.rows} - {-1})


def demonstrations(
    rows: TokenRows, words: LabelWords, encoder: Encoder, layout: str, room: int
) -> Demonstrations:
    """As many examples as fit into `room` tokens.

    Labels take turns, so that any number of them is balanced. The ids begin with what
    the tokenizer puts at the start of a text; the row that follows must come without
    (`without_start`).
    """
    ids, owners = list(encoder.start), [-1] * len(encoder.start)
    (between,) = encoder.encode([BETWEEN])
    for one in alternating(rows.labels.tolist()):
        label = rows.labels[one]
        spoken = int(words.lengths[label]) - (words.end if layout != "suffix" else 0)
        word = words.ids[label, :spoken].tolist()  # a line's end stands in texts too
        if rows.choices is not None:
            word = rows.choices.of(one, label)
        row = rows.ids[rows.starts[one] : rows.starts[one + 1]].tolist()
        answered = _answered(row[len(encoder.start) :], word, encoder, layout) + between
        if len(ids) + len(answered) <= room:
            ids, owners = ids + answered, owners + [one] * len(answered)
    shown = Demonstrations(ids, owners)
    return shown if shown.count else Demonstrations([], [])


def _answered(row: Ids, word: Ids, encoder: Encoder, layout: str) -> Ids:
    """A row's ids with its label word, and without the end of a text."""
    if layout == "suffix":
        return row + word
    row = row[: len(row) - len(encoder.end)]
    at = row.index(mask_id(encoder.tokenizer)) if layout == "cloze" else len(row)
    return row[:at] + word + row[at + 1 :]


def without_start(rows: TokenRows, start: Ids) -> TokenRows:
    """The same rows without the special tokens `start`, which a context before them has."""
    if not start:
        return rows
    keep = np.ones(len(rows.ids), bool)
    for offset in range(len(start)):
        keep[rows.starts[:-1] + offset] = False
    starts = rows.starts - len(start) * np.arange(len(rows) + 1)
    return replace(rows, ids=rows.ids[keep], starts=starts)


def alternating(labels: Iterable[int]) -> list[int]:
    """Row numbers so that labels take turns, each in its order: any head is balanced."""
    queues: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        queues.setdefault(label, []).append(row)
    ranks = [(place, label, row) for label, q in queues.items() for place, row in enumerate(q)]
    return [row for _, _, row in sorted(ranks)]
