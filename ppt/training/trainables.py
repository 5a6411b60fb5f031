"""What a few-shot method trains: a bank of prompts, an adapter's weights, all weights, nothing.

To the loop they are one thing: `lanes`, each a run of its own, with parameters, scores,
and a snapshot to come back to. Only prompts have several lanes: their backbone is the same,
so K of them score K * B rows in one pass. Weights are in the backbone itself; it is as it
was before when the `with` block ends.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppt.backbones.base import Backbone
from ppt.base.extras import need
from ppt.prompts.files import TASK_TYPES, save_prompt
from ppt.prompts.tensors import Batch

LORA_RANK, LORA_ALPHA = 8, 16
"""Rank 8 is Hu et al. 2022's (section 7.2); updates are scaled by alpha / rank."""


class Tuned(ABC):
    """`lanes` things that are trained, or only scored, side by side.

    `context` is how many tokens stand before each text. Lanes that are all the same
    (`alike`) need be scored only once.
    """

    lanes = 1
    context = 0
    alike = False

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    @abstractmethod
    def parameters(self, lane: int) -> list[nn.Parameter]:
        """What is trained of a lane."""

    @abstractmethod
    def score(self, which: Sequence[int], batch: Batch, *, full_vocabulary: bool) -> Tensor:
        """Scores [K * B, L] of a batch whose K equal parts belong to the lanes `which`."""

    def snapshot(self, lane: int) -> list[Tensor]:
        """A lane as it is now."""
        return [parameter.detach().clone() for parameter in self.parameters(lane)]

    @torch.no_grad()
    def restore(self, lane: int, snapshot: Sequence[Tensor]) -> None:
        """Make a lane what it was at `snapshot`."""
        for parameter, value in zip(self.parameters(lane), snapshot, strict=True):
            parameter.copy_(value)

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write a lane as a PEFT adapter of the model `base`; False where there is none to write.

        What is not trained is none, and all weights of a model are no adapter.
        """
        del lane, folder, base, card
        return False


class PromptBank(Tuned):
    """K prompts [P, H], which begin as `prompts`."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Tensor]) -> None:
        super().__init__(backbone)
        self.prompts = [
            nn.Parameter(prompt.detach().float().clone().to(backbone.device)) for prompt in prompts
        ]
        self.lanes, self.context = len(prompts), len(prompts[0])

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """The lane's prompt."""
        return [self.prompts[lane]]

    def score(self, which: Sequence[int], batch: Batch, *, full_vocabulary: bool) -> Tensor:
        """Scores [K * B, L]; the gradient of each part goes to its own prompt alone."""
        bank = torch.stack([self.prompts[lane] for lane in which])
        return self.backbone.score(bank, batch, full_vocabulary=full_vocabulary)

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write the lane's prompt, with `card` beside it."""
        prompt = self.prompts[lane]
        save_prompt(folder, prompt, kind=self.backbone.kind, model=base, card=card)
        return True


class Context(PromptBank):
    """Fixed embeddings [P, H] before every text: nothing is trained of them."""

    def __init__(self, backbone: Backbone, embeddings: Tensor) -> None:
        super().__init__(backbone, [embeddings])

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """None."""
        del lane
        return []

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write nothing."""
        return Tuned.save(self, lane, folder, base, card)


class Weights(Tuned):
    """Weights of the backbone itself, or none of them: then any number of lanes, all alike."""

    def __init__(
        self, backbone: Backbone, weights: Sequence[nn.Parameter] = (), lanes: int = 1,
        adapted: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(backbone)
        assert lanes == 1 or not weights, "a backbone has its weights once"
        self.weights, self.lanes, self.alike = list(weights), lanes, not weights
        self._adapted = adapted

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """The weights."""
        del lane
        return self.weights

    def score(self, which: Sequence[int], batch: Batch, *, full_vocabulary: bool) -> Tensor:
        """Scores [K * B, L] without a prompt."""
        del which
        return self.backbone.score(None, batch, full_vocabulary=full_vocabulary)

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write the LoRA adapter, if the weights are one's."""
        if self._adapted is None:
            return super().save(lane, folder, base, card)
        self._adapted.peft_config["default"].base_model_name_or_path = base
        self._adapted.save_pretrained(str(folder), save_embedding_layers=False)
        return True


@contextmanager
def lora(backbone: Backbone, seed: int) -> Iterator[Weights]:
    """Low-rank updates, in float32, of every linear layer but the LM head."""
    need("peft", "method lora")
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type=TASK_TYPES[backbone.kind],
        r=LORA_RANK,
        lora_alpha=LORA_ALPHA,
        target_modules="all-linear",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's use of transformers' older names
        torch.manual_seed(seed)
        adapted = get_peft_model(backbone.model, config)
    try:
        adapted.eval()
        weights = [weight for weight in adapted.parameters() if weight.requires_grad]
        yield Weights(backbone, weights, adapted=adapted)
    finally:
        adapted.unload()


@contextmanager
def everything(backbone: Backbone) -> Iterator[Weights]:
    """All weights, in float32: in bfloat16 most updates would be rounded away."""
    before = {weight: weight.data for weight in backbone.model.parameters()}
    try:
        for weight, data in before.items():
            weight.data = data.to(torch.float32, copy=True)
            weight.requires_grad_(True)
        yield Weights(backbone, list(before))
    finally:
        for weight, data in before.items():
            weight.requires_grad_(False)
            weight.data, weight.grad = data, None
