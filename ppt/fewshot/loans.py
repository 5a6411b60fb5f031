"""What methods borrow of other tasks: their prompts, and their data for mixtures; found and named.

All is found before anything runs, so that a method without sources, or a mixture without data,
is told at once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ppt.base.files import file_digest
from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import MANIFEST, Corpus, open_corpus
from ppt.errors import ConfigError, InputError, PPTError, require_known
from ppt.fewshot.grid import content_digest
from ppt.fewshot.settings import FewshotConfig
from ppt.methods import ALL, MIXTURE, ONE, TASKS, VECTORS, Method, family, find_method
from ppt.tasks.finding import load_task
from ppt.tasks.loading import TaskData
from ppt.tasks.table import named_task
from ppt.transfer.sources import Source, require_alike

Data = Mapping[str, TaskData | Corpus]
"""The rows of tasks and of corpora, by source or task."""

FEWEST = 2
"""Tasks of a mixture, at least."""


@dataclass(frozen=True, eq=False)
class Borrowed:
    """The sources that a method may begin with, the `data` of a mixture, and a digest of all that.

    So a trial is another one where a source or a flag that touches its start has changed.
    """

    digest: str
    sources: Sequence[Source]
    data: Data = field(default_factory=dict)


def expanded(names: Sequence[str], sources: Sequence[Source]) -> list[str]:
    """Names of methods, with ``spot:all`` as one for each source, if there are any."""
    each = [f"spot:{one.name}" for one in sources]
    return [one for name in names for one in (each if each and name == f"spot:{ALL}" else [name])]


def borrow(
    config: FewshotConfig,
    name: str,
    task: str,
    tasks: Mapping[str, TaskData],
    sources: Sequence[Source],
    data: Data,
) -> Borrowed | None:
    """What the method `name` borrows for `task`; None where that would be of the task itself.

    `data` are those of the `sources`, for mixtures. Raises ConfigError and InputError where there
    is too little to borrow.
    """
    method, purpose = find_method(name), f"{name} on {task}"
    if method.transfer == TASKS:
        if len(tasks) < FEWEST:
            raise ConfigError(f"{purpose}: got one task, expected several: add some to --tasks.")
        return _borrowed(config, (), dict(tasks))
    if not sources:
        raise ConfigError(
            f"{purpose}: it begins with prompts of other tasks: give a folder of them as --sources."
        )
    others = [one for one in sources if task not in one.tasks]
    if method.transfer == ONE:
        if method.source is None:
            raise ConfigError(f"{name} needs a source: give spot:<name>, or spot:{ALL} for each.")
        known = {one.name: one for one in sources}
        require_known("source", method.source, known)
        one = known[method.source]
        return _borrowed(config, (one,)) if one in others else None
    data = data if method.transfer == MIXTURE else {}
    usable = [one for one in others if _is_usable(one, method, data)]
    if len(usable) < method.nearest:
        told = ", ".join(one.name for one in usable) or "none"
        raise ConfigError(
            f"{purpose}: it takes {method.nearest} sources, and {len(usable)} can serve ({told}):"
            f" give more as --sources{LACKS.get(method.transfer or '', '')}, or take fewer, as in"
            f" {family(name)}:1."
        )
    require_alike(usable, 0, purpose, "lengths", "tokens")
    return _borrowed(config, usable, {one.name: data[one.name] for one in usable if data})


LACKS = {
    MIXTURE: ", their tasks' rows as --data_dir, their corpora as --corpora",
    VECTORS: " that were kept with --embedding_steps",
}
"""What makes a source usable by a way of transfer, for messages."""


def _is_usable(source: Source, method: Method, data: Data) -> bool:
    needs = {MIXTURE: source.name in data, VECTORS: source.early is not None}
    return needs.get(method.transfer or "", True)


def _borrowed(
    config: FewshotConfig, sources: Sequence[Source], data: Data | None = None
) -> Borrowed:
    """What is borrowed, with a digest of what decides the start: of one source, its prompt."""
    told = [one.prompt.digest for one in sources]
    if data is not None:
        ranking = [config.similarity, str(config.early_step), *(one.digest for one in sources)]
        told += [_digest(ranking), f"{config.prompt_rate():g}"]
    if data:
        told += [f"{config.mixture_steps} {config.mixture_cap}"]
        told += [f"{name} {_content(one)}" for name, one in data.items()]
    return Borrowed(_digest(told), sources, data or {})


def _digest(told: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _content(data: TaskData | Corpus) -> str:
    return (
        content_digest(data) if isinstance(data, TaskData) else file_digest(data.folder / MANIFEST)
    )


def data_of_sources(
    config: FewshotConfig, sources: Sequence[Source], tasks: Mapping[str, TaskData]
) -> tuple[Data, list[str]]:
    """The data of sources, and notes on those that have none here."""
    found: dict[str, TaskData | Corpus] = {}
    notes = []
    for one in sources:
        try:
            found[one.name] = _data_of(one, config, tasks)
        except PPTError as error:
            notes.append(f"no mixture has the data of {one.name}: {error}")
    return found, notes


def _data_of(
    source: Source, config: FewshotConfig, tasks: Mapping[str, TaskData]
) -> TaskData | Corpus:
    """The rows that a source was trained on, as far as its card tells."""
    if source.task is not None:
        known = tasks.get(source.task)
        return known or load_task(named_task(source.task), config.data_dir)
    name = source.prompt.card.get("format", "that of several tasks")
    if name not in FORMATS:
        raise InputError(f"its format is {name}, expected one of {', '.join(FORMATS)}.")
    return open_corpus(Path(config.corpora) / str(name), str(name))
