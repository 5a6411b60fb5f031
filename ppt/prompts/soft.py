"""Soft prompts [P, H]: how they begin, and what is trained of them.

An initialiser is a closure `(shape, generator) -> [P, H]` that knows nothing of
backbones: what it needs of one is a `Vocabulary`. Results are float32 on the CPU, equal
for equal generators whatever the device. How prompts are kept is in `ppt.prompts.files`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from ppt.errors import ConfigError, require_known
from ppt.prompts.deep import DeepShape
from ppt.prompts.files import read_values
from ppt.prompts.tensors import LabelWords

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

N = TypeVar("N", int, float)

Initialiser = Callable[[tuple[int, int], torch.Generator], Tensor]
"""`(shape, generator) -> [P, H]` for the shape (P, H)."""

LARGEST = 1e30
"""What follows a name at most: float32 holds it, and sums of it."""

COMMON_TOKENS = 5000
"""Lester et al. 2021 sample from this many. Vocabularies list common tokens first."""


@dataclass(frozen=True)
class Vocabulary:
    """What initialisers may use of a backbone: its table [V, H], tokenizer, label words, kind."""

    table: Tensor
    tokenizer: "PreTrainedTokenizerBase"
    words: LabelWords | None = None
    kind: str | None = None

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [..., H] of ids [...], float32 on the CPU."""
        if int(ids.max()) >= len(self.table):
            raise ConfigError(
                f"token {self.tokenizer.convert_ids_to_tokens(int(ids.max()))!r} has the id"
                f" {int(ids.max())}, the backbone knows {len(self.table)}: give other words."
            )
        return self.table[ids.to(self.table.device)].detach().float().cpu()

    def common(self, count: int) -> Tensor:
        """The first `count` ids that are no special tokens."""
        added = self.tokenizer.added_tokens_decoder.items()
        special = {*self.tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        known = range(min(len(self.tokenizer), len(self.table)))
        return torch.tensor([i for i in known if i not in special][:count])


def random_uniform(limit: float = 0.5) -> Initialiser:
    """Uniform in ±`limit` (0.5 in Lester et al. 2021).

    The RMS is limit / sqrt(3), 0.29 for 0.5. That suits T5, whose embeddings are
    larger; those of SmolLM2-135M have 0.136, so ``random:0.24`` matches them.
    """
    return lambda shape, generator: torch.empty(shape).uniform_(-limit, limit, generator=generator)


def sampled_vocabulary(vocabulary: Vocabulary, count: int = COMMON_TOKENS) -> Initialiser:
    """Embeddings of tokens drawn from the `count` most common, none twice while they last."""
    common = vocabulary.common(count)

    def make(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        rounds = -(-shape[0] // len(common))
        drawn = [torch.randperm(len(common), generator=generator) for _ in range(rounds)]
        return vocabulary.embed(common[torch.cat(drawn)[: shape[0]]])

    return make


def class_labels(vocabulary: Vocabulary, argument: str = "") -> Initialiser:
    """The label words, each as the mean of its tokens; then sampled vocabulary."""
    words = vocabulary.words
    if argument:
        raise ConfigError(f"init 'labels:{argument}': expected labels alone.")
    if words is None:
        raise ConfigError("init 'labels' needs label words: give a verbalizer, or another --init.")
    lengths = words.lengths.cpu()[:, None] - words.end
    tokens = vocabulary.embed(words.ids) * (torch.arange(words.ids.shape[1]) < lengths)[:, :, None]
    means = tokens.sum(1) / lengths
    rest = sampled_vocabulary(vocabulary)
    return lambda shape, generator: torch.cat([means, rest(shape, generator)])[: shape[0]]


def text(vocabulary: Vocabulary, words: str) -> Initialiser:
    """The tokens of `words` from the first on: cut after P, or begun again until P are filled."""
    known = words.encode(errors="ignore").decode()
    ids = vocabulary.tokenizer(known, add_special_tokens=False)["input_ids"]
    if not ids or known != words:
        raise ConfigError(f"init 'text:{words}' has no tokens: give words, as in text:Is it good?")
    return lambda shape, _: vocabulary.embed(torch.tensor(ids)[torch.arange(shape[0]) % len(ids)])


def checkpoint(path: str, deep: DeepShape | None = None, kind: str | None = None) -> Initialiser:
    """The prompt saved at `path`, of embeddings or `deep`; its length must be the one asked for."""

    def make(shape: tuple[int, int], _: torch.Generator) -> Tensor:
        prompt = read_values(path, hidden_size=None if deep else shape[1], kind=kind, deep=deep)
        if len(prompt) != shape[0]:
            raise ConfigError(
                f"the prompt in {path} has {len(prompt)} tokens, expected {shape[0]}:"
                f" set --prompt_length {len(prompt)}, or take another prompt."
            )
        return prompt

    return make


INITS: dict[str, Callable[[Vocabulary, str], Initialiser]] = {
    "random": lambda _, limit: random_uniform(_number("random", limit, 0.5)),
    "vocabulary": lambda vocabulary, count: sampled_vocabulary(
        vocabulary, _number("vocabulary", count, COMMON_TOKENS)
    ),
    "labels": class_labels,
    "text": text,
    "checkpoint": lambda vocabulary, path: checkpoint(path, kind=vocabulary.kind),
}
"""``--init`` → factory of the initialiser, from the vocabulary and what follows the colon."""


def initialiser(init: str, vocabulary: Vocabulary) -> Initialiser:
    """What `--init` names: random, vocabulary, labels, text:<words> or checkpoint:<path>.

    A number may follow the first two: ``random:0.2``, ``vocabulary:1000``.
    """
    name, _, argument = init.partition(":")
    require_known("init", name, INITS)
    return INITS[name](vocabulary, argument)


def _number(name: str, argument: str, default: N) -> N:
    """The number in `argument`, of the default's kind."""
    kind = type(default)
    try:
        number = kind(argument or default)
    except ValueError:
        number = kind(-1)
    if not 0 < number <= LARGEST:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"init '{name}:{argument}': expected {what} above 0, as {default}.")
    return number


class Residual(nn.Module):
    """The residual of residual prompt tuning: [.., P, H] → [.., P, H] (Razdaibiedina et al. 2023).

    Of deep prompts, [.., P, D], it is the network of Li and Liang 2021 (section 4.3).

    One bottleneck network for all tokens: down, ReLU, up, layer norm. Unlike there, the
    norm's gain begins at 0, so that training starts from exactly the prompt that the
    initialiser made, whatever the scale of the backbone's embeddings.
    """

    def __init__(self, hidden_size: int, bottleneck: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, bottleneck)
        self.up = nn.Linear(bottleneck, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        with torch.no_grad():
            for layer in (self.down, self.up):
                limit = layer.in_features**-0.5
                layer.weight.uniform_(-limit, limit, generator=generator)
                layer.bias.zero_()
            self.norm.weight.zero_()

    def forward(self, prompt: Tensor) -> Tensor:
        """What is added to each token."""
        added: Tensor = self.norm(self.up(torch.relu(self.down(prompt))))
        return added


class SoftPrompt(nn.Module):
    """What is trained: `values` [P, H], perhaps with a `residual` network.

    Calling it gives the prompt to score with.
    """

    def __init__(self, values: Tensor, residual: Residual | None = None) -> None:
        super().__init__()
        self.values = nn.Parameter(values.detach().float().clone())
        self.residual = residual

    def forward(self) -> Tensor:
        """The prompt [P, H], float32, with gradient."""
        return self.values if self.residual is None else self.values + self.residual(self.values)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """The prompt to keep: the residual is folded in, so that nothing else need be saved."""
        prompt: Tensor = self()
        return prompt.cpu().clone()
