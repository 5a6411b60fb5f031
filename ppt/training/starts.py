"""What a pre-training trains, as it begins: a prompt of either kind, or low-rank adapters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ppt.backbones.base import Backbone
from ppt.base.files import given
from ppt.corpus.storage import Corpus
from ppt.errors import note
from ppt.methods import EXAMPLES
from ppt.prompts.batches import pack
from ppt.prompts.files import open_prompt, prompt_folder
from ppt.prompts.rendering import Renderer
from ppt.prompts.soft import Residual, SoftPrompt, Vocabulary, initialiser
from ppt.training.deep import DeepPrompts, begun, shown_examples
from ppt.training.examples import head
from ppt.training.kinship import doubts
from ppt.training.settings import PretrainConfig
from ppt.training.trainables import PromptBank, Trainable, lora
from ppt.training.windows import Reading


@contextmanager
def started(
    config: PretrainConfig, backbone: Backbone, renderer: Renderer | None, corpus: Corpus | Reading
) -> Iterator[Trainable]:
    """What is trained, as it begins; the backbone is as before when the block ends.

    A prompt's start is the same in every process and on every device. Low-rank adapters begin as
    nothing, or as those of ``--init=checkpoint:``: the next round of what was trained before.
    """
    is_prompt = config.trains == "prompt"
    length = config.prompt_length if is_prompt else 0
    cure = "lower --prompt_length or --max_length" if is_prompt else "lower --max_length"
    backbone.require_room(length, config.max_length, renderer.width if renderer else 1, cure)
    name, _, place = config.init.partition(":")
    before = prompt_folder(given(place)) if name == "checkpoint" else None
    if before:
        note(*doubts([open_prompt(before)], backbone, config.model))
    if is_prompt:
        yield _prompt(config, backbone, renderer, corpus)
        return
    with lora(backbone, config.seed, before) as weights:
        yield weights


def _prompt(
    config: PretrainConfig, backbone: Backbone, renderer: Renderer | None, corpus: Corpus | Reading
) -> PromptBank:
    """A prompt of either kind; a deep one that begins from examples does not read its own."""
    generator = torch.Generator().manual_seed(config.seed)
    length, origins = config.prompt_length, None
    if config.init == EXAMPLES and renderer and isinstance(corpus, Corpus):
        # of as many rows as could fit, were each one token
        rows = pack(renderer.rows(head(corpus, "train", length)))
        shown, embeddings = shown_examples(
            backbone, rows, renderer.words(), renderer.pattern.layout, length,
            "of the corpus: raise --prompt_length, or lower --max_length", one_text=False,
        )  # fmt: skip
        values = backbone.keys_values(embeddings[None])[0].cpu()
        origins = torch.tensor(shown.rows)
    else:
        words = renderer.words() if renderer else None
        table, tokenizer = backbone.input_embeddings(), backbone.tokenizer
        vocabulary = Vocabulary(table, tokenizer, words, backbone.kind)
        if config.what == "kv":
            values = begun(backbone, config.init, vocabulary, length, generator)
        else:
            make = initialiser(config.init, vocabulary)
            values = make((length, backbone.hidden_size), generator)
    size = config.residual
    prompt = SoftPrompt(values, Residual(values.shape[1], size, generator) if size else None)
    if config.what == "prompt":
        return PromptBank(backbone, [prompt])
    return DeepPrompts(
        backbone, [prompt], seeds=[config.seed], dropout=config.token_dropout, origins=origins
    )
