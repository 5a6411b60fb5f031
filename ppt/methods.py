"""The few-shot methods as data: what is trained, from where, shown how, and how fast.

There is one loop (`ppt.fewshot.lanes`); a method is a row of this table. A new one is a new row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ppt.errors import ConfigError, unknown_name

PRETRAINED, RANDOM, TEXT = "pretrained", "random", "text"
EXAMPLES, SOURCES = "examples", "sources"
"""Starts that this table knows beside those of ``python -m ppt.pretrain --init``: the
prompt that ``--prompt`` gives; uniform, with the size of the backbone's embeddings; the
words of ``--init_text``; the training examples, for keys and values alone; and what other
tasks have left (`Method.transfer`)."""

ONE, BEST, AVERAGE = "one", "best", "average"
MIXTURE, VECTORS, TASKS = "mixture", "vectors", "tasks"
"""Ways from other tasks to a start (`Method.transfer`): the prompt that is named; each of the
nearest, of which validation takes one; their weighted mean; a prompt trained on their data and
the target's; what their training has added up to; one trained on all the grid's tasks."""

NEAREST = 3
"""Sources that are retrieved: SPoT's weighted average was best with 3 (Vu et al. 2022)."""

ALL = "all"
"""``spot:all`` is a run from each source."""

PROMPT_RATES = {"adamw": 5e-3, "adafactor": 0.3}
"""AdamW as measured on the embedded backbone, Adafactor as in Lester et al. 2021 for T5."""

PRETRAINED_RATES = {"adamw": 2e-3, "adafactor": 0.1}
"""A start that is good already is left more slowly: 2e-3 was measured, 0.1 keeps the ratio."""

ACCURACY, CLEAR = "accuracy", "one_standard_error"
"""What a step is chosen by (``--metric_for_best_model``). A start that is good already is left only
where validation is clear about it (`ppt.training.evaluation.is_clear`)."""

KV_RATES = {"adamw": 2e-3, "adafactor": 0.1}
KV_PRETRAINED_RATES = {"adamw": 1e-3, "adafactor": 0.05}
"""AdamW's are among those that the authors of Context Tuning tried, 3e-4 to 5e-3."""

TOKEN_DROPOUT = 0.1
"""One of 0, 0.05 and 0.1, among which the authors of Context Tuning chose (Lu et al. 2025)."""

LORA_RATES = {"adamw": 1e-3, "adafactor": 1e-3}
FULL_RATES = {"adamw": 2e-5, "adafactor": 1e-3}
"""Adafactor as the T5 papers fine-tune (Raffel et al. 2020)."""

MOST = 1000
"""Sources that a method may take."""

GRID = (0.25, 0.5, 1.0, 2.0, 4.0)
"""``--grid method`` tries each method's own rate times these."""

PROMPTS = ("prompt", "kv")
"""What is trained of which many runs share a batch: the backbone is the same."""

ENSEMBLE_SIZE = 5
"""Prompts of an ensemble, as in Lester et al. 2021, section 6."""


@dataclass(frozen=True)
class Method:
    """A row of the table.

    `trains` is a row of `ppt.fewshot.starts.STARTS`. `style` and `unified` choose the pattern
    (`Task.pattern`), `init` how a prompt begins, `rates` the learning rate by optimizer.
    `demonstrations` are training examples before the text; `calibrated` scores are divided
    by those of a text without content. Of several `members`, trained on the same rows from
    other starts, `combine` makes one. `transfer` is how other tasks lead to the start: from the
    `nearest` of ``--sources``, or the one that `source` names. `named` texts begin with the
    task's name. `token_dropout` is the share of a deep prompt's positions that a step of
    training leaves unread. The `metric` chooses the best step.
    """

    summary: str
    trains: str = "prompt"
    style: str = "soft"
    unified: bool = False
    init: str | None = "vocabulary"
    rates: Mapping[str, float] = field(default_factory=lambda: PROMPT_RATES)
    demonstrations: bool = False
    calibrated: bool = False
    members: int = 1
    combine: str | None = None
    transfer: str | None = None
    nearest: int = 0
    source: str | None = None
    named: bool = False
    token_dropout: float = 0.0
    metric: str = ACCURACY

    def __post_init__(self) -> None:
        assert self.init == PRETRAINED or (self.trains in PROMPTS) == (self.init is not None), self
        assert self.trains == "kv" or not (self.token_dropout or self.init == EXAMPLES), self
        assert (self.members > 1) == (self.combine is not None), self

    @property
    def is_trained(self) -> bool:
        """Whether anything is: LoRA may be scored as it was pre-trained."""
        return bool(self.rates)

    def taking(self, argument: str) -> "Method":
        """The same with what follows the colon of its name: a source, or a number of them."""
        if self.transfer == ONE and argument:
            return replace(self, source=argument)
        is_count = argument.isdecimal() and len(argument) <= len(str(MOST))
        if not (self.nearest and is_count and 1 <= int(argument) <= MOST):
            expected = "spot:<a source>" if self.transfer == ONE else f"a number from 1 to {MOST}"
            raise ConfigError(f"got {argument!r:.60} after a method's colon, expected {expected}.")
        return replace(self, **_retrieving(str(self.transfer), int(argument)))

    @property
    def alone(self) -> bool:
        """Whether its runs cannot share a batch: their weights or their contexts differ."""
        own_weights = self.is_trained and self.trains not in (*PROMPTS, "nothing")
        return own_weights or self.demonstrations or self.init == EXAMPLES

    def training(self) -> tuple[object, ...]:
        """What decides the training: methods of equal value share it."""
        aside = ("summary", "combine")
        return tuple(str(value) for name, value in vars(self).items() if name not in aside)


_untrained = partial(Method, trains="nothing", style="hard", init=None, rates={})

_begun = partial(Method, init=PRETRAINED, metric=CLEAR, rates=PRETRAINED_RATES)
"""A method that goes on from what was pre-trained."""


_transferred = partial(Method, init=SOURCES, rates=PRETRAINED_RATES)
"""A method that begins with what other tasks have left."""


def _retrieving(transfer: str, nearest: int) -> dict[str, Any]:
    """What a method has by the number of its sources: each is a member where the best counts."""
    members = nearest if transfer == BEST else 1
    return {"nearest": nearest, "members": members, "combine": BEST if members > 1 else None}


# fmt: off
METHODS: dict[str, Method] = {
    "zero_shot": _untrained("hard words only; sees no example"),
    "zero_shot_calibrated": _untrained(
        "the same, calibrated on texts without content (Zhao et al. 2021)", calibrated=True),
    "in_context": _untrained(
        "as many training examples as fit stand before the text", demonstrations=True),
    "in_context_calibrated": _untrained(
        "the same, calibrated", demonstrations=True, calibrated=True),
    "prompt_tuning": Method("a soft prompt, from sampled vocabulary (Lester et al. 2021)"),
    "prompt_tuning_random": Method("from uniform random numbers", init=RANDOM),
    "prompt_tuning_labels": Method("from the label words, then vocabulary", init="labels"),
    "prompt_tuning_text": Method("from the words of --init_text", init=TEXT),
    "hybrid_prompt_tuning": Method("a soft prompt beside hard words", style="hybrid"),
    "pretrained": _untrained(
        "a pre-trained soft prompt as it is", style="soft", init=PRETRAINED),
    "hybrid_pretrained": _untrained(
        "the same beside hard words", style="hybrid", init=PRETRAINED),
    "unified_pretrained": _untrained(
        "the one prompt for all tasks as it is", style="soft", init=PRETRAINED, unified=True),
    "lora_pretrained": Method(
        "pre-trained low-rank adapters as they are",
        trains="lora", style="hard", init=PRETRAINED, rates={}),
    "ppt": _begun("a soft prompt that was pre-trained on the task's format (Gu et al. 2022)"),
    "hybrid_ppt": _begun("the same beside hard words, pre-trained with them", style="hybrid"),
    "unified_ppt": _begun(
        "the task as multiple choice, from the one prompt for all tasks", unified=True),
    "kv_tuning": Method(
        "keys and values of every layer, from those of sampled vocabulary (Li and Liang 2021)",
        trains="kv", rates=KV_RATES),
    "kv_tuning_labels": Method(
        "from those of the label words, then vocabulary",
        trains="kv", init="labels", rates=KV_RATES),
    "hybrid_kv_tuning": Method(
        "keys and values beside hard words", trains="kv", style="hybrid", rates=KV_RATES),
    "context_tuning": Method(
        "from those of the training examples, beside hard words; none reads its own, a share is"
        " left unread in each step (Lu et al. 2025)",
        trains="kv", style="hybrid", init=EXAMPLES, rates=KV_RATES, token_dropout=TOKEN_DROPOUT),
    "kv_ppt": _begun(
        "keys and values that were pre-trained on the task's format",
        trains="kv", rates=KV_PRETRAINED_RATES),
    "hybrid_kv_ppt": _begun(
        "the same beside hard words, pre-trained with them",
        trains="kv", style="hybrid", rates=KV_PRETRAINED_RATES),
    "ensemble_vote": Method(
        f"{ENSEMBLE_SIZE} prompts from other starts, majority vote (Lester et al. 2021)",
        members=ENSEMBLE_SIZE, combine="vote"),
    "ensemble_mean": Method(
        f"the same {ENSEMBLE_SIZE} prompts, mean of their probabilities",
        members=ENSEMBLE_SIZE, combine="mean"),
    "spot": _transferred(
        "from one prompt of --sources: spot:<name>, or spot:all for each (SPoT, Vu et al. 2022)",
        transfer=ONE),
    "spot_best": _transferred(
        f"from each of the {NEAREST} sources nearest to the task; validation takes one;"
        " spot_best:5 looks at 5", transfer=BEST, **_retrieving(BEST, NEAREST)),
    "spot_average": _transferred(
        f"from the mean of the {NEAREST} nearest, weighted by similarity",
        transfer=AVERAGE, nearest=NEAREST),
    "spot_mixture": _transferred(
        f"from a prompt trained on the data of the {NEAREST} nearest and the task's own",
        transfer=MIXTURE, nearest=NEAREST),
    "spot_vectors": _transferred(
        f"from vocabulary plus what training added to the {NEAREST} nearest (arXiv 2408.01119)",
        transfer=VECTORS, nearest=NEAREST),
    "multitask_prompt": _transferred(
        "from a prompt trained on all --tasks together", transfer=TASKS),
    "lora": Method(
        "low-rank adapters of all linear layers through PEFT (Hu et al. 2022), hard words",
        trains="lora", style="hard", init=None, rates=LORA_RATES),
    "lora_ppt": _begun(
        "the same from adapters that were pre-trained on the task's format",
        trains="lora", style="hard", rates=LORA_RATES),
    "fine_tuning": Method(
        "every weight, in float32, hard words",
        trains="everything", style="hard", init=None, rates=FULL_RATES),
    "multitask_tuning": Method(
        "every weight, first on all --tasks together; the task's name before each text",
        trains="everything", style="hard", init=None, rates=FULL_RATES, transfer=TASKS, named=True),
}
# fmt: on
"""``--methods`` → method."""


def find_method(name: str) -> Method:
    """The method `name`, as in ``ppt``, ``spot_best:5`` or ``spot:rte``.

    Raises UnknownNameError with the nearest one, ConfigError for what follows a colon.
    """
    if name in METHODS:
        return METHODS[name]
    known, colon, argument = name.partition(":")
    if not colon or known not in METHODS or METHODS[known].transfer in (None, TASKS):
        raise unknown_name("method", name, METHODS)
    return METHODS[known].taking(argument)


def family(name: str) -> str:
    """A method's row in the table: its name before the colon."""
    return name.partition(":")[0]


def methods_text() -> str:
    """The table for ``--help``: a line a method, with its AdamW rate."""
    lines = []
    for name, method in METHODS.items():
        rate = f"{method.rates['adamw']:g}" if method.is_trained else ""
        lines.append(f"  {name:<22}{rate:>6}  {method.summary}")
    return "\n".join(["methods (with the learning rate for AdamW):", *lines])
