"""The processes that build on one machine: how they are born, told what to do, and ended.

Run as a module, this is the process that becomes the workers: Beam's own, each with a thread beside
it that ends it when its launcher is gone, for whom it would wait for minutes.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO, cast

from pipelines.lean import import_beam, of_workers
from ppt.base.imports import quick_imports

_BEAMS = "apache_beam.runners.worker.sdk_worker_main"


class Member:
    """A worker as its launcher knows it: a pipe to it, and by and by its process and its end."""

    def __init__(self, pipe: int) -> None:
        self.pipe = open(pipe, "wb", buffering=0)  # noqa: SIM115 - the worker ends as it closes
        self.pid, self.code = 0, 0
        self.ended = threading.Event()

    def end(self, code: int) -> None:
        """Note its end."""
        self.code = code
        self.ended.set()

    def kill(self) -> None:
        """End it; it is waited for by the process that made it."""
        if self.pid and not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Crew:
    """All workers of a build. One that dies by itself takes the others with it.

    One process imports what they need while the launcher draws its graph, becomes as many as
    are asked for, and says how each of them ends.
    """

    def __init__(self, size: int, log: str | None, *ahead: str) -> None:
        self.log, self.fate, self._lock = log, "", threading.Lock()
        pipes = [os.pipe() for _ in range(size)]
        heard, report = os.pipe()
        self.members = [Member(write) for _, write in pipes]
        self._idle = iter(self.members)
        ends = [report, *(read for read, _ in pipes)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", __name__, json.dumps([ends, of_workers(), ahead])]
        try:
            with Path(log or os.devnull).open("ab") as errors:
                self._nest = subprocess.Popen(  # noqa: S603 - our own command
                    command, env=environment, stdin=subprocess.DEVNULL, pass_fds=ends,
                    stderr=errors if log else None,
                )  # fmt: skip
        finally:
            for end in ends:
                os.close(end)
        self._hears = threading.Thread(target=self._hear, args=(heard,), daemon=True)
        self._hears.start()

    def start(self, environment: dict[str, str]) -> Member:
        """Set one to work, with what Beam's worker reads from its environment."""
        with self._lock:
            member = next(self._idle)
        with suppress(OSError):  # it is dead: whoever waits for its end tells
            member.pipe.write(json.dumps(environment).encode() + b"\n")
        return member

    def lose(self, member: Member) -> str:
        """Note that a worker died; only the first one's fate is told."""
        with self._lock:
            first, self.fate = not self.fate, self.fate or self._told(member)
        if first:
            self._kill()
        return self.fate

    def end(self) -> None:
        """Kill whoever is left."""
        self._kill()
        for member in self.members:
            member.pipe.close()  # one that is not born yet ends by this
        if not self.members[-1].pid:
            self._nest.kill()
        self._hears.join()

    def _kill(self) -> None:
        for member in self.members:
            member.kill()

    def _hear(self, heard: int) -> None:
        """Of births, then of ends; where all has been said, or nothing more will be, it is over."""
        with open(heard) as report:
            for member, pid in zip(self.members, report.readline().split(), strict=False):
                member.pid = int(pid)
            of = {member.pid: member for member in self.members}
            for line in report:
                ended, code = map(int, line.split())
                of[ended].end(code)
        code = self._nest.wait()
        for member in self.members:
            if not member.ended.is_set():
                member.end(code)

    def _told(self, member: Member) -> str:
        code = member.code
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        why = ", as the system does when memory is short" if code == -signal.SIGKILL else ""
        cure = "with fewer --workers it needs less; " if why else ""
        if code >= 0 and self.log:
            cure = f"see the end of {self.log}; "
        return (
            f"worker {self.members.index(member) + 1} of {len(self.members)} (process {member.pid})"
            f" {how}{why}: {cure}run the same command again to go on."
        )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Forgiving:
    """Stderr as Beam's worker needs it: where its log cannot be written, on a full disk, the
    thread that should tell the launcher of an error would end, and the launcher wait for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def main(report: int, *pipes: int, spared: Sequence[str], ahead: Sequence[str]) -> None:
    """Import what workers need, become one for each of `pipes`, and `report` how each ends.

    So it is imported once, and its memory shared. Of threads there are only those that OpenBLAS
    and jemalloc begin as they are imported, and they know of forks; gRPC begins its own later.
    """
    sys.stderr = cast("TextIO", _Forgiving(sys.stderr))
    with quick_imports():
        import_beam(spared, _BEAMS)
        for name in ("pipelines.stages", *ahead):  # what they will ask for
            import_module(name)
    pids = []
    for pipe in pipes:
        pids.append(os.fork())
        if not pids[-1]:
            os.close(report)
            _work(pipe)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the others; this one tells of it
    with open(report, "w", buffering=1) as told, suppress(BrokenPipeError):
        print(*pids, file=told)
        for _ in pids:
            pid, status = os.wait()
            print(pid, os.waitstatus_to_exitcode(status), file=told)


def _work(pipe: int) -> NoReturn:
    """Be a worker: wait to be told what Beam's own reads from its environment, and be that.

    The launcher holds the other end of the pipe while it lives, however it ends.
    """
    launcher = open(pipe, "rb", buffering=0)  # noqa: SIM115 - closed as the process ends
    told = launcher.readline()
    if told:  # else there is no work
        threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
        os.environ.update(json.loads(told))
        logging.basicConfig()
        import_module(_BEAMS).main(sys.argv[:1])
        logging.shutdown()
    os._exit(0)  # all is delivered: the launcher need not wait while memory is tidied up


def _end_with(launcher: BinaryIO) -> None:
    launcher.read()
    os._exit(1)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    main(*told[0], spared=told[1], ahead=told[2])
