"""Importing large libraries quickly, and what is set before torch is one of them."""

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module


def spin_less() -> None:
    """Let PyTorch's threads spin for less while they wait for each other, if users do not say how.

    GNU's OpenMP lets them spin for 300,000 rounds. Beside another busy process that takes the
    core from the very thread that is waited for: with 2 threads on 2 cores, a training step
    took more than 14 s in place of 1.2. With 20,000 rounds it took 3.9 s, and 1.2 s on an idle
    machine. Sleeping at once (``OMP_WAIT_POLICY=passive``) is worse when idle: 1.4 to 2.4 s.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


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
