"""Bad input through the whole pipeline: each kind is refused at once, or kept aside and counted."""

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ppt.base.files import SCRATCH
from ppt.corpus.storage import open_corpus
from tests.builds import (
    ROOT,
    build,
    build_apart,
    good_documents,
    ledger_holds,
    manifest,
    rejects,
    write_jsonl,
)

GOOD = good_documents(6)
TEXT = GOOD[0]["text"]
LINES = "".join(json.dumps(record) + "\n" for record in GOOD).encode()
COMPRESSED_ZST = zstandard.ZstdCompressor().compress(LINES * 40)


def parquet_bytes(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


GOOD_PARQUET = parquet_bytes(pa.table({"text": ["One. Two here."]}))

# name → file name, bytes, reasons expected (in order of place), documents kept of the file.
REJECTED = {
    "invalid utf-8 line": ("a.jsonl", b'{"text": "caf\xe9 is not UTF-8"}\n', ["invalid_utf8"]),
    "invalid utf-8 file": ("a.txt", b"caf\xe9 is not UTF-8", ["invalid_utf8"]),
    "utf-16 file": ("a.txt", "A text. Of two.".encode("utf-16"), ["invalid_utf8"]),
    "nul bytes": ("a.txt", b"Some text.\0\0 More text.", ["nul_bytes"]),
    "nul escapes": ("a.jsonl", b'{"text": "a\\u0000b"}\n', ["nul_bytes"]),
    "empty file": ("a.txt", b"", ["blank"]),
    "blank file": ("a.txt", b" \n\t\n ", ["blank"]),
    "empty document": ("a.jsonl", b'{"text": ""}\n{"text": " \\n "}\n', ["blank", "blank"]),
    "one-sentence document": ("a.txt", b"There is but one sentence.", ["too_few_sentences"]),
    "truncated gz": ("a.jsonl.gz", gzip.compress(LINES)[:-30], ["corrupt_file"]),
    "truncated zst": ("a.jsonl.zst", COMPRESSED_ZST[:-5], ["corrupt_file"]),
    "gz that is none": ("a.jsonl.gz", b"plain text under a wrong name", ["corrupt_file"]),
    "corrupt parquet": ("a.parquet", b"PAR1 this is no Parquet file PAR1", ["corrupt_file"]),
    "cut parquet": ("a.parquet", GOOD_PARQUET[:-9], ["corrupt_file"]),
    "broken json line": ("a.jsonl", b'{"text": "cut off he\n', ["invalid_json"]),
    "json of another kind": ("a.jsonl", b'["a list"]\n7\n', ["not_an_object", "not_an_object"]),
    "missing field": ("a.jsonl", b'{"body": "no text"}\n', ["missing_field"]),
    "null field": ("a.jsonl", b'{"text": null}\n', ["missing_field"]),
    "non-string field": ("a.jsonl", b'{"text": 7}\n{"text": ["a"]}\n', ["not_a_string"] * 2),
    "parquet without the column": (
        "a.parquet", parquet_bytes(pa.table({"body": ["x"]})), ["missing_field"],
    ),
    "parquet of another type": (
        "a.parquet", parquet_bytes(pa.table({"text": [1, 2]})), ["not_a_string"],
    ),
    "lone surrogate": ("a.jsonl", b'{"text": "half \\ud83d of a pair"}\n', ["lone_surrogate"]),
    "deep json": ("a.jsonl", b"[" * 100_000 + b"\n", ["invalid_json"]),
    "dangling link": ("a.txt", "nowhere", ["unreadable_file"]),
    "unreadable file": ("a.txt", "/proc/self/mem", ["unreadable_file"]),
}  # fmt: skip


def file_of(kind):
    """The name of a bad file among all."""
    return kind.replace(" ", "-") + REJECTED[kind][0].removeprefix("a")


@pytest.fixture(scope="module")
def built_of_all(tmp_path_factory):
    """Corpora of good documents and of all that is bad."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "in").mkdir()
    write_jsonl(folder / "in/z-good.jsonl", GOOD)  # the last: "truncated gz" has some of them
    for kind, (_, content, _) in REJECTED.items():
        path = folder / "in" / file_of(kind)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    build(
        "--input", folder / "in/*", "--output", folder / "c", "--formats", "sentence_pair",
        "--validation_fraction", 0,
    )  # fmt: skip
    return folder / "c"


@pytest.mark.parametrize("kind", REJECTED)
def test_what_is_bad_is_kept_aside(built_of_all, kind):
    if kind == "unreadable file" and not os.path.exists(REJECTED[kind][1]):
        pytest.skip("no /proc here")
    of_the_file = [line for line in rejects(built_of_all) if line["source"] == file_of(kind)]
    assert [line["reason"] for line in of_the_file] == REJECTED[kind][2]


def test_what_is_good_among_the_bad_goes_on(built_of_all):
    documents = ledger_holds(built_of_all)
    assert documents["kept"] == len(GOOD)
    sources = {line["source"] for line in rejects(built_of_all)}
    assert sources - {"z-good.jsonl"} == set(map(file_of, REJECTED))
    assert set(good_ids(built_of_all)) == {record["id"] for record in GOOD}


def good_ids(folder):
    return open_corpus(folder / "sentence_pair").read("train")["document_id"].to_pylist()


# name → file name and bytes of documents that are odd and yet fine.
KEPT = {
    "byte-order mark": ("a.txt", b"\xef\xbb\xbf" + TEXT.encode()),
    "no final newline": ("a.jsonl", json.dumps({"text": TEXT}).encode()),
    "crlf": ("a.jsonl", json.dumps({"text": TEXT}).encode() + b"\r\n\r\n"),
    "crlf in the text": ("a.txt", TEXT.replace(". ", ".\r\n").encode()),
    "right to left and emoji": (
        "a.txt",
        ("זה משפט ראשון ארוך מספיק. هذه جملة ثانية طويلة بما يكفي. "
         "Third 🎉 sentence 👩‍👩‍👧 of it all.").encode(),
    ),
    "decomposed accents": (
        "a.txt", "Cafe\u0301 one is a long enough line. And here is another one.".encode()
    ),
    "gz of two members": (
        "a.txt.gz", gzip.compress(TEXT[:100].encode()) + gzip.compress(TEXT[100:].encode())
    ),
    "zst": ("a.txt.zst", zstandard.ZstdCompressor().compress(TEXT.encode())),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_merely_odd_is_kept(tmp_path, kind):
    name, content = KEPT[kind]
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/good.jsonl", GOOD[1:])
    (tmp_path / "in" / name).write_bytes(content)
    build("--input", tmp_path / "in/*", "--output", tmp_path / "c", "--formats", "sentence_pair",
          "--validation_fraction", 0)  # fmt: skip
    documents = ledger_holds(tmp_path / "c")
    assert documents["kept"] == documents["read"] == len(GOOD)
    rows = open_corpus(tmp_path / "c/sentence_pair").read("train").to_pylist()
    odd = [row for row in rows if not row["document_id"].startswith("good")]
    assert odd
    assert not any("\ufeff" in row["text_a"] or "\r" in row["text_a"] for row in odd)


def test_equal_documents_are_kept_once(tmp_path):
    copies = [
        {"id": "same-1", "text": TEXT},
        {"id": "same-2", "text": TEXT.replace(" ", "\n ")},
        {"id": "other", "text": GOOD[1]["text"]},
    ]
    source = write_jsonl(tmp_path / "in.jsonl", [*copies, *GOOD[2:]])
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair")
    documents = ledger_holds(tmp_path / "c")
    assert documents["duplicates"] == 1
    (line,) = rejects(tmp_path / "c")
    assert line["reason"] == "duplicate"
    assert line["detail"] == "equals in.jsonl at 0"


def test_ids_that_two_texts_share_are_told_and_both_kept(tmp_path, capsys):
    records = [{**record, "id": "same"} for record in GOOD[:2]] + GOOD[2:]
    source = write_jsonl(tmp_path / "in.jsonl", records)
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair")
    documents = ledger_holds(tmp_path / "c")
    assert documents["kept"] == len(GOOD)
    assert documents["sharing_an_id"] == 2
    assert "2 documents share their id" in capsys.readouterr().out
    ids = open_corpus(tmp_path / "c/sentence_pair").read("train")["id"].to_pylist()
    assert len(set(ids)) == len(ids)


def test_a_document_of_20_mb_is_cut_or_whole_as_the_limit_says(tmp_path):
    big = " ".join(
        f"The {'abcdefghij'[n % 10] * 350}{n:x} thing number {n} stands here."
        for n in range(52_000)
    )
    assert len(big) > 20_000_000
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/big.jsonl", [{"id": "big", "text": big}, *GOOD])
    flags = ("--input", tmp_path / "in/*", "--formats", "sentence_pair", "--num_shards", 1)
    lines = ("--splitter", "lines", "--min_sentences", 1)
    build(*flags, "--output", tmp_path / "c", *lines)
    documents = ledger_holds(tmp_path / "c")
    assert documents["kept"] == len(GOOD) + 2  # of 16 million characters at most
    assert documents["notes"] == {"cut_documents": 1, "parts": 2}
    build(*flags, "--output", tmp_path / "d", *lines, "--max_document_chars", 30_000_000)
    assert ledger_holds(tmp_path / "d")["kept"] == len(GOOD) + 1


def test_a_shard_with_too_few_documents_says_so(tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", GOOD[:1])
    build("--input", source, "--output", tmp_path / "c", "--validation_fraction", 0,
          "--formats", "multiple_choice,unified")  # fmt: skip
    for name in ("multiple_choice", "unified"):
        examples = manifest(tmp_path / "c", name)["examples"]
        short = {"multiple_choice": "too_few_other_documents", "unified": "mixture"}[name]
        assert examples["drops"][short] > 0
        assert examples["anchors"] == examples["rows"] + sum(examples["drops"].values())


def test_nothing_usable_is_an_error_and_no_corpus(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "One sentence."}, {"text": ""}])
    build("--input", source, "--output", tmp_path / "c", expect=2)
    said = capsys.readouterr().err
    assert "no usable document: 2 read, 1 blank, 1 too_few_sentences" in said
    assert not list((tmp_path / "c").glob("*/manifest.json"))
    assert len(rejects(tmp_path / "c")) == 2


# name → flags and what the one line must say.
REFUSED = {
    "nothing matched": (["--input", "nothing/*.txt"], "nothing/*.txt"),
    "a directory": (["--input", "{tmp}"], "/*"),
    "unknown extension": (["--input", "{tmp}/in.xyz"], "--input_format"),
    "no input": ([], "--input"),
    "unknown format": (["--formats", "sentence_pairs"], "Did you mean 'sentence_pair'"),
    "format twice": (["--formats", "unified,unified"], "each once"),
    "unknown input format": (["--input_format", "csv"], "csv"),
    "unknown adjacency": (["--adjacency", "near"], "near"),
    "unknown labeller": (["--labeller", "vadr"], "vadr"),
    "labeller without a model": (["--labeller", "model:"], "model:"),
    "labeller that is not there": (["--labeller", "model:{tmp}/none"], "none"),
    "language model that is not there": (["--labeller", "lm:{tmp}/none"], "no model folder"),
    "unknown splitter": (["--splitter", "spacy"], "spacy"),
    "punkt language that is not there": (["--splitter", "punkt:klingon"], "klingon"),
    "unknown mixture": (["--unified_mixture", "choise=1"], "Did you mean 'choice'"),
    "part of the mixture twice": (["--unified_mixture", "pair=1,pair=0.5,choice=0.5"], "once"),
    "mixture that does not add up": (["--unified_mixture", "choice=0.5"], "sum to 1"),
    "thresholds": (["--sentiment_thresholds", "0.5,0.5"], "expected 5 numbers"),
    "a class without a share": (["--sentiment_shares", "1,0,1,1,1"], "5 numbers from 0.001"),
    "negative limit": (["--max_examples_per_document", "-1"], "expected 0"),
    "no shards": (["--num_shards", "0"], "expected 1 or more"),
    "shard size": (["--shard_mb", "0"], "--shard_mb"),
    "no workers": (["--workers", "0"], "--workers"),
    "not a number": (["--seed", "one"], "--seed"),
    "fraction": (["--validation_fraction", "1"], "expected 0 <= f < 1"),
    "sentence lengths": (["--min_sentence_chars", "900"], "--max_sentence_chars"),
    "option length": (["--max_option_chars", "10"], "expected 90"),
    "mistyped flag": (["--overwite"], "Did you mean --overwrite"),
    "stray argument": (["corpora"], "unknown argument corpora"),
    "multi_threading": (["--direct_running_mode", "multi_threading"], "loses elements"),
    "output is a file": (["--output", "{tmp}/in.jsonl"], "is a file: give another --output"),
    "output below a file": (["--output", "{tmp}/in.jsonl/c"], "is a file: give another --output"),
    "output that cannot be": (["--output", "/proc/ppt/corpora"], "cannot write"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_from_the_start_is_one_line_before_any_work(tmp_path, kind, capsys):
    flags, message = REFUSED[kind]
    source = write_jsonl(tmp_path / "in.jsonl", GOOD)
    shutil.copy(source, tmp_path / "in.xyz")
    flags = [flag.replace("{tmp}", str(tmp_path)) for flag in flags]
    if "--input" not in flags and kind != "no input":
        flags += ["--input", str(source)]
    if "--output" not in flags:
        flags += ["--output", str(tmp_path / "c")]
    before = sorted(tmp_path.rglob("*"))
    build(*flags, expect=2)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_in_a_worker_process_is_one_line_too(tmp_path, capfd):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "Just one."}] * 3)
    flags = ("--input", source, "--output", tmp_path / "c")
    build(*flags, "--workers", 2, "--num_shards", 3, expect=2)
    said = capfd.readouterr().err
    assert said.startswith("error: no usable document")
    assert said.count("\n") == 1


def test_two_builds_do_not_write_to_one_folder(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", GOOD)
    (tmp_path / "c").mkdir()
    hold = (
        "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
        "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "c/.ppt-lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    build("--input", source, "--output", tmp_path / "c", expect=2)
    holder.communicate()
    assert "another process is writing" in capsys.readouterr().err
    build("--input", source, "--output", tmp_path / "c")


@pytest.mark.parametrize("step", range(1, 7))  # what is read; how documents relate, in parts
def test_a_disk_that_is_full_at_any_packet_is_one_line(tmp_path, capsys, monkeypatch, step):
    source = write_jsonl(tmp_path / "in.jsonl", GOOD)
    opened, made = Path.open, []

    def full(path, *args, **kwargs):
        if path.parent.name == "spool" and args == ("wb",):
            made.append(path)
            if len(made) == step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    build("--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair", expect=2)
    assert len(made) == step
    assert "spool: the disk is full: free some space and run the same" in capsys.readouterr().err


@pytest.mark.promise("disk")
def test_a_full_disk_is_one_line_and_a_rerun_goes_on(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs more rights than this user has")
    try:
        flags = ("--input", ROOT / "data/documents/*.jsonl", "--output", disk / "c")
        done = build_apart(*flags, expect=2)
        assert "the disk is full" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not list(disk.glob("c/*/manifest.json"))
        assert not list(disk.rglob(f"{SCRATCH}*"))
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        build(*flags)
        ledger_holds(disk / "c")
    finally:
        subprocess.run(["umount", disk], check=True)
