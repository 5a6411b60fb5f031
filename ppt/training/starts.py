"""What a pre-training trains, as it begins: a prompt of either kind, or low-rank adapters."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.corpus.storage import Corpus
from ppt.methods import EXAMPLES
from ppt.prompts.batches import pack
from ppt.prompts.rendering import Renderer
from ppt.prompts.soft import Residual, SoftPrompt, Vocabulary, initialiser
from ppt.training.deep import DeepPrompts, begun, shown_examples
from ppt.training.examples import head
from ppt.training.settings import PretrainConfig
from ppt.training.trainables import PromptBank, Trainable, lora
from ppt.training.windows import Reading


@dataclass(frozen=True)
class Beginning:
    """What is needed to begin."""

    config: PretrainConfig
    backbone: Backbone
    renderer: Renderer | None
    corpus: Corpus | Reading

    @property
    def length(self) -> int:
        """P; 0 where no prompt is trained."""
        return self.config.prompt_length if self.config.trains == "prompt" else 0

    @property
    def vocabulary(self) -> Vocabulary:
        """What initialisers may use."""
        words = self.renderer.words() if self.renderer else None
        table = self.backbone.input_embeddings()
        return Vocabulary(table, self.backbone.tokenizer, words)


def started(beginning: Beginning) -> AbstractContextManager[Trainable]:
    """What is trained, as it begins."""
    config, length = beginning.config, beginning.length
    cure = "lower --prompt_length or --max_length" if length else "lower --max_length"
    width = beginning.renderer.width if beginning.renderer else 1
    beginning.backbone.require_room(length, config.max_length, width, cure)
    return TRAINS[config.what](beginning)


@contextmanager
def _prompt(of: Beginning) -> Iterator[Trainable]:
    """A soft prompt; its start is the same in every process and on every device."""
    generator = torch.Generator().manual_seed(of.config.seed)
    shape = of.length, of.backbone.hidden_size
    values = initialiser(of.config.init, of.vocabulary)(shape, generator)
    yield PromptBank(of.backbone, [_soft(of, values, generator)])


@contextmanager
def _kv(of: Beginning) -> Iterator[Trainable]:
    """A deep prompt; one that begins from examples does not read its own."""
    config, backbone, origins = of.config, of.backbone, None
    generator = torch.Generator().manual_seed(config.seed)
    if config.init == EXAMPLES and of.renderer and isinstance(of.corpus, Corpus):
        # of as many rows as could fit, were each one token
        rows = pack(of.renderer.rows(head(of.corpus, "train", of.length)))
        shown, embeddings = shown_examples(
            backbone, rows, of.renderer.words(), of.renderer.pattern.layout, of.length,
            "of the corpus: raise --prompt_length, or lower --max_length", one_text=False,
        )  # fmt: skip
        values = backbone.keys_values(embeddings[None])[0].cpu()
        origins = torch.tensor(shown.rows)
    else:
        values = begun(backbone, config.init, of.vocabulary, of.length, generator)
    yield DeepPrompts(
        backbone, [_soft(of, values, generator)], seeds=[config.seed],
        dropout=config.token_dropout, origins=origins,
    )  # fmt: skip


def _soft(of: Beginning, values: Tensor, generator: torch.Generator) -> SoftPrompt:
    size = of.config.residual
    return SoftPrompt(values, Residual(values.shape[1], size, generator) if size else None)


TRAINS: Mapping[str, Callable[[Beginning], AbstractContextManager[Trainable]]] = {
    "prompt": _prompt,
    "kv": _kv,
    "lora": lambda of: lora(of.backbone, of.config.seed),
}
"""`PretrainConfig.what` → what is trained, ready; the backbone is as before when the block ends."""
