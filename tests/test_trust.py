"""Documents and corpora that would harm, mislead or surprise: each has one right answer."""

import copy
import gzip
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppt.base.markdown import markdown_table
from ppt.base.names import check_name
from ppt.corpus import likeness, storage
from ppt.corpus.histograms import HISTOGRAMS
from ppt.corpus.manifest import Manifest
from ppt.corpus.options import FormatOptions, Mixture
from ppt.corpus.storage import MANIFEST, open_corpus
from ppt.errors import ConfigError, CorpusError, InputError, OutputError, visible
from ppt.inspect import main as inspect
from ppt.text.sentences import better_splitter, get_splitter, join_markers
from tests.builds import (
    ROOT,
    build,
    build_apart,
    digests,
    good_documents,
    ledger_holds,
    manifest,
    rejects,
    write_jsonl,
)
from tests.toys import toy_corpus

THINGS = [
    "mirror",
    "needle",
    "lantern",
    "bridge",
    "saddle",
    "engine",
    "garden",
    "candle",
    "harbour",
    "kettle",
]


def sentences(first, count=9):
    return [
        f"The {THINGS[n % 10]} of house {n} was carried to the {THINGS[n // 3 % 10]} by {word} men."
        for n, word in zip(range(first, first + count), THINGS, strict=False)
    ]


# ---- lists


@pytest.mark.parametrize(
    "mark", ["{}.", "({})", "{})", "§ {}.", "§{}.", "Art. {}.", "Sec. {}.", "1.{}.", "No. {}.",
             "- {}.", "Abs. {})"],
)  # fmt: skip
def test_a_marker_belongs_to_the_sentence_that_follows(mark):
    bodies = sentences(0)
    text = "\n".join(f"{mark.format(n + 1)} {body}" for n, body in enumerate(bodies))
    found = join_markers(get_splitter()(text))
    assert found == [f"{mark.format(n + 1)} {body}" for n, body in enumerate(bodies)]


def test_markers_of_letters_and_romans_and_of_two_levels():
    split = ["a.", "One thing is here.", "(iv)", "Another one.", "1.", "b)", "A third.", "2."]
    assert join_markers(split) == [
        "a. One thing is here.", "(iv) Another one.", "1. b) A third.", "2.",
    ]  # fmt: skip
    for sentence in ("No.", "Yes.", "It rained.", "Mix.", "Go!", "1987", "1.5 km.", "Dr. A. Bell."):
        assert join_markers([sentence, "And then it went on."])[0] == sentence, sentence


def test_a_page_of_nothing_but_markers_takes_linear_time():
    start = time.process_time()
    assert join_markers(["1."] * 500_000) == [" ".join(["1."] * 500_000)]
    assert time.process_time() - start < 4  # quadratic it was 10 s


def listed(mark, documents=24):
    return [
        {"id": f"list-{d}",
         "text": "\n".join(f"{mark.format(n + 1)} {s}" for n, s in enumerate(sentences(d * 9)))}
        for d in range(documents)
    ]  # fmt: skip


@pytest.mark.parametrize("mark", ["{}.", "§ {}.", "Art. {}."])
def test_lists_give_neighbours(tmp_path, mark):
    source = write_jsonl(tmp_path / "in.jsonl", listed(mark))
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair,unified")
    labels = manifest(tmp_path / "c")["stats"]["train"]["labels"]
    assert set(labels) == {"yes", "maybe", "no"}
    assert max(labels.values()) - min(labels.values()) <= 2
    assert manifest(tmp_path / "c", "unified")["stats"]["train"]["kinds"]["choice"] > 50
    rows = open_corpus(tmp_path / "c/sentence_pair").read("train").to_pylist()
    assert all(row["text_a"].startswith(mark.partition("{")[0]) for row in rows)


def test_what_has_no_letters_parts_no_neighbours(tmp_path):
    records = [{"id": f"{d}", "text": "\n\n* * *\n\n".join(sentences(d * 9))} for d in range(24)]
    source = write_jsonl(tmp_path / "in.jsonl", records)
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair")
    data = manifest(tmp_path / "c")
    assert data["stats"]["train"]["labels"]["yes"] > 40
    assert data["sentences"]["drops"]["too_short"] == 24 * 8
    ids = open_corpus(tmp_path / "c/sentence_pair").read("train")["id"].to_pylist()
    assert len(set(ids)) == len(ids)


# ---- what a corpus lacks


def test_what_a_corpus_lacks_is_told_in_summary_manifest_and_card(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(1))
    build("--input", source, "--output", tmp_path / "c", "--formats", "multiple_choice,unified,"
          "sentence_pair", "--validation_fraction", 0.01)  # fmt: skip
    choice, pair = (manifest(tmp_path / "c", n)["warnings"] for n in
                    ("multiple_choice", "sentence_pair"))  # fmt: skip
    assert choice == [
        (
            "no training row: too_few_other_documents (its shard has too few usable sentences "
            "of other documents): give more documents, or fewer --num_shards"
        )
    ]
    assert pair[0].startswith("no validation row: the documents are too few")
    assert pair[1].startswith("no training row is 'no': too_few_other_documents")
    said = capsys.readouterr().out
    for name, warnings in (("multiple_choice", choice), ("sentence_pair", pair)):
        card = (tmp_path / "c" / name / "README.md").read_text()
        for warning in warnings:
            assert f"warning, {name}: {warning}" in said
            assert f"Warning: {warning}" in card
    assert inspect([str(tmp_path / "c/sentence_pair"), "-n", "0"]) == 0
    assert "warning: no validation row" in capsys.readouterr().out


def test_a_training_split_that_nothing_fell_to_is_told(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(1))
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair",
          "--validation_fraction", 0.99, expect=2)  # fmt: skip
    assert capsys.readouterr().err == (
        "error: nothing could be trained on this. sentence_pair: no training row: the documents "
        "are too few for --validation_fraction 0.99; lower it, or give more documents.\n"
    )


def test_a_mixture_that_is_not_reached_is_told(tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", listed("{}."))
    build("--input", source, "--output", tmp_path / "c", "--formats", "unified")
    warnings = manifest(tmp_path / "c", "unified")["warnings"]
    (warning,) = (one for one in warnings if "are sentiment" in one)
    assert warning.startswith("0% of the training rows are sentiment, --unified_mixture asks for")
    assert "VADER knows English words only" in warning


def test_nothing_is_told_of_a_corpus_that_lacks_nothing(tmp_path):
    build("--input", ROOT / "data/documents/*.jsonl", "--output", tmp_path / "c")
    for name in ("sentence_pair", "multiple_choice", "sentiment"):
        assert manifest(tmp_path / "c", name)["warnings"] == []


HINDI = ("राम", "सीता", "घर", "नदी", "पेड़", "किताब", "शहर", "गाँव", "रास्ता", "दोस्त")


@pytest.mark.parametrize("splitter", ["punkt:english", "regex:stops"])
def test_sentences_that_run_together_are_told(tmp_path, splitter):
    draw = random.Random(0)
    texts = [
        " ".join(
            f"{' '.join(draw.sample(HINDI, 5))} {d} {n} {'गया?' if n % 4 == 3 else 'आया।'}"
            for n in range(12)
        )
        for d in range(30)
    ]
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair",
          "--validation_fraction", 0.2, "--splitter", splitter)  # fmt: skip
    data = manifest(tmp_path / "c")
    right = splitter == "regex:stops"
    assert data["sentences"]["read"] == 30 * (12 if right else 3)
    told = "sentences run together: most documents call for --splitter regex:stops"
    assert data["warnings"] == ([] if right else [told])


CHINESE = "".join(f"第{n}只船在清晨离开港口驶向远方的岛屿运送{n}箱货物。" for n in range(9))


@pytest.mark.parametrize(
    ("texts", "flags", "cure"),
    [
        ([CHINESE.replace("船", sign) for sign in "船车马鸟"], (), "--splitter regex:zh"),
        (["\n".join(s.rstrip(".") for s in sentences(d * 9)) for d in range(6)], (),
         "--splitter lines"),
        ([" ".join(sentences(d * 9)) for d in range(6)], ("--formats", "sentiment"),
         "VADER knows English words only"),
        ([" ".join(sentences(0))], ("--formats", "multiple_choice"), "give more documents"),
        ([" ".join(sentences(d * 9)) for d in range(6)], ("--max_sentence_chars", "30"),
         "most sentences are left out (too_long"),
    ],
)  # fmt: skip
def test_where_nothing_could_be_trained_the_build_fails_and_names_the_cause(
    tmp_path, capsys, texts, flags, cure
):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in texts])
    build("--input", source, "--output", tmp_path / "c", "--validation_fraction", 0, *flags,
          expect=2)  # fmt: skip
    told = capsys.readouterr().err
    assert cure in told
    assert "while running" not in told  # where Beam was is nothing to the user
    assert not list((tmp_path / "c").glob("*/manifest.json"))


def test_wrapped_english_calls_for_no_other_splitter():
    wrapped = "\n".join(" ".join(sentences(0)).split(" "))
    assert better_splitter(" ".join(sentences(0)), 9) == ""
    assert better_splitter(CHINESE, 9) == ""
    assert better_splitter(CHINESE, 1) == "regex:zh"
    assert better_splitter(wrapped, 9) in {"", "lines"}


# ---- ids and rejects


def test_a_rejected_parquet_file_counts_its_rows(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/good.jsonl", good_documents(6))
    pq.write_table(pa.table({"body": ["x"] * 500}), tmp_path / "in/a.parquet", row_group_size=50)
    build("--input", tmp_path / "in/*", "--output", tmp_path / "c", "--formats", "sentence_pair")
    documents = ledger_holds(tmp_path / "c")
    assert documents["rejected"] == {"missing_field": 500}
    assert documents["read"] == 506
    (line,) = rejects(tmp_path / "c")
    assert line["records"] == 500
    capsys.readouterr()
    assert inspect([str(tmp_path / "c/rejects")]) == 0
    assert " 500 " in capsys.readouterr().out.splitlines()[-2]


def test_of_many_rejects_only_those_shown_are_held(tmp_path, capsys):
    reasons = ("blank", "invalid_json", "too_few_sentences")
    lines = [
        {"source": "in.jsonl", "offset": n, "reason": reasons[n % 3], "detail": f"{n} " * 50}
        for n in range(9000)
    ]
    (tmp_path / "rejects").mkdir()
    for part in range(3):
        write_jsonl(tmp_path / f"rejects/{part}.jsonl", lines[part * 3000 : (part + 1) * 3000])
    flags = [str(tmp_path / "rejects"), "-n", "2", "--sample_by", "reason", "--seed", "1"]
    inspect([*flags])
    chosen = np.random.default_rng(1).choice(3000, 2, replace=False)
    shown = [int(n) for n in re.findall(r"in\.jsonl at (\d+)", capsys.readouterr().out)]
    assert shown == [3 * n + place for place in range(3) for n in chosen.tolist()]
    tracemalloc.start()
    inspect([*flags])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # all lines take 7


# ---- folders and pipes in globs


def test_a_folder_that_cannot_be_listed_is_refused_where_the_glob_reaches_it(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "in/a/shut").mkdir(parents=True)
    write_jsonl(tmp_path / "in/a/good.jsonl", good_documents(6))
    real = os.scandir

    def scandir(path="."):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    from pipelines.finding import match

    for pattern in ("in/**", "in/*/*/*.jsonl", "in/a/s*/*"):
        with pytest.raises(InputError, match=r"cannot list .*shut.*Permission denied"):
            match(str(tmp_path / pattern))
    for pattern in ("in/*/*.jsonl", "in/a/*", "in/[ab]/good*"):
        assert [*match(str(tmp_path / pattern))] == [str(tmp_path / "in/a/good.jsonl")]


def test_a_link_to_a_folder_is_told_and_not_followed(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/good.jsonl", good_documents(6))
    (tmp_path / "in/again").symlink_to(tmp_path / "in")
    from pipelines.finding import match

    assert [*match(str(tmp_path / "in/**"))] == [str(tmp_path / "in/good.jsonl")]
    assert "in/again is a link to a folder and is not followed" in capsys.readouterr().err


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path):
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/good.jsonl", good_documents(6))
    os.mkfifo(tmp_path / "in/a.jsonl")
    pipe = ("--input", tmp_path / "in/a.jsonl", "--output", tmp_path / "d", "--workers", 1)
    done = build_apart(*pipe, expect=2)  # apart, as it could wait for ever
    assert "1 unreadable_file" in done.stderr
    build("--input", tmp_path / "in/*", "--output", tmp_path / "c")
    (line,) = rejects(tmp_path / "c")
    assert (line["source"], line["reason"]) == ("a.jsonl", "unreadable_file")


def test_punkt_does_not_learn_from_its_own_files(tmp_path, capsys):
    from pipelines.train_punkt import main as train

    (tmp_path / "a.txt").write_text(" ".join(sentences(0)))
    assert train(["--input", str(tmp_path / "*.txt"), "--output", str(tmp_path)]) == 2
    assert "would read the output's" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert train(["--input", str(tmp_path / "*.txt"), "--output", str(tmp_path / "p")]) == 0


# ---- memory


def test_one_text_a_million_times_takes_the_memory_of_one(tmp_path):
    text = " ".join(sentences(0)) + "x" * 8_000_000
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 30, pa.int32()), [text])
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet", compression="zstd")
    write_jsonl(tmp_path / "b.jsonl", good_documents(6))
    assert (tmp_path / "a.parquet").stat().st_size < 50_000
    limit = 5 << 27  # a build needs four fifths of it; all texts at once would be 240 MB more

    def bounded():
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "pipelines.build_corpus", "--input", tmp_path / "a.parquet",
         tmp_path / "b.jsonl", "--output", tmp_path / "c", "--formats", "sentence_pair",
         "--workers", "1", "--validation_fraction", "0"],
        cwd=ROOT, capture_output=True, text=True, preexec_fn=bounded, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    documents = ledger_holds(tmp_path / "c")
    assert (documents["read"], documents["duplicates"]) == (36, 29)


def test_small_files_of_many_texts_are_told_how_many_shards_they_need(tmp_path, capsys):
    filler = " ".join(["the same words again"] * 2000) + "."
    texts = [f"{' '.join(sentences(d * 9))} {filler}" for d in range(60)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    assert sum(map(len, texts)) > 100 * (tmp_path / "a.jsonl.gz").stat().st_size
    flags = ["--input", tmp_path / "a.jsonl.gz", "--output", tmp_path / "c", "--workers", 1,
             "--formats", "sentence_pair", "--validation_fraction", 0,
             "--near_duplicates", "keep"]  # fmt: skip
    build(*flags, "--shard_mb", 0.2, expect=2)
    error = capsys.readouterr().err
    assert "has 3 MB of text, expected at most 2, 8 times --shard_mb" in error
    (cure,) = re.findall(r"give --num_shards (\d+)", error)
    build(*flags, "--shard_mb", 0.2, "--num_shards", cure)
    assert ledger_holds(tmp_path / "c")["read"] == 60


@pytest.mark.parametrize(
    ("module", "name", "most", "message"),
    [
        (storage, "MOST_ROWS", 1 << 10, "00001.parquet: its rows take 0 MiB, and readers 0 at the"),
        (likeness, "_LOW", np.uint64(9), "a shard has 42 usable sentences, expected at most 9"),
    ],
)
def test_a_shard_of_more_than_can_be_read_or_numbered_is_one_line(
    tmp_path, capsys, monkeypatch, module, name, most, message
):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(6))
    argv = ["--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair",
            "--validation_fraction", 0]  # fmt: skip
    build(*argv)
    (table,) = open_corpus(tmp_path / "c/sentence_pair").tables("train")
    assert storage._row_bytes(table) == pytest.approx(table.nbytes, rel=0.01)
    monkeypatch.setattr(module, name, most)
    build(*argv, "--overwrite", expect=2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c/sentence_pair/manifest.json").exists()


def test_rejects_without_end_are_told_how_many_shards_they_need(tmp_path, capsys):
    write_jsonl(tmp_path / "a.jsonl", good_documents(6))
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write("1\n" * 6000)
    flags = ["--input", tmp_path / "*", "--output", tmp_path / "c", "--formats", "sentence_pair",
             "--validation_fraction", 0, "--shard_mb", 0.02]  # fmt: skip
    build(*flags, expect=2)
    (cure,) = re.findall(r"has 0 MB of text.* give --num_shards (\d+)", capsys.readouterr().err)
    assert cure == "13"  # of (6000 rejects x 40 + 3,148 characters) / 20 kB
    build(*flags, "--num_shards", cure)
    assert ledger_holds(tmp_path / "c")["rejected"] == {"not_an_object": 6000}


def test_a_compressed_parquet_file_is_held_on_disk_and_not_without_end(tmp_path, monkeypatch):
    from pipelines import files
    from pipelines.preparing import ReadOptions
    from pipelines.readers import expand, read

    monkeypatch.setattr(files, "_IN_MEMORY", 1 << 16)
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1" + b"\0" * (100 << 20)))
    (found,) = read(expand([str(path)])[0], ReadOptions())
    assert found.reason == "too_long"
    most = (1 << 16) + 200 * path.stat().st_size
    assert found.detail == f"it decompresses to more than {most} bytes"


# ---- what reaches a terminal

NASTY = "\x1b]0;title\x07 \x1b[2J \u202etxt\u2066 \x9b31m \u2028 \x7f \udcff"


def test_no_sign_that_steers_a_terminal_is_shown():
    shown = visible(NASTY)
    assert shown.isprintable()
    assert r"\x1b]0;title\x07" in shown
    assert r"\u202etxt\u2066" in shown
    assert visible("Zoë 好 🎉 👩‍👩‍👧 [/b] \\x1b") == "Zoë 好 🎉 👩‍👩‍👧 [/b] \\x1b"
    assert markdown_table(["\x1b[2J"], [["a\u202e|b\nc"]]).splitlines()[0] == r"| \x1b[2J |"
    assert r"a\u202e\|b\nc" in markdown_table(["x"], [["a\u202e|b\nc"]])


def test_escapes_in_documents_and_ids_stay_in_the_corpus_and_off_the_terminal(tmp_path, capsys):
    nasty = NASTY[:-1]
    records = [
        {"id": f"e{d}{nasty}", "text": " ".join(s.replace("of", nasty) for s in sentences(d * 9))}
        for d in range(8)
    ]
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/a\x1b[2J.jsonl", records)
    (tmp_path / "in/b\u202e.txt").write_bytes(b"\xff")
    build("--input", tmp_path / "in/*", "--output", tmp_path / "c\x1b[31m[/foo]", "--formats",
          "sentence_pair")  # fmt: skip
    folder = tmp_path / "c\x1b[31m[/foo]"
    assert inspect([str(folder / "sentence_pair"), "-n", "20"]) == 0
    said = "".join(capsys.readouterr())
    card = (folder / "sentence_pair/README.md").read_text()
    told = "".join(path.read_text() for path in folder.glob("rejects/*"))
    for text in (said, card, told):
        assert not [s for s in text if s != "\n" and (s < " " or s in "\x7f\x9b\u202e\u2066\u2028")]
    assert r"\x1b" in said
    ids = open_corpus(folder / "sentence_pair").read("train")["document_id"].to_pylist()
    assert {one[2:] for one in ids} == {nasty}


@pytest.mark.parametrize("name", ["[/foo]", "a[bold]b", "a=b", ":smile:", "\udcff"])
def test_any_name_of_an_output_is_fine(tmp_path, capsys, name):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    build("--input", source, "--output", tmp_path / name)
    assert inspect([str(tmp_path / name / "unified")]) == 0
    assert visible(name) in capsys.readouterr().out.replace("\n", "")
    build("--input", source, "--output", tmp_path / name, expect=2)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_terminal_that_knows_ascii_only_is_served(tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    build_apart("--input", source, "--output", tmp_path / "c", "--workers", 1,
                env=ascii_only)  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "ppt.inspect", tmp_path / "c/unified"],
        cwd=ROOT, env=ascii_only, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# ---- one line in the place of tracebacks


def test_a_split_without_shards_is_empty(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    build("--input", source, "--output", tmp_path / "c", "--validation_fraction", 0)
    assert open_corpus(tmp_path / "c/unified").read("validation").num_rows == 0
    assert inspect([str(tmp_path / "c/unified"), "--split=validation"]) == 0


@pytest.mark.parametrize("seed", [2**127, -(2**127) - 1])
def test_seeds_that_do_not_fit_are_refused(seed):
    with pytest.raises(ConfigError, match=r"--seed: got -?\d+, expected -2\^127 to 2\^127 - 1"):
        FormatOptions(seed=seed)
    assert FormatOptions(seed=2**127 - 1).seed > 0


@pytest.mark.parametrize("text", ["choice=nan,pair=0.5,sentiment=0.5", "choice=0.5,pair=nan",
                                  "choice=inf", "choice=1,pair=-inf"])  # fmt: skip
def test_a_share_that_is_no_number_is_refused(text):
    with pytest.raises(ConfigError, match="sum to 1"):
        Mixture.parse(text)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shard_mb", "nan"], "--shard_mb: got nan"),
        (["--shard_mb", "inf"], "--shard_mb: got inf"),
        (["--shard_mb", "1e-300"], "expected 99999 at most"),
        (["--num_shards", "100000"], "expected 99999 at most"),
        (["--seed", str(2**127)], "--seed"),
        (["--output", ""], "--output: got ''"),
        (["--validation_fraction", "nan"], "--validation_fraction: got nan"),
        (["--runner", "DataflowRunner"], "DataflowRunner"),
        (["--runner", "NoSuchRunner"], "NoSuchRunner"),
        (["--runner", "DataflowRunner", "--project", "x"], "--project: got 'x'"),
        (["--direct_num_workers", "x"], "--direct_num_workers"),
    ],
)
def test_flags_that_cannot_be_are_one_line_and_leave_nothing(tmp_path, capsys, flags, message):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    build("--input", source, "--output", tmp_path / "c", *flags, expect=2)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("runner", ["DataflowRunner", "NoSuchRunner"])
def test_a_runner_that_refuses_its_options_costs_no_corpus(tmp_path, runner):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    flags = ("--input", source, "--output", tmp_path / "c")
    build(*flags)
    before = digests(tmp_path / "c")
    build(*flags, "--overwrite", "--seed", 1, "--runner", runner, expect=2)
    assert digests(tmp_path / "c") == before


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_broken_manifest_is_told_with_what_to_move(tmp_path, capsys, more):
    source = write_jsonl(tmp_path / "in.jsonl", [*good_documents(8), {"text": ""}])
    flags = ("--input", source, "--output", tmp_path / "c")
    build(*flags, "--formats", "sentence_pair,unified")
    path = tmp_path / "c/unified" / MANIFEST
    path.write_text(path.read_text()[:-40])
    before = digests(tmp_path / "c")
    capsys.readouterr()
    build(*flags, "--formats", "unified", *more, expect=2)
    assert capsys.readouterr().err == (
        f"error: {path} is broken, and it alone says which files are ours: move unified out of"
        f" {tmp_path / 'c'}, or give another --output.\n"
    )
    assert digests(tmp_path / "c") == before
    (tmp_path / "c/unified").rename(tmp_path / "away")
    build(*flags, "--formats", "unified", *more)
    for name in ("sentence_pair", "unified"):
        open_corpus(tmp_path / "c" / name, verify="full")


def refused_by_inspect(folder, capsys, *flags):
    capsys.readouterr()
    assert inspect([str(folder), *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_negative_seed_of_inspect_is_refused(tmp_path, capsys):
    assert "--seed" in refused_by_inspect(toy_corpus(tmp_path / "c"), capsys, "--seed=-1")


def test_a_corpus_that_one_may_only_read_is_shown(tmp_path, capsys, monkeypatch):
    def refuse(folder, _):
        raise OutputError(f"cannot write {folder}")

    folder = toy_corpus(tmp_path / "c")
    (folder / HISTOGRAMS).unlink(missing_ok=True)
    monkeypatch.setattr("ppt.inspect.draw_histograms", refuse)
    assert inspect([str(folder)]) == 0
    assert "note: cannot write" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a" * 300, "a\0b",
                                  ".hidden", "x\n", 7, None, ["a"]])  # fmt: skip
def test_names_that_are_paths_are_refused(tmp_path, capsys, name):
    with pytest.raises(ConfigError, match="a name: got"):
        check_name(name, "a name")
    folder = toy_corpus(tmp_path / "c")
    data = json.loads((folder / MANIFEST).read_text())
    data["shards"]["train"][0]["name"] = name
    (folder / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(CorpusError, match="a shard's name"):
        open_corpus(folder)
    refused_by_inspect(folder, capsys)


def test_a_shard_whose_rows_are_no_rows_is_one_line(tmp_path, capsys):
    folder = toy_corpus(tmp_path / "c", "multiple_choice")
    shard = next(folder.glob("train*.parquet"))
    table = pq.read_table(shard)
    good = json.loads((folder / MANIFEST).read_text())
    bytes_of_no_text = pa.array([b"\xff"] * len(table), pa.binary()).view(pa.string())
    for column, values, message in (
        ("label", [9] * len(table), "a label is out of range"),
        ("label", [-1] * len(table), "a label is out of range"),
        ("label", ["a"] * len(table), "column label is string"),
        ("text_a", [None] * len(table), "column text_a is null"),
        ("text_a", bytes_of_no_text, "corrupt"),
        ("options", pa.array([[None]] * len(table), pa.list_(pa.string())), "an option is null"),
        ("options", [["a"] * 7] * len(table), "a row has 7 options"),
        ("id", None, "it has no column id"),
    ):
        bad = table.drop_columns(column)
        if values is not None:
            made = values if isinstance(values, pa.Array) else pa.array(values)
            bad = bad.append_column(column, made)
        pq.write_table(bad, shard)
        data = copy.deepcopy(good)
        data["shards"]["train"][0]["bytes"] = shard.stat().st_size
        (folder / MANIFEST).write_text(json.dumps(data))
        assert message in refused_by_inspect(folder, capsys), column


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    text = (toy_corpus(tmp_path / "c") / MANIFEST).read_text()
    assert Manifest.from_json(text).to_json() == text
    with pytest.raises(ValueError, match="nested too deeply"):
        Manifest.from_json("[" * 100_000)


@pytest.mark.parametrize("files", ["../victim/a.txt", "a.txt"])
def test_a_plan_that_names_files_elsewhere_is_refused(tmp_path, capsys, files):
    victim = tmp_path / "victim" / "a.txt"
    victim.parent.mkdir()
    victim.write_text("mine")
    plan = tmp_path / "c" / ".building" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"files": [files], "fingerprint": ""}))
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    build("--input", source, "--output", tmp_path / "c", expect=2)
    assert ".building/plan.json is not ours" in capsys.readouterr().err
    assert victim.read_text() == "mine"
