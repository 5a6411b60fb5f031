"""Normalising text, keys of its content, and the hashing that all randomness comes from.

Nothing here depends on arrival order, worker, time or Python's salted `hash`:
equal input and seed give equal bytes on every machine. Scalars are hashed with
blake2b; arrays of 64-bit words are mixed with the finaliser of SplitMix64
(Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

import hashlib
import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

NEAR_EQUAL_LETTERS = 48
"""Two sentences are near-equal when this many leading letters of theirs agree."""

SHORTEST_CUT = 90
"""No sentence is ever cut to fewer characters than this; content keys look no further."""

_NOT_LETTERS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d")
_ASCII_FOLDED = bytes(range(128)).lower().translate(
    bytes.maketrans(b"123456789", b"000000000")
) + bytes(range(128, 256))
_ASCII_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def normalise(text: str) -> str:
    """NFC, line feeds as line ends, no byte-order mark at the start."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold_whitespace(text: str) -> str:
    """Every run of whitespace becomes one space; none at the ends."""
    # No white space but the space is printable: most sentences need no second look.
    if "  " not in text and text.isprintable():
        return text.strip(" ")
    return " ".join(text.split())


def document_key(text: str) -> bytes:
    """16 bytes that are equal exactly for documents that differ in white space only.

    `text` must be normalised. The key decides split, shard and identity.
    """
    return hashlib.blake2b(fold_whitespace(text).encode(), digest_size=16).digest()


def content_key(sentence: str) -> str:
    """What makes sentences near-equal: their leading letters, case, digits and signs aside.

    Only what the shortest cut leaves is looked at, so two sentences of
    different keys stay different however they are cut.
    """
    start = cut(sentence, SHORTEST_CUT)
    if start.isascii():  # the same in one pass
        letters = start.encode().translate(_ASCII_FOLDED, _ASCII_SIGNS)
        return letters[:NEAR_EQUAL_LETTERS].decode()
    return _DIGITS.sub("0", _NOT_LETTERS.sub("", start.casefold())[:NEAR_EQUAL_LETTERS])


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, ended at a word's end where there is one."""
    if len(text) <= limit:
        return text
    end = text.rfind(" ", 0, limit + 1)
    return text[:end].rstrip() if end > 0 else text[:limit]


def seed_word(seed: int, *parts: bytes | str) -> int:
    """A 64-bit word from a seed and any parts; the root of every random choice."""
    digest = hashlib.blake2b(seed.to_bytes(16, "little", signed=True), digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(4, "little") + data)
    return int.from_bytes(digest.digest(), "little")


def mix(words: Words) -> Words:
    """SplitMix64's finaliser, element by element; a bijection on 64-bit words."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


def stream(words: Words, counter: int | Words) -> Words:
    """Draw number `counter` of the random stream that each word starts; 64-bit words."""
    steps = np.atleast_1d(np.asarray(counter, dtype=np.uint64)) + np.uint64(1)
    return mix(words + steps * _GOLDEN)


def below(words: Words, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map random words to integers in [0, bound); 0 where the bound is below 1.

    The top 32 bits are scaled (Lemire 2019, without rejection): for bounds under
    2^20, as here, each value's share is off by less than one part in 4,000.
    """
    high = (words >> np.uint64(32)).astype(np.uint64)
    limit = np.maximum(bounds, 1).astype(np.uint64)
    return ((high * limit) >> np.uint64(32)).astype(np.int64)


def uniform(words: Words) -> NDArray[np.float64]:
    """Map random words to floats in [0, 1) with 53 random bits."""
    return (words >> np.uint64(11)).astype(np.float64) / 2.0**53
