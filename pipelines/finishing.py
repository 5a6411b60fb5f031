"""The end of a build: what all shards tell together, baselines, histograms, cards, manifests.

And what surrounds it: no other build in its folder, and a place for what only it needs.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipelines.config import BuildConfig
from pipelines.ledger import ShardResult, build_manifests
from pipelines.metrics import told
from pipelines.sinks import BUILDING, Output
from ppt.base.extras import is_there
from ppt.base.output_folder import locked
from ppt.corpus.card import CARD, dataset_card
from ppt.corpus.clusters import Clusters
from ppt.corpus.histograms import HISTOGRAMS, histograms
from ppt.corpus.manifest import Manifest
from ppt.corpus.shortcuts import measured
from ppt.corpus.storage import MANIFEST, open_corpus
from ppt.errors import CorpusError


def sum_up(
    results: Sequence[ShardResult], clusters: Clusters, config: BuildConfig, output: Output
) -> list[Manifest]:
    """The manifests of all formats, after a sweep of what older builds left."""
    manifests = build_manifests(results, clusters, config)
    output.sweep(config, {path: n for one in results for path, n in one.files.items()})
    return list(manifests.values())


def describe(manifest: Manifest, output: Output) -> Manifest:
    """Measure the baselines of a format, and draw its histograms."""
    name = manifest.format

    def content(file: str) -> bytes:
        data = output.get(f"{name}/{file}")
        assert data is not None, file
        return data

    manifest = measured(manifest, content)
    if is_there("matplotlib"):
        output.put(f"{name}/{HISTOGRAMS}", histograms(manifest))
    return manifest


def write_manifests(manifests: Iterable[Manifest], output: Output, *, at_end: bool) -> None:
    """Cards, and last the manifests. `at_end` clears up too, as no launcher may wait for it.

    A local launcher does that itself, as it still reads the counts.
    """
    manifests = sorted(manifests, key=attrgetter("format"))
    for manifest in manifests:
        output.put(f"{manifest.format}/{CARD}", dataset_card(manifest).encode())
    for manifest in manifests:
        output.put(f"{manifest.format}/{MANIFEST}", manifest.to_json().encode())
    told("manifests_written", formats=[manifest.format for manifest in manifests])
    if at_end:
        output.finish()


def read_manifest(output: Output, name: str) -> Manifest:
    """What the manifest of a finished corpus says. Raises CorpusError."""
    if output.local:
        return open_corpus(Path(output.path(name)), name).manifest
    data = output.get(f"{name}/{MANIFEST}")
    if data is None:
        raise CorpusError(f"{output.path(name)} has no {MANIFEST}: run the same command again.")
    return Manifest.from_json(data.decode())


def told_otherwise(manifests: Mapping[str, Manifest], output: Output) -> list[str]:
    """Older corpora of the folder whose rejects and exclusions are not those of `manifests`,
    which stand there now.
    """

    def ledger(one: Manifest) -> tuple[Any, ...]:
        documents = one.documents
        return documents["rejected"], documents["duplicates"], one.sentences.get("shared_with", {})

    now = ledger(next(iter(manifests.values())))
    return [name for name, one in output.finished().items() if ledger(one) != now]


@contextmanager
def only_build(output: Output) -> Iterator[None]:
    """Keep two builds out of one local folder. The lock ends with its process.

    A build that fails before it has written anything leaves nothing behind. In a store nothing
    is locked (`Output.sweep`), and the plan may stay.
    """
    if not output.local:
        yield
        return
    with locked(Path(output.root), "--output"):
        goes_on = Path(output.path(BUILDING)).exists()
        try:
            yield
        except Exception:
            if not goes_on:
                output.forget()
            raise


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
