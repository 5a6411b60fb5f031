"""What a runner's page shows while a build goes on: counters, distributions, log lines of JSON.

Dataflow and Flink show them as user metrics of the namespace `ppt`. The manifests do not come
of them: counts that must be exact travel in the data, as a runner may count a retry twice.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from apache_beam.metrics import Metrics

T = TypeVar("T")

NAMESPACE = "ppt"

LOG = logging.getLogger("ppt.build")
"""Where `told` writes; a line is one JSON object, which log queries can take apart."""


def count(counts: Mapping[str, int]) -> None:
    """Add to counters; called for packets and shards, since a counter costs as much as a Map."""
    for name, number in counts.items():
        Metrics.counter(NAMESPACE, name).inc(number)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Add the block's time to the distribution ``<stage>_ms``."""
    started = time.perf_counter()
    yield
    took(stage, time.perf_counter() - started)


def each_timed(stage: str, items: Iterator[T]) -> Iterator[T]:
    """The same items; how long each was in coming goes into the distribution ``<stage>_ms``."""
    started = time.perf_counter()
    for item in items:
        took(stage, time.perf_counter() - started)
        yield item
        started = time.perf_counter()


def took(stage: str, seconds: float) -> None:
    """Add to the distribution ``<stage>_ms``: Beam's are of whole numbers."""
    Metrics.distribution(NAMESPACE, f"{stage}_ms").update(round(seconds * 1000))


def told(event: str, **facts: Any) -> None:
    """Write a line of JSON to the workers' log: what happened, and its facts."""
    if LOG.isEnabledFor(logging.INFO):
        LOG.info(json.dumps({"event": event, **facts}))
