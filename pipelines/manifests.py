"""Results of all shards → the manifest of each format. No Beam here."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.config import BuildConfig
from pipelines.shards import shard_entry
from ppt.corpus import SPLITS, Manifest, add_counts
from ppt.errors import InputError

Result = dict[str, Any]


def build_manifests(results: Sequence[Result], config: BuildConfig) -> dict[str, Manifest]:
    """One manifest per asked format. Raises InputError where no document was usable."""
    results = sorted(results, key=lambda result: (SPLITS.index(result["split"]), result["number"]))
    found = [(result["split"], result["number"]) for result in results]
    assert found == config.all_shards(), f"shards {found} of {config.all_shards()}"
    documents = document_ledger(results)
    if not documents["kept"]:
        reasons = ", ".join(f"{n} {why}" for why, n in documents["rejected"].items())
        raise InputError(
            f"no usable document: {documents['read']} read, {reasons or 'none rejected'}, "
            f"{documents['duplicates']} duplicates; see rejects/ in the output folder."
        )
    return {name: _manifest(name, results, documents, config) for name in config.formats}


def document_ledger(results: Sequence[Result]) -> dict[str, Any]:
    """Documents read, kept, rejected by reason and equal to others; it must add up."""
    parts = [result["documents"] for result in results]
    hashes = [np.frombuffer(base64.b64decode(part["id_hashes"]), "<u8") for part in parts]
    _, uses = np.unique(np.concatenate(hashes), return_counts=True)
    counts = ("read", "kept", "duplicates", "rejected", "characters")
    ledger = add_counts({name: part[name] for name in counts} for part in parts)
    ledger["sharing_an_id"] = int(uses[uses > 1].sum())
    explained = ledger["kept"] + sum(ledger["rejected"].values()) + ledger["duplicates"]
    assert ledger["read"] == explained, ledger
    return ledger


def _manifest(
    name: str, results: Sequence[Result], documents: dict[str, Any], config: BuildConfig
) -> Manifest:
    by_split = {split: [r for r in results if r["split"] == split] for split in SPLITS}
    examples = add_counts(result["formats"][name]["examples"] for result in results)
    examples.setdefault("drops", {})
    assert examples["anchors"] == examples["rows"] + sum(examples["drops"].values()), examples
    return Manifest(
        format=name,
        config=config.as_manifest(),
        versions=config.versions(),
        documents=documents,
        sentences=add_counts(result["sentences"] for result in results),
        examples=examples,
        shards={s: tuple(shard_entry(r, name) for r in by_split[s]) for s in SPLITS},
        stats={s: add_counts(r["formats"][name]["stats"] for r in by_split[s]) for s in SPLITS},
    )
