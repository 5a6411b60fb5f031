"""Llama's layers, frozen, with a backward pass of their own: for prompts that are trained.

Where weights get no gradient, most of what autograd does between matrix products is
waste. Here the K * P tokens of a bank and the R * S tokens of text lie in one matrix
[N, H] that goes through norms, projections and feed-forward units in one piece; norms,
rotation and attention take few passes, and the last layer computes only the states that
are read. On the embedded backbone (B 16, T 40, P 20, one thread) a step takes 0.84 of
the time in float32, and 0.47 in bfloat16, where PyTorch's attention is slow backwards; on a GPU
0.58 to 0.72 of it, as half as many kernels are launched.

Attention keeps its weights [R, heads, S, P + S] for the backward pass: computing them
anew took 11% more time in bfloat16. They grow with S²: at S = 512 they are about as many
numbers as all else that a layer of the embedded backbone keeps.

Rotation: Su et al. 2021 (RoPE); norm: Zhang and Sennrich 2019 (RMSNorm); units: Shazeer
2020 (SwiGLU). Tables of the rotation are the model's own, of whatever kind they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ppt.backbones.faster import gate_back, gated, rms_norm, rms_norm_back, rotated

MODEL_TYPES = ("llama", "mistral", "qwen2")
"""Types of the same layers, but for the biases of Qwen 2."""

BIASED = ("q_proj", "k_proj", "v_proj")
"""The only projections that may have a bias."""

DEVICES = ("cpu", "cuda")
"""Where it is known to be faster than transformers' own layers."""


def serves(model: Any) -> bool:
    """Whether `hidden_states` computes this model as it is now: unwrapped, frozen."""
    config = model.config
    if config.model_type not in MODEL_TYPES or config.hidden_act != "silu":
        return False
    if model.device.type not in DEVICES or any(
        weight.requires_grad for weight in model.parameters()
    ):
        return False
    return all(
        type(part) is nn.Linear and (part.bias is None or name in BIASED)  # LoRA's are not
        for layer in model.base_model.layers
        for block in (layer.self_attn, layer.mlp)
        for name, part in block.named_children()
        if name.endswith("_proj")
    )


@dataclass(frozen=True)
class Part:
    """Rows of like length in the one matrix of tokens, and what each token sees.

    `mask` adds to scores of `length` queries: [length, keys] or [rows, 1, 1, length, keys].
    """

    rows: int
    length: int
    mask: Tensor

    def by_head(self, tokens: Tensor, groups: int) -> Tensor:
        """[rows * length, heads, D] → [rows * groups, heads / groups * length, D].

        A group is the heads that share keys and values.
        """
        size = tokens.shape[-1]
        rows = tokens.reshape(self.rows, self.length, groups, -1, size).permute(0, 2, 3, 1, 4)
        return rows.reshape(self.rows * groups, -1, size)

    def by_token(self, heads: Tensor) -> Tensor:
        """The way back, heads side by side: [rows * length, heads * D]."""
        groups, size = len(heads) // self.rows, heads.shape[-1]
        rows = heads.reshape(self.rows, groups, -1, self.length, size).permute(0, 3, 1, 2, 4)
        return rows.reshape(self.rows * self.length, -1)

    def weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention weights [rows * groups, heads / groups * length, keys]."""
        scores = torch.bmm(queries, keys.transpose(1, 2))
        scores.view(self.rows, -1, scores.shape[1] // self.length, *self.mask.shape[-2:]).add_(
            self.mask
        )
        return scores.softmax(-1)


@dataclass(frozen=True)
class Layout:
    """Where tokens lie: those of the prompts first, if they are tokens, then the rows of text.

    `cos` and `sin` [N, 1, D / 2] turn queries and keys of size D; `groups` is the number
    of key and value heads; `before` is P.
    """

    parts: tuple[Part, ...]
    cos: Tensor
    sin: Tensor
    groups: int
    before: int

    def apart(self, tokens: Tensor) -> list[Tensor]:
        """The tokens [N, heads, D] of each part, by head."""
        cuts = torch.split(tokens, [part.rows * part.length for part in self.parts])
        return [part.by_head(one, self.groups) for part, one in zip(self.parts, cuts, strict=True)]

    def together(self, heads: Sequence[Tensor]) -> Tensor:
        """The parts by head, as tokens [N, heads * D]."""
        return torch.cat([part.by_token(one) for part, one in zip(self.parts, heads, strict=True)])

    def after(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Keys or values [R * groups, P + S, D] of texts, those [K * groups, P, D] before them."""
        prompts = len(ours) // self.groups
        each = ours.reshape(prompts, 1, -1).expand(-1, self.parts[-1].rows // prompts, -1)
        return torch.cat([each.reshape(len(theirs), -1, theirs.shape[-1]), theirs], 1)

    def after_back(self, gradient: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the two that `after` put together; the first is as `like`."""
        rows = gradient[:, : self.before].reshape(len(like) // self.groups, -1, *like[0].shape)
        shared = rows.view(len(rows), -1, self.groups, *like[0].shape).sum(1)
        return shared.flatten(0, 1), gradient[:, self.before :]

    def turn(self, tokens: Tensor, back: bool = False) -> Tensor:
        """Rotate [N, heads, D] by position, or back."""
        return rotated(tokens, self.cos, self.sin, back)


def hidden_states(
    model: Any,
    bank: Tensor | Sequence[tuple[Tensor, Tensor]],
    texts: Tensor,
    read: Tensor,
    position_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
) -> Tensor:
    """States [R, M, H], after the last norm, of the tokens `read` [R, M] of each row.

    `bank` [K, P, H] and `texts` [R, S, H] are embeddings; row r has prompt r // (R / K)
    before it. Or `bank` is each layer's keys and values [K, groups, P, D], and no token of
    prompts need be computed. `position_ids` [R, S] count from the prompt's first token; without
    them, texts follow it. `attention_mask` [R, 1, S, P + S] adds to the scores; without it,
    tokens see all that is before them.
    """
    stack, (rows, length) = model.base_model, texts.shape[:2]
    given: Sequence[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(stack.layers)
    if isinstance(bank, Tensor):
        count, before = bank.shape[:2]
        tokens = torch.cat([bank.flatten(0, 1), texts.flatten(0, 1)])
    else:
        count, before, tokens = 0, bank[0][0].shape[2], texts.flatten(0, 1)
        given = [(keys.flatten(0, 1), values.flatten(0, 1)) for keys, values in bank]
    if position_ids is None:
        position_ids = torch.arange(before, before + length, device=texts.device).expand(rows, -1)
    own = torch.arange(before, device=texts.device).expand(count, -1)
    where = torch.cat([own.flatten(), position_ids.flatten()])[None]
    cos, sin = (
        table[0, :, None, : table.shape[-1] // 2].contiguous()
        for table in stack.rotary_emb(texts, where)
    )
    causal = texts.new_full([before + length] * 2, torch.finfo(texts.dtype).min).triu(1)
    mask = causal[before:] if attention_mask is None else attention_mask[:, None]
    ours = [Part(count, before, causal[:before, :before])] if count else []
    parts = (*ours, Part(rows, length, mask))
    layout = Layout(parts, cos, sin, stack.config.num_key_value_heads, before)
    at = count * before + read + torch.arange(rows, device=read.device)[:, None] * length
    for number, (layer, pair) in enumerate(zip(stack.layers, given, strict=True), 1):
        mixed = _Attention.apply(tokens, *pair, layer, layout)  # type: ignore[no-untyped-call]
        if number == len(stack.layers):
            mixed, tokens = mixed[at.flatten()], tokens[at.flatten()]
        tokens = torch.addmm(tokens, mixed, layer.self_attn.o_proj.weight.t())
        units = _Units.apply(tokens, layer)  # type: ignore[no-untyped-call]
        tokens = torch.addmm(tokens, units, layer.mlp.down_proj.weight.t())
    states: Tensor = stack.norm(tokens)
    return states.view(*read.shape, -1)


class _Attention(torch.autograd.Function):
    """Tokens [N, H] → what their heads take from others [N, heads * D].

    Keys and values of prompts [K * groups, P, D] are given, if prompts are no tokens.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        given_keys: Tensor | None,
        given_values: Tensor | None,
        layer: Any,
        layout: Layout,
    ) -> Tensor:
        attention = layer.self_attn
        normed, scale = rms_norm(tokens, layer.input_layernorm)
        query, key, value = (
            projection(normed).view(len(tokens), -1, attention.head_dim)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        queries = layout.apart(layout.turn(query).mul_(attention.scaling))
        keys, values = layout.apart(layout.turn(key)), layout.apart(value)
        keys[-1] = layout.after(keys[0] if given_keys is None else given_keys, keys[-1])
        values[-1] = layout.after(values[0] if given_values is None else given_values, values[-1])
        weights = [
            part.weights(*pair)
            for part, pair in zip(layout.parts, zip(queries, keys, strict=True), strict=True)
        ]
        ctx.layer, ctx.layout = layer, layout
        ctx.save_for_backward(tokens, scale, given_keys, *queries, *keys, *values, *weights)
        return layout.together([torch.bmm(*pair) for pair in zip(weights, values, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tokens, scale, given, *kept = ctx.saved_tensors
        layer, layout, attention = ctx.layer, ctx.layout, ctx.layer.self_attn
        parts = len(layout.parts)
        heads = layout.apart(gradient.reshape(len(tokens), -1, attention.head_dim))
        found = [_attention_back(heads[part], *kept[part::parts]) for part in range(parts)]
        queries, keys, values = (list(one) for one in zip(*found, strict=True))
        shared = []
        for one in (keys, values):
            ours, one[-1] = layout.after_back(one[-1], one[0] if given is None else given)
            shared.append(ours)
            if given is None:
                one[0] = one[0] + ours
        before = (None, None) if given is None else shared
        if not ctx.needs_input_grad[0]:
            return None, *before, None, None
        query, key = (
            layout.turn(part.view(len(tokens), -1, attention.head_dim), back=True).view(
                len(tokens), -1
            )
            for part in (layout.together(queries).mul_(attention.scaling), layout.together(keys))
        )
        normed = torch.mm(query, attention.q_proj.weight)
        normed.addmm_(key, attention.k_proj.weight)
        normed.addmm_(layout.together(values), attention.v_proj.weight)
        return rms_norm_back(normed, tokens, scale, layer.input_layernorm), *before, None, None


def _attention_back(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values."""
    of_weights = torch.bmm(gradient, value.transpose(1, 2))
    scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
    return (
        torch.bmm(scores, key),
        torch.bmm(scores.transpose(1, 2), query),
        torch.bmm(weights.transpose(1, 2), gradient),
    )


class _Units(torch.autograd.Function):
    """Tokens [N, H] → the gated units of the feed-forward block [N, F]."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layer: Any) -> Tensor:
        normed, scale = rms_norm(tokens, layer.post_attention_layernorm)
        gate, up = layer.mlp.gate_proj(normed), layer.mlp.up_proj(normed)
        ctx.layer = layer
        ctx.save_for_backward(tokens, scale, gate, up)
        return gated(gate, up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        tokens, scale, gate, up = ctx.saved_tensors
        layer = ctx.layer
        room = gated(gate, gradient)
        normed = torch.mm(room, layer.mlp.up_proj.weight)
        opened = gate_back(gradient, gate, up, room)
        normed.addmm_(opened, layer.mlp.gate_proj.weight)
        return rms_norm_back(normed, tokens, scale, layer.post_attention_layernorm), None
