"""The manifest of a corpus, and what its file may say: all of it is checked where it is read."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from typing import Any

from ppt.base.names import check_name
from ppt.corpus.formats import LETTERS

FORMAT_VERSION = 2
"""2 added the column `kind`; corpora of version 1 are read as well."""

SPLITS = ("train", "validation")

_MOST = 1 << 53
"""No count is larger; JSON's readers agree up to here."""

Stats = dict[str, Any]
_STATS = {"rows", "labels", "answer_positions", "text_chars", "option_chars"}
"""What each has; `kinds` came with version 2."""


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a corpus."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says of a corpus of one format.

    `config` is all that its bytes depend on beside the documents; `documents`,
    `sentences` and `examples` are the ledgers; `shards` and `stats` are by split;
    `near_duplicates` counts their clusters and says the rule, if they were looked for;
    `warnings` say in a line each what the corpus lacks. `shortcuts` has by kind of rows what
    baselines that do not read reach (`ppt.corpus.shortcuts`), `mixture` by kind the share that
    was asked for and that of the training rows.
    """

    format: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    documents: Mapping[str, Any]
    sentences: Mapping[str, Any]
    examples: Mapping[str, Any]
    shards: Mapping[str, Sequence[Shard]]
    stats: Mapping[str, Stats]
    format_version: int = FORMAT_VERSION
    warnings: Sequence[str] = ()
    near_duplicates: Mapping[str, Any] = field(default_factory=dict)
    shortcuts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    mixture: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """The number of examples of each split."""
        return {split: sum(shard.rows for shard in self.shards[split]) for split in SPLITS}

    def count(self, what: str, name: str) -> list[int]:
        """By split, how many rows have the label or kind `name`; `what` is a key of `stats`."""
        return [self.stats[split].get(what, {}).get(name, 0) for split in SPLITS]

    def to_json(self) -> str:
        """The file's text: the same for the same corpus, whatever built it."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return text.encode(errors="backslashreplace").decode()  # names need not be UTF-8

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read `to_json`'s text; raises ValueError that says what is no manifest's."""
        try:
            data = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        _require(isinstance(data, dict), "an object", data)
        version = data.get("format_version")
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            known = f"this program reads 1 to {FORMAT_VERSION}"
            raise ValueError(f"format version {_brief(version)}, {known}")
        data = {"warnings": [], "near_duplicates": {}, "shortcuts": {}, "mixture": {}, **data}
        names = [one.name for one in fields(cls)]
        for name in sorted(data.keys() ^ set(names)):
            what = "unknown" if name in data else "missing"
            raise ValueError(f"the key {_brief(name)} is {what}")
        for name, (words, fits) in _FIELDS.items():
            _require(fits(data[name]), f"{name} to be {words}", data[name])
        data["warnings"] = tuple(data["warnings"])
        data["shards"] = {
            split: tuple(Shard(**shard) for shard in data["shards"][split]) for split in SPLITS
        }
        for shard in (shard for shards in data["shards"].values() for shard in shards):
            check_name(shard.name, "a shard's name")
        return cls(**data)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _require(holds: bool, what: str, value: object) -> None:
    if not holds:
        raise ValueError(f"expected {what}, got {_brief(value)}")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _each(value: object, fits: Callable[[Any], bool]) -> bool:
    """Whether it is an object all whose values fit."""
    return isinstance(value, dict) and all(map(fits, value.values()))


def _counts(value: object, depth: int = 0) -> bool:
    """Whether it is an object of counts, nested `depth` times and no more."""
    return _each(
        value,
        lambda one: _counts(one, depth - 1) if isinstance(one, dict) and depth else _is_count(one),
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _numbers(value: object) -> bool:
    """Whether it is an object of objects of numbers from 0 on."""
    return _each(value, lambda of: _each(of, lambda n: _is_number(n) and 0 <= n <= _MOST))


def _ledger(value: Any, needed: Iterable[str], reasons: str) -> bool:
    """Whether it is counts, the `needed` ones among them, with those of `reasons` by name."""
    return (
        _counts(value, 1)
        and all(_is_count(value.get(name)) for name in needed)
        and _counts(value.get(reasons))
    )


def _is_splits(value: Any, fits: Callable[[Any], bool]) -> bool:
    return _each(value, fits) and value.keys() == set(SPLITS)


def _is_shards(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict)
        and one.keys() == {"name", "rows", "bytes", "sha256"}
        and _is_count(one["rows"])
        and _is_count(one["bytes"])
        and isinstance(one["sha256"], str)
        for one in value
    )


def _is_near_duplicates(value: Any) -> bool:
    """Nothing, or counts beside the numbers of the rule."""
    counted = {"clusters", "documents", "largest", "moved", "over_the_split"}
    return value == {} or (
        isinstance(value, dict)
        and value.keys() == counted | {"rule"}
        and all(_is_count(value[name]) for name in counted)
        and _each(value["rule"], _is_number)
    )


def _is_stats(value: Any) -> bool:
    """Counts whose keys, where they are numbers, are numbers; no row has more than 16 options."""
    if value == {}:  # a split without shards
        return True
    if not _counts(value, 2) or not value.keys() >= _STATS or not _is_count(value["rows"]):
        return False
    lengths, positions = (value["text_chars"], value["option_chars"]), value["answer_positions"]
    flat = (*lengths, value["labels"], value.get("kinds", {}))
    return (
        all(map(_counts, flat))
        and _each(positions, _counts)
        and all(_is_whole(key, _MOST) for key in chain(*lengths))
        and all(_is_whole(key, len(LETTERS)) for key in chain(positions, *positions.values()))
    )


def _is_whole(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "format": ("a name", lambda value: isinstance(value, str)),
    "config": ("an object", lambda value: isinstance(value, dict)),
    "versions": ("texts by name", lambda value: _each(value, lambda one: isinstance(one, str))),
    "documents": (
        "counts, with read, kept, duplicates, and rejected by reason",
        lambda value: _ledger(value, ("read", "kept", "duplicates"), "rejected"),
    ),
    "sentences": ("counts", lambda value: _counts(value, 1)),
    "examples": ("counts, with drops by reason", lambda value: _ledger(value, (), "drops")),
    "shards": ("shards by split", lambda value: _is_splits(value, _is_shards)),
    "stats": ("counts by split", lambda value: _is_splits(value, _is_stats)),
    "warnings": ("lines", _is_texts),
    "shortcuts": ("numbers by kind", _numbers),
    "mixture": ("numbers by kind", _numbers),
    "near_duplicates": ("counts, and a rule of numbers", _is_near_duplicates),
}
"""Field → what it must be, in words and as a test."""


def add_counts(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up nested mappings of integers, key by key; keys become strings, sorted."""
    total: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            name = str(key)
            if isinstance(value, Mapping):
                total[name] = add_counts([total.get(name, {}), value])
            else:
                total[name] = total.get(name, 0) + value
    return dict(sorted(total.items(), key=lambda item: _natural(item[0])))


def _natural(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdigit() else (-1, key)
