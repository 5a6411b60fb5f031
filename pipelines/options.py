"""What the flags of `build_corpus` mean: a `BuildConfig`, slices of files, Beam's options."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.config import BuildConfig, input_names
from pipelines.flags import LOCAL_RUNNERS, BuildFlags
from pipelines.labelling import default_thresholds
from pipelines.readers import FileSlice, ReadOptions, estimated_text_bytes, expand
from ppt.corpus.options import FormatOptions, Mixture
from ppt.corpus.sentiment import LABELS
from ppt.errors import ConfigError

_PLAIN_FIELDS = (
    "splitter",
    "labeller",
    "min_sentences",
    "min_sentence_chars",
    "max_sentence_chars",
    "validation_fraction",
)
"""Flags that are fields of `BuildConfig` by the same name."""


@dataclass(frozen=True)
class Job:
    """A checked command line: what to build, from which slices, where and how."""

    config: BuildConfig
    slices: list[FileSlice]
    output: str
    overwrite: bool
    verbose: bool
    local: bool
    workers: int
    beam: PipelineOptions


def job_of(flags: BuildFlags) -> Job:
    """Flags → a `Job`. Raises PPTError for whatever is wrong from the start."""
    examples = FormatOptions(
        seed=flags.seed,
        adjacency=flags.adjacency,
        max_examples_per_document=flags.max_examples_per_document,
        max_text_chars=flags.max_text_chars,
        max_option_chars=flags.max_option_chars,
        mixture=Mixture.parse(flags.unified_mixture),
        thresholds=_thresholds(flags.sentiment_thresholds, flags.labeller),
    )
    read = ReadOptions(flags.text_field, flags.id_field, flags.max_document_chars)
    settings = {name: getattr(flags, name) for name in _PLAIN_FIELDS}
    formats = tuple(name.strip() for name in flags.formats.split(","))
    BuildConfig(formats, examples, read, num_shards=flags.num_shards or 1, **settings)
    slices = expand(flags.input, flags.input_format)
    text_bytes = estimated_text_bytes(slices)
    num_shards = flags.num_shards or max(1, round(text_bytes / (flags.shard_mb * 1e6)))
    config = BuildConfig(
        formats, examples, read, num_shards=num_shards, inputs=input_names(slices),
        splitter_source=flags.splitter, **settings,
    )  # fmt: skip
    local = flags.runner in LOCAL_RUNNERS
    workers = flags.workers or os.cpu_count() or 1
    workers = min(workers, len(config.all_shards())) if local else workers
    return Job(
        config, slices, flags.output.rstrip("/") or "/", flags.overwrite, flags.verbose, local,
        workers, _beam_options(flags.runner, workers, flags.beam),
    )  # fmt: skip


def _thresholds(text: str | None, labeller: str) -> tuple[float, ...]:
    if text is None:
        return default_thresholds(labeller)
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != len(LABELS) or not all(0 <= value <= 1 for value in values):
        raise ConfigError(
            f"--sentiment_thresholds: got {text!r}, expected {len(LABELS)} numbers from 0 to 1, "
            f"for {', '.join(LABELS)}"
        )
    return values


def _beam_options(runner: str, workers: int, others: Sequence[str]) -> PipelineOptions:
    """Beam's options for a run; a local one is told its processes by `pipelines.job`."""
    local = runner in LOCAL_RUNNERS
    given = [f"--direct_num_workers={workers}"] if local else [f"--runner={runner}"]
    options = PipelineOptions([*given, *others])
    if options.get_all_options()["direct_running_mode"] == "multi_threading":
        raise ConfigError(
            "--direct_running_mode: got 'multi_threading', in which Beam loses elements without "
            "a word; use --workers N, which runs processes"
        )
    return options
