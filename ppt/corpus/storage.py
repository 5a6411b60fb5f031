"""A corpus on disk: Parquet shards and a manifest that is written last.

The manifest's presence *is* completion. It holds everything that the bytes
depend on and every count, so that what was read can be told from what was
built: read = kept + rejected + duplicates, and per format anchors = rows + drops.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ppt.base.files import file_digest, given
from ppt.base.pages import MOST_ROWS, bounded_table
from ppt.corpus.formats import FORMATS
from ppt.corpus.manifest import SPLITS, Manifest, Shard, Stats
from ppt.corpus.tables import COLUMNS
from ppt.errors import CorpusError, InputError, first_line, require_known

MANIFEST = "manifest.json"
VERIFY = ("fast", "full")
AGAIN = "build the corpus again with --overwrite"

LENGTH_BIN = 20
"""Characters per bin of the length histograms."""


@dataclass(frozen=True)
class Corpus:
    """A verified corpus: its folder and manifest."""

    folder: Path
    manifest: Manifest

    def tables(self, split: str) -> Iterator[pa.Table]:
        """The shards of a split of `SPLITS`, in order, each as one table of `COLUMNS`.

        Raises UnknownNameError, and CorpusError for a shard that cannot be read.
        """
        require_known("split", split, SPLITS)
        for shard in self.manifest.shards[split]:
            yield _read_shard(self.folder / shard.name, self.manifest)

    def read(self, split: str) -> pa.Table:
        """A whole split as one table."""
        tables = list(self.tables(split))
        return pa.concat_tables(tables) if tables else COLUMNS.empty_table()

    def rows(self, split: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of a split with these numbers, in their order; only shards that have some are
        read, one at a time.
        """
        found: dict[int, dict[str, Any]] = {}
        start = 0
        for shard in self.manifest.shards[split]:
            mine = [number for number in numbers if start <= number < start + shard.rows]
            if mine:
                table = _read_shard(self.folder / shard.name, self.manifest)
                places = pa.array([number - start for number in mine])
                found |= zip(mine, table.take(places).to_pylist(), strict=True)
            start += shard.rows
        return [found[number] for number in numbers]


def open_corpus(folder: Path | str, format_name: str | None = None, verify: str = "fast") -> Corpus:
    """Open a corpus, having checked that it is complete and unharmed.

    `verify="fast"` checks the presence, size and row count of each shard,
    ``"full"`` its sha256 too. Raises CorpusError that names what is wrong.
    """
    require_known("--verify", verify, VERIFY)
    folder = given(folder)
    manifest = _read_manifest(folder)
    if format_name is not None and manifest.format != format_name:
        raise CorpusError(
            f"{folder} is a {manifest.format} corpus, expected {format_name}: "
            f"give --corpus {folder.parent / format_name} or --format={manifest.format}."
        )
    for split in SPLITS:
        for shard in manifest.shards[split]:
            _verify_shard(folder / shard.name, shard, verify)
    return Corpus(folder, manifest)


def _read_manifest(folder: Path) -> Manifest:
    build = "build it with python -m pipelines.build_corpus --input FILES --output "
    if not folder.is_dir():
        raise CorpusError(f"no corpus at {folder}; {build}{folder.parent}")
    path = folder / MANIFEST
    if not path.is_file():
        kinds = sorted(child.parent.name for child in folder.glob(f"*/{MANIFEST}"))
        if kinds:
            raise CorpusError(f"{folder} holds the corpora {', '.join(kinds)}: name one of them.")
        raise CorpusError(
            f"{folder} has no {MANIFEST}, so it is no corpus or was not finished; {build}"
            f"{folder.parent}"
        )
    try:
        manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read ({error}); build the corpus again.") from None
    require_known(f"format of {folder}", manifest.format, FORMATS)
    return manifest


def _read_shard(path: Path, manifest: Manifest) -> pa.Table:
    try:
        with path.open("rb") as file:  # of a path pyarrow would read "a=b" as a column
            table = bounded_table(file)
        table.validate(full=True)
        _check_rows(table, manifest)
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"shard {path} is corrupt ({first_line(error)}); {AGAIN}.") from None


def _check_rows(table: pa.Table, manifest: Manifest) -> None:
    """Refuse what is no row of the corpus: size and sums may be right, and the bytes not."""
    wanted = [one for one in COLUMNS if one.name != "kind" or manifest.format_version > 1]
    for column in wanted:
        if column.name not in table.column_names:
            raise ValueError(f"it has no column {column.name}")
        kind = table.schema.field(column.name).type
        if _plain(kind) != _plain(column.type):
            raise ValueError(f"column {column.name} is {kind}")
        if table[column.name].null_count and column.name != "text_b":
            raise ValueError(f"column {column.name} has a null")
    options = table["options"].combine_chunks()
    if options.flatten().null_count:
        raise ValueError("an option is null")
    words = len(FORMATS[manifest.format].words)
    counts = pc.list_value_length(options).to_numpy()
    labels = table["label"].to_numpy()
    if (counts > words).any():
        raise ValueError(f"a row has {counts.max()} options")
    if ((labels < 0) | (labels >= np.where(counts > 0, counts, words))).any():
        raise ValueError("a label is out of range")


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column whatever way it is stored."""
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _verify_shard(path: Path, shard: Shard, verify: str) -> None:
    if not path.is_file():
        raise CorpusError(f"shard {path} is missing; {AGAIN}.")
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            raise CorpusError(f"shard {path} has {size} bytes, expected {shard.bytes}; {AGAIN}.")
        if verify == "full" and file_digest(path) != shard.sha256:
            raise CorpusError(f"shard {path} is corrupt (sha256 differs); {AGAIN}.")
        with path.open("rb") as file:
            found = pq.read_metadata(file).num_rows
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise CorpusError(f"shard {path} is corrupt ({first_line(error)}); {AGAIN}.") from None
    if found != shard.rows:
        raise CorpusError(f"shard {path} has {found} rows, expected {shard.rows}; {AGAIN}.")


def shard_name(split: str, index: int, count: int) -> str:
    """``train-00003-of-00008.parquet``"""
    return f"{split}-{index:05d}-of-{count:05d}.parquet"


def features(format_name: str) -> str:
    """The metadata from which Hugging Face datasets knows the columns and names the labels."""
    string = {"dtype": "string", "_type": "Value"}
    columns = dict.fromkeys(COLUMNS.names, string) | {
        "options": {"feature": string, "_type": "List"},
        "label": {"names": list(FORMATS[format_name].words), "_type": "ClassLabel"},
    }
    return json.dumps({"info": {"features": columns}})


def encode_shard(table: pa.Table, name: str, format_name: str) -> tuple[bytes, Shard]:
    """The Parquet bytes of a table, and their entry in the manifest.

    Raises InputError for one that no reader would take (`bounded_table`).
    """
    if (size := _row_bytes(table)) > MOST_ROWS * 63 // 64:  # readers count a little more
        raise InputError(
            f"{format_name}/{name}: its rows take {size >> 20:,} MiB, and readers "
            f"{MOST_ROWS >> 20:,} at the most: give more --num_shards, or a smaller --shard_mb."
        )
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(
        buffer,
        table.schema,
        compression="zstd",
        compression_level=1,
        # A sentence stands in several examples: one dictionary for a whole row group.
        use_dictionary=["document_id", "kind", "text_b", "options.list.element"],
        dictionary_pagesize_limit=64 << 20,
        write_statistics=False,
        # Readers should see strings, not that they were indices when they were written.
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"huggingface": features(format_name)})
    data = buffer.getvalue().to_pybytes()
    return data, Shard(name, table.num_rows, len(data), hashlib.sha256(data).hexdigest())


def _row_bytes(table: pa.Table) -> int:
    """What its readers hold, for whom each string stands where it is used."""
    size = 0
    for chunk in (one for column in table.columns for one in column.chunks):
        size += chunk.nbytes if pa.types.is_primitive(chunk.type) else 4 * len(chunk)
        values = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if pa.types.is_dictionary(values.type):
            lengths = pc.binary_length(values.dictionary).take(values.indices)
            size += (pc.sum(lengths).as_py() or 0) + 4 * len(values) * (values is not chunk)
        elif pa.types.is_string(values.type):
            size += pc.sum(pc.binary_length(values)).as_py() or 0
    return size


def statistics(table: pa.Table, format_name: str) -> Stats:
    """Counts of one table that add up over shards: kinds, labels, positions, lengths.

    `answer_positions[n][i]` counts rows of n options whose answer is number i;
    `text_chars` and `option_chars` count texts per `LENGTH_BIN` characters.
    """
    words = FORMATS[format_name].words
    kinds = pc.value_counts(table["kind"]).to_pylist()
    labels = table["label"].to_numpy()
    counts = pc.list_value_length(table["options"]).to_numpy()
    histogram = np.bincount(labels, minlength=len(words)).tolist()
    return {
        "rows": table.num_rows,
        "kinds": {count["values"]: count["counts"] for count in kinds},
        "labels": {word: n for word, n in zip(words, histogram, strict=True) if n},
        "answer_positions": {
            str(n): dict(enumerate(np.bincount(labels[counts == n], minlength=n).tolist()))
            for n in sorted(set(counts.tolist()) - {0})
        },
        "text_chars": _length_histogram(table["text_a"].combine_chunks()),
        "option_chars": _length_histogram(table["options"].combine_chunks().flatten()),
    }


def _length_histogram(texts: pa.Array) -> dict[str, int]:
    if pa.types.is_dictionary(texts.type):
        lengths = pc.utf8_length(texts.dictionary).take(texts.indices).to_numpy()
    else:
        lengths = pc.utf8_length(texts).to_numpy()
    values, counts = np.unique(lengths // LENGTH_BIN * LENGTH_BIN, return_counts=True)
    return {str(v): n for v, n in zip(values.tolist(), counts.tolist(), strict=True)}
