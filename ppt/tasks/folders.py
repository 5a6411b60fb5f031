"""Which files of a folder hold the splits of a public task, by their names."""

import re
from pathlib import Path

from ppt.errors import InputError
from ppt.tasks.readers import EXPECTED, is_data_file, listed

SPLITS = {
    "train": "train", "test": "test", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation",
}  # fmt: skip
"""How the names of a split's files begin → the split."""

_SPLIT_FILE = re.compile(r"([a-z]+)(?:-(\d+)-of-(\d+)(?:-[0-9a-f]+)?)?\.[a-z0-9.]+")


def split_files(name: str, data_dir: Path, test: str) -> tuple[list[Path], list[Path]]:
    """Which files of ``data_dir/<name>/`` train and test.

    The test is the split `test`, or else the other of validation and test. Training is
    train; where there is none, a validation that is not the test. A split is one file, or
    all of its shards.
    """
    folder = data_dir / name
    found = _splits(folder)
    tests = [split for split in (test, "validation", "test") if split in found]
    pools = [split for split in ("train", "validation") if split in {*found} - {*tests[:1]}]
    if not tests or not pools:
        expected = f"expected {folder}/train and {folder}/{test} with one of {EXPECTED}"
        told = listed(path.name for paths in found.values() for path in paths) or "none of them"
        raise InputError(
            f"{expected}, found {told}: put them there, or leave --data_dir out to read the hub."
        )
    return found[pools[0]], found[tests[0]]


def held_out_files(name: str, data_dir: Path) -> list[Path]:
    """The files of ``data_dir/<name>/`` that are not there to train on: validation and test."""
    folder = data_dir / name
    found = _splits(folder)
    paths = [path for split in ("validation", "test") for path in found.get(split, [])]
    if not paths:
        raise InputError(
            f"expected {folder}/validation or {folder}/test with one of {EXPECTED}: put one there."
        )
    return paths


def _splits(folder: Path) -> dict[str, list[Path]]:
    """The files of each split that is there."""
    found: dict[str, list[Path]] = {}
    shards: dict[str, set[tuple[str, str]]] = {}
    for path in sorted(folder.glob("*")):
        match = _SPLIT_FILE.fullmatch(path.name.lower())
        if match and match[1] in SPLITS and is_data_file(path.name):
            split = SPLITS[match[1]]
            found.setdefault(split, []).append(path)
            shards.setdefault(split, set()).add((match[2] or "", match[3] or ""))
    for split, paths in found.items():
        counts = {count for _, count in shards[split]}
        if len(shards[split]) < len(paths) or len(counts) > 1:
            raise InputError(f"{folder} has {paths[0].name} and {paths[1].name}: remove one.")
        if (count := counts.pop()) and len(paths) != int(count):
            raise InputError(
                f"{folder} has {len(paths)} of {int(count)} files like {paths[0].name}: get all."
            )
    return found
