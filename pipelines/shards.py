"""From the documents that met in a shard to its files.

`pool_shard` turns what met there into a pool of sentences,
`build_shard` that into files and what the manifests need of them. No Beam here.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines import ledger
from pipelines.config import BuildConfig, ShardKey
from pipelines.packets import KeyedDocument, Records
from ppt.base.arrays import Indices
from ppt.corpus.builders import Probabilities, Stock
from ppt.corpus.exclusion import Excluded
from ppt.corpus.formats import FORMATS
from ppt.corpus.pool import Pool, SplitDocument, build_pool
from ppt.corpus.storage import encode_shard, shard_name, statistics
from ppt.corpus.tables import Phrases, to_table
from ppt.corpus.trim import fitted

DUPLICATE = "duplicate"
"""Reason word in ``rejects/`` of a document that equals an earlier one."""

Line = dict[str, str | int]
"""A line of ``rejects/`` or ``excluded/``."""


def shard_digest(found: Records, config: BuildConfig) -> str:
    """Equal digests mean equal files: what lets a rerun keep a finished shard."""
    state = hashlib.blake2b(config.fingerprint().encode(), digest_size=16)
    for one in found.documents:  # with the sentences, as splitters learn
        state.update("\0".join([repr(one._replace(sentences=())), *one.sentences]).encode())
    state.update(repr(found.rejects).encode())
    state.update(found.repeated.tobytes())
    return state.hexdigest()


@dataclass
class PooledShard:
    """A shard between pooling and writing: its pool, its ledger of documents so far; the
    sentences that are barred, as they share words with what is tested on.
    """

    key: ShardKey
    digest: str
    pool: Pool
    documents: ledger.DocumentCounts
    rejected: list[Line]
    barred: list[Line]


def pool_shard(
    key: ShardKey, found: Records, digest: str, config: BuildConfig, excluded: Excluded
) -> PooledShard:
    """Drop equal documents and those of too few sentences, and pool the others.

    `digest` is the `shard_digest`.
    """
    rejected = [reject.as_dict() for reject in found.rejects]
    reasons = Counter[str]()
    for one in found.rejects:
        reasons[one.reason] += one.records
    notes, hints = Counter[str](), Counter[str]()
    kept: list[SplitDocument] = []
    previous: KeyedDocument | None = None
    duplicates = characters = 0
    foreign = Counter[str]()

    def reject(document: KeyedDocument, reason: str, detail: str) -> None:
        place: Line = {"source": document.source, "offset": document.offset}
        rejected.append({**place, "reason": reason, "detail": detail})

    for document in found.documents:
        notes.update(dict(json.loads(document.notes)))
        if previous is not None and document.key == previous.key:
            duplicates += 1
            reject(document, DUPLICATE, f"equals {previous.source} at {previous.offset}")
            continue
        previous = document
        hints[document.hint] += 1
        if (count := len(document.sentences)) < config.min_sentences:
            reasons["too_few_sentences"] += 1
            reject(document, "too_few_sentences", f"{count} < {config.min_sentences}")
            continue
        characters += document.characters
        kept.append(SplitDocument(document.key, document.id, document.sentences, document.cluster))
        foreign[document.foreign] += 1
    kept.sort(key=lambda one: (one.number if one.cluster is None else one.cluster, one.key))
    hits = excluded.hits([text for one in kept for text in one.sentences]) if excluded else None
    pool = build_pool(
        kept,
        config.examples.seed,
        found.repeated,
        config.min_sentence_chars,
        config.max_sentence_chars,
        None if hits is None else hits >= 0,
    )
    documents = ledger.DocumentCounts(
        read=len(found.documents) + sum(one.records for one in found.rejects),
        kept=len(kept),
        duplicates=duplicates,
        rejected=dict(reasons),
        notes=dict(notes),
        foreign={name: n for name, n in foreign.items() if name},
        characters=characters,
        better_splitter={name: n for name, n in hints.items() if name},
        id_hashes=ledger.pack_ids(document.id for document in kept),
    )
    barred = [] if hits is None else list(_barred(kept, hits, excluded))
    return PooledShard(key, digest, pool, documents, rejected, barred)


def _barred(kept: Sequence[SplitDocument], hits: Indices, excluded: Excluded) -> Iterator[Line]:
    """A line for each sentence that shares words with a row that is tested on."""
    owners = [(document, text) for document in kept for text in document.sentences]
    for number in np.flatnonzero(hits >= 0):
        document, text = owners[number]
        name, place = excluded.names[hits[number]]
        yield {"document": document.key.hex()[:16], "document_id": document.id, "text": text,
               "shared_with": name, "place": place}  # fmt: skip


def sentences_to_label(shard: PooledShard, config: BuildConfig) -> list[str]:
    """The sentences that may become sentiment examples: A anchors, not all N of the pool.

    As rows will show them: what is cut off must not decide the label.
    """
    anchors, _ = Stock(shard.pool, config.examples).anchors()
    most = config.examples.max_text_chars
    return [fitted(shard.pool.whole[anchor], most) for anchor in anchors.tolist()]


def build_shard(
    shard: PooledShard, config: BuildConfig, probabilities: Probabilities | None
) -> tuple[dict[str, bytes], ledger.ShardResult]:
    """Build all asked formats from one pool: the files by path below the output, the result.

    `probabilities` [A, 5] of `sentences_to_label`, where labels are needed.
    """
    split, number = shard.key
    name = shard_name(split, number, config.shards_of[split])
    stock = Stock(shard.pool, config.examples, probabilities)
    phrases = Phrases(stock)
    files: dict[str, bytes] = {}
    formats: dict[str, ledger.FormatResult] = {}
    for format_name in config.formats:
        rows = stock.rows(FORMATS[format_name].build)
        table = to_table(phrases, rows, format_name)
        files[f"{format_name}/{name}"], entry = encode_shard(table, name, format_name)
        anchors = len(rows) + rows.drops.total()
        counts = ledger.ExampleCounts(anchors, len(rows), dict(rows.drops))
        formats[format_name] = ledger.FormatResult(entry, counts, statistics(table, format_name))
    for folder, lines in (("rejects", shard.rejected), ("excluded", shard.barred)):
        if lines:
            texts = (json.dumps(line, sort_keys=True) + "\n" for line in lines)
            files[f"{folder}/{name.replace('.parquet', '.jsonl')}"] = "".join(texts).encode()
    usable, dropped = len(shard.pool), shard.pool.drops
    shared = Counter(str(line["shared_with"]) for line in shard.barred)
    sentences = ledger.SentenceCounts(usable + dropped.total(), usable, dict(dropped), dict(shared))
    sizes = {path: len(data) for path, data in files.items()}
    result = ledger.ShardResult(
        split, number, shard.digest, shard.documents, sentences, formats, files=sizes
    )
    return files, result
