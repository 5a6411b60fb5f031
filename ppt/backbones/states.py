"""Which of a model's states predict which tokens of label words.

Of the 1 + X states of a row, state 0 predicts the first token of every word; the others follow
the X tokens of its words that are read, all but each word's last. X is L * (W - 1), padding
with it; or, as options differ much in length and number, the `room` that words have, and they
follow one another without gaps.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ppt.prompts.tensors import LabelWords


def later_tokens(words: LabelWords) -> Tensor:
    """What is read after the text to predict whole words: all tokens but each word's last.

    [..., L, W - 1]; [..., 1, 0] where one position scores all words.
    """
    return words.ids[..., :1, :0] if words.single else words.ids[..., :-1]


def places(words: LabelWords) -> Tensor:
    """Where each later token stands among the X of a row: [L, W - 1], or [R, L, W - 1] with room.

    Padding of a word stands at X, beyond all of them, where words have `room`.
    """
    count, width = words.ids.shape[-2:]
    own = torch.arange(width - 1, device=words.ids.device)
    if words.room is None:
        return torch.arange(count, device=own.device)[:, None] * (width - 1) + own
    later = words.lengths[..., None] - 1
    return (later.cumsum(-2) - later + own).masked_fill(own >= later, words.room)


def predicted_by(words: LabelWords) -> Tensor:
    """The number of the state that predicts each token: [L, W], or [R, L, W] with room."""
    at = functional.pad(1 + places(words), (1, 0))
    return at if words.room is None else at.clamp(max=words.room)


def merge_states(states: Tensor, words: LabelWords) -> Tensor:
    """The states [R, 1 + X, H] out of those of every word alone, [R, L or 1, W, H]."""
    later = states[:, :, 1:].flatten(1, 2)
    if words.room is not None:
        at = places(words).flatten(1)[..., None].expand_as(later)
        later = later.new_zeros(len(later), words.room + 1, later.shape[-1]).scatter(1, at, later)
        later = later[:, :-1]
    return torch.cat([states[:, 0, :1], later], 1)


def repeat_rows(tensor: Tensor, times: int) -> Tensor:
    """Each of the K rows of [K, ...] `times` times in turn; a view where K is 1."""
    return tensor[:, None].expand(-1, times, *tensor.shape[1:]).flatten(0, 1)
