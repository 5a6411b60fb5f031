"""The progress of a build on one machine: a bar on a terminal, else a line a minute.

Beam tells its metrics only at the end. So each process keeps its own small file of counts
in a folder, and the launching process adds them up a few times a second.
"""

import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from ppt.base.terminal import LINE_EVERY

_COUNTS = struct.Struct("<3q2d")
_SHOWN_EVERY = 0.25
"""Seconds between two looks at the counts."""


class Board:
    """Counts of one stage in one process: documents read, bytes of text read, shards done."""

    def __init__(self, folder: str) -> None:
        """Write to `folder`; without one, count for nobody."""
        self._path = Path(folder) / uuid.uuid4().hex if folder else None
        self._counts = [0, 0, 0]
        self._started = time.time()
        self._written = 0.0

    def add(self, documents: int = 0, text_bytes: int = 0, shards: int = 0) -> None:
        """Count; written at most every quarter second, and whenever a shard is done."""
        if self._path is None:
            return
        for i, more in enumerate((documents, text_bytes, shards)):
            self._counts[i] += more
        now = time.time()
        if shards or now - self._written > _SHOWN_EVERY:
            self._written = now
            # Progress is no reason to fail: the folder goes when the launcher does.
            try:
                self._path.write_bytes(_COUNTS.pack(*self._counts, self._started, now))
            except OSError:
                self._path = None


class Totals(NamedTuple):
    """Documents, bytes of text and shards over all processes; when the first started to work
    and the last one counted, in seconds of the clock.
    """

    documents: int
    text_bytes: int
    shards: int
    started: float
    ended: float


def totals(folder: str) -> Totals | None:
    """Add up what the processes have counted; None before any of them has."""
    found = [path.read_bytes() for path in Path(folder).glob("*")]
    rows = [_COUNTS.unpack(data) for data in found if len(data) == _COUNTS.size]
    if not rows:
        return None
    documents, text_bytes, shards, started, ended = zip(*rows, strict=True)
    return Totals(sum(documents), sum(text_bytes), sum(shards), min(started), max(ended))


@contextmanager
def shown(folder: str, n_shards: int, console: Console) -> Iterator[None]:
    """Tell of the counts in `folder` while the block runs: a bar on a terminal, else lines."""
    if not folder:
        yield
        return
    with _bar(n_shards, console) if console.is_terminal else _lines(n_shards, console) as tell:
        ended = threading.Event()

        def poll() -> None:
            while not ended.wait(_SHOWN_EVERY if console.is_terminal else LINE_EVERY):
                if now := totals(folder):
                    tell(now)

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _doing(now: Totals) -> str:
    return "building" if now.shards else "reading"


@contextmanager
def _bar(n_shards: int, console: Console) -> Iterator[Callable[[Totals], None]]:
    columns = (
        "{task.description}",
        BarColumn(),
        "{task.completed}/{task.total} shards",
        "{task.fields[documents]:,} documents",
        "{task.fields[megabytes]:,.1f} MB, {task.fields[rate]:.1f} MB/s",
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=n_shards, documents=0, megabytes=0.0, rate=0.0)

        def tell(now: Totals) -> None:
            megabytes = now.text_bytes / 1e6
            rate = megabytes / max(bar.tasks[0].elapsed or 0, 1e-3)
            bar.update(
                task, completed=now.shards, description=_doing(now), documents=now.documents,
                megabytes=megabytes, rate=rate,
            )  # fmt: skip

        yield tell
        bar.update(task, completed=n_shards, description="done")


@contextmanager
def _lines(n_shards: int, console: Console) -> Iterator[Callable[[Totals], None]]:
    yield lambda now: console.print(
        f"{_doing(now)}: {now.documents:,} documents, {now.text_bytes / 1e6:,.1f} MB, {now.shards}"
        f" of {n_shards} shards in {(time.time() - now.started) / 60:.0f} min",
        soft_wrap=True,
        highlight=False,
    )
