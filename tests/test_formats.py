"""The fast formats against the plain-Python oracle, and the laws that examples obey."""

import hashlib
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt.base.text import content_key, content_keys
from ppt.corpus.builders import Stock, multiple_choice, sentence_pair, sentiment
from ppt.corpus.formats import FORMATS
from ppt.corpus.likeness import Likeness
from ppt.corpus.options import ADJACENCIES, FormatOptions, Mixture, option_caps
from ppt.corpus.pool import SplitDocument, build_pool
from ppt.corpus.repeats import repeated, standing
from ppt.corpus.rows import OPTION_WORDS, Rows
from ppt.corpus.tables import Phrases, to_table
from ppt.corpus.trim import whole
from ppt.errors import ConfigError, UnknownNameError
from tests.oracle import Oracle
from tests.relatives import NOUNS


def document(number, sentences):
    key = hashlib.blake2b(str(number).encode(), digest_size=16).digest()
    return SplitDocument(key, f"doc{number}", tuple(sentences))


def pool_of(documents, seed, **lengths):
    """Their pool, were they the whole corpus."""
    keys = [content_keys(one.sentences) for one in documents]
    rows = repeated(standing([one.number for one in documents], keys), np.empty(0, np.uint64))
    return build_pool(documents, seed, rows, **lengths)


def made(sizes, salt=0):
    """Documents of the given numbers of sentences, all of them usable and different."""
    rng = np.random.default_rng(salt)
    documents = []
    for d, size in enumerate(sizes):
        words = [
            " ".join(
                "".join(map(chr, rng.integers(97, 123, 7))) for _ in range(rng.integers(4, 60))
            )
            for _ in range(size)
        ]
        documents.append(document(d, [f"{text}." for text in words]))
    return sorted(documents, key=lambda doc: doc.key)


def built(documents, options, probabilities=None):
    """The pool, rows of each format by name, and the probabilities of all its sentences."""
    pool = pool_of(documents, options.seed)
    if probabilities is None:
        probabilities = np.random.default_rng(5).dirichlet([0.2] * 5, len(pool))
    anchors, _ = Stock(pool, options).anchors()
    stock = Stock(pool, options, probabilities[anchors])
    return pool, {name: stock.rows(FORMATS[name].build) for name in FORMATS}, probabilities


sentences = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40),
    st.sampled_from(
        ["Same old line of text here.", "same old LINE of text here!", "Page 1 of 20, and on."]
    ),
    st.integers(0, 10**6).map(
        lambda n: f"This is sentence {'abcdefghij'[n % 10] * (n % 97)} {n:b}."
    ),
)
some_documents = st.lists(st.lists(sentences, max_size=9), max_size=7).map(
    lambda lists: sorted(
        (document(n, texts) for n, texts in enumerate(lists)), key=lambda doc: doc.key
    )
)
some_options = st.builds(
    FormatOptions,
    seed=st.integers(-(2**40), 2**40),
    adjacency=st.sampled_from(ADJACENCIES),
    max_examples_per_document=st.sampled_from([0, 1, 3]),
    mixture=st.sampled_from([Mixture(), Mixture(1, 0, 0), Mixture(0.2, 0.5, 0.3)]),
)


@settings(max_examples=120, deadline=None)
@given(some_documents, some_options)
def test_every_format_equals_the_oracle(documents, options):
    pool, rows, probabilities = built(documents, options)
    oracle = Oracle(documents, options, probabilities)
    assert [s.text for s in oracle.pool] == list(pool.text)
    assert oracle.drops == pool.drops
    phrases = Phrases(Stock(pool, options))
    for name in FORMATS:
        table = to_table(phrases, rows[name], name)
        assert table.to_pylist() == oracle.rows(name), name


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("adjacency", ADJACENCIES)
def test_larger_pools_equal_the_oracle_too(seed, adjacency):
    documents = made([30, 1, 2, 17, 9, 40, 3, 12], salt=seed)
    options = FormatOptions(seed=seed, adjacency=adjacency)
    pool, rows, probabilities = built(documents, options)
    oracle = Oracle(documents, options, probabilities)
    phrases = Phrases(Stock(pool, options))
    for name in FORMATS:
        table = to_table(phrases, rows[name], name)
        assert table.num_rows > 10
        assert table.to_pylist() == oracle.rows(name), name


@settings(max_examples=60, deadline=None)
@given(some_documents, some_options)
def test_every_anchor_is_an_example_or_counted(documents, options):
    pool, rows, _ = built(documents, options)
    for name in FORMATS:
        extra = len(rows["sentiment"]) if name == "unified" else 0
        assert len(rows[name]) + rows[name].drops.total() == len(pool) + extra, name


@settings(max_examples=60, deadline=None)
@given(some_documents, some_options)
def test_options_are_never_near_equal(documents, options):
    pool, rows, _ = built(documents, options)
    phrases = Phrases(Stock(pool, options))
    for name in ("multiple_choice", "unified"):
        for row in to_table(phrases, rows[name], name).to_pylist():
            keys = [content_key(option) for option in row["options"]]
            assert len(set(keys)) == len(keys)
            if not row["id"].endswith(("-pair", "-sentiment")):
                assert content_key(row["text_a"]) not in keys


def test_pairs_are_a_third_each_and_true():
    pool, rows, _ = built(made([40] * 30), FormatOptions())
    pairs = rows["sentence_pair"]
    assert len(pairs) == len(pool)
    assert max(np.bincount(pairs.label)) - min(np.bincount(pairs.label)) <= 1
    same = pool.document[pairs.anchor] == pool.document[pairs.second]
    distance = np.abs(pool.position[pairs.anchor] - pool.position[pairs.second])
    expected = np.where(same, np.where(distance == 1, 2, 1), 0)
    assert (pairs.label == expected).all()


def test_both_neighbours_and_all_negatives_of_a_block_are_drawn_evenly():
    documents = made([12] * 6)
    counts, expected, sides = Counter(), Counter(), Counter()
    for seed in range(300):
        pool = pool_of(documents, seed)
        choice = Stock(pool, FormatOptions(seed=seed)).rows(multiple_choice)
        options = choice.options.reshape(-1, 6)
        answers = options[np.arange(len(choice)), choice.label]
        sides.update((pool.position[answers] - pool.position[choice.anchor]).tolist())
        row = int(np.flatnonzero(choice.anchor == 14)[0])
        counts.update(options[row].tolist())
        like = Likeness(pool)
        assert like.links(np.array([14]), answers[row : row + 1]) == -1  # words of chance
        block = np.flatnonzero(like.look == like.look[answers[row]])
        others = block[pool.document[block] != pool.document[14]]
        assert len(others) >= 4
        expected.update(dict.fromkeys(others.tolist(), 4 / len(others)))
    assert abs(sides[1] / sides[-1] - 1) < 0.05
    for i in np.flatnonzero(pool.document != pool.document[14]).tolist():
        assert (counts[i] > 0) == (expected[i] > 0)
        assert abs(counts[i] - expected[i]) < 5 * expected[i] ** 0.5 + 1e-9


@pytest.mark.parametrize("name", ["multiple_choice", "unified"])
def test_no_letter_holds_the_answer_more_often(name):
    _, rows, _ = built(made([40] * 40), FormatOptions())
    counts = rows[name].option_counts()
    for n in np.unique(counts):
        # Selections, pairs and sentiments are levelled apart: three remainders at most.
        positions = np.bincount(rows[name].label[counts == n], minlength=n)
        assert positions.max() - positions.min() <= 3


def test_unified_follows_the_published_composition():
    pool, rows, _ = built(made([60] * 40), FormatOptions(mixture=Mixture(1, 0, 0)))
    choice = rows["unified"]
    numbers = choice.option_counts()
    assert set(numbers.tolist()) == set(range(2, 17))
    for r in range(0, len(choice), 17):
        options = choice.options[choice.offsets[r] : choice.offsets[r + 1]]
        same = pool.document[options] == pool.document[choice.anchor[r]]
        near = same & (np.abs(pool.position[options] - pool.position[choice.anchor[r]]) == 1)
        n = numbers[r]
        assert near.sum() == 1
        assert near[choice.label[r]]
        assert same.sum() - 1 == (1 if n <= 6 else 2 if n <= 10 else 3)


def test_the_mixture_is_what_was_asked_where_there_are_labels_enough():
    documents = made([60] * 40)
    pool = pool_of(documents, 1)
    sure = np.full((len(pool), 5), 0.0)
    sure[np.arange(len(pool)), np.arange(len(pool)) % 5] = 1.0
    _, rows, _ = built(documents, FormatOptions(mixture=Mixture(0.5, 0.3, 0.2)), sure)
    table_rows = rows["unified"]
    first = table_rows.options[table_rows.offsets[:-1]]
    is_choice, is_pair = first >= 0, table_rows.second >= 0
    assert abs(is_choice.mean() - 0.5) < 0.03
    assert abs(is_pair.mean() - 0.3) < 0.03
    assert abs((~is_choice & ~is_pair).mean() - 0.2) < 0.01


def test_sentiment_is_kept_by_class_threshold_and_balanced():
    documents = made([20] * 4)
    pool = pool_of(documents, 1)
    label = np.arange(len(pool)) % 5
    probabilities = np.full((len(pool), 5), 0.025)
    probabilities[np.arange(len(pool)), label] = 0.9
    # At 0.9 the published threshold of "terrible" (0.95) is not met: nothing can be balanced.
    assert len(sentiment(Stock(pool, FormatOptions(), probabilities))) == 0
    rows = sentiment(Stock(pool, FormatOptions(thresholds=(0.5,) * 5), probabilities))
    assert (np.bincount(rows.label) == len(pool) // 5).all()
    assert (label[rows.anchor] == rows.label).all()


def test_the_limit_per_document_is_kept_and_is_the_same_in_all_formats():
    pool, rows, _ = built(made([40, 3, 25, 9]), FormatOptions(max_examples_per_document=5))
    anchors = set(rows["sentence_pair"].anchor.tolist())
    assert max(Counter(pool.document[list(anchors)].tolist()).values()) == 5
    for name in FORMATS:
        assert set(rows[name].anchor.tolist()) <= anchors


def test_near_duplicates_of_the_anchors_document_give_no_wrong_options():
    rng = random.Random(4)
    documents = []
    for number in range(12):
        lines = [" ".join(rng.choices(NOUNS, k=9)).capitalize() + "." for _ in range(9)]
        key = hashlib.blake2b(b"%d" % number, digest_size=16).digest()
        documents.append(SplitDocument(key, f"{number}", lines, number // 3))
    pool = pool_of(documents, 1)
    assert len(pool) > 90
    kin = np.array([document.cluster for document in documents])[pool.document]
    assert (pool.kin_sizes == np.bincount(kin)[kin]).all()
    assert (pool.kin_starts == np.searchsorted(kin, kin)).all()
    rows = Stock(pool, FormatOptions()).rows(multiple_choice)
    assert len(rows) > 50
    for row in range(len(rows)):
        options = rows.options[rows.offsets[row] : rows.offsets[row + 1]]
        own = pool.document[options] == pool.document[rows.anchor[row]]
        assert own.sum() == 2
        assert (kin[options][~own] != kin[rows.anchor[row]]).all()
    pairs = Stock(pool, FormatOptions()).rows(sentence_pair)
    strangers = pairs.label == FORMATS["sentence_pair"].words.index("no")
    assert (kin[pairs.second[strangers]] != kin[pairs.anchor[strangers]]).all()


def test_repeated_lines_are_neither_anchor_nor_option():
    boilerplate = "All rights reserved, 2021, by the house."
    texts = [
        [f"{w} is a sentence of document {d}." for w in ("One", "Two", "Ten", "Six")]
        for d in "abcd"
    ]
    texts[0].insert(1, boilerplate)
    texts[2].append(boilerplate.upper().replace("2021", "1999"))
    pool, _, _ = built([document(n, t) for n, t in enumerate(texts)], FormatOptions())
    assert pool.drops["repeated"] >= 2
    assert not any("reserved" in text.lower() for text in pool.text)
    # The neighbours of the removed line are not adjacent to each other.
    between = [i for i in range(len(pool) - 1) if pool.position[i + 1] - pool.position[i] == 2]
    assert not pool.has_next[between].any()


def test_what_another_sentence_begins_with_is_neither_anchor_nor_option():
    """As a wrong option it would read like a right one that goes on, which may be cut there."""
    texts = [
        [
            "The old bridge was closed.",
            "Nobody knew for how many years.",
            "We all went on by boat.",
        ],
        ["THE OLD BRIDGE was closed: it had fallen.", "The ferry ran twice a day, in May."],
    ]
    pool, _, _ = built([document(n, t) for n, t in enumerate(texts)], FormatOptions())
    assert pool.drops == {"beginning": 1}
    assert list(pool.text) == [*texts[0][1:], *texts[1]]
    assert not pool.has_previous[0]


def test_one_document_alone_gives_no_negatives():
    _, rows, _ = built(made([12]), FormatOptions())
    assert 0 not in rows["sentence_pair"].label
    assert len(rows["multiple_choice"]) == 0
    assert rows["multiple_choice"].drops["too_few_other_documents"] == 12


def test_an_empty_pool_gives_empty_tables():
    pool, rows, _ = built([], FormatOptions())
    for name in FORMATS:
        table = to_table(Phrases(Stock(pool, FormatOptions())), rows[name], name)
        assert table.num_rows == 0


def test_caps_shrink_as_options_grow_and_obey_the_flags():
    caps = [option_caps(n, FormatOptions()) for n in range(2, 17)]
    assert caps == sorted(caps, reverse=True)
    assert caps[0] == (400, 200)
    assert caps[-1] == (200, 90)
    assert option_caps(2, FormatOptions(max_text_chars=100, max_option_chars=95)) == (100, 95)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("choise=1", "Did you mean 'choice'"),
        ("choice=x", "expected NAME=SHARE"),
        ("choice=0.5,pair=0.4", "sum to 1"),
        ("choice=1.5,pair=-0.5", "sum to 1"),
        ("sentiment=1", "its own format"),
    ],
)
def test_mixtures_that_cannot_be_are_refused(text, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        Mixture.parse(text)


@pytest.mark.parametrize("text", ["choice=1e-7,sentiment=1", "pair=1e-320,sentiment=1"])
def test_a_mixture_of_next_to_nothing_but_sentiment_is_refused(text):
    with pytest.raises(ConfigError, match="sentiment alone has its own format"):
        Mixture.parse(text)


def test_brackets_that_pair_with_none_take_linear_time():
    assert whole("(]" * 100_000) == ""  # quadratic, it took minutes
    assert whole("a (b [c) d] e") == "a (b c) d e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'See, it rebounds!", "See, it rebounds!"),
        ("Where are we?'", "Where are we?"),
        ("'Well,' he said, 'I don't know.", "'Well,' he said, I don't know."),
        ("I don't,' he said, 'but I'll ask.'", "I don't, he said, 'but I'll ask.'"),
        ("He called it the 'thing' and left.'", "He called it the 'thing' and left."),
        ("‘I think so.", "I think so."),
        ("It’s so, she said.’", "It’s so, she said."),
        ("„Ich gehe.", "Ich gehe."),
        ("Wir gehen“, sagte er.", "Wir gehen, sagte er."),
        ("Na ‹ja.", "Na ja."),
    ],
)
def test_quotations_that_another_sentence_ends_are_left_open_by_no_mark(text, expected):
    assert whole(text) == expected
    assert whole(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "'Is it so?' asked Miss 'Rema.",
        "'I saw the dogs' dinner,' he said, 'and Jess' hat.'",
        "'Tis true, 'twas so, rock 'n' roll in the '60s, '70s and '98, 'em all.",
        "I asked, 'is it so?' and waited, 'till he came.",
        "Its operators, '+', '-' and the first ':' go; '*.py' too.",
        "'when you drown a dog , ' says he of ' titanic ' .",
        "They say it 's good and do n't ask of 5' of rope.",
        "‘Yes,’ she said, ‘it’s so.’",
        "„Tak” – i „ja“.",
    ],
)
def test_apostrophes_and_whole_quotations_stay(text):
    assert whole(text) == text


def test_published_mixture_is_selection_only():
    assert Mixture.parse("published") == Mixture(1, 0, 0)
    assert Mixture.parse("choice=0.6, pair=0.2,sentiment=0.2") == Mixture(0.6, 0.2, 0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"adjacency": "near"},
        {"max_examples_per_document": -1},
        {"max_text_chars": 89},
        {"max_option_chars": 5},
    ],
)
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises((ConfigError, UnknownNameError)):
        FormatOptions(**wrong)


def test_taking_rows_keeps_their_options():
    _, rows, _ = built(made([30] * 5), FormatOptions())
    chosen = rows["unified"].take(np.array([3, 0, 3]))
    assert isinstance(chosen, Rows)
    for new, old in enumerate([3, 0, 3]):
        mine = chosen.options[chosen.offsets[new] : chosen.offsets[new + 1]]
        source = rows["unified"]
        assert (mine == source.options[source.offsets[old] : source.offsets[old + 1]]).all()


def test_no_dictionary_holds_a_string_twice_though_sentences_be_label_words():
    """Parquet would write a page larger than it fills: what memory held, other bytes each time."""
    pool = pool_of([document(1, ["maybe", "A sentence of some length."])], 1, min_chars=3)
    options = FormatOptions()
    phrases = Phrases(Stock(pool, options))
    rows = phrases.rows_of([options.max_option_chars] * 2)
    found = phrases.encode(np.array([0, -1 - OPTION_WORDS.index("maybe")]), rows)
    assert found.to_pylist() == ["maybe", "maybe"]
    assert len(found.dictionary) == 1
