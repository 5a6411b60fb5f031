"""What the tables of docs/corpora.md count is what they say."""

import sys

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.real_texts import TWIN, main, sentences, twins
from tests.builds import DOCUMENTS
from tests.checker import shingles
from tests.forks import forked

drawn = st.lists(st.sampled_from("abcdefghij"), min_size=8, max_size=40).map(" ".join)


@st.composite
def families(draw):
    """Texts, and copies of them with an end of their own."""
    texts = draw(st.lists(drawn, min_size=1, max_size=4))
    more = [f"{text} {draw(st.sampled_from('abz'))}" for text in texts]
    mixed = draw(st.permutations(texts + more))
    place = draw(st.integers(0, len(mixed)))
    return mixed[:place], mixed[place:]


@given(families())
def test_twins_are_those_of_whole_sets(found):
    train, validation = found

    def jaccard(one, other):
        a, b = shingles(one), shingles(other)
        return len(a & b) / len(a | b)

    expected = sum(any(jaccard(one, other) >= TWIN for other in train) for one in validation)
    assert twins(train, validation) == (expected, len(validation))


def test_sentences_of_pairs_are_known_by_their_letters():
    rows = pa.table({"text_a": ["It rains.", "It snows."], "text_b": ["it RAINS", "It melts!"]})
    assert sentences(rows) == {"itrains", "itsnows", "itmelts"}


def test_a_row_of_each_table_for_a_file_of_documents(tmp_path, monkeypatch):
    whole = tmp_path / "essays.jsonl"
    whole.write_text("".join(path.read_text() for path in sorted(DOCUMENTS.glob("*.jsonl"))))
    tested = tmp_path / "rows.lines"
    tested.write_text("No document has these words.\n")
    argv = ["--input", whole, "--tested", tested, "--", "--validation_fraction", "0.2"]
    monkeypatch.setattr(sys, "argv", ["real_texts", *map(str, argv)])
    child = forked(lambda _: main(), (), log=tmp_path / "said")
    child.join()
    said = (tmp_path / "said").read_text()
    assert child.exitcode == 0, said
    first, second = said.strip().split("\n\n")
    for table, cells in ((first, 7), (second, 9)):
        header, _, row = table.split("\n")
        assert header.count("|") == row.count("|") == cells + 1
        assert row.startswith("| essays | ")
    assert " | 0 of " in first
