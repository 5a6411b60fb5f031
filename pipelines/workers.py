"""Local worker processes: how they are started, and that they end with their launcher."""

import os
import shlex
import sys
import threading
import time
from typing import NamedTuple

from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

_EVERY_SECONDS = 1.0


class LocalRun(NamedTuple):
    """What the workers of a local run are told: who launched them, where to write progress."""

    launcher: int
    progress: str


def local_runner(workers: int, log: str | None) -> FnApiRunner:
    """Beam's local runner, named outright: its `DirectRunner` looks for another to download.

    More than one worker means processes; what they log goes to the file `log`,
    or to stderr without one (Beam sends every line of it twice).
    """
    if workers == 1:
        return FnApiRunner()
    where = f" 2>>{shlex.quote(log)}" if log else ""
    command = f"exec {shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command + where))


def end_with(run: LocalRun | None) -> None:
    """Let this worker process end soon after its launcher, however that one ended.

    Beam's workers wait for minutes for a launcher that was killed.
    """
    # Also not for the launcher itself, in whose process a single worker runs.
    if run is None or os.getppid() != run.launcher:
        return

    def watch() -> None:
        while os.getppid() == run.launcher:
            time.sleep(_EVERY_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
