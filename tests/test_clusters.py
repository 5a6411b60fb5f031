"""Which documents belong together, against exact answers in plain Python; what repeats."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config import BuildConfig
from ppt.base import words as words_module
from ppt.base.streams import mix
from ppt.base.text import content_key
from ppt.base.words import hashes_of, words_of
from ppt.corpus.clusters import COMMON, EDGE, LINK, MEMBER, Clusters, cluster, edges, link
from ppt.corpus.exclusion import Excluded
from ppt.corpus.repeats import STANDING, barred, repeated, standing
from ppt.corpus.shingles import SAMPLE, sample_shingles
from tests.relatives import SIGNED, containments, edition, families, report, sentence, words

TEXTS = st.lists(
    st.lists(st.sampled_from(["Ab", "cd7", "é", "你好", "don’t", "x_y", "-", "\n\n", "😀"]))
    .map(" ".join), max_size=6,
)  # fmt: skip


def clusters_of(texts, parts=3, numbers=None):
    """The whole way, with samples and links divided in parts."""
    numbers = numbers or range(len(texts))
    samples = np.concatenate([np.empty(0, SAMPLE)] + [
        sample_shingles([number], [text]) for number, text in zip(numbers, texts, strict=True)
    ])  # fmt: skip
    links = [link(samples[samples["hash"] % parts == part]) for part in range(parts)]
    links = np.concatenate([np.empty(0, LINK), *links])
    found = [edges(links[links["one"] % 2 == part]) for part in range(2)]
    return cluster(np.concatenate([np.empty(0, EDGE), *found]))


def ids(texts, **how):
    """For each text the first that it is in a cluster with."""
    found = clusters_of(texts, **how).of(np.arange(len(texts), dtype=np.uint64)).tolist()
    return list(map(found.index, found))


@given(TEXTS)
def test_words_are_runs_of_letters_and_digits_whatever_stands_beside_them(texts):
    found = words_of(texts)
    spelled = []
    for text in texts:
        parted = text.replace("你", " 你 ").replace("好", " 好 ").replace("_", " ")
        spelled.append(words(parted))
    assert found.counts.tolist() == [len(one) for one in spelled]
    names = {}
    for word, number in zip(
        (w for one in spelled for w in one), found.hashes.tolist(), strict=True
    ):
        assert names.setdefault(word, number) == number
    assert len(set(names.values())) == len(names)


def test_signs_that_nobody_sees_part_no_words():
    seen = [" ".join(report(random.Random(1), 9)), "❤ it", ""]
    for sign in ("\u00ad", "\u200b", "\u2060", "\ufe0f", "\u202e"):
        found = words_of([sign.join(text) + sign for text in seen])
        right = words_of(seen)
        assert (found.hashes == right.hashes).all()
        assert (found.starts == right.starts).all()
    soft = "\u00ad".join(seen[0])  # as web pages have it: one text, which is kept once
    assert ids([seen[0], " ".join(report(random.Random(2), 9)), soft]) == [0, 1, 0]


def test_words_do_not_depend_on_how_the_text_is_cut_to_hash_it(monkeypatch):
    texts = [" ".join(report(random.Random(n), 9)) for n in range(4)]
    texts += ["", *(sign * 70 for sign in "abcdef"), "x" * 300]
    whole, hashes = words_of(texts), hashes_of(texts)
    monkeypatch.setattr(words_module, "_BLOCK", 150)
    cut = words_of(texts[:-1])
    assert (cut.hashes == whole.hashes[:-1]).all()
    assert (cut.starts == whole.starts[:-1]).all()
    assert [int(hashes_of([text])[0]) for text in texts] == hashes.tolist()
    assert len(set(hashes.tolist())) == len(texts)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_no_document_is_parted_from_one_that_holds_its_text(seed):
    rng = random.Random(seed)
    grouped = families(rng)
    order = [(family, text) for family, texts in enumerate(grouped) for text in texts]
    rng.shuffle(order)
    texts = [text for _, text in order]
    found = ids(texts)
    for (one, other), part in containments(texts, COMMON).items():
        if part >= 0.8:
            assert found[one] == found[other], (texts[one], texts[other])
    owner = {}
    for name, (family, _) in zip(found, order, strict=True):
        assert owner.setdefault(name, family) == family  # strangers are not joined


@settings(max_examples=6)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_parts_and_order_decide_nothing(seed, parts):
    rng = random.Random(seed)
    texts = [text for family in families(rng, 8) for text in family]
    numbers = [rng.getrandbits(64) for _ in texts]
    one = clusters_of(texts, parts, numbers)
    both = list(zip(numbers, texts, strict=True))
    rng.shuffle(both)
    numbers, texts = zip(*both, strict=True)
    assert (clusters_of(texts, 1, numbers).members == one.members).all()


def test_a_family_of_a_thousand_is_one_cluster():
    rng = random.Random(1)
    lines = report(rng)
    texts = [" ".join(edition(rng, lines, number)) for number in range(1000)]
    assert set(ids(texts)) == {0}


def test_a_letterhead_in_all_documents_joins_none_and_hides_no_pair():
    rng = random.Random(2)
    head = " ".join(sentence(rng) for _ in range(5))
    letters = [f"{head} {' '.join(report(rng, 12))} {SIGNED}" for _ in range(300)]
    twin = letters[7].replace("garden", "meadow", 1)
    found = ids([*letters, twin, f"{head} {SIGNED}"])
    assert found[7] == found[300] == 7
    assert len(set(found[:300])) == 300  # the bare letterhead, in all of them, joins at most one


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["", "", "!?"], [0, 1, 2]),
        (["Thanks a lot.", "thanks, a LOT", "Thanks a lot to all."], [0, 0, 2]),
        (["One two three four five six seven eight."] * 2, [0, 0]),
        (["One two three four five six seven eight nine ten.",
          "Zero one two three four five six seven eight nine ten eleven twelve."], [0, 0]),
    ],
)  # fmt: skip
def test_short_documents(texts, expected):
    assert ids(texts) == expected


def test_the_longest_is_kept_and_the_smallest_names_the_cluster():
    rng = random.Random(3)
    lines = report(rng)
    quoted = [*lines, *report(rng, 4)]
    found = clusters_of([" ".join(quoted), " ".join(lines), " ".join(quoted)], numbers=[9, 5, 7])
    named = int(mix(np.array([5], np.uint64))[0])
    assert found.members.tolist() == [(5, named, 7), (7, named, 7), (9, named, 7)]
    assert sorted(found.others.tolist()) == [5, 9]
    assert found.counts() == {"clusters": 1, "documents": 3, "largest": 3}
    assert found.of(np.array([9, 4], np.uint64)).tolist() == [named, 4]
    assert Clusters().of(np.array([4], np.uint64)).tolist() == [4]
    assert Clusters().members.dtype == MEMBER


@given(st.lists(st.lists(st.sampled_from(["One.", "one!", "Two 1.", "Two 2.", "Three.", "é."]))),
       st.sets(st.integers(0, 9)))  # fmt: skip
def test_what_repeats_is_counted_over_all_documents(documents, gone):
    keys = [[content_key(text) for text in document] for document in documents]
    rows = np.concatenate([np.empty(0, STANDING), standing(range(len(keys)), keys)])
    found = repeated(np.concatenate([rows, rows]), np.array([*gone], np.uint64))
    counts = Counter(key for number, own in enumerate(keys) if number not in gone
                     for key in set(own))  # fmt: skip
    expected = {(int(hashes_of([key])[0]), number) for number, own in enumerate(keys)
                for key in own if counts[key] > 1 and number not in gone}  # fmt: skip
    assert sorted(found.tolist()) == sorted(expected)


def test_large_clusters_are_in_the_validation_split_as_often_as_small_ones():
    config = BuildConfig(validation_fraction=0.3)
    rng = random.Random(0)
    sizes = rng.choices((2, 40), k=2000)
    numbers = [[rng.getrandbits(64) for _ in range(size)] for size in sizes]
    edge = [(min(own), other, (1, 1)) for own in numbers for other in own if other != min(own)]
    known = cluster(np.array(edge, EDGE))
    for size in (2, 40):
        firsts = np.array([own[0] for own in numbers if len(own) == size], np.uint64)
        held = [config.split_of(int(one)) == "validation" for one in known.of(firsts)]
        assert 0.25 < np.mean(held) < 0.35


KEYS = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6, unique=True), max_size=8)


@given(KEYS, st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_what_only_a_cluster_has_stays_with_the_first_of_its_documents(documents, groups):
    rows = np.concatenate([np.empty(0, STANDING), standing(range(len(documents)), documents)])
    firsts = {group: groups.index(group) for group in groups}
    members = [(n, firsts[g], 0) for n, g in enumerate(groups) if groups.count(g) > 1]
    found = barred(repeated(rows, np.empty(0, np.uint64)), Clusters(np.array(members, MEMBER)))
    expected = set()
    for key in "abcdef":
        have = [number for number, own in enumerate(documents) if key in own]
        alone = len({groups[number] for number in have}) == 1
        expected |= {(int(hashes_of([key])[0]), n) for n in have[alone:] if len(have) > 1}
    assert set(found.tolist()) == expected


ROWS = st.lists(st.lists(st.sampled_from(["a", "b", "No", "c-d"]), max_size=16).map(" ".join))


@given(ROWS, ROWS)
def test_sentences_that_share_words_with_a_row_are_found(rows, sentences):
    excluded = Excluded.of([("x", f"line {n}") for n in range(len(rows))], rows)
    again = Excluded.from_bytes(excluded.to_bytes())
    told = excluded.hits(sentences).tolist()
    assert again.hits(sentences).tolist() == told
    assert [tuple(name) for name in again.names] == list(excluded.names)
    for text, hit in zip(sentences, told, strict=True):
        own = words(text)
        expected = [n for n, row in enumerate(rows) if shares(own, words(row))]
        assert hit == min(expected, default=-1)


def shares(own, row):
    if len(row) < 8:
        return bool(row) and own == row
    length = min(len(row), 13)
    runs = {tuple(row[i : i + length]) for i in range(len(row) - length + 1)}
    return any(tuple(own[i : i + length]) in runs for i in range(len(own) - length + 1))


def test_a_treebanks_negation_is_the_same_words():
    row = "it does n't work , and that is all that there is to say of it"
    excluded = Excluded.of([("sst2", "line 1")], [row])
    sentences = ["Well, it doesn't work, and that is all that there is to say of it!", "Another."]
    assert excluded.hits(sentences).tolist() == [0, -1]
    assert excluded.digest("sst2") != Excluded.of([("sst2", "")], [row[:-3]]).digest("sst2")


@pytest.mark.parametrize(
    "sentence",
    [
        "We find (as you'd think) that it doesn't work at all!",
        "We \ufb01nd - as you’d think - that it does n’t work at all.",
        "We find as you'd th\u00adink that it doesn't wo\u200brk at\ufeff all.",
        "\uff37e \uff26\uff29\uff2e\uff24 as you'd think that it doesn't work at all",
        "We find as you\u02bcd \u2764\ufe0f think\u200e th\u202eat it doesn't work at all",
    ],
)
def test_words_are_the_same_however_they_are_written(sentence):
    row = "we find -lrb- as you 'd think -rrb- that it does n't work at all"
    assert Excluded.of([("sst2", "line 1")], [row]).hits([sentence]).tolist() == [0]
    assert Excluded.of([("x", "line 1")], [sentence]).hits([row, "We find it."]).tolist() == [0, -1]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("You can not like it .", "You cannot like it."),
        ("Can not you ?", "Cannot you?"),
        ("'T is so , and we 're gon na go", "’Tis so, and we're gonna go."),
        ("you got ta lem me , i wan na", "You gotta lemme, I wanna!"),
        ("Ο ΚΟΣΜΟΣ ΜΟΥ", "Ο κόσμος μου".replace("ό", "ο")),
    ],
)
def test_what_treebanks_part_and_other_forms_of_letters(row, sentence):
    excluded = Excluded.of([("x", "line 1")], [row])
    assert excluded.hits([sentence, row, "You can do it.", "Tis"]).tolist() == [0, 0, -1, -1]
