"""Model labellers behind Beam's RunInference: what a sentence is like, by a model of `KINDS`.

A handler's example is a pool: the sentences of one shard. So what a model computes at
once never depends on how a runner bundles elements or shares shards out. PyTorch's sums
depend on its number of threads too: labels are computed on one, and processes, of which
there is one a core, bring the speed. So labels have the same bytes with any number of
workers and cores.

Importing this module imports torch and transformers; only a pipeline that asks for such a
labeller does so. Beam's own handler for Hugging Face models cannot be imported with
transformers 5.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ppt.backbones.checks import require_known_tokens, require_numbers
from ppt.backbones.labeller import LMLabeller
from ppt.backbones.loading import prepare_tokenizer, prepared_device, read_model
from ppt.backbones.sources import find_model, read_config
from ppt.corpus.sentiment import LABELS
from ppt.errors import ConfigError, first_line, note, visible
from ppt.prompts.encoder import Encoder
from ppt.transfer.teacher import TunedLabeller

Pool = Sequence[str]
Probabilities = NDArray[np.float32]

_ONE_AT_A_TIME = threading.Lock()


BATCH_SIZE, MAX_TOKENS = 32, 128
"""Of a classifier: sentences at once, and what is read of each."""

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
    """A sequence classifier of five classes; `order[i]` is its index of our class i."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    order: list[int]

    @classmethod
    def load(cls, name: str, device: str | None = None) -> "Classifier":
        """Load the classifier and its tokenizer; it takes the GPU if there is one. Raises PPTError
        where it lacks something or cannot label.
        """
        order, folder, where = class_order(name), find_model(name), prepared_device(device)
        kind = AutoModelForSequenceClassification
        model, tokenizer = read_model(kind, folder, name, read_config(folder), "classifier's")
        require_numbers(model, name)
        prepare_tokenizer(tokenizer)
        require_known_tokens(tokenizer, model.get_input_embeddings().num_embeddings, name)
        ends_texts = tokenizer.pad_token_id in Encoder.of(tokenizer).end
        if model.config.pad_token_id is None and not ends_texts:
            model.config.pad_token_id = tokenizer.pad_token_id  # decoders look before the padding
        classifier = cls(model.to(where).eval(), tokenizer, order)
        try:
            classifier.probabilities(["a", "a " * MAX_TOKENS])
        except Exception as error:  # whatever foreign model code may raise
            raise ConfigError(
                f"the classifier {name!r} cannot label two sentences, one of {MAX_TOKENS} tokens"
                f" ({first_line(error)}): take another."
            ) from error
        return classifier

    def probabilities(self, sentences: Sequence[str]) -> Probabilities:
        """Class probabilities [N, 5], from batches of sentences of like length."""
        probabilities = np.empty((len(sentences), len(LABELS)), dtype=np.float32)
        limit = min(MAX_TOKENS, self.tokenizer.model_max_length)
        encoded = self.tokenizer(list(sentences), truncation=True, max_length=limit)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        # The longest go first, so that what does not fit in memory fails at once.
        by_length = np.argsort(lengths, kind="stable")[::-1]
        for start in range(0, len(sentences), BATCH_SIZE):
            rows = by_length[start : start + BATCH_SIZE]
            columns = {name: [values[row] for row in rows] for name, values in encoded.items()}
            inputs = self.tokenizer.pad(columns, return_tensors="pt").to(self.model.device)
            with torch.inference_mode():
                scores = self.model(**inputs).logits.float().softmax(dim=-1)
            probabilities[rows] = scores[:, self.order].cpu().numpy()
        return probabilities


KINDS: dict[str, Any] = {"model": Classifier, "lm": LMLabeller, "tuned": TunedLabeller}
"""What stands before the colon of a labeller's name → what `load` makes of what follows it."""


class PoolHandler(ModelHandler):  # type: ignore[misc]
    """A Beam model handler whose example is a pool, `list[str]`, of N sentences.

    The inference is float32 [N, 5]: a row per sentence, in the pool's order, of
    probabilities of `LABELS`. A worker's GPU is used if it has one.
    """

    def __init__(self, kind: str, model: str) -> None:
        super().__init__(max_batch_size=1)  # the pool is batch enough for Beam
        self._kind, self._name = kind, model

    def load_model(self) -> Any:
        """Load the model; RunInference calls this once a process."""
        return KINDS[self._kind].load(self._name)

    def run_inference(
        self, batch: Sequence[Pool], model: Any, inference_args: Mapping[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Label each pool; the models take no further arguments."""
        assert not inference_args, inference_args
        nothing = np.empty((0, len(LABELS)), dtype=np.float32)
        with one_thread():
            return [
                PredictionResult(pool, model.probabilities(pool) if pool else nothing, self._name)
                for pool in batch
            ]

    def get_num_bytes(self, batch: Sequence[Pool]) -> int:
        """The pools' text in UTF-8, for Beam's metrics."""
        return sum(len(sentence.encode()) for pool in batch for sentence in pool)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread, and for one caller at a time: its setting is global."""
    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def check(kind: str, model: str) -> None:
    """Raise PPTError where `model` can be no labeller of its kind.

    It is loaded and labels a sentence: only so does it show whether it can be served, and an
    embedded backbone is expanded before workers ask for it. A classifier whose weights are not
    here is known by its configuration.
    """
    if kind != "model":
        KINDS[kind].load(model, device="cpu").probabilities(["It was fine."])
        return
    names = _class_names(model)
    if _order_of(names) is None:
        told = f"--labeller model:{visible(model)} calls its classes {visible(', '.join(names))}"
        note(f"{told}, which are taken in this order for {', '.join(LABELS)}")
    if any(any(Path(model).expanduser().glob(f"*.{kind}")) for kind in ("bin", "safetensors")):
        Classifier.load(model, device="cpu")


def class_order(model: str) -> list[int]:
    """For each of our classes, terrible first, its index in `model`; reads its config only.

    Where the model's names for its classes are not known they are taken to run from terrible to
    great. Raises ConfigError.
    """
    return _order_of(_class_names(model)) or [*range(len(LABELS))]


def _class_names(model: str) -> list[str]:
    """What the model calls its classes, in order. One that cannot be found, that is no sequence
    classifier or that has not five classes is a `ConfigError`.
    """
    try:
        config = read_config(model)
    except Exception as error:  # there is no end of what fields of a wrong type lead to
        raise ConfigError(
            f"cannot load the classifier {model!r}: expected a folder that save_pretrained"
            f" wrote, or a hub id that is cached or can be reached. {first_line(error)}"
        ) from error
    made_for = config.architectures or []
    if not any("SequenceClassification" in name for name in made_for):
        raise ConfigError(
            f"the model {model!r} is {' or '.join(made_for) or 'of no named architecture'},"
            " expected one trained for SequenceClassification."
        )
    names = [str(config.id2label[index]) for index in sorted(config.id2label)]
    if len(names) != len(LABELS):
        raise ConfigError(
            f"the classifier {model!r} has {len(names)} classes ({', '.join(names)}),"
            f" expected {len(LABELS)}, for {', '.join(LABELS)}."
        )
    return names


def _order_of(names: Sequence[str]) -> list[int] | None:
    """Where in `names` each class stands, going up the first of `SCALES` that fits, if one does."""
    plain = [_plain(name) for name in names]
    for scale in SCALES:
        if set(scale) == set(plain):
            return [plain.index(name) for name in scale]
    return None


def _plain(name: str) -> str:
    """`name` in lower case, its words parted by single spaces, "stars" as "star"."""
    words = re.findall(r"[^\W_]+", name.casefold())
    return " ".join("star" if word == "stars" else word for word in words)
