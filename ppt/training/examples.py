"""A corpus as tokens: what training and evaluation read, packed in memory.

Rows flow from Arrow batches through the tokenizer into packed arrays; only one shard
and some thousand rows are Python objects at a time. A token takes 4 bytes, so a million
examples of 100 tokens take 0.4 GB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

from ppt.corpus.storage import Corpus
from ppt.errors import InputError
from ppt.prompts.batches import TokenRows, pack
from ppt.prompts.patterns import Example
from ppt.prompts.rendering import ROWS_AT_ONCE, Renderer
from ppt.prompts.tensors import LabelWords

BAR_FROM = 20_000
"""Fewer rows than this are tokenised before a bar could be read."""


@dataclass(frozen=True)
class Examples:
    """Training and validation rows, and the label words that score them."""

    train: TokenRows
    validation: TokenRows
    words: LabelWords


def load_examples(
    corpus: Corpus,
    renderer: Renderer,
    max_train: int | None = None,
    max_eval: int | None = None,
    *,
    progress: bool = True,
) -> Examples:
    """Both splits of a corpus, each the head of its shards up to its limit."""

    def load(split: str, limit: int | None) -> TokenRows:
        count = min(corpus.manifest.rows[split], limit or corpus.manifest.rows[split])
        if not count:
            raise InputError(
                f"{corpus.folder} has no {split} examples: build it from more documents, with "
                "--validation_fraction above 0 and below 1."
            )
        rendered = renderer.rows(head(corpus, split, count))
        hidden = not progress or count < BAR_FROM
        return pack(tqdm(rendered, f"{split} rows", count, disable=hidden))

    return Examples(load("train", max_train), load("validation", max_eval), renderer.words())


def head(corpus: Corpus, split: str, count: int) -> Iterator[Example]:
    """The first `count` rows of a split, read shard by shard."""
    for table in corpus.tables(split):
        for batch in table.slice(0, count).to_batches(max_chunksize=ROWS_AT_ONCE):
            yield from batch.to_pylist()
        count -= table.num_rows
        if count <= 0:
            return
