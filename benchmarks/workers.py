"""How much faster the whole command is with two workers, by CPU time: busy clocks lie.

    python -m benchmarks.workers --input '../shared/corpora/*.jsonl.gz' --megabytes 60
    python -m benchmarks.workers --input '../shared/corpora/m*.jsonl.gz' --num_shards 4

Builds with one and with two processes run side by side, so that whatever else runs slows both.
The path of two is what cannot be shared, the launcher's time before it has workers and after
them, that of the process that becomes them, and the time of the worker that has most; waits at the
ends of stages are not in it. At worst all that the launcher does is in the way.

Then what Beam's import costs, whole and without what a build on one machine leaves out.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.documents import gather
from benchmarks.watching import used
from pipelines.lean import SPARED
from pipelines.logs import quiet
from ppt.errors import exit_status


@dataclass
class Watched:
    """CPU-seconds of a launcher, of its workers, and before and after these."""

    launcher: float = 0.0
    nest: float = 0.0
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
        after = self.launcher - self.last if self.workers else 0
        return self.before + self.nest + self.most + after

    @property
    def worst(self) -> float:
        """The same, where all that the launcher does is in the way."""
        return self.launcher + self.nest + self.most

    def look(self, process: psutil.Process) -> None:
        """Note what the processes have used until now."""
        self.launcher = used(process)
        for nest in process.children():
            self.before = self.before or self.launcher
            self.nest = used(nest)
            for one in nest.children():
                own = used(one)
                if own > self.workers.get(one.pid, 0):
                    self.last = self.launcher
                self.workers[one.pid] = own


def imported(spared: Sequence[str]) -> tuple[float, float]:
    """CPU-seconds and MB of a process that imports what a build needs of Beam, but `spared`."""
    code = (
        "import sys, time; from pipelines.lean import import_beam\n"
        "import_beam(sys.argv[1:]); import pipelines.job, psutil\n"
        "print(time.process_time(), psutil.Process().memory_info().rss / 1e6)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, *spared]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu, mb = map(float, done.stdout.split())
    return cpu, mb


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
        each = ", ".join(f"{own:.2f}" for own in one.workers.values())
        path = one.path if one.workers else one.launcher
        print(f"| {n} | {one.launcher:.2f} | {ends} | {each} | {path:.2f} | {one.worst:.2f} |")
    alone, two = found[1].launcher, found[2]
    print(f"\nTwo are {alone / two.path:.2f} times as fast, at worst ", end="")
    print(f"{alone / two.worst:.2f}.\n")
    both = [(*imported(()), *imported(SPARED)) for _ in range(5)]
    cpu, mb, lean, its_mb = map(median, zip(*both, strict=True))
    print(
        f"Beam's import: {cpu:.2f} CPU-s and {mb:.0f} MB, lean {lean:.2f} and {its_mb:.0f}: ",
        end="",
    )
    print(f"{lean / cpu:.2f} of the time.")


if __name__ == "__main__":
    sys.exit(exit_status(main))
