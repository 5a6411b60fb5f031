"""A tokenizer as rendering needs it: what it puts around texts, and its special tokens kept out.

transformers' `split_special_tokens=True` does not suffice to keep a user's ``</s>``
from becoming one. It only stops the search for added tokens, but T5 and mT5 have
theirs in the vocabulary of the Unigram model too, with the best score of all. So ids
are checked after encoding, and a special one is spelled out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from ppt.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = list[int]

SENTINELS = ("<extra_id_{}>", "▁<extra_id_{}>")
"""T5's masks, and mT5's, which are ordinary words of its vocabulary; each has 100."""

MASKED = ("cloze", "sentinel")
"""Layouts in which a sentinel stands before what the decoder says (`patterns.TEXTS`)."""


@dataclass(frozen=True)
class Encoder:
    """A tokenizer, the ids it puts at `start` and `end` of a text, and its `special` ids."""

    tokenizer: "PreTrainedTokenizerBase"
    start: Ids
    end: Ids
    special: frozenset[int]

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> "Encoder":
        """Find out what `tokenizer` adds to a text by a probe."""
        bare, whole = (tokenizer("a", add_special_tokens=add).input_ids for add in (False, True))
        at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), None)
        if not bare or at is None:
            raise ConfigError(
                f"the tokenizer {tokenizer.name_or_path!r} makes {bare} of 'a', and {whole} with"
                " special tokens: expected these around the same ids: take the backbone's own."
            )
        return cls(tokenizer, whole[:at], whole[at + len(bare) :], _special_ids(tokenizer))

    @property
    def document_end(self) -> Ids:
        """The end of a document: that of a text or, where the tokenizer ends none, its EOS."""
        eos = self.tokenizer.eos_token_id
        return self.end or ([] if eos is None else [eos])

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, without `start` and `end`; none of them is `special`."""
        rows = self._call(texts)["input_ids"] if texts else []
        return [row if self.special.isdisjoint(row) else self._spell_out(row) for row in rows]

    def after(self, context: str, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text where it stands after `context`, without those of `context`.

        A text that fuses with it has the ids that it has alone.
        """
        stem, *joined = self.encode([context] + [context + text for text in texts])
        follows = [whole[len(stem) :] if whole[: len(stem)] == stem else [] for whole in joined]
        return [ids or bare for ids, bare in zip(follows, self.encode(texts), strict=True)]

    def token_ends(self, texts: Sequence[str]) -> list[list[int]]:
        """For each text the number of characters up to the end of each of its tokens.

        Tokenizers in Python know no offsets: there all tokens count as equally long.
        """
        encoded = self._call(texts, return_offsets_mapping=True) if texts else {"input_ids": []}
        if "offset_mapping" in encoded:
            return [[end for _, end in spans] for spans in encoded["offset_mapping"]]
        return [
            [len(text) * (i + 1) // len(ids) for i in range(len(ids))]
            for text, ids in zip(texts, encoded["input_ids"], strict=True)
        ]

    def _call(self, texts: Sequence[str], **options: bool) -> Any:
        return self.tokenizer(
            list(texts),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
            **options,
        )

    def _spell_out(self, ids: Ids) -> Ids:
        """`ids` with each special one as the ids of its letters, in two halves."""
        spelled = {}
        for token in self.special.intersection(ids):
            name = self.tokenizer.convert_ids_to_tokens(token).removeprefix("▁")
            middle = len(name) // 2
            halves = self._call([name[:middle], name[middle:]])["input_ids"]
            spelled[token] = [i for i in chain(*halves) if i not in self.special]
        return list(chain.from_iterable(spelled.get(i, (i,)) for i in ids))


def mask_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """What stands for the label word in a cloze: T5's first sentinel, or a mask token."""
    for token in (*_sentinels(tokenizer, 0), tokenizer.mask_token_id):
        if token not in {None, tokenizer.unk_token_id}:
            return int(token)
    raise ConfigError(
        f"the tokenizer {tokenizer.name_or_path!r} has neither {SENTINELS[0].format(0)} nor a mask"
        " token, which a cloze pattern needs: take a suffix pattern for a causal model."
    )


def word_ends(encoder: Encoder, layout: str) -> list[Ids]:
    """What may say that a label word ends, the likeliest first.

    A causal model goes to the next line, as patterns and demonstrations do; T5 says its
    second sentinel, as in pre-training. Where there is neither, a text ends.
    """
    tokenizer = encoder.tokenizer
    if layout == "suffix":
        ends = encoder.after("a", ["\n"])
    else:
        ends = [[token] for token in _sentinels(tokenizer, 1) if layout in MASKED]
    ends = [ids for ids in ends if ids and tokenizer.unk_token_id not in ids]
    return ends + ([] if tokenizer.eos_token_id is None else [[tokenizer.eos_token_id]])


def sentinel_ids(tokenizer: "PreTrainedTokenizerBase") -> Ids:
    """All of T5's masks, in their order; none where the tokenizer has none."""
    return [ids[0] for ids in (_sentinels(tokenizer, number) for number in range(100)) if ids]


def _sentinels(tokenizer: "PreTrainedTokenizerBase", number: int) -> Ids:
    """The ids of the sentinel of that number, in the spellings that are known."""
    spelled = [spelling.format(number) for spelling in SENTINELS]
    ids = tokenizer.convert_tokens_to_ids(spelled)
    return [token for token in ids if token not in {None, tokenizer.unk_token_id}]


def _special_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """All special ids but `<unk>`, which any text may hold (unless it is also BOS, as in GPT-2)."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    masks = [spelling.format(i) for spelling in SENTINELS for i in range(100)]
    named = {*tokenizer.all_special_ids, *tokenizer.convert_tokens_to_ids(masks)}
    marks = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id}
    return frozenset((added | named) - ({tokenizer.unk_token_id} - marks) - {None})
