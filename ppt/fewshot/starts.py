"""Where a method starts: its prompts, contexts or weights, ready for the loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.base.streams import seed_bits
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.views import Shown, TaskView
from ppt.methods import EXAMPLES, PRETRAINED, RANDOM, SOURCES, TEXT, Method
from ppt.prompts.batches import TokenRows
from ppt.prompts.encoder import Encoder
from ppt.prompts.files import Prompt
from ppt.prompts.in_context import Demonstrations, without_start
from ppt.prompts.soft import (
    Initialiser,
    Residual,
    SoftPrompt,
    Vocabulary,
    initialiser,
    random_uniform,
    text,
)
from ppt.results.selection import CHECKPOINT
from ppt.training.deep import DeepPrompts, shown_examples
from ppt.training.trainables import PromptBank, Trainable, everything, lora
from ppt.transfer.sources import Source

INIT_TEXT = "Choose the right word: {words}."
"""What `prompt_tuning_text` begins with where ``--init_text`` says nothing."""


@dataclass(frozen=True, eq=False)
class Loan:
    """A prompt [P, H] that a lane begins with, what is told of it, and the source that it is."""

    values: Tensor
    told: str
    source: Source | None = None


@dataclass(frozen=True)
class Start:
    """What is trained or scored. `init` tells where a prompt came from, the `loans` of each lane
    where they came from other tasks.

    A context of `shown` examples has the special tokens `start` of a text, so that rows
    after it must come without.
    """

    trainable: Trainable
    init: str | None = None
    shown: int | None = None
    start: tuple[int, ...] = ()
    loans: Sequence[Loan] = ()

    def told(self, lane: int) -> str | None:
        """Where a lane's prompt came from."""
        return self.loans[lane].told if self.loans else self.init

    def rows(self, shown: Shown) -> TokenRows:
        """Rows as they stand after the context, if there is one."""
        return without_start(shown.tokens, list(self.start))


@dataclass(frozen=True)
class Beginning:
    """What a start is made of: a lane for each of `seeds`.

    `train` are the examples of the first lane, for a context. `prompt` is the pre-trained
    one, for the methods that begin with it; `loans`, a lane each, are what others begin with.
    `before` trains the weights on other tasks first.
    """

    method: Method
    backbone: Backbone
    view: TaskView
    train: Shown
    seeds: Sequence[int]
    config: FewshotConfig
    prompt: Prompt | None = None
    loans: Sequence[Loan] = ()
    before: Callable[[Trainable], None] = lambda _: None


def started(beginning: Beginning) -> AbstractContextManager[Start]:
    """A method, ready; the backbone is as before when it ends."""
    return STARTS[beginning.method.trains](beginning)


@contextmanager
def _prompts(of: Beginning) -> Iterator[Start]:
    """A prompt [P, H] for each lane."""
    prompts, init = beginnings(of)
    yield Start(PromptBank(of.backbone, with_residuals(of, prompts)), init, loans=of.loans)


@contextmanager
def _kv(of: Beginning) -> Iterator[Start]:
    """A deep prompt [P, D] for each lane; one that begins from examples does not read its own."""
    deep, origins, count = of.backbone.deep, None, None
    start: tuple[int, ...] = ()
    if of.method.init == EXAMPLES:
        shown, embeddings = examples(of)
        values, init = of.backbone.keys_values(embeddings[None]), EXAMPLES
        origins, count, start = torch.tensor(shown.rows), shown.count, start_tokens(of)
    elif of.prompt is not None:
        prompt = of.prompt.values(kind=of.backbone.kind, deep=deep)
        init = f"{CHECKPOINT}{of.prompt}"
        require_room(of, len(prompt))
        values = prompt.expand(len(of.seeds), -1, -1)
    else:
        made, init = beginnings(of)
        values = of.backbone.keys_values(torch.stack(made))
    bank = DeepPrompts(
        of.backbone, with_residuals(of, list(values.cpu())), seeds=of.seeds,
        dropout=of.method.token_dropout, origins=origins,
    )  # fmt: skip
    yield Start(bank, init, count, start)


@contextmanager
def _lora(of: Beginning) -> Iterator[Start]:
    place = of.prompt.folder if of.prompt else None
    with lora(of.backbone, of.seeds[0], place) as weights:
        trained = weights if of.method.is_trained else Trainable(of.backbone, len(of.seeds))
        yield Start(trained, f"{CHECKPOINT}{place}" if place else None)


@contextmanager
def _everything(of: Beginning) -> Iterator[Start]:
    with everything(of.backbone) as weights:
        of.before(weights)
        yield Start(weights)


@contextmanager
def _nothing(of: Beginning) -> Iterator[Start]:
    if of.method.demonstrations:
        shown, embeddings = examples(of)
        trainable = Trainable(of.backbone, before=embeddings)
        yield Start(trainable, shown=shown.count, start=start_tokens(of))
        return
    prompts, init = beginnings(of) if of.method.init else ([None], None)
    yield Start(Trainable(of.backbone, len(of.seeds), before=prompts[0]), init)


STARTS: Mapping[str, Callable[[Beginning], AbstractContextManager[Start]]] = {
    "prompt": _prompts,
    "kv": _kv,
    "lora": _lora,
    "everything": _everything,
    "nothing": _nothing,
}
"""`Method.trains` → how it starts."""

LOWER = "lower --max_length"
"""What users can do about too few positions."""


def beginnings(of: Beginning) -> tuple[list[Tensor], str]:
    """The prompt [P, H] that each lane begins with, and what is told of them."""
    if of.loans:
        require_room(of, len(of.loans[0].values))
        return [one.values for one in of.loans], SOURCES
    make, init, length = prompt_init(of)
    require_room(of, length)
    shape = (length, of.backbone.hidden_size)
    return [make(shape, torch.Generator().manual_seed(seed)) for seed in of.seeds], init


def require_room(of: Beginning, length: int) -> None:
    """Refuse a prompt of so many tokens before texts where there are no positions for it."""
    of.backbone.require_room(length, of.config.max_length, of.view.renderer.width, LOWER)


def with_residuals(of: Beginning, prompts: Sequence[Tensor]) -> list[SoftPrompt]:
    """What is trained of each lane's prompt: with a network of its own, if ``--residual``."""
    size, made = of.config.residual, []
    for one, seed in zip(prompts, of.seeds, strict=True):
        generator = torch.Generator().manual_seed(seed_bits(seed, "residual") >> 1)
        made.append(SoftPrompt(one, Residual(one.shape[1], size, generator) if size else None))
    return made


def prompt_init(of: Beginning) -> tuple[Initialiser, str, int]:
    """How a method's prompts begin: the initialiser, what is told of it, and P."""
    method, backbone, config = of.method, of.backbone, of.config
    if method.init == PRETRAINED:
        assert of.prompt is not None, "prompts are chosen before anything runs"
        values = of.prompt.values(hidden_size=backbone.hidden_size, kind=backbone.kind)
        return lambda *_: values, f"{CHECKPOINT}{of.prompt}", len(values)
    vocabulary = Vocabulary(backbone.input_embeddings(), backbone.tokenizer, of.view.words)
    if method.init == RANDOM:  # uniform in ±limit has an RMS of limit / sqrt(3)
        limit = f"{float((3 * vocabulary.table.float().pow(2).mean()).sqrt()):.4g}"
        return random_uniform(float(limit)), f"random:{limit}", config.prompt_length
    if method.init == TEXT:
        words = ", ".join(of.view.renderer.verbalizer.words.values())
        written = config.init_text or INIT_TEXT.format(words=words)
        return text(vocabulary, written), f"text:{written}", config.prompt_length
    assert method.init is not None
    init = "vocabulary" if method.init == SOURCES else method.init  # a mixture begins from it
    return initialiser(init, vocabulary), init, config.prompt_length


def examples(of: Beginning) -> tuple[Demonstrations, Tensor]:
    """As many answered training examples as fit before a text, and their embeddings [P, H]."""
    backbone, view, config = of.backbone, of.view, of.config
    room = config.context_length
    if (most := backbone.positions) is not None:
        room = min(room, most - config.max_length - view.renderer.width + 1)
    return shown_examples(
        backbone, of.train.tokens, view.words, view.renderer.pattern.layout, room,
        f"for {view.task.name}: raise --context_length, or lower --max_length",
    )  # fmt: skip


def start_tokens(of: Beginning) -> tuple[int, ...]:
    """What the tokenizer puts at the start of a text; a context of examples begins with it."""
    return tuple(Encoder.of(of.backbone.tokenizer).start)
