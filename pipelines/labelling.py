"""Sentiment labellers behind one interface: (key, sentences) in, (key, class probabilities) out.

Importing this module imports neither torch nor transformers. Beam's RunInference
does, so all that a model needs is imported when a labeller asks for one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from ppt.corpus.sentiment import LM_THRESHOLDS, PUBLISHED_THRESHOLDS, class_distribution
from ppt.errors import ConfigError, unknown_name
from ppt.text.vader import vader_compound


class Labeller(beam.PTransform):  # type: ignore[misc]
    """(key, list of N sentences) → (key, probabilities [N, 5] of `ppt.corpus.sentiment.LABELS`).

    Rows stand in the order of the sentences; what the key is does not matter.
    """


class VaderLabeller(Labeller):
    """VADER's lexicon and rules, offline: one plain Map, which every runner computes rightly."""

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        return pools | "VADER" >> beam.MapTuple(_label_with_vader)


class ModelLabeller(Labeller):
    """A model, through Beam's RunInference."""

    def __init__(self, kind: "ModelKind", model: str) -> None:
        super().__init__()
        self._kind = kind
        self._model = model

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

        return (
            pools
            | "Ask the model" >> RunInference(KeyedModelHandler(self._kind.handler(self._model)))
            | "Take probabilities" >> beam.MapTuple(lambda key, result: (key, result.inference))
        )


def _classifier(model: str) -> Any:
    from pipelines.model_labellers import SentencePoolClassifier

    return SentencePoolClassifier(model)


def _check_classifier(model: str) -> None:
    """Load the configuration only: it must be that of a classifier of five classes."""
    from pipelines.model_labellers import class_order

    class_order(model)


def _language_model(model: str) -> Any:
    from pipelines.model_labellers import SentencePoolReader

    return SentencePoolReader(model)


def _check_language_model(model: str) -> None:
    """Load the model and label a sentence: only so does it show whether it can be served.

    Also an embedded backbone is then expanded before workers ask for it.
    """
    from ppt.backbones.labeller import LMLabeller

    LMLabeller.load(model, device="cpu").probabilities(["It was fine."])


@dataclass(frozen=True)
class ModelKind:
    """A kind of model labeller: its Beam handler, its check, what to name, default thresholds."""

    handler: Callable[[str], Any]
    check: Callable[[str], None]
    expected: str
    thresholds: tuple[float, ...]


MODEL_KINDS = {
    "model": ModelKind(
        _classifier,
        _check_classifier,
        "model:<folder or hub id> of a five-class sequence classifier",
        PUBLISHED_THRESHOLDS,
    ),
    "lm": ModelKind(
        _language_model,
        _check_language_model,
        "lm:<embedded name, folder or hub id> of a language model, such as lm:smollm2-135m",
        LM_THRESHOLDS,
    ),
}
"""What may stand before the colon of a labeller's name."""

LABELLERS = ("vader", "model:<folder or hub id>", "lm:<embedded name, folder or hub id>")
"""The names of the labellers, as errors show them."""


def parse_labeller(name: str) -> tuple[ModelKind, str] | None:
    """The kind and the model that the labeller `name` asks for; None if it needs no model."""
    if name == "vader":
        return None
    kind, _, model = name.partition(":")
    if kind not in MODEL_KINDS:
        raise unknown_name("labeller", name, LABELLERS)
    if not model.strip():
        raise ConfigError(f"got the labeller {name!r}, expected {MODEL_KINDS[kind].expected}.")
    return MODEL_KINDS[kind], model


def make_labeller(name: str) -> Labeller:
    """The transform of the labeller `name`. A model is loaded later, by the workers."""
    asked = parse_labeller(name)
    return VaderLabeller() if asked is None else ModelLabeller(*asked)


def check_labeller(name: str) -> None:
    """Raise one clear `PPTError`, before any work, if `name` is unknown or cannot be used."""
    asked = parse_labeller(name)
    if asked is not None:
        kind, model = asked
        kind.check(model)


def default_thresholds(name: str) -> tuple[float, ...]:
    """The confidence that each class needs where nothing else is asked for."""
    asked = parse_labeller(name)
    return PUBLISHED_THRESHOLDS if asked is None else asked[0].thresholds


def _label_with_vader(key: Any, sentences: list[str]) -> tuple[Any, NDArray[np.float64]]:
    return key, class_distribution(vader_compound(sentences))
