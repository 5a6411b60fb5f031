"""A library of prompts as sources for other tasks: named, compared with a target, ranked.

A library is a folder of prompts with their cards; any that suits the backbone is a source,
whatever it was trained on: a task, a self-supervised format, language modelling.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from ppt.base import names
from ppt.base.names import check_name
from ppt.errors import InputError
from ppt.prompts.early import EARLY, Early, read_early
from ppt.prompts.files import ADAPTER, FOLDER, Prompt
from ppt.results.transfer import FROM
from ppt.training.kinship import is_for
from ppt.transfer.similarity import similarities

LONGEST = names.LONGEST - len(FROM)
"""Bytes of a source's name: a method is named after it, and folders after methods."""


@dataclass(frozen=True, eq=False)
class Source:
    """A prompt and the name that it has in its library."""

    name: str
    prompt: Prompt

    @cached_property
    def early(self) -> Early | None:
        """The prompt at its start and at the early step, if these were kept; InputError where they
        are another prompt's.
        """
        found = read_early(self.prompt.folder / EARLY) if self.prompt.folder else None
        if found and found.value.shape != self.values.shape:
            raise InputError(
                f"{self.prompt} holds a prompt {list(self.values.shape)} and an early one"
                f" {list(found.value.shape)}, expected one prompt's: remove its {EARLY}."
            )
        return found

    @cached_property
    def values(self) -> Tensor:
        """The prompt of the best step, [P, H]: what is transferred."""
        return self.prompt.values()

    @property
    def embedding(self) -> Tensor:
        """What its task is known by, [P, H]: the early prompt; where none was kept, the best."""
        return self.early.value if self.early else self.values

    @property
    def task(self) -> str | None:
        """The one labelled task that it was tuned on, if it was."""
        return self.prompt.card.get("task")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The labelled tasks that it was trained on: that one, or those of a mixture."""
        several = self.prompt.card.get("tasks")
        return tuple(map(str, several)) if isinstance(several, list) else (self.task or "",)

    @cached_property
    def digest(self) -> str:
        """What tells it from others: its name, its prompt, and the prompt at the early step."""
        both = hashlib.sha256(f"{self.name} {self.prompt.digest}".encode())
        if self.early:
            for one in (self.early.start, self.early.value):
                both.update(one.numpy().tobytes())
        return both.hexdigest()


def ranked(
    sources: Sequence[Source], target: Tensor, count: int, measure: str
) -> list[tuple[Source, float]]:
    """The `count` nearest to the task whose embedding is `target` [P, H], the nearest first."""
    (near,) = similarities([target], [one.embedding for one in sources], measure)
    order = sorted(range(len(near)), key=lambda i: (-near[i], sources[i].name))
    return [(sources[i], float(near[i])) for i in order[:count]]


def as_sources(prompts: Iterable[Prompt], model: str) -> tuple[list[Source], list[str]]:
    """Those of `prompts` that can begin a soft prompt of the backbone, and notes on the others.

    A name is that of the folder in the library. Raises InputError where two have one name, or
    prompts are of several hidden sizes.
    """
    kept: dict[str, Source] = {}
    notes = []
    for place, prompt in enumerate(prompts):
        name = source_name(prompt, place)
        if why := _unfit(prompt, model):
            notes.append(f"{prompt} is no source: {why}.")
        elif name in kept:
            raise InputError(
                f"two sources are called {name!r}, {kept[name].prompt} and {prompt}: give one of"
                " the folders another name."
            )
        else:
            check_name(name, "the name of a source", LONGEST)
            kept[name] = Source(name, prompt)
    require_alike(list(kept.values()), 1, f"--model {model}", "hidden sizes", "numbers a token")
    return list(kept.values()), notes


def source_name(prompt: Prompt, place: int = 0) -> str:
    """The name of its run folder; of a prompt in memory its task's or format's."""
    if prompt.folder is None:
        return str(prompt.card.get("task") or prompt.card.get("format") or f"prompt-{place}")
    folder = Path(os.path.normpath(prompt.folder.absolute()))  # by the name of a link, if it is one
    return folder.parent.name if folder.name in (FOLDER, ADAPTER) else folder.name


def _unfit(prompt: Prompt, model: str) -> str:
    """Why it cannot begin a soft prompt of that backbone; empty where it can."""
    if prompt.trains != "prompt":
        return f"it is a {prompt.trains} adapter"
    if prompt.card.get("style", "soft") != "soft":
        return f"it stands beside {prompt.card['style']} words"
    if not is_for(prompt, model):
        return f"it was trained for {prompt.card.get('backbone') or prompt.card.get('model')}"
    return ""


def require_alike(sources: Sequence[Source], axis: int, purpose: str, what: str, unit: str) -> None:
    """Refuse prompts of several sizes along an axis, which cannot stand for one another."""
    sizes = {one.values.shape[axis]: one for one in sources}
    if len(sizes) > 1:
        told = " and ".join(f"{one.name} {size}" for size, one in sorted(sizes.items())[:2])
        raise InputError(
            f"{purpose}: the sources have several {what} ({told} {unit}): give those of one."
        )
