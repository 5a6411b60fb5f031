"""Beam without what a build on one machine never asks of it.

Wherever they are installed, Beam imports what reaches the stores of others, a database and data
frames. They are a third of the time of its import and more, and a quarter of its memory.
"""

import logging
import sys
from collections.abc import Iterable
from importlib import import_module

FRAMES = "pandas"
"""Workers have it: Arrow asks for it where it is given its first list."""

SPARED = ("boto3", "google.cloud", FRAMES, "pymongo")


def of_workers() -> list[str]:
    """What workers of this process do without: what they never use, and it has not either."""
    return [name for name in SPARED if name not in sys.modules and name != FRAMES]


def import_beam(spared: Iterable[str], *modules: str) -> None:
    """Import `modules` of Beam as if `spared` were not installed; whoever asks later has them.

    For processes of our own alone: Beam remembers what it did not find.
    """
    names = [name for name in spared if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # None: there is none
    logging.getLogger("apache_beam.io.mongodbio").setLevel(logging.ERROR)  # it misses pymongo
    try:
        for module in ("apache_beam", *modules):
            import_module(module)
    finally:
        for name in names:
            del sys.modules[name]
