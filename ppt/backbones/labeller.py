"""Sentiment pseudo-labels by a frozen language model: zero-shot, calibrated, no training.

The model says which of the five label words follows a sentence in a fixed pattern. Left
alone it favours some words whatever the sentence ("good", "great", hardly ever
"maybe"); `ppt.backbones.calibration` takes that off. Patterns were chosen by measuring them
(docs/decisions.md, ``python -m benchmarks.labellers``).

The scores of a batch depend, in their last bits, on its rows and on the number of
threads. So batches are cut from the sentences given, by length and in a fixed order:
the same list gives the same bytes on one kind of machine and number of threads.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.calibration import calibrate, content_free, label_prior
from ppt.backbones.loading import load_backbone
from ppt.errors import ConfigError
from ppt.prompts.batches import collate, pack
from ppt.prompts.order import evaluation_batches
from ppt.prompts.patterns import Example, parse_pattern, standard_verbalizer
from ppt.prompts.rendering import LAYOUTS, Renderer
from ppt.prompts.tensors import LabelWords

PATTERNS = {
    "causal": "Review: {text_a}\nIn one word, it was {mask}",
    "seq2seq": "Review: {text_a} In one word, it was {mask}.",
}
"""Kind of backbone → pattern. The causal one was measured; T5 knows no line feed."""

MAX_TOKENS = 128
"""Of a sentence in its pattern; longer ones are cut, at about the 400 characters of a corpus."""

BATCH_SIZES = {"cpu": 16, "cuda": 128}
"""Sentences scored at once; on a CPU core more of them take longer each."""


@dataclass(frozen=True)  # without slots: Beam shares a model by a weak reference
class LMLabeller:
    """A backbone, and how it is asked for the sentiment of a sentence."""

    backbone: Backbone
    renderer: Renderer

    @classmethod
    def load(cls, name: str, device: str | None = None) -> "LMLabeller":
        """Load the backbone `name`. Raises what `load_backbone` does, and `of`.

        In float32 everywhere: 16 bits would make the labels of near-ties a matter of luck.
        """
        return cls.of(load_backbone(name, device=device, dtype="float32"))

    @classmethod
    def of(cls, backbone: Backbone, pattern: str | None = None) -> "LMLabeller":
        """With `pattern` in place of the one in `PATTERNS`. Raises ConfigError."""
        parsed = parse_pattern(pattern or PATTERNS[backbone.kind], LAYOUTS[backbone.kind])
        verbalizer = standard_verbalizer("sentiment")
        renderer = Renderer(parsed, verbalizer, backbone.tokenizer, MAX_TOKENS)
        room = getattr(backbone.model.config, "max_position_embeddings", None) or math.inf
        most = min(MAX_TOKENS, room + 1 - renderer.words().ids.shape[1])
        return cls(backbone, replace(renderer, max_length=int(most)))

    @cached_property
    def words(self) -> LabelWords:
        """The five label words as tokens."""
        return self.renderer.words()

    @cached_property
    def prior(self) -> Tensor:
        """What the model says of sentences without content: log-probabilities [5]."""
        return label_prior(self._scores(content_free(_example(""))))

    def scores(self, sentences: Sequence[str]) -> Tensor:
        """Uncalibrated scores [N, 5] of the sentences for `LABELS`, on the CPU."""
        return self._scores(map(_example, sentences))

    def probabilities(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities [N, 5] of `LABELS`, in the sentences' order."""
        calibrated = calibrate(self.scores(sentences), self.prior).exp()
        probabilities: NDArray[np.float32] = calibrated.numpy()
        return probabilities

    def _scores(self, examples: Iterable[Example]) -> Tensor:
        rows = pack(self.renderer.rows(iter(examples)))
        scores = torch.zeros(len(rows), len(self.words.lengths))
        if not len(rows):
            return scores
        device, pad = self.backbone.device, self.backbone.pad_id
        batch_size = BATCH_SIZES.get(device.type, BATCH_SIZES["cuda"])
        with torch.inference_mode():
            for indices in evaluation_batches(rows.lengths, batch_size):
                batch = collate(rows, indices, self.words, pad).to(device)
                scores[indices] = self.backbone.score(None, batch).cpu()
        if not bool(scores.isfinite().all()):
            raise ConfigError(
                f"the backbone {self.backbone.name!r} gives scores that are not finite numbers:"
                " its weights are broken: take another model."
            )
        return scores


def _example(sentence: str) -> Example:
    return {"text_a": sentence, "label": 0}
