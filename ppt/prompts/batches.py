"""Rendered examples to batches: rows packed in memory, then padded to the longest of each."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ppt.base.arrays import Indices
from ppt.errors import ConfigError
from ppt.prompts.rendering import Rendered
from ppt.prompts.tensors import Batch, LabelWords


@dataclass(frozen=True)
class TokenRows:
    """N rendered examples, packed at 4 bytes a token (lists of Python integers take 36).

    Row i is ``ids[starts[i]:starts[i + 1]]``; `labels` and `options` are [N], as in
    `Rendered`.
    """

    ids: NDArray[np.int32]
    starts: Indices
    labels: Indices
    options: Indices

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Indices:
        """Tokens of each row, [N]."""
        return np.diff(self.starts)


def pack(rendered: Iterable[Rendered]) -> TokenRows:
    """Gather rendered examples; takes them one by one, so they may come from a generator."""
    ids, starts, labels, options = array("i"), array("q", [0]), array("q"), array("q")
    for row in rendered:
        ids.extend(row.ids)
        starts.append(len(ids))
        labels.append(row.label)
        options.append(row.options)
    return TokenRows(
        np.frombuffer(ids, np.int32) if ids else np.zeros(0, np.int32),
        np.array(starts, np.int64),
        np.array(labels, np.int64),
        np.array(options, np.int64),
    )


def join(parts: Sequence[TokenRows]) -> TokenRows:
    """The rows of all parts, one part after another."""
    bases = np.cumsum([0, *(len(part.ids) for part in parts)])
    starts = [part.starts[:-1] + base for part, base in zip(parts, bases[:-1], strict=True)]
    return TokenRows(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([*starts, bases[-1:]]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.options for part in parts]),
    )


def collate(rows: TokenRows, indices: Indices, words: LabelWords, pad_id: int = 0) -> Batch:
    """The rows at `indices` [B], right-padded to the longest of them.

    The attention mask hides the padding, so any `pad_id` in the vocabulary gives the
    same scores. Rows that show options allow as many labels; others allow all.
    """
    count = len(words.lengths)
    labels, options = rows.labels[indices], rows.options[indices]
    if len(labels) and labels.max() >= count:
        raise ConfigError(
            f"a row has label {labels.max()}, but the verbalizer has {count} words: give a word"
            " for every label."
        )
    starts = rows.starts[indices]
    lengths = rows.starts[indices + 1] - starts
    columns = np.arange(lengths.max(initial=0))
    real = columns < lengths[:, None]
    ids = np.full(real.shape, pad_id, np.int64)
    ids[real] = rows.ids[(starts[:, None] + columns)[real]]
    allowed = (np.arange(count) < options[:, None]) | (options[:, None] == 0)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(real.astype(np.int64)),
        torch.from_numpy(labels),
        words,
        torch.from_numpy(allowed),
    )
