"""What each stage of a build takes of a sample, in one process and without Beam."""

import hashlib
import json
import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import BuildConfig
from pipelines.files import Bundle, FileSlice
from pipelines.gathering import Gathering
from pipelines.packets import KeyedDocument, Records, decode, encode, pack
from pipelines.preparing import ReadOptions
from pipelines.readers import expand, read
from pipelines.shards import build_shard, pool_shard, sentences_to_label, shard_digest
from pipelines.sinks import files_to_write
from ppt.corpus.clusters import cluster, edges, link
from ppt.corpus.exclusion import Excluded
from ppt.corpus.repeats import repeated
from ppt.corpus.sentiment import class_distribution
from ppt.text.sentences import get_splitter
from ppt.text.vader import vader_compound

FEW, MANY = 3, 10_000
"""Shards among which a packet of documents is divided, where it is measured what that costs."""


@dataclass(frozen=True)
class Measured:
    """CPU-seconds per MB of text by stage; bytes per byte of text; bytes of single things."""

    megabytes: float
    documents: int
    median_chars: float
    deviation: float
    read: float
    relate: float
    pool: float
    label: float
    build: float
    packed_few: float
    packed_many: float
    notes: float
    rows: float
    unpacked: float
    note_bytes: float
    id_bytes: float
    entry_bytes: float
    plan_bytes: float
    slice_bytes: float
    shard_bytes: float
    shard_memory: float

    @property
    def cpu(self) -> float:
        """CPU-seconds per MB."""
        return self.read + self.relate + self.pool + self.label + self.build

    def packed(self, shards: float) -> float:
        """Bytes of packets per byte of text, between what was measured by the logarithm."""
        place = math.log(max(min(shards, MANY), FEW) / FEW) / math.log(MANY / FEW)
        return self.packed_few + place * (self.packed_many - self.packed_few)


TOLD = {
    "megabytes": "MB of text in the sample", "documents": "documents",
    "median_chars": "their median length, characters",
    "deviation": "deviation of the logarithm of their lengths",
    "read": "CPU-s per MB: read, split, take notes, pack",
    "relate": "CPU-s per MB: find clusters and repetition",
    "pool": "CPU-s per MB: unpack, pool", "label": "CPU-s per MB: label by VADER",
    "build": "CPU-s per MB: build four formats, encode",
    "packed_few": f"bytes per byte of text: packets for {FEW} shards",
    "packed_many": f"bytes per byte of text: packets for {MANY:,} shards",
    "notes": "bytes per byte of text: notes of how documents relate",
    "rows": "bytes per byte of text: Parquet, four formats",
    "unpacked": "bytes per byte of text: rows in memory, of the largest format",
    "note_bytes": "bytes: what a shard tells of itself, ids aside",
    "id_bytes": "bytes: what it tells of each document's id",
    "entry_bytes": "bytes: a shard in a manifest", "plan_bytes": "bytes: a shard in the plan",
    "slice_bytes": "bytes: a slice of 32 MB in the graph",
    "shard_bytes": "bytes: a shard in the graph",
    "shard_memory": "bytes of memory per byte of a shard's text",
}  # fmt: skip
"""What each number is."""


@dataclass
class _Stages:
    """CPU-seconds by stage, and what shards tell of themselves."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[int] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    unpacked: list[float] = field(default_factory=list)
    ids: int = 0
    rows: int = 0

    def timed(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` gives, its time counted."""
        started = time.process_time()
        found = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.process_time() - started
        return found


def gathered(slices: Sequence[FileSlice], config: BuildConfig, megabytes: float) -> Iterator[Any]:
    """What workers gather, packet by packet, with the notes of each, until there is so much."""
    splitter, left = get_splitter(), megabytes * 1e6
    found = Gathering(config, splitter)
    for record in (one for part in slices for one in read(part, ReadOptions())):
        found.add(record)
        if found.characters >= min(8e6, left):
            left -= found.characters
            yield found, *found.notes()
            found = Gathering(config, splitter)
        if left <= 0:
            return
    yield found, *found.notes()


def divided(documents: Sequence[KeyedDocument], config: BuildConfig) -> int:
    """Bytes of the packets of documents that were read together."""
    homes: dict[Any, Records] = {}
    for one in documents:
        home = config.shard_in(config.split_of(one.number), one.number)
        homes.setdefault(home, Records()).documents.append(one)
    return sum(len(encode(records)) for records in homes.values())


def built(met: dict[Any, list[bytes]], bars: np.ndarray) -> _Stages:
    """All shards, from their packets to their files."""
    to, config = _Stages(), BuildConfig(num_shards=FEW)
    vader_compound(["A warm start."])
    for shard, packets in met.items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = to.timed("pool", partial(decode, packets))
        found = Records(found.documents, found.rejects, bars)
        digest = to.timed("pool", partial(shard_digest, found, config))
        one = to.timed("pool", partial(pool_shard, shard, found, digest, config, Excluded()))
        wanted = sentences_to_label(one, config)
        labels = class_distribution(to.timed("label", partial(vader_compound, wanted)))
        files, result = to.timed("build", partial(build_shard, one, config, labels))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        to.memory.append(grown * 1024 / max(result.documents.characters, 1))
        ids = len(result.documents.id_hashes)
        to.notes.append(len(result.to_json()) - ids)
        to.ids += ids
        tables = [data for name, data in files.items() if name.endswith("parquet")]
        to.rows += sum(map(len, tables))
        largest = max(pq.read_table(pa.BufferReader(data)).nbytes for data in tables)
        to.unpacked.append(largest / max(result.documents.characters, 1))
        entries = [of.shard for of in result.formats.values()]
        to.entries += [len(json.dumps(asdict(entry), indent=2)) for entry in entries]
    return to


def measure(patterns: Sequence[str], megabytes: float) -> Measured:
    """Go the way of the documents once, a stage at a time."""
    slices, config, apart = (
        expand(patterns),
        BuildConfig(num_shards=FEW),
        BuildConfig(num_shards=MANY),
    )
    to = _Stages()
    vader_compound(["A warm start."])
    parts = to.timed("read", lambda: list(gathered(slices, config, megabytes)))
    packets = to.timed("read", lambda: [
        [(shard, encode(one)) for shard, one in found.shards.items()] for found, *_ in parts
    ])  # fmt: skip
    samples, standings = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    notes = to.timed("read", lambda: pack(samples) + pack(standings))
    to.timed("relate", lambda: cluster(edges(link(samples))))
    bars = to.timed("relate", lambda: repeated(standings, np.empty(0, np.uint64)))
    met: dict[Any, list[bytes]] = {}
    for shard, packet in (one for some in packets for one in some):
        met.setdefault(shard, []).append(packet)
    with get_context("spawn").Pool(1) as fresh:  # whose memory nothing else has grown
        shards = fresh.apply(built, (met, bars))
    read_together = [
        [one for records in found.shards.values() for one in records.documents]
        for found, *_ in parts
    ]
    sizes = np.array([one.characters for some in read_together for one in some])
    text, logs = int(sizes.sum()), np.log(np.maximum(sizes, 1))
    return Measured(
        text / 1e6, len(sizes), float(np.exp(np.median(logs))), float(logs.std()),
        **{stage: of / text * 1e6 for stage, of in (to.seconds | shards.seconds).items()},
        packed_few=sum(len(packet) for some in packets for _, packet in some) / text,
        packed_many=sum(divided(some, apart) for some in read_together) / text,
        notes=len(notes) / text, rows=shards.rows / text,
        unpacked=max(shards.unpacked),
        note_bytes=float(np.mean(shards.notes)), id_bytes=shards.ids / len(sizes),
        entry_bytes=float(np.mean(shards.entries)),
        plan_bytes=len(json.dumps([*files_to_write(apart)])) / len(apart.all_shards()),
        slice_bytes=in_graph([like(slices[0], n) for n in range(MANY)]),
        shard_bytes=in_graph(apart.all_shards()), shard_memory=max(shards.memory),
    )  # fmt: skip


def like(part: FileSlice, number: int) -> Bundle:
    """A slice of another file in a name's place that tells as much as names in a crawl do."""
    more = hashlib.blake2b(str(number).encode(), digest_size=8).hexdigest()
    return Bundle((replace(part, path=f"{part.path}-{more}", name=f"{part.name}-{more}"),))


def in_graph(elements: Sequence[object]) -> float:
    """Bytes that each takes in a job: `beam.Create` packs them into it."""

    def size(some: Sequence[object]) -> int:
        pipeline = beam.Pipeline()
        _ = pipeline | beam.Create(some)
        bytes_: int = pipeline.to_runner_api().ByteSize()
        return bytes_

    half = len(elements) // 2
    return (size(elements) - size(elements[:half])) / (len(elements) - half)
