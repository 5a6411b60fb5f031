"""VADER's compound score, many times as fast as the package and equal to the last bit.

`vader_compound` gives the compound score of the package vaderSentiment (Hutto and Gilbert
2014, "VADER: a parsimonious rule-based model for sentiment analysis of social media text").
It reads the package's lexicon, emoji names and word lists, and keeps its oddities: being
equal to the reference is worth more here than being nicer than it.
"""

import functools
import math
import re
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, resources

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def vader_compound(sentences: Sequence[str]) -> Floats:
    """VADER's compound score of each sentence, in [-1, 1], rounded to 4 digits: [N]."""
    score = _vader().compound
    return np.fromiter(map(score, sentences), np.float64, len(sentences))


# VADER's numbers, as the package has them. A *booster* ("very", "barely") strengthens or
# weakens the lexicon words that follow it.
_NEGATED = -0.74
_STRESSED = 1.25  # "never so good"
_SHOUTED = 0.733
_FADING = (1.0, 0.95, 0.9)  # what is left of a booster one, two and three words on
_BEFORE_BUT, _AFTER_BUT = 0.5, 1.5
_EXCLAIMED = tuple(0.292 * marks for marks in range(5))
_ASKED = (0.0, 0.0, 0.18 * 2, 0.18 * 3, 0.96)
_ALPHA = 15
_REACH = len(_FADING)
_LONGEST_EMOTICON = 2  # letters; a token with no more keeps the signs around them
_SECOND_PLANE = "\U00010000"
_STRESSING = frozenset({"so", "this"})

# Where a phrase may stand around a lexicon word at 0; the first idiom found counts.
_IDIOM_SPANS = ((0, 3), (0, 2), (-1, 1), (-2, 1), (-2, 0), (-3, 0), (-3, -1))
_BOOSTER_SPANS = ((-3, 0), (-3, -1), (-2, 0))


@dataclass(frozen=True, slots=True)
class _Vader:
    """The lexicon and the word lists, all in lower case, with the rules that read them."""

    lexicon: Mapping[str, float]
    boosters: Mapping[str, float]
    negations: frozenset[str]
    idioms: Mapping[str, float]
    phrases: frozenset[str]
    """The longest word of each idiom or booster of several words."""
    shapers: frozenset[str]
    """With none of these near it a lexicon word counts as the lexicon has it."""
    emoji: re.Pattern[str]
    """Finds all emoji, and other signs beyond the first plane."""
    emoji_names: Mapping[str, str]
    """Each with a space before it."""

    def compound(self, text: str) -> float:
        """The compound score of one text; 0 if no word is in the lexicon."""
        if not text.isascii():
            text = self.emoji.sub(lambda match: self.emoji_names.get(match[0], match[0]), text)
        lexicon, signs = self.lexicon, string.punctuation
        lowered = text.lower()
        words = lowered.split()
        hits = []
        for place, token in enumerate(words):
            word = token
            if not token.isalpha():
                stripped = token.strip(signs)
                if len(stripped) > _LONGEST_EMOTICON:
                    words[place] = word = stripped
            if word in lexicon:
                hits.append(place)
        if not hits:
            return 0.0
        if "n't" in lowered:  # every such word negates, just as "not" does
            words = ["not" if "n't" in word else word for word in words]
        values = [self._value(text, words, place) for place in hits]
        if "but" in lowered and "but" in words:
            _shift_to_what_follows(words.index("but"), hits, values)
        total = sum(values)
        if total and ("!" in text or "?" in text):
            marks = _EXCLAIMED[min(text.count("!"), 4)] + _ASKED[min(text.count("?"), 4)]
            total += marks if total > 0 else -marks
        return round(total / math.sqrt(total * total + _ALPHA), 4)

    def _value(self, text: str, words: list[str], place: int) -> float:
        """What the lexicon word at `place` adds to the score, given the words around it."""
        word = words[place]
        if self.shapers.isdisjoint(words[max(place - _REACH, 0) : place + _REACH]):
            value = self.lexicon[word]
            return value + math.copysign(_SHOUTED, value) if _loud(text, word, place) else value
        after = words[place + 1] if place + 1 < len(words) else ""
        if word == "kind" and after == "of":
            return 0.0
        before = words[max(place - _REACH, 0) : place][::-1]
        value = self._beside_no(word, before, after)
        if _loud(text, word, place):
            value += _SHOUTED if value > 0 else -_SHOUTED
        for step, other in enumerate(before):
            if other in self.lexicon:
                continue
            if other in self.boosters:
                boost = self.boosters[other] if value >= 0 else -self.boosters[other]
                if _loud(text, other, place - step - 1):
                    boost += _SHOUTED if value > 0 else -_SHOUTED
                value += boost * _FADING[step]
            value *= self._negation(other, before[:step])
            if step == _REACH - 1:
                value = self._phrase(words, place, value)
        if before[:1] == ["least"] and before[1:2] not in (["at"], ["very"]):
            value *= _NEGATED
        return value

    def _beside_no(self, word: str, before: list[str], after: str) -> float:
        """The value of `word`, turned round after "no"; a "no" that does that has none itself."""
        value = self.lexicon[word]
        if "no" in before[:2] or (before[2:] == ["no"] and before[0] in ("or", "nor")):
            return value * _NEGATED
        return 0.0 if word == "no" and after in self.lexicon else value

    def _negation(self, word: str, between: list[str]) -> float:
        """The factor that `word` puts on a lexicon word; `between` runs back to it from there."""
        if len(between) == _REACH - 1 and between[0] in _STRESSING:
            return _STRESSED  # whatever the word is: so the package has it
        if word not in self.negations:
            return 1.0
        if word == "never" and between and between[-1] in _STRESSING:
            return _STRESSED
        return 1.0 if word == "without" and "doubt" in between else _NEGATED

    def _phrase(self, words: list[str], place: int, value: float) -> float:
        """`value`, replaced by that of an idiom around it, and boosted by phrases before it."""
        if self.phrases.isdisjoint(words[place - _REACH : place + _REACH]):
            return value
        for start, stop in _IDIOM_SPANS:
            phrase = " ".join(words[place + start : place + stop])
            if phrase in self.idioms:
                value = self.idioms[phrase]
                break
        for start, stop in _BOOSTER_SPANS:
            value += self.boosters.get(" ".join(words[place + start : place + stop]), 0.0)
        return value


def _loud(text: str, word: str, place: int) -> bool:
    """Whether `word`, token `place` of `text`, stands out by its capitals."""
    # The first test is the cheap one and seldom true. Words with a value are ASCII, and the one
    # capital outside ASCII that they can hide is the Kelvin sign.
    return (word.upper() in text or "\u212a" in text) and _capitals(text)[place]


@functools.lru_cache(maxsize=1)
def _capitals(text: str) -> list[bool]:
    """Which tokens are all capitals; where all of them are, none stands out."""
    capitals = list(map(str.isupper, text.split()))
    return capitals if False in capitals else [False] * len(capitals)


def _shift_to_what_follows(but: int, hits: list[int], values: list[float]) -> None:
    """Weaken, in place, what stands before "but" and strengthen what stands after it.

    As in the package, the change falls on the first of equal values, wherever
    that stands.
    """
    for value in values:
        first = values.index(value)
        values[first] = value * (_BEFORE_BUT if hits[first] < but else _AFTER_BUT)


@functools.cache
def _vader() -> _Vader:
    """Read the installed package's lexicon, emoji names and word lists, once a process."""
    rules = import_module("vaderSentiment.vaderSentiment")
    boosters: dict[str, float] = rules.BOOSTER_DICT
    negations = frozenset(rules.NEGATE)
    # No token has a space: so one idiom, "badass", and a few lexicon entries are never met.
    idioms = {phrase: value for phrase, value in rules.SPECIAL_CASES.items() if " " in phrase}
    lexicon = {
        word: float(value) for word, value in _columns("vader_lexicon.txt") if " " not in word
    }
    phrases = frozenset(
        max(phrase.split(), key=len) for phrase in (*idioms, *boosters) if " " in phrase
    )
    # The package names single characters only.
    emoji_names = {
        sign: f" {name}" for sign, name in _columns("emoji_utf8_lexicon.txt") if len(sign) == 1
    }
    # Signs of the first plane have a table in a pattern; others are compared one by one.
    table = re.escape("".join(sign for sign in emoji_names if sign < _SECOND_PLANE))
    # The rules above lean on these laws of the data.
    assert all(word.isascii() for word in lexicon if word.islower()), "a word outside ASCII"
    assert not lexicon.keys() & (boosters.keys() | negations), "a modifier has a value of its own"
    assert not any("n't" in word for word in (*lexicon, *boosters, *idioms)), "n't is not free"
    assert "not" in negations
    return _Vader(
        lexicon=lexicon,
        boosters=boosters,
        negations=negations,
        idioms=idioms,
        phrases=phrases,
        shapers=phrases | negations | boosters.keys() | _STRESSING | {"no", "least", "kind"},
        emoji=re.compile(f"[{table}{_SECOND_PLANE}-{chr(sys.maxunicode)}]"),
        emoji_names=emoji_names,
    )


def _columns(name: str) -> list[tuple[str, str]]:
    """The first two columns of a data file of the package."""
    text = resources.files("vaderSentiment").joinpath(name).read_text("utf-8")
    rows = (line.strip().split("\t") for line in text.split("\n") if line)
    return [(row[0], row[1]) for row in rows]
