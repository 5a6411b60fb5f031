"""The words of many texts at once, as arrays of hashes: what shingles and n-grams are made of.

A word is a run of letters, marks and digits of any script, case aside; of scripts that write
no spaces each sign is a word. A hash is the polynomial of the signs' numbers modulo 2^64,
mixed: equal on every machine.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits, Indices
from ppt.base.streams import mix

_BASE = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1 << 19
"""Characters hashed at a time: some tens of bytes are held for each."""

_KNOWN = 0x30000
"""Signs from here on are no words: none is assigned that would be."""

_ALONE = np.uint32(1 << 31)
_SPACELESS = (
    (0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x3040, 0x3100), (0x3400, 0xA000),
    (0xF900, 0xFB00), (0x20000, _KNOWN),
)  # fmt: skip
"""Thai and Lao, Myanmar, Khmer, kana, and Han."""

UNSEEN = (
    (0xAD, 0xAE), (0x34F, 0x350), (0x61C, 0x61D), (0x180B, 0x1810), (0x200B, 0x2010),
    (0x202A, 0x202F), (0x2060, 0x2070), (0xFE00, 0xFE10), (0xFEFF, 0xFF00),
)  # fmt: skip
"""What stands in words and is not seen, as a soft hyphen, so that it parts none."""
_GONE = np.uint32(1 << 30)


@dataclass(frozen=True)
class Words:
    """W words of T texts: `hashes` [W] in order; text t has those from `starts[t]` on, [T + 1]."""

    hashes: Bits
    starts: Indices

    @property
    def counts(self) -> Indices:
        """[T] the number of words of each text."""
        return np.diff(self.starts)

    @cached_property
    def texts(self) -> Indices:
        """[W] the number of the text that each word stands in."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def runs(self, length: int) -> tuple[Indices, Bits]:
        """Every run of `length` words within a text: where each starts, and its hash."""
        last = len(self.hashes) - length + 1
        if last <= 0:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        places = np.flatnonzero(self.texts[:last] == self.texts[length - 1 :])
        total = _joined([self.hashes[step : step + last] for step in range(length)])
        return places, mix(total[places])

    def hashed(self, places: Indices, length: int) -> Bits:
        """The hashes of the runs of `length` words that start at `places`."""
        return mix(_joined([self.hashes[places + step] for step in range(length)]))


def _joined(words: Sequence[Bits]) -> Bits:
    """Hashes of runs, not mixed yet, from those of their first words, second words and so on."""
    total = np.full(len(words[0]), len(words), dtype=np.uint64)
    for part in words:
        total *= _BASE
        total += part
    return total


def words_of(texts: Sequence[str]) -> Words:
    """The words of each text, in order."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    firsts = np.append(0, np.cumsum(lengths + 1))
    hashes, places = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start, block in _blocks("\n".join(texts)):
        folded = _signs().take(_codes(block), mode="clip")
        seen = np.flatnonzero(folded != _GONE) if (folded == _GONE).any() else None
        folded = folded if seen is None else folded[seen]
        alone = folded >= _ALONE
        begins = folded != 0
        begins[1:] &= (folded[:-1] == 0) | alone[1:] | alone[:-1]
        found = np.flatnonzero(begins)
        hashes.append(_polynomials(folded, found))
        places.append((found if seen is None else seen[found]) + start)
    starts = np.searchsorted(np.concatenate(places), firsts)
    return Words(np.concatenate(hashes), starts)


def hashes_of(texts: Sequence[str]) -> Bits:
    """[T] a hash of each whole text, sign by sign."""
    found = [np.empty(0, np.uint64)]
    for first in range(0, len(texts), 4096):
        some = texts[first : first + 4096]
        lengths = np.fromiter(map(len, some), dtype=np.int64, count=len(some))
        starts = np.cumsum(lengths + 1) - lengths - 1
        found.append(_polynomials(_codes("\n".join([*some, ""])), starts))
    return np.concatenate(found)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Parts of a text and where they start; none ends within a word, if it has white space."""
    start = 0
    while start < len(text):
        stop = start + _BLOCK
        if stop < len(text):
            space = max(text.rfind(" ", start, stop), text.rfind("\n", start, stop))
            stop = space if space > start else stop
        yield start, text[start:stop]
        start = stop


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _polynomials(signs: NDArray[np.uint32], starts: Indices) -> Bits:
    """The hash of each part of `signs` from one of `starts` to the next. Zeros do not count."""
    if not len(starts):
        return np.empty(0, np.uint64)
    lengths = np.diff(starts, append=len(signs))
    within = np.arange(starts[0], len(signs)) - np.repeat(starts, lengths)
    powers = np.multiply.accumulate(np.full(int(lengths.max()), _BASE, np.uint64))
    return mix(np.add.reduceat(signs[starts[0] :] * powers[within], starts - starts[0]))


@cache
def _signs() -> NDArray[np.uint32]:
    """Code of a sign → that of its lower case; 0 for what stands between words, `_GONE` unseen."""
    signs = np.zeros(_KNOWN, dtype=np.uint32)
    for code in range(_KNOWN - 1):
        sign = chr(code)
        if unicodedata.category(sign)[0] in "LMN":
            signs[code] = ord(sign.lower()[0])
    for first, end in _SPACELESS:
        known = signs[first:end]
        known[known > 0] |= _ALONE
    for first, end in UNSEEN:
        signs[first:end] = _GONE
    return signs
