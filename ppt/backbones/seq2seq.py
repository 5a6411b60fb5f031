"""T5 and its like: the prompt stands before the encoder's input embeddings.

The decoder reads ``<start> <extra_id_0>`` and then the label word, as in span
corruption (Raffel et al. 2020), which T5 knows from pre-training; or the word alone, as
a model that was adapted to language modelling has it (``--target``, Lester et al. 2021, 2.2).
Position biases count the prompt's tokens as positions. The encoder runs once, whatever the
words.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppt.backbones.base import Backbone
from ppt.backbones.checks import adapt
from ppt.backbones.states import later_tokens, merge_states, repeat_rows
from ppt.errors import ConfigError, require_known
from ppt.prompts.deep import DeepBank
from ppt.prompts.encoder import MASKED, mask_id
from ppt.prompts.patterns import TARGETS
from ppt.prompts.tensors import Batch

FEW = 16
"""Tokens that the decoder reads up to which `FewQueriesAttention` saves work."""

SEQ2SEQ_TYPES = ("t5", "mt5")
"""Model types trained with sentinels; T5 v1.1, lm-adapt and ByT5 are of type t5."""


class Seq2SeqBackbone(Backbone):
    """The label word is what the decoder says for the first mask of the encoder's text."""

    kind = "seq2seq"

    @staticmethod
    def auto_class(config: Any) -> Any:
        """Models that were trained with sentinels."""
        from transformers import AutoModelForSeq2SeqLM

        return AutoModelForSeq2SeqLM if config.model_type in SEQ2SEQ_TYPES else None

    def __init__(self, model: Any, tokenizer: Any, name: str = "") -> None:
        super().__init__(model, tokenizer, name)
        start = model.config.decoder_start_token_id
        if start is None:
            raise ConfigError(
                f"{name or 'the model'} has no decoder_start_token_id in its config.json: set it"
                " (for T5 it is the id of <pad>, 0)."
            )
        self._starts = torch.tensor([[start, mask_id(tokenizer)]], device=self.device)
        self.aim_at(TARGETS[0])
        adapt(self, f"take one of type {' or '.join(SEQ2SEQ_TYPES)}, or a causal model.")

    def aim_at(self, target: str) -> None:
        """Let the decoder say a sentinel before label words, or the words alone."""
        require_known("target", target, TARGETS)
        self.layout = target
        self._start = self._starts if target in MASKED else self._starts[:, :1]

    def _speed_up(self) -> None:
        super()._speed_up()
        for block in self.model.decoder.block:
            attention = block.layer[1].EncDecAttention
            if not isinstance(attention, FewQueriesAttention):  # its weights keep their names
                own = type(attention)
                attention.__class__ = type(own.__name__, (FewQueriesAttention, own), {})

    def token_scores(self, prompt: Tensor | DeepBank | None, batch: Batch) -> tuple[Tensor, Tensor]:
        """As in `Backbone.token_scores`: what must be said is all that the decoder says."""
        target = self.layout
        self.aim_at("word")
        try:
            return super().token_scores(prompt, batch)
        finally:
            self.aim_at(target)

    def _states(self, bank: Tensor | DeepBank | None, batch: Batch) -> Tensor:
        assert not isinstance(bank, DeepBank), "of such models there are none"
        text, mask = self._embed(batch.input_ids), batch.attention_mask
        later, rows = later_tokens(batch.words), len(batch)
        if batch.words.per_token:
            raise ConfigError("answers by the texts of options need a causal model: take letters.")
        if bank is not None:
            text = torch.cat([repeat_rows(bank, rows // len(bank)), text], 1)
            mask = functional.pad(mask, (bank.shape[1], 0), value=1)
        encoded = self.model.encoder(inputs_embeds=text, attention_mask=mask).last_hidden_state
        count, width = later.shape[-2:]
        later = later.expand(rows, -1, -1).flatten(0, 1)
        read = torch.cat([self._start.expand(len(later), -1), later], 1)
        decoded = self.model.decoder(
            input_ids=read,
            encoder_hidden_states=encoded,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        states = decoded[:, self._start.shape[1] - 1 :]
        return merge_states(states.view(rows, count, width + 1, -1), batch.words)

    def _own_logits(self, prompt: Tensor | None, ids: Tensor, word: Tensor) -> Tensor:
        logits: Tensor = self.model(
            **self._as_read(prompt, ids),
            decoder_input_ids=torch.cat([self._start[0], word[:-1]])[None],
        ).logits
        return logits[0, self._start.shape[1] - 1 :]


class FewQueriesAttention(nn.Module):
    """T5's attention to the encoder, for a decoder that reads a handful of tokens.

    T5 projects all S encoder states to keys and values in every layer, which takes a
    seventh of a step, although two tokens ask. As q · (K e) = (Kᵀ q) · e, and the
    attended sum of V e is V times that of e, projecting what asks and what is read
    gives the same numbers. And as states are taken as they are, the Q tokens of all
    words of a row can share them: R rows of states serve R * words rows of tokens. Where a row
    reads many tokens of its own, as in language modelling, T5's way takes less.
    """

    n_heads: int
    q: nn.Module
    k: nn.Module
    v: nn.Module
    o: nn.Module

    def forward(
        self,
        hidden_states: Tensor,
        mask: Tensor | None = None,
        key_value_states: Tensor | None = None,
        **rest: Any,
    ) -> tuple[Any, ...]:
        """What R * words rows of tokens read of R rows of encoder states, as T5Attention gives it.

        `mask` is [R, 1, Q or 1, S]: true or 0 for what may be read, the same for all Q.
        """
        assert key_value_states is not None
        if len(hidden_states) == len(key_value_states) and hidden_states.shape[1] > FEW:
            own: tuple[Any, ...] = super().forward(hidden_states, mask, key_value_states, **rest)
            return own
        states, size = key_value_states, key_value_states.shape[-1]
        keys, values = (
            matrix(part, states).view(self.n_heads, -1, size) for part in (self.k, self.v)
        )
        asking = self.q(hidden_states).reshape(len(states), -1, *keys.shape[:2])  # [R, Q, h, d]
        asking = torch.einsum("rqhd,hdm->rqhm", asking, keys)
        scores = asking.flatten(1, 2) @ states.transpose(1, 2)  # [R, Q * h, S]
        if mask is not None:
            readable = mask[:, 0, -1:]
            hidden = ~readable if readable.dtype == torch.bool else readable < 0
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        read = (scores.softmax(-1) @ states).view_as(asking)
        answer = torch.einsum("rqhm,hdm->rqhd", read, values)
        return self.o(answer.reshape(*hidden_states.shape[:2], -1)), None, None


def matrix(layer: nn.Module, states: Tensor) -> Tensor:
    """The weights [out, in] of a linear layer for `states` [..., in].

    A layer that was wrapped (by LoRA) is asked what it makes of the unit vectors.
    """
    if type(layer) is nn.Linear:
        return layer.weight
    units = torch.eye(states.shape[-1], dtype=states.dtype, device=states.device)
    made: Tensor = layer(units).T
    return made
