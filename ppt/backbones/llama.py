"""Llama's layers, frozen, with a backward pass of their own: for prompts trained on CPUs.

Where weights get no gradient, most of what autograd does between matrix products is
waste. Here the K * P tokens of a bank and the R * S tokens of text lie in one matrix
[N, H] that goes through norms, projections and feed-forward units in one piece; norms,
rotation and attention take few passes, and the last layer computes only the states that
are read. On the embedded backbone (B 16, T 40, P 20, one thread) a step takes 0.84 of
the time in float32, and 0.47 in bfloat16, where PyTorch's attention is slow backwards.

Attention keeps its weights [R, heads, S, P + S] for the backward pass: computing them
anew took 11% more time in bfloat16. They grow with S²: at S = 512 they are about as many
numbers as all else that a layer of the embedded backbone keeps.

Rotation: Su et al. 2021 (RoPE); norm: Zhang and Sennrich 2019 (RMSNorm); units: Shazeer
2020 (SwiGLU). Tables of the rotation are the model's own, of whatever kind they are.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

MODEL_TYPES = ("llama", "mistral", "qwen2")
"""Types of the same layers, but for the biases of Qwen 2."""

BIASED = ("q_proj", "k_proj", "v_proj")
"""The only projections that may have a bias."""


def serves(model: Any) -> bool:
    """Whether `hidden_states` computes this model as it is now: unwrapped, frozen, on a CPU."""
    config = model.config
    if config.model_type not in MODEL_TYPES or config.hidden_act != "silu":
        return False
    if model.device.type != "cpu" or any(weight.requires_grad for weight in model.parameters()):
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
    """Where tokens lie: those of the prompts first, then those of the rows of text.

    `cos` and `sin` [N, 1, D / 2] turn queries and keys of size D; `groups` is the number
    of key and value heads.
    """

    prompts: Part
    texts: Part
    cos: Tensor
    sin: Tensor
    groups: int

    @property
    def parts(self) -> tuple[Part, Part]:
        """Prompts and texts."""
        return self.prompts, self.texts

    def apart(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens [N, heads, D] of prompts, and of texts, by head."""
        first = self.prompts.rows * self.prompts.length
        return (
            self.prompts.by_head(tokens[:first], self.groups),
            self.texts.by_head(tokens[first:], self.groups),
        )

    def together(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Prompts and texts by head, as tokens [N, heads * D]."""
        return torch.cat([self.prompts.by_token(ours), self.texts.by_token(theirs)])

    def before(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Keys or values of the prompts before those of their rows: [R * groups, P + S, D]."""
        bank = ours.reshape(self.prompts.rows, 1, -1)
        each = bank.expand(-1, self.texts.rows // self.prompts.rows, -1)
        return torch.cat([each.reshape(len(theirs), -1, theirs.shape[-1]), theirs], 1)

    def before_back(self, ours: Tensor, all_of_them: Tensor) -> Tensor:
        """Gradients as tokens, of what `before` put together and of the prompts' own use."""
        length = self.prompts.length
        rows = all_of_them[:, :length].reshape(self.prompts.rows, -1, *ours.shape[-2:])
        shared = rows.view(self.prompts.rows, -1, self.groups, *ours.shape[-2:]).sum(1)
        return self.together(ours + shared.flatten(0, 1), all_of_them[:, length:])

    def turn(self, tokens: Tensor, sign: int = 1) -> Tensor:
        """Rotate [N, heads, D] by position; back, with sign -1."""
        half = tokens.shape[-1] // 2
        left, right, turned = tokens[..., :half], tokens[..., half:], torch.empty_like(tokens)
        torch.mul(left, self.cos, out=turned[..., :half]).addcmul_(right, self.sin, value=-sign)
        torch.mul(right, self.cos, out=turned[..., half:]).addcmul_(left, self.sin, value=sign)
        return turned


def hidden_states(
    model: Any,
    bank: Tensor,
    texts: Tensor,
    read: Tensor,
    position_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
) -> Tensor:
    """States [R, M, H], after the last norm, of the tokens `read` [R, M] of each row.

    `bank` [K, P, H] and `texts` [R, S, H] are embeddings; row r has prompt r // (R / K)
    before it. `position_ids` [R, S] count from the prompt's first token; without them,
    texts follow it. `attention_mask` [R, 1, S, P + S] adds to the scores; without it,
    tokens see all that is before them.
    """
    stack, rows = model.base_model, texts.shape[:2]
    layout = _layout(stack, bank, texts, position_ids, attention_mask)
    at = bank[..., 0].numel() + read + torch.arange(rows[0])[:, None] * rows[1]
    tokens = torch.cat([bank.flatten(0, 1), texts.flatten(0, 1)])
    for number, layer in enumerate(stack.layers, 1):
        mixed = _Attention.apply(tokens, layer, layout)  # type: ignore[no-untyped-call]
        if number == len(stack.layers):
            mixed, tokens = mixed[at.flatten()], tokens[at.flatten()]
        tokens = torch.addmm(tokens, mixed, layer.self_attn.o_proj.weight.t())
        units = _Units.apply(tokens, layer)  # type: ignore[no-untyped-call]
        tokens = torch.addmm(tokens, units, layer.mlp.down_proj.weight.t())
    states: Tensor = stack.norm(tokens)
    return states.view(*read.shape, -1)


def _layout(
    stack: Any, bank: Tensor, texts: Tensor, positions: Tensor | None, mask: Tensor | None
) -> Layout:
    count, before = bank.shape[:2]
    rows, length = texts.shape[:2]
    if positions is None:
        positions = torch.arange(before, before + length).expand(rows, -1)
    own = torch.arange(before).expand(count, -1)
    where = torch.cat([own.flatten(), positions.flatten()])[None]
    cos, sin = (
        table[0, :, None, : table.shape[-1] // 2].contiguous()
        for table in stack.rotary_emb(texts, where)
    )
    causal = texts.new_full([before + length] * 2, torch.finfo(texts.dtype).min).triu(1)
    return Layout(
        Part(count, before, causal[:before, :before]),
        Part(rows, length, causal[before:] if mask is None else mask[:, None]),
        cos,
        sin,
        stack.config.num_key_value_heads,
    )


class _Attention(torch.autograd.Function):
    """Tokens [N, H] → what their heads take from others [N, heads * D]."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layer: Any, layout: Layout) -> Tensor:
        attention = layer.self_attn
        normed, scale = _norm(tokens, layer.input_layernorm)
        query, key, value = (
            projection(normed).view(len(tokens), -1, attention.head_dim)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        queries = layout.apart(layout.turn(query).mul_(attention.scaling))
        key_parts, value_parts = layout.apart(layout.turn(key)), layout.apart(value)
        keys = key_parts[0], layout.before(*key_parts)
        values = value_parts[0], layout.before(*value_parts)
        weights = [
            part.weights(*pair)
            for part, pair in zip(layout.parts, zip(queries, keys, strict=True), strict=True)
        ]
        ctx.layer, ctx.layout = layer, layout
        ctx.save_for_backward(tokens, scale, *queries, *keys, *values, *weights)
        mixed = (torch.bmm(*pair) for pair in zip(weights, values, strict=True))
        return layout.together(*mixed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        tokens, scale, *kept = ctx.saved_tensors
        layer, layout, attention = ctx.layer, ctx.layout, ctx.layer.self_attn
        heads = layout.apart(gradient.reshape(len(tokens), -1, attention.head_dim))
        ours, theirs = (
            _attention_back(heads[part], *kept[part::2]) for part in range(len(layout.parts))
        )
        (query, key, value), (queries, keys, values) = ours, theirs
        turned = (
            layout.together(query, queries).mul_(attention.scaling),
            layout.before_back(key, keys),
        )
        query, key = (
            layout.turn(part.view(len(tokens), -1, attention.head_dim), -1).view(len(tokens), -1)
            for part in turned
        )
        normed = torch.mm(query, attention.q_proj.weight)
        normed.addmm_(key, attention.k_proj.weight)
        normed.addmm_(layout.before_back(value, values), attention.v_proj.weight)
        return _norm_back(normed, tokens, scale, layer.input_layernorm), None, None


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
        normed, scale = _norm(tokens, layer.post_attention_layernorm)
        gate, up = layer.mlp.gate_proj(normed), layer.mlp.up_proj(normed)
        ctx.layer = layer
        ctx.save_for_backward(tokens, scale, gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        tokens, scale, gate, up = ctx.saved_tensors
        layer = ctx.layer
        room = functional.silu(gate).mul_(gradient)
        normed = torch.mm(room, layer.mlp.up_proj.weight)
        opened = torch.ops.aten.silu_backward(torch.mul(gradient, up, out=room), gate)
        normed.addmm_(opened, layer.mlp.gate_proj.weight)
        return _norm_back(normed, tokens, scale, layer.post_attention_layernorm), None


def _norm(tokens: Tensor, norm: Any) -> tuple[Tensor, Tensor]:
    """RMSNorm of [N, H], and what it multiplied each token by, [N, 1]."""
    wide = torch.promote_types(tokens.dtype, torch.float32)
    length = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True, dtype=wide)
    square = length.square_().div_(tokens.shape[-1]).add_(norm.variance_epsilon)
    scale = square.rsqrt_()
    return torch.mul(tokens, scale, out=torch.empty_like(tokens)).mul_(norm.weight), scale


def _norm_back(gradient: Tensor, tokens: Tensor, scale: Tensor, norm: Any) -> Tensor:
    """The gradient of the tokens of `_norm`, in the place of that of its result."""
    gradient.mul_(norm.weight)
    along = torch.linalg.vecdot(gradient, tokens)[:, None] * scale * scale
    return gradient.addcmul_(tokens, along.div_(-tokens.shape[-1]).to(tokens.dtype)).mul_(scale)
