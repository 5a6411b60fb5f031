"""docs/scale.md states what its command prints, and the model does what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sample import TOLD, Measured, measure
from benchmarks.scale import costs, known, lengths, limits, parsed, skew, tables, written
from pipelines.config import BuildConfig
from tests.builds import DOCUMENTS

PAGE = Path(__file__).parents[1] / "docs/scale.md"


@pytest.fixture(scope="module")
def sample():
    return known(PAGE.read_text())


def test_the_page_is_what_the_command_prints(sample):
    page = PAGE.read_text()
    assert written(page, tables(sample, parsed([]))) == page
    told = page.partition("## Measured")[0]
    assert "python -m benchmarks.scale" in told


def test_prices_are_parameters(sample):
    def money(*flags):
        return [float(row[-1].replace(",", "")) for row in costs(sample, parsed(list(flags)))]

    base = money()
    free = money("--cpu_hour", "0", "--gb_hour", "0", "--shuffle_gb", "0")
    twice = money("--cpu_hour", "0.112", "--gb_hour", "0.007114", "--shuffle_gb", "0.022")
    assert free == [0, 0, 0]
    assert twice == pytest.approx([2 * one for one in base], abs=0.02)


def test_more_memory_moves_the_limits_that_are_of_memory(sample):
    def met(*flags):
        rows = limits(sample, parsed(list(flags)))
        return {name: float(web.replace(",", "")) for name, _, _, web, _ in rows}

    small, large = met(), met("--memory_gb", "8")
    assert large["documents' ids"] == pytest.approx(2 * small["documents' ids"], rel=0.01)
    assert large["numbers of shards"] == small["numbers of shards"]


def test_a_build_of_many_shards_shuffles_more(sample):
    few, many = sample.packed(1), sample.packed(10**6)
    assert (few, many) == (sample.packed_few, sample.packed_many)
    assert few < sample.packed(100) < many
    half = replace(sample, read=sample.read / 2)
    assert half.cpu == pytest.approx(sample.cpu - sample.read / 2)


def test_synthetic_documents_are_as_long_as_told():
    found = np.log(lengths(40_000, 2_000, 1.2))
    assert np.exp(np.median(found)) == pytest.approx(2_000, rel=0.03)
    assert found.std() == pytest.approx(1.2, rel=0.02)


def test_skew_is_that_of_the_places_a_build_gives(monkeypatch):
    count, shards, most, least = skew(4, 0.5, 2_000, 1.2)
    assert shards == 8
    assert least < 1 < most < 2
    monkeypatch.setattr(BuildConfig, "shard_in", lambda *_: ("train", 0))
    assert skew(4, 0.5, 2_000, 1.2) == [count, 8, 8.0, 0.0]


def test_a_sample_is_measured():
    source = DOCUMENTS / "science.jsonl"
    found = measure([str(source)], 1)
    assert isinstance(found, Measured)
    assert found.documents == source.read_bytes().count(b"\n")
    assert 0 < found.packed_few <= found.packed_many
    assert min(getattr(found, name) for name in TOLD) >= 0
    assert found.cpu > 0
