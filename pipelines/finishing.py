"""The end of a build: histograms beside the manifests, and nothing left that only it needed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.sinks import BUILDING, Output
from ppt.base.extras import left_out
from ppt.corpus.histograms import HISTOGRAMS, histograms
from ppt.corpus.manifest import Manifest
from ppt.corpus.storage import MANIFEST, open_corpus
from ppt.errors import CorpusError


def finish(output: Output, names: Sequence[str]) -> dict[str, Manifest]:
    """Draw the histograms of the formats `names`, and clear up; what their manifests say.

    A build that was cut off here has its corpora, and a rerun does only this.
    """
    found = read_manifests(output, names)
    if not left_out("matplotlib", HISTOGRAMS):
        for name, manifest in found.items():
            output.put(f"{name}/{HISTOGRAMS}", histograms(manifest))
    output.finish()
    return found


def read_manifests(output: Output, names: Sequence[str]) -> dict[str, Manifest]:
    """What the manifests of finished corpora say. Raises CorpusError."""
    return {name: _manifest(output, name) for name in names}


def _manifest(output: Output, name: str) -> Manifest:
    if output.local:
        return open_corpus(Path(output.path(name)), name).manifest
    data = output.get(f"{name}/{MANIFEST}")
    if data is None:
        raise CorpusError(f"{output.path(name)} has no {MANIFEST}: run the same command again.")
    return Manifest.from_json(data.decode())


@contextmanager
def scratch(output: Output) -> Iterator[str]:
    """The folder of this disk for what only the running build needs, and may be lost.

    Of a local output it stands where a killed build's rerun clears it.
    """
    if output.local:
        yield output.path(BUILDING)
        return
    with tempfile.TemporaryDirectory(prefix="ppt-building-") as folder:
        for name in ("progress", "spool", "beam"):
            (Path(folder) / name).mkdir()
        yield folder
