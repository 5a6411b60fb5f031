"""The processes that build on one machine: how they are started, watched and ended.

Run as a module, this is a worker: Beam's own, with a thread beside it that ends it when
its launcher is gone. Left alone, Beam's workers wait for minutes for a launcher that was
killed, and a launcher waits for ever for a worker that was: so `_Worker` watches its process.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO, cast

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import Environment
from google.protobuf import json_format, text_format

from ppt.base.imports import quick_imports
from ppt.errors import WorkerError

URN = "ppt:environment:process:v1"
LOOPBACK, ANYWHERE = "127.0.0.1:0", "[::]:0"

_LOOKS_EVERY = 1.0
"""Seconds between two looks at whether the launcher is still there."""

_ANSWERS_EVERY = 0.2
"""Seconds between two answers to what the launcher still asks of a dead worker."""

_GRACE = 5.0
"""Seconds that a worker has to end; its work is delivered or void by then."""


@contextmanager
def local_runner(workers: int, log: str | None, *ahead: str) -> Iterator[FnApiRunner]:
    """Beam's local runner, named outright: its `DirectRunner` looks for another to download.

    More than one worker means processes, which import the modules `ahead` as they start; what
    they log goes to the file `log`, else to stderr. Raises WorkerError where one of them dies.
    """
    if workers == 1:
        yield FnApiRunner()
        return
    crew = _Crew(workers, log)
    crew.gather(*ahead)
    WorkerHandler.register_environment(URN, bytes)(partial(_Worker, crew))
    try:
        with _mended():
            yield FnApiRunner(_Processes())
    except Exception as error:
        if crew.fate:
            raise WorkerError(crew.fate) from error
        raise
    finally:
        crew.end()


@Environment.register_urn(URN, bytes)
class _Processes(Environment):  # type: ignore[misc]
    """Processes of this machine, as Beam's pipelines name where they run."""

    def to_runner_api_parameter(self, _: Any) -> tuple[str, bytes]:
        """What a runner is told."""
        return URN, b""

    @staticmethod
    def from_runner_api_parameter(*_: Any) -> "_Processes":
        """The same, from what a runner was told."""
        return _Processes()


class _Crew:
    """All workers of a build. One that dies by itself takes the others with it.

    They are started ahead, and import what they need while the launcher draws its graph.
    """

    def __init__(self, size: int, log: str | None) -> None:
        self.size, self.log = size, log
        self.fate = ""
        self.processes: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def gather(self, *ahead: str) -> None:
        """Start all."""
        command = [sys.executable, "-m", __name__, str(os.getpid()), *ahead]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with Path(self.log or os.devnull).open("ab") as log:
            for _ in range(self.size):
                process = subprocess.Popen(  # noqa: S603 - our own command
                    command, env=environment, stdin=subprocess.PIPE,
                    stderr=log if self.log else None,
                )  # fmt: skip
                self.processes.append(process)
                self._idle.append(process)

    def start(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Set one to work, with what Beam's worker reads from its environment."""
        with self._lock:
            process = self._idle.pop()
        assert process.stdin is not None
        try:
            with process.stdin as told:
                told.write(json.dumps(environment).encode())
        except OSError as error:  # it is dead
            process.wait()
            raise WorkerError(self.lose(process)) from error
        return process

    def lose(self, process: "subprocess.Popen[bytes]") -> str:
        """Note that a worker died; only the first one's fate is told."""
        with self._lock:
            first, self.fate = not self.fate, self.fate or self._told(process)
        if first:
            self.end()
        return self.fate

    def end(self) -> None:
        """Kill whoever is left."""
        for process in self.processes:
            process.kill()
            process.wait()

    def _told(self, process: "subprocess.Popen[bytes]") -> str:
        code = process.returncode
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        why = ", as the system does when memory is short" if code == -signal.SIGKILL else ""
        cure = "with fewer --workers it needs less; " if why else ""
        if code >= 0 and self.log:
            cure = f"see the end of {self.log}; "
        return (
            f"worker {self.processes.index(process) + 1} of {self.size} (process {process.pid})"
            f" {how}{why}: {cure}run the same command again to go on."
        )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Worker(GrpcWorkerHandler):  # type: ignore[misc]
    """Beam's hold on one worker. Beam's own for subprocesses opens one more port for each, and
    waits for the answers of a dead one for ever.
    """

    def __init__(self, crew: _Crew, _: bytes, state: Any, provision: Any, server: Any) -> None:
        super().__init__(state, provision, server)
        self._crew, self._provision = crew, provision
        self._closing = threading.Event()

    def start_worker(self) -> None:
        """Set a process to work.

        It is told of no place for its log but its stderr: Beam would repeat that in ours.
        """
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self._provision.provision_info.pipeline_options
        self._process = self._crew.start({
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options),
            "WORKER_ID": self.worker_id,
        })  # fmt: skip
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_worker(self) -> None:
        """Wait for its end; all it did is delivered, so after a while it may be killed."""
        self._closing.set()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Beam tells the worker first that there is no more to do."""
        self._closing.set()
        super().close()

    def host_from_worker(self) -> str:
        """Where the launcher listens."""
        return LOOPBACK.partition(":")[0]

    def _watch(self) -> None:
        """Answer in a dead worker's place: each request with the error that it is dead."""
        self._process.wait()
        if self._closing.is_set():
            return
        fate = self._crew.lose(self._process)
        while not self._closing.wait(_ANSWERS_EVERY):
            for future in list(self.control_conn._futures_by_id.values()):
                future.set(
                    beam_fn_api_pb2.InstructionResponse(
                        instruction_id=future.instruction_id, error=fate
                    )
                )


@contextmanager
def _mended() -> Iterator[None]:
    """Beam's local runner without two faults, while the block runs.

    It binds its servers to all interfaces, without a password or a setting for that, and unpickles
    what comes: so its module sees a `grpc` whose servers bind this machine's own address. Its
    threads that read from a worker say in tracebacks that it is gone: we do in a line.
    """

    def server(*args: Any, **kwargs: Any) -> Any:
        made = grpc.server(*args, **kwargs)
        bind = made.add_insecure_port
        made.add_insecure_port = lambda address: bind({ANYWHERE: LOOPBACK}[address])
        return made

    def told(what: threading.ExceptHookArgs) -> None:
        if not issubclass(what.exc_type, grpc.RpcError):
            tell(what)

    theirs, tell = worker_handlers.grpc, threading.excepthook
    worker_handlers.grpc = SimpleNamespace(**{**vars(grpc), "server": server})
    threading.excepthook = told
    try:
        yield
    finally:
        worker_handlers.grpc, threading.excepthook = theirs, tell


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_LOOKS_EVERY)
    os._exit(1)


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


def main(launcher: int, *ahead: str) -> None:
    """Be a worker of the process `launcher`, and end soon after it, however it ended."""
    sys.stderr = cast("TextIO", _Forgiving(sys.stderr))
    threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
    with quick_imports():
        from apache_beam.runners.worker import sdk_worker_main

        for name in ("pipelines.stages", *ahead):  # what it will be asked for
            import_module(name)
    told = sys.stdin.buffer.read()
    if not told:
        return  # there is no work
    os.environ.update(json.loads(told))
    logging.basicConfig()
    sdk_worker_main.main(sys.argv[:1])
    logging.shutdown()
    os._exit(0)  # all is delivered: the launcher need not wait while memory is tidied up


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
