"""What each shard tells of itself, and what all of them tell together: the manifests.

Counts travel in the data, so they are exact wherever a runner retries, and they must add
up: documents read = kept + rejected + duplicates, anchors = rows + drops. A finished
shard's note is its `ShardResult` as JSON.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.flags import DROP, KEEP
from pipelines.labelling import refuse_foreign
from ppt.corpus.clusters import COMMON, CONTAINED, Clusters
from ppt.corpus.lacks import lacks, mixture, splitter_advice
from ppt.corpus.manifest import SPLITS, Manifest, Shard, Stats, add_counts
from ppt.corpus.shingles import SHINGLE_WORDS
from ppt.errors import InputError

Counts = Mapping[str, int]

MOST_FOREIGN = 0.5
"""Of documents in languages that the labeller does not know."""


@dataclass(frozen=True)
class DocumentCounts:
    """Documents of a shard: `rejected` by reason; `notes` count what was done to those that
    were no rejects when they were read; `foreign` counts those kept in languages that the
    labeller does not know, `better_splitter` those that call for one; `id_hashes` of those
    kept, see `pack_ids`.
    """

    read: int
    kept: int
    duplicates: int
    rejected: Counts
    characters: int
    better_splitter: Counts
    id_hashes: str
    notes: Counts = field(default_factory=dict)
    foreign: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class SentenceCounts:
    """Sentences of a shard; those that are not usable by reason; of these, the excluded by
    the task or file that they share words with.
    """

    read: int
    usable: int
    drops: Counts
    shared_with: Counts


@dataclass(frozen=True)
class ExampleCounts:
    """Anchors of one format in a shard; those that gave no row by reason."""

    anchors: int
    rows: int
    drops: Counts


@dataclass(frozen=True)
class FormatResult:
    """One format in a shard: its file, its counts, the statistics of its table."""

    shard: Shard
    examples: ExampleCounts
    stats: Stats


@dataclass(frozen=True)
class ShardResult:
    """All that the manifests need of a finished shard. `files` are paths with their sizes."""

    split: str
    number: int
    digest: str
    documents: DocumentCounts
    sentences: SentenceCounts
    formats: Mapping[str, FormatResult]
    files: Counts

    @property
    def key(self) -> ShardKey:
        """Its place among all shards."""
        return self.split, self.number

    def counters(self) -> dict[str, int]:
        """What runners show of it. Over all shards these are what the manifests say."""
        documents, sentences = self.documents, self.sentences
        return {
            "documents_read": documents.read,
            "documents_kept": documents.kept,
            "documents_duplicate": documents.duplicates,
            **{f"rejected_{reason}": number for reason, number in documents.rejected.items()},
            "sentences_read": sentences.read,
            "sentences_usable": sentences.usable,
            **{f"rows_{name}": one.examples.rows for name, one in self.formats.items()},
            "shards_written": 1,
        }

    def to_json(self) -> str:
        """The note's text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "ShardResult":
        """Read `to_json`'s text."""
        data = json.loads(text)
        data["documents"] = DocumentCounts(**data["documents"])
        data["sentences"] = SentenceCounts(**data["sentences"])
        data["formats"] = {
            name: FormatResult(
                Shard(**one["shard"]), ExampleCounts(**one["examples"]), one["stats"]
            )
            for name, one in data["formats"].items()
        }
        return cls(**data)


def pack_ids(ids: Iterable[str]) -> str:
    """64-bit hashes of users' ids as text, by which ids that documents share are counted."""
    known = (hashlib.blake2b(one.encode("utf-8", "replace"), digest_size=8) for one in ids)
    return base64.b64encode(b"".join(one.digest() for one in known)).decode()


def build_manifests(
    results: Sequence[ShardResult], clusters: Clusters, config: BuildConfig
) -> dict[str, Manifest]:
    """One manifest per asked format. Raises InputError where no document was usable."""
    results = sorted(results, key=lambda result: (SPLITS.index(result.split), result.number))
    found = [result.key for result in results]
    assert found == config.all_shards(), f"shards {found} of {config.all_shards()}"
    documents = document_ledger([result.documents for result in results])
    refuse_foreign(config.labeller, documents["foreign"], documents["kept"], MOST_FOREIGN)
    if not documents["kept"]:
        advice = splitter_advice(documents)
        reasons = ", ".join(f"{n} {why}" for why, n in documents["rejected"].items())
        raise InputError(
            f"no usable document: {documents['read']} read, {reasons or 'none rejected'}, "
            f"{documents['duplicates']} duplicates; see rejects/ in the output folder"
            f"{advice and f'; {advice}'}."
        )
    near = {} if config.near_duplicates == KEEP else near_duplicates(clusters, config)
    manifests = {name: _manifest(name, results, documents, near, config) for name in config.formats}
    if not any(manifest.rows["train"] for manifest in manifests.values()):
        told = "; ".join(f"{name}: {one.warnings[0]}" for name, one in manifests.items())
        raise InputError(f"nothing could be trained on this. {told}.")
    return manifests


def near_duplicates(clusters: Clusters, config: BuildConfig) -> dict[str, Any]:
    """What was found, by which rule, and how many documents stand in another split for it."""
    there = clusters.members
    if config.near_duplicates == DROP:
        there = there[there["number"] == there["kept"]]
    moved = sum(
        config.split_of(own) != config.split_of(theirs)
        for own, theirs in there[["number", "cluster"]].tolist()
    )
    rule = {"shingle_words": SHINGLE_WORDS, "contained": CONTAINED, "common": COMMON}
    return {**clusters.counts(), "moved": moved, "over_the_split": 0, "rule": rule}


def document_ledger(parts: Sequence[DocumentCounts]) -> dict[str, Any]:
    """Documents read, kept, rejected by reason and equal to others; it must add up."""
    hashes = [np.frombuffer(base64.b64decode(part.id_hashes), "<u8") for part in parts]
    _, uses = np.unique(np.concatenate(hashes), return_counts=True)
    counts = [asdict(part) for part in parts]
    for part in counts:
        del part["id_hashes"]
    ledger = add_counts(counts)
    ledger["sharing_an_id"] = int(uses[uses > 1].sum())
    explained = ledger["kept"] + sum(ledger["rejected"].values()) + ledger["duplicates"]
    assert ledger["read"] == explained, ledger
    return ledger


def _manifest(
    name: str,
    results: Sequence[ShardResult],
    documents: Mapping[str, Any],
    near: Mapping[str, Any],
    config: BuildConfig,
) -> Manifest:
    by_split = {s: [r.formats[name] for r in results if r.split == s] for s in SPLITS}
    examples = add_counts(asdict(result.formats[name].examples) for result in results)
    assert examples["anchors"] == examples["rows"] + sum(examples["drops"].values()), examples
    manifest = Manifest(
        format=name,
        config=config.as_manifest(),
        versions=config.versions(),
        documents=documents,
        near_duplicates=near,
        sentences=add_counts(asdict(result.sentences) for result in results),
        examples=examples,
        shards={split: tuple(one.shard for one in ones) for split, ones in by_split.items()},
        stats={split: add_counts(one.stats for one in ones) for split, ones in by_split.items()},
    )
    return replace(manifest, mixture=mixture(manifest), warnings=tuple(lacks(manifest)))
