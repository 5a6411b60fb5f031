"""Beam's local runner, on processes of this machine.

Left alone, it waits for ever for a worker that was killed: so `_Worker` watches its process.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.transforms.environments import Environment
from google.protobuf import json_format, text_format

from pipelines.crew import Crew
from ppt.errors import WorkerError

URN = "ppt:environment:process:v1"
LOOPBACK, ANYWHERE = "127.0.0.1:0", "[::]:0"

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
    crew = Crew(workers, log, *ahead)
    worker_handlers.WorkerHandler.register_environment(URN, bytes)(partial(_Worker, crew))
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


class _Worker(worker_handlers.GrpcWorkerHandler):  # type: ignore[misc]
    """Beam's hold on one worker. Beam's own for subprocesses opens one more port for each, and
    waits for the answers of a dead one for ever.
    """

    def __init__(self, crew: Crew, _: bytes, state: Any, provision: Any, server: Any) -> None:
        super().__init__(state, provision, server)
        self._crew, self._provision = crew, provision
        self._closing = threading.Event()

    def start_worker(self) -> None:
        """Set a process to work.

        It is told of no place for its log but its stderr: Beam would repeat that in ours.
        """
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self._provision.provision_info.pipeline_options
        self._member = self._crew.start({
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options),
            "WORKER_ID": self.worker_id,
        })  # fmt: skip
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_worker(self) -> None:
        """Wait for its end; all it did is delivered, so after a while it may be killed."""
        self._closing.set()
        if not self._member.ended.wait(_GRACE):
            self._member.kill()
            self._member.ended.wait()

    def close(self) -> None:
        """Beam tells the worker first that there is no more to do."""
        self._closing.set()
        super().close()

    def host_from_worker(self) -> str:
        """Where the launcher listens."""
        return LOOPBACK.partition(":")[0]

    def _watch(self) -> None:
        """Answer in a dead worker's place: each request with the error that it is dead."""
        self._member.ended.wait()
        if self._closing.is_set():
            return
        fate = self._crew.lose(self._member)
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
