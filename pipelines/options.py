"""What the flags of `build_corpus` mean: a `Job`."""

from collections.abc import Container
from dataclasses import fields
from typing import Any

from pipelines.config import LENGTHS, BuildConfig
from pipelines.flags import BuildFlags
from pipelines.job import Job
from pipelines.labelling import find_labeller
from pipelines.preparing import ReadOptions
from ppt.corpus.options import FormatOptions, Mixture
from ppt.corpus.sentiment import LABELS
from ppt.errors import ConfigError


def job_of(flags: BuildFlags) -> Job:
    """Flags → a `Job`. Raises PPTError for whatever is wrong with them."""
    examples = FormatOptions(
        mixture=Mixture.parse(flags.unified_mixture),
        thresholds=_of_classes(flags, "sentiment_thresholds", 0, 1)
        or find_labeller(flags.labeller).thresholds,
        shares=_of_classes(flags, "sentiment_shares", 0.001, 1000) or (),
        **_by_name(flags, FormatOptions),
    )
    names = {"languages": _names(flags.language), "quality": _names(flags.quality)}
    read = ReadOptions(**{**_by_name(flags, ReadOptions), **names})
    lengths = {name: getattr(flags, name) or 0 for name in LENGTHS}
    same = _by_name(flags, BuildConfig, aside=("formats", "num_shards"))  # a job finds these
    config = BuildConfig(_names(flags.formats), examples, read, **{**same, **lengths})
    return Job(config=config, **{**_by_name(flags, Job), "exclude": _names(flags.exclude)})


def _by_name(flags: BuildFlags, kind: type[Any], aside: Container[str] = ()) -> dict[str, Any]:
    """The flags that are fields of `kind` by the same name."""
    names = {one.name for one in fields(flags)} & {one.name for one in fields(kind)}
    return {name: getattr(flags, name) for name in names if name not in aside}


def _names(text: str | None) -> tuple[str, ...]:
    """Names that commas part; None: none."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def _of_classes(
    flags: BuildFlags, name: str, least: float, most: float
) -> tuple[float, ...] | None:
    """The numbers of a flag with one for each class; None where it is left out."""
    if (text := getattr(flags, name)) is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != len(LABELS) or not all(least <= value <= most for value in values):
        raise ConfigError(
            f"--{name}: got {text!r}, expected {len(LABELS)} numbers from {least} to {most}, "
            f"for {', '.join(LABELS)}"
        )
    return values
