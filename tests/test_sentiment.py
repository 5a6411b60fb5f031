"""VADER's scores against the package itself; classes, thresholds, balance."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

from ppt.corpus.sentiment import (
    LABELS,
    PUBLISHED_THRESHOLDS,
    agreed,
    balance,
    class_distribution,
    cut,
    in_context,
    keep,
    spread,
)
from ppt.errors import ConfigError
from ppt.text.vader import vader_compound

ORACLE = SentimentIntensityAnalyzer()

# Words of the rules, words of phrases, and letters whose case is odd: the Kelvin sign is a
# capital k, a capital I with a dot gets longer in lower case, a final sigma has its own.
RULES = (
    "no or nor so this never without doubt least at very but kind of sort just enough"
    " n't don't couldn't CAN'T isn’t the a I table \u212aISS O\u212a İa ΣΑΣ ǅ ß"
)
# Emoji with skin tones, of several signs joined, flags and keycaps; signs beside them that have no
# name; accents, composed or not; scripts without spaces.
FOREIGN = (
    "👍🏽 👩🏿\u200d🚀 👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 🇫🇷 1\ufe0f\u20e3 ☺\ufe0f 😂😭"
    " \U00010400 \U0010ffff \ue000 ‼ ™ ★ é naïve cafe\u0301 SCHÖN Ça fiancé"
    " 很好 今日は 好😀坏 bad很good"
)
SIGNS = ["", ",", ".", "!", "?", "!!", "???", "!!!!!", "...", "'", '"', "(", ")", "’", "-", "*"]
SIGNS += ["“", "”", "‘", "…", "—", "–", "«", "😀", "❗", "🏽", "\u200d"]
GAPS = [" ", " ", " ", "  ", "\n", "\u00a0", "\x1c", "\u200b", ""]
CASES = [str, str, str.upper, str.title, str.swapcase]

words = st.one_of(
    st.sampled_from(sorted(ORACLE.lexicon)),
    st.sampled_from(sorted(BOOSTER_DICT)),
    st.sampled_from(sorted(NEGATE)),
    st.sampled_from(sorted(SPECIAL_CASES)),
    st.sampled_from(RULES.split()),
    st.sampled_from(sorted(ORACLE.emojis)),
    st.sampled_from(FOREIGN.split()),
    st.text(max_size=4),
)
tokens = st.builds(
    lambda case, before, word, after: before + case(word) + after,
    st.sampled_from(CASES),
    st.sampled_from(SIGNS),
    words,
    st.sampled_from(SIGNS),
)
gapped = st.builds(str.__add__, tokens, st.sampled_from(GAPS))
plain = st.lists(words, max_size=8).map(" ".join)
texts = st.one_of(st.lists(gapped, max_size=8).map("".join), plain, plain.map(str.upper), st.text())


def expected(text):
    return ORACLE.polarity_scores(text)["compound"]


@settings(max_examples=500, deadline=None)
@given(texts)
def test_vader_equals_the_package(text):
    assert vader_compound([text])[0] == expected(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "Nothing to see.",
        "The plot was good, but the characters are bad and the rest is not good.",
        "Good, but good: good!",
        "GOOD AND BAD",
        "VERY good, not BAD",
        "the D: of a :D and a :d",
        "never so good, never this bad",
        "never this a good one, never a so good one",
        "without a doubt good; without doubt good",
        "without doubt a good one",
        "He is the bomb, the shit, a bad ass, and to die for",
        "one two the kiss of death, yeah right, at the bus stop",
        "It is kind of good, sort of bad, a kind man of a kind",
        "no good, no or good, no fun nor good, no no",
        "Very no good",
        "so this VERY no good",
        "least good, at least good, very least good",
        "fun😀fun 😀😀 ❤\ufe0f©❗",
        "O\u212a and \u212aISS me",
        "“Don’t be SO silly — it’s GOOD!” he said…",
        "‘VERY bad’, “not good”—but a GREAT—LOVE—hit",
        "👍🏽 good 👩🏿\u200d🚀bad ❤\ufe0f\u200d🔥so 🇫🇷GREAT \U00010400LOVE\U0010ffff",
        "Ein SCHÖNER, good Tag; ÉTÉ bad, cafe\u0301 nice",
        "很好 good，很😀坏。GOOD！",
    ],
)
def test_vader_equals_the_package_on_chosen_texts(text):
    assert vader_compound([text])[0] == expected(text)


def test_vader_knows_every_lexicon_entry_and_emoji():
    entries = [*ORACLE.lexicon, *ORACLE.emojis]
    texts = [*entries, *(f"so {entry}!" for entry in entries)]
    assert vader_compound(texts).tolist() == [expected(text) for text in texts]


def test_vader_takes_no_other_sign_for_an_emoji():
    signs = "".join(map(chr, (*range(128, 0x3400, 7), *range(0x1F000, 0x1FB00, 3))))
    texts = [f"good{sign}bad so{sign} great" for sign in signs]
    assert vader_compound(texts).tolist() == [expected(text) for text in texts]


def test_vader_reads_its_lexicon_only_when_asked():
    code = "import sys, ppt.corpus.sentiment; print('vaderSentiment' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_vader_of_no_sentences():
    assert vader_compound([]).shape == (0,)


compounds = st.integers(-10_000, 10_000).map(lambda n: n / 10_000)


@given(st.lists(compounds))
def test_class_distribution_is_a_distribution_over_two_neighbours(scores):
    rows = class_distribution(np.array(scores))
    assert rows.shape == (len(scores), len(LABELS))
    assert (rows >= 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-12)
    for row in rows:
        places = np.flatnonzero(row)
        assert len(places) in (1, 2)
        assert places[-1] - places[0] == len(places) - 1


@given(compounds, compounds)
def test_class_distribution_has_a_mean_that_grows_with_the_score(one, other):
    means = class_distribution(np.array(sorted([one, other]))) @ np.arange(len(LABELS))
    assert means[0] <= means[1] + 1e-12


def test_class_distribution_at_centres_and_between():
    rows = class_distribution(np.array([-1, -0.6, -0.3, 0, 0.3, 0.6, 1, 0.15, -0.525]))
    np.testing.assert_allclose(rows[:7], np.eye(5)[[0, 0, 1, 2, 3, 4, 4]], atol=1e-12)
    np.testing.assert_allclose(rows[7], [0, 0, 0.5, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(rows[8], [0.75, 0.25, 0, 0, 0], atol=1e-12)


def test_keep_takes_the_likeliest_class_and_its_threshold():
    scores = np.array([-0.588, -0.582, 0.0, 0.12, 0.513, 0.507, 1.0])
    labels, kept = keep(class_distribution(scores), PUBLISHED_THRESHOLDS)
    assert labels.dtype == np.int8
    assert labels.tolist() == [0, 0, 2, 2, 4, 4, 4]
    confidence = class_distribution(scores).max(axis=1)
    np.testing.assert_allclose(confidence, [0.96, 0.94, 1, 0.6, 0.71, 0.69, 1])
    assert kept.tolist() == [True, False, True, True, True, False, True]


def test_keep_never_keeps_what_is_not_a_number():
    rows = np.full((2, 5), np.nan, dtype=np.float32)
    assert not keep(rows, (0, 0, 0, 0, 0))[1].any()


@pytest.mark.parametrize("thresholds", [(0.5,) * 4, (0.5,) * 6, (0.5, 0.5, 0.5, 0.5, 1.5), ()])
def test_keep_refuses_thresholds_that_are_not_five_shares(thresholds):
    with pytest.raises(ConfigError, match="expected 5 numbers from 0 to 1"):
        keep(np.zeros((1, 5)), thresholds)


labelled = st.integers(0, 80).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.int8, size, elements=st.integers(0, 4)),
        arrays.arrays(np.bool_, size),
        arrays.arrays(np.uint64, size, unique=True),
    )
)


@given(labelled, st.randoms(use_true_random=False))
def test_balance_gives_equal_counts_and_follows_the_words(columns, random):
    labels, kept, order = columns
    same = np.full(len(labels), 50)
    mask = balance(labels, kept, same, order)
    assert not (mask & ~kept).any()
    smallest = np.bincount(labels[kept], minlength=5).min()
    for label in range(5):
        chosen, left = order[mask & (labels == label)], order[kept & ~mask & (labels == label)]
        assert len(chosen) == smallest
        assert not len(left) or not len(chosen) or chosen.max() < left.min()
    shuffled = np.array(random.sample(range(len(labels)), len(labels)), dtype=np.intp)
    again = balance(labels[shuffled], kept[shuffled], same, order[shuffled])
    assert (again == mask[shuffled]).all()


def test_balance_breaks_ties_by_place():
    labels = np.array([0, 0, 1, 2, 3, 4], dtype=np.int8)
    ones = np.ones(6, dtype=np.int64)
    mask = balance(labels, ones > 0, ones, np.zeros(6, dtype=np.uint64))
    assert mask.tolist() == [True, False, True, True, True, True]


def test_balance_gives_nothing_where_a_class_is_empty():
    labels = np.array([0, 1, 2, 3], dtype=np.int8)
    ones = np.ones(4, dtype=np.int64)
    assert not balance(labels, ones > 0, ones, np.arange(4, dtype=np.uint64)).any()


@given(labelled, st.randoms(use_true_random=False))
def test_balance_gives_equal_counts_whatever_the_lengths(columns, random):
    labels, kept, order = columns
    lengths = np.array([random.randint(20, 300) for _ in labels], dtype=np.int64)
    mask = balance(labels, kept, lengths, order)
    assert not (mask & ~kept).any()
    assert len(set(np.bincount(labels[mask], minlength=5).tolist())) == 1


def test_balance_parts_class_from_length():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 20_000).astype(np.int8)
    centres = np.array([137, 110, 73, 110, 137])  # medians as they were in film reviews
    lengths = np.clip(rng.lognormal(np.log(centres[labels]), 0.5), 20, 600).astype(np.int64)
    bits = rng.permutation(20_000).astype(np.uint64)
    mask = balance(labels, np.ones(20_000, np.bool_), lengths, bits)
    medians = [np.median(lengths[mask & (labels == label)]) for label in range(5)]
    assert max(medians) - min(medians) < 5
    assert mask.sum() > 0.5 * len(labels)
    same = np.corrcoef(np.abs(labels[mask] - 2), lengths[mask])[0, 1]
    assert abs(same) < 0.03 < abs(np.corrcoef(np.abs(labels - 2), lengths)[0, 1])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 9), min_size=5, max_size=5)),
        min_size=1, max_size=12,
    ),
    st.floats(0, 3),
)  # fmt: skip
def test_a_document_pulls_its_sentences_by_what_the_others_of_it_say(rows, weight):
    documents = np.array([document for document, _ in rows])
    counts = np.array([values for _, values in rows], float) + 0.1
    probabilities = counts / counts.sum(1, keepdims=True)
    found = in_context(probabilities, documents, weight)
    for i, (own, document) in enumerate(zip(probabilities, documents, strict=True)):
        others = [
            float(sum(c * p for c, p in zip((-2, -1, 0, 1, 2), probabilities[j], strict=True)))
            for j in range(len(rows))
            if j != i and documents[j] == document
        ]
        pull = weight * sum(others) / len(others) if others else 0.0
        right = sum(p * spread(np.array(c + pull)) for c, p in enumerate(own))
        np.testing.assert_allclose(found[i], right, atol=1e-9)
    np.testing.assert_allclose(found.sum(1), 1)


def test_what_a_labeller_does_not_know_says_nothing_of_its_document():
    probabilities = np.array([[0, 0, 1, 0, 0], [np.nan] * 5, [0, 0, 0, 0, 1]], float)
    found = in_context(probabilities, np.array([7, 7, 7]), 0.5)
    np.testing.assert_allclose(found[[0, 2]], [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    assert np.isnan(found[1]).all()


def test_context_decides_what_a_sentence_leaves_open():
    sure, unclear = [0.0, 0.9, 0.1, 0.0, 0.0], [0.0, 0.3, 0.4, 0.3, 0.0]
    panned = in_context(np.array([sure, sure, unclear, unclear]), np.array([0, 0, 0, 1]), 1.0)
    assert panned.argmax(1).tolist() == [1, 1, 1, 2], "the last stands in a document of its own"


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=12), st.integers(1, 3))
def test_labellers_agree_on_the_scale_of_the_first(rows, weight):
    first, second = np.array(rows, float).reshape(-1, 2).T / 9
    one, other = class_distribution(first), class_distribution(second)
    narrow = spread(1.5 + 0.1 * (other @ np.arange(5)))  # the same order, at another scale
    found = agreed([one, other], [1, weight])
    np.testing.assert_allclose(found, agreed([one, narrow], [1, weight]), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    scale = sorted(one @ np.arange(5))
    for i, own in enumerate(second):
        if abs(own) > 0.6:
            continue  # beyond the last class, where unlike scores are alike
        ranks = [rank for rank, value in enumerate(sorted(second)) if value == own]
        place = np.mean([scale[rank] for rank in ranks])
        right = (one[i] + weight * spread(np.array(place))) / (1 + weight)
        np.testing.assert_allclose(found[i], right, atol=1e-9)
    np.testing.assert_allclose(agreed([one, one, one], [1, 1, weight]), one, atol=1e-9)


@given(st.lists(st.tuples(compounds, compounds, st.integers(0, 2)), max_size=12))
def test_what_one_labeller_does_not_know_is_unknown_and_changes_no_other(rows):
    first, second, which = np.array(rows, float).reshape(-1, 3).T
    members = [class_distribution(first), class_distribution(second)]
    for number, member in enumerate(members):
        member[which == number] = np.nan
    found, known = agreed(members, [1, 2]), which == 2
    assert np.isnan(found[~known]).all()
    np.testing.assert_array_equal(found[known], agreed([one[known] for one in members], [1, 2]))


shares = st.lists(st.integers(1, 9), min_size=5, max_size=5)


@given(st.lists(st.integers(-9, 9), max_size=40), shares)
def test_classes_are_cut_by_shares_in_the_order_of_places(places, shares):
    found = cut(np.array(places, float), shares)
    ends = [sum(shares[: k + 1]) / sum(shares) for k in range(4)]
    for place, label in zip(places, found, strict=True):
        below, same = sum(other < place for other in places), places.count(place)
        middle = (below + same / 2) / len(places)
        if min(abs(middle - end) for end in ends) > 1e-9:
            assert label == sum(middle > end for end in ends)


@given(st.integers(1, 40), shares)
def test_each_class_has_its_share_where_no_places_are_equal(times, shares):
    places = np.random.default_rng(times).permutation(times * sum(shares)) / 7
    assert np.bincount(cut(places, shares), minlength=5).tolist() == [times * n for n in shares]


@given(labelled, shares)
def test_balance_takes_each_class_by_its_share(columns, parts):
    labels, kept, order = columns
    mask = balance(labels, kept, np.full(len(labels), 50), order, parts)
    assert not (mask & ~kept).any()
    counts = np.bincount(labels[kept], minlength=5).tolist()
    unit = min(Fraction(count, part) for count, part in zip(counts, parts, strict=True))
    assert np.bincount(labels[mask], minlength=5).tolist() == [int(unit * n) for n in parts]
