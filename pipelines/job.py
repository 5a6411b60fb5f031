"""A build from a `Job` to finished corpora: what `build_corpus` runs, and Python users."""

import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import stores
from pipelines.config import MAX_SHARDS, BuildConfig, Inputs
from pipelines.dry import show_plan
from pipelines.excluding import read_excluded
from pipelines.failures import plain_errors
from pipelines.files import FileSlice, bundled
from pipelines.finding import refuse_overlap
from pipelines.finishing import only_build, read_manifest, scratch, told_otherwise
from pipelines.flags import AUTO, CPU_HOUR_PRICE, LOCAL_RUNNERS
from pipelines.gathering import find_splitter
from pipelines.glance import refuse_foreign_input
from pipelines.labelling import check_labeller, labeller_digest
from pipelines.local import shown, totals
from pipelines.logs import show_logs
from pipelines.readers import check, estimated_text_bytes, expand, read
from pipelines.remote import Remote, submission, unsent, waits, workers_of
from pipelines.sinks import EXCLUDED_ROWS, PUNKT, Output, files_to_write
from pipelines.stages import CROWDED, BuildCorpora, Local
from pipelines.summary import show
from pipelines.workers import local_runner
from ppt.base.extras import left_out
from ppt.base.terminal import plain_console
from ppt.base.text import normalise
from ppt.corpus.exclusion import Excluded
from ppt.corpus.histograms import HISTOGRAMS
from ppt.corpus.manifest import Manifest
from ppt.corpus.records import Document
from ppt.errors import ConfigError, InputError, visible
from ppt.text.sentences import TRAINED, punkt_texts, train_punkt

_FOR_THIS, _FOR_OTHERS = ("workers",), ("package", "accelerator")
"""Flags that mean nothing where the runner is another, or is ours."""

_NO_OUTPUT = {
    r"(\w+:/+)?|.*\0.*": "a folder",
    r"(s3|gs):/?[^/].*": "two slashes after the colon",
    r"\w+://.*[\[*?].*": "a name without [, * and ?, which a store takes for others too",
}
"""What names no folder, or more than one."""

TRAIN_CHARACTERS = 50_000_000
"""How much of the input it learns from, in order of file names."""


@dataclass(frozen=True)
class Job:
    """A build: from which files, whereto, with what, and how it is run.

    All but `config` may differ between builds of the same bytes, if the shards are as many:
    `num_shards`, or one for each `shard_mb` of text. `exclude` names tasks and files that no
    sentence may share words with (`pipelines.excluding`). `workers` are local processes (None:
    one a core), `beam` further flags of Beam's, `package` and `accelerator` for other machines
    (`pipelines.remote`). With `dry_run` it is told and not done.
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
    package: str | None = None
    accelerator: str | None = None
    dry_run: bool = False
    cpu_hour_price: float = CPU_HOUR_PRICE
    verbose: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.input, str):  # a sequence of its letters
            object.__setattr__(self, "input", (self.input,))
        for name in ("workers", "num_shards"):
            if (count := getattr(self, name)) is not None and count < 1:
                raise ConfigError(f"--{name}: got {count}, expected 1 or more")
        if not 0 < self.shard_mb < math.inf:
            raise ConfigError(f"--shard_mb: got {self.shard_mb}, expected more than 0")
        for shape, expected in _NO_OUTPUT.items():
            if re.fullmatch(shape, self.output, re.DOTALL):
                raise ConfigError(f"--output: got {self.output!r}, expected {expected}")
        if self.data_dir is not None and not self.exclude:
            raise ConfigError("--data_dir: only --exclude reads it; give the tasks to leave out")
        for name in _FOR_OTHERS if self.local else _FOR_THIS:
            if getattr(self, name) is not None:
                raise ConfigError(f"--{name}: not for --runner {self.runner}; leave it out.")

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        return self.runner in LOCAL_RUNNERS

    @property
    def remote(self) -> Remote:
        """Its runner, where that is not ours."""
        more = self.config.labeller, self.package, self.accelerator
        return Remote(self.runner, self.beam, *more)

    def check_remote(self) -> None:
        """Raise PPTError where workers of other machines cannot do it."""
        paths = [("--input", one) for one in self.input] + [("--output", self.output)]
        self.remote.check(paths, self.config.splitter)
        told = plain_errors(self.runner, traced=self.verbose)
        with told, self.remote.options() as options, unsent(options):
            pass  # Beam looks at its options, before any store is asked


@dataclass(frozen=True)
class Plan:
    """A job whose files were looked at; `config` knows them now, and the number of shards."""

    config: BuildConfig
    slices: list[FileSlice]
    workers: int

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
        return cls(config, slices, workers)

    def options(self, job: Job) -> AbstractContextManager[PipelineOptions]:
        """Beam's options, good for as long as the block runs."""
        if not job.local:
            return job.remote.options()
        options = PipelineOptions([f"--direct_num_workers={self.workers}", *job.beam])
        if options.get_all_options()["direct_running_mode"] == "multi_threading":
            raise ConfigError(
                "--direct_running_mode: got 'multi_threading', in which Beam loses elements "
                "without a word; use --workers N, which runs processes"
            )
        return nullcontext(options)


def run(job: Job) -> dict[str, Manifest]:
    """Build what `job` asks for. Raises PPTError, having told nothing yet.

    The manifests by format, as the files say.
    """
    if job.verbose:
        show_logs()
    if not job.local:
        job.check_remote()
    plan = Plan.of(job)
    output = Output(job.output.rstrip("/") or "/")
    refuse_overlap(job.input, plan.slices, output.root, files_to_write(plan.config))
    with plan.options(job) as options:
        plan, excluded = _checked(job, plan)
        if job.dry_run:
            output.look(plan.config, job.overwrite)
            _tell(job, plan, output, options)
            return {}
        return _run(job, plan, excluded, output, options)


def _checked(job: Job, plan: Plan) -> tuple[Plan, Excluded]:
    """What must be right before any work, and the rows that no sentence may share words with."""
    check_labeller(job.config.labeller)
    if job.config.splitter != TRAINED:
        find_splitter(job.config.splitter)
    refuse_foreign_input(plan.slices, plan.config)
    excluded, sources = read_excluded(job.exclude, job.data_dir)
    digest = labeller_digest(job.config.labeller) if plan.config.needs_labels else ""
    config = replace(plan.config, excluded=sources, labeller_digest=digest)
    return replace(plan, config=config), excluded


def _run(
    job: Job, plan: Plan, excluded: Excluded, output: Output, options: PipelineOptions
) -> dict[str, Manifest]:
    started = time.monotonic()
    with only_build(output), scratch(output) as folder:
        if output.prepare(plan.config, job.overwrite):
            output.put(EXCLUDED_ROWS, excluded.to_bytes())
            if job.config.splitter == TRAINED:
                plan = replace(plan, config=_with_trained_splitter(plan, output))
            build(job, plan, output, options, folder)
            if not waits(options):
                print(f"The job was handed over; {visible(output.root)} is complete with its end.")
                return {}
        seconds = time.monotonic() - started
        work = totals(f"{folder}/progress")
        left_out("matplotlib", HISTOGRAMS)
        manifests = {name: read_manifest(output, name) for name in plan.config.formats}
        output.finish()
        show(manifests, output.root, seconds, work, told_otherwise(manifests, output))
        return manifests


def build(job: Job, plan: Plan, output: Output, options: PipelineOptions, folder: str) -> None:
    """Run the pipeline to its end, with `folder` for what only it needs.

    Raises the workers' PPTError as it was raised there.
    """
    local, log, ahead = Local(), None, plan.config.ahead
    if job.local:
        local = Local(f"{folder}/progress", f"{folder}/spool", plan.workers)
        log = None if job.verbose else f"{folder}/workers.log"
    with (
        plain_errors(job.runner, traced=job.verbose),
        local_runner(plan.workers, log, *ahead) if job.local else nullcontext() as runner,
        shown(local.progress, len(plan.config.all_shards()), plain_console(stderr=True)),
        _pipeline(runner, options, folder) as pipeline,
    ):
        _draw(pipeline, job, plan, output, local)


def _draw(pipeline: beam.Pipeline, job: Job, plan: Plan, output: Output, local: Local) -> None:
    """The whole graph."""
    most = CROWDED * job.shard_mb * 1e6
    _ = (
        pipeline
        | "Inputs" >> beam.Create([*bundled(plan.slices), *plan.config.all_shards()])
        | BuildCorpora(plan.config, output, local, most, job.accelerator)
    )


def _tell(job: Job, plan: Plan, output: Output, options: PipelineOptions) -> None:
    """What would be done; of another runner, the job that it would be sent."""
    sent, workers = None, plan.workers if job.local else workers_of(options)
    where = f"{plan.workers} processes of this machine" if job.local else job.runner
    if not job.local:
        with plain_errors(job.runner, traced=job.verbose), unsent(options) as pipeline:
            _draw(pipeline, job, plan, output, Local())
            sent = submission(pipeline, options)
    text = estimated_text_bytes(plan.slices)
    show_plan(plan.config, text, output.root, where, workers, job.cpu_hour_price, sent)


def _pipeline(runner: FnApiRunner | None, options: PipelineOptions, folder: str) -> Any:
    """Beam's pipeline, with its temporary folder in ours."""
    pipeline = beam.Pipeline(runner, options=options)
    Path(pipeline.local_tempdir).rmdir()
    pipeline.local_tempdir = f"{folder}/beam"
    Path(pipeline.local_tempdir).mkdir(exist_ok=True)
    return pipeline


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
