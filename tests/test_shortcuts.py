"""Nothing gives the answer away: hard options, whole marks, mixtures met, baselines measured."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ppt.base.text import content_key, document_key
from ppt.corpus.buckets import word_buckets
from ppt.corpus.builders import Stock, multiple_choice, sentence_pair, unified
from ppt.corpus.formats import FORMATS
from ppt.corpus.levels import THINNED, counts_of_kinds, evenly, thinned
from ppt.corpus.likeness import Likeness
from ppt.corpus.options import FormatOptions, Mixture
from ppt.corpus.pool import SplitDocument
from ppt.corpus.sampling import SPARE, distant
from ppt.corpus.shortcuts import SAMPLE, shortcuts
from ppt.corpus.tables import Phrases, to_table
from ppt.corpus.trim import ENDS, clause, whole
from ppt.text.sentences import get_splitter
from tests.builds import DOCUMENTS
from tests.checker import marks_alone
from tests.oracle import Oracle, words
from tests.test_formats import document, pool_of

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=60)


@given(st.lists(texts, max_size=5))
@example(
    [
        "don\u2019t \u4e2d\u6587\u5b57\u7b26\u3002abc\u4e2d",
        "\n",
        "Caf\u00e9 caf\u00e9s A-B_c 12345678901",
    ]
)
def test_words_are_those_of_the_oracle(some):
    sentence, bucket = word_buckets(some)
    found = [bucket[sentence == i].tolist() for i in range(len(some))]
    assert found == [words(text) for text in some]


def named(n):
    """A word of letters: digits do not tell sentences apart."""
    return "".join(chr(97 + int(n) // 26**k % 26) for k in range(3))


def topical(n_documents, n_sentences, seed=0):
    """Documents with words of their own, so that neighbours share what others have too."""
    rng = np.random.default_rng(seed)
    made = []
    for d in range(n_documents):
        topic = [f"topic{named(rng.integers(11))}" for _ in range(2)]
        sentences = [
            " ".join([*map(named, rng.integers(0, 900, 9)), rng.choice(topic)]) + "."
            for _ in range(n_sentences)
        ]
        made.append(document(d, sentences))
    return sorted(made, key=lambda one: one.key)


@pytest.mark.parametrize("seed", [1, 2])
def test_linked_options_equal_the_oracle(seed):
    documents = topical(14, 13, seed)
    options = FormatOptions(seed=seed)
    pool = pool_of(documents, seed)
    probabilities = np.eye(5)[np.arange(len(pool)) % 5]
    stock = Stock(pool, options, probabilities)
    links = Likeness(pool).links(np.arange(len(pool) - 1), np.arange(1, len(pool)))
    assert (links >= 0).sum() > 15
    oracle = Oracle(documents, options, probabilities)
    for name, known in FORMATS.items():
        table = to_table(Phrases(stock), stock.rows(known.build), name)
        assert table.num_rows > 50
        assert table.to_pylist() == oracle.rows(name), name


def test_wrong_options_stand_by_the_word_that_links_beside_answer_and_other_sentence():
    pool = pool_of(topical(40, 20), 1)
    stock = Stock(pool, FormatOptions())
    rows, like = stock.rows(multiple_choice), stock.likeness
    options = rows.options.reshape(-1, 6)
    each = np.arange(len(rows))
    answers = options[each, rows.label]
    own = pool.document[options] == pool.document[rows.anchor][:, None]
    own[each, rows.label] = False
    assert (own.sum(axis=1) == 1).all()
    beside = np.stack([answers, options[own]])
    links = like.links(rows.anchor, answers)
    linked = np.stack([like.linked(links, sentences) for sentences in beside])
    assert (links >= 0).mean() > 0.25
    assert ((linked < 0) == (links < 0)).all()
    members = [set(one) for one in np.split(like.members, like.start[1:])]
    apart = 0
    for r in np.flatnonzero(links >= 0):
        others = set(options[r][~own[r]]) - {answers[r]}
        assert answers[r] in members[linked[0, r]]
        for block in linked[:, r]:
            found = members[block]
            free = [i for i in found if pool.document[i] != pool.document[rows.anchor[r]]]
            seen = len(free) - max(len(found) - 2 - SPARE, 0)
            assert len(others & found) >= min(2, seen)
        apart += linked[0, r] != linked[1, r]
    assert apart > 20


def of_documents():
    splitter = get_splitter("punkt:english")
    made = {}
    for path in sorted(DOCUMENTS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            key = document_key(record["text"])
            made[key] = SplitDocument(key, record["id"], splitter(record["text"]))
    return Stock(pool_of([made[key] for key in sorted(made)], 1), FormatOptions())


def test_baselines_of_the_documents_are_near_chance():
    stock = of_documents()
    for build, name in ((multiple_choice, "multiple_choice"), (unified, "unified")):
        table = to_table(Phrases(stock), stock.rows(build), name)
        found = shortcuts(table.slice(0, SAMPLE), FORMATS[name].words)["choice"]
        assert found["rows"] >= 500, found
        assert found["overlap"] < 0.22, found
        assert found["form"] < found["chance"] + 0.05, found


def test_a_cut_does_not_show():
    stock = of_documents()
    rows = stock.rows(unified)
    table = to_table(Phrases(stock), rows, "unified").to_pylist()
    shortened = 0
    for r, row in enumerate(table):
        codes = rows.options[rows.offsets[r] : rows.offsets[r + 1]]
        if row["kind"] != "choice":
            continue
        full = [whole(stock.pool.text[code]) for code in codes]
        kept = [
            one.rstrip(ENDS) == two.rstrip(ENDS)
            for one, two in zip(full, row["options"], strict=True)
        ]
        if not all(kept):
            shortened += 1
            assert not any(option[-1] in ENDS for option in row["options"])
        else:
            assert row["options"] == full
    assert shortened > 100


@given(st.text('ab "()[]{}\u201c\u201d\u00ab\u00bb\u300c\u300d.,:', max_size=30))
@example('He said, "go. Then "no".')
def test_marks_are_whole(text):
    mended = whole(" ".join(text.split()))
    assert whole(mended) == mended
    assert [c for c in mended if c.isalpha()] == [c for c in text if c.isalpha()]
    assert not text.count('"') % 2 or mended.count('"') % 2 == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"I am here.', "I am here."),
        ('You are there."', "You are there."),
        ('He said, "go."', 'He said, "go."'),
        ('said he." Then "go"', 'said he. Then "go"'),
        ("See (this [that).", "See (this that)."),
        ("a) list (b", "a) list b"),
        ("Fine :) yes", "Fine :) yes"),
        ("It falls (see Fig. 3) here", "It falls (see Fig. 3) here"),
        ("\u201cWell, I", "Well, I"),
        ("\u201eGut\u201c, sagte", "\u201eGut\u201c, sagte"),
    ],
)
def test_marks_that_lack_the_other_are_left_out(text, expected):
    assert whole(text) == expected
    assert not marks_alone(expected)


@given(st.lists(st.text("abcdefgh,;:", min_size=1, max_size=9), min_size=12, max_size=60))
def test_a_cut_ends_a_clause_and_stays_unlike_others(parts):
    text = " ".join(parts)
    for limit in (90, 120, 200):
        short = clause(text, limit)
        assert text.startswith(short)
        assert len(short) <= limit
        if len(text) > limit and len(content_key(text)) == 48:
            assert content_key(short) == content_key(text)


def test_short_documents_reach_the_mixture():
    rng = np.random.default_rng(3)
    documents = sorted(
        (
            document(d, [" ".join(map(named, rng.integers(0, 9000, 12))) for _ in range(n)])
            for d, n in enumerate(rng.integers(2, 6, 900))
        ),
        key=lambda one: one.key,
    )
    pool = pool_of(documents, 1)
    stock = Stock(pool, FormatOptions(), np.eye(5)[np.arange(len(pool)) % 5])
    labels = np.bincount(stock.rows(sentence_pair).label)
    assert max(labels) - min(labels) <= 1
    rows = stock.rows(unified)
    shares = np.bincount(rows.kind) / len(rows)
    np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.01)
    assert len(rows) > 0.5 * len(pool)
    assert (distant(pool, rows.anchor)[rows.kind == 0] > 0).all()


amounts = st.integers(0, 2000)


@given(
    amounts, amounts, amounts, amounts, st.sampled_from([(0.6, 0.2, 0.2), (1, 0, 0), (0.2, 0.8, 0)])
)
def test_the_mixture_is_met_or_a_third_given_up_for_it(only, both, more, sentiments, shares):
    choices, pairs, either = only + both, both + more, only + both + more
    mixture = Mixture(*shares)
    if not mixture.pair:
        pairs, either = 0, choices
    found = counts_of_kinds(mixture, choices, pairs, either, sentiments)
    chosen, paired, mixed = found
    assert 0 <= chosen <= choices
    assert 0 <= paired <= pairs
    assert 0 <= mixed <= sentiments
    assert chosen + paired <= either
    total = sum(found)
    met = all(abs(n - share * total) <= 3 for n, share in zip(found, shares, strict=True))
    assert met or chosen + paired >= int(either * (1 - THINNED)) - 1


@given(st.lists(st.integers(-1, 2), max_size=40))
def test_thinned_labels_are_even_unless_that_costs_too_much(found):
    labels = np.array(found, np.int8)
    kept = thinned(labels, np.arange(len(labels), dtype=np.uint64))
    assert not kept[labels < 0].any()
    counts = np.unique(labels[kept], return_counts=True)[1].tolist()
    before = np.unique(labels[labels >= 0], return_counts=True)[1].tolist()
    assert counts in ([min(before, default=0)] * len(before), before)
    assert sum(counts) >= (1 - THINNED) * sum(before)


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 50))
def test_labels_are_taken_evenly(found, amount):
    labels = np.array(found, np.int8)
    taken = evenly(labels, amount, np.arange(len(labels), dtype=np.uint64))
    assert len(taken) == len(set(taken.tolist())) == min(amount, len(labels))
    counts, have = np.bincount(labels[taken], minlength=4), np.bincount(labels, minlength=4)
    for label in range(4):
        assert counts[label] == have[label] or counts[label] >= counts.max() - 1


def rows_of(n, make):
    rng = np.random.default_rng(2)
    rows = [make(rng, i) for i in range(n)]
    return pa.Table.from_pylist(rows)


def choice(rng, i, leak):
    letters = [f"w{rng.integers(300)} w{rng.integers(300)} w{rng.integers(300)}" for _ in range(6)]
    label = int(rng.integers(6))
    anchor = letters[label] if leak == "overlap" else "nothing shared"
    if leak == "form":
        letters[label] += "!"
    return {"kind": "choice", "text_a": anchor, "text_b": None, "options": letters, "label": label}


@pytest.mark.parametrize(
    ("leak", "overlap", "form"), [("overlap", 1, 0), ("form", 0, 1), ("", 0, 0)]
)
def test_a_leak_is_measured(leak, overlap, form):
    table = rows_of(800, lambda rng, i: choice(rng, i, leak))
    found = shortcuts(table, tuple("ABCDEF"))["choice"]
    assert found == shortcuts(table, tuple("ABCDEF"))["choice"]
    assert found["rows"] == 400
    assert (found["overlap"] > 0.98) == overlap
    assert (found["form"] > 0.98) == form
    assert overlap or found["overlap"] < 0.25
    assert form or found["form"] < 0.25


def test_leaks_of_classes_are_measured_too():
    def pair(rng, i):
        label = int(rng.integers(3))
        second = ["another", "the old thing", "the same old text"][label] + f" w{rng.integers(90)}"
        row = {"kind": "pair", "text_a": "the same old text", "text_b": second}
        return {**row, "options": [], "label": label}

    found = shortcuts(rows_of(600, pair), ("no", "maybe", "yes"))["pair"]
    assert found["overlap"] > 0.95
    assert found["chance"] == 0.333
    uneven = shortcuts(rows_of(600, pair), ("no", "maybe", "yes"), {"no": 1, "maybe": 2, "yes": 5})
    assert uneven["pair"]["chance"] == 0.625
    few = shortcuts(rows_of(19, pair), ("no", "maybe", "yes"))
    assert few == {}
