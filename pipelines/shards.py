"""From the documents that met in a shard to its files, and from all shards to manifests.

`split_shard` turns what `pipelines.packets` brought together into a pool of sentences,
`build_shard` that into files, and `build_manifests` puts the results of all shards
together. No Beam here.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.packets import KeyedDocument, ShardInput
from ppt.corpus.builders import (
    Probabilities,
    Rows,
    anchors_of,
    multiple_choice,
    sentence_pair,
    sentiment,
    unified,
)
from ppt.corpus.formats import LABEL_WORDS
from ppt.corpus.pool import Pool, SplitDocument, build_pool
from ppt.corpus.storage import (
    SPLITS,
    Manifest,
    Shard,
    add_counts,
    encode_shard,
    shard_name,
    statistics,
)
from ppt.corpus.tables import Phrases, to_table
from ppt.errors import InputError

DUPLICATE = "duplicate"
"""Reason word in ``rejects/`` of a document that equals an earlier one."""


def shard_digest(found: ShardInput, config: BuildConfig) -> str:
    """Equal digests mean equal files: what lets a rerun keep a finished shard."""
    state = hashlib.blake2b(config.fingerprint().encode(), digest_size=16)
    for document in found.documents:
        place = f"{document.id}\0{document.source}\0{document.offset}"
        state.update(document.key + place.encode("utf-8", "replace"))
    for reject in found.rejects:
        state.update(json.dumps(reject.as_dict(), sort_keys=True).encode())
    return state.hexdigest()


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
        place: dict[str, str | int] = {"source": document.source, "offset": document.offset}
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
    return SplitShard(key, shard_digest(found, config), pool, documents, rejected)


def sentences_to_label(shard: SplitShard, config: BuildConfig) -> list[str]:
    """The sentences that may become sentiment examples: A anchors, not all N of the pool."""
    anchors, _ = anchors_of(shard.pool, config.examples)
    return [shard.pool.text[anchor] for anchor in anchors.tolist()]


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
    """Build all asked formats from one pool.

    `probabilities` [A, 5] of `sentences_to_label`, where labels are needed.
    """
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
        if probabilities is not None:
            return sentiment(pool, options, probabilities)
        anchors, _ = anchors_of(pool, options)
        return sentiment(pool, options, np.zeros((len(anchors), len(LABEL_WORDS["sentiment"]))))

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


Result = dict[str, Any]


def build_manifests(results: Sequence[Result], config: BuildConfig) -> dict[str, Manifest]:
    """One manifest per asked format. Raises InputError where no document was usable."""
    results = sorted(results, key=lambda result: (SPLITS.index(result["split"]), result["number"]))
    found = [(result["split"], result["number"]) for result in results]
    assert found == config.all_shards(), f"shards {found} of {config.all_shards()}"
    documents = document_ledger(results)
    if not documents["kept"]:
        reasons = ", ".join(f"{n} {why}" for why, n in documents["rejected"].items())
        raise InputError(
            f"no usable document: {documents['read']} read, {reasons or 'none rejected'}, "
            f"{documents['duplicates']} duplicates; see rejects/ in the output folder."
        )
    return {name: _manifest(name, results, documents, config) for name in config.formats}


def document_ledger(results: Sequence[Result]) -> dict[str, Any]:
    """Documents read, kept, rejected by reason and equal to others; it must add up."""
    parts = [result["documents"] for result in results]
    hashes = [np.frombuffer(base64.b64decode(part["id_hashes"]), "<u8") for part in parts]
    _, uses = np.unique(np.concatenate(hashes), return_counts=True)
    counts = ("read", "kept", "duplicates", "rejected", "characters")
    ledger = add_counts({name: part[name] for name in counts} for part in parts)
    ledger["sharing_an_id"] = int(uses[uses > 1].sum())
    explained = ledger["kept"] + sum(ledger["rejected"].values()) + ledger["duplicates"]
    assert ledger["read"] == explained, ledger
    return ledger


def _manifest(
    name: str, results: Sequence[Result], documents: dict[str, Any], config: BuildConfig
) -> Manifest:
    by_split = {split: [r for r in results if r["split"] == split] for split in SPLITS}
    examples = add_counts(result["formats"][name]["examples"] for result in results)
    examples.setdefault("drops", {})
    assert examples["anchors"] == examples["rows"] + sum(examples["drops"].values()), examples
    return Manifest(
        format=name,
        config=config.as_manifest(),
        versions=config.versions(),
        documents=documents,
        sentences=add_counts(result["sentences"] for result in results),
        examples=examples,
        shards={s: tuple(shard_entry(r, name) for r in by_split[s]) for s in SPLITS},
        stats={s: add_counts(r["formats"][name]["stats"] for r in by_split[s]) for s in SPLITS},
    )
