"""How much of a corpus is solved without reading it: two baselines, measured on a sample.

*overlap* knows which words the anchor shares with what stands beside it. *form* never sees
the anchor: it knows how long options are, how they begin and end, how rare their words are and
how like each other. Where a row asks for a class, *form* sees the text that is classified,
of a pair the second one. Of a good corpus both stay near chance.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ppt.base.arrays import Indices, Mask
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

Floats = NDArray[np.float64]
Row = Mapping[str, Any]
Measured = dict[str, dict[str, float]]


def measured(manifest: Manifest, read: Callable[[str], bytes]) -> Manifest:
    """The manifest with the baselines of its corpus, whose files `read` gives by name."""
    parts, left = [], SAMPLE
    for shard in manifest.shards["train"]:
        if left and shard.rows:
            file = pq.ParquetFile(pa.BufferReader(read(shard.name)))
            parts.append(pa.Table.from_batches([next(file.iter_batches(batch_size=left))]))
            left -= len(parts[-1])
    sample = pa.concat_tables(parts) if parts else pa.table({})
    words = FORMATS[manifest.format].words
    return replace(
        manifest, shortcuts=shortcuts(sample, words, manifest.stats["train"].get("labels"))
    )


def shortcuts(
    sample: pa.Table, words: Sequence[str], labels: Mapping[str, int] | None = None
) -> Measured:
    """By kind of rows: how many were tested, chance, and the accuracy of each baseline.

    `sample` are rows of one format, `words` its label words; `labels` counts them in all rows:
    where they are classes and not as many of each, chance is to say the largest always. Kinds of
    too few rows are left out; `overlap` is, where a row has one text. Numbers have three decimals.
    """
    rows = sample.to_pylist()
    texts = Texts(rows)
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    measured: Measured = {}
    for kind, found in sorted(by_kind.items()):
        if len(found) < _LEAST:
            continue
        choices = {frozenset(row["options"]) for row in found}
        told = (_of_options if len(choices) > 1 else _of_classes)(found, texts, words)
        if labels and choices == {frozenset()}:
            told["chance"] = max(labels.values()) / sum(labels.values())
        measured[kind] = {name: round(float(value), 3) for name, value in told.items()}
    return measured


class Texts:
    """The T texts of a sample's rows as arrays. P are the words of each, every one once.

    `number` is each text's; `forms` [T, F] what can be seen of it without reading it. Vectors of
    words are weighted by tf-idf, the idf of these texts, and of unit length.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        found = (text for row in rows for text in (row["text_a"], row["text_b"], *row["options"]))
        texts = [text for text in dict.fromkeys(found) if text is not None]
        self.number = {text: i for i, text in enumerate(texts)}
        words = [_WORDS.findall(text.casefold()) for text in texts]
        numbers: dict[str, int] = {}
        word = np.array([numbers.setdefault(w, len(numbers)) for w in chain(*words)], np.int64)
        text = np.repeat(np.arange(len(texts)), np.array([*map(len, words)], np.int64))
        self._words = max(len(numbers), 1)
        self._keys, counts = np.unique(text * self._words + word, return_counts=True)
        text, self._word = np.divmod(self._keys, self._words)
        self._sizes = np.bincount(text, minlength=len(texts))
        self._starts = np.cumsum(self._sizes) - self._sizes
        uses = np.bincount(self._word, minlength=self._words)
        idf = (np.log((1 + len(texts)) / (1 + uses)) + 1)[self._word]
        weights = counts * idf
        norms = np.bincount(text, weights * weights, minlength=len(texts)) ** 0.5
        self._weights = weights / norms[text]
        rarest = np.zeros(len(texts))
        np.maximum.at(rarest, text, idf)
        mean = np.bincount(text, idf, minlength=len(texts)) / np.maximum(self._sizes, 1)
        self.forms = np.column_stack([self._sizes, mean, rarest, _signs(texts)])

    def overlap(self, ones: Indices, others: Indices) -> Floats:
        """[Q] the cosines of pairs of texts, given by number."""
        sizes = self._sizes[ones]
        pair = np.repeat(np.arange(len(ones)), sizes)
        begin = self._starts[ones] - (np.cumsum(sizes) - sizes)
        mine = begin[pair] + np.arange(len(pair))
        wanted = others[pair] * self._words + self._word[mine]
        theirs = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        shared = self._keys[theirs] == wanted
        products = self._weights[mine[shared]] * self._weights[theirs[shared]]
        return np.bincount(pair[shared], products, minlength=len(ones)).astype(np.float64)


def _signs(texts: Sequence[str]) -> Floats:
    """[T, S] the length of each text, its signs, how it begins and ends."""
    lengths = np.array([*map(len, texts)], np.int64)
    whole = "".join(texts)
    codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), "<u4")
    owner = np.repeat(np.arange(len(texts)), lengths)
    capitals = [ord(sign) for sign in sorted(set(whole)) if sign.isupper()]

    def count(where: Mask) -> Indices:
        return np.bincount(owner[where], minlength=len(texts))

    ends = [
        [text.endswith(sign) for sign in ".?!"]
        + [text[-1:].isalnum(), text[:1].isupper(), text[:1].isalnum()]
        for text in texts
    ]
    return np.column_stack(
        [
            lengths, lengths**0.5, *(count(codes == ord(sign)) for sign in _SIGNS), ends,
            count(np.isin(codes, capitals)) / np.maximum(lengths, 1),
        ]
    )  # fmt: skip


def _of_options(rows: Sequence[Row], texts: Texts, _: Sequence[str]) -> dict[str, float]:
    """Which option is the answer: the likest to the anchor; the best by a probe of forms.

    O options in all. Forms, and how like an option is to the others of its row, are taken as
    deviations from the row's mean, and as how far they are from it on either side.
    """
    counts = np.array([len(row["options"]) for row in rows])
    starts = np.cumsum(counts) - counts
    options = np.array([texts.number[text] for row in rows for text in row["options"]])
    anchors = np.repeat([texts.number[row["text_a"]] for row in rows], counts)
    labels = np.array([row["label"] for row in rows])

    def centred(seen: Floats) -> Floats:
        means = np.add.reduceat(seen, starts) / counts[:, None]
        return np.asarray(seen - np.repeat(means, counts, axis=0))

    def right(scores: Floats) -> float:
        parts = np.split(scores, starts[1:])[1::2]
        return float(np.mean([int(np.argmax(one)) for one in parts] == labels[1::2]))

    seen = centred(np.column_stack([texts.forms[options], _alike(options, counts, texts)]))
    scale = seen.std(axis=0)
    seen = seen / np.where(scale > 0, scale, 1.0)
    seen = np.concatenate([seen, centred(np.abs(seen))], axis=1)
    answers = np.zeros((len(options), 1))
    answers[starts + labels] = 1
    taught = np.repeat(np.arange(len(rows)) % 2 == 0, counts)
    weights = _ridge(seen[taught], centred(answers)[taught])
    return {
        "rows": len(rows[1::2]),
        "chance": float(np.mean(1 / counts[1::2])),
        "overlap": right(texts.overlap(anchors, options)),
        "form": right((seen * weights[:, 0]).sum(axis=1)),
    }


def _alike(options: Indices, counts: Indices, texts: Texts) -> Floats:
    """[O, 2] how like each option is to the others of its row: in sum, and to the likest."""
    starts = np.cumsum(counts) - counts
    places = [np.triu_indices(n, 1) for n in range(counts.max() + 1)]
    one, other = (
        np.concatenate([at + places[n][side] for at, n in zip(starts, counts, strict=True)])
        for side in (0, 1)
    )
    cosines = texts.overlap(options[one], options[other])
    likest = np.zeros(len(options))
    for side in (one, other):
        np.maximum.at(likest, side, cosines)
    both = (np.bincount(side, cosines, minlength=len(options)) for side in (one, other))
    return np.column_stack([sum(both), likest])


def _of_classes(rows: Sequence[Row], texts: Texts, words: Sequence[str]) -> dict[str, float]:
    """Which class a row is of, by probes of its overlap and of the form of one text."""
    asked = [row["text_a"] if row["text_b"] is None else row["text_b"] for row in rows]
    named = [(row["options"] or words)[row["label"]] for row in rows]
    classes = sorted(set(named))
    wanted = np.array([[name == one for one in classes] for name in named], float)
    truth = wanted.argmax(axis=1)[1::2]

    def right(features: Floats) -> float:
        spread = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        features = np.column_stack([np.ones(len(features)), features])
        weights = _ridge(features[::2], wanted[::2])
        scores = (features[1::2, :, None] * weights).sum(axis=1)
        return float((scores.argmax(axis=1) == truth).mean())

    told = {"rows": len(truth), "chance": 1 / len(classes)}
    if rows[0]["text_b"] is not None:
        pairs = [[texts.number[row[name]] for row in rows] for name in ("text_a", "text_b")]
        cosines = texts.overlap(*np.array(pairs))
        told["overlap"] = right(np.column_stack([cosines, cosines**0.5, cosines > 0]))
    return {**told, "form": right(texts.forms[[texts.number[text] for text in asked]])}


def _ridge(features: Floats, wanted: Floats) -> Floats:
    """[F, L] least squares with a penalty; rounded, so that a last digit decides nothing."""
    square = features.T @ features + RIDGE * np.eye(features.shape[1])
    return np.asarray(np.round(np.linalg.solve(square, features.T @ wanted), 6))
