"""What a grid adds to a library: for each task the soft prompt that validated best; mixtures'."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ppt.backbones.sources import base_model
from ppt.base.files import TO_GO_ON, appearing, require_writable, sweep_dead, writing
from ppt.base.output_folder import locked
from ppt.errors import InputError, OutputError
from ppt.fewshot.loans import Borrowed
from ppt.fewshot.predictions import Outcome
from ppt.fewshot.settings import FewshotConfig
from ppt.methods import TASKS, Method, find_method
from ppt.prompts.early import EARLY, Early, read_early, save_early
from ppt.prompts.files import CARD, read_card, read_values, save_prompt
from ppt.results.run import Run
from ppt.results.selection import best_validated
from ppt.results.trial import digest
from ppt.training.evaluation import Course
from ppt.transfer.sources import LONGEST

PATIENCE = 60
"""Seconds to wait for another grid that puts its prompts into the same library."""


def check_library(config: FewshotConfig, tasks: Sequence[str], methods: Iterable[str]) -> None:
    """Refuse, before anything runs, to put prompts where others lie, or without one to put."""
    if config.library is None:
        return
    known, folder = [find_method(name) for name in methods], Path(config.library)
    names = [*tasks] if any(map(_is_kept, known)) else []
    if any(map(_is_mixed, known)):
        names.append(mixture_name(tasks))
    if not names:
        raise OutputError(
            "--library: no method of this grid tunes a soft prompt alone: add prompt_tuning to"
            " --methods."
        )
    if folder.resolve() == Path(config.output_dir).resolve():
        raise OutputError(f"--library: got the --output_dir, {folder}: give a folder of its own.")
    require_writable(folder, "--library")
    for name in names:
        place = folder / name
        require_writable(place, "--library")
        if place.exists() and any(place.iterdir()) and not _is_of(name, config.model, place):
            raise OutputError(
                f"{place} holds no prompt of task {name} and backbone {config.model}: give another"
                " --library, or move it."
            )


def mixture_name(tasks: Iterable[str]) -> str:
    """What the prompt of a mixture is called in a library; of a long name the end is a digest."""
    name = "+".join(tasks)
    if len(name.encode()) <= LONGEST:
        return name
    return f"{name.encode()[: LONGEST - 10].decode(errors='ignore')}+{digest(name)[:8]}"


def shelve_mixture(
    config: FewshotConfig, tasks: Sequence[str], borrowed: str, kind: str, value: Tensor,
    early: Early | None, course: Course[Outcome],
) -> None:  # fmt: skip
    """Put the prompt [P, H] of a mixture into the library, if there is one to fill.

    `borrowed` is the digest of what it is made of.
    """
    if config.library is None:
        return
    best = course.best("loss")
    card = {
        "backbone": config.model,
        "tasks": list(tasks),
        "borrowed": borrowed,
        "style": "soft",
        "steps": course.step,
        "best_step": best.step,
        "validation": {"accuracy": best.accuracy, "loss": best.loss},
    }
    with locked(Path(config.library), "--library", PATIENCE):
        _put(Path(config.library) / mixture_name(tasks), value, kind, config.model, card, early)


def add_to_library(
    config: FewshotConfig, folder: Path, runs: Sequence[Run], begins: Mapping[tuple[str, str], Any]
) -> list[Path]:
    """Put the best prompt of each task into the library; its card tells how good it was.

    `begins` is what each task and method began with. Raises OutputError where one began with a
    mixture whose prompt is not there: it is kept only when it is trained.
    """
    if config.library is None:
        return []
    library = Path(config.library)
    kept = [run for run in runs if _is_kept(find_method(run.method)) and run.adapter]
    places = []
    with locked(library, "--library", PATIENCE):
        for task in dict.fromkeys(run.task for run in kept):
            best = best_validated([run for run in kept if run.task == task])
            adapter, place = folder / str(best.adapter), library / task
            scores = {side: vars(getattr(best, side)) for side in ("validation", "test")}
            card, early = read_card(adapter), read_early(adapter / EARLY)
            if "kind" not in card:
                raise InputError(
                    f"{adapter} has no {CARD} of ours, expected one that tells what was tuned: copy"
                    f" the whole folder again, or remove the line of run {best.run} to tune anew."
                )
            _put(place, read_values(adapter), str(card["kind"]), config.model,
                 {**card, **scores}, early)  # fmt: skip
            places.append(place)
    for (_, method), begin in begins.items():
        if _is_mixed(find_method(method)):
            _require_mixture(library, begin)
    return places


def _require_mixture(library: Path, mixture: Borrowed) -> None:
    place = library / mixture_name(mixture.data)
    card = read_card(place) or {"borrowed": None}
    if card.get("borrowed", mixture.digest) != mixture.digest:
        raise OutputError(
            f"{place} has no prompt of this mixture: the runs that trained it were finished"
            " without this --library: give another --output_dir to train it again."
        )


def _put(
    place: Path, value: Tensor, kind: str, model: str, card: Mapping[str, Any], early: Early | None
) -> None:
    """A new folder appears whole, as one without a card would be nobody's; an old one is
    overwritten, and others' files in it stay. A link is followed.

    The early prompt goes first and comes last: a kill never leaves that of another run.
    """
    place, card = place.resolve(), {**card, "embedding_step": early and early.step}

    def fill(folder: Path) -> None:
        (folder / EARLY).unlink(missing_ok=True)
        save_prompt(folder, value, kind=kind, model=base_model(model), card=card)
        if early:
            save_early(folder / EARLY, early.step, early.start, early.value)

    sweep_dead(place)
    if place.exists() and any(place.iterdir()):
        fill(place)
    else:
        with writing(f"the prompt to {place}", TO_GO_ON), appearing(place) as scratch:
            fill(scratch)


def _is_kept(method: Method) -> bool:
    """Whether it tunes one soft prompt, on the task alone."""
    return (
        method.trains == "prompt" and method.style == "soft" and method.members == 1
        and not method.unified and method.transfer is None
    )  # fmt: skip


def _is_mixed(method: Method) -> bool:
    """Whether its start is one prompt of all tasks."""
    return method.transfer == TASKS and method.trains == "prompt"


def _is_of(name: str, model: str, place: Path) -> bool:
    card = read_card(place)
    own = card.get("task") or mixture_name(map(str, card.get("tasks") or ()))
    return own == name and card.get("backbone") == model
