"""Rows of two runs against each other: counts, an exact test, an interval."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.paired import Paired, compare, main, read, together
from ppt.errors import InputError


def kept(path, correct, run="a"):
    names = [f"row-{i}" for i in range(len(correct))]
    columns = {"run": run, "task": "toy"}
    rows = [
        {**columns, "id": name, "correct": one} for name, one in zip(names, correct, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_counts_and_the_exact_test(tmp_path, monkeypatch, capsys):
    first = kept(tmp_path / "a.parquet", [True] * 3 + [False] * 7)
    second = kept(tmp_path / "b.parquet", [True] * 2 + [False] * 2 + [True] * 6)
    found = compare(read(first), read(second))
    assert found == Paired(rows=10, both=2, lost=1, gained=6)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)  # by hand: 0 or 1 of seven fair coins
    low, high = found.interval
    assert (low + high) / 2 == pytest.approx(0.5)
    monkeypatch.setattr("sys.argv", ["paired", str(first), str(second), str(first)])
    main()
    told = capsys.readouterr().out.splitlines()
    assert "30.0% and 80.0%, +50.0" in told[0]
    assert "30.0% and 30.0%, +0.0 (+0.0 to +0.0); 0 gained, 0 lost (p = 1.0000)" in told[1]
    assert "all 2 in the mean: +25.0 (" in told[2]


def test_the_mean_of_several_has_the_interval_of_its_rows():
    first = dict.fromkeys("abcd", False)
    others = [{**first, "a": True, "b": True}, {**first, "a": True}]
    mean, low, high = together(first, others)  # gains of rows 1, 1/2, 0, 0
    assert (mean, (low + high) / 2) == pytest.approx((0.375, 0.375))
    assert high - mean == pytest.approx(1.96 * (0.171875 / 4) ** 0.5)


def test_equal_runs_differ_by_nothing():
    assert Paired(5, 3, 0, 0).p == 1.0
    assert Paired(5, 1, 2, 2).p == 1.0
    assert Paired(5, 3, 0, 0).interval == (0.0, 0.0)


def test_other_rows_or_several_runs_are_one_line(tmp_path):
    with pytest.raises(InputError, match="2 and 3 rows, of which 2 are alike"):
        compare({"a": True, "b": True}, {"a": True, "b": True, "c": False})
    one, other = kept(tmp_path / "a", [True]), kept(tmp_path / "b", [True], run="b")
    both = pa.concat_tables([pq.read_table(one), pq.read_table(other)])
    pq.write_table(both, tmp_path / "both")
    pq.write_table(pa.concat_tables([pq.read_table(one)] * 2), tmp_path / "twice")
    twice = read(tmp_path / "twice")
    assert compare(twice, twice).rows == 2, "a text that stands twice is two rows"
    renamed = pq.read_table(one).set_column(1, "task", [["another"]])
    pq.write_table(renamed, tmp_path / "another")
    with pytest.raises(InputError, match="1 and 1 rows, of which 0 are alike"):
        compare(read(one), read(tmp_path / "another"))
    with pytest.raises(InputError, match="holds 2 runs, expected one"):
        read(tmp_path / "both")
    with pytest.raises(InputError, match=r"cannot be read .*: give a folder of results"):
        read(tmp_path)
