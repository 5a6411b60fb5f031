"""One shard, from the documents that met in it to the bytes of its files. No Beam here.

`encode_documents` packs what a reader found for a shard; `decode_documents`
brings the packets together, in an order that does not depend on who read what;
`split_shard` turns them into a pool of sentences and `build_shard` into files.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.config import BuildConfig, ShardKey
from ppt.corpus import Shard, encode_shard, shard_name, statistics
from ppt.formats import Probabilities, Rows, multiple_choice, sentence_pair, sentiment, unified
from ppt.pool import Pool, SplitDocument, build_pool
from ppt.records import LABEL_WORDS, Reject
from ppt.tables import Phrases, to_table

DUPLICATE = "duplicate"
"""Reason word in ``rejects/`` of a document that equals an earlier one."""


class KeyedDocument(NamedTuple):
    """A normalised document with its key, as it travels to its shard."""

    key: bytes
    id: str
    text: str
    source: str
    offset: int


@dataclass
class ShardInput:
    """What one shard got: `read` records, of which `documents` and `rejects`, sorted."""

    read: int
    documents: list[KeyedDocument]
    rejects: list[Reject]

    def digest(self, config: BuildConfig) -> str:
        """Equal digests mean equal files: what lets a rerun keep a finished shard."""
        state = hashlib.blake2b(config.fingerprint().encode(), digest_size=16)
        for document in self.documents:
            place = f"{document.id}\0{document.source}\0{document.offset}"
            state.update(document.key + place.encode("utf-8", "replace"))
        for reject in self.rejects:
            state.update(json.dumps(reject.as_dict(), sort_keys=True).encode())
        return state.hexdigest()


_DOCUMENT_COLUMNS = pa.schema(
    [
        ("key", pa.binary(16)),
        ("id", pa.large_string()),
        ("text", pa.large_string()),
        ("source", pa.large_string()),
        ("offset", pa.int64()),
    ]
)
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")


def encode_documents(
    read: int, documents: Sequence[KeyedDocument], rejects: Sequence[Reject]
) -> bytes:
    """Pack documents, rejects and the count of records as one compressed Arrow stream.

    The shuffle then moves few large elements, a half to a third of the text's size.
    """
    notes = {"read": read, "rejects": [reject.as_dict() for reject in rejects]}
    columns = list(zip(*documents, strict=True)) or [()] * len(_DOCUMENT_COLUMNS)
    arrays = [
        pa.array(column, column_schema.type)
        for column, column_schema in zip(columns, _DOCUMENT_COLUMNS, strict=True)
    ]
    notes_schema = _DOCUMENT_COLUMNS.with_metadata({"notes": json.dumps(notes)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, notes_schema, options=_COMPRESSED) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=notes_schema))
    return sink.getvalue().to_pybytes()


def decode_documents(packets: Iterable[bytes]) -> ShardInput:
    """Unpack and bring into one order, whatever order the packets came in."""
    shard = ShardInput(0, [], [])
    for packet in packets:
        table = pa.ipc.open_stream(packet).read_all()
        notes = json.loads(table.schema.metadata[b"notes"])
        shard.read += notes["read"]
        shard.rejects += [Reject(**reject) for reject in notes["rejects"]]
        columns = [table[name].to_pylist() for name in _DOCUMENT_COLUMNS.names]
        shard.documents += map(KeyedDocument._make, zip(*columns, strict=True))
    shard.documents.sort(key=attrgetter("key", "source", "offset"))
    shard.rejects.sort(key=attrgetter("source", "offset", "reason"))
    return shard


@dataclass
class SplitShard:
    """A shard between splitting and writing: its pool, its ledger of documents so far."""

    key: ShardKey
    digest: str
    pool: Pool
    documents: dict[str, Any]
    rejected: list[dict[str, str | int]]


def split_shard(
    key: ShardKey, found: ShardInput, config: BuildConfig, splitter: Callable[[str], list[str]]
) -> SplitShard:
    """Drop equal documents, split the rest into sentences once, and pool them."""
    rejected = [reject.as_dict() for reject in found.rejects]
    reasons = Counter(reject.reason for reject in found.rejects)
    kept: list[SplitDocument] = []
    previous: KeyedDocument | None = None
    duplicates = characters = 0

    def reject(document: KeyedDocument, reason: str, detail: str) -> None:
        place = {"source": document.source, "offset": document.offset}
        rejected.append({**place, "reason": reason, "detail": detail})

    for document in found.documents:
        if previous is not None and document.key == previous.key:
            duplicates += 1
            reject(document, DUPLICATE, f"equals {previous.source} at {previous.offset}")
            continue
        previous = document
        sentences = splitter(document.text)
        if len(sentences) < config.min_sentences:
            reasons["too_few_sentences"] += 1
            reject(document, "too_few_sentences", f"{len(sentences)} < {config.min_sentences}")
            continue
        characters += len(document.text)
        kept.append(SplitDocument(document.key, document.id, sentences))
    pool = build_pool(
        kept, config.examples.seed, config.min_sentence_chars, config.max_sentence_chars
    )
    ids = np.array([hash_id(document.id) for document in kept], dtype="<u8")
    documents = {
        "read": found.read,
        "kept": len(kept),
        "duplicates": duplicates,
        "rejected": dict(sorted(reasons.items())),
        "characters": characters,
        "id_hashes": base64.b64encode(ids.tobytes()).decode(),
    }
    return SplitShard(key, found.digest(config), pool, documents, rejected)


def hash_id(document_id: str) -> int:
    """64 bits of a user's id, by which ids that two documents share are counted."""
    digest = hashlib.blake2b(document_id.encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


@dataclass(frozen=True)
class BuiltShard:
    """The files of a shard, by path below the output folder, and its part of the manifests."""

    files: dict[str, bytes]
    result: dict[str, Any]


def build_shard(
    shard: SplitShard, config: BuildConfig, probabilities: Probabilities | None
) -> BuiltShard:
    """Build all asked formats from one pool; `probabilities` [N, 5] where labels are needed."""
    split, number = shard.key
    name = shard_name(split, number, config.shards_of[split])
    phrases = Phrases(shard.pool, config.examples)
    files: dict[str, bytes] = {}
    formats: dict[str, Any] = {}
    for format_name, rows in _build_rows(shard.pool, config, probabilities).items():
        table = to_table(shard.pool, phrases, rows, format_name, config.examples)
        data, entry = encode_shard(table, name, format_name)
        files[f"{format_name}/{name}"] = data
        formats[format_name] = {
            "shard": asdict(entry),
            "examples": {
                "anchors": len(rows) + rows.drops.total(),
                "rows": len(rows),
                "drops": dict(sorted(rows.drops.items())),
            },
            "stats": statistics(table, format_name),
        }
    if shard.rejected:
        files[f"rejects/{name.replace('.parquet', '.jsonl')}"] = _json_lines(shard.rejected)
    dropped = shard.pool.drops
    result = {
        "split": split,
        "number": number,
        "digest": shard.digest,
        "documents": shard.documents,
        "sentences": {
            "read": len(shard.pool) + dropped.total(),
            "usable": len(shard.pool),
            "drops": dict(sorted(dropped.items())),
        },
        "formats": formats,
        "files": {path: len(data) for path, data in files.items()},
    }
    return BuiltShard(files, result)


def _build_rows(
    pool: Pool, config: BuildConfig, probabilities: Probabilities | None
) -> dict[str, Rows]:
    """The rows of each asked format; what unified needs of others is built on the way."""
    options = config.examples

    @cache
    def pairs() -> Rows:
        return sentence_pair(pool, options)

    @cache
    def sentiments() -> Rows:
        unlabelled = np.zeros((len(pool), len(LABEL_WORDS["sentiment"])))
        return sentiment(pool, options, unlabelled if probabilities is None else probabilities)

    builders: dict[str, Callable[[], Rows]] = {
        "sentence_pair": pairs,
        "multiple_choice": lambda: multiple_choice(pool, options),
        "sentiment": sentiments,
        "unified": lambda: unified(pool, options, pairs(), sentiments()),
    }
    return {name: builders[name]() for name in config.formats}


def _json_lines(rows: Sequence[dict[str, str | int]]) -> bytes:
    lines = (json.dumps(row, ensure_ascii=True, sort_keys=True) for row in rows)
    return ("\n".join(lines) + "\n").encode()


def shard_entry(result: dict[str, Any], format_name: str) -> Shard:
    """The manifest's entry for one format of a finished shard."""
    return Shard(**result["formats"][format_name]["shard"])
