"""Which of a model's states predict which tokens of label words.

Of N = 1 + L * (W - 1) states of a row, state 0 predicts the first token of every word,
state 1 + l * (W - 1) + w token w + 1 of word l.
"""

import torch
from torch import Tensor

from ppt.prompts.tensors import LabelWords


def later_tokens(words: LabelWords) -> Tensor:
    """What is read after the text to predict whole words: all tokens but each word's last.

    [..., L, W - 1]; [..., 1, 0] where one position scores all words.
    """
    return words.ids[..., :1, :0] if words.single else words.ids[..., :-1]


def merge_states(states: Tensor) -> Tensor:
    """The states [R, N, H] out of those of every word alone, [R, L or 1, W, H]."""
    return torch.cat([states[:, 0, :1], states[:, :, 1:].flatten(1, 2)], 1)


def predicted_by(words: LabelWords) -> Tensor:
    """The number of the state that predicts each token, [L, W]."""
    count, width = words.ids.shape[-2:]
    at = torch.zeros(count, width, dtype=torch.long, device=words.ids.device)
    at[:, 1:] = 1 + torch.arange(count * (width - 1), device=at.device).view(count, width - 1)
    return at


def repeat_rows(tensor: Tensor, times: int) -> Tensor:
    """Each of the K rows of [K, ...] `times` times in turn; a view where K is 1."""
    return tensor[:, None].expand(-1, times, *tensor.shape[1:]).flatten(0, 1)
