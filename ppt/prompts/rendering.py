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

from ppt.errors import ConfigError, InputError
from ppt.prompts.encoder import Encoder, Ids, mask_id, word_ends
from ppt.prompts.patterns import (
    TARGETS,
    Cells,
    Example,
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
    last = pattern.before[-1] if pattern.before else ""
    context = last if isinstance(last, str) else "a"
    found = encoder.after(context, [pattern.space + word for word in verbalizer.words.values()])
    tokens: dict[tuple[int, ...], str] = {}
    for (label, word), ids in zip(verbalizer.words.items(), map(tuple, found), strict=True):
        if not ids:
            raise ConfigError(f"the word {word!r} of label {label!r} has no tokens: take another.")
        if tokenizer.unk_token_id in ids:
            raise ConfigError(
                f"the word {word!r} of label {label!r} has signs that the tokenizer does not know,"
                " so no model can say it: take another."
            )
        if ids in tokens:
            raise ConfigError(
                f"labels {tokens[ids]!r} and {label!r} have words of equal tokens {list(ids)}"
                f" ({verbalizer.words[tokens[ids]]!r} and {word!r}): take other words."
            )
        tokens[ids] = label
    end = _end(found, list(verbalizer.words.values()), encoder, pattern.layout)
    return LabelWords.of([[*ids, *end] for ids in found], len(end))


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
    cut = _fitted(forms, cells, rows, encoder, max_tokens)
    for i, (example, form) in enumerate(zip(examples, forms, strict=True)):
        yield Rendered(cut.get(i, rows[i]), example["label"], form.letters(example), i in cut)


def _fitted(
    forms: Sequence[Pattern],
    cells: Sequence[Cells],
    whole: Sequence[Ids],
    encoder: Encoder,
    max_tokens: int,
) -> dict[int, Ids]:
    """Cut the cells of each row that is too long under one water level until its ids are
    `max_tokens` or fewer: by number, of the rows whose ids are `whole`.

    A cell's token count by itself only guides the cuts: each try is measured, and where it fails,
    the room shrinks in proportion and by one token at least, so it ends with empty cells at the
    latest. Nearly all rows fit at the first try.
    """
    todo = [i for i, ids in enumerate(whole) if len(ids) > max_tokens]
    empty = [dict.fromkeys(cells[i], "") for i in todo]
    fitted = dict(zip(todo, _tokenise(encoder, [forms[i] for i in todo], empty), strict=True))
    least = {i: len(ids) for i, ids in fitted.items()}
    if max(least.values(), default=0) > max_tokens:
        raise ConfigError(
            f"at most {max_tokens} tokens are allowed, but the pattern's own words, letters and"
            f" special tokens take {max(least.values())}: raise --max_length to that at least."
        )
    ends = iter(encoder.token_ends([text for i in todo for text in cells[i].values()]))
    parts = {i: [(key, text, next(ends)) for key, text in cells[i].items()] for i in todo}
    sizes = {i: [len(ends) for _, _, ends in own] for i, own in parts.items()}
    # less, where cells merge
    fixed = {i: min(least[i], len(whole[i]) - sum(sizes[i])) for i in todo}
    rooms = {i: max_tokens - length for i, length in fixed.items()}
    while todo:
        shares = [water_fill(sizes[i], rooms[i]) for i in todo]
        cut = [_cut(parts[i], share) for i, share in zip(todo, shares, strict=True)]
        tried = _tokenise(encoder, [forms[i] for i in todo], cut)
        failed = []
        for i, share, ids in zip(todo, shares, tried, strict=True):
            if len(ids) <= max_tokens:
                fitted[i] = ids
                continue
            kept, room = sum(share), max_tokens - fixed[i]
            rooms[i] = min(kept * room // (len(ids) - fixed[i]), kept - 1)
            failed.append(i)
        todo = failed
    return fitted


def _cut(cells: Sequence[tuple[str, str, list[int]]], shares: Sequence[int]) -> Cells:
    """The first tokens of each cell, as many as its share, as text."""
    return {
        key: "" if share == 0 else text if share == len(ends) else text[: ends[share - 1]]
        for (key, text, ends), share in zip(cells, shares, strict=True)
    }


def water_fill(lengths: Sequence[int], room: int) -> list[int]:
    """Share `room` out under one level: the longest get less than their length first.

    What the level's rounding leaves goes one by one to the first that are cut, so
    the shares sum to `room`, or to all lengths where there is room for all.
    """
    left, level = room, 0
    for waiting, length in zip(range(len(lengths), 0, -1), sorted(lengths), strict=True):
        level = max(left // waiting, 0)
        if length > level:
            break
        left -= length
    shares = [min(length, level) for length in lengths]
    spare = room - sum(shares)
    for i, length in enumerate(lengths):
        if spare > 0 and length > shares[i]:
            shares[i] += 1
            spare -= 1
    return shares


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
