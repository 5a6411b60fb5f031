"""Flags of `build_corpus` → a `Job`; everything else is Beam's own.

Our flags are known here and checked before any work; what is left must be a
flag of Beam's, or it is refused with the nearest name that there is.
"""

import argparse
import difflib
import os
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.config import BuildConfig
from pipelines.job import LOCAL_RUNNERS, Job
from pipelines.labelling import find_labeller
from pipelines.readers import AUTO, FORMATS, ReadOptions
from ppt.base.flags import Parser
from ppt.corpus.formats import FORMATS as CORPORA
from ppt.corpus.options import ADJACENCIES, FormatOptions, Mixture
from ppt.corpus.sentiment import LABELS, LM_THRESHOLDS, PUBLISHED_THRESHOLDS
from ppt.errors import ConfigError

_EPILOG = """examples:
  python -m pipelines.build_corpus --input 'docs/*.txt' --output corpora/
  python -m pipelines.build_corpus --input 'a.jsonl.gz' 'b/*.parquet' --formats unified
  python -m pipelines.build_corpus --input 'gs://bucket/*.jsonl' --output gs://bucket/corpora \\
      --runner DataflowRunner --project my-project --region europe-west1 --temp_location gs://...

Then: python -m ppt.inspect corpora/unified -n 5
Any further flag is passed on to Apache Beam. Exit codes: 0 done, 2 a one-line error."""

_PLAIN_FIELDS = (
    "splitter",
    "labeller",
    "min_sentences",
    "min_sentence_chars",
    "max_sentence_chars",
    "validation_fraction",
)
"""Flags that are fields of `BuildConfig` by the same name."""

_JOB_FIELDS = (
    "input",
    "output",
    "input_format",
    "num_shards",
    "shard_mb",
    "overwrite",
    "workers",
    "runner",
    "verbose",
)
"""Flags that are fields of `Job` by the same name."""


def flag_parser() -> argparse.ArgumentParser:
    """The flags, grouped as the help shows them."""
    parser = Parser(
        prog="python -m pipelines.build_corpus",
        description="Turn raw documents into self-supervised corpora, in one read: sentence "
        "pairs, six-option multiple choice, pseudo-labelled sentiment, and everything as "
        "multiple choice (unified). The same input and flags give the same bytes, on any "
        "runner and number of workers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for title, add in _GROUPS.items():
        add(parser.add_argument_group(title))
    return parser


def _add_input(files: Any) -> None:
    read = ReadOptions()
    files.add_argument(
        "--input", nargs="+", action="extend", required=True, metavar="PATTERN",
        help="files or globs, plain, .gz or .zst; quote globs; may be given several times",
    )  # fmt: skip
    files.add_argument(
        "--input_format", default=AUTO, choices=[AUTO, *FORMATS],
        help="text: a file is a document; lines: a line is one; jsonl; parquet (default: by name)",
    )  # fmt: skip
    _add(files, "text_field", read, "JSON field or Parquet column of the text")
    files.add_argument("--id_field", help="field of the document's id (default: 'id' if present)")
    _add(files, "max_document_chars", read, "longer documents are rejected")


def _add_output(output: Any) -> None:
    output.add_argument("--output", default="corpora", help="folder (default: %(default)s)")
    output.add_argument(
        "--formats", default=",".join(CORPORA), help="comma-separated (default: %(default)s)"
    )
    output.add_argument("--overwrite", action="store_true", help="replace finished corpora")
    _add(output, "validation_fraction", BuildConfig(), "share of documents held out")
    output.add_argument(
        "--num_shards", type=int,
        help="training shards (default: one per --shard_mb of text, estimated from file sizes)",
    )  # fmt: skip
    output.add_argument(
        "--shard_mb", type=float, default=8.0,
        help="text per shard; other-document sentences come from the same shard "
        "(default: %(default)s)",
    )  # fmt: skip


def _add_sentences(text: Any) -> None:
    build = BuildConfig()
    text.add_argument(
        "--splitter", default="punkt:english",
        help="punkt:english, punkt:LANGUAGE or FOLDER, punkt:train (learn from the input itself), "
        "regex:zh, lines (default: %(default)s)",
    )  # fmt: skip
    _add(text, "min_sentences", build, "documents with fewer are rejected")
    _add(text, "min_sentence_chars", build, "shorter sentences are left out")
    _add(text, "max_sentence_chars", build, "longer sentences are left out")


def _add_examples(rules: Any) -> None:
    examples = FormatOptions()
    _add(rules, "seed", examples, "all random choices come from it and the documents")
    rules.add_argument(
        "--adjacency", default=examples.adjacency, choices=ADJACENCIES,
        help="which neighbour is the adjacent sentence (default: %(default)s)",
    )  # fmt: skip
    _add(rules, "max_examples_per_document", examples, "per format; 0: every sentence")
    _add(rules, "max_text_chars", examples, "text_a and text_b are cut to this, at a word's end")
    _add(rules, "max_option_chars", examples, "options are cut to this, and shorter the more")
    rules.add_argument(
        "--unified_mixture", default="choice=0.6,pair=0.2,sentiment=0.2",
        help="shares of the unified corpus, or 'published': selection only (default: %(default)s)",
    )  # fmt: skip
    rules.add_argument(
        "--labeller", default=BuildConfig().labeller,
        help="vader; model:FOLDER_OR_HUB_ID, any five-class sequence classifier; lm:NAME, any "
        "backbone, zero-shot (lm:smollm2-135m labels 15 to 20 sentences/s on a CPU core, so "
        "100,000 take an hour and a half: --max_examples_per_document bounds them) "
        "(default: %(default)s)",
    )  # fmt: skip
    rules.add_argument(
        "--sentiment_thresholds",
        help=f"least confidence for {', '.join(LABELS)} (default: {_joined(PUBLISHED_THRESHOLDS)}, "
        f"as published; with an lm: labeller {_joined(LM_THRESHOLDS)})",
    )  # fmt: skip


def _add_running(run: Any) -> None:
    run.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1,
        help="local processes (default: all cores, %(default)s here)",
    )  # fmt: skip
    run.add_argument(
        "--runner", default=LOCAL_RUNNERS[0],
        help="FnApiRunner (local; DirectRunner means the same), or any runner that Beam knows",
    )  # fmt: skip
    run.add_argument("--verbose", action="store_true", help="show Beam's own log")


_GROUPS = {
    "input": _add_input,
    "output": _add_output,
    "sentences": _add_sentences,
    "examples": _add_examples,
    "running": _add_running,
}


def _add(group: Any, name: str, defaults: Any, help_text: str) -> None:
    """A flag for a dataclass field, with its default and type."""
    default = getattr(defaults, name)
    group.add_argument(
        f"--{name}", type=type(default), default=default, help=f"{help_text} (default: {default})"
    )


def parse(argv: Sequence[str] | None) -> Job:
    """Flags → a `Job`. Raises PPTError for whatever is wrong with them."""
    flags, others = flag_parser().parse_known_args(argv)
    _refuse_unknown(others)
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
    formats = tuple(name.strip() for name in flags.formats.split(","))
    settings = {name: getattr(flags, name) for name in _PLAIN_FIELDS}
    config = BuildConfig(formats, examples, read, **settings)
    of_job = {name: getattr(flags, name) for name in _JOB_FIELDS}
    return Job(config=config, beam=tuple(others), **of_job)


def _joined(values: Sequence[float]) -> str:
    return ",".join(map(str, values))


def _thresholds(text: str | None, labeller: str) -> tuple[float, ...]:
    if text is None:
        return find_labeller(labeller)[0].thresholds
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


def _refuse_unknown(others: Sequence[str]) -> None:
    """Beam passes over flags that it does not know; a mistyped one must not be lost."""
    parser = Parser(prog="beam", allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(others))
    if not unknown:
        return
    known = [*flag_parser()._option_string_actions, *parser._option_string_actions]
    near = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
    hint = f", did you mean {near[0]}?" if near else " (see --help)"
    raise ConfigError(f"unknown argument {unknown[0]!r}{hint}")
