"""Packets of documents: what goes in comes out in one order; shards are dealt out evenly."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dealing import dealt
from pipelines.packets import KeyedDocument, Records, Spool, decode, encode
from ppt.corpus.records import REASONS, Reject

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
DOCUMENTS = st.lists(
    st.builds(KeyedDocument, st.binary(min_size=16, max_size=16), TEXTS,
              st.lists(TEXTS, min_size=1, max_size=3), TEXTS, st.integers(0, 2**40),
              st.integers(0, 2**40), st.sampled_from(["", "lines"]),
              cluster=st.none() | st.integers(0, 2**64 - 1)),
    max_size=8,
    unique_by=lambda one: (one.source, one.offset),
)  # fmt: skip
REJECTS = st.lists(
    st.builds(Reject, st.just("a") | TEXTS, st.integers(0, 1), st.sampled_from(sorted(REASONS)[:2]),
              TEXTS),
    max_size=4,
)  # fmt: skip
"""Parts of a document that is cut share a place, and may be refused for one reason."""


@given(DOCUMENTS, REJECTS, st.randoms(use_true_random=False))
def test_what_is_packed_comes_out_in_one_order(documents, rejects, chance):
    packets = [encode(Records([document])) for document in documents]
    packets += [encode(Records([], [reject])) for reject in rejects]
    found = decode(packets)
    chance.shuffle(packets)
    again = decode(packets)
    assert len(found.documents) + len(found.rejects) == len(documents) + len(rejects)
    firsts = {}
    for one in sorted(documents, key=lambda one: (one.source, one.offset)):
        firsts.setdefault(one.key, one)
    bare = [one._replace(sentences=()) for one in found.documents]
    assert sorted(bare) == sorted(one._replace(sentences=()) for one in documents)
    texts = [one for one in found.documents if one.sentences]
    assert sorted(texts) == sorted(firsts.values())
    keys = [(d.key, d.source, d.offset) for d in found.documents]
    assert keys == sorted(keys) == [(d.key, d.source, d.offset) for d in again.documents]
    assert found.rejects == again.rejects
    assert Counter(found.rejects) == Counter(rejects)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_spool_gives_back_each_packet_in_any_order(tmp_path, on_disk):
    spool = Spool(str(tmp_path) if on_disk else None)
    calls = [[random.Random(n).randbytes(n * 7) for n in range(k)] for k in (3, 0, 5)]
    handed = [
        (packet, data) for call in calls for packet, data in zip(spool.put(call), call, strict=True)
    ]
    for packet, data in reversed(handed):
        assert spool.get(packet) == data
        assert packet[2] == len(data)
    moved = sum(isinstance(packet[0], bytes) for packet, _ in handed)
    assert moved == (0 if on_disk else len(handed))


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 9))
def test_shards_are_dealt_out_evenly(sizes, workers):
    order = dealt(sizes, workers)
    assert sorted(order) == list(range(len(sizes)))
    hands = [[sizes[i] for i in order[worker::workers]] for worker in range(workers)]
    loads = [sum(hand) for hand in hands]
    # Rounds are sorted, so two workers never differ by more than the largest element.
    assert max(loads) - min(loads) <= max(sizes, default=0)
    for hand in hands:
        assert hand == sorted(hand, reverse=True)
