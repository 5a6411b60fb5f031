"""Sentences of scripts whose stops are their own.

Chinese and Japanese put no spaces between words. Their own full stops end a sentence wherever
they stand. A half-width stop does so where its neighbours are of such a script: "3.5",
"Node.js" and "a?b=1" go on. Closing quotes and brackets behind a stop belong to the sentence;
a straight quote closes where one is open.

Of others (`split_stops`) a danda, Urdu's full stop or their like ends a sentence wherever it
stands, and periods do so only in texts that have none of these: in Hindi they abbreviate.
"""

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from ppt.base.text import folded

_WIDE = (
    r"\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Han, kana and half-width kana, as a class of characters."""

_CLOSING = "」』”’）》】〉〕〗｝］｣»)]}"
_OPENING = "「『“‘（《【〈〔〖｛［｢«(["
_OWN_STOPS = frozenset("。｡！？；…")

_STOPS = re.compile(r"[。｡．！？；…!?;.]+")
_IS_WIDE = re.compile(f"[{_WIDE}]")
_HIRAGANA = re.compile(r"[\u3041-\u309f]")
_BEHIND = re.compile(r"[\"'\s" + re.escape(_CLOSING) + "]*(.?)")
_STRAIGHT = {'"': re.compile('"'), "'": re.compile(r"(?<![A-Za-z])'|'(?![A-Za-z])")}
"""Straight quotes; an apostrophe within a word is none."""


def _split(text: str, *, goes_on_after_quotes: bool) -> list[str]:
    """Sentences; white space folded, none empty. Line ends part them too."""
    return folded(
        line[start:stop]
        for line in text.split("\n")
        for start, stop in _spans(line, goes_on_after_quotes)
    )


split_chinese = partial(_split, goes_on_after_quotes=False)
"""Split after 。！？；… and half-width stops, with the closing signs behind them."""

split_japanese = partial(_split, goes_on_after_quotes=True)
"""The same, but 「走れ。」と言った is one sentence: a particle goes on after a quotation."""


FULL_STOPS = "।॥۔։።။។"
"""Those of Devanagari and its kin, Urdu, Armenian, Ethiopic, Burmese and Khmer."""

_BEHIND_STOPS = rf"[\"'{re.escape(_CLOSING)}]*+"
_ASKED = rf"(?<![!?؟፧…])[!?؟፧…]++{_BEHIND_STOPS}(?=\s|$)"
_PERIODS = rf"(?<!\.)(?<!\b\w)\.++{_BEHIND_STOPS}(?=\s|$)"
"""A period behind a single letter is of an abbreviation, as in Arabic "د."."""

_OWN_ENDS = re.compile(rf"[{FULL_STOPS}]++{_BEHIND_STOPS}|{_ASKED}")
_ENDS = re.compile(rf"{_ASKED}|{_PERIODS}")
_PARAGRAPHS = re.compile(r"\n\s*\n")


def split_stops(text: str) -> list[str]:
    """Split after the stops of scripts with spaces and without capitals, such as Devanagari's.

    Closing signs stay with the sentence; blank lines part sentences too.
    """
    ends = _OWN_ENDS if any(map(text.__contains__, FULL_STOPS)) else _ENDS
    return folded(
        part[start:stop]
        for part in _PARAGRAPHS.split(text)
        for start, stop in pairwise([0, *(end.end() for end in ends.finditer(part)), len(part)])
    )


def _spans(line: str, goes_on_after_quotes: bool) -> Iterator[tuple[int, int]]:
    start = seen = 0
    is_open = dict.fromkeys(_STRAIGHT, False)
    for stops in _STOPS.finditer(line):
        stop = stops.end()
        for sign, pattern in _STRAIGHT.items():
            is_open[sign] ^= sum(1 for _ in pattern.finditer(line, seen, stop)) % 2 == 1
        seen = stop
        if not _ends(line, stops):
            continue
        while stop < len(line) and (line[stop] in _CLOSING or is_open.get(line[stop])):
            if line[stop] in is_open:
                is_open[line[stop]] = False
            stop += 1
        quoted = stop > seen
        seen = stop
        if not (goes_on_after_quotes and quoted and _HIRAGANA.match(line, stop)):
            yield start, stop
            start = stop
    yield start, len(line)


def _ends(line: str, stops: "re.Match[str]") -> bool:
    """Whether a run of stops ends a sentence here."""
    run, before = stops[0], line[max(stops.start() - 1, 0) : stops.start()]
    if not _OWN_STOPS.isdisjoint(run):
        return True
    follows = _BEHIND.match(line, stops.end())
    after = follows[1] if follows else ""
    is_near = bool(before) and (before in _CLOSING or _IS_WIDE.match(before) is not None)
    goes_wide = _IS_WIDE.match(after) is not None
    if not run.strip(".．"):
        return is_near and (not after or goes_wide or after in _OPENING)
    return is_near or (goes_wide and run.strip(";") != "")
