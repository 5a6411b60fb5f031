"""Where a method starts: its prompts, contexts or weights, ready for the loop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.errors import ConfigError
from ppt.fewshot.in_context import demonstrations, without_start
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.views import Shown, TaskView
from ppt.methods import PRETRAINED, RANDOM, TEXT, Method
from ppt.prompts.batches import TokenRows
from ppt.prompts.encoder import Encoder
from ppt.prompts.files import load_prompt
from ppt.prompts.soft import Vocabulary, initialiser
from ppt.prompts.tensors import LabelWords
from ppt.training.trainables import Context, PromptBank, Tuned, Weights, everything, lora

INIT_TEXT = "Choose the right word: {words}."
"""What `prompt_tuning_text` begins with where ``--init_text`` says nothing."""


@dataclass(frozen=True)
class Start:
    """What is trained or scored. `init` tells where a prompt came from.

    A context of `shown` examples has the special tokens `start` of a text, so that rows
    after it must come without.
    """

    tuned: Tuned
    init: str | None = None
    shown: int | None = None
    start: tuple[int, ...] = ()

    def rows(self, shown: Shown) -> TokenRows:
        """Rows as they stand after the context, if there is one."""
        return without_start(shown.tokens, list(self.start))


@contextmanager
def started(
    method: Method, backbone: Backbone, view: TaskView, train: Shown, seeds: Sequence[int],
    config: FewshotConfig, prompt: Path | None,
) -> Iterator[Start]:  # fmt: skip
    """A method with a lane for each of `seeds`; the backbone is as before when it ends.

    `train` are the examples of the first lane, for a context. `prompt` is the pre-trained
    one, for the methods that begin with it.
    """
    if method.trains == "prompt":
        init = prompt_init(method, backbone, view, config, prompt)
        yield Start(PromptBank(backbone, first_prompts(init, backbone, view, config, seeds)), init)
    elif method.trains == "lora":
        with lora(backbone, seeds[0]) as weights:
            yield Start(weights)
    elif method.trains == "everything":
        with everything(backbone) as weights:
            yield Start(weights)
    elif method.demonstrations:
        yield context(backbone, view, train, config)
    else:
        yield Start(Weights(backbone, lanes=len(seeds)))


def require_room(backbone: Backbone, words: LabelWords, before: int, config: FewshotConfig) -> None:
    """Refuse lengths that the backbone has no positions for."""
    most, width = backbone.positions, words.ids.shape[1]
    asked = before + config.max_length + width - 1
    if most is not None and asked > most:
        prompt = f"a prompt of {before} tokens, " if before else ""
        raise ConfigError(
            f"{prompt}--max_length {config.max_length} and label words of up to {width} tokens need"
            f" {asked} positions, but {config.model} has {most}: lower --max_length."
        )


def prompt_init(
    method: Method, backbone: Backbone, view: TaskView, config: FewshotConfig, prompt: Path | None
) -> str:
    """Where a method's prompts begin, in the words of `ppt.prompts.soft.initialiser`."""
    if method.init == PRETRAINED:
        assert prompt is not None, "prompts are chosen before anything runs"
        return f"checkpoint:{prompt}"
    if method.init == RANDOM:  # uniform in ±limit has an RMS of limit / sqrt(3)
        limit = float((3 * backbone.input_embeddings().float().pow(2).mean()).sqrt())
        return f"random:{limit:.4g}"
    if method.init == TEXT:
        words = ", ".join(view.renderer.verbalizer.words.values())
        return f"text:{config.init_text or INIT_TEXT.format(words=words)}"
    assert method.init is not None
    return method.init


def first_prompts(
    init: str, backbone: Backbone, view: TaskView, config: FewshotConfig, seeds: Sequence[int]
) -> list[Tensor]:
    """The prompt [P, H] that each lane begins with."""
    name, _, path = init.partition(":")
    if name == "checkpoint":
        saved = load_prompt(path, hidden_size=backbone.hidden_size, kind=backbone.kind)
        require_room(backbone, view.words, len(saved), config)
        return [saved for _ in seeds]
    require_room(backbone, view.words, config.prompt_length, config)
    vocabulary = Vocabulary(backbone.input_embeddings(), backbone.tokenizer, view.words)
    make, shape = initialiser(init, vocabulary), (config.prompt_length, backbone.hidden_size)
    return [make(shape, torch.Generator().manual_seed(seed)) for seed in seeds]


def context(backbone: Backbone, view: TaskView, train: Shown, config: FewshotConfig) -> Start:
    """As many training examples as fit, as token embeddings."""
    encoder = Encoder.of(backbone.tokenizer)
    room = config.context_length
    if (most := backbone.positions) is not None:
        room = min(room, most - config.max_length - view.words.ids.shape[1] + 1)
    layout = view.renderer.pattern.layout
    ids, count = demonstrations(train.tokens, view.words, encoder, layout, room)
    if not count:
        raise ConfigError(
            f"{view.task.name}: no example of {train.tokens.lengths.min()} tokens or more fits into"
            f" a context of {room}: raise --context_length, or lower --max_length."
        )
    embeddings = backbone.input_embeddings()[torch.tensor(ids, device=backbone.device)]
    return Start(Context(backbone, embeddings), shown=count, start=tuple(encoder.start))
