"""The whole pipeline on real runners: the same bytes however it runs, and what is on disk."""

import gzip
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from matplotlib.image import imread
from safetensors.numpy import load_file, save_file

from pipelines.config import BuildConfig
from pipelines.job import Job, run
from pipelines.lean import SPARED
from pipelines.ledger import (
    DocumentCounts,
    ExampleCounts,
    FormatResult,
    SentenceCounts,
    ShardResult,
    pack_ids,
)
from pipelines.packets import Spool
from ppt.base.files import SCRATCH
from ppt.corpus import storage
from ppt.corpus.formats import FORMATS
from ppt.corpus.histograms import HISTOGRAMS, histograms
from ppt.corpus.sentiment import LABELS, class_distribution, keep
from ppt.corpus.storage import MANIFEST, Shard, open_corpus, statistics
from ppt.errors import ConfigError, CorpusError
from ppt.inspect import class_of
from ppt.inspect import main as inspect
from ppt.prompts.patterns import rendered_text, standard_pattern
from ppt.text.vader import vader_compound
from tests.builds import (
    DOCUMENTS,
    ROOT,
    build,
    command,
    digests,
    good_documents,
    ledger_holds,
    manifest,
    rejects,
    write_jsonl,
)
from tests.checker import Checker, Source
from tests.test_labelling import WORDS, save_classifier

FLAGS = ("--num_shards", 4, "--validation_fraction", 0.2)
AT_HOME = """
import sys
from pipelines.build_corpus import main
code = main()
print(*sys.modules, sep="\\n")
sys.exit(code)
"""
"""A command that says what it imported."""

KILLS = int(os.environ.get("PPT_KILLS", "1"))


@pytest.fixture(scope="module")
def inputs():
    return ["--input", str(DOCUMENTS / "*.jsonl")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory, inputs):
    folder = tmp_path_factory.mktemp("reference") / "corpora"
    build(*inputs, "--output", folder, *FLAGS)
    return folder


def documents():
    for path in sorted(DOCUMENTS.glob("*.jsonl")):
        for record in pd.read_json(path, lines=True).to_dict("records"):
            yield record["id"], record["text"]


def test_every_row_is_true_to_its_documents(reference):
    checker = Checker(reference, Source(documents())).check(FORMATS)
    assert not checker.faults, checker.first
    assert checker.rows["unified", "train"] > 1000
    assert max(checker.pair_labels.values()) - min(checker.pair_labels.values()) <= 10


def test_the_checker_can_fail(reference):
    shifted = [(identity, "Once more, a beginning. " + text) for identity, text in documents()]
    assert Checker(reference, Source(shifted)).check(["sentence_pair"]).faults


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, inputs):
    """What two processes built, the seconds that they took, and what the launcher imported."""
    folder, started = tmp_path_factory.mktemp("two") / "c", time.monotonic()
    argv = (*inputs, "--output", folder, *FLAGS, "--workers", "2")
    command = [sys.executable, "-c", AT_HOME, *map(str, argv)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, time.monotonic() - started, set(done.stdout.split("\n"))


def test_more_processes_give_the_same_bytes(by_two, reference):
    assert digests(by_two[0]) == digests(reference)


def test_a_build_at_home_leaves_out_what_it_never_uses(by_two):
    loaded = by_two[2]
    assert "apache_beam" in loaded
    assert not set(SPARED) & loaded


def test_a_job_made_by_hand_gives_the_same_bytes_and_its_manifests(drawn, tmp_path, reference):
    config = BuildConfig(validation_fraction=0.2)
    job = Job(str(DOCUMENTS / "*.jsonl"), str(tmp_path / "c"), config, num_shards=4, workers=1)
    manifests = run(job)
    assert digests(tmp_path / "c") == digests(reference)
    assert list(manifests) == list(FORMATS)
    assert manifests["unified"] == open_corpus(reference / "unified").manifest
    for name in FORMATS:
        assert np.ptp(imread(tmp_path / "c" / name / HISTOGRAMS)[..., :3]) > 0.5, name


@pytest.mark.parametrize("name", FORMATS)
def test_histograms_are_drawn_of_what_lacks_rows_too(drawn, reference, name):
    corpus = open_corpus(reference / name)
    found, none = corpus.manifest, statistics(corpus.read("train").slice(0, 0), name)
    for train in (found.stats["train"], none):
        png = histograms(replace(found, stats={"train": train, "validation": none}))
        assert np.ptp(imread(io.BytesIO(png))[..., :3]) > 0.5


def test_the_job_of_the_manual_runs_as_it_stands(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/corpora.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "Job(" in block)
    (tmp_path / "docs").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in good_documents(9))
    (tmp_path / "docs/some.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(block, namespace)
    assert namespace["manifests"]["sentence_pair"].rows["train"] > 40
    assert (tmp_path / "pairs/sentence_pair/manifest.json").is_file()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": 0}, "--workers: got 0"),
        ({"num_shards": 0}, "--num_shards: got 0"),
        ({"shard_mb": 0.0}, "--shard_mb: got 0.0, expected more"),
    ],
)
def test_jobs_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Job(["x"], **wrong)


def test_many_small_files_are_few_elements_and_a_short_manifest(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [document["text"] for document in good_documents(60)]
    for number, text in enumerate(texts):
        words = " ".join("abcdefghij"[int(digit)] * 9 for digit in f"{number:02}")
        mine = [f"{words} {part}" for part in text.split(". ")]
        (folder / f"{number:02}.txt").write_text(". ".join(one.capitalize() for one in mine))
    (folder / "07.txt").write_bytes(b"\xff")
    (folder / "31.txt").write_bytes(b"")
    flags = ("--input", folder / "*.txt", "--formats", "sentence_pair", *FLAGS)
    put, calls = Spool.put, []
    monkeypatch.setattr(Spool, "put", lambda *args: calls.append(args) or put(*args))
    build(*flags, "--output", tmp_path / "together")
    assert len(calls) < 15  # the documents of all files, each shard by name, and their notes
    monkeypatch.setattr("pipelines.files.share", lambda *_: 1)
    build(*flags, "--output", tmp_path / "apart")
    assert len(calls) > 60
    assert digests(tmp_path / "together") == digests(tmp_path / "apart")
    found = [
        (line["source"], line["offset"], line["reason"]) for line in rejects(tmp_path / "apart")
    ]
    assert found == [("07.txt", 0, "invalid_utf8"), ("31.txt", 0, "blank")]
    told = manifest(tmp_path / "apart")["config"]["inputs"]
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert (told["files"], told["bytes"]) == (60, size)
    assert told["first"] == [f"{number:02}.txt" for number in range(10)]
    names = [[path.name, path.stat().st_size] for path in sorted(folder.iterdir())]
    digest = hashlib.blake2b(json.dumps(names).encode(), digest_size=16).hexdigest()
    assert told["digest"] == digest


def test_direct_runner_is_the_same_runner(tmp_path, inputs, reference):
    flags = (*FLAGS, "--runner", "DirectRunner", "--workers", 1)
    build(*inputs, "--output", tmp_path / "c", *flags)
    assert digests(tmp_path / "c") == digests(reference)


def test_input_order_and_packing_do_not_matter(tmp_path, reference):
    one = tmp_path / "in"
    one.mkdir()
    records = [{"id": i, "text": t} for i, t in documents()]
    random.Random(3).shuffle(records)
    write_jsonl(one / "all.jsonl", records)
    build("--input", one / "*.jsonl", "--output", tmp_path / "c", *FLAGS)
    for name in FORMATS:
        for split in ("train", "validation"):
            mine = open_corpus(tmp_path / "c" / name).read(split)
            assert mine.equals(open_corpus(reference / name).read(split))


@pytest.mark.promise("kill")
def test_runs_killed_at_any_moment_end_in_the_same_bytes(
    tmp_path, inputs, reference, by_two, cases
):
    cases(KILLS)
    whole = by_two[1]
    rng = random.Random(int.from_bytes(os.urandom(4), "little"))
    for _ in range(KILLS):
        folder = tmp_path / f"killed{rng.random()}"
        args = (*inputs, "--output", folder, *FLAGS, "--workers", "2")
        process = subprocess.Popen(
            command(*args), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.3, 1.1) * whole)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        whole_already = (folder / "unified/manifest.json").exists()
        finished = whole_already and not (folder / ".building").exists()
        build(*args[:-2], expect=2 if finished else 0)  # a refusal sweeps scratch too
        assert digests(folder) == digests(reference)
        assert len(list(folder.glob("*/histograms.png"))) == len(FORMATS)
        assert not psutil.wait_procs(workers, timeout=10)[1], "workers outlive their launcher"


def test_a_rerun_keeps_finished_shards_and_leaves_no_litter(
    tmp_path, inputs, reference, monkeypatch
):
    folder = tmp_path / "c"
    from pipelines import finishing

    real = finishing.build_manifests

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(finishing, "build_manifests", crash)
    with pytest.raises(BaseException):  # noqa: B017, PT011
        raise SystemExit(build(*inputs, "--output", folder, *FLAGS, expect=130))
    monkeypatch.setattr(finishing, "build_manifests", real)
    assert not list(folder.glob("*/manifest.json"))
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/*.parquet")}
    assert before
    (folder / f"unified/{SCRATCH}9-left-by-a-killed-worker").write_bytes(b"x")
    build(*inputs, "--output", folder, *FLAGS)
    after = {p: p.stat().st_mtime_ns for p in folder.glob("*/*.parquet")}
    assert after == before
    assert digests(folder) == digests(reference)


def test_the_note_of_a_shard_is_its_result():
    shard = Shard("train-00000-of-00001.parquet", 3, 99, "ab")
    examples = ExampleCounts(anchors=5, rows=3, drops={"no_label": 2})
    result = ShardResult(
        "train", 0, "cd",
        DocumentCounts(4, 2, 1, {"blank": 1}, 70, {"lines": 1}, pack_ids(["a", "é"])),
        SentenceCounts(6, 5, {"too_short": 1}, {"sst2": 1}),
        {"sentence_pair": FormatResult(shard, examples, {"rows": 3, "labels": {"no": 3}})},
        {"sentence_pair/train-00000-of-00001.parquet": 99},
    )  # fmt: skip
    assert ShardResult.from_json(result.to_json()) == result
    assert (result.key, result.counters()["rows_sentence_pair"]) == (("train", 0), 3)


def test_changed_documents_are_not_taken_for_finished(tmp_path, monkeypatch):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(6))
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build("--input", source, "--output", tmp_path / "c")
    text = source.read_text()
    source.write_text(text.replace("sleeps", "dreams"))
    build("--input", source, "--output", tmp_path / "c")
    rows = open_corpus(tmp_path / "c/sentence_pair").read("train")
    assert not any("sleeps" in text for text in rows["text_a"].to_pylist())


def test_documents_that_split_otherwise_are_not_taken_for_finished(tmp_path, monkeypatch):
    """Of the same size, and equal but for white space."""
    records = [
        {**one, "text": one["text"].replace(". ", ".\n").replace(" while", "  while")}
        for one in good_documents(6)
    ]
    source = write_jsonl(tmp_path / "in.jsonl", records)
    flags = ["--input", source, "--splitter", "lines", "--formats", "sentence_pair",
             "--min_sentence_chars", "5"]  # fmt: skip
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build(*flags, "--output", tmp_path / "c")
    before = source.read_text()
    source.write_text(before.replace(".\\n", ".  ").replace("  while", "\\nwhile"))
    assert len(source.read_text()) == len(before)
    build(*flags, "--output", tmp_path / "c")
    build(*flags, "--output", tmp_path / "anew")
    assert digests(tmp_path / "c") == digests(tmp_path / "anew")


def test_finished_corpora_are_refused_and_overwritten_on_request(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    folder = tmp_path / "c"
    build("--input", source, "--output", folder, "--formats", "sentence_pair", "--num_shards", 3)
    build("--input", source, "--output", folder, expect=2)
    assert "already holds sentence_pair" in capsys.readouterr().err
    build("--input", source, "--output", folder, "--formats", "unified")
    build("--input", source, "--output", folder, "--overwrite")
    shards = list((folder / "sentence_pair").glob("*.parquet"))
    assert {p.name for p in shards} == {
        "train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"
    }  # fmt: skip
    assert not (folder / ".building").exists()


def crashed(monkeypatch, *args):
    """A build that got as far as its manifests."""
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build(*args)


def test_what_a_crashed_build_of_other_flags_left_goes(tmp_path, inputs, reference, monkeypatch):
    folder = tmp_path / "c"
    crashed(monkeypatch, *inputs, "--output", folder, "--num_shards", 7)
    build(*inputs, "--output", folder, *FLAGS)
    assert digests(folder) == digests(reference)


def test_a_file_between_ours_that_we_did_not_make_stops_a_build_before_any_work(
    tmp_path, inputs, monkeypatch, capsys
):
    folder = tmp_path / "c"
    flags = (*inputs, "--output", folder, *FLAGS)
    crashed(monkeypatch, *flags)
    (folder / "unified/train-00007-of-00099.parquet").write_bytes(b"looks like ours")
    (folder / "rejects/notes.txt").write_text("mine")
    before = digests(folder)
    build(*flags, expect=2)
    assert "(it has notes.txt, which no build has made)" in capsys.readouterr().err
    (folder / "rejects/notes.txt").unlink()
    build(*flags, "--overwrite", expect=2)
    assert "(it has train-00007-of-00099.parquet, which" in capsys.readouterr().err
    del before["rejects/notes.txt"]
    assert digests(folder) == before


def test_overwriting_keeps_to_what_the_manifest_names(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    flags = ("--input", source, "--output", tmp_path / "c")
    build(*flags, "--formats", "sentence_pair")
    mine = tmp_path / "c/sentence_pair/train-00000-of-00009.parquet"
    mine.write_bytes(b"mine")
    for more in (("--overwrite",), ("--overwrite", "--formats", "unified,sentence_pair")):
        build(*flags, *more, expect=2)
        assert f"it has {mine.name}, which no build has made" in capsys.readouterr().err
    build(*flags, "--formats", "unified")
    assert mine.read_bytes() == b"mine"
    assert open_corpus(tmp_path / "c/sentence_pair").manifest.rows["train"]


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("pattern", "output", "message"),
    [
        ("{x}/sentiment/*.jsonl", "{x}", "contains the input"),
        ("{x}/sentiment/in.jsonl", "{x}/sentiment", "contains the input"),
        ("{x}/**", "{x}/out", "would read the output's"),
        ("{x}/**.jsonl", "{x}/out/deep", "would read the output's"),
        ("{x}/*/*.jsonl", "{x}", "contains the input"),
        ("{x}/[rs]*/*n*.jsonl", "{x}", "contains the input"),
        ("{x}/*/*/*.jsonl", "{x}/out", "would read the output's"),
    ],
)
def test_an_output_that_meets_the_input_is_refused_and_nothing_is_lost(
    tmp_path, capsys, pattern, output, message, link
):
    x = tmp_path / "x"
    (x / "sentiment/deep").mkdir(parents=True)
    for place in ("sentiment", "sentiment/deep"):
        write_jsonl(x / place / "in.jsonl", good_documents(8))
    (x / "sentiment/README.md").write_text("mine")
    (tmp_path / "link").symlink_to(x)
    before = {path: path.read_bytes() for path in x.rglob("*") if path.is_file()}
    pattern = pattern.format(x=tmp_path / "link" if link else x)
    build("--input", pattern, "--input_format", "jsonl", "--output", output.format(x=x), expect=2)
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in x.rglob("*") if path.is_file()} == before


def test_an_output_beside_the_input_in_one_folder_is_fine(tmp_path):
    write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    flags = ("--input", tmp_path / "*.jsonl", "--formats", "sentence_pair")
    build(*flags, "--output", tmp_path / "c")
    build(*flags, "--output", tmp_path / "c", "--overwrite")
    assert manifest(tmp_path / "c")["documents"]["kept"] == 8


def test_files_of_others_are_never_touched(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    theirs = tmp_path / "c" / "unified" / "README.md"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    flags = ("--input", source, "--output", tmp_path / "c")
    for more in ((), ("--overwrite",)):
        build(*flags, *more, expect=2)
        said = capsys.readouterr().err
        assert f"{theirs.parent} is not empty and no corpus alone (it has README.md" in said
    assert [path for path in (tmp_path / "c").rglob("*") if path.is_file()] == [theirs]
    build(*flags, "--formats", "sentence_pair")
    assert theirs.read_text() == "mine"


def test_other_seeds_give_other_examples_of_the_same_split(tmp_path, inputs, reference):
    build(*inputs, "--output", tmp_path / "c", *FLAGS, "--seed", 7, "--formats", "sentence_pair")
    mine, other = (
        open_corpus(tmp_path / "c/sentence_pair"),
        open_corpus(reference / "sentence_pair"),
    )
    for split in ("train", "validation"):
        a, b = mine.read(split), other.read(split)
        assert set(a["document_id"].to_pylist()) == set(b["document_id"].to_pylist())
        assert not a.equals(b)


def test_asking_for_one_format_gives_the_same_rows_as_asking_for_all(tmp_path, inputs, reference):
    build(*inputs, "--output", tmp_path / "c", *FLAGS, "--formats", "unified")
    names = [p.name for p in (tmp_path / "c").iterdir()]
    assert sorted(names) == ["rejects", "unified"]
    alone = {k: v for k, v in digests(tmp_path / "c").items() if k.startswith("unified")}
    assert alone == {k: v for k, v in digests(reference).items() if k.startswith("unified")}


@pytest.mark.parametrize("name", FORMATS)
def test_other_tools_open_the_files(reference, name, tmp_path):
    files = {s: str(reference / name / f"{s}-*.parquet") for s in ("train", "validation")}
    rows = manifest(reference, name)["stats"]["train"]["rows"]
    data = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(data) == rows
    assert tuple(data.features["label"].names) == FORMATS[name].words
    card = load_dataset(str(reference / name), split="train", cache_dir=str(tmp_path / "2"))
    assert len(card) == rows
    assert len(pd.concat(map(pd.read_parquet, (reference / name).glob("train-*.parquet")))) == rows
    found = duckdb.sql(f"select count(*), max(len(options)) from '{files['train']}'").fetchall()[0]
    assert found[0] == rows


def test_documents_and_sentences_are_accounted_for(reference):
    documents = ledger_holds(reference)
    assert documents["read"] == documents["kept"] == 136
    for name in FORMATS:
        data = manifest(reference, name)
        counts = data["sentences"]
        assert counts["read"] == counts["usable"] + sum(counts["drops"].values())
        stated = sum(shard["rows"] for shards in data["shards"].values() for shard in shards)
        stored = sum(
            pq.read_metadata(path).num_rows for path in (reference / name).glob("*.parquet")
        )
        assert stated == stored == data["examples"]["rows"]


def in_version_1(corpus, folder):
    """The corpus as builds wrote it before rows said their kind."""
    folder.mkdir()
    data = json.loads((corpus / MANIFEST).read_text())
    data["format_version"] = 1
    for split, shards in data["shards"].items():
        del data["stats"][split]["kinds"]
        for shard in shards:
            path = folder / shard["name"]
            pq.write_table(pq.read_table(corpus / shard["name"]).drop_columns("kind"), path)
            content = path.read_bytes()
            shard |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_corpora_of_version_1_are_read_and_shown_as_before(reference, name, tmp_path, capsys):
    old = open_corpus(in_version_1(reference / name, tmp_path / name), name, verify="full")
    assert inspect([str(old.folder), "-n", "1"]) == 0
    assert "kind" not in capsys.readouterr().out
    assert inspect([str(reference / name), "-n", "1"]) == 0
    assert "kind" in capsys.readouterr().out
    classes = []
    for folder in (old.folder, reference / name):
        assert inspect([str(folder), "-n", "0", "--sample_by", "class"]) == 0
        classes.append(re.findall("^.* rows$", capsys.readouterr().out, re.MULTILINE))
    assert classes[0] == classes[1] != []
    pattern = standard_pattern(name, "suffix", "hard")
    both = [corpus.read("train").to_pylist() for corpus in (old, open_corpus(reference / name))]
    texts = [[rendered_text(row, pattern) for row in rows] for rows in both]
    assert texts[0] == texts[1]


def test_a_look_inside_reads_a_shard_at_a_time_and_only_those_it_shows(
    reference, monkeypatch, capsys
):
    """And shows the rows that it showed when it read them all."""
    folder, read = reference / "unified", []
    real = storage._read_shard
    monkeypatch.setattr(storage, "_read_shard", lambda *a: read.append(a[0].name) or real(*a))
    rows = open_corpus(folder).read("train").to_pylist()
    read.clear()
    assert inspect([str(folder), "-n", "2"]) == 0
    assert read == ["train-00000-of-00004.parquet"]
    assert rows[1]["id"] in capsys.readouterr().out
    drawn = np.random.default_rng(3).choice(len(rows), 2, replace=False)
    assert inspect([str(folder), "-n", "2", "--seed", "3"]) == 0
    assert re.findall(r"(\S+)  from", capsys.readouterr().out) == [rows[i]["id"] for i in drawn]
    assert inspect([str(folder), "-n", "1", "--sample_by", "class"]) == 0
    firsts = {class_of(row, "unified"): row["id"] for row in reversed(rows)}
    found = re.findall(r"(\S+)  from", capsys.readouterr().out)
    assert found == [firsts[name] for name in sorted(firsts)]


def test_corpora_of_later_versions_are_refused(reference, tmp_path):
    folder = in_version_1(reference / "sentiment", tmp_path / "c")
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"format_version": 1', '"format_version": 3'))
    with pytest.raises(CorpusError, match="format version 3, this program reads 1 to 2"):
        open_corpus(folder)


def test_rows_by_kind_are_counted(reference):
    corpus = open_corpus(reference / "unified")
    for place, split in enumerate(("train", "validation")):
        kinds = corpus.read(split)["kind"].to_pylist()
        for kind in ("choice", "pair", "sentiment"):
            assert corpus.manifest.count("kinds", kind)[place] == kinds.count(kind) > 10
    card = (reference / "unified" / "README.md").read_text()
    counts = {k: sum(corpus.manifest.count("kinds", k)) for k in ("choice", "pair", "sentiment")}
    shown = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    assert f"| `kind` | {shown} |" in card


def test_punkt_can_be_trained_on_the_input(tmp_path, inputs):
    build(*inputs, "--output", tmp_path / "c", *FLAGS, "--splitter", "punkt:train")
    assert (tmp_path / "c/punkt/abbrev_types.txt").exists()
    assert manifest(tmp_path / "c")["config"]["splitter"] == "punkt:train"


def test_labels_of_a_model_that_has_changed_are_not_taken_for_finished(tmp_path, monkeypatch):
    """It has the name that it had, and its configuration."""
    model = save_classifier(tmp_path / "model")
    draw = random.Random(1)
    told = [" ".join(draw.sample(WORDS[:-1], 8)).capitalize() + "." for _ in range(200)]
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": " ".join(told)}])
    argv = ["--input", source, "--labeller", f"model:{model}", "--formats", "sentiment",
            "--sentiment_thresholds", "0,0,0,0,0", "--validation_fraction", 0]  # fmt: skip
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build(*argv, "--output", tmp_path / "c")
    weights = load_file(model / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = np.roll(weights[name], 1, axis=0)  # each class is called the next
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    for name, workers in (("c", 1), ("anew", 2)):
        build(*argv, "--output", tmp_path / name, "--workers", workers)
    assert digests(tmp_path / "c") == digests(tmp_path / "anew")
    found = manifest(tmp_path / "c", "sentiment")
    assert len(found["versions"]["labeller"]) == 64
    assert found["examples"]["drops"].get("low_confidence", 0) == 0


def test_a_label_is_that_of_the_text_that_is_shown(tmp_path):
    words = ["horrible awful", "weak", "wooden", "good", "great wonderful"]
    told = [
        f"{name} {word} {'plain table and ' * 6}chair, {words[4 - n]} {words[4 - n]} {name}."
        for name in ("Anna", "Bert", "Carl", "Dora")
        for n, word in enumerate(words)
    ]
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": " ".join(told)}])
    build(
        "--input", source, "--output", tmp_path / "c", "--formats", "sentiment",
        "--max_text_chars", 90, "--validation_fraction", 0, "--sentiment_thresholds", "0,0,0,0,0",
    )  # fmt: skip
    rows = open_corpus(tmp_path / "c/sentiment").read("train").to_pylist()
    asked = vader_compound([row["text_a"] for row in rows])
    labels, _ = keep(class_distribution(asked), (0,) * 5)
    assert len(rows) == 20
    assert max(len(row["text_a"]) for row in rows) <= 90
    assert [row["label"] for row in rows] == labels.tolist()


def test_classes_have_the_shares_that_are_asked_for(tmp_path):
    """Sentences of six scores, all of them good: the worst become terrible."""
    words = ["fine", "cool", "nice", "good", "glad", "love"]
    told = [
        f"{name} table of {word} and {name} chairs, {one}."
        for name, word in zip("ABCD", ("oak", "elm", "ash", "fir"), strict=True)
        for one in words
    ]
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": " ".join(told)}])
    build(
        "--input", source, "--output", tmp_path / "c", "--formats", "sentiment",
        "--validation_fraction", 0, "--sentiment_thresholds", "0,0,0,0,0",
        "--sentiment_shares", "1,2,1,1,1",
    )  # fmt: skip
    rows = open_corpus(tmp_path / "c/sentiment").read("train").to_pylist()
    found = manifest(tmp_path / "c", "sentiment")
    counts = [found["stats"]["train"]["labels"][word] for word in LABELS]
    assert counts == [4, 8, 4, 4, 4]
    assert found["shortcuts"]["sentiment"]["chance"] == 0.333
    assert found["warnings"] == []
    for row in rows:
        place = words.index(row["text_a"].split(", ")[1].rstrip("."))
        assert row["label"] == (0, 1, 1, 2, 3, 4)[place]


def test_what_lacks_is_told_with_its_real_cause(tmp_path, capsys):
    """Of documents of two sentences all anchors become pairs: more documents would not help."""
    texts = [" ".join(re.findall(r"[^.]+\.", one["text"])[:2]) for one in good_documents(5)]
    write_jsonl(tmp_path / "in.jsonl", [*({"text": one} for one in texts), {"text": "A."}])
    (tmp_path / "spark.jsonl").mkdir()
    (tmp_path / "spark.jsonl/part.jsonl").write_text("{}")
    inputs = ["--input", tmp_path / "*.jsonl", "--output", tmp_path / "c"]
    more = ["--validation_fraction", 0, "--formats"]
    build(*inputs, "--min_sentences", 1, *more, "unified")
    choice, sentiment = manifest(tmp_path / "c", "unified")["warnings"]
    assert choice.startswith("0% of the training rows are choice")
    assert choice.endswith("give longer or more documents")
    assert sentiment.endswith(
        "5 at a time, one of each class: give more documents, or fewer --num_shards"
    )
    told = capsys.readouterr()
    assert "spark.jsonl; for the files in one give FOLDER/*" in told.err
    assert "tell of this build alone" not in told.out
    build(*inputs, *more, "sentence_pair")  # with another count of rejects
    assert "tell of this build alone; unified was made" in capsys.readouterr().out
