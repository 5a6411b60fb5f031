"""Which process of this machine builds which shards: all about as much."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import apache_beam as beam

from pipelines.config import ShardKey
from pipelines.packets import Packet

MetShard = tuple[ShardKey, Iterable[Packet]]
"""All that met in a shard."""


def dealt(sizes: Sequence[int], workers: int) -> list[int]:
    """An order of elements in which dealing them out in turn gives workers like shares.

    Element i of the order goes to worker i modulo `workers`: so local runners deal.
    Largest first, and in each round the one that has least gets most.
    """
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    hands: list[list[int]] = [[] for _ in range(workers)]
    loads = [0] * workers
    for start in range(0, len(order), workers):
        takers = sorted(range(workers), key=lambda worker: loads[worker])
        for worker, element in zip(takers, order[start : start + workers], strict=False):
            hands[worker].append(element)
            loads[worker] += sizes[element]
    hands.sort(key=len, reverse=True)  # the last round may not go all the way round
    return [hand[turn] for turn in range(len(hands[0])) for hand in hands if turn < len(hand)]


@dataclass(eq=False, repr=False)
class DealOut(beam.PTransform):  # type: ignore[misc]
    """The shards in an order in which local runners deal them out to processes evenly."""

    workers: int

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        workers = self.workers

        def number(_: None, met: Iterable[MetShard]) -> Iterator[tuple[int, MetShard]]:
            shards = sorted(((key, list(packets)) for key, packets in met), key=itemgetter(0))
            sizes = [sum(size for _, _, size in packets) for _, packets in shards]
            return enumerate(shards[i] for i in dealt(sizes, workers))

        return (
            shards
            | "Lay on one table" >> beam.Map(lambda shard: (None, shard))
            | "Gather" >> beam.GroupByKey()
            | "Order" >> beam.FlatMapTuple(number)
            | "Deal" >> beam.GroupByKey()
            | "Take" >> beam.FlatMapTuple(lambda _, shards: shards)
        )
