"""Punkt's decisions, exactly as NLTK takes them, at the speed of a regex scan.

Punkt (Kiss and Strunk 2006, "Unsupervised Multilingual Sentence Boundary
Detection", Computational Linguistics 32:485-525) decides whether a period ends
a sentence from abbreviations, collocations, sentence starters and habits of
upper case that it has learned from plain text. NLTK makes token objects around
every candidate, which is nearly all of its cost. This module remembers what it
found out about a word: after most words a period always ends the sentence, so
that one look into a cache decides: a tenth of NLTK's CPU seconds.

NLTK 3.10 is the oracle in the tests. It is imported here only where engines may
not agree what is a digit or a letter, as its import takes 0.3 s.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from ppt.base.text import fold_whitespace, has_uncommon_space

REMEMBERED_WORDS = 1 << 15
"""Bound of each of a splitter's two caches; 45 MB of novels have 32,000 words before a period."""

# White space is spelled out: NLTK's regex engine means this by `\s`, while
# Python's `\s` and str.strip() also have the separators \x1c to \x1f.
_RARE_SPACES = "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE = rf"[ \t-\r{_RARE_SPACES}]"
_SOLID = rf"[^ \t-\r{_RARE_SPACES}]"

# A token is a run of dots or dashes, or a word up to white space or a sign, or one character.
_SIGN = r"""[)";}\]*:@'({\[‘’“”«»?!]"""
_RUN = rf"(?:-{{2,}}|\.{{2,}}|(?:\.{_SPACE}){{2,}}\.)"
_WORD_END = rf"(?=,?(?:\Z|{_SPACE}|{_SIGN}|{_RUN}))"
_TOKEN = re.compile(rf"""{_RUN}|(?=[^("`{{\[:;&#*@)}}\]\-,]){_SOLID}+?{_WORD_END}|{_SOLID}""")
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*\Z", re.ASCII)

_CANDIDATE = re.compile(rf"\.(?:{_SPACE}+(?={_SOLID})|(?=\.|{_SIGN}))")
"""For text whose "?" and "!" are periods too: one letter is found many times as fast as three."""

_SOLID_RUN = re.compile(rf"{_SOLID}+")
_CLOSING_SIGNS = frozenset("\"')]}‘’“”«»")
_CLOSING = re.compile(rf"""(["')\]}}‘’“”«»]+)(?:{_SPACE}+|(?=--)|\Z)""")

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")

# How a word was met in training: at the beginning or in the middle of a sentence
# or at an unclear place, in upper or lower case. These bits stand in NLTK's files.
MIDDLE_UPPER = 1 << 2
UPPER = 1 << 1 | MIDDLE_UPPER | 1 << 3
BEGINNING_LOWER = 1 << 4
LOWER = BEGINNING_LOWER | 1 << 5 | 1 << 6


@dataclass
class PunktParameters:
    """What Punkt has learned. The fields are NLTK's, so either's object serves the other."""

    abbrev_types: set[str] = field(default_factory=set)
    collocations: set[tuple[str, str]] = field(default_factory=set)
    sent_starters: set[str] = field(default_factory=set)
    ortho_context: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


def _is_plain(sign: str) -> bool:
    """Whether all engines agree that a sign is no digit, and whether it is a letter."""
    marks = ("Pd", "Ps", "Pe", "Pi", "Pf", "Po")
    return sign.isascii() or sign.isalpha() or unicodedata.category(sign) in marks


class _Token(NamedTuple):
    """A token as Punkt's first pass sees it, which knows no neighbours."""

    text: str
    stem: str
    """The type (lower case; all numbers are one) without a final period."""
    word: str
    """The type, without its final period where that seems to end a sentence."""
    ends: bool
    """Whether it ends a sentence at first sight."""
    shortened: bool
    """An abbreviation or an ellipsis, and no initial."""
    initial: bool


class PunktSplitter:
    """Splits by Punkt, paragraph by paragraph; within one the boundaries are exactly NLTK's.

    Blank lines part paragraphs, so that a heading is not glued to the sentence
    after it. Safe to reuse; pickles as its parameters, without what it remembers.
    """

    def __init__(self, parameters: PunktParameters) -> None:
        self.parameters = parameters
        self._partners: dict[str, set[str]] = {}
        for first, second in parameters.collocations:
            self._partners.setdefault(first, set()).add(second)
        self._ending = lru_cache(REMEMBERED_WORDS)(self._find_ending)
        self._follower = lru_cache(REMEMBERED_WORDS)(self._find_follower)

    def __reduce__(self) -> tuple[type["PunktSplitter"], tuple[PunktParameters]]:
        return PunktSplitter, (self.parameters,)

    def __call__(self, text: str) -> list[str]:
        """The sentences of normalised `text` in order, white space folded, none empty."""
        flat = _Flat.of(text)
        sentences = []
        for begin, end in _paragraphs(text):
            for start, stop in self._spans(flat, begin, end):
                sentence = flat.text[start:stop].strip(" ")
                if "  " in sentence or not flat.ordinary:
                    sentence = fold_whitespace(sentence)
                if sentence:
                    sentences.append(sentence)
        return sentences

    def spans(self, text: str) -> list[tuple[int, int]]:
        """(start, stop) of each sentence of `text` taken as one paragraph, in characters: NLTK's
        `span_tokenize`, faster.
        """
        return self._spans(_Flat.of(text), 0, len(text))

    def _spans(self, flat: "_Flat", begin: int, end: int) -> list[tuple[int, int]]:
        """The same of the paragraph from `begin` to `end`."""
        text, spans = flat.text, []
        start = low = begin
        stop = 0  # of a sentence that signs from `low` on may make longer
        last = begin + len(text[begin:end].rstrip())
        for high, follower in chain(self._breaks(flat, begin, end), ((last, end),)):
            if stop:
                # Quotes and brackets that close at the start of a sentence belong to the last one.
                closing = _CLOSING.match(text, low, high)
                spans.append((start, closing.end(1) if closing else stop))
                start, stop = closing.end() if closing else low, 0
            if follower < end and text[follower] in _CLOSING_SIGNS:
                stop, low = high, follower
            elif start < high:
                spans.append((start, high))
                start = follower
        return spans

    def _breaks(self, flat: "_Flat", begin: int, end: int) -> Iterator[tuple[int, int]]:
        """(end, start of what follows) for every sentence but the last."""
        text = flat.text
        for word, sign, follower in _candidates(flat, begin, end):
            ending = self._ending(text[word : sign + 1]) if text[sign] == "." else None
            if ending is None and flat.ordinary:
                yield sign + 1, follower
                continue
            after = _next_word(text, sign, follower, end)
            context = flat.original[word:follower] + after
            if has_uncommon_space(context):  # a token may reach over it, or be nothing but it
                lines = (line for line in context.split("\n") if line.strip())
                found = self._holds_break([t for line in lines for t in _TOKEN.findall(line)])
            else:
                found = ending is None or self._is_break_before(ending, after)
            if found:
                yield sign + 1, follower

    def _find_ending(self, word: str) -> _Token | None:
        """The last token of `word`, which ends in a period; None if that always ends a sentence."""
        tokens = _TOKEN.findall(word)
        token = self._look_at(tokens[-1])
        doubtful = token.shortened or token.initial or token.stem == "##number##"
        sure = token.ends and not doubtful and token.stem not in self._partners
        return None if sure or self._holds_break(tokens) else token

    def _find_follower(self, word: str) -> tuple[_Token, bool]:
        """The first token of `word`, and whether a later place in `word` ends a sentence."""
        tokens = _TOKEN.findall(word)
        return self._look_at(tokens[0]), self._holds_break(tokens)

    def _is_break_before(self, ending: _Token, word: str) -> bool:
        """As NLTK, take a sentence's end within `word` ("Mr. Who?)") for one before it."""
        token, breaks_later = self._follower(word)
        return breaks_later or self._is_break(ending, token)

    def _holds_break(self, tokens: list[str]) -> bool:
        """Whether a token other than the last ends a sentence."""
        return any(self._is_break(a, b) for a, b in pairwise(map(self._look_at, tokens)))

    def _look_at(self, text: str) -> _Token:
        """Punkt's first pass: what the type of a token alone tells (section 3 of the paper)."""
        if text.isascii() or all(map(_is_plain, text)):
            kind = "##number##" if _NUMBER.match(text) else text.lower()
            initial = len(text) == 2 and text[1] == "." and (text[0].isalpha() or text[0] == "_")
        else:
            # Which are digits and letters depends on the Unicode of NLTK's regex engine.
            from nltk.tokenize.punkt import PunktToken

            token = PunktToken(text)
            kind, initial = token.type, token.is_initial is not None
        stem = kind[:-1] if kind.endswith(".") and len(kind) > 1 else kind
        shortened, ends = False, text in {".", "?", "!"}
        if text.endswith(".") and not ends:
            before = text[:-1].lower()
            known = self.parameters.abbrev_types
            ellipsis = before.endswith(".")
            shortened = ellipsis or before in known or before.rpartition("-")[2] in known
            ends = not shortened
        word = stem if ends else kind
        return _Token(text, stem, word, ends, shortened and not initial, initial)

    def _is_break(self, token: _Token, after: _Token) -> bool:
        """Punkt's second pass: whether a sentence ends between neighbours (section 4)."""
        if not token.text.endswith("."):
            return token.ends
        if after.word in self._partners.get(token.stem, ()):
            return False
        upper = after.text[0].isupper()
        if token.shortened:
            starter = upper and after.word in self.parameters.sent_starters
            if starter or self._starts_by_case(after):
                return True
        if token.initial or token.stem == "##number##":
            starts = self._starts_by_case(after)
            # After an initial comes a name: a word that was never met in lower case.
            name = token.initial and upper and not self._habits(after) & LOWER
            if starts is False or (starts is None and name):
                return False
        return token.ends

    def _starts_by_case(self, token: _Token) -> bool | None:
        """Whether the case of the token tells that it starts a sentence; None if unclear."""
        if token.text in {",", ";", ":", ".", "?", "!"}:
            return False
        habits = self._habits(token)
        if token.text[0].isupper() and habits & LOWER and not habits & MIDDLE_UPPER:
            return True
        if token.text[0].islower() and (habits & UPPER or not habits & BEGINNING_LOWER):
            return False
        return None

    def _habits(self, token: _Token) -> int:
        return self.parameters.ortho_context.get(token.word, 0)


class _Flat(NamedTuple):
    """A text as it is searched; a sign is at the same place in all three."""

    original: str
    text: str
    """Without other ASCII white space than " "."""
    dots: str
    """With periods for "?" and "!" too."""
    ordinary: bool
    """Whether " " is all the white space that `text` has."""

    @classmethod
    def of(cls, original: str) -> "_Flat":
        """Look at a text."""
        text = original
        for space in "\n\t\r\v\f":
            text = text.replace(space, " ")
        dots = text.replace("?", ".").replace("!", ".")
        return cls(original, text, dots, not has_uncommon_space(text))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of what blank lines part."""
    begin = 0
    for start, stop in map(re.Match.span, _PARAGRAPH_BREAK.finditer(text)):
        yield begin, start
        begin = stop
    yield begin, len(text)


def _candidates(flat: _Flat, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(start of its word, index of its sign, start of what follows) of each candidate.

    As in NLTK, of the candidates in one run without spaces the last one counts, and
    the first if nothing stands before it.
    """
    text = flat.text
    word, sign, follower = begin, begin, 0
    found = map(re.Match.span, _CANDIDATE.finditer(flat.dots, begin, end))
    for next_sign, next_follower in chain(found, ((end, end),)):
        if next_follower == next_sign + 1 and text[next_follower] == ".":
            continue  # only "?" and "!" part words
        next_word = text.rfind(" ", sign + 1, next_sign) + 1 or word
        if follower and (sign <= next_word or next_sign == end):
            yield word, sign, follower
        word, sign, follower = next_word, next_sign, next_follower


def _next_word(text: str, sign: int, follower: int, end: int) -> str:
    """What follows a candidate: the sign that touches it, or the run after white space."""
    if follower == sign + 1:
        return text[follower]
    run = _SOLID_RUN.match(text, follower, end)
    assert run is not None, follower
    return run.group()
