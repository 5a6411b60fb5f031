"""`--dry_run`: what a build would do and cost, told before anything is spent."""

from collections.abc import Iterable, Iterator
from functools import partial

from apache_beam.portability.api import beam_runner_api_pb2

from pipelines.config import BuildConfig
from pipelines.labelling import find_labeller
from ppt.base.terminal import plain_console
from ppt.errors import visible

CPU_SECONDS_PER_MB = 0.8, 2.1
"""Of the whole command with VADER, on technical documents and on speeches (docs/corpora.md)."""

_GROUP_BY_KEY = "beam:transform:group_by_key:v1"


def show_plan(
    config: BuildConfig,
    text_bytes: int,
    output: str,
    where: str,
    workers: int | None,
    price: float,
    submission: beam_runner_api_pb2.Pipeline | None,
) -> None:
    """Print the plan. `workers` are processes, None where the runner decides how many."""
    rows = {
        **_work(config, text_bytes, output),
        "runner": where,
        **_cost(config, text_bytes, workers, price if submission else None),
        **(_sent(submission) if submission else {}),
    }
    tell = partial(plain_console().print, soft_wrap=True, highlight=False, markup=False)
    for name, told in rows.items():
        tell(f"{name:<10}{visible(told)}")
    tell("Nothing was built, written or sent: leave out --dry_run to do so.")


def _work(config: BuildConfig, text_bytes: int, output: str) -> dict[str, str]:
    inputs = config.inputs
    shards = ", ".join(f"{number:,} {split}" for split, number in config.shards_of.items())
    return {
        "input": f"{inputs.files:,} files of {_size(inputs.bytes)}, first {inputs.first[0]}",
        "text": f"about {_size(text_bytes)}, by the files' names and sizes",
        "shards": f"{shards}: about {_size(text_bytes / config.num_shards)} each",
        "output": f"{output}: {', '.join(config.formats)}",
    }


def _cost(
    config: BuildConfig, text_bytes: int, workers: int | None, price: float | None
) -> dict[str, str]:
    hours = [rate * text_bytes / 1e6 / 3600 for rate in CPU_SECONDS_PER_MB]
    slow = find_labeller(config.labeller).libraries and config.needs_labels
    label = f", and what --labeller {config.labeller} takes" if slow else ""
    told = {"work": f"{_span(map(_time, hours))} of one core, and workers' start{label}"}
    if workers:
        each = [hour / workers for hour in hours]
        told["expected"] = f"{_span(map(_time, each))} with {workers} workers{label}"
    if price is not None:
        money = _span(f"{max(hour * price, 0.01):,.2f}" for hour in hours)
        told["cost"] = f"{money} dollars at {price} a core and hour{label}"
    return told


def _span(ends: Iterable[str]) -> str:
    """The least and the most, once where they are told alike."""
    return " to ".join(dict.fromkeys(ends))


def _sent(submission: beam_runner_api_pb2.Pipeline) -> dict[str, str]:
    """What stands in the job that a runner would be sent."""
    parts = submission.components
    shuffles = sum(one.spec.urn == _GROUP_BY_KEY for one in parts.transforms.values())
    environments = parts.environments.values()
    return {
        "job": f"{_size(submission.ByteSize())}, {shuffles} shuffles",
        "workers": "; ".join(sorted({_kind(one) for one in environments})),
        "staged": ", ".join(sorted({name for one in environments for name in staged(one)})) or "-",
    }


def staged(environment: beam_runner_api_pb2.Environment) -> Iterator[str]:
    """Names of the files that are sent along for the workers."""
    for one in environment.dependencies:
        role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(one.role_payload)
        yield role.staged_name


def _kind(environment: beam_runner_api_pb2.Environment) -> str:
    kind = environment.urn.split(":")[2]
    if kind == "docker":
        docker = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
        kind = docker.container_image
    hints = sorted(environment.resource_hints.items())
    return " ".join((kind, *(f"{urn.split(':')[2]}={value.decode()}" for urn, value in hints)))


def _size(size: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def _time(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{max(hours * 60, 1):.0f} min"
