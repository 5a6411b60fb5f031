"""What all banks of a grid need of the world, and what one leaves for the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.loading import load_backbone
from ppt.fewshot.loans import Borrowed
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.views import TaskView
from ppt.methods import Method
from ppt.prompts.early import Early
from ppt.prompts.files import Prompt
from ppt.tasks.loading import TaskData


@dataclass
class Workbench:
    """`begins` are the prompts, or the sources, that methods begin with, by task and method."""

    config: FewshotConfig
    backbone: Backbone
    tasks: Mapping[str, TaskData]
    begins: Mapping[tuple[str, str], Prompt | Borrowed]
    folder: Path | None = None
    """The results folder, if there is one."""
    kept: dict[str, tuple[Prompt, ...]] = field(default_factory=dict)
    """Tuned prompts by trial, where no folder keeps them."""
    targets: dict[tuple[str, int, int, int], Early] = field(default_factory=dict)
    """What targets are known by, by task, shots, seed and length: sources may be of several."""
    mixed: dict[tuple[object, ...], Tensor] = field(default_factory=dict)
    """Prompts [P, H] of mixtures, by what they are trained on."""
    tested: dict[tuple[object, ...], Tensor] = field(default_factory=dict)
    """Test scores [N, L] of what was left as it began, by how it is shown and what it is."""
    _views: dict[tuple[object, ...], TaskView] = field(default_factory=dict)

    def view(self, data: TaskData, method: Method) -> TaskView:
        """A task, which need not be one of the grid, as the method shows it."""
        key = data.task.name, method.style, method.unified, method.named
        if key not in self._views:
            config = self.config
            limits = config.max_length, config.max_test_examples, config.answers
            self._views[key] = TaskView.of(data, method, self.backbone, *limits)
        return self._views[key]


def asked_backbone(config: FewshotConfig) -> Backbone:
    """The backbone that the flags name.

    On a CPU in bfloat16 plain attention takes a third less time a step.
    """
    on_cpu = config.device == "cpu" or (config.device is None and not torch.cuda.is_available())
    return load_backbone(
        config.model,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        attention="eager" if on_cpu and config.dtype == "bfloat16" else None,
        target=config.target,
    )
