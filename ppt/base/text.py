"""Normalising text, and keys of its content; the same on every machine."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

NEAR_EQUAL_LETTERS = 48
"""Two sentences are near-equal when this many leading letters of theirs agree."""

SHORTEST_CUT = 90
"""No sentence is ever cut to fewer characters than this; content keys look no further."""


class _Kept(dict[int, str | None]):
    """Character → what a content key keeps of it; filled as characters are met.

    Vowel signs of Devanagari or Thai are marks to Unicode, but letters to their readers.
    """

    def __missing__(self, code: int) -> str | None:
        sign = chr(code)
        is_mark = unicodedata.category(sign) in ("Mn", "Mc") and not 0xFE00 <= code <= 0xFE0F
        kept = ("0" if sign.isdecimal() else sign) if sign.isalnum() or is_mark else None
        self[code] = kept
        return kept


_KEPT = _Kept()
_ASCII_FOLDED = bytes(range(128)).lower().translate(
    bytes.maketrans(b"123456789", b"000000000")
) + bytes(range(128, 256))
_ASCII_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())
_SIGNS_IN_LINES = _ASCII_SIGNS.replace(b"\n", b"")
_TYPOGRAPHIC = "‘’“”–—…"
"""The signs outside ASCII that most texts have, if any."""

_SEPARATORS = bytes(range(0x1C, 0x20))
_COMMON = bytes(code for code in range(128) if code not in _SEPARATORS)
_SPACED = b"".join(b" " if chr(code).isspace() else bytes([code]) for code in range(128)) + bytes(
    range(128, 256)
)
_WHITE_SPACE = re.compile(r"\s")

_STEP = 32
_NO_WORD = r"[^\w\s\0-\u02ff]"
_RUN_IN_SAMPLE, _RUN = re.compile(_NO_WORD + "{8}"), re.compile(_NO_WORD + f"{{{8 * _STEP},}}")
"""All combining marks are among these signs."""


def normalise(text: str) -> str:
    """NFC, line feeds as line ends, two between Unicode's paragraphs, no byte-order mark at the
    start.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n")
    if _RUN_IN_SAMPLE.search(text[::_STEP]):
        text = _RUN.sub(_in_canonical_order, text)
    return unicodedata.normalize("NFC", text)


def _in_canonical_order(run: "re.Match[str]") -> str:
    """Combining marks, decomposed and sorted as NFC wants them: Python's own sort of them is
    quadratic, so that a letter with a million marks took hours.
    """
    signs = (sign for whole in run[0] for sign in unicodedata.normalize("NFD", whole))
    parts = groupby(signs, key=lambda sign: unicodedata.combining(sign) > 0)
    return "".join("".join(sorted(marks, key=unicodedata.combining)) for _, marks in parts)


def fold_whitespace(text: str) -> str:
    """Every run of whitespace becomes one space; none at the ends."""
    # No white space but the space is printable: most sentences need no second look.
    if "  " not in text and text.isprintable():
        return text.strip(" ")
    return " ".join(text.split())


def folded(parts: Iterable[str]) -> list[str]:
    """The parts that are not blank, their white space folded."""
    return [text for part in parts if (text := fold_whitespace(part))]


def shortened(text: str, limit: int) -> str:
    """The text, or its two ends where it is longer than `limit` characters."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} […] {text[-half:]}"


def in_parts(text: str, most: int) -> Iterator[str]:
    """The text in parts of up to `most` characters, each but the first from a space on.

    So words stay whole; where there is no space, they do not.
    """
    start = 0
    while len(text) - start > most:
        space = text.rfind(" ", start + 1, start + most)
        end = start + most if space < 0 else space
        yield text[start:end]
        start = end
    yield text[start:]


def has_uncommon_space(text: str) -> bool:
    """Whether there is white space outside ASCII, or one of ASCII's four separators.

    Nearly all text goes before it is looked at: that takes a third of the time of a search.
    """
    signs = text.encode("utf-8", "surrogatepass").translate(None, _COMMON)
    return bool(signs and _WHITE_SPACE.search(signs.decode("utf-8", "surrogatepass")))


def document_key(text: str) -> bytes:
    """16 bytes that are equal exactly for documents that differ in white space only.

    `text` must be normalised. The key decides split, shard and identity.
    """
    if has_uncommon_space(text):
        folded = fold_whitespace(text).encode()
    else:  # the same, without a string a word
        signs = np.frombuffer(text.encode().translate(_SPACED), np.uint8)
        spaces = signs == ord(" ")
        folded = np.delete(signs, np.flatnonzero(spaces[1:] & spaces[:-1])).tobytes().strip(b" ")
    return hashlib.blake2b(folded, digest_size=16).digest()


def document_number(key: bytes) -> int:
    """The first 64 bits of a document's key: its name where an integer must do."""
    return int.from_bytes(key[:8], "big")


def content_key(sentence: str) -> str:
    """What makes sentences near-equal: their leading letters, case, digits and signs aside.

    Only what the shortest cut leaves is looked at, so two sentences of
    different keys stay different however they are cut.
    """
    start = cut(sentence, SHORTEST_CUT)
    if start.isascii():  # the same in one pass
        letters = start.encode().translate(_ASCII_FOLDED, _ASCII_SIGNS)
        return letters[:NEAR_EQUAL_LETTERS].decode()
    return start.casefold().translate(_KEPT)[:NEAR_EQUAL_LETTERS]


def content_keys(sentences: Sequence[str]) -> list[str]:
    """The content key of each of a document's sentences, in few passes over all of them."""
    lines = "\n".join([s if len(s) <= SHORTEST_CUT else cut(s, SHORTEST_CUT) for s in sentences])
    if lines.count("\n") != len(sentences) - 1:  # one of them has a line feed
        return [content_key(sentence) for sentence in sentences]
    if not lines.isascii():
        for sign in _TYPOGRAPHIC:
            lines = lines.replace(sign, "")
    letters = lines.encode("ascii", "ignore").translate(_ASCII_FOLDED, _SIGNS_IN_LINES).decode()
    keys = [line[:NEAR_EQUAL_LETTERS] for line in letters.split("\n")]
    if not lines.isascii():
        for i, line in enumerate(lines.split("\n")):
            if not line.isascii():
                keys[i] = content_key(sentences[i])
    return keys


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, ended at a word's end.

    A text that has none in the second half of these, as Chinese has not, is cut between two
    letters or emoji, what belongs to them left with them.
    """
    if len(text) <= limit:
        return text
    end = text.rfind(" ", (limit + 1) // 2, limit + 1)
    if end > 0:
        return text[:end].rstrip()
    end = limit
    while end > limit // 2 and _goes_on(text[end - 1], text[end]):
        end -= 1
    return text[:end]


def _goes_on(before: str, sign: str) -> bool:
    """Whether a sign is one with what stands before it: a mark, or a part of an emoji."""
    joined = "\u200d" in (before, sign) or "\U0001f3fb" <= sign <= "\U0001f3ff"
    return joined or unicodedata.category(sign)[0] == "M"
