"""Sentences made fit to stand alone: quotation marks and brackets whole, cuts at a clause's end.

A sentence that opens a quotation which another one closes would tell that they are neighbours.
"""

import re

from ppt.base.text import SHORTEST_CUT, content_key, cut

ENDS = ".!?…。！？ "
"""Signs at the end of a sentence, which an option that is cut lacks."""

_PAIRS = {
    "(": ")", "[": "]", "{": "}", "“": "”", "«": "»", "「": "」", "『": "』", "（": "）", "《": "》"
}  # fmt: skip
_ASCII = '"()[]{}'
_MARKS = re.compile("[" + re.escape('"' + "".join([*_PAIRS, *_PAIRS.values()])) + "]")
_SPARED = re.compile(r"\(?\b\w{1,3}\)|[:;=8]-?[()]|„[^“”]*“")
"""What is no bracket: the marker of a list, a face; a German quotation ends as others begin."""

_STOPS, _WIDE_STOPS = (", ", "; ", ": ", " - ", " -- "), (" – ", " — ", "—", "，", "；", "：", "、")


def has_marks(text: str) -> bool:
    """Whether there is a quotation mark or a bracket in it."""
    if text.isascii():
        return any(mark in text for mark in _ASCII)
    return _MARKS.search(text) is not None


def whole(text: str) -> str:
    """The text without the quotation marks and brackets that lack the other one of their pair."""
    spared = {i for found in _SPARED.finditer(text) for i in range(*found.span())}
    opened: list[int] = []
    alone: set[int] = set()
    straight: list[int] = []
    for found in _MARKS.finditer(text):
        i, mark = found.start(), found[0]
        if i in spared:
            continue
        if mark == '"':
            straight.append(i)
        elif mark in _PAIRS:
            opened.append(i)
        else:
            mates = [n for n, at in enumerate(opened) if _PAIRS[text[at]] == mark]
            alone.update(opened[mates[-1] + 1 :] if mates else [i])
            del opened[mates[-1] if mates else len(opened) :]
    alone.update(opened)
    if len(straight) % 2:
        alone.add(_odd_one(text, straight))
    return "".join(sign for i, sign in enumerate(text) if i not in alone) if alone else text


def _odd_one(text: str, places: list[int]) -> int:
    """Of an odd number of straight marks the one that pairs with none."""
    is_open = False
    for i in places:
        opens = i == 0 or text[i - 1] in " (["
        if opens == is_open:
            return places[places.index(i) - 1] if is_open else i
        is_open = opens
    return places[-1]


def clause(text: str, limit: int) -> str:
    """At most `limit` characters: up to the last clause that fits, else up to a word.

    Never so few that what makes it unlike all others of its pool (`content_key`) is lost.
    """
    words = cut(text, limit)
    if words == text:
        return text
    stops = _STOPS if words.isascii() else _STOPS + _WIDE_STOPS
    end = max(words.rfind(stop, limit // 2) for stop in stops)
    if end < 0:
        return words
    shorter = words[:end]
    safe = end >= SHORTEST_CUT or content_key(shorter) == content_key(words)
    return shorter if safe else words
