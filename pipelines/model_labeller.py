"""The `model:` labeller: any five-class sequence classifier, behind Beam's RunInference.

Importing this module imports torch and transformers; only a pipeline that asks
for a model labeller does so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pipelines.pool_handler import Pool, PoolHandler, Probabilities
from ppt.errors import ConfigError
from ppt.sentiment import LABELS

SCALES = (
    LABELS,
    ("1 star", "2 star", "3 star", "4 star", "5 star"),
    ("1", "2", "3", "4", "5"),
    ("very negative", "negative", "neutral", "positive", "very positive"),
    ("extremely negative", "negative", "neutral", "positive", "extremely positive"),
    ("strongly negative", "negative", "neutral", "positive", "strongly positive"),
)
"""Names, as `_plain` leaves them, by which models are known to call our five classes."""


@dataclass(frozen=True)  # without slots: Beam shares a model by a weak reference
class Classifier:
    """A loaded model; `order[i]` is its index of our class i."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    order: list[int]


class SentencePoolClassifier(PoolHandler):
    """The handler of a sequence classifier: pools in, probabilities [N, 5] out."""

    def __init__(
        self, model: str, *, batch_size: int = 32, max_length: int = 128, device: str = "GPU"
    ) -> None:
        super().__init__(model, device)
        self._batch_size = batch_size
        self._max_length = max_length

    def load_model(self) -> Classifier:
        """Load the classifier and its tokenizer."""
        order = class_order(self._name)
        model = AutoModelForSequenceClassification.from_pretrained(self._name)
        device = self._device if torch.cuda.is_available() else torch.device("cpu")
        return Classifier(model.to(device).eval(), AutoTokenizer.from_pretrained(self._name), order)

    def probabilities(
        self, pool: Pool, model: Classifier, args: Mapping[str, Any]
    ) -> Probabilities:
        """Class probabilities [N, 5], from batches of sentences of like length."""
        classifier, tokenizer = model.model, model.tokenizer
        probabilities = np.empty((len(pool), len(LABELS)), dtype=np.float32)
        limit = min(self._max_length, tokenizer.model_max_length)
        encoded = tokenizer(list(pool), truncation=True, max_length=limit)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        # The longest go first, so that what does not fit in memory fails at once.
        by_length = np.argsort(lengths, kind="stable")[::-1]
        for start in range(0, len(pool), self._batch_size):
            rows = by_length[start : start + self._batch_size]
            columns = {name: [values[row] for row in rows] for name, values in encoded.items()}
            inputs = tokenizer.pad(columns, return_tensors="pt").to(classifier.device)
            with torch.inference_mode():
                scores = classifier(**inputs, **args).logits.float().softmax(dim=-1)
            probabilities[rows] = scores[:, model.order].cpu().numpy()
        return probabilities


def class_order(model: str) -> list[int]:
    """For each of our classes, terrible first, its index in `model`; reads its config only.

    Where the model's names for its classes are not known they are taken to run
    from terrible to great. A model that cannot be found, that is no sequence
    classifier or that has not five classes is a `ConfigError`.
    """
    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"cannot load the classifier {model!r}: expected a folder that save_pretrained"
            f" wrote, or a hub id that is cached or can be reached. {reason}"
        ) from error
    made_for = config.architectures or []
    if not any("SequenceClassification" in name for name in made_for):
        raise ConfigError(
            f"the model {model!r} is {' or '.join(made_for) or 'of no named architecture'},"
            " expected one trained for SequenceClassification."
        )
    names = [config.id2label[index] for index in sorted(config.id2label)]
    if len(names) != len(LABELS):
        raise ConfigError(
            f"the classifier {model!r} has {len(names)} classes ({', '.join(names)}),"
            f" expected {len(LABELS)}, for {', '.join(LABELS)}."
        )
    return _order_of(names)


def _order_of(names: Sequence[str]) -> list[int]:
    """Where in `names` each class stands, going up the first of `SCALES` that fits."""
    plain = [_plain(name) for name in names]
    for scale in SCALES:
        if set(scale) == set(plain):
            return [plain.index(name) for name in scale]
    return list(range(len(LABELS)))


def _plain(name: str) -> str:
    """`name` in lower case, its words parted by single spaces, "stars" as "star"."""
    words = re.findall(r"[^\W_]+", name.casefold())
    return " ".join("star" if word == "stars" else word for word in words)
