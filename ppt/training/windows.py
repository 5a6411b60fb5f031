"""Raw documents → packed windows of T tokens, on disk, in constant memory.

Documents flow through the tokenizer into two files of int32, one a split, that training maps;
so any order of windows costs nothing, and a run that goes on reads no document again. Which
split a document is in depends on its content alone; equal ones are never in both.
"""

import hashlib
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from ppt.base.files import TO_GO_ON, appearing, file_digest, synced, write_synced, writing
from ppt.base.text import document_key, document_number, in_parts, normalise
from ppt.corpus.records import REASONS, Reject
from ppt.errors import InputError, visible
from ppt.prompts.encoder import Encoder, Ids
from ppt.prompts.foreign import read_object
from ppt.prompts.spans import Tokens
from ppt.tasks.documents import documents, find_documents
from ppt.training.shared import DocumentSettings

TOKENS, FACTS, REJECTS = "tokens", "documents.json", "rejects.jsonl"
"""A run's folder of them; what was read, in it; what was not, a line each."""

TRAIN, HELD_OUT = "train", "held_out"

CHARACTERS_AT_ONCE = 1 << 20
"""Of documents that are tokenised in one call."""


@dataclass(frozen=True)
class Windows:
    """Windows [N, T] of both splits, and what is known of the documents that they hold."""

    train: Tokens
    held_out: Tokens
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, length: int) -> "Windows":
        """The windows that `write_windows` wrote, mapped."""
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        train, held_out = (
            np.memmap(folder / name, np.int32, "r").reshape(-1, length)
            for name in (TRAIN, HELD_OUT)
        )
        return cls(train, held_out, facts)

    @classmethod
    def kept(cls, folder: Path, length: int) -> "Windows":
        """Those of a run that goes on; raises InputError where they were changed since."""
        try:
            digests = read_object(folder / FACTS)["sha256"]
            same = all(file_digest(folder / one) == digests[one] for one in (TRAIN, HELD_OUT))
        except (OSError, InputError, LookupError, TypeError):
            same = False
        if not same:
            raise InputError(
                f"the tokens in {folder} are not as they were written: remove that folder, and run"
                " the same command again to read the documents anew."
            )
        return cls.of(folder, length)

    def told(self) -> dict[str, str]:
        """What a card tells people of them."""
        counts, (n, length) = self.facts["documents"], self.train.shape
        rejected = sum(number for name, number in counts.items() if name in REASONS)
        return {
            "corpus": self.facts["corpus"],
            "documents": f"{sum(counts.values()):,} read: "
            + ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())
            + ("" if rejected else ", none rejected"),
            "windows": f"{n:,} to train on, {len(self.held_out):,} held out, of {length} tokens",
            "tokens sha256": self.facts["sha256"][TRAIN],
        }


@dataclass
class Reading:
    """The documents of a command's flags, split, and what becomes of every record.

    `counts` has documents by split, those that were "not needed" (their split was full), and
    rejects by reason; together they are the records that were read.
    """

    corpus: str
    settings: DocumentSettings
    counts: Counter[str] = field(default_factory=Counter)
    note: Callable[[Reject], object] = lambda _: None
    """Told of each reject."""
    rejected: str = ""
    """What a message tells of rejects: the first."""

    def __post_init__(self) -> None:
        own = self.settings.eval_corpus
        self._paths = find_documents(self.corpus)
        self._own = find_documents(own, "--eval_corpus") if own else []
        self.paths = self._own + self._paths

    def texts(self) -> Iterator[tuple[str, str]]:
        """(split, normalised text) of each document; those of ``--eval_corpus`` come first."""
        held_out: set[bytes] = set()
        for text in self._read(self._own):
            held_out.add(document_key(text))
            yield HELD_OUT, text
        for text in self._read(self._paths):
            key = document_key(text)
            if self._own:
                split = TRAIN if key not in held_out else "held out from training"
            else:
                is_out = document_number(key) < self.settings.held_out * 2.0**64
                split = HELD_OUT if is_out else TRAIN
            yield split, text

    def training_texts(self, characters: int) -> Iterator[str]:
        """The head of the training split, of so many characters; counts nothing."""
        again = Reading(self.corpus, self.settings)
        for split, text in again.texts():
            if split == TRAIN:
                yield text
                characters -= len(text)
            if characters <= 0:
                return

    def _read(self, paths: Sequence[Path]) -> Iterator[str]:
        return map(normalise, documents(paths, self.settings.text_field, self._reject))

    def _reject(self, one: Reject) -> None:
        self.note(one)
        told = visible(f"{one.reason}, {one.detail:.200}")
        self.rejected = self.rejected or f" (not read: {one.source} at {one.offset}, {told})"
        self.counts[one.reason] += one.records


def write_windows(
    folder: Path,
    reading: Reading,
    encoder: Encoder,
    length: int,
    limits: Mapping[str, int],
    on_window: Callable[[int], None] = lambda _: None,
) -> None:
    """Pack documents into windows of `length` tokens until each split has as many as `limits`.

    Each document has the special tokens of a text around it, and an end (`document_end`).
    Raises InputError where a split would stay empty.
    """
    places = [folder / name for name in (TRAIN, HELD_OUT, REJECTS)]
    with synced(places[0]) as train, synced(places[1]) as held_out, synced(places[2]) as rejects:
        reading.note = lambda one: rejects.write(
            (json.dumps(one.as_dict(), ensure_ascii=False) + "\n").encode(errors="replace")
        )
        splits = {
            name: _Split(file, length, limits[name])
            for name, file in ((TRAIN, train), (HELD_OUT, held_out))
        }
        for part, ids in _encoded(reading, encoder, splits):
            own = splits[part.split]
            if part.first:
                reading.counts["not needed" if own.full else part.split] += 1
            own.add(encoder.start * part.first, ids, encoder.document_end * part.last)
            on_window(splits[TRAIN].windows)
    for name, one in splits.items():
        if not one.windows:
            raise InputError(
                f"{reading.counts[name]} documents of {reading.corpus} are of the split {name}, and"
                f" have {len(one.rest)} tokens, fewer than --max_length {length}{reading.rejected}:"
                " give more documents, a lower --max_length, or another --held_out, --eval_corpus"
                " or --text_field."
            )
    facts = {
        "corpus": reading.corpus,
        "documents": dict(sorted(reading.counts.items())),
        "windows": {name: one.windows for name, one in splits.items()},
        "tokens left over": {name: len(one.rest) for name, one in splits.items()},
        "sha256": {name: one.digest.hexdigest() for name, one in splits.items()},
    }
    write_synced(folder / FACTS, (json.dumps(facts, indent=2) + "\n").encode())


def windows_in(
    folder: Path | None,
    reading: Reading,
    encoder: Encoder,
    length: int,
    limits: Mapping[str, int],
    *,
    begin: Callable[[Path], None],
    goes_on: bool,
    progress: bool,
) -> Windows:
    """The windows of a run, kept in its `folder` until it is finished; None: in memory.

    A run that `goes_on` has them. `begin` is called once they are made, before they appear,
    and may add to their folder.
    """
    if folder is None:
        cure = "free some space, set TMPDIR to another folder, or give an output_dir"
        with writing("tokens to scratch files", cure), tempfile.TemporaryDirectory() as scratch:
            write_windows(Path(scratch), reading, encoder, length, limits)
            mapped = Windows.of(Path(scratch), length)
            return Windows(np.array(mapped.train), np.array(mapped.held_out), mapped.facts)
    place = folder / TOKENS
    if goes_on and place.is_dir():
        windows = Windows.kept(place, length)
        begin(place)
        return windows
    bar = tqdm(desc="windows", total=limits[TRAIN], disable=not progress)
    with bar, writing(place, TO_GO_ON), appearing(place) as scratch:
        scratch.mkdir()
        write_windows(
            scratch, reading, encoder, length, limits, lambda done: bar.update(done - bar.n)
        )
        begin(scratch)
    return Windows.of(place, length)


class _Split:
    """A file of up to `most` whole windows, and the tokens that fill none yet."""

    def __init__(self, file: BinaryIO, length: int, most: int) -> None:
        self.file, self.length, self.most, self.windows = file, length, most, 0
        self.rest, self.digest = array("i"), hashlib.sha256()

    @property
    def full(self) -> bool:
        """Whether no more is needed."""
        return self.windows >= self.most

    def add(self, *ids: Ids) -> None:
        """Write what windows the ids fill."""
        self.rest.extend(chain(*ids))
        count = min(len(self.rest) // self.length, self.most - self.windows)
        data = self.rest[: count * self.length].tobytes()
        self.file.write(data)
        self.digest.update(data)
        self.windows += count
        del self.rest[: count * self.length]


class _Part(NamedTuple):
    """A document, or a part of a long one."""

    split: str
    text: str
    first: bool
    last: bool


def _encoded(
    reading: Reading, encoder: Encoder, splits: Mapping[str, _Split]
) -> Iterator[tuple[_Part, Ids]]:
    """The tokens of the documents that are needed; ends where none is."""
    held, size = list[_Part](), 0

    def flush() -> Iterator[tuple[_Part, Ids]]:
        yield from zip(held, encoder.encode([part.text for part in held]), strict=True)
        held.clear()

    for split, text in reading.texts():
        if split not in splits or splits[split].full:
            reading.counts["not needed" if split in splits else split] += 1
            continue
        parts = [*in_parts(text, CHARACTERS_AT_ONCE)]
        for number, part in enumerate(parts, start=1):
            held.append(_Part(split, part, first=number == 1, last=number == len(parts)))
            size += len(part)
            if size >= CHARACTERS_AT_ONCE:
                yield from flush()
                size = 0
                if all(one.full for one in splits.values()):
                    return
    yield from flush()
