"""How documents relate over the whole input: near duplicates, and sentences that repeat.

While documents are read, samples of their shingles and keys of their sentences are noted.
These small arrays meet in parts, by hash; what comes of them, the clusters, is one small
element, for which the documents wait: as places in files on one machine, elsewhere wherever
the runner keeps them. Then each goes to the shard that its cluster and its key tell.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.flags import DROP, KEEP
from pipelines.metrics import timed
from pipelines.packets import Packet, Records, Spool, decode, encode, pack, unpack
from ppt.corpus.clusters import EDGE, LINK, MEMBER, Clusters, cluster, edges, link
from ppt.corpus.records import Reject
from ppt.corpus.repeats import STANDING, barred, repeated
from ppt.corpus.shingles import SAMPLE

Part = tuple[int, Packet]
"""The number of a part, and rows of an array that belong to it."""

Placed = tuple[ShardKey, Packet]
Waiting = tuple[ShardKey, Packet, bytes]
"""A packet of documents, whose shard it is were they all alone, and their numbers."""


class Notes(NamedTuple):
    """What reading yields, as three collections: `Waiting`, samples and standings as `Part`s."""

    documents: beam.PCollection
    samples: beam.PCollection
    standings: beam.PCollection


def divided(rows: np.ndarray, by: str, parts: int) -> dict[int, bytes]:
    """Rows by the part that the column `by` sends them to; without rows part 0 has none."""
    part = rows[by] % np.uint64(parts)
    return {int(one): pack(rows[part == one]) for one in np.unique(part)} or {0: pack(rows)}


class _Exchange(beam.DoFn):  # type: ignore[misc]
    """All rows of a part → what `work` makes of them, divided anew."""

    def __init__(
        self, spool: Spool, kind: Any, work: Callable[..., np.ndarray], by: str, parts: int
    ) -> None:
        self._spool, self._kind, self._work = spool, kind, work
        self._by, self._parts = by, parts

    def process(self, element: tuple[int, Iterable[Packet]]) -> Iterator[Part]:
        with timed("relate"):
            made = self._work(unpack(map(self._spool.get, element[1]), self._kind))
        found = divided(made, self._by, self._parts)
        yield from zip(found, self._spool.put([*found.values()]), strict=True)


class FindClusters(beam.PTransform):  # type: ignore[misc]
    """Samples of shingles → one packet, of all clusters."""

    def __init__(self, spool: Spool, parts: int) -> None:
        super().__init__()
        self._spool, self._parts = spool, parts

    def expand(self, samples: beam.PCollection) -> beam.PCollection:
        spool, parts = self._spool, self._parts

        def gathered(_: int, packets: Iterable[Packet]) -> Packet:
            with timed("relate"):
                found = cluster(unpack(map(spool.get, packets), EDGE))
            return spool.put([pack(found.members)])[0]

        return (
            samples
            | "Meet by shingle" >> beam.GroupByKey()
            | "Link" >> beam.ParDo(_Exchange(spool, SAMPLE, link, "one", parts))
            | "Meet by document" >> beam.GroupByKey()
            | "Judge" >> beam.ParDo(_Exchange(spool, LINK, edges, "one", 1))
            | "Meet all" >> beam.GroupByKey()
            | "Cluster" >> beam.MapTuple(gathered)
        )


class _Placing(beam.DoFn):  # type: ignore[misc]
    """What sends things to shards, knowing the clusters."""

    def __init__(self, config: BuildConfig, spool: Spool) -> None:
        self._config, self._spool = config, spool
        self._packet: Packet | None = None

    def _clusters(self, packet: Packet) -> Clusters:
        if packet != self._packet:
            self._packet, self._known = packet, clusters_in(packet, self._spool)
        return self._known

    def _put(self, found: dict[ShardKey, Records]) -> Iterator[Placed]:
        packets = self._spool.put([encode(records) for records in found.values()])
        yield from zip(found, packets, strict=True)


class Place(_Placing):
    """Documents, when the clusters are known → their shards. Few packets are looked into."""

    def process(self, waiting: Waiting, clusters: Packet) -> Iterator[Placed]:
        shard, packet, numbers = waiting
        known = self._clusters(clusters)
        documents = np.frombuffer(numbers, np.uint64)
        documents = documents[known.has(documents)]
        if not len(documents):
            yield shard, packet
            return
        kept = known.of(documents, "kept" if self._config.near_duplicates == DROP else "number")
        place = {int(number): (int(of), int(stays)) for number, of, stays in
                 zip(documents, known.of(documents), kept, strict=True)}  # fmt: skip
        found: dict[ShardKey, Records] = defaultdict(Records)
        records = decode([self._spool.get(packet)])
        found[shard].rejects.extend(records.rejects)
        for document in records.documents:
            of, stays = place.get(document.number, (document.number, document.number))
            if stays != document.number:
                told = f"of document {stays:016x}, which is kept"
                found[shard].rejects.append(
                    Reject(document.source, document.offset, "near_duplicate", told)
                )
                continue
            home = self._config.shard_in(self._config.split_of(of), document.number)
            found[home].documents.append(document._replace(cluster=of))
        yield from self._put(found)


class FindRepeats(_Placing):
    """All standings of a part's keys → to each shard those of its keys that repeat."""

    def process(self, element: tuple[int, Iterable[Packet]], clusters: Packet) -> Iterator[Placed]:
        known = self._clusters(clusters)
        gone = known.others if self._config.near_duplicates == DROP else np.empty(0, np.uint64)
        with timed("relate"):
            rows = repeated(unpack(map(self._spool.get, element[1]), STANDING), gone)
            rows = barred(rows, known)
        documents, which = np.unique(rows["document"], return_inverse=True)
        homes = [self._config.shard_in(self._config.split_of(int(one)), int(document))
                 for document, one in zip(documents, known.of(documents), strict=True)]  # fmt: skip
        numbers = {home: number for number, home in enumerate(sorted(set(homes)))}
        home_of = np.array([numbers[home] for home in homes], dtype=np.int64)[which]
        yield from self._put(
            {home: Records(repeated=rows[home_of == number]) for home, number in numbers.items()}
        )  # fmt: skip


class Relate(beam.PTransform):  # type: ignore[misc]
    """What reading noted → all that belongs to each shard, and the packet of all clusters."""

    def __init__(self, config: BuildConfig, spool: Spool) -> None:
        super().__init__()
        self._config, self._spool = config, spool

    def expand(self, notes: Notes) -> tuple[beam.PCollection, beam.PCollection]:
        config, spool = self._config, self._spool
        if config.near_duplicates == KEEP:
            nobody = Spool().put([pack(Clusters().members)])
            clusters = notes.documents.pipeline | "No clusters" >> beam.Create(nobody)
        else:
            clusters = notes.samples | FindClusters(spool, config.partitions)
        known = beam.pvalue.AsSingleton(clusters)
        documents = notes.documents | "Place" >> beam.ParDo(Place(config, spool), known)
        keys = (
            notes.standings
            | "Meet by key" >> beam.GroupByKey()
            | "Find repeats" >> beam.ParDo(FindRepeats(config, spool), known)
        )
        return (documents, keys) | beam.Flatten(), clusters


def clusters_in(packet: Packet, spool: Spool) -> Clusters:
    """The clusters that `FindClusters` gave."""
    return Clusters(unpack([spool.get(packet)], MEMBER))
