"""Importing large libraries quickly."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Look for no garbage while modules come in, nor among them ever after.

    For processes of our own: what others hold would never be freed. Nothing of what they
    bring is garbage; looking for some is a quarter of Beam's import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
