"""What travels: packets of documents and arrays, carried by the shuffle or by the disk.

A runner's own shuffle suits many machines. On one machine it would hold the whole
corpus in the launching process and pass it through sockets, so there the packets lie
in files (`Spool`) and the shuffle moves only where they are.
"""

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import zstandard

from pipelines.stores import told_plainly
from ppt.base.text import document_number
from ppt.corpus.records import Reject
from ppt.corpus.repeats import STANDING

Packet = tuple[bytes | str, int, int]
"""The packet itself or the name of the file that it lies in; where it starts there; its bytes."""


class KeyedDocument(NamedTuple):
    """A document that was split, with its key, as it travels to its shard.

    `cluster` is that of its near duplicates, None for one that has none or is not placed yet;
    `characters` of its normalised text; `hint` is the splitter that it calls for, `foreign` its
    language where the labeller does not know that, or ""; `notes` of how it was read, as JSON;
    `few` whether it has too few sentences, or was not split.
    """

    key: bytes
    id: str
    sentences: Sequence[str]
    source: str
    offset: int
    characters: int
    hint: str = ""
    foreign: str = ""
    notes: str = "[]"
    cluster: int | None = None
    few: bool = True

    @property
    def number(self) -> int:
        """64 bits of its key: its name in rows' ids, and all that its place depends on."""
        return document_number(self.key)

    def emptied(self) -> "KeyedDocument":
        """The same as one that equals another."""
        return self._replace(sentences=(), few=True)


@dataclass(frozen=True)
class Records:
    """What was found for one shard: by one worker in a part of the input, or by all together.

    `repeated` are the standings (`ppt.corpus.repeats`) of its sentences that are barred, as
    others have them too.
    """

    documents: list[KeyedDocument] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    repeated: np.ndarray = field(default_factory=lambda: np.empty(0, STANDING))


_DOCUMENT_COLUMNS = pa.schema(
    [
        ("key", pa.binary(16)),
        ("id", pa.large_string()),
        ("sentences", pa.large_list(pa.large_string())),
        ("source", pa.large_string()),
        ("offset", pa.int64()),
        ("characters", pa.int64()),
        ("hint", pa.string()),
        ("foreign", pa.string()),
        ("notes", pa.large_string()),
        ("cluster", pa.uint64()),
        ("few", pa.bool_()),
    ]
)
REJECT_CHARACTERS = 40
"""What is told of a reject or duplicate takes as much memory, 1.2 kB, as so much text."""

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")


def encode(records: Records) -> bytes:
    """Pack records as one compressed Arrow stream.

    The shuffle then moves few large elements, a half to a third of the text's size.
    """
    rejects = json.dumps([reject.as_dict() for reject in records.rejects])
    columns = list(zip(*records.documents, strict=True)) or [()] * len(_DOCUMENT_COLUMNS)
    arrays = [*map(pa.array, columns, _DOCUMENT_COLUMNS.types)]
    told = {"rejects": rejects, "number": str(len(records.rejects))}
    schema = _DOCUMENT_COLUMNS.with_metadata({**told, "repeated": records.repeated.tobytes()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=_COMPRESSED) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return bytes(sink.getvalue())


def characters_in(packets: Iterable[bytes]) -> int:
    """How much text `decode` would hold: of equal documents one, and `REJECT_CHARACTERS` for each
    other record. Looks at two columns only.
    """
    columns = [_DOCUMENT_COLUMNS.get_field_index(name) for name in ("key", "characters")]
    options = pa.ipc.IpcReadOptions(included_fields=columns)
    found: dict[bytes, int] = {}
    records = 0
    for packet in packets:
        table = pa.ipc.open_stream(packet, options=options).read_all()
        records += len(table) + int(table.schema.metadata[b"number"])
        found |= zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
    return sum(found.values()) + REJECT_CHARACTERS * (records - len(found))


def decode(packets: Iterable[bytes]) -> Records:
    """Unpack and bring into one order, whatever order the packets came in.

    Of equal documents only the first in that order keeps its sentences: the others are counted,
    and a file may hold one text a million times in a few bytes.
    """
    documents: list[KeyedDocument] = []
    rejects: list[Reject] = []
    repeated = [np.empty(0, STANDING)]
    first: dict[bytes, KeyedDocument] = {}
    for packet in packets:
        table = pa.ipc.open_stream(packet).read_all()
        told = table.schema.metadata
        rejects.extend(Reject(**reject) for reject in json.loads(told[b"rejects"]))
        repeated.append(np.frombuffer(told[b"repeated"], STANDING))
        columns = (table[name].to_pylist() for name in _DOCUMENT_COLUMNS.names)
        for document in map(KeyedDocument._make, zip(*columns, strict=True)):
            other = first.get(document.key)
            if other is None or by_place(document) < by_place(other):
                first[document.key] = document
            else:
                other = document
            if other is not None:
                documents.append(other.emptied())
    documents.extend(first.values())
    documents.sort(key=by_place)
    rejects.sort(key=attrgetter("source", "offset", "reason", "detail"))
    return Records(documents, rejects, np.unique(np.concatenate(repeated)))


by_place = attrgetter("key", "few", "source", "offset", "id")
"""The order of documents, in which the first of equal ones is kept; they differ in white space,
which may part it into too few sentences."""


def pack(rows: np.ndarray) -> bytes:
    """An array of records as compressed bytes."""
    return zstandard.compress(np.ascontiguousarray(rows).tobytes(), 1)


def unpack(packets: Iterable[bytes], kind: np.dtype[Any]) -> np.ndarray:
    """All rows of `pack`'s bytes, in any order."""
    found = [np.frombuffer(zstandard.decompress(packet), kind) for packet in packets]
    return np.concatenate([np.empty(0, kind), *found])


@dataclass(frozen=True)
class Spool:
    """Carries packets in files of `folder`; without one, in the shuffle itself."""

    folder: str | None = None

    def put(self, packets: Sequence[bytes]) -> list[Packet]:
        """Hand packets over. All of one call share a file, so that files stay few. Raises
        OutputError.
        """
        if self.folder is None:
            return [(packet, 0, len(packet)) for packet in packets]
        name = uuid.uuid4().hex
        spooled: list[Packet] = []
        with told_plainly(self.folder), (Path(self.folder) / name).open("wb") as file:
            for packet in packets:
                spooled.append((name, file.tell(), len(packet)))
                file.write(packet)
        return spooled

    def get(self, packet: Packet) -> bytes:
        """The packet that `put` was given."""
        where, start, size = packet
        if isinstance(where, bytes):
            return where
        with (Path(self.folder or "") / where).open("rb") as file:
            return os.pread(file.fileno(), size, start)
