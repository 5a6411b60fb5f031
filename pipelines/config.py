"""What a build is asked to do: one frozen value that every stage carries."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple

import pyarrow as pa

import ppt
from pipelines.files import FileSlice
from pipelines.flags import NEAR_DUPLICATES
from pipelines.labelling import LABELLERS, Labeller, find_labeller, members_of
from pipelines.preparing import ReadOptions, libraries
from pipelines.readers import extensions_of
from ppt.base.names import check_name
from ppt.base.streams import seed_bits
from ppt.corpus.formats import FORMATS, Format
from ppt.corpus.manifest import FORMAT_VERSION, SPLITS
from ppt.corpus.options import FormatOptions
from ppt.errors import ConfigError, require_known
from ppt.text.sentences import lengths_of

LENGTHS = ("min_sentence_chars", "max_sentence_chars")
"""Flags whose default is the splitter's."""

MAX_SHARDS = 99_999
"""Their numbers have five digits in file names."""

_SHARDS_A_PARTITION = 4
"""What 32 MB of text tell of how documents relate takes less memory than a shard's rows."""


class ExcludedSource(NamedTuple):
    """What no sentence may share words with: a task or a file, how many texts it has, rows that
    cannot be read, and a digest.
    """

    name: str
    texts: int
    unreadable: int
    digest: str


_NAMES = 10
"""So many inputs are named; a list of all would stand in every manifest."""


class Inputs(NamedTuple):
    """What a corpus was built from: how many files of how many bytes; the `first` of their names
    in order; `digest` of all names and sizes; which `extensions` they have.
    """

    files: int = 0
    bytes: int = 0
    first: tuple[str, ...] = ()
    digest: str = ""
    extensions: tuple[str, ...] = ()

    @classmethod
    def of(cls, slices: Iterable[FileSlice]) -> "Inputs":
        """Tell the files of all slices."""
        found = sorted({(part.name, part.size) for part in slices})
        digest = hashlib.blake2b(json.dumps(found).encode(), digest_size=16).hexdigest()
        names = [name for name, _ in found]
        size, kinds = sum(size for _, size in found), tuple(sorted(extensions_of(names)))
        return cls(len(found), size, tuple(names[:_NAMES]), digest, kinds)


@dataclass(frozen=True)
class BuildConfig:
    """The flags that the corpora's bytes depend on. `__post_init__` refuses bad values.

    `inputs` tells the files, `num_shards` the shards of the training split, `excluded` what is
    told of the rows that no sentence may share words with, `labeller_digest` tells the labeller's
    model from another of its name; a job sets them.
    `splitter_source` is what the workers load, if not `splitter`. Lengths of
    sentences that are 0 become those of the splitter (`ppt.text.sentences.LENGTHS`).
    """

    formats: tuple[str, ...] = field(default_factory=lambda: tuple(FORMATS))
    examples: FormatOptions = field(default_factory=FormatOptions)
    read: ReadOptions = field(default_factory=ReadOptions)
    splitter: str = "punkt:english"
    splitter_source: str = ""
    labeller: str = "vader"
    labeller_digest: str = ""
    min_sentences: int = 2
    min_sentence_chars: int = 0
    max_sentence_chars: int = 0
    validation_fraction: float = 0.05
    near_duplicates: str = NEAR_DUPLICATES[0]
    num_shards: int = 1
    inputs: Inputs = field(default_factory=Inputs)
    excluded: tuple[ExcludedSource, ...] = ()

    def __post_init__(self) -> None:
        for name, length in zip(LENGTHS, lengths_of(self.splitter), strict=True):
            object.__setattr__(self, name, getattr(self, name) or length)
        for name in self.formats:
            require_known("format in --formats", name, FORMATS)
            check_name(name, "a format's name")
        find_labeller(self.labeller)
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise ConfigError(
                f"--formats: got {','.join(self.formats)!r}, expected one or more names, each once"
            )
        for name in ("min_sentences", *LENGTHS, "num_shards"):
            if (got := getattr(self, name)) < 1:
                raise ConfigError(f"--{name}: got {got}, expected 1 or more")
        if self.num_shards > MAX_SHARDS:
            raise ConfigError(
                f"--num_shards, or text by --shard_mb: got {self.num_shards} or more shards, "
                f"expected {MAX_SHARDS} at most"
            )
        if self.min_sentence_chars > self.max_sentence_chars:
            raise ConfigError(
                f"--min_sentence_chars: got {self.min_sentence_chars}, expected at most "
                f"--max_sentence_chars ({self.max_sentence_chars})"
            )
        require_known("way of --near_duplicates", self.near_duplicates, NEAR_DUPLICATES)
        if not 0 <= self.validation_fraction < 1:
            raise ConfigError(
                f"--validation_fraction: got {self.validation_fraction}, expected 0 <= f < 1"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """With its rows of the tables: workers may not know the formats and labellers of users."""
        kinds = {name.partition(":")[0] for name in members_of(self.labeller)}
        formats = {name: FORMATS[name] for name in self.formats}
        return _arrived, (vars(self), formats, {kind: LABELLERS[kind] for kind in sorted(kinds)})

    @property
    def shards_of(self) -> dict[str, int]:
        """How many shards each split has. Validation shards are as large as the others."""
        share = self.validation_fraction
        return {
            "train": self.num_shards,
            "validation": max(1, round(self.num_shards * share)) if share else 0,
        }

    @property
    def needs_labels(self) -> bool:
        """Whether any asked format holds pseudo-labelled sentences."""
        return any(FORMATS[name].needs_labels(self.examples) for name in self.formats)

    def foreign_to_labeller(self) -> Callable[[str], str]:
        """What names the language of a text that the labeller does not know, else ""."""
        return find_labeller(self.labeller).foreign if self.needs_labels else lambda _: ""

    def split_of(self, cluster: int) -> str:
        """The split of a cluster (`ppt.corpus.clusters.MEMBER`), or of a document that is alone."""
        return "validation" if cluster / 2**64 < self.validation_fraction else "train"

    def shard_in(self, split: str, document: int) -> "ShardKey":
        """The shard of a document in its split, by its number and the seed."""
        bits = seed_bits(self.examples.seed, "shard", document.to_bytes(8, "big"))
        return split, bits % self.shards_of[split]

    @property
    def partitions(self) -> int:
        """Into how many parts what relates documents is divided; the bytes do not depend on it."""
        return max(1, self.num_shards // _SHARDS_A_PARTITION)

    def reject_shard(self, source: str, offset: int) -> "ShardKey":
        """The shard that keeps the rejects of a place in the input."""
        return "train", seed_bits(0, source, str(offset)) % self.num_shards

    def all_shards(self) -> list["ShardKey"]:
        """Every (split, number), in order."""
        counts = self.shards_of
        return [(split, number) for split in SPLITS for number in range(counts[split])]

    def as_manifest(self) -> dict[str, Any]:
        """What the manifest keeps: all of it but the formats, where the splitter lies, and what is
        among the versions.
        """
        data = asdict(self)
        del data["formats"], data["splitter_source"], data["labeller_digest"]
        examples, read = data.pop("examples"), data.pop("read")
        if not examples["shares"]:
            del examples["shares"]  # so that corpora of before the flag are as they were
        data["inputs"] = self.inputs._asdict()
        data["excluded"] = [source._asdict() for source in self.excluded]
        return {**data, **examples, **read}

    def fingerprint(self) -> str:
        """A digest of everything that a shard's bytes depend on but its documents."""
        text = json.dumps(
            [self.formats, self.as_manifest(), self.versions()], sort_keys=True, ensure_ascii=False
        )
        return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=16).hexdigest()

    @property
    def ahead(self) -> tuple[str, ...]:
        """Modules that local workers import as they start."""
        return find_labeller(self.labeller).ahead if self.needs_labels else ()

    def versions(self) -> dict[str, str]:
        """Versions of what decides the bytes."""
        labelling = find_labeller(self.labeller).libraries if self.needs_labels else ()
        preparing = libraries(self.read, set(self.inputs.extensions))
        return {
            "ppt": ppt.__version__,
            "corpus_format": str(FORMAT_VERSION),
            "pyarrow": pa.__version__,
            **{name: version(name) for name in (*labelling, *preparing)},
            **({"labeller": self.labeller_digest} if self.labeller_digest else {}),
        }


def _arrived(
    values: dict[str, Any], formats: dict[str, Format], labellers: dict[str, Labeller]
) -> BuildConfig:
    FORMATS.update(formats)
    LABELLERS.update(labellers)
    return BuildConfig(**values)


ShardKey = tuple[str, int]
"""A split and the number of a shard in it."""
