"""Sentences made fit to stand alone: quotation marks and brackets whole, cuts at a clause's end.

A sentence that opens a quotation which another one closes would tell that they are neighbours.
"""

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from ppt.base.text import NEAR_EQUAL_LETTERS, SHORTEST_CUT, content_key, cut, fold_whitespace

ENDS = ".!?…。！？ "
"""Signs at the end of a sentence, which an option that is cut lacks."""

_PAIRS = {
    "(": ")", "[": "]", "{": "}", "“": "”", "„": "“”", "«": "»", "‹": "›", "「": "」", "『": "』",
    "（": "）", "《": "》",
}  # fmt: skip
"""What opens → what closes it: as Germans or as Poles do."""
_BRACKETS = re.compile("[" + re.escape("".join([*_PAIRS, *_PAIRS.values()])) + "]")
_PLAIN = bytes(code for code in range(128) if chr(code) not in ('"', *_PAIRS, *_PAIRS.values()))
"""The bytes of signs that are no marks."""
_SPARED = re.compile(r"\A\(?\w{1,3}\)|[:;=8]-?[()]")
"""What is no bracket: the marker of a list, a face."""

_ELISIONS = (
    r"(?:\d\ds?|[Tt](?:is|was|were|will|would|ain)|[nsdmt]|ll|re|ve|em|er|im|cos|bout|til|neath|"
    r"gainst|mongst|fore)\b"
)
_DOUBTFUL = re.compile(r"(?:is|till|round|cause)\b")
"""Words, or others cut short."""

_QUOTE = re.compile(
    rf"(?P<opens>['‘](?:(?<![^\s(\[\"“].)(?=[^\s'’])|(?<=[—–-].)(?=[\w\"“]))(?!{_ELISIONS}))"
    r"|['’](?![\w'’])"
)
"""A single quotation mark where a word begins, that is none of a word cut short; or an end."""
_SPEAKS = re.compile(r"[.,!?;:…(\[\"“”—–-]\s?\Z")
_SAID = re.compile(r"[.,!?;:…)\]\"”—–-]\Z")

_WIDE_STOPS = (" – ", " — ", "—", "，", "；", "：", "、")


def whole(text: str) -> str:
    """The text without the quotation marks and brackets that lack the other one of their pair."""
    if marks := text.encode("utf-8", "surrogatepass").translate(None, _PLAIN):
        lone = _lone_marks(marks)
        if lone is None:
            text = _mended(text)
        elif lone:
            for mark in lone:
                text = text.replace(mark, "")
            text = fold_whitespace(text)
    edged = "'" in text and (" '" in text or "' " in text or "'" in (text[0], text[-1]))
    if edged or "‘" in text or text.endswith("’"):
        return _without(text, _lone_singles(text))
    return text


@lru_cache(1 << 12)
def _lone_marks(marks: bytes) -> str | None:
    """Which of a text's marks never pair, given these and its other signs outside ASCII; None
    where it must be looked at: some of a kind pair, or may be spared. Most texts have few.
    """
    text = marks.decode("utf-8", "surrogatepass")
    alone = _unpaired(text)
    lone = {text[i] for i in alone}
    if text.count('"') % 2 or (alone and ("(" in text or ")" in text)):
        return None
    return "".join(sorted(lone)) if sum(map(text.count, lone)) == len(alone) else None


def _mended(text: str) -> str:
    alone = _unpaired(text)
    if alone:
        found = _SPARED.finditer(text)
        alone = _unpaired(text, frozenset(i for one in found for i in range(*one.span())))
    if text.count('"') % 2:
        alone.append(_odd_one(text))
    return _mended(_without(text, alone)) if alone else text


def _without(text: str, places: list[int]) -> str:
    ends = [-1, *sorted(places), len(text)]
    return " ".join("".join(text[a + 1 : b] for a, b in pairwise(ends)).split()) if places else text


def _lone_singles(text: str) -> list[int]:
    """The places of single quotation marks, straight or not, that pair with none.

    Apostrophes look alike. So what stands amid a clause opens nothing surely ("Miss 'Rema"), nor
    does what ends a word without another sign close ("the dogs' dinner"); either may.
    """
    alone: list[int] = []
    opened, maybe = -1, ""
    for found in _QUOTE.finditer(text):
        i = found.start()
        if found["opens"]:
            speaks = text[i] == "‘" or i == 0 or _SPEAKS.search(text, max(i - 2, 0), i)
            if speaks and not _DOUBTFUL.match(text, i + 1):
                alone += [opened] if opened >= 0 else []
                opened, maybe = i, ""
            elif opened < 0:
                maybe = maybe or "opened"
        elif _SAID.search(text, i - 1, i):
            alone += [i] if opened < 0 and not maybe else []
            opened, maybe = -1, ""
        elif opened >= 0:
            opened, maybe = -1, "closed"
        elif maybe == "opened":
            maybe = ""
    return [*alone, opened] if opened >= 0 else alone


def _odd_one(text: str) -> int:
    """Of an odd number of straight marks the place of the one that pairs with none."""
    at = text.find('"')
    before, is_open = at, False
    while at >= 0:
        if (at == 0 or text[at - 1] in " ([") == is_open:
            return before if is_open else at
        before, is_open, at = at, not is_open, text.find('"', at + 1)
    return before


def _unpaired(text: str, spared: frozenset[int] = frozenset()) -> list[int]:
    """The places of brackets, and of quotation marks of two forms, that pair with none."""
    opened: list[int] = []
    alone: list[int] = []
    awaited = Counter[str]()  # so that what closes nothing looks at nothing
    for found in _BRACKETS.finditer(text):
        i, mark = found.start(), found[0]
        if i in spared:
            continue
        if awaited[mark]:
            while mark not in (closers := _PAIRS[text[at := opened.pop()]]):
                alone.append(at)
                awaited.subtract(closers)
            awaited.subtract(closers)
        elif mark in _PAIRS:
            opened.append(i)
            awaited.update(_PAIRS[mark])
        else:
            alone.append(i)
    return alone + opened


def fitted(text: str, limit: int) -> str:
    """A `whole` sentence as a row shows it, of at most `limit` characters."""
    return text if len(text) <= limit else whole(clause(text, limit))


def clause(text: str, limit: int) -> str:
    """At most `limit` characters: up to the last clause that fits, else up to a word.

    Never so few that what makes it unlike all others of its pool (`content_key`) is lost, nor
    less than half.
    """
    words = cut(text, limit)
    if len(words) == len(text):
        return words
    half = limit // 2
    end = max(words.rfind(", ", half), words.rfind("; ", half), words.rfind(": ", half))
    if not words.isascii():
        end = max(end, *(words.rfind(stop, half) for stop in _WIDE_STOPS))
    if end < 0:
        return words
    shorter = words[:end].rstrip(",;:，；：、–—- ")
    if end < SHORTEST_CUT and len(content_key(shorter)) < NEAR_EQUAL_LETTERS:
        return words
    return shorter
