"""Beam's failures as our errors: it wraps what a worker raised in a traceback of its own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import ppt.errors
from pipelines.flags import LOCAL_RUNNERS
from ppt.base.text import cut
from ppt.errors import ConfigError, PPTError

_OUR_ERROR = re.compile(r"ppt\.errors\.(\w+): (.*?)(?: \[while running|\n|$)")


@contextmanager
def plain_errors(runner: str, *, traced: bool) -> Iterator[None]:
    """Bring our own one-line error back out of Beam's.

    What goes wrong at another runner is told by its last line, unless all is `traced`.
    """
    try:
        yield
    except PPTError as error:
        told, beams_place, _ = str(error).partition(" [while running")
        if not beams_place:
            raise
        raise type(error)(told) from error
    except Exception as error:
        found = _OUR_ERROR.findall(str(error))
        if found:
            name, message = found[-1]
            raise getattr(ppt.errors, name, PPTError)(message) from error
        if traced or (runner in LOCAL_RUNNERS and not isinstance(error, ValueError)):
            raise
        told = " ".join(_without_traceback(str(error)).split()) or type(error).__name__
        raise ConfigError(
            f"Beam's {runner} refuses or failed: {cut(told, 600)} (--verbose tells all)"
        ) from error


def _without_traceback(text: str) -> str:
    """What a traceback within the text comes to; it begins where no line is indented again."""
    head, traced, frames = text.partition("Traceback (most recent call last):\n")
    if not traced:
        return text
    ends = re.split(r"^(?=[^\s])", frames, flags=re.MULTILINE)
    return head + "".join(ends[1:])
