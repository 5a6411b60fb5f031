"""Left-to-right models: the prompt's keys and values are computed once a batch.

The prompt comes first, so what attention keeps of it does not depend on the text. It
is computed for one row, with gradient, and expanded over B; the backward pass sums over
B before it enters the prompt again. Frozen models of Llama's kind on a CPU go through
`ppt.backbones.llama`, which does the same with fewer passes. docs/performance.md compares
with PEFT.

Tokens of longer label words follow the text in the same pass, as branches of a tree: a
token sees prompt, text and its own word, and has the position that it would have right
after the text. So no text is computed twice, and no cache is copied for each label. Options
that are a row's own stand there without gaps: padded to the longest and to the most of a
batch, they were two thirds of what was computed.

Alternative, for models that keep other state than keys and values, or place tokens in a way
of their own (ALiBi): prompt, text and word side by side, for each word (`shared_prefix` is
False). Which of the two is exact shows when a model is loaded.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ppt.backbones import llama
from ppt.backbones.base import Backbone
from ppt.backbones.checks import adapt
from ppt.backbones.states import later_tokens, merge_states, places, repeat_rows
from ppt.errors import ConfigError, InputError, note
from ppt.prompts.deep import DeepBank, DeepShape
from ppt.prompts.tensors import Batch

FULL, SLIDING = "full_attention", "sliding_attention"
"""Kinds of layers that keep keys and values of a prompt, and nothing else."""

ADVICE = "take a causal model, one that reads from left to right (GPT-2, Llama, Qwen, Gemma...)."


class CausalBackbone(Backbone):
    """The label word follows the last real token of each row."""

    kind = "causal"
    layout = "suffix"

    @staticmethod
    def auto_class(config: Any) -> Any:
        """Any left-to-right model that transformers knows."""
        from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

        known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
        return AutoModelForCausalLM if known and not config.is_encoder_decoder else None

    def __init__(
        self, model: Any, tokenizer: Any, name: str = "", *, shared_prefix: bool = True
    ) -> None:
        super().__init__(model, tokenizer, name)
        self._config = own = model.config.get_text_config(decoder=True)
        # GPT-Neo has a name of its own for the list
        kinds = getattr(own, "layer_types", None) or getattr(own, "attention_layers", None)
        usual = SLIDING if getattr(own, "sliding_window", None) else FULL
        self._layers = frozenset(kinds or [usual])
        keys_alone = not getattr(model, "_is_stateful", False) and self._layers <= {FULL, SLIDING}
        self.shared_prefix = shared_prefix and keys_alone
        try:
            adapt(self, ADVICE)
        except ConfigError:
            if not self.shared_prefix:
                raise
            self.shared_prefix = False
            adapt(self, ADVICE)
        if shared_prefix and not self.shared_prefix:
            told = f"rows of {model.config.model_type!r} cannot share the states of a prompt"
            note(f"{told}: scores are exact, steps are slower.")

    @cached_property
    def deep(self) -> DeepShape:
        """What the model keeps of a token, as one that it has read shows."""
        kept = self._cache(self._embed(torch.zeros(1, 1, dtype=torch.long, device=self.device)))
        shapes = {tuple(one.shape) for pair in kept for one in pair}
        if len(shapes) != 1:
            raise ConfigError(
                f"a prompt of keys and values needs layers that keep the same of a token, but"
                f" those of {self.name or 'the model'} differ: take a prompt of embeddings."
            )
        ((_, heads, _, size),) = shapes
        return DeepShape(len(kept), heads, size)

    @torch.no_grad()
    def keys_values(self, embeddings: Tensor) -> Tensor:
        """The deep prompts [K, P, D] float32 of embeddings [K, P, H]: with the same scores."""
        return self.deep.joined(self._cache(embeddings.to(self.device, self.dtype))).float()

    @torch.no_grad()
    def _cache(self, bank: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [K, heads, P, size] of each layer, of a bank [K, P, H]."""
        if not self.shared_prefix:
            raise ConfigError(
                f"a prompt of keys and values needs a model whose rows share a prompt's states:"
                f" those of {self.name or 'this one'} cannot: take a prompt of embeddings."
            )
        return [(layer.keys, layer.values) for layer in self._prefix(bank, 1).layers]

    def _states(self, bank: Tensor | DeepBank | None, batch: Batch) -> Tensor:
        last = batch.attention_mask.sum(1, keepdim=True) - 1
        # batches of a step that is being recorded were looked at before
        recorded = last.is_cuda and torch.cuda.is_current_stream_capturing()
        if not recorded and bool((last < 0).any()):
            raise InputError(
                "a row has no tokens, and the label word must follow one: give the pattern"
                " some literal text, or drop empty rows."
            )
        if self.shared_prefix:
            return self._shared(bank, batch, last)
        assert not isinstance(bank, DeepBank), "of such models there are none"
        return self._concatenated(bank, batch, last)

    def _shared(self, bank: Tensor | DeepBank | None, batch: Batch, last: Tensor) -> Tensor:
        """The states of one pass over text and branches, after the prompt's keys and values.

        Padding needs no mask: it stands to the right of all that is read.
        """
        ids, branch, read = side_by_side(batch, last)
        embeds = self._embed(ids)
        shown = bank.seen if isinstance(bank, DeepBank) else None
        seen: dict[str, Any] = {}
        if shown is not None or not batch.words.single:
            seen = self._tree(branch, last, 0 if bank is None else bank.shape[1], shown)
        if bank is not None and self._layers == {FULL} and llama.serves(self.model):
            given = self.deep.pairs(bank.values) if isinstance(bank, DeepBank) else bank
            return llama.hidden_states(self.model, given, embeds, read, **seen)
        cache = None if bank is None else self._prefix(bank, len(ids) // len(bank))
        hidden = self._hidden(embeds, past_key_values=cache, use_cache=cache is not None, **seen)
        return hidden.take_along_dim(read[:, :, None], 1)

    def _prefix(self, bank: Tensor | DeepBank, times: int) -> Any:
        """Keys and values of a bank [K, P, H], or those that it is, each `times` times.

        The cache is made without the config: so layers with a sliding window keep all P
        positions too, and masks alone say what is out of the window.
        """
        from transformers import DynamicCache

        if isinstance(bank, DeepBank):
            cache = DynamicCache(self.deep.pairs(bank.values))
        else:
            cache = DynamicCache()
            self._hidden(bank, past_key_values=cache, use_cache=True)
        for layer in cache.layers:
            layer.keys, layer.values = (repeat_rows(t, times) for t in (layer.keys, layer.values))
        return cache

    def _tree(
        self, branch: Tensor, last: Tensor, before: int, seen: Tensor | None
    ) -> dict[str, Any]:
        """Positions and masks for P = `before` keys, the text, and the words as branches.

        `seen` [R, P] says which of the keys before them rows may read. Positions are [R, S],
        masks that add to the attention scores [R, 1, S, P + S].
        """
        positions, visible = tree(branch, last, before)
        if seen is not None:
            visible[:, :, :before] = seen[:, None]
        keys = torch.arange(before, device=positions.device).expand(len(positions), -1)
        distance = positions[:, :, None] - torch.cat([keys, positions], 1)[:, None]
        window: int = getattr(self._config, "sliding_window", None) or 0
        shown = torch.zeros(visible.shape, dtype=self.dtype, device=visible.device)
        masks = {}
        for kind in self._layers:
            near = visible & (distance < window) if kind == SLIDING else visible
            masks[kind] = shown.masked_fill(~near, torch.finfo(self.dtype).min)[:, None]
        mask = masks if len(masks) > 1 else next(iter(masks.values()))
        return {"position_ids": positions, "attention_mask": mask}

    def _concatenated(self, bank: Tensor | None, batch: Batch, last: Tensor) -> Tensor:
        """The states of a pass over prompt, text and word side by side, a row for each word."""
        later = later_tokens(batch.words)
        rows, (words, width) = len(batch), later.shape[-2:]
        text, mask = batch.input_ids, batch.attention_mask
        if batch.words.room is not None:  # is made anew for each word
            text, mask = (one[:, : int(last.max()) + 1] for one in (text, mask))
        ids = functional.pad(repeat_rows(text, words), (0, width))
        at = repeat_rows(last, words) + 1 + torch.arange(width, device=last.device)
        later = later.expand(rows, -1, -1).flatten(0, 1)
        embeds = self._embed(ids.scatter(1, at, later))
        real = functional.pad(repeat_rows(mask, words), (0, width)).scatter(1, at, 1)
        before = 0 if bank is None else bank.shape[1]
        if bank is not None:
            embeds = torch.cat([repeat_rows(bank, len(ids) // len(bank)), embeds], 1)
            real = functional.pad(real, (before, 0), value=1)
        hidden = self._hidden(embeds, attention_mask=real, use_cache=False)
        read = before + repeat_rows(last, words) + torch.arange(width + 1, device=last.device)
        states = hidden.take_along_dim(read[:, :, None], 1)
        return merge_states(states.view(rows, words, width + 1, -1), batch.words)

    def _hidden(self, embeds: Tensor, **arguments: Any) -> Tensor:
        """Hidden states [..., T, H] after the last layer and its norm."""
        hidden: Tensor = self.model.base_model(inputs_embeds=embeds, **arguments).last_hidden_state
        return hidden

    def _own_logits(self, prompt: Tensor | None, ids: Tensor, word: Tensor) -> Tensor:
        read = self._as_read(prompt, torch.cat([ids, word]))
        logits: Tensor = self.model(**read, use_cache=False).logits
        return logits[0, -1 - len(word) : -1]


TEXT, PADDING = -1, -2
"""Branches that are no word: what all words follow, and what nobody reads."""


def side_by_side(batch: Batch, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Texts and words in one row each, with `last` [R, 1] the last tokens of texts.

    Tokens [R, S], the branch of each (a word's number, or one of the above), and which are
    read [R, 1 + X], all int64. Words follow the padded text, or where they have room the text.
    """
    words, later = batch.words, later_tokens(batch.words).flatten(-2)
    rows, length = batch.input_ids.shape
    number = torch.arange(words.ids.shape[-2], device=last.device)[:, None]
    number = number.expand(-1, 0 if words.single else words.ids.shape[-1] - 1).flatten()
    branch = torch.where(batch.attention_mask.bool(), TEXT, PADDING)
    if words.room is None:
        ids = torch.cat([batch.input_ids, later.expand(rows, -1)], 1)
        after = torch.arange(length, ids.shape[1], device=last.device).expand(rows, -1)
        return ids, torch.cat([branch, number.expand(rows, -1)], 1), torch.cat([last, after], 1)
    at = (last[..., None] + 1 + places(words)).flatten(1).clamp(max=length)  # a column to drop
    ids = functional.pad(batch.input_ids, (0, 1)).scatter(1, at, later)[:, :-1]
    branch = functional.pad(branch, (0, 1)).scatter(1, at, number.expand(rows, -1))[:, :-1]
    read = last + torch.arange(1 + words.room, device=last.device)
    return ids, branch, read.clamp(max=length - 1)


def tree(branch: Tensor, last: Tensor, before: int) -> tuple[Tensor, Tensor]:
    """Where tokens of text and branches stand, and what they see.

    Positions [R, S] int64, counted from the first of `before` prompt tokens, and visible
    [R, S, P + S] bool. A token of a word stands as if it came right after the text's `last` real
    token and its word's tokens before it.
    """
    column = torch.arange(branch.shape[1], device=branch.device)
    begins = branch != functional.pad(branch, (1, 0), value=TEXT)[:, :-1]
    depth = column - torch.where(begins, column, 0).cummax(1).values
    after = last + 1 + depth.masked_fill(branch == PADDING, 0)
    positions = before + torch.where(branch == TEXT, column, after)
    keys, queries = branch[:, None], branch[:, :, None]
    visible = ((keys == TEXT) | (keys == queries)) & (column[:, None] >= column)
    return positions, functional.pad(visible, (before, 0), value=True)
