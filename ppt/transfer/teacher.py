"""What was trained before as a labeller: a prompt or LoRA adapter says what sentences are like.

So a classifier tuned on labelled reviews labels the sentences of a corpus, as PPT did with
Yelp-5 (Gu et al. 2022), and a student can label for the next round.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.labeller import MAX_TOKENS, placed, score_in_batches
from ppt.backbones.loading import fast_dtype, load_backbone
from ppt.corpus.sentiment import LABELS
from ppt.errors import ConfigError
from ppt.prompts.batches import pack
from ppt.prompts.deep import DeepBank
from ppt.prompts.patterns import TARGETS, Verbalizer, standard_pattern
from ppt.prompts.rendering import Renderer
from ppt.prompts.tensors import LabelWords
from ppt.training.trainables import lora
from ppt.transfer.library import find_prompts, words_changed

SIDES = ("bad", "good")
"""Words of two labels; how much likelier the second is places a sentence among five classes."""


@dataclass(frozen=True)  # without slots: Beam shares a model by a weak reference
class TunedLabeller:
    """A backbone with what was trained for it, `before` its texts (a prompt) or in its weights."""

    backbone: Backbone
    renderer: Renderer
    before: Tensor | DeepBank | None
    held: ExitStack | None = None
    """What keeps an adapter in the backbone's weights: it leaves them when this goes."""

    @classmethod
    def load(cls, place: str, device: str | None = None) -> "TunedLabeller":
        """The one prompt or adapter of `place`, with the backbone that its card names.

        It must be of format sentiment, with the five label words or `SIDES`. Raises PPTError.
        """
        prompt, *others = find_prompts([place])
        if others:
            raise ConfigError(
                f"{1 + len(others)} prompts lie in {Path(place)}, such as {prompt} and"
                f" {others[0]}: give one."
            )
        card = prompt.card
        words = tuple(map(str, card.get("label_words") or ()))
        if card.get("format") != "sentiment" or words not in (LABELS, SIDES):
            raise ConfigError(
                f"what was tuned in {prompt} has format {card.get('format')} and the label words"
                f" {', '.join(words) or 'of nobody'}: expected format sentiment with"
                f" {', '.join(LABELS)} or {' and '.join(SIDES)}."
            )
        if words_changed(prompt):
            told = "was trained beside other hard words than those of today: make it anew"
            raise ConfigError(f"what was tuned in {prompt} {told}.")
        target = next((one for one in TARGETS if one == card.get("layout")), TARGETS[0])
        backbone = load_backbone(
            str(card.get("backbone")), device=device, dtype=fast_dtype(device), target=target
        )
        pattern = standard_pattern("sentiment", backbone.layout, str(card.get("style")))
        renderer = Renderer(
            pattern, Verbalizer({one: one for one in words}), backbone.tokenizer, MAX_TOKENS
        )
        if prompt.trains == "lora":
            assert prompt.folder is not None, "it was found in one"
            held = ExitStack()
            held.enter_context(lora(backbone, 0, prompt.folder))
            return cls(backbone, renderer, None, held)
        if card.get("text_start"):
            raise ConfigError(
                f"the prompt in {prompt} was begun from examples and holds the start of a text:"
                " take one of another method."
            )
        deep = backbone.deep if prompt.trains == "kv" else None
        size = None if deep else backbone.hidden_size
        values = prompt.values(hidden_size=size, kind=backbone.kind, deep=deep).to(backbone.device)
        backbone.require_room(len(values), MAX_TOKENS, renderer.width, "take a shorter prompt")
        return cls(backbone, renderer, DeepBank(values[None]) if deep else values)

    @cached_property
    def words(self) -> LabelWords:
        """The label words as tokens."""
        return self.renderer.words()

    def probabilities(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities [N, 5] of `LABELS`, in the sentences' order."""
        rows = pack(self.renderer.rows({"text_a": text, "label": 0} for text in sentences))
        if not len(rows):
            return np.zeros((0, len(LABELS)), np.float32)
        score = partial(self.backbone.score, self.before)
        scores = score_in_batches(self.backbone, rows, self.words, score)
        if scores.shape[1] == len(SIDES):
            return placed(scores[:, 1:] - scores[:, :1])
        found: NDArray[np.float32] = torch.softmax(scores, -1).numpy()
        return found
