"""A corpus as tokens: what training and evaluation read, packed in memory.

Rows flow from Arrow batches through the tokenizer into packed arrays; only one shard
and some thousand rows are Python objects at a time. A token takes 4 bytes, so a million
examples of 100 tokens take 0.4 GB.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from ppt.batches import TokenRows, pack
from ppt.corpus import Corpus
from ppt.errors import InputError
from ppt.patterns import Example, Pattern, Verbalizer, standard_pattern, standard_verbalizer
from ppt.rendering import ROWS_AT_ONCE, Rendered, label_words, render_batch
from ppt.tensors import LabelWords

LAYOUTS = {"causal": "suffix", "seq2seq": "cloze"}
"""Kind of backbone → layout of its patterns."""

BAR_FROM = 20_000
"""Fewer rows than this are tokenised before a bar could be read."""


@dataclass(frozen=True)
class Examples:
    """Training and validation rows, and the label words that score them."""

    train: TokenRows
    validation: TokenRows
    words: LabelWords
    cut_share: float = 0.0


@dataclass(frozen=True)
class Renderer:
    """How rows become tokens: pattern, words, the backbone's tokenizer, tokens at most."""

    pattern: Pattern
    verbalizer: Verbalizer
    tokenizer: Any
    max_length: int

    @classmethod
    def standard(
        cls, format_name: str, kind: str, style: str, tokenizer: Any, max_length: int
    ) -> "Renderer":
        """The renderer of a corpus format for a kind of backbone."""
        pattern = standard_pattern(format_name, LAYOUTS[kind], style)
        return cls(pattern, standard_verbalizer(format_name), tokenizer, max_length)

    def words(self) -> LabelWords:
        """The label words as tokens at the pattern's mask."""
        return label_words(self.verbalizer, self.pattern, self.tokenizer)

    def rows(self, examples: Iterator[Example]) -> Iterator[Rendered]:
        """Each example as tokens, lazily."""
        return render_batch(examples, self.pattern, self.tokenizer, self.max_length)


def load_examples(
    corpus: Corpus,
    renderer: Renderer,
    max_train: int | None = None,
    max_eval: int | None = None,
    *,
    progress: bool = True,
) -> Examples:
    """Both splits of a corpus, each the head of its shards up to its limit."""
    cuts = [0, 0]

    def load(split: str, limit: int | None) -> TokenRows:
        count = min(corpus.manifest.rows[split], limit or corpus.manifest.rows[split])
        if not count:
            raise InputError(
                f"{corpus.folder} has no {split} examples: build it from more documents, with "
                "--validation_fraction above 0 and below 1."
            )
        rendered = renderer.rows(head(corpus, split, count))
        hidden = not progress or count < BAR_FROM
        return pack(_counted(tqdm(rendered, f"{split} rows", count, disable=hidden), cuts))

    train, validation = load("train", max_train), load("validation", max_eval)
    return Examples(train, validation, renderer.words(), cuts[1] / cuts[0])


def head(corpus: Corpus, split: str, count: int) -> Iterator[Example]:
    """The first `count` rows of a split, read shard by shard."""
    for table in corpus.tables(split):
        for batch in table.slice(0, count).to_batches(max_chunksize=ROWS_AT_ONCE):
            yield from batch.to_pylist()
        count -= table.num_rows
        if count <= 0:
            return


def _counted(rendered: Iterator[Rendered], cuts: list[int]) -> Iterator[Rendered]:
    """Pass rows on; adds the number of rows and of those that were cut to `cuts`."""
    for row in rendered:
        cuts[0] += 1
        cuts[1] += row.cut
        yield row
