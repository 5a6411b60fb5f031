"""Importing large libraries quickly."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def quick_imports(argv: Sequence[str] | None = None) -> Iterator[None]:
    """Look for no garbage while modules come in, nor among them ever after.

    For processes of our own, of which commands are told no `argv`: what others hold would never
    be freed. Nothing of what modules bring is garbage; looking for some, also as the process
    ends, is a quarter of Beam's import and a third of that of torch and transformers.
    """
    if argv is not None:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_models(argv: Sequence[str] | None) -> None:
    """Bring in, as `quick_imports` does, what every backbone asks for of transformers."""
    with quick_imports(argv):
        import_module("transformers.modeling_utils")
