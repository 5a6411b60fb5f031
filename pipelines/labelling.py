"""Sentiment labellers behind one interface: (key, sentences) in, (key, class probabilities) out.

Importing this module imports neither torch nor transformers. Beam's RunInference
does, so all that the model labeller needs is imported when one is asked for.
"""

from typing import Any

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from ppt.errors import ConfigError, unknown_name
from ppt.sentiment import class_distribution, vader_compound

LABELLERS = ("vader", "model:<folder or hub id>")
"""The names of the labellers, as errors show them."""


class Labeller(beam.PTransform):  # type: ignore[misc]
    """(key, list of N sentences) → (key, probabilities [N, 5] of `ppt.sentiment.LABELS`).

    Rows stand in the order of the sentences; what the key is does not matter.
    """


class VaderLabeller(Labeller):
    """VADER's lexicon and rules, offline: one plain Map, which every runner computes rightly."""

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        return pools | "VADER" >> beam.MapTuple(_label_with_vader)


class ModelLabeller(Labeller):
    """A five-class sequence classifier of Hugging Face, through Beam's RunInference."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

        from pipelines.model_labeller import SentencePoolClassifier

        return (
            pools
            | "Classify" >> RunInference(KeyedModelHandler(SentencePoolClassifier(self._model)))
            | "Take probabilities" >> beam.MapTuple(lambda key, result: (key, result.inference))
        )


def parse_labeller(name: str) -> str | None:
    """The folder or hub id that the labeller `name` asks for; None if it needs no model."""
    if name == "vader":
        return None
    kind, _, model = name.partition(":")
    if kind != "model":
        raise unknown_name("labeller", name, LABELLERS)
    if not model.strip():
        raise ConfigError(
            f"got the labeller {name!r}, expected model:<folder or hub id> of a five-class"
            " sequence classifier."
        )
    return model


def make_labeller(name: str) -> Labeller:
    """The transform of the labeller `name`. A model is loaded later, by the workers."""
    model = parse_labeller(name)
    return VaderLabeller() if model is None else ModelLabeller(model)


def check_labeller(name: str) -> None:
    """Raise one clear `PPTError`, before any work, if `name` is unknown or cannot be used.

    Of a model only the configuration is loaded: it must be a classifier of five classes.
    """
    model = parse_labeller(name)
    if model is not None:
        from pipelines.model_labeller import class_order

        class_order(model)


def _label_with_vader(key: Any, sentences: list[str]) -> tuple[Any, NDArray[np.float64]]:
    return key, class_distribution(vader_compound(sentences))
