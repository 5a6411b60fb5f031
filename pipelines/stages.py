"""The graph: read → shard → group → split → label → build and write → collect → manifests.

It is linear and shuffles once, because a shard is at once the unit of
deduplication, the pool that other-document sentences come from, and a file.
Rejects and counts travel in the data, so they are exact wherever a runner
retries. Each DoFn only wraps functions that are tested without Beam.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipelines.config import BuildConfig, ShardKey
from pipelines.labelling import Labeller
from pipelines.manifests import build_manifests
from pipelines.progress import Board
from pipelines.readers import FileSlice, read
from pipelines.shards import (
    KeyedDocument,
    SplitShard,
    build_shard,
    decode_documents,
    encode_documents,
    split_shard,
)
from pipelines.sinks import Output
from ppt.cards import dataset_card
from ppt.corpus import MANIFEST
from ppt.formats import Probabilities
from ppt.records import Reject
from ppt.sentences import get_splitter
from ppt.text import document_key, normalise

_PACKET_CHARACTERS = 8_000_000
"""Text held back while reading, to send few large elements into the shuffle."""

_METRICS = "ppt"


class ReadAndShard(beam.DoFn):  # type: ignore[misc]
    """A slice of a file → packets of normalised documents, keyed by their shard."""

    def __init__(self, config: BuildConfig, progress: str | None) -> None:
        self._config = config
        self._progress = progress

    def setup(self) -> None:
        self._board = Board(self._progress or "")
        self._documents = Metrics.counter(_METRICS, "documents_read")
        self._rejects = Metrics.counter(_METRICS, "records_rejected")

    def process(self, part: FileSlice | ShardKey) -> Iterator[tuple[ShardKey, bytes]]:
        if not isinstance(part, FileSlice):
            # Every shard is asked for by name, so that one without documents is written too.
            yield part, encode_documents(0, [], [])
            return
        packets: dict[ShardKey, tuple[list[KeyedDocument], list[Reject]]] = defaultdict(
            lambda: ([], [])
        )
        held = 0
        for record in read(part, self._config.read):
            if isinstance(record, Reject):
                shard = self._config.reject_shard(record.source, record.offset)
                packets[shard][1].append(record)
                continue
            text = normalise(record.text)
            key = document_key(text)
            keyed = KeyedDocument(key, record.id, text, record.source, record.offset)
            packets[self._config.shard_of(key)][0].append(keyed)
            held += len(text)
            if held >= _PACKET_CHARACTERS:
                yield from self._flush(packets, held)
                held = 0
        yield from self._flush(packets, held)

    def _flush(
        self, packets: dict[ShardKey, tuple[list[KeyedDocument], list[Reject]]], held: int
    ) -> Iterator[tuple[ShardKey, bytes]]:
        # In order: local runners deal shards out to their processes as they first see them.
        for shard, (documents, rejects) in sorted(packets.items()):
            self._documents.inc(len(documents))
            self._rejects.inc(len(rejects))
            self._board.add(documents=len(documents))
            yield shard, encode_documents(len(documents) + len(rejects), documents, rejects)
        self._board.add(text_bytes=held)
        packets.clear()


class SplitShards(beam.DoFn):  # type: ignore[misc]
    """All packets of a shard → its pool, and the sentences to label.

    A shard that an earlier, crashed run finished passes through as its result.
    """

    def __init__(self, config: BuildConfig, output: Output) -> None:
        self._config = config
        self._output = output

    def setup(self) -> None:
        self._splitter = get_splitter(self._config.splitter_source)

    def process(
        self, element: tuple[ShardKey, Iterable[bytes]]
    ) -> Iterator[tuple[SplitShard | dict[str, Any], list[str]]]:
        key, packets = element
        found = decode_documents(packets)
        finished = self._output.finished_shard(key, found.digest(self._config))
        if finished is not None:
            yield finished, []
            return
        shard = split_shard(key, found, self._config, self._splitter)
        yield shard, list(shard.pool.text)


class WriteShards(beam.DoFn):  # type: ignore[misc]
    """A labelled pool → the shard's files, and its result for the manifests."""

    def __init__(self, config: BuildConfig, output: Output, progress: str | None) -> None:
        self._config = config
        self._output = output
        self._progress = progress

    def setup(self) -> None:
        self._board = Board(self._progress or "")
        self._shards = Metrics.counter(_METRICS, "shards_written")
        self._rows = Metrics.counter(_METRICS, "examples_written")

    def process(
        self,
        element: tuple[Any, Any],  # Beam reads these hints and knows no array types
    ) -> Iterator[dict[str, Any]]:
        shard: SplitShard | dict[str, Any] = element[0]
        probabilities: Probabilities | None = element[1]
        if isinstance(shard, SplitShard):
            built = build_shard(shard, self._config, probabilities)
            self._output.put_shard(shard.key, built.files, built.result)
            result = built.result
        else:
            result = shard
        self._shards.inc()
        self._rows.inc(sum(f["examples"]["rows"] for f in result["formats"].values()))
        self._board.add(shards=1)
        yield result


def write_manifests(
    results: Iterable[dict[str, Any]], config: BuildConfig, output: Output, progress: str | None
) -> None:
    """Cards, a sweep of what older builds left, and last the manifests."""
    results = list(results)
    manifests = build_manifests(results, config)
    for name, manifest in manifests.items():
        output.put(f"{name}/README.md", dataset_card(manifest).encode())
    wanted = {path for result in results for path in result["files"]}
    output.sweep(config, wanted | {f"{name}/README.md" for name in manifests})
    for name, manifest in manifests.items():
        output.put(f"{name}/{MANIFEST}", manifest.to_json().encode())
    if progress is None:  # else the launcher does, which still reads what was counted
        output.finish()


class BuildCorpora(beam.PTransform):  # type: ignore[misc]
    """Slices of files → corpora on disk; yields nothing but the fact that it is done."""

    def __init__(
        self, config: BuildConfig, labeller: Labeller, output: Output, progress: str | None = None
    ) -> None:
        super().__init__()
        self._config = config
        self._labeller = labeller
        self._output = output
        self._progress = progress

    def expand(self, slices: beam.PCollection) -> beam.PCollection:
        config, output, progress = self._config, self._output, self._progress
        pools = (
            slices
            | "Read and shard" >> beam.ParDo(ReadAndShard(config, self._progress))
            | "Meet in shards" >> beam.GroupByKey()
            | "Split" >> beam.ParDo(SplitShards(config, output))
        )
        labelled = (
            pools | "Label" >> self._labeller
            if config.needs_labels
            else pools | "No labels" >> beam.MapTuple(lambda shard, _: (shard, None))
        )
        return (
            labelled
            | "Build and write" >> beam.ParDo(WriteShards(config, output, self._progress))
            | "To one place" >> beam.Map(lambda result: (None, result))
            | "Collect" >> beam.GroupByKey()
            | "Write manifests"
            >> beam.MapTuple(lambda _, results: write_manifests(results, config, output, progress))
        )
