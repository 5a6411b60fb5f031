"""What runners show of a build: counters that are the manifests' sums, times, lines of JSON."""

import io
import json
import logging
import time

import apache_beam as beam
import pytest
from rich.console import Console

from pipelines import local
from ppt.corpus.formats import FORMATS
from tests.builds import build, good_documents, ledger_holds, manifest, write_jsonl

STAGES = ("read", "relate", "pool", "label", "build", "write")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A build, the metrics that its runner told, and the lines that its workers wrote."""
    folder = tmp_path_factory.mktemp("watched")
    broken = [{"id": "no text"}, {"id": "short", "text": "One."}]
    source = write_jsonl(folder / "in.jsonl", [*good_documents(8), *good_documents(2), *broken])
    results, lines = [], []
    run = beam.Pipeline.run

    def kept(self, *given, **named):
        results.append(run(self, *given, **named))
        return results[-1]

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler, log = Lines(), logging.getLogger("ppt.build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam.Pipeline, "run", kept)
        patch.setattr(log, "level", logging.INFO)
        log.manager._clear_cache()
        log.addHandler(handler)
        build("--input", source, "--output", folder / "c", "--num_shards", 2)
        log.removeHandler(handler)
    log.manager._clear_cache()
    return folder / "c", results[0].metrics().query(), [json.loads(line) for line in lines]


def test_counters_are_what_the_manifests_say(watched):
    folder, metrics, _ = watched
    found = {one.key.metric.name: one.committed for one in metrics["counters"]
             if one.key.metric.namespace == "ppt"}  # fmt: skip
    documents, sentences = ledger_holds(folder), manifest(folder)["sentences"]
    assert documents["rejected"] == {"missing_field": 1, "too_few_sentences": 1}
    assert found == {
        "found_documents": 11,
        "found_rejects": 1,
        "found_characters": found["found_characters"],
        "documents_read": documents["read"],
        "documents_kept": documents["kept"],
        "documents_duplicate": documents["duplicates"],
        **{f"rejected_{reason}": number for reason, number in documents["rejected"].items()},
        "sentences_read": sentences["read"],
        "sentences_usable": sentences["usable"],
        **{f"rows_{name}": manifest(folder, name)["examples"]["rows"] for name in FORMATS},
        "shards_written": 3,
    }
    assert found["documents_duplicate"] == 2
    assert found["found_characters"] >= documents["characters"]


def test_each_stage_tells_its_time(watched):
    _, metrics, _ = watched
    found = {one.key.metric.name: one.committed for one in metrics["distributions"]
             if one.key.metric.namespace == "ppt"}  # fmt: skip
    assert set(found) == {f"{stage}_ms" for stage in STAGES}
    assert found["build_ms"].count == found["write_ms"].count == 3
    assert found["build_ms"].sum > 0


def test_workers_write_lines_of_json(watched):
    folder, _, lines = watched
    (read,) = (line for line in lines if line["event"] == "read")
    assert (read["documents"], read["rejects"]) == (11, 1)
    shards = [line for line in lines if line["event"] == "shard_written"]
    assert sorted((line["split"], line["number"]) for line in shards) == [
        ("train", 0), ("train", 1), ("validation", 0),
    ]  # fmt: skip
    assert sum(line["documents_kept"] for line in shards) == manifest(folder)["documents"]["kept"]
    assert not any(line["kept"] for line in shards)  # none was left by an earlier build
    assert lines[-1] == {"event": "manifests_written", "formats": sorted(FORMATS)}


def test_without_a_terminal_a_line_tells_how_far_a_build_is(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "LINE_EVERY", 0.02)
    said = io.StringIO()
    board = local.Board(str(tmp_path))
    board.add(documents=1200, text_bytes=3_400_000, shards=1)
    with local.shown(str(tmp_path), 9, Console(file=said)):
        while "\n" not in said.getvalue():
            time.sleep(0.01)
    assert said.getvalue().splitlines()[0] == (
        "building: 1,200 documents, 3.4 MB, 1 of 9 shards in 0 min"
    )
