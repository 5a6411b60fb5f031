"""Quality filters that others published, with the reasons by the names that datatrove gave them.

- ``gopher_quality`` and ``gopher_repetition``: Rae et al. 2021, "Scaling Language Models: Methods,
  Analysis & Insights from Training Gopher", arXiv:2112.11446, appendix A.1.1 and table A1.
- ``c4``: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified
  Text-to-Text Transformer", JMLR 21(140), section 2.2.

They were made for English web pages. Two rules are left out: Gopher's upper bound of 100,000
words, which refuses long novels (documents have --max_document_chars), and C4's list of bad
words. A line is what ends at a line feed; in text that is wrapped, a paragraph.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ppt.base.arrays import Indices

MEASURED_CHARS = 1_000_000
"""Rules look at so much of the beginning of a document: memory and time are bounded."""

_WRAPPED_AT, _FULL_LINE = 100, 45
"""Characters: no line of wrapped text is longer, half of them are not shorter."""


@dataclass(frozen=True)
class RuleSet:
    """`rules` by reason word: a document leaves by the first that does not hold of it.

    A rule is (what is measured, least, most). `line_fault` says of a line why it is left out, or
    "": such lines go before the document is measured.
    """

    rules: dict[str, tuple[Callable[["Measured"], float], float, float]]
    line_fault: Callable[[str], str] | None = None


class Measured:
    """A document as the rules see it; each view is made when a rule first asks for it."""

    def __init__(self, text: str) -> None:
        self.text = text[:MEASURED_CHARS]

    @cached_property
    def words(self) -> list[str]:
        """What white space parts."""
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, or the paragraphs of wrapped text."""
        return lines_of(self.text)

    @cached_property
    def paragraphs(self) -> list[str]:
        """What blank lines part."""
        return [part.strip() for part in re.split(r"\n\s*\n", self.text) if part.strip()]

    @cached_property
    def word_numbers(self) -> Indices:
        """[words] a number for each word, equal for equal words."""
        known: dict[str, int] = {}
        return np.array([known.setdefault(w, len(known)) for w in self.words], dtype=np.int64)

    @cached_property
    def word_ends(self) -> Indices:
        """[words + 1] the characters of all words before each, spaces aside."""
        return np.cumsum([0, *map(len, self.words)], dtype=np.int64)

    def per_word(self, count: float) -> float:
        """`count` for each word."""
        return count / max(len(self.words), 1)

    def per_line(self, count: float) -> float:
        """`count` for each line."""
        return count / max(len(self.lines), 1)

    def per_character(self, count: float) -> float:
        """`count` for each character of the words."""
        return count / max(int(self.word_ends[-1]), 1)


def lines_of(text: str) -> list[str]:
    """The lines that are not blank; in wrapped text, its paragraphs.

    Wrapped are short lines if there are blank ones between, or if they are like long.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    lengths = sorted(map(len, lines)) or [0]
    if lengths[-1] <= _WRAPPED_AT and ("\n\n" in text or lengths[len(lengths) // 2] >= _FULL_LINE):
        return [p for p in re.split(r"\n[^\S\n]*\n", text) if p.strip()]
    return lines


# ---- Gopher, appendix A.1.1

GOPHER_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–", "-", "*", "●")
_ELLIPSES = ("...", "…")
_ALPHABETIC = re.compile(r"[^\W\d_]")


def _word_length(seen: Measured) -> float:
    return seen.per_word(int(seen.word_ends[-1]))


def _ellipses(text: str) -> int:
    return sum(map(text.count, _ELLIPSES))


_GOPHER_QUALITY = RuleSet(
    {
        "gopher_short_doc": (lambda seen: len(seen.words), 50, np.inf),
        "gopher_below_avg_threshold": (_word_length, 3, np.inf),
        "gopher_above_avg_threshold": (_word_length, 0, 10),
        "gopher_too_many_hashes": (lambda seen: seen.per_word(seen.text.count("#")), 0, 0.1),
        "gopher_too_many_ellipsis": (lambda seen: seen.per_word(_ellipses(seen.text)), 0, 0.1),
        "gopher_too_many_bullets": (
            lambda seen: seen.per_line(sum(x.lstrip().startswith(_BULLETS) for x in seen.lines)),
            0,
            0.9,
        ),
        "gopher_too_many_end_ellipsis": (
            lambda seen: seen.per_line(sum(x.rstrip().endswith(_ELLIPSES) for x in seen.lines)),
            0,
            0.3,
        ),
        "gopher_below_alpha_threshold": (
            lambda seen: seen.per_word(sum(map(bool, map(_ALPHABETIC.search, seen.words)))),
            0.8,
            1,
        ),
        "gopher_enough_stop_words": (
            lambda seen: len(GOPHER_STOP_WORDS.intersection(map(str.lower, seen.words))),
            2,
            np.inf,
        ),
    }
)


# ---- Gopher, table A1


def _repeated(parts: list[str]) -> Iterator[str]:
    """Each part that equals an earlier one."""
    seen: set[str] = set()
    for part in parts:
        if part in seen:
            yield part
        seen.add(part)


def _share_of_repeated(parts: list[str]) -> float:
    return sum(1 for _ in _repeated(parts)) / max(len(parts), 1)


def _characters_repeated(parts: list[str]) -> float:
    return sum(map(len, _repeated(parts))) / max(sum(map(len, parts)), 1)


def _runs(seen: Measured, n: int) -> tuple[Indices, Indices]:
    """[words - n + 1] a number for each run of n words, equal for equal runs; their lengths."""
    numbers, count = seen.word_numbers, len(seen.words) - n + 1
    if count < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    runs = numbers[:count]
    for k in range(1, n):  # two numbers become one, that stays below the words' square
        pairs = runs * (int(numbers.max()) + 1) + numbers[k : count + k]
        runs = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return runs, seen.word_ends[n:] - seen.word_ends[:-n]


def _top_run(seen: Measured, n: int) -> float:
    """The share of characters in the most frequent run of n words, where it is repeated."""
    runs, lengths = _runs(seen, n)
    counts = np.bincount(runs)
    most = int(counts.max(initial=0))
    if most < 2:
        return 0.0
    tops = lengths[np.unique(runs, return_index=True)[1]][counts == most]
    return seen.per_character(most * int(tops.max()))


def _in_repeated_runs(seen: Measured, n: int) -> float:
    """The share of characters in runs of n words that occurred before, each counted once."""
    runs, _ = _runs(seen, n)
    again = np.ones(len(runs), bool)
    again[np.unique(runs, return_index=True)[1]] = False
    covered = np.zeros(len(seen.words) + 1, np.int64)
    starts = np.flatnonzero(again)
    np.add.at(covered, starts, 1)
    np.add.at(covered, starts + n, -1)
    inside = np.cumsum(covered[:-1]) > 0
    return seen.per_character(int(np.diff(seen.word_ends)[inside].sum()))


_TOP_RUNS = {2: 0.20, 3: 0.18, 4: 0.16}
_REPEATED_RUNS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

_GOPHER_REPETITION = RuleSet(
    {
        "dup_para_frac": (lambda seen: _share_of_repeated(seen.paragraphs), 0, 0.3),
        "dup_para_char_frac": (lambda seen: _characters_repeated(seen.paragraphs), 0, 0.2),
        "dup_line_frac": (lambda seen: _share_of_repeated(seen.lines), 0, 0.3),
        "dup_line_char_frac": (lambda seen: _characters_repeated(seen.lines), 0, 0.2),
        **{f"top_{n}_gram": (partial(_top_run, n=n), 0, most) for n, most in _TOP_RUNS.items()},
        **{
            f"duplicated_{n}_n_grams": (partial(_in_repeated_runs, n=n), 0, most)
            for n, most in _REPEATED_RUNS.items()
        },
    }
)


# ---- C4, section 2.2

_TERMINAL = (".", "!", "?", '"', "”", "’", "'")
_POLICIES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies",
)  # fmt: skip
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]{0,3}(?=\s|\Z)")
_FEWEST_WORDS = 3


def _c4_line_fault(line: str) -> str:
    bare, lowered = line.strip(), line.lower()
    if not bare.endswith(_TERMINAL) or bare.endswith("..."):
        return "c4_line_no_terminal_punc"
    if len(bare.split(None, _FEWEST_WORDS)) < _FEWEST_WORDS:
        return "c4_line_too_few_words"
    if "javascript" in lowered:
        return "c4_line_javascript"
    return "c4_line_policy" if any(map(lowered.__contains__, _POLICIES)) else ""


_C4 = RuleSet(
    {
        "c4_lorem_ipsum": (lambda seen: seen.text.lower().count("lorem ipsum"), 0, 0),
        "c4_curly_bracket": (lambda seen: seen.text.count("{"), 0, 0),
        "c4_too_few_sentences": (lambda seen: len(_SENTENCE_END.findall(seen.text)), 5, np.inf),
    },
    _c4_line_fault,
)

RULE_SETS = {"gopher_quality": _GOPHER_QUALITY, "gopher_repetition": _GOPHER_REPETITION, "c4": _C4}
"""Name → rules."""


def kept_lines(text: str, rules: RuleSet) -> tuple[str, Counter[str]]:
    """The text without the lines that `rules` leave out, and how many of these for each reason."""
    if rules.line_fault is None:
        return text, Counter()
    lines = lines_of(text)
    faults = [rules.line_fault(line) for line in lines]
    left_out = Counter(filter(None, faults))
    if not left_out:
        return text, left_out
    return "\n\n".join(x for x, fault in zip(lines, faults, strict=True) if not fault), left_out


def fault(text: str, rules: RuleSet) -> tuple[str, str]:
    """The reason word of the first rule that does not hold, and what was measured; or ("", "")."""
    seen = Measured(text)
    for reason, (measure, least, most) in rules.rules.items():
        found = measure(seen)
        if not least <= found <= most:
            bound = f"at least {least:g}" if found < least else f"at most {most:g}"
            return reason, f"{found:.4g}, expected {bound}"
    return "", ""
