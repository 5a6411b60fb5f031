"""The terminal as we write to it: what users' files and paths hold is text there, no command."""

import time

from rich.console import Console

LINE_EVERY = 60.0
"""Seconds between two lines that tell of long work, where no terminal shows a bar."""


def plain_console(*, stderr: bool = False) -> Console:
    """A rich console in which ``[/foo]`` and ``:smile:`` in a path are what they are."""
    return Console(stderr=stderr, markup=False, emoji=False)


class Beat:
    """Tells when another line is due."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether `LINE_EVERY` seconds have gone since this was last true, or since the start."""
        now = time.monotonic()
        if now - self._last < LINE_EVERY:
            return False
        self._last = now
        return True
