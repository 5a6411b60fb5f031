"""What ``python -m ppt.fewshot`` is asked to do: tasks x methods x shots x seeds x rates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from ppt.backbones.sources import DEFAULT_MODEL
from ppt.base.flags import Rule, again, at_least, flag
from ppt.errors import ConfigError
from ppt.fewshot.transfer import EARLY_STEP, TRANSFER, TransferSettings
from ppt.methods import (
    ACCURACY,
    ALL,
    CLEAR,
    GRID,
    METHODS,
    PRETRAINED,
    PROMPT_RATES,
    Method,
    find_method,
)
from ppt.results.trial import changed
from ppt.training.settings import (
    OPTIMISER,
    PROMPT,
    RATE,
    STEPS,
    PretrainConfig,
    StepSettings,
    require_early,
)
from ppt.training.shared import DATA, MACHINE, MachineSettings

T = TypeVar("T", int, float)

METHOD = "the methods"
BY_METHOD = "method"

SEED = Rule(lambda seed: 0 <= seed < 2**31, "numbers from 0 to 2147483647")
SEED_COUNT = Rule(lambda count: 1 <= count <= 10_000, "a number of seeds from 1 to 10000")
NOT_EMPTY = Rule(lambda text: bool(split(text)), "names with commas between them")


@dataclass(frozen=True, kw_only=True)
class FewshotConfig(StepSettings, TransferSettings, MachineSettings):
    """``python -m ppt.fewshot``: labelled tasks, a backbone and prompts in, scores out.

    Fields that are `free` only add runs to a grid or leave their numbers as they are.
    """

    GROUPS: ClassVar[tuple[str, ...]] = (
        DATA, METHOD, TRANSFER, PROMPT, OPTIMISER, STEPS, MACHINE,
    )  # fmt: skip

    tasks: str | None = flag(
        "names of tasks, such as sst2,rte", group=DATA, default=None, rule=NOT_EMPTY,
        unset="none; give these or --task_file", free=True,
    )  # fmt: skip
    task_file: str | None = flag(
        "YAML files of tasks of your own",
        group=DATA, default=None, rule=NOT_EMPTY, unset="none", free=True,
    )  # fmt: skip
    data_dir: str | None = flag(
        "folder with <task>/train.jsonl and so on", group=DATA, default=None,
        unset="the Hugging Face hub", free=True,
    )  # fmt: skip
    shots: str = flag(
        "examples to train on, and as many to validate on; several numbers: 16,32,64; all: every"
        " training row but a tenth (500 at most), which validates",
        group=DATA, default="32", free=True,
    )  # fmt: skip
    seeds: str = flag(
        "how many seeds, 0, 1, ..., of the draw of examples, the initial prompt and the order; or"
        " with a comma which ones: 0,3",
        group=DATA, default="5", free=True,
    )  # fmt: skip
    max_test_examples: int | None = flag(
        "test on that many rows, always the same ones", group=DATA, default=None,
        rule=at_least(1), unset="all",
    )  # fmt: skip
    max_length: int = again(PretrainConfig, "max_length")
    output_dir: str = flag(
        "where results.jsonl, predictions and adapters go; finished runs in it are not repeated",
        group=DATA, default="results", free=True,
    )  # fmt: skip
    overwrite_output_dir: bool = flag(
        "begin anew; but if what is there is a beginning of this very grid, go on",
        group=DATA, default=False, free=True,
    )  # fmt: skip
    methods: str | None = flag(
        "names of the table below",
        group=METHOD, default=None, rule=NOT_EMPTY,
        unset="zero_shot, prompt_tuning, and the kinds of PPT that --prompt has prompts for;"
        " with --sources spot:all", free=True,
    )  # fmt: skip
    model: str = flag(
        "the backbone: an embedded name, a folder, or a hub id", group=METHOD,
        default=DEFAULT_MODEL,
    )  # fmt: skip
    prompt: str | None = flag(
        "pre-trained prompts: a run of ppt.pretrain, a folder of runs, or several",
        group=METHOD, default=None, rule=NOT_EMPTY, unset="none", free=True,
    )  # fmt: skip
    answers: str = again(PretrainConfig, "answers", group=METHOD)
    target: str = again(PretrainConfig, "target", group=METHOD)
    context_length: int = flag(
        "tokens of the examples that in_context shows and context_tuning begins with, at most",
        group=METHOD, default=1024, rule=at_least(1),
    )  # fmt: skip
    prompt_length: int = flag(
        "tokens of prompts that are not pre-trained", group=PROMPT, default=20, rule=at_least(1)
    )
    residual: int = again(PretrainConfig, "residual")
    init_text: str | None = flag(
        "words that prompt_tuning_text begins with",
        group=PROMPT, default=None, rule=Rule(bool, "words"),
        unset="a sentence with the label words",
    )  # fmt: skip
    learning_rate: float | None = again(
        StepSettings, "learning_rate", help="one rate for all methods", unset="each method's own",
        free=True,
    )  # fmt: skip
    grid: str | None = flag(
        f"rates to try for every trained method, such as 0.001,0.005; '{BY_METHOD}': each one's"
        f" own times {', '.join(f'{factor:g}' for factor in GRID)}. The validation examples choose",
        group=OPTIMISER, default=None, unset="none", free=True,
    )  # fmt: skip
    max_steps: int = again(StepSettings, "max_steps", 48)
    eval_steps: int = again(StepSettings, "eval_steps", 8)
    metric_for_best_model: str = again(
        StepSettings, "metric_for_best_model", BY_METHOD,
        help="what the best step goes by; of equal accuracies the lower loss wins"
        f" ({CLEAR}: the earlier step, and the start where no accuracy is more than that above it);"
        f" method: {CLEAR} for those that begin pre-trained, {ACCURACY} for others",
        choices=(BY_METHOD, "loss", ACCURACY, CLEAR),
    )  # fmt: skip
    early_stopping_patience: int = again(StepSettings, "early_stopping_patience", 0)
    side_by_side: int = flag(
        "runs of one task and method (seeds, rates) that are trained as one batch",
        group=MACHINE, default=8, rule=at_least(1), free=True,
    )  # fmt: skip
    tokens_at_once: int = flag(
        "tokens of a forward pass, over all its rows: what bounds memory; more suits a GPU",
        group=MACHINE, default=4096, rule=at_least(1), free=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        seeds: Any = self.seeds  # a number from Python, and in folders of before lists were taken
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            object.__setattr__(self, "seeds", str(seeds))
        super().__post_init__()
        if self.tasks is None and self.task_file is None:
            raise ConfigError("no task: give --tasks=sst2,rte or --task_file=my_task.yaml.")
        if self.grid is not None and self.learning_rate is not None:
            raise ConfigError("--grid and --learning_rate both name rates: give one of them.")
        require_early(self.embedding_steps, self.max_steps)
        _ = self.shots_of(1), self.seed_numbers, self.method_names, self.rates

    def shots_of(self, everything: int) -> list[int]:
        """The numbers of ``--shots`` for a task that has so many rows to train on in all."""
        parts = (str(everything) if one == ALL else one for one in split(self.shots))
        return numbers("shots", ",".join(parts) or self.shots, int, at_least(1))

    @property
    def seed_numbers(self) -> list[int]:
        """The seeds of ``--seeds``: those that are named, or as many as it counts."""
        if "," in self.seeds:
            return numbers("seeds", self.seeds, int, SEED)
        return list(range(*numbers("seeds", self.seeds, int, SEED_COUNT)))

    @property
    def method_names(self) -> list[str] | None:
        """The names of ``--methods``, each known; None where the prompts decide."""
        names = None if self.methods is None else split(self.methods)
        for name in names or ():
            find_method(name)
        return names

    @property
    def rates(self) -> list[float] | None:
        """The rates that the flags name for all methods; None where they are the methods' own."""
        if self.learning_rate is not None:
            return [self.learning_rate]
        if self.grid in (None, BY_METHOD):
            return None
        return numbers("grid", str(self.grid), float, RATE)

    @property
    def early_step(self) -> int:
        """The step by whose prompts tasks are compared."""
        return self.embedding_steps or min(EARLY_STEP, self.max_steps)

    @property
    def kept_step(self) -> int | None:
        """The early step whose prompts are kept, if any are."""
        return self.early_step if self.embedding_steps or self.library else None

    def prompt_rate(self) -> float:
        """The rate of prompts that are trained on the way to a start."""
        return self.learning_rate or PROMPT_RATES[self.optimizer]

    def rates_of(self, method: Method) -> Sequence[float | None]:
        """The learning rates to try for a method, rising; [None] where nothing is trained."""
        if not method.is_trained:
            return [None]
        own = method.rates[self.optimizer]
        factors = GRID if self.grid == BY_METHOD else (1.0,)
        return sorted(self.rates or [own * factor for factor in factors])

    def metric_of(self, method: Method) -> str:
        """What the best step of a method goes by."""
        own = self.metric_for_best_model
        return method.metric if own == BY_METHOD else own

    def steps_of(self, method: Method) -> StepSettings:
        """What the loop reads; its learning rate is that of no run yet."""
        known = {one.name: getattr(self, one.name) for one in fields(StepSettings)}
        own = {"learning_rate": None, "metric_for_best_model": self.metric_of(method)}
        return StepSettings(**{**known, **own})

    def decisive(self) -> dict[str, Any]:
        """The flags that a run's numbers depend on, where they are not the defaults."""
        return changed(self, aside=[one.name for one in fields(self) if one.metadata["free"]])


def split(text: str) -> list[str]:
    """The names of a list with commas, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def numbers(name: str, text: str, kind: Callable[[str], T], rule: Rule) -> list[T]:
    """The numbers of a list with commas."""
    parts: Sequence[str] = split(text) or [text]
    try:
        found = list(dict.fromkeys(kind(part) for part in parts))
        good = all(rule.holds(number) and number < math.inf for number in found)
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"--{name}: got {text!r}, expected {rule.words}; several with commas between them."
        )
    return found


DEFAULT_METHODS = ("zero_shot", "prompt_tuning")
"""What is run where ``--methods`` is left out, before the kinds of PPT."""

PPT_METHODS = tuple(
    name for name, one in METHODS.items() if one.init == PRETRAINED and one.is_trained
)
