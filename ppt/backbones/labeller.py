"""Sentiment pseudo-labels by a frozen language model: zero-shot, calibrated, no training.

The model is asked several questions of a sentence, each with several pairs of opposite words
("In one word, the overall quality is": weak or strong?). How much likelier the good word is,
in log-odds, less what that is for sentences without content (contextual calibration,
`ppt.backbones.calibration`), places the sentence among the five classes; each answer does so
by itself, and where they disagree no class gets much. Questions and words were chosen by
measuring them on training rows (docs/decisions.md, ``python -m benchmarks.labellers``).

The questions are branches after the one sentence, so it is read once. The scores of a batch
depend, in their last bits, on its rows and on the number of threads. So batches are cut from
the sentences given, by length and in a fixed order: the same list gives the same bytes on one
kind of machine and number of threads.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.calibration import content_free, label_prior
from ppt.backbones.loading import fast_dtype, load_backbone
from ppt.base.arrays import Indices
from ppt.corpus.sentiment import LABELS, spread
from ppt.errors import ConfigError
from ppt.prompts.batches import TokenRows, collate, pack
from ppt.prompts.encoder import Encoder
from ppt.prompts.order import evaluation_batches
from ppt.prompts.patterns import Example, Verbalizer, parse_pattern
from ppt.prompts.rendering import Renderer
from ppt.prompts.tensors import Batch, LabelWords

PATTERNS = {
    "causal": "Review: {text_a}\nIn one word, {mask}",
    "seq2seq": "Review: {text_a} In one word, {mask}.",
}
"""Kind of backbone → what stands around the questions. T5 knows no line feed, and was not
measured."""

QUESTIONS = ("the reviewer describes it as", "the overall quality is")
OPPOSITES = (("negative", "positive"), ("weak", "strong"))

CLASS_WIDTH = 1.3
"""Log-odds from one class centre to the next: on SST-5's training rows this gives five classes
of like size, and the most right labels."""

MAX_TOKENS = 128
"""Of a sentence in its pattern; longer ones are cut, at about the 400 characters of a corpus."""

BATCH_SIZES = {"cpu": 16, "cuda": 512}
"""Sentences scored at once; on a CPU core more of them take longer each."""


@dataclass(frozen=True)  # without slots: Beam shares a model by a weak reference
class LMLabeller:
    """A backbone, and how it is asked for the sentiment of a sentence."""

    backbone: Backbone
    renderer: Renderer
    questions: tuple[str, ...] = QUESTIONS
    opposites: tuple[tuple[str, str], ...] = OPPOSITES

    @classmethod
    def load(cls, name: str, device: str | None = None) -> "LMLabeller":
        """Load the backbone `name`. Raises what `load_backbone` does, and `of`.

        In 16 bits where the machine has units for them, else in float32: what is faster.
        """
        return cls.of(load_backbone(name, device=device, dtype=fast_dtype(device)))

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        questions: tuple[str, ...] = QUESTIONS,
        opposites: tuple[tuple[str, str], ...] = OPPOSITES,
    ) -> "LMLabeller":
        """With questions and words of one's own. Raises ConfigError."""
        pattern = parse_pattern(PATTERNS[backbone.kind], backbone.layout)
        words = Verbalizer({word: word for pair in opposites for word in pair})
        renderer = Renderer(pattern, words, backbone.tokenizer, MAX_TOKENS)
        labeller = cls(backbone, renderer, questions, opposites)
        room = backbone.positions or math.inf
        most = min(MAX_TOKENS, room + 1 - labeller.asked.ids.shape[1])
        return replace(labeller, renderer=replace(renderer, max_length=int(most)))

    @cached_property
    def asked(self) -> LabelWords:
        """What is read after a sentence, as tokens.

        Where all words are single tokens, the questions [Q, W], each with a last one in the
        answer's place, which is not read; else each question with each word, [Q * 2 * pairs, W].
        """
        questions = self._after("", self.questions)
        if self.answers is not None:
            return LabelWords.of([[*one, 0] for one in questions])
        return LabelWords.of(
            [
                [*one, *word]
                for one, question in zip(questions, self.questions, strict=True)
                for word in self._after(question, self._opposite)
            ]
        )

    @cached_property
    def answers(self) -> Tensor | None:
        """The tokens of the opposite words, [2 * pairs]: bad and good of each in turn.

        None where any is longer than a token.
        """
        words = self._after(self.questions[0], self._opposite)
        single = all(len(ids) == 1 for ids in words)
        return torch.tensor([ids[0] for ids in words]) if single else None

    @property
    def _opposite(self) -> list[str]:
        return [word for pair in self.opposites for word in pair]

    def _after(self, before: str, texts: Iterable[str]) -> list[list[int]]:
        encoder = Encoder.of(self.backbone.tokenizer)
        return encoder.after(f"In one word, {before}".rstrip(), [f" {text}" for text in texts])

    @cached_property
    def prior(self) -> Tensor:
        """The log-odds of sentences without content, [Q, pairs]."""
        two = self._log_probabilities(content_free(_example("")))
        return _odds(label_prior(two.movedim(0, -2)))

    def odds(self, sentences: Sequence[str]) -> Tensor:
        """Calibrated log-odds of good against bad, [N, Q, pairs], on the CPU."""
        return _odds(self._log_probabilities(map(_example, sentences))) - self.prior

    def probabilities(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities [N, 5] of `LABELS`, in the sentences' order: the mean over the answers."""
        return placed(self.odds(sentences).flatten(1))

    def _log_probabilities(self, examples: Iterable[Example]) -> Tensor:
        """Of the words of each pair, [N, Q, pairs, 2], but for what a question's words share."""
        answers = None if self.answers is None else self.answers.to(self.backbone.device)

        def score(batch: Batch) -> Tensor:
            if answers is None:
                return self.backbone.score(None, batch)
            return self.backbone.score_after(batch, answers).flatten(1)

        rows = pack(self.renderer.rows(examples))
        flat = score_in_batches(self.backbone, rows, self.asked, score)
        return flat.view(len(rows), len(self.questions), len(self.opposites), 2)


def score_in_batches(
    backbone: Backbone, rows: TokenRows, words: LabelWords, score: Callable[[Batch], Tensor]
) -> Tensor:
    """What `score` makes of batches of rows of like length, [N, C], in the rows' order.

    Where PyTorch computes on one thread of a CPU, as in workers of a build, batches are scored
    side by side on all its cores: a batch's bits are its own. Raises ConfigError where scores are
    no numbers.
    """
    device = backbone.device
    if not len(rows):
        return torch.zeros(0)
    size = BATCH_SIZES.get(device.type, BATCH_SIZES["cuda"])
    batches = evaluation_batches(rows.lengths, size)

    def of(indices: Indices) -> Tensor:
        with torch.inference_mode():
            return score(collate(rows, indices, words, backbone.pad_id).to(device)).cpu()

    alone = device.type != "cpu" or torch.get_num_threads() > 1
    with ThreadPoolExecutor(1 if alone else os.cpu_count()) as pool:
        parts = list(pool.map(of, batches))
    scores = torch.cat(parts)[torch.from_numpy(np.concatenate(batches).argsort())]
    if not bool(scores.isfinite().all()):
        raise ConfigError(
            f"the backbone {backbone.name!r} gives scores that are not finite numbers:"
            " its weights are broken: take another model."
        )
    return scores


def placed(odds: Tensor) -> NDArray[np.float32]:
    """The five classes [N, 5] of answers [N, A] in log-odds: each places a row, and the mean."""
    position = len(LABELS) // 2 + odds.double().numpy() / CLASS_WIDTH
    mean: NDArray[np.float32] = spread(position).mean(1).astype(np.float32)
    return mean


def _odds(two: Tensor) -> Tensor:
    return two[..., 1] - two[..., 0]


def _example(sentence: str) -> Example:
    return {"text_a": sentence, "label": 0}
