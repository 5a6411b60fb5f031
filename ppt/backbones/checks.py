"""What is asked of a model and its tokenizer when they are loaded, so that scores are exact.

A model that gives no numbers, a tokenizer that is another model's, scores that are not
those of the model's own forward pass: each ends in one line before any work. And what a model
is known again by (`origin`).
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

import torch

from ppt.backbones.base import Backbone
from ppt.errors import ConfigError, first_line
from ppt.prompts.encoder import Encoder
from ppt.prompts.tensors import Batch, LabelWords

TOLERANCE, HALF_TOLERANCE = 1e-3, 0.05
"""How far log-probabilities may be from the model's own, relative to 1 + their size; those of
16-bit floats, of which sums in another order differ far more."""

SAMPLED = 64
"""Numbers of each weight by which a model is known again, at least where it has as many."""

OF_FILES = ("transformers_version", "_name_or_path", "dtype")
"""What a config tells of the files that it came from, and nothing of the model."""


def adapt(backbone: Backbone, advice: str) -> None:
    """Make a model faster in place, and refuse it if `score` then differs from its own forward.

    Two short texts, one of them padded, with words of two tokens, after a prompt that is no
    token's; and one by its ids: so that attention, positions, cache, embeddings and LM head are
    as expected, or users get `advice`. That takes milliseconds, and holds for model types and
    releases of transformers yet to come.
    """
    require_numbers(backbone.model, backbone.name)
    require_known_tokens(backbone.tokenizer, backbone.vocab_size, backbone.name)
    ids = torch.arange(1, 13, device=backbone.device) * 37 % backbone.vocab_size
    near, texts, pairs = backbone._embed(ids[:3]), ids[3:11].view(2, 4), ids[8:].view(2, 2)
    prompt = (near + near.roll(1, 0)) / 2
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], device=ids.device)
    count, allowed = mask.sum(1), torch.ones_like(pairs, dtype=torch.bool)
    whole = Batch(texts, mask, count, LabelWords(pairs, torch.full_like(count, 2)), allowed)
    first = replace(whole, words=LabelWords(pairs[:, :1], torch.ones_like(count)))
    rows = [text[:real] for text, real in zip(texts, count.tolist(), strict=True)]
    refusal = f"model type {backbone.model.config.model_type!r} cannot be served"
    try:
        with torch.no_grad():
            own = [backbone._own_logits(prompt, row, word) for row in rows for word in pairs]
            bare = [backbone._own_logits(one, rows[0], pairs[0]) for one in (None, prompt[:0])]
            backbone._speed_up()
            ours = [
                backbone.score(prompt, first, full_vocabulary=True),
                backbone.score(prompt, whole),
            ]
    except Exception as error:  # whatever foreign model code may raise
        raise ConfigError(
            f"{refusal} ({type(error).__name__}: {first_line(error)}): {advice}"
        ) from error
    steps = torch.stack(own).float().log_softmax(-1)
    right = steps.take_along_dim(pairs.repeat(2, 1)[:, :, None], -1).view(2, 2, 2).cumsum(-1)
    by_ids, embedded = torch.stack(bare).float().log_softmax(-1)
    compared = (torch.stack(ours, -1), right), (embedded, by_ids)
    gap = float(torch.stack([((a - b).abs() / (1 + b.abs())).max() for a, b in compared]).max())
    if not gap <= (TOLERANCE if backbone.dtype.itemsize > 2 else HALF_TOLERANCE):
        raise ConfigError(
            f"{refusal}: its log-probabilities are {gap:.2g} off (relatively) from those of its"
            f" own forward pass: {advice}"
        )


def require_numbers(model: Any, name: str) -> None:
    """Refuse weights with NaN or infinite values."""
    for place, weight in model.named_parameters():
        if not bool(weight.sum(dtype=torch.float32).isfinite()):
            raise ConfigError(
                f"the model {name!r} has NaN or infinite values in {place}: fetch or save"
                " it again, or take another."
            )


def require_known_tokens(tokenizer: Any, vocab_size: int, name: str) -> None:
    """Refuse a tokenizer that gives ids of which the model has no embedding, and one that knows no
    words, as transformers makes where the files of a tokenizer are missing.

    Special tokens that no text of ours can hold may lie outside.
    """
    encoder, vocabulary = Encoder.of(tokenizer), tokenizer.get_vocab()
    no_words = {*encoder.special, tokenizer.unk_token_id}
    words = (token for token, number in vocabulary.items() if number not in no_words)
    if not any(any(map(str.isalnum, token)) for token in words):
        raise ConfigError(
            f"the tokenizer of {name!r} knows no words: save the model's own beside it, with"
            " tokenizer.save_pretrained(FOLDER)."
        )
    given = {*encoder.start, *encoder.end}
    for token, number in vocabulary.items():
        unused = number in encoder.special and number not in given
        if number >= vocab_size and not unused:
            raise ConfigError(
                f"the tokenizer of {name!r} has the token {token!r} of id {number}, but"
                f" the model has {vocab_size} embeddings: take the tokenizer that it was"
                " trained with, or save the model with as many (resize_token_embeddings)."
            )


def origin(backbone: Backbone) -> str:
    """What tells models apart, as training begins: a digest of config, vocabulary and weights.

    Of each weight a sample, in 16 bits: so it is the same in every precision.
    """
    config = backbone.model.config.to_dict()
    shape = {name: one for name, one in config.items() if name not in OF_FILES}
    vocabulary = sorted(backbone.tokenizer.get_vocab().items())
    digest = hashlib.sha256(json.dumps([shape, vocabulary], sort_keys=True, default=str).encode())
    return _with_weights(digest, backbone)


def weights_digest(backbone: Backbone) -> str:
    """The same of the weights alone, whatever a release of transformers has in its configs."""
    return _with_weights(hashlib.sha256(), backbone)


def _with_weights(digest: Any, backbone: Backbone) -> str:
    for name, weight in backbone.model.named_parameters():
        if "lora_" in name:
            continue  # is trained, and begins by the seed
        every = max(1, weight.numel() // SAMPLED)
        numbers = weight.detach().flatten()[::every].to("cpu", torch.bfloat16).float()
        digest.update(f"{list(weight.shape)}".encode() + numbers.numpy().tobytes())
    return str(digest.hexdigest())
