"""Mutated documents, shards and manifests: right rows or one line, never another exception."""

import copy
import gzip
import io
import json
import os
import random
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.preparing import ReadOptions
from pipelines.readers import expand, read
from ppt.corpus.records import Document, Reject
from ppt.corpus.storage import MANIFEST, SPLITS, open_corpus
from ppt.errors import CorpusError, PPTError
from tests.test_fuzz_prompts import places
from tests.toys import toy_corpus

MUTATIONS = int(os.environ.get("PPT_FUZZ", "50"))
"""Mutated files of each kind."""

SIGNS = [b'"', b"\n", b"\r\n", b"{", b"}", b"[" * 2000, b"\x00", b"\xff", b"\xed\xa0\x80",
         b"\\ud800", b"null", b"NaN", b"9" * 400, b"\x1b[2J", b"\xe2\x80\xae", b"PAR1",
         b"\x1f\x8b"]  # fmt: skip
VALUES = [None, True, -1, 1.5, "x", [], {}, [1], {"a": 1}, {"a": {"b": {"c": 1}}}, 10**400,
          float("nan"), "../x", {"x": 1}, {"99": {"0": 1}}, [[]], [{}]]  # fmt: skip


def mutated(data, draw):
    """The bytes with some flipped, cut, doubled or replaced."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(data) + 1)
        end = min(len(data), place + draw.choice((1, 4, 40)))
        data[place:end] = draw.choice(
            [b"", draw.choice(SIGNS), draw.randbytes(end - place), data[place:end] * 3]
        )
    return bytes(data)


def refused(call, kind=PPTError):
    """Whether `call` raised an error of that kind, which must be one line."""
    try:
        call()
    except kind as error:
        line = str(error)
    else:
        return False
    assert 0 < len(line) < 2000
    assert "\n" not in line
    return True


# ---- documents

ROWS = [{"id": f"d{n}", "text": f"Text {n} of a file. It ends here.\n"} for n in range(6)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def parquet():
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), data)
    return data.getvalue()


DOCUMENTS = {
    "d.jsonl": LINES,
    "d.jsonl.gz": gzip.compress(LINES, mtime=0),
    "d.txt": ROWS[0]["text"].encode() * 4,
    "d.parquet": parquet(),
}


@pytest.mark.promise("corpus")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_fuzz_mutated_documents_are_documents_or_rejects(name, tmp_path, cases):
    draw = random.Random(name)
    path = tmp_path / name
    kept = told = 0

    def use():
        nonlocal kept, told
        for part in expand([str(path)]):
            for one in read(part, ReadOptions()):
                if isinstance(one, Document):
                    one.text.encode()
                    one.id.encode()
                    kept += 1
                else:
                    assert isinstance(one, Reject)
                    json.dumps(asdict(one), ensure_ascii=False).encode()
                    told += 1

    path.write_bytes(DOCUMENTS[name])
    use()
    assert (kept, told) == (1 if name == "d.txt" else len(ROWS), 0)
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(DOCUMENTS[name], draw))
        if refused(use):
            told += 1
    cases(MUTATIONS)
    assert told


# ---- shards and manifests


@pytest.mark.promise("corpus")
def test_fuzz_a_mutated_shard_is_one_line_or_rows_of_a_corpus(tmp_path, cases):
    """Sizes are compared first, so the manifest is given the new one: fast checks must see it."""
    draw = random.Random(3)
    folder = toy_corpus(tmp_path / "c", "unified")
    manifest = json.loads((folder / MANIFEST).read_text())
    shard = folder / manifest["shards"]["train"][0]["name"]
    whole, told = shard.read_bytes(), 0
    for _ in range(MUTATIONS):
        content = mutated(whole, draw)
        if content == whole:
            continue
        shard.write_bytes(content)
        manifest["shards"]["train"][0]["bytes"] = len(content)
        (folder / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(CorpusError, match="corrupt"):
            open_corpus(folder, verify="full")
        told += refused(lambda: open_corpus(folder).read("train"), CorpusError)
    cases(MUTATIONS)
    assert told > MUTATIONS // 3


@pytest.mark.promise("corpus")
def test_fuzz_a_mutated_manifest_is_one_line_or_a_corpus(tmp_path, cases):
    draw = random.Random(4)
    folder = toy_corpus(tmp_path / "c", "unified")
    good = json.loads((folder / MANIFEST).read_text())
    paths, told = list(places(good))[1:], 0

    def use():
        corpus = open_corpus(folder)
        assert {split: len(corpus.read(split)) for split in SPLITS} == corpus.manifest.rows

    for _ in range(MUTATIONS):
        data = copy.deepcopy(good)
        *above, last = draw.choice(paths)
        parent = data
        for key in above:
            parent = parent[key]
        if draw.random() < 0.1:
            del parent[last]
        else:
            parent[last] = draw.choice(VALUES)
        text = json.dumps(data).encode()
        (folder / MANIFEST).write_bytes(mutated(text, draw) if draw.random() < 0.3 else text)
        told += refused(use)
    cases(MUTATIONS)
    assert told > MUTATIONS // 3
