"""What flows from text to scores: a `Batch` of rendered examples and its `LabelWords`.

B batch, T text tokens, L labels, W tokens of the longest label word
(docs/glossary.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class LabelWords:
    """The verbalizer as tokens: `ids` [L, W] int64, right-padded; `lengths` [L] int64, 1..W.

    Where rows have words of their own, the texts of their options, they are [B, L, W] and [B, L];
    `room` is then how many tokens of a row's words are read after its text at most, where they are
    to follow it without gaps.
    The last `end` tokens of every word only say that it ends (`rendering.label_words`). The
    score of a word is the sum of its tokens' or, `per_token`, their mean.
    """

    ids: Tensor
    lengths: Tensor
    end: int = 0
    per_token: bool = False
    room: int | None = None

    @classmethod
    def of(cls, words: Sequence[Sequence[int]], end: int = 0) -> "LabelWords":
        """Words of so many ids each."""
        ids = pad_sequence([torch.tensor(word) for word in words], batch_first=True)
        return cls(ids, torch.tensor([len(word) for word in words]), end)

    @property
    def single(self) -> bool:
        """Whether every label word is one token, so that one position scores them all."""
        return self.ids.shape[-1] == 1

    def to(self, device: torch.device) -> "LabelWords":
        """The same words on `device`."""
        return replace(self, ids=self.ids.to(device), lengths=self.lengths.to(device))


@dataclass(frozen=True)
class Batch:
    """Rendered examples, padded: `collate` does so on the right, and scores are those of that.

    `input_ids` [B, T] int64 and `attention_mask` [B, T] int64 (1 = a real token).
    For seq2seq the mask token stands in `input_ids`; for causal models the
    label word follows the last real token. `labels` [B] int64 indexes
    `words`. `allowed` [B, L] bool says which labels a row has (unified rows
    have 2 to 16 options); the rest score minus infinity.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    words: LabelWords
    allowed: Tensor

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])

    def right_padded(self) -> "Batch":
        """The same rows with their real tokens first, wherever padding stood."""
        order = self.attention_mask.argsort(dim=1, descending=True, stable=True)
        return replace(
            self,
            input_ids=self.input_ids.take_along_dim(order, 1),
            attention_mask=self.attention_mask.take_along_dim(order, 1),
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that it holds, in the order of `of`."""
        words = self.words
        return (
            self.input_ids, self.attention_mask, self.labels, self.allowed, words.ids, words.lengths
        )  # fmt: skip

    def of(self, tensors: Sequence[Tensor]) -> "Batch":
        """The same batch with other `tensors`."""
        ids, mask, labels, allowed, words, lengths = tensors
        return Batch(ids, mask, labels, replace(self.words, ids=words, lengths=lengths), allowed)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return self.of([one.to(device) for one in self.tensors])
