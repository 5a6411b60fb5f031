"""Errors that users meet: one line with what was got, what was expected and the cure.

Every class is a `PPTError` and also the standard-library error that a caller
of the Python API would catch. Asserts elsewhere guard internal laws only.
"""

import difflib
import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from types import UnionType

USAGE_EXIT_CODE = 2
LONGEST_PATH = 200
LONGEST = 4000
"""Characters of a message on a terminal."""

_HARMLESS = frozenset("\u200c\u200d\xa0\u202f\u3000")
"""Not printable by Unicode, but scripts and emoji are joined and spaced with these."""

NEAR = 0.6
"""How like a known name one must be (1: equal) to be taken for a mistyped one."""


class PPTError(Exception):
    """Base of all errors that this project raises on purpose."""


class ConfigError(PPTError, ValueError):
    """A flag, field or argument has a value that cannot be used."""


class UnknownNameError(PPTError, LookupError):
    """A name that stands in none of our tables (a format, a labeller, a model...)."""


class InputError(PPTError, ValueError):
    """The input as a whole cannot be used (nothing matched, no usable document...)."""


class OutputError(PPTError, OSError):
    """The output cannot be written (it exists, is not writable, the disk is full...)."""


class WorkerError(PPTError, RuntimeError):
    """A process that worked for us died."""


class CorpusError(PPTError, ValueError):
    """A corpus on disk is missing, incomplete, corrupt or of another format."""


class TrainingError(PPTError, ArithmeticError):
    """Training cannot go on: a number that is not finite, or too little memory."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for `name`, listing the nearest known name and all others."""
    names = sorted(known)
    return UnknownNameError(
        f"unknown {kind} {name!r}.{did_you_mean(name, names)} Known: {', '.join(names)}."
    )


def require_known(kind: str, name: str, known: Collection[str]) -> None:
    """Refuse a `name` that is none of the `known`; raises UnknownNameError."""
    if not isinstance(name, str) or name not in known:  # from Python it may be anything
        raise unknown_name(kind, name, known)


def require_kind(what: str, value: object, kind: type | UnionType, words: str) -> None:
    """Refuse a value from Python that is of another kind; raises ConfigError."""
    if not isinstance(value, kind):
        raise ConfigError(f"{what}: got {brief(value)}, expected {words}.")


def did_you_mean(name: str, known: Iterable[str], shown: Callable[[str], str] = repr) -> str:
    """Return a sentence with the nearest known name (of equally near ones the first), or ""."""
    like = {other: difflib.SequenceMatcher(None, str(name), other).ratio() for other in known}
    near = max(like, key=lambda other: like[other], default="")
    return f" Did you mean {shown(near)}?" if like.get(near, 0) >= NEAR else ""


def first_line(error: BaseException, limit: int = 300) -> str:
    """Return what a library's error says in its first line, cut at `limit`; else its class."""
    line = str(error).strip().partition("\n")[0].rstrip() or type(error).__name__
    return line if len(line) <= limit else f"{line[:limit]}…"


def want_of_memory(error: RuntimeError | MemoryError) -> str | None:
    """What PyTorch or Python says where memory is too small; None where it is another error."""
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    if named or isinstance(error, MemoryError) or "allocate memory" in str(error):  # on a CPU
        return first_line(error).partition(".")[0]
    return None


def visible(text: str) -> str:
    """`text` as one line in which nothing steers a terminal or hides; codes stand for it.

    All text of users' files goes through here on its way to a terminal or into Markdown.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in _HARMLESS else ascii(sign)[1:-1] for sign in text
    )


def brief(value: object) -> str:
    """What Python gave in place of something else: short, on one line."""
    return visible(f"{value!r:.80}")


def note(*texts: str) -> None:
    """Tell, in a line each, what users may not expect, and what is no error."""
    for text in texts:
        print(f"note: {text}", file=sys.stderr)


def exit_status(command: Callable[[], int | None]) -> int:
    """Run `command`, whose code is 0 if it tells none; turn what a file, a flag or a terminal can
    cause into one line and code 2.

    That is a `PPTError`, an error of the system about a file that no check foresaw, and want of
    memory where no check knows the flag that would cure it.
    Ctrl-C gives the shell's usual 130, a reader that went away (``| head``) its 141. Anything
    else is a bug and keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of few letters shows � or \\x…
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return command() or 0
        finally:
            if sys.stdout is not None:  # it may be closed
                sys.stdout.flush()  # here, where a full disk can still be told
    except PPTError as error:
        return _refused(str(error))
    except BrokenPipeError:
        _close_stdout()
        return 141
    except OSError as error:
        if error.filename is None and error.errno == errno.ENOSPC:
            _close_stdout()
            return _refused("cannot write the output: no space is left where it goes.")
        where = "" if error.filename is None else f"{str(error.filename)[:LONGEST_PATH]}: "
        return _refused(f"{where}{error.strerror or first_line(error)}: give another path.")
    except (RuntimeError, MemoryError) as error:
        if (reason := want_of_memory(error)) is None:
            raise
        return _refused(
            f"too little memory is left ({reason}): do less at once"
            " (batch size, --tokens_at_once, --max_length), or end what else uses it."
        )
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on.", file=sys.stderr)
        return 130


def as_command(run: Callable[[Sequence[str] | None], None]) -> Callable[..., int]:
    """What runs with arguments, or the process's own, as what returns the exit code."""

    @functools.wraps(run)
    def main(argv: Sequence[str] | None = None) -> int:
        return exit_status(lambda: run(argv))

    return main


def _refused(message: str) -> int:
    """Tell the message; of one that some file has filled, its two ends."""
    shown, half = visible(message), LONGEST // 2
    if len(shown) > LONGEST:
        shown = f"{shown[:half]} […] {shown[-half:]}"
    print(f"error: {shown}", file=sys.stderr)
    return USAGE_EXIT_CODE


def _close_stdout() -> None:
    """Point standard output to nowhere, so that Python's own flush at the end does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
