"""The graph: read and split → relate → group → pool → label → build and write → manifests.

Documents are read, split and shuffled once, because a shard is at once the unit of
deduplication, the pool that other-document sentences come from, and a file.
Rejects and counts travel in the data, so they are exact wherever a runner
retries. Each DoFn only wraps functions that are tested without Beam.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import apache_beam as beam
import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.dealing import DealOut, MetShard, dealt
from pipelines.files import Bundle
from pipelines.finishing import describe, sum_up, write_manifests
from pipelines.gathering import Gathering, find_splitter
from pipelines.labelling import make_labeller
from pipelines.ledger import ShardResult
from pipelines.local import Board
from pipelines.metrics import count, each_timed, timed, told
from pipelines.packets import (
    REJECT_CHARACTERS,
    Packet,
    Records,
    Spool,
    characters_in,
    decode,
    encode,
)
from pipelines.readers import read
from pipelines.relations import Notes, Relate, clusters_in, divided
from pipelines.shards import PooledShard, build_shard, pool_shard, sentences_to_label, shard_digest
from pipelines.sinks import EXCLUDED_ROWS, Output
from ppt.corpus.exclusion import Excluded
from ppt.corpus.manifest import Manifest
from ppt.errors import InputError

_PACKET_CHARACTERS = 8_000_000
"""Text held back while reading, to send few large elements into the shuffle."""

CROWDED = 8
"""So many times the text that it is to have, a shard is refused."""


@dataclass(frozen=True)
class Local:
    """What a build on one machine has, and elsewhere not: where processes count what they did,
    a spool for documents, and how many processes the shards are to be shared among.
    """

    progress: str = ""
    spool: str | None = None
    workers: int = 1


@dataclass(eq=False, repr=False)
class ReadAndSplit(beam.DoFn):  # type: ignore[misc]
    """A bundle of slices → `Waiting` packets of split documents; tagged, what relates them."""

    config: BuildConfig
    spool: Spool
    progress: str

    def setup(self) -> None:
        self._board = Board(self.progress)
        self._splitter = find_splitter(self.config.splitter_source or self.config.splitter)

    def process(self, part: Bundle | ShardKey) -> Iterator[Any]:
        for found in each_timed("read", self._gathered(part)):
            yield from self._flush(found)

    def _gathered(self, part: Bundle | ShardKey) -> Iterator[Gathering]:
        found = Gathering(self.config, self._splitter)
        if isinstance(part, Bundle):
            for record in chain.from_iterable(read(one, self.config.read) for one in part.slices):
                found.add(record)
                if found.size >= _PACKET_CHARACTERS:
                    yield found
                    found = Gathering(self.config, self._splitter)
        else:
            # Every shard is asked for by name, so that one without documents is written too.
            found.shards[part] = Records()
        yield found

    def _flush(self, found: Gathering) -> Iterator[Any]:
        documents = sum(len(records.documents) for records in found.shards.values())
        rejects = sum(len(records.rejects) for records in found.shards.values())
        facts = {"documents": documents, "rejects": rejects, "characters": found.characters}
        count({f"found_{name}": number for name, number in facts.items()})
        if documents or rejects:
            told("read", **facts)
        self._board.add(documents=documents)
        parts = self.config.partitions
        samples, standings = found.notes()
        notes = {
            "samples": divided(samples, "hash", parts),
            "standings": divided(standings, "key", parts),
        }
        data = [encode(records) for records in found.shards.values()]
        packets = iter(
            self.spool.put([*data, *(one for note in notes.values() for one in note.values())])
        )
        for shard, records in found.shards.items():
            numbers = np.array([one.number for one in records.documents], dtype=np.uint64)
            yield shard, next(packets), numbers.tobytes()
        for tag, note in notes.items():
            for number in note:
                yield beam.pvalue.TaggedOutput(tag, (number, next(packets)))
        self._board.add(text_bytes=found.characters)


@dataclass(eq=False, repr=False)
class PoolShards(beam.DoFn):  # type: ignore[misc]
    """All packets of a shard → its pool, and the sentences to label.

    A shard that an earlier, crashed run finished passes through as its result. One of more than
    `most` characters is refused: small files may hold more than any memory.
    """

    config: BuildConfig
    spool: Spool
    output: Output
    most: float

    def setup(self) -> None:
        data = self.output.get(EXCLUDED_ROWS)
        self._excluded = Excluded.from_bytes(data) if data else Excluded()

    def process(self, element: MetShard) -> Iterator[tuple[PooledShard | ShardResult, list[str]]]:
        key, packets = element[0], list(element[1])
        self._refuse_crowd(key, characters_in(map(self.spool.get, packets)))
        found = decode(map(self.spool.get, packets))
        digest = shard_digest(found, self.config)
        finished = self.output.finished_shard(key, digest)
        if finished is not None:
            yield finished, []
            return
        with timed("pool"):
            shard = pool_shard(key, found, digest, self.config, self._excluded)
            sentences = sentences_to_label(shard, self.config)
        yield shard, sentences

    def _refuse_crowd(self, key: ShardKey, characters: int) -> None:
        if characters > self.most:
            shards = math.ceil(self.config.num_shards * characters * CROWDED / self.most)
            raise InputError(
                f"shard {key[0]}-{key[1]} has {characters / 1e6:,.0f} MB of text, expected at most "
                f"{self.most / 1e6:,.0f}, {CROWDED} times --shard_mb: the files hold more than "
                f"their sizes tell (a reject takes the place of {REJECT_CHARACTERS} characters); "
                f"give --num_shards {shards}, or a larger --shard_mb."
            )


@dataclass(eq=False, repr=False)
class WriteShards(beam.DoFn):  # type: ignore[misc]
    """A labelled pool → the shard's files, and its result for the manifests."""

    config: BuildConfig
    output: Output
    progress: str

    def setup(self) -> None:
        self._board = Board(self.progress)

    # Of the labels, or None: Beam reads these hints and knows no array types.
    def process(self, element: tuple[PooledShard | ShardResult, Any]) -> Iterator[ShardResult]:
        result, probabilities = element
        kept = isinstance(result, ShardResult)
        if isinstance(result, PooledShard):
            with timed("build"):
                files, result = build_shard(result, self.config, probabilities)
            with timed("write"):
                self.output.put_shard(files, result)
        counts = result.counters()
        count(counts)
        told("shard_written", split=result.split, number=result.number, kept=kept, **counts)
        self._board.add(shards=1)
        yield result


@dataclass(eq=False, repr=False)
class BuildCorpora(beam.PTransform):  # type: ignore[misc]
    """Slices of files → corpora on disk; yields nothing but the fact that it is done.

    `most` is the text, in characters, that no shard may have more of; `accelerator` Beam's hint
    for the step that labels.
    """

    config: BuildConfig
    output: Output
    local: Local = Local()
    most: float = math.inf
    accelerator: str | None = None

    def expand(self, slices: beam.PCollection) -> beam.PCollection:
        config, output, local = self.config, self.output, self.local
        spool = Spool(local.spool)
        reading = beam.ParDo(ReadAndSplit(config, spool, local.progress))
        notes = slices | "Read and split" >> reading.with_outputs(
            "samples", "standings", main="documents"
        )
        placed, clusters = Notes(*notes) | Relate(config, spool)
        shards = placed | "Meet in shards" >> beam.GroupByKey()
        if local.workers > 1:
            shards |= "Deal out" >> DealOut(local.workers)
        pools = shards | "Pool" >> beam.ParDo(PoolShards(config, spool, output, self.most))

        def summed(
            found: tuple[None, Iterable[ShardResult]], known: Packet
        ) -> Iterator[tuple[int, Manifest]]:
            manifests = sum_up(list(found[1]), clusters_in(known, spool), config, output)
            sizes = [sum(shard.bytes for shard in one.shards["train"]) for one in manifests]
            return enumerate(manifests[i] for i in dealt(sizes, local.workers))

        return (
            self._labelled(pools)
            | "Build and write" >> beam.ParDo(WriteShards(config, output, local.progress))
            | "To one place" >> beam.Map(lambda result: (None, result))
            | "Collect" >> beam.GroupByKey()
            | "Sum up" >> beam.FlatMap(summed, beam.pvalue.AsSingleton(clusters))
            | "Deal formats" >> beam.GroupByKey()
            | "One by one" >> beam.FlatMapTuple(lambda _, manifests: manifests)
            | "Describe" >> beam.Map(describe, output)
            | "Bring together" >> beam.Map(lambda manifest: (None, manifest))
            | "Collect formats" >> beam.GroupByKey()
            | "Write manifests"
            >> beam.MapTuple(lambda _, all_: write_manifests(all_, output, at_end=not local.spool))
        )

    def _labelled(self, pools: beam.PCollection) -> beam.PCollection:
        if not self.config.needs_labels:
            return pools | "No labels" >> beam.MapTuple(lambda shard, _: (shard, None))
        labeller = make_labeller(self.config.labeller)
        if self.accelerator:
            labeller = labeller.with_resource_hints(accelerator=self.accelerator)
        return pools | "Label" >> labeller
