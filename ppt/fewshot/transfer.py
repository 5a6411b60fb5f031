"""What a grid takes from other tasks, and gives to others: the flags."""

from dataclasses import dataclass

from ppt.base.flags import Command, Rule, at_least, flag

TRANSFER = "other tasks"

MIXTURE_CAP = 2**19
"""SPoT's limit K of a task's share in a mixture, after Raffel et al. 2020, section 3.5.2."""


EARLY_STEP = 16
"""The step by which targets are known where none is asked for: a third of a few-shot run."""


@dataclass(frozen=True, kw_only=True)
class TransferSettings(Command):
    """A library of prompts, and how it is looked through.

    All are free: what they decide of a run's numbers is in the ids of the runs that they touch.
    """

    sources: str | None = flag(
        "a library of prompts that spot methods begin with: a folder of them, or several",
        group=TRANSFER, default=None, rule=Rule(bool, "folders"), unset="none", free=True,
    )  # fmt: skip
    similarity: str = flag(
        "of two tasks: the cosine of their prompts' mean tokens, or the mean over all pairs of"
        " tokens", group=TRANSFER, default="means", choices=("means", "pairs"), free=True,
    )  # fmt: skip
    embedding_steps: int | None = flag(
        "the early step whose prompt is kept beside the best, as what its task is known by",
        group=TRANSFER, default=None, rule=at_least(1),
        unset=f"none; {EARLY_STEP} for --library, and for what --sources are compared with",
        free=True,
    )  # fmt: skip
    library: str | None = flag(
        "a folder that gets, for each task, the soft prompt that validated best, as <task>/",
        group=TRANSFER, default=None, rule=Rule(bool, "a folder"), unset="none", free=True,
    )  # fmt: skip
    mixture_steps: int = flag(
        "steps on a mixture of tasks, before the task itself",
        group=TRANSFER, default=200, rule=at_least(1), free=True,
    )  # fmt: skip
    mixture_cap: int = flag(
        "rows of a task that count in a mixture, at most: tasks are drawn by their numbers of rows",
        group=TRANSFER, default=MIXTURE_CAP, rule=at_least(1), free=True,
    )  # fmt: skip
    corpora: str = flag(
        "the folder with the corpora of self-supervised sources, for mixtures",
        group=TRANSFER, default="corpora", free=True,
    )  # fmt: skip
