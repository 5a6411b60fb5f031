"""Local worker processes: how they are started, and that they end with their launcher.

Run as a module, this is such a process: Beam's own worker, with a thread beside
it that ends it when its launcher is gone. Left alone, Beam's workers wait for
minutes for a launcher that was killed.
"""

import logging
import os
import shlex
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

_EVERY_SECONDS = 1.0


def local_runner(workers: int, log: str | None) -> "FnApiRunner":
    """Beam's local runner, named outright: its `DirectRunner` looks for another to download.

    More than one worker means processes; what they log goes to the file `log`,
    or to stderr without one (Beam sends every line of it twice).
    """
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    if workers == 1:
        return FnApiRunner()
    where = f" 2>>{shlex.quote(log)}" if log else ""
    command = f"exec {shlex.quote(sys.executable)} -m {__name__} {os.getpid()}{where}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command))


def _end_with(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_EVERY_SECONDS)
    os._exit(1)


def main(launcher: int) -> None:
    """Be a worker of the process `launcher`, and end soon after it, however it ended."""
    threading.Thread(target=_end_with, args=(launcher,), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])
    logging.shutdown()
    os._exit(0)  # all is delivered: the launcher need not wait while memory is tidied up


if __name__ == "__main__":
    main(int(sys.argv[1]))
