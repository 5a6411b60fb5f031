"""Models from nothing: a config, random weights, and a tokenizer that is trained on documents."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ppt.backbones.base import Backbone
from ppt.backbones.loading import as_backbone, family_of, prepared_device
from ppt.errors import ConfigError, InputError, first_line
from ppt.prompts.encoder import SENTINELS
from ppt.prompts.foreign import read_object

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"

ENDLESS = re.compile(r"\S{256}|\s{256}")
"""What no word is, nor white space between words."""

CHARACTERS = 20_000_000
"""Of documents that a tokenizer is trained on; more hardly change what is frequent."""


def train_tokenizer(texts: Iterable[str], size: int, *, sentinels: bool) -> Any:
    """A byte-level BPE of `size` tokens, special ones included, as the library tokenizers has it.

    It ends texts with ``</s>``, as T5 does, where it has the 100 `sentinels` of T5. Any text
    can be said in it. Raises InputError where the texts have not as many pieces.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
    from tokenizers.models import BPE

    masks = [SENTINELS[0].format(number) for number in range(100 * sentinels)]
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END, UNKNOWN, *masks],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(chain.from_iterable(map(pieces, texts)), trainer)
    if core.get_vocab_size() < size:
        raise InputError(
            f"--train_tokenizer {size}: the documents have only {core.get_vocab_size()} pieces that"
            " occur more than once: give more documents, or a lower number."
        )
    if sentinels:
        core.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, core.token_to_id(END))]
        )
    return core


def pieces(text: str) -> Iterator[str]:
    """A text, cut where it goes on and on without a space (or with nothing else).

    Training takes time by the square of a word's length: hours for a megabyte.
    """
    start = 0
    for run in ENDLESS.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def wrapped(core: Any) -> Any:
    """What `train_tokenizer` made, as a tokenizer of transformers."""
    from transformers import PreTrainedTokenizerFast

    special = [token.content for token in core.get_added_tokens_decoder().values()]
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=END, unk_token=UNKNOWN,
        extra_special_tokens=[token for token in special if token not in (PAD, END, UNKNOWN)],
    )  # fmt: skip


def read_new_config(file: str) -> Any:
    """The config of transformers in a JSON file; raises InputError or ConfigError."""
    from transformers import AutoConfig

    values = read_object(Path(file))
    if "quantization_config" in values:
        raise InputError(
            f"--config {file} has a quantization_config, but a new model is trained in float32:"
            " remove that key."
        )
    kind = values.pop("model_type", None)
    try:
        config = AutoConfig.for_model(kind, **values)
    except Exception as error:  # each config checks in a way of its own
        raise InputError(
            f"--config {file}: no model can be made of it ({first_line(error)}): expected a"
            ' config.json of transformers, such as {"model_type": "t5", "d_model": 128, ...}.'
        ) from None
    family_of(config)
    return config


def new_backbone(
    config: Any, tokenizer: Any, seed: int, name: str, device: str | None = None,
    threads: int | None = None,
) -> Backbone:  # fmt: skip
    """A model of random weights, in float32, for a tokenizer; equal for equal seeds."""
    where = prepared_device(device, threads)
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    config.eos_token_id, config.bos_token_id = tokenizer.eos_token_id, None
    if config.is_encoder_decoder:
        config.decoder_start_token_id = tokenizer.pad_token_id
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            model = (
                family_of(config).auto_class(config).from_config(config, trust_remote_code=False)
            )
        except Exception as error:  # each model fails in a way of its own
            raise ConfigError(
                f"no model can be made of --config {name} ({type(error).__name__}:"
                f" {first_line(error)}): mend it."
            ) from error
    return as_backbone(model.to(where), tokenizer, name)
