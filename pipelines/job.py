"""A build from checked flags to finished corpora: what `build_corpus` runs."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import apache_beam as beam
from rich.console import Console
from rich.table import Table

import ppt.errors
from pipelines.config import BuildConfig
from pipelines.labelling import check_labeller, make_labeller
from pipelines.local import Totals, local_runner, shown, totals
from pipelines.options import Job
from pipelines.readers import read
from pipelines.sinks import BUILDING, Output, is_local, only_build
from pipelines.stages import BuildCorpora, Local
from ppt.base.extras import left_out
from ppt.base.text import normalise
from ppt.corpus.histograms import HISTOGRAMS, draw_histograms
from ppt.corpus.records import Document
from ppt.corpus.storage import Manifest, open_corpus
from ppt.errors import ConfigError, InputError, PPTError
from ppt.text.sentences import get_splitter, save_punkt, train_punkt

TRAIN_CHARACTERS = 50_000_000
"""How much of the input ``--splitter punkt:train`` learns from, in order of file names."""

_OUR_ERROR = re.compile(r"ppt\.errors\.(\w+): (.*?)(?: \[while running|\n|$)")


def run(job: Job) -> None:
    """Build what `job` asks for. Raises PPTError, having told nothing yet."""
    console = Console(stderr=True)
    if job.verbose:
        logging.getLogger("apache_beam").setLevel(logging.INFO)
    check_labeller(job.config.labeller)
    if job.config.splitter != "punkt:train":
        get_splitter(job.config.splitter)
    output = Output(job.output)
    started = time.monotonic()
    with only_build(output):
        output.prepare(job.config, job.overwrite)
        config = _with_trained_splitter(job, output)
        build(job, config, output, console)
        seconds = time.monotonic() - started
        work = totals(output.path(f"{BUILDING}/progress"))
        output.finish()
        if is_local(job.output):
            manifests = _finish_locally(Path(job.output), config)
            _summary(manifests, Path(job.output), seconds, work, Console())


def build(job: Job, config: BuildConfig, output: Output, console: Console) -> None:
    """Run the pipeline to its end. Raises the workers' PPTError as it was raised there."""
    local, log = None, None
    if job.local and is_local(job.output):
        local = Local(
            progress=output.path(f"{BUILDING}/progress"),
            spool=output.path(f"{BUILDING}/spool"),
            workers=job.workers,
        )
        log = None if job.verbose else output.path(f"{BUILDING}/workers.log")
    runner = local_runner(job.workers, log) if job.local else None
    with (
        _plain_errors(),
        shown(local.progress if local else None, len(config.all_shards()), console),
        beam.Pipeline(runner, options=job.beam) as pipeline,
    ):
        _ = (
            pipeline
            | "Inputs" >> beam.Create([*job.slices, *config.all_shards()])
            | BuildCorpora(config, make_labeller(config.labeller), output, local)
        )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Beam wraps a worker's error in its traceback: bring our own one-line error back."""
    try:
        yield
    except PPTError:
        raise
    except Exception as error:
        found = _OUR_ERROR.findall(str(error))
        if not found:
            raise
        name, message = found[-1]
        raise getattr(ppt.errors, name, PPTError)(message) from error


def _with_trained_splitter(job: Job, output: Output) -> BuildConfig:
    """Train Punkt on the input where that is asked for; the parameters stay in the output."""
    if job.config.splitter != "punkt:train":
        return job.config
    if not is_local(job.output):
        raise ConfigError(
            "--splitter punkt:train: needs a local --output; train once with "
            "python -m pipelines.train_punkt and give --splitter punkt:FOLDER"
        )
    folder = Path(output.path("punkt"))
    save_punkt(train_punkt(_training_texts(job)), folder)
    return replace(job.config, splitter_source=f"punkt:{folder}")


def _training_texts(job: Job) -> Iterator[str]:
    budget = TRAIN_CHARACTERS
    for part in sorted(job.slices, key=lambda part: (part.name, part.start)):
        for record in read(part, job.config.read):
            if isinstance(record, Document):
                yield normalise(record.text)
                budget -= len(record.text)
                if budget <= 0:
                    return
    if budget == TRAIN_CHARACTERS:
        raise InputError("--splitter punkt:train: the input has no readable document")


def _finish_locally(folder: Path, config: BuildConfig) -> dict[str, Manifest]:
    """Draw the histograms beside each manifest."""
    manifests, undrawn = {}, left_out("matplotlib", HISTOGRAMS)
    for name in config.formats:
        corpus = open_corpus(folder / name, name)
        if not undrawn:
            draw_histograms(corpus.folder, corpus.manifest)
        manifests[name] = corpus.manifest
    return manifests


def _summary(
    manifests: dict[str, Manifest],
    folder: Path,
    seconds: float,
    work: Totals | None,
    console: Console,
) -> None:
    any_manifest = next(iter(manifests.values()))
    documents = any_manifest.documents
    table = Table(title=f"Corpora in {folder}")
    for column in ("format", "train", "validation", "dropped anchors", "MB"):
        table.add_column(column, justify="left" if column == "format" else "right")
    for name, manifest in manifests.items():
        size = sum(shard.bytes for shards in manifest.shards.values() for shard in shards)
        rows = manifest.rows
        dropped = sum(manifest.examples["drops"].values())
        table.add_row(
            name,
            f"{rows['train']:,}",
            f"{rows['validation']:,}",
            f"{dropped:,}",
            f"{size / 1e6:.1f}",
        )
    console.print(table)
    rejected = sum(documents["rejected"].values())
    tell = partial(console.print, soft_wrap=True, highlight=False)
    tell(
        f"Documents: {documents['read']:,} read = {documents['kept']:,} kept + {rejected:,} "
        f"rejected + {documents['duplicates']:,} duplicates. "
        f"Sentences: {any_manifest.sentences['usable']:,} usable of "
        f"{any_manifest.sentences['read']:,}."
    )
    for reason, count in documents["rejected"].items():
        tell(f"  rejected, {reason}: {count:,} (see {folder / 'rejects'})")
    if documents["sharing_an_id"]:
        tell(
            f"  note: {documents['sharing_an_id']:,} documents share their id with another one "
            "of other text; both were kept"
        )
    megabytes = documents["characters"] / 1e6
    rate = ""
    if work is not None and work.ended > work.started:
        rate = f", {megabytes / (work.ended - work.started):.2f} M/s while the workers worked"
    tell(f"{megabytes:.1f} M characters in {seconds:.1f} s{rate}.")
    tell(f"Look inside: python -m ppt.inspect {folder / next(iter(manifests))} -n 5")
