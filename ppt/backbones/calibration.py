"""Contextual calibration: what a model says of a text without content is no answer, so it goes.

Zhao et al. 2021, "Calibrate before use: improving few-shot performance of language
models", section 4: a model that reads "N/A" should find all labels alike. It does not,
so its probabilities p are divided by those of content-free texts, p_cf (their W is
diag(p_cf)^-1), and brought back to a sum of 1. Here all that is in logarithms, so that
nothing underflows and a label that is not allowed keeps its -inf.

    score the rows, and `content_free(row)` in the same pattern, prompt and context
    calibrate(scores, label_prior(scores of the content-free rows))

Where patterns show no options, all rows of a task have the same content-free rows: one
prior serves them all. Where they do, options matter: give each row the prior of its own.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from ppt.errors import ConfigError
from ppt.prompts.patterns import Example

CONTENT_FREE = ("N/A", "[MASK]", "")
"""The content-free texts of Zhao et al. 2021 (section 4), whose probabilities are averaged."""


def content_free(example: Example, texts: Sequence[str] = CONTENT_FREE) -> list[Example]:
    """`example` with each of `texts` in place of `text_a`, and of `text_b` where it has one.

    Options, label and whatever else it has stay.
    """
    columns = [name for name in ("text_a", "text_b") if example.get(name) is not None]
    return [{**example, **dict.fromkeys(columns, text)} for text in texts]


def label_prior(scores: Tensor) -> Tensor:
    """Log-probabilities [..., L] of labels, averaged as probabilities over C texts [..., C, L].

    `scores` are logits or log-probabilities, -inf where a label is not allowed.
    """
    return scores.log_softmax(-1).logsumexp(-2) - math.log(scores.shape[-2])


def calibrate(scores: Tensor, prior: Tensor) -> Tensor:
    """Calibrated log-probabilities [R, L] of scores [R, L] under `prior`, [L] or [R, L].

    Labels that are not allowed (-inf) stay so. Raises ConfigError where a row allows a
    label that the prior does not.
    """
    allowed = ~scores.isneginf()
    if bool((allowed & prior.isneginf()).any()):
        raise ConfigError(
            "a row allows a label that its content-free texts do not: expected the prior of rows"
            " with as many options; give each row the prior of its own."
        )
    return (scores - prior).masked_fill(~allowed, -math.inf).log_softmax(-1)
