"""Optimizers and schedules as tables. The rate is a pure function of the step.

So no scheduler has a state, and a resumed run cannot fall out of step with it.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ppt.training.settings import StepSettings

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}
"""``--lr_scheduler_type`` → factor for the share of the steps done after the warm-up."""


def _adamw(parameters: Iterable[nn.Parameter], settings: StepSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate or 0.0, weight_decay=settings.weight_decay or 0.0
    )


def _adafactor(parameters: Iterable[nn.Parameter], settings: StepSettings) -> torch.optim.Optimizer:
    """Shazeer and Stern 2018 as in Lester et al. 2021: neither relative step nor scaling."""
    from transformers.optimization import Adafactor

    made: Any = Adafactor(
        parameters,
        lr=settings.learning_rate,
        decay_rate=-0.8,
        weight_decay=settings.weight_decay,
        scale_parameter=False,
        relative_step=False,
        warmup_init=False,
    )
    return made  # type: ignore[no-any-return]


MAKERS = {"adamw": _adamw, "adafactor": _adafactor}
"""``--optimizer`` → what makes it for parameters and resolved settings."""


def rate(settings: StepSettings, step: int) -> float:
    """The learning rate of the step after `step` steps."""
    assert settings.learning_rate is not None, "settings must be resolved"
    warm = settings.warmup_steps
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    done = (step - warm) / max(settings.max_steps - warm, 1)
    return settings.learning_rate * SCHEDULES[settings.lr_scheduler_type](done)
