"""How documents relate over the whole input: near duplicates, and sentences that repeat.

While documents are read, samples of their shingles and keys of their sentences are noted.
These small arrays meet in parts, by hash; what comes of them, the clusters, is one small
element, for which the documents wait: as places in files on one machine, elsewhere wherever
the runner keeps them. Then each goes to the shard that its cluster and its key tell.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
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


def _exchanged(
    element: tuple[int, Iterable[Packet]],
    spool: Spool,
    kind: Any,
    work: Callable[..., np.ndarray],
    parts: int,
) -> Iterator[Part]:
    """All rows of a part → what `work` makes of them, divided anew by the document `one`."""
    with timed("relate"):
        made = work(unpack(map(spool.get, element[1]), kind))
    found = divided(made, "one", parts)
    yield from zip(found, spool.put([*found.values()]), strict=True)


@dataclass(eq=False, repr=False)
class FindClusters(beam.PTransform):  # type: ignore[misc]
    """Samples of shingles → one packet, of all clusters."""

    spool: Spool
    parts: int

    def expand(self, samples: beam.PCollection) -> beam.PCollection:
        spool, parts = self.spool, self.parts

        def gathered(_: int, packets: Iterable[Packet]) -> Packet:
            with timed("relate"):
                found = cluster(unpack(map(spool.get, packets), EDGE))
            return spool.put([pack(found.members)])[0]

        return (
            samples
            | "Meet by shingle" >> beam.GroupByKey()
            | "Link" >> beam.FlatMap(_exchanged, spool, SAMPLE, link, parts)
            | "Meet by document" >> beam.GroupByKey()
            | "Judge" >> beam.FlatMap(_exchanged, spool, LINK, edges, 1)
            | "Meet all" >> beam.GroupByKey()
            | "Cluster" >> beam.MapTuple(gathered)
        )


def place(
    waiting: Waiting, clusters: Packet, config: BuildConfig, spool: Spool
) -> Iterator[Placed]:
    """Documents, when the clusters are known → their shards. Few packets are looked into."""
    shard, packet, numbers = waiting
    known = clusters_in(clusters, spool)
    documents = np.frombuffer(numbers, np.uint64)
    documents = documents[known.has(documents)]
    if not len(documents):
        yield shard, packet
        return
    kept = known.of(documents, "kept" if config.near_duplicates == DROP else "number")
    of_document = {int(number): (int(of), int(stays)) for number, of, stays in
                   zip(documents, known.of(documents), kept, strict=True)}  # fmt: skip
    found: dict[ShardKey, Records] = defaultdict(Records)
    records = decode([spool.get(packet)])
    found[shard].rejects.extend(records.rejects)
    for document in records.documents:
        of, stays = of_document.get(document.number, (document.number, document.number))
        if stays != document.number:
            told = f"of document {stays:016x}, which is kept"
            found[shard].rejects.append(
                Reject(document.source, document.offset, "near_duplicate", told)
            )
            continue
        home = config.shard_in(config.split_of(of), document.number)
        found[home].documents.append(document._replace(cluster=of))
    yield from _put(found, spool)


def find_repeats(
    element: tuple[int, Iterable[Packet]], clusters: Packet, config: BuildConfig, spool: Spool
) -> Iterator[Placed]:
    """All standings of a part's keys → to each shard those of its keys that repeat."""
    known = clusters_in(clusters, spool)
    gone = known.others if config.near_duplicates == DROP else np.empty(0, np.uint64)
    with timed("relate"):
        rows = repeated(unpack(map(spool.get, element[1]), STANDING), gone)
        rows = barred(rows, known)
    documents, which = np.unique(rows["document"], return_inverse=True)
    homes = [config.shard_in(config.split_of(int(one)), int(document))
             for document, one in zip(documents, known.of(documents), strict=True)]  # fmt: skip
    numbers = {home: number for number, home in enumerate(sorted(set(homes)))}
    home_of = np.array([numbers[home] for home in homes], dtype=np.int64)[which]
    found = {home: Records(repeated=rows[home_of == number]) for home, number in numbers.items()}
    yield from _put(found, spool)


def _put(found: dict[ShardKey, Records], spool: Spool) -> Iterator[Placed]:
    packets = spool.put([encode(records) for records in found.values()])
    yield from zip(found, packets, strict=True)


@dataclass(eq=False, repr=False)
class Relate(beam.PTransform):  # type: ignore[misc]
    """What reading noted → all that belongs to each shard, and the packet of all clusters."""

    config: BuildConfig
    spool: Spool

    def expand(self, notes: Notes) -> tuple[beam.PCollection, beam.PCollection]:
        config, spool = self.config, self.spool
        if config.near_duplicates == KEEP:
            nobody = Spool().put([pack(Clusters().members)])
            clusters = notes.documents.pipeline | "No clusters" >> beam.Create(nobody)
        else:
            clusters = notes.samples | FindClusters(spool, config.partitions)
        known = beam.pvalue.AsSingleton(clusters)
        documents = notes.documents | "Place" >> beam.FlatMap(place, known, config, spool)
        keys = (
            notes.standings
            | "Meet by key" >> beam.GroupByKey()
            | "Find repeats" >> beam.FlatMap(find_repeats, known, config, spool)
        )
        return (documents, keys) | beam.Flatten(), clusters


@lru_cache(1)
def clusters_in(packet: Packet, spool: Spool) -> Clusters:
    """The clusters that `FindClusters` gave; a process asks for them again and again."""
    return Clusters(unpack([spool.get(packet)], MEMBER))
