"""What is read of a part of the input: split documents by shard, and notes of how they relate."""

from collections import defaultdict

import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.flags import KEEP
from pipelines.packets import KeyedDocument, Records
from ppt.base.text import content_key, document_key, normalise
from ppt.corpus.records import Document, Reject
from ppt.corpus.repeats import STANDING, standing
from ppt.corpus.shingles import SAMPLE, sample_shingles
from ppt.text.sentences import Splitter, better_splitter, join_markers

_SAMPLED_CHARACTERS = 500_000
"""Text held until its shingles are sampled: short documents share the work."""


class Gathering:
    """Documents and rejects of `shards`, as if each document were alone, and `characters` of text.

    Of equal documents the first alone is split. Those of too few sentences, which their shard
    will reject, relate to none.
    """

    def __init__(self, config: BuildConfig, splitter: Splitter) -> None:
        self.shards: dict[ShardKey, Records] = defaultdict(Records)
        self.characters = 0
        self._config, self._splitter = config, splitter
        self._seen: set[bytes] = set()
        self._held: dict[int, str] = {}
        self._held_characters = 0
        self._samples = [np.empty(0, SAMPLE)]
        self._standings = [np.empty(0, STANDING)]

    def add(self, record: Document | Reject) -> None:
        """Take in one more record."""
        if isinstance(record, Reject):
            shard = self._config.reject_shard(record.source, record.offset)
            self.shards[shard].rejects.append(record)
            return
        text = normalise(record.text)
        key = document_key(text)
        first = key not in self._seen
        self._seen.add(key)
        sentences = join_markers(self._splitter(text)) if first else []
        hint = better_splitter(text, len(sentences)) if first else ""
        document = KeyedDocument(
            key, record.id, sentences, record.source, record.offset, len(text), hint
        )
        shard = self._config.shard_in(self._config.split_of(document.number), document.number)
        self.shards[shard].documents.append(document)
        self.characters += len(text)
        if len(sentences) >= self._config.min_sentences:
            keys = list({*map(content_key, sentences)})
            self._standings.append(standing(document.number, keys))
            self._hold(document.number, text)

    def _hold(self, number: int, text: str) -> None:
        if self._config.near_duplicates == KEEP:
            return
        self._held[number] = text
        self._held_characters += len(text)
        if self._held_characters >= _SAMPLED_CHARACTERS:
            self._sample()

    def _sample(self) -> None:
        self._samples.append(sample_shingles([*self._held], [*self._held.values()]))
        self._held.clear()
        self._held_characters = 0

    def samples(self) -> np.ndarray:
        """The samples of all documents' shingles."""
        self._sample()
        return np.concatenate(self._samples)

    def standings(self) -> np.ndarray:
        """Where the keys of all sentences stand."""
        return np.concatenate(self._standings)
