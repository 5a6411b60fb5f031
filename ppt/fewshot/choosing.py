"""What the methods of each task begin with: a pre-trained prompt, others' prompts, nothing."""

from collections.abc import Mapping, Sequence
from functools import cache

from ppt.corpus.storage import Corpus
from ppt.errors import InputError
from ppt.fewshot.loans import Borrowed, borrow, data_of_sources, expanded
from ppt.fewshot.settings import DEFAULT_METHODS, PPT_METHODS, FewshotConfig
from ppt.methods import ALL, MIXTURE, PRETRAINED, find_method
from ppt.prompts.files import Prompt
from ppt.tasks.forms import PROMPT_FORMATS
from ppt.tasks.loading import TaskData
from ppt.tasks.rows import look
from ppt.tasks.spec import Task
from ppt.transfer.library import WHAT, choose_prompt, described, serves
from ppt.transfer.sources import Source, as_sources

Choices = Mapping[tuple[str, str], Prompt | Borrowed | None]
"""(task, method) → what it begins with, if it is something that was made before."""


def choose_methods(
    config: FewshotConfig,
    tasks: Mapping[str, TaskData],
    prompts: Sequence[Prompt],
    sources: Sequence[Prompt] = (),
) -> tuple[Choices, list[str]]:
    """The methods of each task, what of `prompts` or `sources` each begins with, and notes.

    A method that would begin with a prompt of the very task is left out.
    """
    kept, names, notes = _sources(config, sources)
    theirs: Mapping[str, TaskData | Corpus] = {}
    if any(find_method(name).transfer == MIXTURE for name in names):
        theirs, more = data_of_sources(config, kept, tasks)
        notes += more
    chosen: dict[tuple[str, str], Prompt | Borrowed | None] = {}
    for task, data in tasks.items():
        for name in names:
            method, wanted = find_method(name), _wanted(config, name, data.task)
            if method.transfer:
                if found := borrow(config, name, task, tasks, kept, theirs):
                    chosen[task, name] = found
            elif method.init != PRETRAINED:
                chosen[task, name] = None
            elif config.method_names or any(serves(one, **wanted) for one in prompts):
                chosen[task, name] = pretrained_prompt(config, name, data.task, prompts)
    if not chosen:
        raise InputError(
            "nothing to run: all sources were trained on the very tasks: give others as --sources."
        )
    if prompts and not config.methods and not any(isinstance(o, Prompt) for o in chosen.values()):
        suiting = {"unified", *(PROMPT_FORMATS[data.task.format] for data in tasks.values())}
        raise InputError(
            f"no prompt suits {', '.join(tasks)}: expected one of format"
            f" {' or '.join(sorted(suiting))}, got {described(prompts)}: pre-train one"
            " (python -m ppt.pretrain --format=unified), or leave --prompt out."
        )
    return chosen, [*notes, *_shared(chosen, tasks)]


def pretrained_prompt(
    config: FewshotConfig, name: str, task: Task, prompts: Sequence[Prompt]
) -> Prompt:
    """The one of `prompts` that a method begins with; raises InputError where not one fits."""
    return choose_prompt(
        prompts, model=config.model, purpose=f"{name} on {task.name}", **_wanted(config, name, task)
    )


def _shared(chosen: Choices, tasks: Mapping[str, TaskData]) -> list[str]:
    """Notes on test texts of a target that stand in the training data of what it borrows."""
    known = dict(tasks)
    pairs: dict[tuple[str, str], None] = {}
    for (task, _), begin in chosen.items():
        if isinstance(begin, Borrowed):
            read = [data for data in begin.data.values() if isinstance(data, TaskData)]
            known |= {data.task.name: data for data in read}
            names = [name for one in begin.sources for name in one.tasks]
            pairs |= dict.fromkeys((task, name) for name in (*(d.task.name for d in read), *names))
    ids = cache(lambda name, side: {look(row) for row in getattr(known[name], side)})
    sides = {task: "test" if data.test else "train" for task, data in tasks.items()}
    counts = {
        (task, name): len(ids(task, sides[task]) & ids(name, "train"))
        for task, name in pairs if name in known and name != task
    }  # fmt: skip
    what = {"test": "test texts", "train": "texts, which are tested where they are not drawn,"}
    return [
        f"{count:,} {what[sides[task]]} of {task} are training texts of {name}, which it begins"
        " with: their scores say too much."
        for (task, name), count in counts.items() if count
    ]  # fmt: skip


def _sources(
    config: FewshotConfig, sources: Sequence[Prompt]
) -> tuple[list[Source], list[str], list[str]]:
    """Those that can serve, the methods by their names in full, and notes on the sources."""
    kept, notes = as_sources(sources, config.model)
    usual = [*DEFAULT_METHODS, *PPT_METHODS, *([f"spot:{ALL}"] if sources else [])]
    names = expanded(config.method_names or usual, kept)
    if sources and not kept:
        raise InputError(f"--sources: {notes[0]} Give prompts of --model {config.model}.")
    if any(one.early is None for one in kept):
        lacking = ", ".join(one.name for one in kept if one.early is None)
        notes.append(
            f"{lacking}: no early prompt was kept, so the best one stands for the task; SPoT found"
            " that to tell less (--embedding_steps keeps it)."
        )
    if others := {one.early.step for one in kept if one.early} - {config.early_step}:
        told = ", ".join(map(str, sorted(others)))
        notes.append(
            f"early prompts of --sources are of step {told}, those of targets of step"
            f" {config.early_step}: --embedding_steps says which."
        )
    return kept, names, notes


def _wanted(config: FewshotConfig, name: str, task: Task) -> dict[str, str]:
    """What a prompt must be for a method to begin with it, as arguments of `serves`."""
    method = find_method(name)
    return {
        "format_name": "unified" if method.unified else PROMPT_FORMATS[task.format],
        "style": method.style,
        "trains": method.trains if method.trains in WHAT else "prompt",
        "answers": config.answers,
        "target": config.target,
    }
