"""Rendered examples to batches: rows packed in memory, then padded to the longest of each."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from ppt.base.arrays import Indices, Mask
from ppt.errors import ConfigError
from ppt.prompts.rendering import Rendered
from ppt.prompts.tensors import Batch, LabelWords


@dataclass(frozen=True)
class Choices:
    """The options of N rows as tokens: option m is ``ids[starts[m]:starts[m + 1]]``.

    Those of row i are ``firsts[i]`` to ``firsts[i + 1]``.
    """

    ids: NDArray[np.int32]
    starts: Indices
    firsts: Indices

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest option."""
        return int(np.diff(self.starts).max(initial=0))

    def tokens(self) -> Indices:
        """Tokens of all options of each row, [N]."""
        return np.diff(self.starts[self.firsts])

    @cached_property
    def later(self) -> Indices:
        """How many of them are read to predict whole options: all but each one's last, [N]."""
        return self.tokens() - np.diff(self.firsts)

    def of(self, row: int, label: int) -> list[int]:
        """The tokens of one option."""
        one = self.firsts[row] + label
        ids: list[int] = self.ids[self.starts[one] : self.starts[one + 1]].tolist()
        return ids


@dataclass(frozen=True)
class TokenRows:
    """N rendered examples, packed at 4 bytes a token (lists of Python integers take 36).

    Row i is ``ids[starts[i]:starts[i + 1]]``; `labels` and `options` are [N], as in
    `Rendered`. `choices` are the options, where these are the answers themselves. `cut` is how
    many rows were cut.
    """

    ids: NDArray[np.int32]
    starts: Indices
    labels: Indices
    options: Indices
    choices: Choices | None = None
    cut: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row, options aside."""
        return int(np.diff(self.starts).max(initial=0))

    @property
    def lengths(self) -> Indices:
        """Tokens of each row, [N]; its options too, as they are read with it."""
        own = np.diff(self.starts)
        return own if self.choices is None else own + self.choices.tokens()


def pack(rendered: Iterable[Rendered]) -> TokenRows:
    """Gather rendered examples; takes them one by one, so they may come from a generator."""
    ids, starts, labels, options = array("i"), array("q", [0]), array("q"), array("q")
    chosen, ends, firsts, cut = array("i"), array("q", [0]), array("q", [0]), 0
    for row in rendered:
        ids.extend(row.ids)
        starts.append(len(ids))
        labels.append(row.label)
        options.append(row.options)
        cut += row.cut
        for one in row.choices:
            chosen.extend(one)
            ends.append(len(chosen))
        firsts.append(len(ends) - 1)
    bounds = np.array(ends, np.int64), np.array(firsts, np.int64)
    return TokenRows(
        np.asarray(ids, np.int32),
        np.array(starts, np.int64),
        np.array(labels, np.int64),
        np.array(options, np.int64),
        Choices(np.asarray(chosen, np.int32), *bounds) if chosen else None,
        cut,
    )


def join(parts: Sequence[TokenRows]) -> TokenRows:
    """The rows of all parts, one part after another."""
    own = [part.choices for part in parts if part.choices is not None]
    bounds = _chained([one.starts for one in own]), _chained([one.firsts for one in own])
    return TokenRows(
        np.concatenate([part.ids for part in parts]),
        _chained([part.starts for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.options for part in parts]),
        Choices(np.concatenate([one.ids for one in own]), *bounds) if own else None,
        sum(part.cut for part in parts),
    )


def _chained(parts: Sequence[Indices]) -> Indices:
    """Bounds [n + 1] of things, each part from 0, as those of all things in one row."""
    bases = np.cumsum([0, *(part[-1] for part in parts)])
    moved = [part[:-1] + base for part, base in zip(parts, bases[:-1], strict=True)]
    return np.concatenate([*moved, bases[-1:]])


def collate(
    rows: TokenRows, indices: Indices, words: LabelWords, pad_id: int = 0, multiple: int = 1
) -> Batch:
    """The rows at `indices` [B], right-padded to the longest of them, or the next `multiple`.

    But never beyond the longest of all rows: a model may have no position there. Options that are
    read after the text have their room in that.

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
    if rows.choices is None:
        width = min(_up(lengths.max(initial=0), multiple), rows.longest)
    else:
        words = own_words(rows.choices, indices, pad_id, words, multiple)
        width = _up((lengths + rows.choices.later[indices]).max(initial=0), multiple)
    ids, real = _padded(rows.ids, starts, lengths, width, pad_id)
    allowed = (np.arange(count) < options[:, None]) | (options[:, None] == 0)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(real.astype(np.int64)),
        torch.from_numpy(labels),
        words,
        torch.from_numpy(allowed),
    )


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def own_words(
    choices: Choices, indices: Indices, pad_id: int, like: LabelWords, multiple: int
) -> LabelWords:
    """The options of the rows at `indices` as words of their own, [B, L, W], on `like`'s device.

    L is the most options that any of them has; what a row lacks is one token, never allowed. W is
    a `multiple`, or that of the longest of all, and `room` a multiple.
    """
    firsts, counts = choices.firsts[indices], np.diff(choices.firsts)[indices]
    place = np.arange(counts.max(initial=1))
    there = place < counts[:, None]
    option = np.where(there, firsts[:, None] + place, 0)
    begin = choices.starts[option]
    lengths = np.where(there, choices.starts[option + 1] - begin, 0)
    width = min(_up(lengths.max(initial=1), multiple), max(choices.longest, 1))  # perhaps no rows
    ids, _ = _padded(choices.ids, begin, lengths, width, pad_id)
    room = _up(choices.later[indices].max(initial=0), multiple)
    own, sizes = (torch.from_numpy(one) for one in (ids, np.maximum(lengths, 1)))
    return LabelWords(own, sizes, per_token=True, room=room).to(like.ids.device)


def _padded(
    ids: NDArray[np.int32], starts: Indices, lengths: Indices, width: int, pad_id: int
) -> tuple[Indices, Mask]:
    """Runs of `ids`, padded: [..., width] of `starts` and `lengths` [...]; which are no padding."""
    columns = np.arange(width)
    real = columns < lengths[..., None]
    padded = np.full(real.shape, pad_id, np.int64)
    padded[real] = ids[(starts[..., None] + columns)[real]]
    return padded, real
