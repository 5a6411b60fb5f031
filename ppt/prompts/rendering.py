"""Rendering: examples and label words become token ids, whatever the text or tokenizer.

The laws: a rendered example has exactly one mask token (cloze) or ends where the label
word begins (suffix); it is never longer than the limit; literals, letters and mask are
whole; fields and options share the room under one water level, so that the longest are
cut first and short ones stay whole; text that spells a special token stays text.

*Whole texts are tokenised*, each side of the mask in one piece, so that the spaces
and merges at the joints are those the backbone was trained on. Lengths of parts do not
add up then, so a row that is too long is cut as text, tokenised again and measured
until it fits. Joining separately tokenised parts would be additive, but would give
unusual tokens to every row for the sake of the few that are too long.

*Special tokens.* What the tokenizer puts around a text (BOS for Llama-like models,
``</s>`` for T5) is kept, except that a suffix layout ends before any EOS. The soft
prompt comes before all of it (prompt, BOS, text): PEFT prepends to the embeddings of
``input_ids``, so our prompts give equal logits there, and a row is the same with and
without a prompt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

import torch

from ppt.errors import ConfigError, InputError
from ppt.prompts.encoder import Encoder, Ids, mask_id, word_ends
from ppt.prompts.fitting import fit
from ppt.prompts.patterns import (
    TARGETS,
    Cells,
    Example,
    Literal,
    Pattern,
    Verbalizer,
    answers_of,
    standard_pattern,
    standard_verbalizer,
)
from ppt.prompts.tensors import LabelWords

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


OPTION_TOKENS = 48
"""Of an option that is an answer; longer ones tell enough by then."""

ROWS_AT_ONCE = 2000
"""Rows tokenised in one call: enough to keep all cores busy, some 100 MB of encodings."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An example as tokens. `options` is how many it has; 0: every label may be right.

    `choices` are their tokens, where the texts of options are the answers.
    """

    ids: Ids
    label: int
    options: int
    cut: bool
    choices: tuple[Ids, ...] = ()


def _tokenise(encoder: Encoder, forms: Sequence[Pattern], cells: Sequence[Cells]) -> list[Ids]:
    """The ids of each row: its text, the mask, and what the tokenizer puts around them."""
    texts = [form.fill(row) for form, row in zip(forms, cells, strict=True)]
    sides = encoder.encode(list(chain.from_iterable(texts)))
    if not forms or forms[0].layout != "cloze":
        end = encoder.end if forms and forms[0].layout in TARGETS else []
        return [encoder.start + before + end for before in sides[::2]]
    mask = [mask_id(encoder.tokenizer)]
    return [
        encoder.start + before + mask + after + encoder.end
        for before, after in zip(sides[::2], sides[1::2], strict=True)
    ]


def label_words(
    verbalizer: Verbalizer, pattern: Pattern, tokenizer: "PreTrainedTokenizerBase"
) -> LabelWords:
    """The label words as the tokens that they are at the mask of `pattern`.

    A word is tokenised after the literal that stands before the mask, and what that
    literal takes is left out. So the space goes where the tokenizer puts it: " yes"
    is one token of a byte-level BPE, as "▁yes" is of T5 after ``<extra_id_0>``.

    A score is the product of a word's tokens, so that of a word which begins another
    ("good", "good enough") could never be the lower one. Where a set has such words, each
    of its words is scored with what ends it (`word_ends`); other sets are left alone.
    """
    encoder = Encoder.of(tokenizer)
    last = pattern.before[-1] if pattern.before else Literal("")
    context = last.text if isinstance(last, Literal) else "a"
    found = encoder.after(context, [pattern.space + word for word in verbalizer.words.values()])
    tokens: dict[tuple[int, ...], str] = {}
    for (label, word), ids in zip(verbalizer.words.items(), map(tuple, found), strict=True):
        if not ids:
            raise ConfigError(f"the word {word!r} of label {label!r} has no tokens: take another.")
        if ids in tokens:
            raise ConfigError(
                f"labels {tokens[ids]!r} and {label!r} have words of equal tokens {list(ids)}"
                f" ({verbalizer.words[tokens[ids]]!r} and {word!r}): take other words."
            )
        tokens[ids] = label
    end = _end(found, list(verbalizer.words.values()), encoder, pattern.layout)
    lengths = torch.tensor([len(ids) + len(end) for ids in found])
    rows = [torch.tensor([*ids, *end]) for ids in found]
    return LabelWords(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths, len(end))


def _end(tokens: Sequence[Ids], words: Sequence[str], encoder: Encoder, layout: str) -> Ids:
    """What must follow each word so that none begins another: nothing, where none does."""
    for end in [[], *word_ends(encoder, layout)]:
        closed = sorted(([*ids, *end], word) for ids, word in zip(tokens, words, strict=True))
        begun = [(a, b) for (i, a), (j, b) in pairwise(closed) if j[: len(i)] == i]
        if not begun:
            return end
    shorter, longer = begun[0]
    raise ConfigError(
        f"the label word {shorter!r} begins {longer!r}, which could never be the likelier one, as"
        " nothing in the tokenizer tells where words end: take words that begin differently."
    )


@dataclass(frozen=True)
class Renderer:
    """How rows become tokens: pattern, words, the backbone's tokenizer, tokens at most.

    `by_text` says that a row's answers are the texts of its options, not the verbalizer's words.
    """

    pattern: Pattern
    verbalizer: Verbalizer
    tokenizer: Any
    max_length: int
    by_text: bool = False

    @classmethod
    def standard(
        cls, format_name: str, layout: str, style: str, tokenizer: Any, max_length: int,
        answers: str = "letters",
    ) -> "Renderer":  # fmt: skip
        """The renderer of a corpus format in the layout of a backbone."""
        pattern = standard_pattern(format_name, layout, style, answers)
        words = standard_verbalizer(format_name)
        return cls(pattern, words, tokenizer, max_length, by_text=answers == "texts")

    @property
    def width(self) -> int:
        """Tokens of the longest answer."""
        return OPTION_TOKENS if self.by_text else self.words().ids.shape[1]

    def words(self) -> LabelWords:
        """The label words as tokens at the pattern's mask."""
        return label_words(self.verbalizer, self.pattern, self.tokenizer)

    def rows(self, examples: Iterable[Example]) -> Iterator[Rendered]:
        """Each example as at most `max_length` tokens, in order; any number, lazily.

        Raises InputError for a row that the pattern cannot show, ConfigError for too little room.
        """
        encoder, rest = Encoder.of(self.tokenizer), iter(examples)
        while chunk := list(islice(rest, ROWS_AT_ONCE)):
            rendered = _rendered(chunk, self.pattern, encoder, self.max_length)
            if not self.by_text:
                yield from rendered
                continue
            choices = _option_tokens(chunk, self.pattern, encoder)
            for row, own in zip(rendered, choices, strict=True):
                yield replace(row, choices=own, options=len(own))


def _rendered(
    examples: Sequence[Example], pattern: Pattern, encoder: Encoder, max_tokens: int
) -> Iterator[Rendered]:
    forms = [pattern.form(example) for example in examples]
    cells = [form.cells(example) for form, example in zip(forms, examples, strict=True)]
    rows = _tokenise(encoder, forms, cells)
    long = [i for i, ids in enumerate(rows) if len(ids) > max_tokens]

    def tokenise_long(which: Sequence[int], cut: Sequence[Cells]) -> list[Ids]:
        return _tokenise(encoder, [forms[long[i]] for i in which], cut)

    whole = [len(rows[i]) for i in long]
    fitted = fit([cells[i] for i in long], whole, tokenise_long, encoder, max_tokens)
    cut = dict(zip(long, fitted, strict=True))
    for i, (example, form) in enumerate(zip(examples, forms, strict=True)):
        yield Rendered(cut.get(i, rows[i]), example["label"], form.letters(example), i in cut)


def _option_tokens(
    examples: Sequence[Example], pattern: Pattern, encoder: Encoder
) -> Iterator[tuple[Ids, ...]]:
    """The options of each example as the tokens that they are at the mask of its pattern.

    They are cut after `OPTION_TOKENS`. Raises InputError for a row without its right option.
    """
    options = [
        [pattern.form(example).space + text for text in answers_of(example)] for example in examples
    ]
    tokens = iter(encoder.encode(list(chain.from_iterable(options))))
    for own in options:
        found = tuple(next(tokens)[:OPTION_TOKENS] for _ in own)
        if not all(found):
            raise InputError(f"an option of {own!r:.200} has no tokens: give it some text.")
        yield found
