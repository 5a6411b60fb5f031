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
from pipelines.shards import (
    PooledShard,
    build_shard,
    pool_shard,
    sentences_to_label,
    shard_digest,
)
from pipelines.sinks import EXCLUDED_ROWS, Output
from pipelines.stores import told_plainly
from ppt.corpus.exclusion import Excluded
from ppt.corpus.manifest import Manifest
from ppt.errors import InputError

_PACKET_CHARACTERS = 8_000_000
"""Text held back while reading, to send few large elements into the shuffle."""

CROWDED = 8
"""So many times the text that it is to have, a shard is refused."""


@dataclass(frozen=True)
class Local:
    """What a build on one machine has besides: where processes count what they did, a spool
    for documents, and how many processes the shards are to be shared among.
    """

    progress: str
    spool: str
    workers: int


class ReadAndSplit(beam.DoFn):  # type: ignore[misc]
    """A bundle of slices → `Waiting` packets of split documents; tagged, what relates them."""

    SAMPLES, STANDINGS = "samples", "standings"

    def __init__(self, config: BuildConfig, spool: Spool, progress: str) -> None:
        self._config = config
        self._spool = spool
        self._progress = progress

    def setup(self) -> None:
        self._board = Board(self._progress)
        self._splitter = find_splitter(self._config.splitter_source or self._config.splitter)

    def process(self, part: Bundle | ShardKey) -> Iterator[Any]:
        for found in each_timed("read", self._gathered(part)):
            yield from self._flush(found)

    def _gathered(self, part: Bundle | ShardKey) -> Iterator[Gathering]:
        found = Gathering(self._config, self._splitter)
        if isinstance(part, Bundle):
            for record in chain.from_iterable(read(one, self._config.read) for one in part.slices):
                found.add(record)
                if found.size >= _PACKET_CHARACTERS:
                    yield found
                    found = Gathering(self._config, self._splitter)
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
        parts = self._config.partitions
        samples, standings = found.notes()
        notes = {
            self.SAMPLES: divided(samples, "hash", parts),
            self.STANDINGS: divided(standings, "key", parts),
        }
        data = [encode(records) for records in found.shards.values()]
        with told_plainly(self._spool.folder or ""):
            packets = iter(
                self._spool.put([*data, *(one for note in notes.values() for one in note.values())])
            )
        for shard, records in found.shards.items():
            numbers = np.array([one.number for one in records.documents], dtype=np.uint64)
            yield shard, next(packets), numbers.tobytes()
        for tag, note in notes.items():
            for number in note:
                yield beam.pvalue.TaggedOutput(tag, (number, next(packets)))
        self._board.add(text_bytes=found.characters)


def put_excluded(output: Output, rows: Excluded) -> None:
    """Lay down for the workers what no sentence may share words with."""
    output.put(EXCLUDED_ROWS, rows.to_bytes())


def excluded_rows(output: Output) -> Excluded:
    """What `put_excluded` laid down, or nothing."""
    data = output.get(EXCLUDED_ROWS)
    return Excluded.from_bytes(data) if data else Excluded()


class PoolShards(beam.DoFn):  # type: ignore[misc]
    """All packets of a shard → its pool, and the sentences to label.

    A shard that an earlier, crashed run finished passes through as its result. One of more than
    `most` characters is refused: small files may hold more than any memory.
    """

    def __init__(self, config: BuildConfig, spool: Spool, output: Output, most: float) -> None:
        self._most = most
        self._config = config
        self._spool = spool
        self._output = output

    def setup(self) -> None:
        self._excluded = excluded_rows(self._output)

    def process(self, element: MetShard) -> Iterator[tuple[PooledShard | ShardResult, list[str]]]:
        key, packets = element[0], list(element[1])
        self._refuse_crowd(key, characters_in(map(self._spool.get, packets)))
        found = decode(map(self._spool.get, packets))
        finished = self._output.finished_shard(key, shard_digest(found, self._config))
        if finished is not None:
            yield finished, []
            return
        with timed("pool"):
            shard = pool_shard(key, found, self._config, self._excluded)
            sentences = sentences_to_label(shard, self._config)
        yield shard, sentences

    def _refuse_crowd(self, key: ShardKey, characters: int) -> None:
        if characters > self._most:
            shards = math.ceil(self._config.num_shards * characters * CROWDED / self._most)
            raise InputError(
                f"shard {key[0]}-{key[1]} has {characters / 1e6:,.0f} MB of text, expected at most "
                f"{self._most / 1e6:,.0f}, {CROWDED} times --shard_mb: the files hold more than "
                f"their sizes tell (a reject takes the place of {REJECT_CHARACTERS} characters); "
                f"give --num_shards {shards}, or a larger --shard_mb."
            )


class WriteShards(beam.DoFn):  # type: ignore[misc]
    """A labelled pool → the shard's files, and its result for the manifests."""

    def __init__(self, config: BuildConfig, output: Output, progress: str) -> None:
        self._config = config
        self._output = output
        self._progress = progress

    def setup(self) -> None:
        self._board = Board(self._progress)

    # Of the labels, or None: Beam reads these hints and knows no array types.
    def process(self, element: tuple[PooledShard | ShardResult, Any]) -> Iterator[ShardResult]:
        result, probabilities = element
        kept = isinstance(result, ShardResult)
        if isinstance(result, PooledShard):
            with timed("build"):
                files, result = build_shard(result, self._config, probabilities)
            with timed("write"):
                self._output.put_shard(files, result)
        counts = result.counters()
        count(counts)
        told("shard_written", split=result.split, number=result.number, kept=kept, **counts)
        self._board.add(shards=1)
        yield result


class BuildCorpora(beam.PTransform):  # type: ignore[misc]
    """Slices of files → corpora on disk; yields nothing but the fact that it is done.

    `most` is the text, in characters, that no shard may have more of; `accelerator` Beam's hint
    for the step that labels, "" for none.
    """

    def __init__(
        self,
        config: BuildConfig,
        output: Output,
        local: Local | None = None,
        most: float = math.inf,
        accelerator: str = "",
    ) -> None:
        super().__init__()
        self._most = most
        self._accelerator = accelerator
        self._config = config
        self._output = output
        self._local = local

    def expand(self, slices: beam.PCollection) -> beam.PCollection:
        config, output, local = self._config, self._output, self._local
        progress = local.progress if local else ""
        spool = Spool(local.spool if local else None)
        tags = (ReadAndSplit.SAMPLES, ReadAndSplit.STANDINGS)
        reading = beam.ParDo(ReadAndSplit(config, spool, progress))
        documents, *notes = slices | "Read and split" >> reading.with_outputs(
            *tags, main="documents"
        )
        placed, clusters = Notes(documents, *notes) | Relate(config, spool)
        shards = placed | "Meet in shards" >> beam.GroupByKey()
        if local and local.workers > 1:
            shards |= "Deal out" >> DealOut(local.workers)
        pools = shards | "Pool" >> beam.ParDo(PoolShards(config, spool, output, self._most))

        workers = local.workers if local else 1

        def summed(
            found: tuple[None, Iterable[ShardResult]], known: Packet
        ) -> Iterator[tuple[int, Manifest]]:
            manifests = sum_up(list(found[1]), clusters_in(known, spool), config, output)
            sizes = [sum(shard.bytes for shard in one.shards["train"]) for one in manifests]
            return enumerate(manifests[i] for i in dealt(sizes, workers))

        return (
            self._labelled(pools)
            | "Build and write" >> beam.ParDo(WriteShards(config, output, progress))
            | "To one place" >> beam.Map(lambda result: (None, result))
            | "Collect" >> beam.GroupByKey()
            | "Sum up" >> beam.FlatMap(summed, beam.pvalue.AsSingleton(clusters))
            | "Deal formats" >> beam.GroupByKey()
            | "One by one" >> beam.FlatMapTuple(lambda _, manifests: manifests)
            | "Describe" >> beam.Map(describe, output)
            | "Bring together" >> beam.Map(lambda manifest: (None, manifest))
            | "Collect formats" >> beam.GroupByKey()
            | "Write manifests"
            >> beam.MapTuple(lambda _, all_: write_manifests(all_, output, at_end=local is None))
        )

    def _labelled(self, pools: beam.PCollection) -> beam.PCollection:
        if not self._config.needs_labels:
            return pools | "No labels" >> beam.MapTuple(lambda shard, _: (shard, None))
        labeller = make_labeller(self._config.labeller)
        if self._accelerator:
            labeller = labeller.with_resource_hints(accelerator=self._accelerator)
        return pools | "Label" >> labeller
