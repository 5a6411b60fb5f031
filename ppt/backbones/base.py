"""A frozen language model behind one call: scores [R, L] of label words for a soft prompt.

Decision: score the label words where they stand instead of generating text (Lester et
al. 2021 found that better). All that is needed of a model are its states [R, N, H] at
the places that predict tokens of label words; only these go through the LM head.

R rows of a batch (K * B with a bank of K prompts); N = 1 + L * (W - 1) (`ppt.backbones.states`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ppt.backbones.faster import fuse_activations
from ppt.backbones.states import predicted_by
from ppt.errors import ConfigError
from ppt.prompts.deep import DeepBank, DeepShape
from ppt.prompts.patterns import TARGETS
from ppt.prompts.tensors import Batch, LabelWords

LOGIT_SCALES: dict[str, Callable[[Any], float]] = {
    "cohere": lambda config: config.logit_scale,
    "cohere2": lambda config: config.logit_scale,
    "granite": lambda config: 1 / config.logits_scaling,
    "granitemoe": lambda config: 1 / config.logits_scaling,
    "t5": lambda config: config.d_model**-0.5 if config.scale_decoder_outputs else 1.0,
}
"""Model types that scale what their LM head gives (T5 v1.0 does, v1.1 does not)."""


LOGITS_AT_ONCE = 2**27
"""Logits of the whole vocabulary that are held at a time: half a gigabyte in float32."""


class Backbone(ABC):
    """A frozen model in evaluation mode; its weights need no gradient and get no memory for it.

    `model` and `tokenizer` are those of transformers; `name` is where they came from.
    The model is frozen and made faster in place (`adapt`).
    """

    kind: ClassVar[str]
    """How label words are read: a key of `ppt.prompts.files.TASK_TYPES`."""
    layout: str
    """The layout of the patterns that it is shown."""
    adapted: bool = False
    """Whether an adapter of ours is in its weights now."""

    @staticmethod
    def auto_class(config: Any) -> Any:
        """The class of transformers that loads models of `config`; None where they are not ours."""
        del config

    def __init__(self, model: Any, tokenizer: Any, name: str = "") -> None:
        self.model, self.tokenizer, self.name = model.requires_grad_(False).eval(), tokenizer, name
        self._embed: nn.Embedding = model.get_input_embeddings()
        self._head = model.get_output_embeddings()
        own = tokenizer.pad_token_id
        self.pad_id: int = own if own is not None and own < self.vocab_size else 0
        """What fills rows up: any id that the model knows, as it is never read."""

    def aim_at(self, target: str) -> None:
        """Say label words as ``--target`` has it; raises ConfigError where it cannot."""
        if target != TARGETS[0]:
            raise ConfigError(
                f"--target {target} is for encoder-decoders (T5), and {self.name or 'the model'} is"
                " none: leave it out."
            )

    def require_plain(self) -> None:
        """Refuse to work with an adapter in the weights, as scores are not the model's own then."""
        if self.adapted:
            raise ConfigError(
                "an adapter is in the weights of this backbone: close the classifier that holds"
                " it, or load the backbone anew."
            )

    @property
    def hidden_size(self) -> int:
        """H, the size of an input embedding and so of a prompt's vectors."""
        return self._embed.embedding_dim

    @property
    def vocab_size(self) -> int:
        """V, the rows of the embedding table; the tokenizer may know fewer."""
        return self._embed.num_embeddings

    @property
    def positions(self) -> int | None:
        """The tokens that it can read at most; None for any number (T5's are relative).

        LongRoPE turns all tokens otherwise where a batch's longest row is beyond what the model
        first had: rows would hang on their neighbours, and not share a prompt's states.
        """
        own = self.model.config.get_text_config(decoder=True)
        rope = getattr(own, "rope_parameters", None) or {}
        if rope.get("rope_type") == "longrope":
            return int(rope["original_max_position_embeddings"])
        mpt = getattr(own, "max_seq_len", None)  # has a name of its own for it
        most: int | None = getattr(own, "max_position_embeddings", mpt)
        return most

    @property
    def device(self) -> torch.device:
        """Where batches and prompts must be."""
        return self._embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in. Prompts may be float32 all the same; scores always are."""
        return self._embed.weight.dtype

    def input_embeddings(self) -> Tensor:
        """The table [V, H] of what the first layer gets for each token: the space of prompts.

        It is the weight itself, except for models that scale it on lookup (Gemma).
        """
        if type(self._embed) is nn.Embedding:
            return self._embed.weight.detach()
        scaled: Tensor = self._embed(torch.arange(self.vocab_size, device=self.device))
        return scaled

    @property
    def deep(self) -> DeepShape:
        """What a deep prompt has for each position; raises ConfigError where there are none."""
        raise ConfigError(
            f"a prompt of keys and values needs a causal model: {self.name or 'this one'} has an"
            " encoder, and PEFT's prefixes stand before its decoder, which reads no text: take"
            " a prompt of embeddings, or a causal model."
        )

    def keys_values(self, embeddings: Tensor) -> Tensor:
        """The deep prompts [K, P, D] float32 of embeddings [K, P, H]: with the same scores."""
        raise AssertionError(f"a backbone of {self.deep} makes them of {embeddings.shape}")

    def require_room(self, before: int, text: int, width: int, cure: str) -> None:
        """Refuse a prompt, texts and label words of so many tokens that have no positions.

        `cure` is what users can do about it.
        """
        asked = before + text + width - 1
        if self.positions is not None and asked > self.positions:
            prompt = f"a prompt of {before} tokens, " if before else ""
            raise ConfigError(
                f"{prompt}--max_length {text} and label words of up to {width} tokens need {asked}"
                f" positions, but {self.name} has {self.positions}: {cure}."
            )

    def score(
        self, prompt: Tensor | DeepBank | None, batch: Batch, *, full_vocabulary: bool = False
    ) -> Tensor:
        """Scores of all label words, [R, L] float32; labels that are not allowed get -inf.

        `prompt` is [P, H], or a bank [K, P, H] of which row r of the R = K * B rows
        uses prompt r // B, or such a bank of keys and values, or None. Where all words are
        single tokens the scores are their logits or, with `full_vocabulary`, their
        log-probabilities among all V tokens, as in the published loss. Where a word is longer,
        scores are always log-probabilities, summed over its tokens: those of the whole word.
        They are not divided by length, which would favour long words with a sure ending, unless
        the words ask for it (`per_token`), as options of very different length do.
        """
        if not len(batch):
            return torch.zeros(batch.allowed.shape, device=self.device)
        batch, words = batch.right_padded(), batch.words
        states = self._states(self._bank(prompt, batch), batch)
        if words.single and not full_vocabulary and words.ids.ndim == 2:
            scores = self._logits(states[:, 0], words.ids[:, 0])
        else:
            steps = self._log_probabilities(states, words)
            beyond = torch.arange(steps.shape[-1], device=steps.device) >= words.lengths[..., None]
            scores = steps.masked_fill(beyond, 0.0).sum(-1)
            scores = scores / words.lengths if words.per_token else scores
        missing = batch.allowed.shape[1] - scores.shape[1]  # options that no row of it has
        return functional.pad(scores, (0, missing)).masked_fill(~batch.allowed, -torch.inf)

    def token_scores(self, prompt: Tensor | DeepBank | None, batch: Batch) -> tuple[Tensor, Tensor]:
        """How likely each token of the one word of each row is, after those before it.

        Of words [R, 1, W]: log-probabilities [R, W] float32, 0 beyond a word's end, and whether
        no other token is likelier, [R, W]. This is language modelling, the word being what the
        text goes on with.
        """
        batch = batch.right_padded()
        words, states = batch.words, self._states(self._bank(prompt, batch), batch)

        def part(states: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
            logits = self._logits(states)
            found = logits.gather(-1, ids[..., None])[..., 0] - logits.logsumexp(-1)
            return found, logits.argmax(-1) == ids

        found, right = self._in_parts(part, states, words.ids[:, 0])
        real = torch.arange(found.shape[1], device=found.device) < words.lengths
        return found.masked_fill(~real, 0.0), right & real

    def _log_probabilities(self, states: Tensor, words: LabelWords) -> Tensor:
        """Of each token of the words, [R, L, W], from states [R, N, H]."""

        def part(states: Tensor, at: Tensor, ids: Tensor) -> tuple[Tensor]:
            logits = self._logits(states)
            rows = torch.arange(len(logits), device=logits.device)[:, None, None]
            return (logits[rows, at, ids] - logits.logsumexp(-1)[rows, at],)

        own = (one.expand(len(states), -1, -1) for one in (predicted_by(words), words.ids))
        return self._in_parts(part, states, *own)[0]

    def _in_parts(
        self, part: Callable[..., tuple[Tensor, ...]], states: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        """What `part` makes of states [R, N, H] and others [R, ...], some rows at a time.

        Long words need states by the hundred: rows go through the LM head in parts then, and
        again in the backward pass, so that no [R, N, V] is ever whole.
        """
        size = max(1, LOGITS_AT_ONCE // (states.shape[1] * self.vocab_size))
        if size >= len(states):
            return part(states, *others)
        cut = (torch.split(one, size) for one in (states, *others))
        made = [
            checkpoint(part, *one, use_reentrant=False, preserve_rng_state=False)
            for one in zip(*cut, strict=True)
        ]
        return tuple(map(torch.cat, zip(*made, strict=True)))

    def score_after(self, batch: Batch, ids: Tensor) -> Tensor:
        """Scores [R, L, C] float32 of the tokens `ids` [C] where each of the L words ends.

        The last token of a word is not read: the scores are of what stands in its place.
        """
        words = batch.words
        ends = predicted_by(words).take_along_dim(words.lengths[:, None] - 1, 1)[:, 0]
        return self._logits(self._states(None, batch.right_padded())[:, ends], ids)

    @abstractmethod
    def _states(self, bank: Tensor | DeepBank | None, batch: Batch) -> Tensor:
        """The states [R, N, H] before the LM head, for a bank or no prompt."""

    @abstractmethod
    def _own_logits(self, prompt: Tensor | None, ids: Tensor, word: Tensor) -> Tensor:
        """Logits [W, V] for the tokens of a word [W] after one text [T], all by the model itself.

        The plainest way there is, by ids where there is no prompt, as the yardstick of `adapt`.
        """

    def _as_read(self, prompt: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """What the model is given for a prompt and a text, [T]; its ids where there is none."""
        if prompt is None:
            return {"input_ids": ids[None]}
        return {"inputs_embeds": torch.cat([prompt, self._embed(ids)])[None]}

    def _speed_up(self) -> None:
        """Replace parts of the model, in place, by faster ones of the same function."""
        fuse_activations(self.model)

    def _bank(self, prompt: Tensor | DeepBank | None, batch: Batch) -> Tensor | DeepBank | None:
        """The prompt as a bank [K, P, H] or [K, P, D] in the model's precision."""
        if prompt is None:
            return None
        if isinstance(prompt, DeepBank):
            values, width = prompt.values, self.deep.width
        else:
            values, width = prompt, self.hidden_size
        bank = values[None] if values.ndim == 2 else values
        if bank.ndim != 3 or bank.shape[-1] != width:
            raise ConfigError(
                f"the prompt has shape {list(prompt.shape)}, expected [P, {width}] or"
                f" [K, P, {width}]: take a prompt that was made for this backbone"
                f" ({self.name or self.model.config.model_type})."
            )
        if len(batch) % len(bank):
            raise ConfigError(
                f"a bank of {len(bank)} prompts needs as many equal parts of a batch, got"
                f" {len(batch)} rows: repeat the rows for each prompt."
            )
        bank = bank.to(self.dtype)
        return DeepBank(bank, prompt.seen) if isinstance(prompt, DeepBank) else bank

    def _logits(self, states: Tensor, ids: Tensor | None = None) -> Tensor:
        """What the model itself makes of states [..., H]: float32 [..., V], or of `ids` only."""
        weight, bias = self._head.weight, getattr(self._head, "bias", None)
        if ids is not None:
            weight, bias = weight[ids], None if bias is None else bias[ids]
        logits = functional.linear(states, weight, bias).float()
        config = self.model.config
        if config.model_type in LOGIT_SCALES:
            logits = logits * LOGIT_SCALES[config.model_type](config)
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "verbalizer": functional.cross_entropy, "vocabulary": functional.nll_loss,
}  # fmt: skip
"""``--loss`` → the loss of scores [R, L] for labels [R]: cross-entropy among the allowed labels, or
minus the log-probability of the right word, as published, which wants `full_vocabulary`."""
