"""What is trained of a backbone: a bank of prompts, an adapter's weights, all weights, nothing.

To the loop they are one thing: `lanes`, each a run of its own, with parameters, scores,
and a value to come back to. Only prompts have several trained lanes: their backbone is the
same, so K of them score K * B rows in one pass. Weights are in the backbone itself; it is as
it was before when the `with` block ends.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppt.backbones.base import Backbone
from ppt.base.arrays import Indices
from ppt.base.extras import need
from ppt.base.files import appearing_folder
from ppt.errors import InputError
from ppt.prompts.deep import DeepBank, DeepShape
from ppt.prompts.files import TASK_TYPES, read_adapter, save_card, save_prompt
from ppt.prompts.foreign import told
from ppt.prompts.soft import SoftPrompt
from ppt.prompts.tensors import Batch

LORA_RANK, LORA_ALPHA = 8, 16
"""Rank 8 is Hu et al. 2022's (section 7.2); updates are scaled by alpha / rank."""

PLAIN = {
    "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights",
    "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size",
    "rank_pattern", "revision", "runtime_config", "target_modules", "task_type",
    "velora_config",
}  # fmt: skip
"""Fields of PEFT's config that only tell how an adapter was trained, or that its weights show.

By any other, of PEFT's releases to come too, updates may be scaled or used otherwise."""

ADDED = ("true", "false", "gaussian", "orthogonal", "eva", "mica")
"""PEFT's `init_lora_weights` where updates begin as nothing; others (PiSSA, OLoRA, CorDA, LoftQ,
LoRA-GA) are taken out of the model's own weights."""


class Trainable:
    """`lanes` things that are trained, or only scored, side by side; of this class, nothing is.

    `context` is how many tokens stand before each text: fixed embeddings [P, H], if any.
    """

    by_rows = False
    """Whether what stands before a text of a training step depends on its row."""
    step = 0
    """Where the loop stands, which tells it before each step."""

    def __init__(self, backbone: Backbone, lanes: int = 1, before: Tensor | None = None) -> None:
        self.backbone, self.lanes = backbone, lanes
        self._before = None if before is None else before.to(backbone.device)
        self.context = 0 if before is None else before.shape[-2]

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """What is trained of a lane."""
        del lane
        return []

    def bank(self, which: Sequence[int], rows: Indices | None = None) -> Tensor | DeepBank | None:
        """What stands before the texts of the lanes `which`: [K, P, H], or nothing.

        In a step of training, `rows` [K, B] are the numbers of its rows among each lane's own.
        """
        del rows
        return None if self._before is None else self._before.expand(len(which), -1, -1)

    def score(
        self,
        which: Sequence[int],
        batch: Batch,
        loss: str = "verbalizer",
        rows: Indices | None = None,
    ) -> Tensor:
        """Scores [K * B, L] of a batch whose K equal parts belong to the lanes `which`.

        They are what the `loss` (``--loss``) is of; `rows` are as in `bank`.
        """
        full = loss == "vocabulary"
        return self.backbone.score(self.bank(which, rows), batch, full_vocabulary=full)

    def value(self, lane: int) -> list[Tensor]:
        """A lane as it is now: what `restore` takes."""
        return [parameter.detach().clone() for parameter in self.parameters(lane)]

    @torch.no_grad()
    def restore(self, lane: int, value: Sequence[Tensor]) -> None:
        """Make a lane what it was when `value` was taken."""
        for parameter, kept in zip(self.parameters(lane), value, strict=True):
            parameter.copy_(kept)

    def digest(self, lane: int) -> str:
        """What tells a lane as it is now from others that begin in the same way."""
        fixed = [] if self._before is None else [self._before]
        found = hashlib.sha256()
        for one in [*fixed, *self.parameters(lane)]:
            found.update(one.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes())
        return found.hexdigest()

    def state(self) -> dict[str, Tensor]:
        """What a run goes on from, by name; for one lane."""
        return {f"trained.{i}": one.detach() for i, one in enumerate(self.parameters(0))}

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave."""
        for name, own in self.state().items():  # which shares memory with what is trained
            own.copy_(tensors[name])

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write a lane as a PEFT adapter of the model `base`; False where there is none to write.

        What is not trained is none, and all weights of a model are no adapter.
        """
        del lane, folder, base, card
        return False


class PromptBank(Trainable):
    """K soft prompts, which begin as `prompts`: a `SoftPrompt` or values [P, H] each."""

    trains = "prompt"
    """What its adapters are (`ppt.prompts.files.TRAINED`)."""
    deep: DeepShape | None = None

    def __init__(self, backbone: Backbone, prompts: Sequence[SoftPrompt | Tensor]) -> None:
        made = [one if isinstance(one, SoftPrompt) else SoftPrompt(one) for one in prompts]
        super().__init__(backbone, len(made))
        self.prompts = [prompt.to(backbone.device) for prompt in made]
        self.context = len(made[0].values)

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """The lane's prompt, and its residual network."""
        return list(self.prompts[lane].parameters())

    def bank(self, which: Sequence[int], rows: Indices | None = None) -> Tensor | DeepBank:
        """The prompts of the lanes `which`, [K, P, H]; each gets the gradient of its own part."""
        del rows
        return torch.stack([self.prompts[lane]() for lane in which])

    def value(self, lane: int) -> list[Tensor]:
        """The lane's prompt [P, H] float32 on the CPU, its residual folded in."""
        return [self.prompts[lane].folded()]

    def restore(self, lane: int, value: Sequence[Tensor]) -> None:
        """Make the lane's prompt that of `value`, without a residual."""
        self.prompts[lane] = SoftPrompt(value[0]).to(self.backbone.device)

    def state(self) -> dict[str, Tensor]:
        """The values and residual of the one prompt."""
        return {f"prompt.{name}": one for name, one in self.prompts[0].state_dict().items()}

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write the lane's prompt, with `card` beside it."""
        prompt = self.prompts[lane].folded()
        kind, deep = self.backbone.kind, self.deep
        save_prompt(folder, prompt, kind=kind, model=base, card=card, deep=deep)
        return True


class Weights(Trainable):
    """Weights of the backbone itself, which has them once: one lane."""

    def __init__(
        self, backbone: Backbone, weights: Sequence[nn.Parameter], adapted: Any = None
    ) -> None:
        super().__init__(backbone)
        self._weights, self._adapted = list(weights), adapted

    def parameters(self, lane: int) -> list[nn.Parameter]:
        """The weights."""
        assert lane == 0, lane
        return self._weights

    def save(self, lane: int, folder: Path, base: str, card: Mapping[str, Any]) -> bool:
        """Write the LoRA adapter, if the weights are one's."""
        if self._adapted is None:
            return super().save(lane, folder, base, card)
        config = self._adapted.peft_config["default"]
        config.base_model_name_or_path = base
        config.target_modules = sorted(config.target_modules)  # a set has an order of its own
        with appearing_folder(folder) as scratch:
            self._adapted.save_pretrained(str(scratch), save_embedding_layers=False)
            (scratch / "README.md").unlink(missing_ok=True)  # PEFT's names a cache of this machine
            save_card(scratch, {"model": base, "kind": self.backbone.kind, **card})
        return True

    def merged(self) -> Any:
        """The model itself, low-rank updates added to its weights, which thereby keep them."""
        return self.backbone.model if self._adapted is None else self._adapted.merge_and_unload()


@contextmanager
def lora(backbone: Backbone, seed: int, start: Path | None = None) -> Iterator[Weights]:
    """Low-rank updates, in float32, of every linear layer but the LM head.

    They begin as nothing, or as the adapter in the folder `start`. Raises InputError where that
    is not for this backbone.
    """
    need("peft", "method lora")
    backbone.require_plain()
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
        backbone.adapted = True
        adapted.eval()
        if start is not None:
            _take_up(adapted, start)
        weights = [weight for weight in adapted.parameters() if weight.requires_grad]
        yield Weights(backbone, weights, adapted=adapted)
    finally:
        adapted.unload()
        backbone.adapted = False


def _take_up(adapted: Any, start: Path) -> None:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    config, found = read_adapter(start)
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    shapes = [{name: tuple(one.shape) for name, one in some.items()} for some in (own, found)]
    ours = adapted.peft_config["default"].to_dict()
    names = (config.keys() | {"r", "lora_alpha"}) - PLAIN
    odd = [one for one in sorted(names) if (config.get(one) or None) != (ours.get(one) or None)]
    if str(config.get("init_lora_weights", True)).lower() not in ADDED:
        odd.append("init_lora_weights")
    if shapes[0] != shapes[1] or odd:
        named = "".join(f", {name} {told(config.get(name))}" for name in odd)
        raise InputError(
            f"the LoRA adapter in {start} does not fit the backbone{named}: expected rank"
            f" {LORA_RANK} and alpha {LORA_ALPHA} in all linear layers of its own, and plain LoRA:"
            " give the backbone that it was trained for, or train it anew (python -m ppt.pretrain"
            " --trains=lora)."
        )
    set_peft_model_state_dict(adapted, found)


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
