"""Object stores: a real S3-compatible server that fails, throttles and hangs up on builds."""

import gzip
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from itertools import chain
from types import SimpleNamespace

import botocore.endpoint
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.utils import retry
from botocore.exceptions import NoCredentialsError

from pipelines import stores
from pipelines.finding import match
from ppt.corpus.formats import FORMATS
from ppt.errors import ConfigError, InputError, OutputError
from ppt.text.sentences import get_splitter, punkt_texts
from tests.builds import ROOT, build, command, digests, good_documents, write_jsonl
from tests.s3 import BUCKET, Fault, served

OUT = f"s3://{BUCKET}/out"
FLAGS = (
    "--num_shards", 2, "--validation_fraction", 0.3, "--formats", "sentence_pair",
    "--near_duplicates", "keep",
)  # fmt: skip
SHARD = "PUT .*parquet"


@pytest.fixture(scope="module")
def server():
    with served() as store:
        yield store


@pytest.fixture
def store(server, monkeypatch):
    """Nothing is in it, and nobody waits before trying again."""
    server.clear()
    at_once = SimpleNamespace(sleep=lambda _: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", at_once)
    stores.configure(())
    monkeypatch.setattr(retry.Clock, "sleep", lambda *_: None)
    return server


@pytest.fixture(scope="module")
def documents():
    bad = b"not json\n"
    return "".join(json.dumps(one) + "\n" for one in good_documents(8)).encode() + bad


@pytest.fixture(scope="module")
def reference(tmp_path_factory, documents):
    place = tmp_path_factory.mktemp("local")
    (place / "in.jsonl").write_bytes(documents)
    build("--input", place / "in.jsonl", "--output", place / "c", *FLAGS)
    return digests(place / "c")


@pytest.fixture
def argv(store, documents):
    store.client.put_object(Bucket=BUCKET, Key="in/in.jsonl", Body=documents)
    return ("--input", f"s3://{BUCKET}/in/*.jsonl", "--output", OUT, *FLAGS)


def in_store(store):
    """sha256 of all objects but the drawings, by name."""
    found = store.objects("out/").items()
    return {name: hashlib.sha256(data).hexdigest() for name, data in found if name[-3:] != "png"}


def manifests_are_true(store):
    """Whoever finds a manifest finds all that it names, as it says."""
    found = store.objects("out/")
    true = 0
    for name in found:
        if name.endswith("manifest.json"):
            for shard in chain(*json.loads(found[name])["shards"].values()):
                data = found[name.replace("manifest.json", shard["name"])]
                assert hashlib.sha256(data).hexdigest() == shard["sha256"]
                true += 1
    return true


def said_in_one_line(capsys):
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_build_in_a_store_is_the_local_one_byte_for_byte(store, argv, documents, tmp_path, drawn):
    sentence = good_documents(1)[0]["text"].partition(".")[0]
    write_jsonl(tmp_path / "held.jsonl", [{"text": sentence}])
    whole = ("--num_shards", 2, "--splitter", "punkt:train", "--exclude", tmp_path / "held.jsonl")
    (tmp_path / "in.jsonl").write_bytes(documents)
    build("--input", tmp_path / "in.jsonl", "--output", tmp_path / "c", *whole)
    build(*argv[:4], *whole)
    assert in_store(store) == digests(tmp_path / "c")
    assert {"punkt", "excluded", "rejects"} < {name.split("/")[0] for name in in_store(store)}
    for name in FORMATS:
        assert len(store.objects(f"out/{name}/histograms.png")[""]) > 5000
    build(*argv, expect=2)  # it is finished


BEFORE_WORK = [
    ("500", "GET .*prefix=in", "InternalError"),
    ("503", "GET .*out%2Frejects", "SlowDown"),
    ("cut", "HEAD .*plan", "onnection"),
    ("503", "GET .*plan.json", "error: cannot read 's3://corpora/out/.building/plan.json': "),
    ("403", "HEAD .*out/sentence_pair", "the right to list, read, write and delete there."),
]


@pytest.mark.parametrize(
    "failures",
    [
        [("503", SHARD, "SlowDown")],
        [("cut", SHARD, "onnection")],
        [("lost", SHARD, "onnection")],
        [("503", "PUT .*manifest.json", "SlowDown")],
        [("500", "POST .*delete", "InternalError")],
        [("half", "GET .*in.jsonl", "expected")],
        [("cut", "PUT .*out/rejects", "onnection")],
        [("503", "PUT .*histograms.png", "SlowDown")],
        BEFORE_WORK,
    ],
)
def test_a_store_that_fails_is_told_in_a_line_and_the_rerun_ends_in_the_same_bytes(
    store, argv, reference, capsys, caplog, failures
):
    for how, asked, told in failures:
        store.faults = [Fault(how, asked, after=int(asked == SHARD))]
        build(*argv, expect=2)
        said = said_in_one_line(capsys)
        assert told in said
        assert "s3://corpora/" in said
        assert not caplog.records  # Beam has its say on the root's log
        manifests_are_true(store)
    store.faults.clear()
    build(*argv)
    assert in_store(store) == reference


@pytest.mark.parametrize("how", ["503", "cut", "half", "lost"])
def test_a_store_that_fails_now_and_then_is_not_noticed(store, argv, reference, how):
    store.faults = [Fault(how, kind, times=1, after=n) for n in (0, 4, 9, 14)
                    for kind in ("PUT", "HEAD", "GET", "POST")]  # fmt: skip
    build(*argv)
    assert in_store(store) == reference
    assert sum(fault.met > fault.after for fault in store.faults) > 10


@pytest.mark.parametrize("writes", [3, 7, 9])
def test_a_store_that_goes_away_while_corpora_are_replaced_leaves_none_half(
    store, argv, reference, writes
):
    build(*argv, "--seed", 2)
    assert manifests_are_true(store)
    store.faults = [Fault("cut", "PUT|POST", after=writes)]
    build(*argv, "--overwrite", expect=2)
    manifests_are_true(store)
    store.faults.clear()
    build(*argv, "--overwrite")
    assert in_store(store) == reference


def test_a_manifest_that_cannot_be_read_now_is_not_taken_for_none(store, argv, reference, capsys):
    build(*argv)
    store.faults = [Fault("503", "GET .*manifest.json")]
    for more in ((), ("--overwrite",), ("--dry_run",)):
        build(*argv, *more, expect=2)
        assert "error: cannot read 's3://corpora/out/" in said_in_one_line(capsys)
    assert in_store(store) == reference


def test_a_note_that_is_broken_is_no_finished_shard(store, argv, reference):
    store.faults = [Fault("cut", "PUT .*README")]
    build(*argv, expect=2)
    store.faults.clear()
    notes = store.objects("out/.building/shards/")
    assert len(notes) == 3
    for name, text in zip(notes, (b"{", b"null", b'{"digest": "\xff"}'), strict=True):
        stores.put(f"{OUT}/.building/shards/{name}", text)
    build(*argv)
    assert in_store(store) == reference


def test_a_build_killed_in_a_store_goes_on_with_processes(store, argv, reference):
    store.faults = [Fault("cut", "PUT .*README")]  # so it cannot end by itself
    launcher = subprocess.Popen(
        command(*argv, "--workers", 2), cwd=ROOT,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not any("PUT" in one and "shards" in one for one in store.requests):
        assert launcher.poll() is None
        time.sleep(0.02)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert not manifests_are_true(store)
    store.faults.clear()
    kept = store.objects("out/.building/shards/")
    assert kept
    store.requests.clear()
    build(*argv)
    assert in_store(store) == reference
    assert sum("PUT" in one and "parquet?" in one for one in store.requests) == 3 - len(kept)


def test_punkt_is_loaded_from_a_store(store, argv):
    from pipelines.gathering import find_splitter

    text = "Mr. Fox sat down. He read the paper."
    for name, words in punkt_texts(get_splitter().parameters).items():
        stores.put(f"{OUT}/punkt/{name}", words.encode())
    assert find_splitter(f"punkt:{OUT}/punkt")(text) == get_splitter()(text)
    build(*argv[:2], "--output", f"{OUT}/c", "--splitter", f"punkt:{OUT}/none", expect=2)


def test_all_formats_are_read_from_a_store(store, documents, reference, tmp_path):
    put = store.client.put_object
    texts = [one["text"] for one in good_documents(6)]
    table = io.BytesIO()
    pq.write_table(pa.table({"text": texts[:2], "id": ["a", "b"]}), table)
    files = {
        "a.parquet": table.getvalue(), "b.txt.gz": gzip.compress(texts[2].encode()),
        "c.txt": texts[3].encode(), "d.lines": "\n".join(texts[4:]).encode(),
        "broken.parquet": b"no",
    }  # fmt: skip
    (tmp_path / "in").mkdir()
    for name, data in files.items():
        put(Bucket=BUCKET, Key=f"in/{name}", Body=data)
        (tmp_path / "in" / name).write_bytes(data)
    put(Bucket=BUCKET, Key="in/", Body=b"")  # as consoles make folders
    build("--input", f"s3://{BUCKET}/in/*", "--output", OUT, *FLAGS)
    build("--input", tmp_path / "in" / "*", "--output", tmp_path / "c", *FLAGS)
    assert in_store(store) == digests(tmp_path / "c")
    assert any(name.startswith("rejects/") for name in in_store(store))


def test_a_file_that_a_store_fails_to_give_is_no_reject(store, argv, capsys):
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["A text."] * 9}), table)
    store.client.put_object(Bucket=BUCKET, Key="in/p.parquet", Body=table.getvalue())
    store.faults = [Fault("half", "GET /corpora/in/p.parquet")]
    build("--input", f"s3://{BUCKET}/in/p.parquet", "--output", OUT, *FLAGS, expect=2)
    assert "cannot read 's3://corpora/in/p.parquet'" in said_in_one_line(capsys)
    assert not [name for name in store.objects("out/") if "rejects" in name]


def test_other_peoples_objects_are_left_alone(store, argv, capsys):
    store.client.put_object(Bucket=BUCKET, Key="out/sentence_pair/mine.txt", Body=b"x")
    build(*argv, expect=2)
    assert "mine.txt" in said_in_one_line(capsys)
    assert store.objects("out/") == {"sentence_pair/mine.txt": b"x"}


def test_a_second_build_in_the_same_place_is_found_out(store, argv, capsys, monkeypatch):
    from pipelines.sinks import Output

    real = Output.put_shard

    def and_another(self, files, result):
        real(self, files, result)
        self.put(next(iter(files)), b"another build's")

    monkeypatch.setattr(Output, "put_shard", and_another)
    build(*argv, expect=2)
    assert "another build writes there too" in said_in_one_line(capsys)
    assert not [name for name in store.objects("out/") if name.endswith("manifest.json")]


def test_output_and_input_in_one_place_are_refused(store, argv, capsys):
    build("--input", f"s3://{BUCKET}/in/*.jsonl", "--output", f"s3://{BUCKET}/in", *FLAGS, expect=2)
    assert "contains the input" in said_in_one_line(capsys)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--input", "s3://nobodys/a.jsonl"), "NoSuchBucket"),
        (("--input", f"s3://{BUCKET}/none/*.jsonl"), "no file matches"),
        (("--input", f"s3://{BUCKET}/in/*.jsonl", "--output", "s3://nobodys/c"), "NoSuchBucket"),
        (("--input", "nowhere://b/a.jsonl"), "nowhere://b/a.jsonl"),
        (("--input", f"s3://{BUCKET}"), "check the address"),
        (("--input", "s3://a b/*.jsonl"), "expected s3://BUCKET/FOLDER."),
        (("--input", f"s3://{BUCKET}/in/*.jsonl", "--output", "s3:///c"), "s3://BUCKET/FOLDER."),
        (("--input", "a.jsonl", "--output", f"s3:/{BUCKET}/c"), "expected two slashes"),
        (("--input", "a.jsonl", "--output", f"s3://{BUCKET}/a*"), "a name without [, * and ?"),
        (
            ("--input", f"s3://{BUCKET}/a.jsonl", "--s3_endpoint_url", "http://127.0.0.1:9"),
            "connect",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_at_once(store, argv, capsys, flags, told):
    build(*flags, *FLAGS, expect=2)
    assert told in said_in_one_line(capsys)
    assert not store.objects("out/")


def test_without_its_package_a_store_is_refused_by_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match=r"s3:// needs boto3: pip install .*\[s3\]"):
        stores.reach("s3://b/a", "list", InputError)

    def unknown(path):
        raise ValueError("Unable to get filesystem")

    monkeypatch.setattr(FileSystems, "get_filesystem", unknown)
    monkeypatch.setitem(sys.modules, "google.cloud.storage", None)
    with pytest.raises(ConfigError, match=r"gs:// needs google.cloud.storage: .*\[gcp\]"):
        stores.reach("gs://b/a", "list", InputError)


def test_keys_that_are_nowhere_are_told():
    with (
        pytest.raises(InputError, match="credentials: check the keys"),
        stores.answered("s3://b/a", "list", InputError),
    ):
        raise NoCredentialsError


def test_files_of_a_store(store, tmp_path):
    path = f"s3://{BUCKET}/a/b"
    assert stores.get(path) is None
    stores.put(path, b"")
    assert stores.get(path) == b""
    big = bytes(range(256)) * 30_000
    stores.put(path, big)
    assert stores.get(path) == big
    with stores.opened(path) as file:
        file.seek(-3, io.SEEK_END)
        assert file.read() == big[-3:]
        assert file.seek(300) == file.tell() == 300
        assert file.read(2) == big[300:302]
    assert stores.sizes(f"s3://{BUCKET}/a/*") == {path: len(big)}
    for odd in ("ü +%20#", "it's[1]"):
        stores.put(f"s3://{BUCKET}/odd/{odd}", b"x")
        assert match(f"s3://{BUCKET}/odd/{odd}") == {f"s3://{BUCKET}/odd/{odd}": 1}
    assert match(f"s3://{BUCKET}/a/**/b") == {path: len(big)}
    stores.delete([path, f"s3://{BUCKET}/a/never"])
    assert not stores.sizes(f"s3://{BUCKET}/a/*")
    with pytest.raises(FileNotFoundError):
        stores.opened(path)
    store.faults = [Fault("500", "a/b|delete")]
    for error, refused in (
        (OutputError, lambda: stores.put(path, b"x")), (InputError, lambda: stores.get(path)),
        (OutputError, lambda: stores.delete([path])),
    ):  # fmt: skip
        with pytest.raises(error, match="Internal"):
            refused()


def test_one_client_serves_all(store):
    stores.put(f"s3://{BUCKET}/a", b"x")
    assert stores._s3(f"s3://{BUCKET}/a")[0] is stores._s3(f"s3://{BUCKET}/b")[0]


def test_a_file_that_was_never_opened_is_closed_without_a_word(monkeypatch):
    """Python 3.13 tells of errors as an object goes."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    never = stores._Reading.__new__(stores._Reading)
    never.close()
    del never
    assert not told
