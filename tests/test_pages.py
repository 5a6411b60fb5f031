"""Parquet files whose pages or rows unpack to more than any memory: told before they are read."""

import io
import json
from contextlib import suppress
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.preparing import ReadOptions
from pipelines.readers import expand, read
from ppt.base import pages
from ppt.base.pages import LargePageError, Pages, bounded_table
from ppt.corpus.records import Document
from ppt.corpus.storage import MANIFEST, open_corpus
from ppt.errors import CorpusError, InputError
from ppt.results.predictions import PREDICTION_COLUMNS, read_predictions
from ppt.results.selection import PREDICTIONS
from ppt.tasks.readers import read_table
from tests.toys import toy_corpus

NUMBERS = pa.table(
    {"text": pa.array(range(5000), pa.int64()), "other": [["x" * 300]] * 5000},
    pa.schema([pa.field("text", pa.int64(), nullable=False), ("other", pa.list_(pa.string()))]),
)


def written(table, **how):
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    return io.BytesIO(sink.getvalue())


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_largest_page_is_found(compression, version):
    how = {"compression": compression, "data_page_version": version, "use_dictionary": ["other"]}
    file = written(NUMBERS, **how)
    assert Pages(file).largest(0, ["text"]) == 5000 * 8
    assert file.tell() == 0  # as whoever reads on expects
    file = written(NUMBERS, data_page_size=1000, write_batch_size=100, row_group_size=2000, **how)
    assert [Pages(file).largest(group, ["text"]) for group in range(4)] == [1600] * 3 + [0]


@given(
    st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=9)), min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 50),
)
def test_as_arrow_counts_them(columns, dictionary, page):
    rows = min(map(len, columns.values()))
    table = pa.table({name: pa.array(own[:rows], pa.string()) for name, own in columns.items()})
    file = written(table, use_dictionary=dictionary, data_page_size=page, write_batch_size=3)
    metadata = pq.read_metadata(file)
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        for number, name in enumerate(table.column_names):
            largest = Pages(file).largest(group, [name])
            whole = found.column(number).total_uncompressed_size  # with headers
            assert (0 < largest < whole) == (rows > 0)
    assert bounded_table(file).equals(table)


@given(st.data())
def test_damage_is_left_to_arrow(data):
    whole = bytearray(written(NUMBERS.slice(0, 50)).getvalue())
    for _ in range(data.draw(st.integers(1, 9))):
        place = data.draw(
            st.integers(0, len(whole) - 1) | st.integers(len(whole) - 900, len(whole) - 1)
        )
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(LargePageError):
        assert Pages(io.BytesIO(whole)).largest(0) <= pages.MOST


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_values_of_lists_are_counted(version, dictionary):
    """Equal values take next to nothing packed, and 8 bytes each in memory."""
    lists = pa.array([[0] * 1000] * 500, pa.list_(pa.int64()))
    table = pa.table({"x": lists, "y": [1] * 500, "z": [{"in": [1.5] * 10}] * 500})
    how = {"data_page_version": version, "use_dictionary": dictionary, "compression": "zstd"}
    for page in (1 << 20, 1000):
        found = Pages(written(table, data_page_size=page, write_batch_size=100, **how))
        for name, values in (("x", 1000), ("y", 1), ("z", 10)):
            assert found.row(0, [name]) == max(found.largest(0, [name]), 8) * values
        assert found.row(0) == max(found.row(0, [name]) for name in "xyz")


def test_lists_that_unpack_to_much_are_read_few_rows_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(pages, "MOST", 1 << 20)
    rows = pa.table({"text": ["a"] * 40, "x": [[0] * 50_000] * 40})
    file = written(rows, compression="zstd")
    assert len(file.getvalue()) < 3000
    found = [batch.num_rows for batch in pages.batches(file)]
    assert sum(found) == 40
    assert max(found) <= 2  # 400 kB each
    longer = rows.set_column(1, "x", [[[0] * 200_000] * 40])
    pq.write_table(longer, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(InputError, match=r"a\.parquet: a row of lists unpacks to 1 MiB, expected"):
        read_table(tmp_path / "a.parquet")


LONG = "A text without end " * 200_000
TOLD = "a page unpacks to 3 MiB, expected at most 1: write the file with smaller pages"


@pytest.fixture
def small(monkeypatch):
    """A bound that small files pass."""
    monkeypatch.setattr(pages, "MOST", 1 << 20)
    monkeypatch.setattr(pages, "MOST_ROWS", 1 << 22)


def test_a_document_of_a_large_page_is_a_reject(small, tmp_path):
    table = pa.table({"text": ["One. Two.", LONG, "Short.", "Three. Four."]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", row_group_size=1)
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    (part,) = expand([str(tmp_path / "a.parquet")])
    texts = [one.text if isinstance(one, Document) else (one.reason, one.detail)
             for one in read(part, ReadOptions())]  # fmt: skip
    assert texts == ["One. Two.", ("too_long", TOLD), "Short.", "Three. Four."]


def test_labelled_data_of_a_large_page_is_one_line(small, tmp_path):
    pq.write_table(pa.table({"text": [LONG], "label": [0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=rf"a\.parquet: {TOLD}\.$"):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (lambda n: pa.array([LONG] + ["a"] * (n - 1)), "a page unpacks to 3 MiB"),
        (lambda n: pa.array([LONG[:200_000]] * n), "its rows unpack to more than 4 MiB"),
    ],
)  # fmt: skip
def test_a_shard_that_unpacks_to_too_much_is_one_line(small, tmp_path, values, told):
    folder = toy_corpus(tmp_path / "sentiment")
    shard = next(folder.glob("train*.parquet"))
    table = pq.read_table(shard)
    at = table.column_names.index("text_a")
    pq.write_table(table.set_column(at, "text_a", values(len(table))), shard, compression="zstd")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"]["train"][0]["bytes"] = shard.stat().st_size
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorpusError, match=f"{shard.name} is corrupt .{told}"):
        open_corpus(folder).read("train")


def test_predictions_that_unpack_to_too_much_are_one_line(small, tmp_path):
    rows = [{one.name: None for one in PREDICTION_COLUMNS} | {"run": run, "text": LONG[:200_000]}
            for run in ("a" * 40, "b" * 3)]  # fmt: skip
    table = pa.Table.from_pylist([rows[0]] * 30 + rows[1:], PREDICTION_COLUMNS)
    pq.write_table(table, tmp_path / PREDICTIONS, compression="zstd")
    many, few = (SimpleNamespace(run=row["run"]) for row in rows)
    assert len(read_predictions(tmp_path, [few])) == 1
    with pytest.raises(InputError, match="its rows unpack to more than 4 MiB"):
        read_predictions(tmp_path, [many])
