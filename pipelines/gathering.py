"""What is read of a part of the input: split documents by shard, and notes of how they relate."""

import json
import posixpath
from collections import defaultdict

import numpy as np

from pipelines.config import BuildConfig, ShardKey
from pipelines.flags import KEEP
from pipelines.packets import REJECT_CHARACTERS, KeyedDocument, Records, by_place
from pipelines.stores import is_local, opened
from ppt.base.text import content_keys, document_key, normalise
from ppt.corpus.records import Document, Reject
from ppt.corpus.repeats import STANDING, standing
from ppt.corpus.shingles import SAMPLE, sample_shingles
from ppt.text.punkt import PunktSplitter
from ppt.text.sentences import Splitter, better_splitter, get_splitter, join_markers, read_punkt

_HELD_CHARACTERS = 500_000
"""Text held until notes are taken of it: short documents share the work."""


class Gathering:
    """Documents and rejects of `shards`, as if each document were alone, and `characters` of text;
    `size` are these and what rejects take.

    Of equal documents the first of enough sentences alone keeps them. Those of too few, which
    their shard will reject, relate to none.
    """

    def __init__(self, config: BuildConfig, splitter: Splitter) -> None:
        self.shards: dict[ShardKey, Records] = defaultdict(Records)
        self.characters = self.size = 0
        self._config, self._splitter = config, splitter
        self._is_foreign = config.foreign_to_labeller()
        self._seen: dict[bytes, int] = {}
        self._held: list[tuple[int, str, list[str]]] = []
        self._held_characters = 0
        self._samples = [np.empty(0, SAMPLE)]
        self._standings = [np.empty(0, STANDING)]

    def add(self, record: Document | Reject) -> None:
        """Take in one more record."""
        if isinstance(record, Reject):
            shard = self._config.reject_shard(record.source, record.offset)
            self.shards[shard].rejects.append(record)
            self.size += REJECT_CHARACTERS
            return
        text = normalise(record.text)
        document = KeyedDocument(
            document_key(text), record.id, (), record.source, record.offset, len(text),
            notes=json.dumps(record.notes),
        )  # fmt: skip
        shard = self._config.shard_in(self._config.split_of(document.number), document.number)
        documents = self.shards[shard].documents
        self.characters += len(text)
        self.size += len(text)
        place = self._seen.setdefault(document.key, len(documents))
        first = documents[place] if place < len(documents) else None
        if first is None or by_place(document._replace(few=False)) < by_place(first):
            document = self._split(document, text)
            if first and by_place(document) < by_place(first):
                documents[place], self._seen[document.key] = first.emptied(), len(documents)
            elif first:
                document = document.emptied()
        documents.append(document)

    def _split(self, document: KeyedDocument, text: str) -> KeyedDocument:
        sentences = join_markers(self._splitter(text))
        few = len(sentences) < self._config.min_sentences
        if not few:
            self._held.append((document.number, text, content_keys(sentences)))
            self._held_characters += len(text)
            if self._held_characters >= _HELD_CHARACTERS:
                self._note()
        return document._replace(
            sentences=sentences,
            hint=better_splitter(text, len(sentences)),
            foreign=self._is_foreign(text),
            few=few,
        )

    def _note(self) -> None:
        numbers, texts, keys = zip(*self._held, strict=True) if self._held else ((), (), ())
        self._standings.append(standing(numbers, keys))
        if self._config.near_duplicates != KEEP:
            self._samples.append(sample_shingles(numbers, texts))
        self._held.clear()
        self._held_characters = 0

    def notes(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples of all documents' shingles, and where the keys of all sentences stand."""
        self._note()
        return np.concatenate(self._samples), np.concatenate(self._standings)


def find_splitter(name: str) -> Splitter:
    """As `ppt.text.sentences.get_splitter`; parameters may also lie in a store."""
    folder = name.removeprefix("punkt:")
    if is_local(folder):
        return get_splitter(name)

    def read(file: str) -> str:
        with opened(posixpath.join(folder, file)) as stored:
            return stored.read().decode()

    return PunktSplitter(read_punkt(folder, read))
