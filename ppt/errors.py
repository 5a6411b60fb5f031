"""Errors that users meet: one line with what was got, what was expected and the cure.

Every class is a `PPTError` and also the standard-library error that a caller
of the Python API would catch. Asserts elsewhere guard internal laws only.
"""

import difflib
import sys
from collections.abc import Callable, Iterable

USAGE_EXIT_CODE = 2


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


class CorpusError(PPTError, ValueError):
    """A corpus on disk is missing, incomplete, corrupt or of another format."""


class TrainingError(PPTError, ArithmeticError):
    """Training cannot go on: a number that is not finite, or too little memory."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for `name`, listing the nearest known name and all others."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")


def exit_status(command: Callable[[], int]) -> int:
    """Run `command`; turn a `PPTError` into one line on stderr and exit code 2.

    Ctrl-C gives the shell's usual 130. Anything else is a bug and keeps its traceback.
    """
    try:
        return command()
    except PPTError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_EXIT_CODE
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
