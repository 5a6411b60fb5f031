"""What the flags of `build_corpus` mean: a `Job`."""

from pipelines.config import BuildConfig
from pipelines.flags import BuildFlags
from pipelines.job import Job
from pipelines.labelling import find_labeller
from pipelines.readers import ReadOptions
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
    "near_duplicates",
)
"""Flags that are fields of `BuildConfig` by the same name."""

_JOB_FIELDS = (
    "input",
    "output",
    "data_dir",
    "input_format",
    "num_shards",
    "shard_mb",
    "overwrite",
    "workers",
    "runner",
    "verbose",
    "beam",
)
"""Flags that are fields of `Job` by the same name."""


def job_of(flags: BuildFlags) -> Job:
    """Flags → a `Job`. Raises PPTError for whatever is wrong with them."""
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
    exclude = tuple(name.strip() for name in (flags.exclude or "").split(",") if name.strip())
    given = {name: getattr(flags, name) for name in _JOB_FIELDS}
    return Job(config=config, exclude=exclude, **given)


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
