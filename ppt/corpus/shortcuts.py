"""How much of a corpus is solved without reading it: two baselines, measured on a sample.

*overlap* knows which words the anchor shares with what stands beside it. *form* never sees
the anchor: it knows how long options are, how they begin and end, how rare their words are and
how like each other. Where a row asks for a class, *form* sees the text that is classified,
of a pair the second one. Of a good corpus both stay near chance.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ppt.corpus.formats import FORMATS
from ppt.corpus.manifest import Manifest

SAMPLE = 2000
"""Rows to measure on, the first of the training split; every second one teaches the probes."""

RIDGE = 1.0
"""Added to the diagonal: features have about unit scale."""

_WORDS = re.compile(r"\w+")
_SIGNS = ".?!,;:-\"'()“”‘’0123456789"
_LEAST = 20
"""Fewer rows of a kind are not measured."""

Vector = Mapping[str, float]
Floats = NDArray[np.float64]
Row = Mapping[str, Any]
Measured = dict[str, dict[str, float]]


def measured(manifest: Manifest, read: Callable[[str], bytes]) -> Manifest:
    """The manifest with the baselines of its corpus, whose files `read` gives by name."""
    parts, left = [], SAMPLE
    for shard in manifest.shards["train"]:
        table = pq.read_table(pa.BufferReader(read(shard.name))) if left else None
        if table is not None:
            parts.append(table.slice(0, left))
            left -= len(parts[-1])
    sample = pa.concat_tables(parts) if parts else pa.table({})
    return replace(manifest, shortcuts=shortcuts(sample, FORMATS[manifest.format].words))


def shortcuts(sample: pa.Table, words: Sequence[str]) -> Measured:
    """By kind of rows: how many were tested, chance, and the accuracy of each baseline.

    `sample` are rows of one format, `words` its label words. Kinds of too few rows are left
    out; `overlap` is, where a row has one text. Numbers have three decimals.
    """
    rows = sample.to_pylist()
    vectors = Vectors(rows)
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    measured: Measured = {}
    for kind, found in sorted(by_kind.items()):
        if len(found) < _LEAST:
            continue
        choices = {frozenset(row["options"]) for row in found}
        told = (_of_options if len(choices) > 1 else _of_classes)(found, vectors, words)
        measured[kind] = {name: round(float(value), 3) for name, value in told.items()}
    return measured


class Vectors:
    """Texts → their words weighted by tf-idf, of unit length; the idf of a sample's rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        texts = {text for row in rows for text in (row["text_a"], row["text_b"], *row["options"])}
        self._counts = {
            text: Counter(_WORDS.findall(text.casefold())) for text in texts if text is not None
        }
        uses = Counter(chain.from_iterable(self._counts.values()))
        total = len(self._counts)
        self._idf = {word: float(np.log((1 + total) / (1 + n))) + 1 for word, n in uses.items()}
        self._made: dict[str, Vector] = {}

    def __getitem__(self, text: str) -> Vector:
        if text not in self._made:
            weights = {word: n * self._idf[word] for word, n in self._counts[text].items()}
            norm = sum(weight * weight for weight in weights.values()) ** 0.5 or 1.0
            self._made[text] = {word: weight / norm for word, weight in weights.items()}
        return self._made[text]

    def overlap(self, one: str, other: str) -> float:
        """The cosine of two texts."""
        mine, theirs = self[one], self[other]
        return sum([weight * theirs[word] for word, weight in mine.items() if word in theirs])

    def form(self, text: str) -> list[float]:
        """What can be seen of a text without reading it."""
        rare = [self._idf[word] for word in self._counts[text]] or [0.0]
        signs = [float(text.count(sign)) for sign in _SIGNS]
        ends = [float(text.endswith(sign)) for sign in ".?!"]
        length = len(text)
        return [
            length, length**0.5, len(rare), sum(rare) / len(rare), max(rare), *signs, *ends,
            float(text[-1:].isalnum()), float(text[:1].isupper()), float(text[:1].isalnum()),
            sum(map(str.isupper, text)) / (length or 1),
        ]  # fmt: skip


def _of_options(rows: Sequence[Row], vectors: Vectors, _: Sequence[str]) -> dict[str, float]:
    """Which option is the answer: the likest to the anchor; the best by a probe of forms."""
    tested = rows[1::2]
    right = [
        int(np.argmax([vectors.overlap(row["text_a"], option) for option in row["options"]]))
        == row["label"]
        for row in tested
    ]
    seen = [_of_row(row["options"], vectors) for row in rows]
    scale = np.concatenate(seen).std(axis=0)
    seen = [_twice(one / np.where(scale > 0, scale, 1.0)) for one in seen]
    wanted = [np.arange(len(row["options"])) == row["label"] for row in rows]
    weights = _ridge(
        np.concatenate(seen[::2]),
        np.concatenate([one - one.mean() for one in wanted[::2]])[:, None],
    )
    guesses = np.array([np.argmax((one * weights[:, 0]).sum(axis=1)) for one in seen[1::2]])
    return {
        "rows": len(tested),
        "chance": np.mean([1 / len(row["options"]) for row in tested]),
        "overlap": np.mean(right),
        "form": np.mean(
            [guess == row["label"] for guess, row in zip(guesses, tested, strict=True)]
        ),
    }


def _of_row(options: Sequence[str], vectors: Vectors) -> Floats:
    """[n, F] the forms of a row's options, and how like each is to the others, less the mean."""
    alike = np.zeros((len(options), len(options)))
    for i, j in combinations(range(len(options)), 2):
        alike[i, j] = alike[j, i] = vectors.overlap(options[i], options[j])
    forms = np.array([vectors.form(option) for option in options])
    seen = np.column_stack([forms, alike.sum(axis=1), alike.max(axis=1)])
    return np.asarray(seen - seen.mean(axis=0))


def _twice(seen: Floats) -> Floats:
    """Deviations, and how far they are from the mean on either side."""
    distances = np.abs(seen)
    return np.concatenate([seen, distances - distances.mean(axis=0)], axis=1)


def _of_classes(rows: Sequence[Row], vectors: Vectors, words: Sequence[str]) -> dict[str, float]:
    """Which class a row is of, by probes of its overlap and of the form of one text."""
    asked = [row["text_a"] if row["text_b"] is None else row["text_b"] for row in rows]
    named = [(row["options"] or words)[row["label"]] for row in rows]
    classes = sorted(set(named))
    wanted = np.array([[name == one for one in classes] for name in named], float)
    truth = wanted.argmax(axis=1)[1::2]

    def right(seen: Iterable[Sequence[float]]) -> float:
        features = np.array(list(seen))
        spread = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        features = np.column_stack([np.ones(len(features)), features])
        weights = _ridge(features[::2], wanted[::2])
        scores = (features[1::2, :, None] * weights).sum(axis=1)
        return float((scores.argmax(axis=1) == truth).mean())

    told = {"rows": len(truth), "chance": 1 / len(classes)}
    if rows[0]["text_b"] is not None:
        cosines = [vectors.overlap(row["text_a"], row["text_b"]) for row in rows]
        told["overlap"] = right([cosine, cosine**0.5, float(cosine > 0)] for cosine in cosines)
    return {**told, "form": right(map(vectors.form, asked))}


def _ridge(features: Floats, wanted: Floats) -> Floats:
    """[F, L] least squares with a penalty; rounded, so that a last digit decides nothing."""
    square = features.T @ features + RIDGE * np.eye(features.shape[1])
    return np.asarray(np.round(np.linalg.solve(square, features.T @ wanted), 6))
