"""What a command costs, with all processes that it starts."""

import re
import subprocess
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cost:
    """Seconds of wall clock and CPU over all processes; MB of the launcher, of the largest worker;
    millions of characters a second from the first document to the last shard.
    """

    wall: float
    cpu: float
    launcher: float
    worker: float
    rate: float


def used(process: psutil.Process) -> float:
    """Its CPU-seconds so far. Raises psutil.Error where it is gone."""
    times = process.cpu_times()
    return float(times.user + times.system)


def watch(command: list[str], folder: str | None = None) -> Cost:
    """Run a command in `folder` and add up what it and its descendants used.

    They are looked at 20 times a second.
    """
    started = time.monotonic()
    process = psutil.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    cpu: dict[int, float] = {}
    launcher = worker = 0
    while process.poll() is None:
        for each in [process, *_descendants(process)]:
            try:
                own, memory = used(each), each.memory_info()
            except psutil.Error:
                continue
            cpu[each.pid] = own
            if each.pid == process.pid:
                launcher = max(launcher, memory.rss)
            else:
                worker = max(worker, memory.rss)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{process.stderr.read()}")
    wall = time.monotonic() - started
    rate = float(re.findall(r"([\d.]+) M/s while", process.stdout.read())[-1])
    return Cost(wall, sum(cpu.values()), launcher / 1e6, worker / 1e6, rate)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []
