"""A build from a `Job` to finished corpora: what `build_corpus` runs, and Python users."""

import logging
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import ppt.errors
from pipelines import stores
from pipelines.config import MAX_SHARDS, BuildConfig, Inputs
from pipelines.excluding import read_excluded
from pipelines.files import bundled
from pipelines.finding import refuse_overlap
from pipelines.finishing import read_manifests, scratch
from pipelines.flags import AUTO, LOCAL_RUNNERS
from pipelines.gathering import find_splitter
from pipelines.glance import refuse_foreign_input
from pipelines.labelling import check_labeller
from pipelines.local import shown, totals
from pipelines.readers import FileSlice, check, estimated_text_bytes, expand, read
from pipelines.sinks import PUNKT, Output, files_to_write, only_build
from pipelines.stages import CROWDED, BuildCorpora, Local, put_excluded
from pipelines.summary import show
from pipelines.workers import local_runner
from ppt.base.extras import left_out
from ppt.base.terminal import plain_console
from ppt.base.text import cut, normalise
from ppt.corpus.histograms import HISTOGRAMS
from ppt.corpus.manifest import Manifest
from ppt.corpus.records import Document
from ppt.errors import ConfigError, InputError, PPTError
from ppt.text.sentences import TRAINED, punkt_texts, train_punkt

TRAIN_CHARACTERS = 50_000_000
"""How much of the input it learns from, in order of file names."""

_OUR_ERROR = re.compile(r"ppt\.errors\.(\w+): (.*?)(?: \[while running|\n|$)")


@dataclass(frozen=True)
class Job:
    """A build: from which files, whereto, with what, and how it is run.

    All but `config` may differ between builds of the same bytes, if the shards are as many:
    `num_shards`, or one for each `shard_mb` of text. `exclude` names tasks and files that no
    sentence may share words with (`pipelines.excluding`). `workers` are local processes (None:
    one a core), `beam` further flags of Beam's.
    """

    input: Sequence[str]
    output: str = "corpora"
    config: BuildConfig = field(default_factory=BuildConfig)
    input_format: str = AUTO
    exclude: tuple[str, ...] = ()
    data_dir: str | None = None
    num_shards: int | None = None
    shard_mb: float = 8.0
    overwrite: bool = False
    workers: int | None = None
    runner: str = LOCAL_RUNNERS[0]
    beam: tuple[str, ...] = ()
    verbose: bool = False

    def __post_init__(self) -> None:
        for name in ("workers", "num_shards"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise ConfigError(f"--{name}: got {count}, expected 1 or more")
        if not 0 < self.shard_mb < math.inf:
            raise ConfigError(f"--shard_mb: got {self.shard_mb}, expected more than 0")
        if not self.output:
            raise ConfigError("--output: got '', expected a folder")

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return self.runner in LOCAL_RUNNERS


@dataclass(frozen=True)
class Plan:
    """A job whose files were looked at; `config` knows them now, and the number of shards."""

    config: BuildConfig
    slices: list[FileSlice]
    workers: int
    beam: PipelineOptions

    @classmethod
    def of(cls, job: Job) -> "Plan":
        """List the files. Raises PPTError for whatever is wrong from the start."""
        stores.configure(job.beam)
        slices = expand(job.input, job.input_format)
        check(slices, job.config.read)
        by_size = estimated_text_bytes(slices) / 1e6 / job.shard_mb
        shards = job.num_shards or max(1, round(min(by_size, MAX_SHARDS + 1)))
        config = replace(job.config, num_shards=shards, inputs=Inputs.of(slices))
        workers = job.workers or os.cpu_count() or 1
        if job.local:
            workers = min(workers, len(config.all_shards()))
        runner = f"--direct_num_workers={workers}" if job.local else f"--runner={job.runner}"
        options = PipelineOptions([runner, *job.beam])
        if options.get_all_options()["direct_running_mode"] == "multi_threading":
            raise ConfigError(
                "--direct_running_mode: got 'multi_threading', in which Beam loses elements "
                "without a word; use --workers N, which runs processes"
            )
        return cls(config, slices, workers, options)


def run(job: Job) -> dict[str, Manifest]:
    """Build what `job` asks for. Raises PPTError, having told nothing yet.

    The manifests by format, as the files say.
    """
    if job.verbose:
        logging.getLogger("apache_beam").setLevel(logging.INFO)
    plan = Plan.of(job)
    check_labeller(job.config.labeller)
    if job.config.splitter != TRAINED:
        find_splitter(job.config.splitter)
    refuse_foreign_input(plan.slices, plan.config)
    excluded, sources = read_excluded(job.exclude, job.data_dir)
    plan = replace(plan, config=replace(plan.config, excluded=sources))
    output = Output(job.output.rstrip("/") or "/")
    refuse_overlap(job.input, plan.slices, output.root, files_to_write(plan.config))
    if not job.local:
        with _plain_errors(job):
            beam.Pipeline(options=plan.beam)  # bad options are refused before --overwrite counts
    started = time.monotonic()
    with only_build(output), scratch(output) as folder:
        if output.prepare(plan.config, job.overwrite):
            put_excluded(output, excluded)
            if job.config.splitter == TRAINED:
                plan = replace(plan, config=_with_trained_splitter(plan, output))
            build(job, plan, output, folder)
        seconds = time.monotonic() - started
        work = totals(f"{folder}/progress")
        left_out("matplotlib", HISTOGRAMS)
        manifests = read_manifests(output, plan.config.formats)
        output.finish()
        show(manifests, output.root, seconds, work)
        return manifests


def build(job: Job, plan: Plan, output: Output, folder: str) -> None:
    """Run the pipeline to its end, with `folder` for what only it needs.

    Raises the workers' PPTError as it was raised there.
    """
    local, log, config = None, None, plan.config
    if job.local:
        local = Local(f"{folder}/progress", f"{folder}/spool", plan.workers)
        log = None if job.verbose else f"{folder}/workers.log"
    n_shards = len(config.all_shards())
    with (
        _plain_errors(job),
        local_runner(plan.workers, log) if job.local else nullcontext() as runner,
        shown(local.progress if local else None, n_shards, plain_console(stderr=True)),
        _pipeline(runner, plan.beam, folder) as pipeline,
    ):
        _ = (
            pipeline
            | "Inputs" >> beam.Create([*bundled(plan.slices), *config.all_shards()])
            | BuildCorpora(config, output, local, CROWDED * job.shard_mb * 1e6)
        )


def _pipeline(runner: FnApiRunner | None, options: PipelineOptions, folder: str) -> Any:
    """Beam's pipeline, with its temporary folder in ours."""
    pipeline = beam.Pipeline(runner, options=options)
    Path(pipeline.local_tempdir).rmdir()
    pipeline.local_tempdir = f"{folder}/beam"
    Path(pipeline.local_tempdir).mkdir(exist_ok=True)
    return pipeline


@contextmanager
def _plain_errors(job: Job) -> Iterator[None]:
    """Beam wraps a worker's error in its traceback: bring our own one-line error back.

    What goes wrong at another runner is told by its last line, unless --verbose asks for all.
    """
    try:
        yield
    except PPTError as error:
        told, beams_place, _ = str(error).partition(" [while running")
        if not beams_place:
            raise
        raise type(error)(told) from error
    except Exception as error:
        found = _OUR_ERROR.findall(str(error))
        if found:
            name, message = found[-1]
            raise getattr(ppt.errors, name, PPTError)(message) from error
        if job.verbose or (job.local and not isinstance(error, ValueError)):
            raise
        told = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f"Beam's {job.runner} refuses or failed: {cut(told, 600)} (--verbose tells all)"
        ) from error


def _with_trained_splitter(plan: Plan, output: Output) -> BuildConfig:
    """Train Punkt on the input; the parameters stay in the output."""
    for name, text in punkt_texts(train_punkt(_training_texts(plan))).items():
        output.put(f"{PUNKT}/{name}", text.encode())
    return replace(plan.config, splitter_source=f"punkt:{output.path(PUNKT)}")


def _training_texts(plan: Plan) -> Iterator[str]:
    budget = TRAIN_CHARACTERS
    for part in sorted(plan.slices, key=lambda part: (part.name, part.start)):
        for record in read(part, plan.config.read):
            if isinstance(record, Document):
                yield normalise(record.text)
                budget -= len(record.text)
                if budget <= 0:
                    return
    if budget == TRAIN_CHARACTERS:
        raise InputError(f"--splitter {TRAINED}: the input has no readable document")
