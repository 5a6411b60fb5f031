"""Decontamination: sentences that share words with rows which a study tests on.

A sentence is excluded if it has 13 words on end that a row has too (Brown et al. 2020,
"Language models are few-shot learners", appendix C); of a row of 8 to 12 words, all of them on
end; a row of fewer words must be the whole sentence. Case and signs aside.
"""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from unicodedata import normalize

import numpy as np

from ppt.base.arrays import Bits, Indices, Mask
from ppt.base.words import UNSEEN, Words, words_of

GRAM_WORDS = 13
WHOLE_WORDS = 8
"""A row of fewer words excludes only the sentence that it is."""

_TREEBANK = re.compile(
    r" (?=n't)|-[lr][crs]b-|(?<=\bcan) (?=not\b)|(?<=\b(?:gon|wan)) (?=na\b)|(?<=\bgot) (?=ta\b)"
    r"|(?<=\b(?:gim|lem)) (?=me\b)|(?<='t) (?=(?:is|was)\b)",
    re.IGNORECASE,
)
"""Treebanks, and SST with them, part "n't" from its verb and "cannot", "gonna" or "'tis" in two,
and write "-lrb-" for a bracket."""

_LETTERS = str.maketrans(
    dict.fromkeys((code for first, end in UNSEEN for code in range(first, end)), "")
    | {
        sign: normalize("NFKC", sign)
        for sign in map(chr, (*range(0xFB00, 0xFB07), *range(0xFF01, 0xFF5F)))
    }
    | {"’": "'", "\u02bc": "'", "ς": "σ"}
)
"""What is not seen; ligatures, other forms of letters."""


@dataclass(frozen=True)
class Excluded:
    """R texts that no sentence may share: `names` [R] say of what and where each stands.

    `grams` [G] are the hashes of their runs of words, sorted; `rows` [G] the text of each;
    `heads` those of all runs of `WHOLE_WORDS`, without one of which no longer run is shared.
    """

    names: Sequence[tuple[str, str]] = ()
    grams: Bits = field(default_factory=lambda: np.empty(0, np.uint64))
    rows: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    heads: Bits = field(default_factory=lambda: np.empty(0, np.uint64))

    @classmethod
    def of(cls, names: Sequence[tuple[str, str]], texts: Sequence[str]) -> "Excluded":
        """Of the texts, and where each stands. Of equal runs the first text's is told."""
        words = _words(texts)
        found = [
            _runs(words, length, longer=length == GRAM_WORDS) for length in range(1, GRAM_WORDS + 1)
        ]
        rows, grams = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.lexsort((rows, grams))
        grams, first = np.unique(grams[order], return_index=True)
        return cls(names, grams, rows[order][first], np.unique(words.runs(WHOLE_WORDS)[1]))

    def __len__(self) -> int:
        return len(self.grams)

    def to_bytes(self) -> bytes:
        """A file's content, for whoever else must know them."""
        names = np.frombuffer(json.dumps(self.names).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, names=names, grams=self.grams, rows=self.rows, heads=self.heads)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Excluded":
        """Read what `to_bytes` gave."""
        found = np.load(io.BytesIO(data))
        arrays = (found[name] for name in ("grams", "rows", "heads"))
        return cls(json.loads(found["names"].tobytes()), *arrays)

    def digest(self, source: str) -> str:
        """A digest of the runs of words of one of the sources."""
        own = np.array([name == source for name, _ in self.names], dtype=np.bool_)
        return hashlib.blake2b(self.grams[own[self.rows]].tobytes(), digest_size=16).hexdigest()

    def hits(self, sentences: Sequence[str]) -> Indices:
        """[S] for each sentence the first row that it shares a run with, or -1."""
        words = _words(sentences)
        places, heads = words.runs(WHOLE_WORDS)
        likely = words.counts < WHOLE_WORDS
        likely[words.texts[places[_among(heads, self.heads)]]] = True
        few = np.flatnonzero(likely)
        words, none = _words([sentences[number] for number in few.tolist()]), len(self.names)
        rows = np.full(len(few), none, dtype=np.int64)
        for length in range(1, GRAM_WORDS + 1):
            sentence, grams = _runs(words, length, longer=length >= WHOLE_WORDS)
            met = _among(grams, self.grams)
            at = np.searchsorted(self.grams, grams[met])
            np.minimum.at(rows, sentence[met], self.rows[at])
        found = np.full(len(sentences), -1, dtype=np.int64)
        found[few] = np.where(rows < none, rows, -1)
        return found


def _among(values: Bits, known: Bits) -> Mask:
    """Which of `values` are in `known`, which are sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=np.bool_)
    found: Mask = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found


def _words(texts: Sequence[str]) -> Words:
    return words_of([_plain(text) for text in texts])


def _plain(text: str) -> str:
    """The text as others would write it, whose row or sentence it may be as well."""
    if not text.isascii():
        text = text.translate(_LETTERS)
    # Most sentences have none of these, which is told sooner than by the pattern.
    may_be = (
        (" n't" in text or "b-" in text or "B-" in text or "an not" in text)
        or ("on na" in text or "an na" in text or "ot ta" in text)
        or ("m me" in text or "'t is" in text or "'t was" in text)
    )
    return _TREEBANK.sub("", text) if may_be else text


def _runs(words: Words, length: int, *, longer: bool) -> tuple[Indices, Bits]:
    """Runs of words, with the numbers of their texts: of those of this length, or `longer`."""
    if longer:
        places, grams = words.runs(length)
        return words.texts[places], grams
    texts = np.flatnonzero(words.counts == length)
    return texts, words.hashed(words.starts[texts], length)
