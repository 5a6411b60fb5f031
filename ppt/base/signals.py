"""SIGTERM and Ctrl-C as a request: finish the step, save, then leave with the usual code."""

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Remembers a signal, so that the loop can end between two steps.

    `received` is this process's own signal; `agreed` what all processes know. A second
    signal does what it always did: it ends the process at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.agreed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python forbids it
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def leave_if_agreed(self) -> None:
        """Leave as the signal asks: 130 for Ctrl-C (by `exit_status`), 143 for SIGTERM."""
        if not self.agreed:
            return
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        print("stopped; run the same command again to go on.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM)
