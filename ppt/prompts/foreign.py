"""Files that others wrote: whatever is wrong with one is told in one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppt.base.files import given, read_bytes
from ppt.errors import InputError, PPTError, first_line, visible

if TYPE_CHECKING:
    from torch import Tensor


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; raises InputError."""
    value: object = None
    with readable(file):
        value = json.loads(read_bytes(file))
    if not isinstance(value, dict):
        raise InputError(f"{file} holds a {type(value).__name__}, expected a JSON object.")
    return value


def read_tensors(file: Path) -> dict[str, "Tensor"]:
    """The tensors of a safetensors file; raises InputError."""
    from safetensors.torch import load  # brings torch in

    with readable(file):
        tensors: dict[str, Tensor] = load(read_bytes(file))
    return tensors


@contextmanager
def readable(file: Path | str) -> Iterator[None]:
    """Turn whatever comes of a file that is not there, not readable or broken into one line.

    safetensors and PyTorch have no common error for headers that make no sense.
    """
    given(file)
    try:
        yield
    except PPTError:
        raise
    except Exception as error:
        why = getattr(error, "strerror", None) or told(first_line(error), 300)
        raise InputError(f"cannot read {file!s:.300}: {why}: copy or save it again.") from error


def told(value: object, limit: int = 80) -> str:
    """A foreign value for a message: short, on one line, without control characters."""
    return visible(str(value)[:limit])
