"""How much faster the whole command is with two workers, by CPU time: busy clocks lie.

    python -m benchmarks.workers --input '../shared/corpora/*.jsonl.gz' --megabytes 60
    python -m benchmarks.workers --input '../shared/corpora/m*.jsonl.gz' --num_shards 4

Builds with one and with two processes run side by side, so that whatever else runs slows both.
The path of two is what cannot be shared, the launcher's time before it has workers and after
them, and the time of the worker that has most; waits at the ends of stages are not in it. At
worst all that the launcher does is in the way.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.documents import gather
from pipelines.logs import quiet


@dataclass
class Watched:
    """CPU-seconds of a launcher, of its workers, and of the launcher before and after these."""

    launcher: float = 0.0
    workers: dict[int, float] = field(default_factory=dict)
    before: float = 0.0
    last: float = 0.0

    @property
    def most(self) -> float:
        """Of the worker that worked most."""
        return max(self.workers.values(), default=0.0)

    @property
    def path(self) -> float:
        """What is in the way of the end."""
        return self.before + self.most + (self.launcher - self.last if self.workers else 0)

    def look(self, process: psutil.Process) -> None:
        """Note what the processes have used until now."""
        times = process.cpu_times()
        self.launcher = times.user + times.system
        for one in process.children(recursive=True):
            used = one.cpu_times()
            self.before = self.before or self.launcher
            if used.user + used.system - self.workers.get(one.pid, 0) > 0:
                self.last = self.launcher
            self.workers[one.pid] = used.user + used.system


def watch(command: list[str], found: Watched) -> None:
    """Run a command to its end, looking 50 times a second."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            found.look(process)
        except psutil.Error:
            continue
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.returncode)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", default=["data/documents/*.jsonl"])
    parser.add_argument("--megabytes", type=float, default=60)
    flags, more = parser.parse_known_args()
    quiet()
    found = {1: Watched(), 2: Watched()}
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in.jsonl"
        mb = gather(flags.input, flags.megabytes, source)
        build = [sys.executable, "-m", "pipelines.build_corpus", "--input", str(source), *more]
        runs = [
            threading.Thread(
                target=watch,
                args=([*build, "--output", f"{name}/{n}", "--workers", str(n)], watched),
            )
            for n, watched in found.items()
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
    print(f"{mb:.1f} MB of text\n\n| workers | launcher | before, after | each | path | at worst |")
    print("|---|---|---|---|---|---|")
    for n, one in found.items():
        ends = f"{one.before:.2f}, {one.launcher - one.last:.2f}" if one.workers else ""
        each = ", ".join(f"{used:.2f}" for used in one.workers.values())
        path = one.path if one.workers else one.launcher
        worst = one.launcher + one.most
        print(f"| {n} | {one.launcher:.2f} | {ends} | {each} | {path:.2f} | {worst:.2f} |")
    alone, two = found[1].launcher, found[2]
    print(f"\nTwo are {alone / two.path:.2f} times as fast, at worst ", end="")
    print(f"{alone / (two.launcher + two.most):.2f}.")


if __name__ == "__main__":
    main()
