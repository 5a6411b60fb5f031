"""Deep prompts in training: what they begin with, and what texts read of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.base.arrays import Indices
from ppt.base.streams import seed_bits, stream, uniform
from ppt.errors import ConfigError
from ppt.prompts.batches import TokenRows
from ppt.prompts.deep import DeepBank
from ppt.prompts.encoder import Encoder
from ppt.prompts.files import open_prompt, prompt_folder
from ppt.prompts.in_context import Demonstrations, demonstrations
from ppt.prompts.soft import SoftPrompt, Vocabulary, checkpoint, initialiser
from ppt.prompts.tensors import LabelWords
from ppt.training.trainables import PromptBank


class DeepPrompts(PromptBank):
    """K deep prompts [P, D] (`ppt.prompts.deep`), of equal length.

    Both means against learning by heart are those of Lu et al. 2025 (Context Tuning, arXiv
    2507.04221). Leave-one-out: `origins` [P] are the training rows of the first lane that its
    positions began from, and none of these reads its own; -1 is a position of no row. Token
    dropout: in each step a lane's texts do not read a random share `dropout` of its positions,
    the same for all its rows, by its seed and the step alone. Neither is done where nothing is
    trained.
    """

    trains = "kv"
    by_rows = True

    def __init__(
        self,
        backbone: Backbone,
        prompts: Sequence[SoftPrompt | Tensor],
        *,
        seeds: Sequence[int] = (),
        dropout: float = 0.0,
        origins: Tensor | None = None,
    ) -> None:
        super().__init__(backbone, prompts)
        assert len(prompts) == 1 or origins is None, "rows are those of one lane"
        self.deep = backbone.deep
        self._seeds, self._dropout, self._origins = seeds or range(len(prompts)), dropout, origins

    def bank(self, which: Sequence[int], rows: Indices | None = None) -> DeepBank:
        """The prompts [K, P, D] of the lanes `which`; in training, rows read what they may."""
        values = torch.stack([self.prompts[lane]() for lane in which])
        return DeepBank(values, None if rows is None else self.seen(which, rows))

    def seen(self, which: Sequence[int], rows: Indices) -> Tensor | None:
        """Which positions [K * B, P] the training rows [K, B] read in this step; None for all."""
        if self._origins is None and not self._dropout:
            return None
        seen = torch.stack([self._kept(lane) for lane in which])[:, None]
        if self._origins is not None:
            seen = seen & (self._origins != torch.from_numpy(rows)[..., None])
        return seen.expand(*rows.shape, -1).flatten(0, 1).to(self.backbone.device)

    def _kept(self, lane: int) -> Tensor:
        """The positions [P] of a lane that are not dropped in this step."""
        root = seed_bits(self._seeds[lane], "token dropout", str(self.step))
        draws = stream(np.full(self.context, root, np.uint64), np.arange(self.context, dtype="u8"))
        return torch.from_numpy(uniform(draws) >= self._dropout)


def begun(
    backbone: Backbone, init: str, vocabulary: Vocabulary, length: int, generator: torch.Generator
) -> Tensor:
    """The deep prompt [P, D] of the `length` embeddings that `init` makes: with their scores.

    ``checkpoint:`` may name a prompt of either kind.
    """
    name, _, path = init.partition(":")
    if name == "checkpoint" and open_prompt(prompt_folder(path)).trains == "kv":
        return checkpoint(path, backbone.deep)((length, backbone.deep.width), generator)
    shape = length, backbone.hidden_size
    return backbone.keys_values(initialiser(init, vocabulary)(shape, generator)[None])[0].cpu()


def shown_examples(
    backbone: Backbone, rows: TokenRows, words: LabelWords, layout: str, room: int, advice: str,
    *, one_text: bool = True,
) -> tuple[Demonstrations, Tensor]:  # fmt: skip
    """As many answered rows as fit into `room` tokens, and their embeddings [P, H].

    They and what follows are `one_text`, with one start, or each has its own. Raises ConfigError
    where none fits; `advice` says whose they are, and what users can do.
    """
    encoder = Encoder.of(backbone.tokenizer)
    if not one_text:
        encoder = replace(encoder, start=[])
    shown = demonstrations(rows, words, encoder, layout, room)
    if not shown.count:
        raise ConfigError(
            f"no example of {rows.lengths.min()} tokens or more fits into a context of {room}"
            f" {advice}."
        )
    ids = torch.tensor(shown.ids, device=backbone.device)
    return shown, backbone.input_embeddings()[ids].float()
