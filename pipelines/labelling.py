"""Sentiment labellers behind one interface: (key, sentences) in, (key, class probabilities) out.

A labeller is a row of `LABELLERS`; add yours with ``LABELLERS["name"] = Labeller(...)``. Several,
with commas between them, label together.
Importing this module imports neither torch nor transformers: what a model needs is imported
when a labeller asks for one.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import apache_beam as beam

from pipelines.metrics import timed
from ppt.base.files import file_digest
from ppt.corpus.builders import Probabilities
from ppt.corpus.sentiment import LM_THRESHOLDS, PUBLISHED_THRESHOLDS, agreed, class_distribution
from ppt.errors import ConfigError, InputError, unknown_name
from ppt.text.language import foreign_language
from ppt.text.vader import vader_compound


@dataclass(frozen=True)
class Labeller:
    """A labeller. `form` shows how it is asked for: ``name``, or ``name:<what model it takes>``.

    `transform` makes of the text after the colon a PTransform of (key, N sentences) →
    (key, probabilities [N, 5] of `ppt.corpus.sentiment.LABELS`), rows in the order of the
    sentences; `check` raises PPTError, before any work, if that text cannot be used.
    `foreign` names the language of a text, by its words or script, where the labeller does not
    know it, else "". `thresholds` of confidence are used where none are given. The labels
    depend on the versions of `libraries`. Local workers import the modules `ahead` as they start.
    """

    form: str
    transform: Callable[[str], beam.PTransform]
    check: Callable[[str], None] = lambda _: None
    thresholds: tuple[float, ...] = PUBLISHED_THRESHOLDS
    libraries: tuple[str, ...] = ()
    foreign: Callable[[str], str] = lambda _: ""
    ahead: tuple[str, ...] = ()


def by_function(label: Callable[[list[str]], Probabilities]) -> beam.PTransform:
    """The transform of a function that labels N sentences: a Map, which every runner does right."""

    def labelled(key: Any, sentences: list[str]) -> Any:  # Beam knows no type hints of arrays
        with timed("label"):
            return key, label(sentences)

    return beam.MapTuple(labelled)


@dataclass(eq=False, repr=False)
class ByModel(beam.PTransform):  # type: ignore[misc]
    """The transform of a model, through Beam's RunInference; `handler` makes its handler."""

    handler: Callable[[], Any]

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

        return (
            pools
            | "Ask the model" >> RunInference(KeyedModelHandler(self.handler()))
            | "Take probabilities" >> beam.MapTuple(lambda key, result: (key, result.inference))
        )


@dataclass(eq=False, repr=False)
class Together(beam.PTransform):  # type: ignore[misc]
    """The transform of several labellers (`agreed`), each asked once: name → weight."""

    members: Mapping[str, int]

    def expand(self, pools: beam.PCollection) -> beam.PCollection:
        answers = {
            place: pools | f"Labeller {place}" >> make_labeller(name)
            for place, name in enumerate(self.members)
        }
        return (
            answers
            | "Bring labels together" >> beam.CoGroupByKey()
            | "Agree" >> beam.MapTuple(partial(_agree, list(self.members.values())))
        )


def _agree(weights: Sequence[int], key: Any, answers: Mapping[int, Iterable[Probabilities]]) -> Any:
    return key, agreed([one for place in sorted(answers) for one in answers[place]], weights)


def _vader(sentences: list[str]) -> Probabilities:
    return class_distribution(vader_compound(sentences))


def _of_model(kind: str, what: str, thresholds: tuple[float, ...]) -> Labeller:
    """The row of a kind of `pipelines.model_labellers`, whose import brings torch."""

    def module() -> Any:
        from pipelines import model_labellers

        return model_labellers

    return Labeller(
        f"{kind}:<{what}>",
        lambda model: ByModel(lambda: module().PoolHandler(kind, model)),
        lambda model: module().check(kind, model),
        thresholds,
        ("torch", "transformers"),
        ahead=("pipelines.model_labellers",),
    )


LABELLERS = {
    "vader": Labeller("vader", lambda _: by_function(_vader), foreign=foreign_language),
    "model": _of_model(
        "model", "folder or hub id of a five-class sequence classifier", PUBLISHED_THRESHOLDS
    ),
    "lm": _of_model(
        "lm",
        "embedded name, folder or hub id of a language model, such as lm:smollm2-135m",
        LM_THRESHOLDS,
    ),
    "tuned": _of_model(
        "tuned", "a run of ppt.pretrain, or an adapter of ppt.fewshot, on sentiment", LM_THRESHOLDS
    ),
}
"""What stands before the colon of a labeller's name → the labeller."""


def members_of(name: str) -> dict[str, int]:
    """The labellers that `name` asks for, and how often each: one, or several after commas."""
    kinds = "|".join(map(re.escape, LABELLERS))
    return dict(Counter(re.split(rf",(?=(?:{kinds})(?:[:,]|$))", name)))


def _together(members: Mapping[str, int]) -> Labeller:
    rows = [find_labeller(name) for name in members]

    def check(_: str) -> None:
        for name in members:
            check_labeller(name)

    return Labeller(
        ",".join(members), lambda _: Together(members), check, LM_THRESHOLDS,
        tuple(dict.fromkeys(chain.from_iterable(row.libraries for row in rows))),
        lambda text: next(filter(None, (row.foreign(text) for row in rows)), ""),
        tuple(dict.fromkeys(chain.from_iterable(row.ahead for row in rows))),
    )  # fmt: skip


def find_labeller(name: str) -> Labeller:
    """The labeller that `name` asks for, or several as one. Raises PPTError."""
    if len(members := members_of(name)) > 1:
        return _together(members)
    kind, colon, model = name.partition(":")
    known = LABELLERS.get(kind)
    takes_model = known is not None and ":" in known.form
    if known is None or (colon and not takes_model):
        raise unknown_name("labeller", name, [one.form for one in LABELLERS.values()])
    if takes_model and not model.strip():
        raise ConfigError(f"got the labeller {name!r}, expected {known.form}.")
    return known


_SPLITTERS = {"Chinese": "regex:zh", "Japanese": "regex:ja"} | dict.fromkeys(
    ("Arabic", "Armenian", "Bengali", "Devanagari", "Ethiopic", "Gujarati", "Gurmukhi", "Khmer",
     "Myanmar", "Oriya"), "regex:stops",
)  # fmt: skip
"""Language or script → the splitter that its sentences call for."""


def refuse_foreign(name: str, foreign: Mapping[str, int], documents: int, most: float) -> None:
    """Raise InputError where more than `most` of `documents` are in languages that the labeller
    `name` does not know; `foreign` counts them by language.
    """
    if sum(foreign.values()) > most * documents:
        language = max(foreign, key=foreign.__getitem__)
        splitter = _SPLITTERS.get(language, "")
        raise InputError(
            f"--labeller {name} does not know the language of {sum(foreign.values())} of "
            f"{documents} documents ({language}, for one); give --labeller lm:... or model:... "
            "that does, or --formats without sentiment (of unified: --unified_mixture published)"
            f"{splitter and f'; its sentences call for --splitter {splitter}'}"
        )


def make_labeller(name: str) -> beam.PTransform:
    """The transform of the labeller `name`. A model is loaded later, by the workers."""
    return find_labeller(name).transform(name.partition(":")[2])


def check_labeller(name: str) -> None:
    """Raise one clear `PPTError`, before any work, if `name` is unknown or cannot be used."""
    find_labeller(name).check(name.partition(":")[2])


def labeller_digest(name: str) -> str:
    """A digest of what the labeller `name` reads of this disk, a file or a folder with all in it;
    "" where it reads none. A model that was trained on has the name that it had.
    """
    if len(members := members_of(name)) > 1:
        digests = [labeller_digest(one) for one in members]
        return hashlib.sha256(json.dumps(digests).encode()).hexdigest() if any(digests) else ""
    place = Path(name.partition(":")[2]).expanduser()
    if ":" not in name or not place.exists():
        return ""
    files = sorted(path for path in (place, *place.rglob("*")) if path.is_file())
    told = [(path.relative_to(place).as_posix(), file_digest(path)) for path in files]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
