"""What a corpus lacks to be trained on, each in a line with its cause and the cure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ppt.corpus.formats import FORMATS
from ppt.corpus.manifest import Manifest
from ppt.corpus.pool import SENTENCE_DROPS
from ppt.corpus.rows import EXAMPLE_DROPS, PAIR_LABELS
from ppt.corpus.sentiment import LABELS

NOT_REACHED = 0.9
"""A kind or class with less than this part of the share that it should have is told."""

_CURES = {
    "too_few_other_documents": "give more documents, or fewer --num_shards",
    "too_few_same_document": "give longer documents",
    "no_adjacent": "see what --min_sentence_chars and --max_sentence_chars leave out",
}
_OF_PAIRS = dict(zip(PAIR_LABELS, _CURES, strict=True))
"""Label of a pair → the drop that it is short for."""


def lacks(manifest: Manifest) -> list[str]:
    """A line for each: rows at all, a validation split, a label word, a share of the mixture.

    Whole texts as sentences fill a corpus too, so stops of another script are told in any case.
    """
    found, advice = [*_lacking(manifest)], splitter_advice(manifest.documents)
    by_script = _better_splitter(manifest.documents).startswith("regex:")
    told = not by_script or any(advice in line for line in found)
    return found if told else [f"sentences run together: {advice}", *found]


def _lacking(manifest: Manifest) -> Iterator[str]:
    known, rows = FORMATS[manifest.format], manifest.rows
    share = manifest.config["validation_fraction"]
    if not rows["train"] and rows["validation"]:
        yield f"no training row: {_unsplit(manifest, 'lower')}"
        return
    if not rows["train"]:
        yield f"no training row: {_cause(manifest, known.kinds[0])}"
        return
    if share and not rows["validation"]:
        yield f"no validation row: {_unsplit(manifest, 'raise')}"
    if not manifest.stats["train"]["answer_positions"]:  # labels are words, not places
        for word, asked in zip(known.words, _shares(manifest), strict=True):
            share = manifest.count("labels", word)[0] / rows["train"]
            if share < NOT_REACHED * asked:
                why = _OF_PAIRS.get(word) if known.words == PAIR_LABELS else None
                told = f"{share:.0%} of the training rows are" if share else "no training row is"
                yield f"{told} {word!r}: {_cause(manifest, known.kinds[0], why)}"
    for kind, of in mixture(manifest).items():
        if of["met"] < NOT_REACHED * of["asked"]:
            yield (
                f"{of['met']:.0%} of the training rows are {kind}, --unified_mixture asks for "
                f"{of['asked']:.0%}: {_cause(manifest, kind)}"
            )


def _shares(manifest: Manifest) -> list[float]:
    """Of each label word, what share of the rows it should have."""
    words = FORMATS[manifest.format].words
    asked = manifest.config.get("shares") if manifest.format == "sentiment" else None
    shares = asked or [1] * len(words)
    return [share / sum(shares) for share in shares]


def mixture(manifest: Manifest) -> dict[str, dict[str, float]]:
    """By kind of rows the share asked for and that of the training rows; of one kind nothing."""
    kinds, rows = FORMATS[manifest.format].kinds, max(manifest.rows["train"], 1)
    asked = manifest.config["mixture"]
    return {
        kind: {"asked": asked[kind], "met": round(manifest.count("kinds", kind)[0] / rows, 3)}
        for kind in (kinds if len(kinds) > 1 else ())
        if kind in asked
    }


def splitter_advice(documents: Mapping[str, Any]) -> str:
    """Which splitter most documents call for; "" where the one that was used is right."""
    splitter = _better_splitter(documents)
    return f"most documents call for --splitter {splitter}" if splitter else ""


def _better_splitter(documents: Mapping[str, Any]) -> str:
    counts = documents["better_splitter"].items()
    return next((name for name, count in counts if 2 * count > documents["read"]), "")


def _unsplit(manifest: Manifest, change: str) -> str:
    largest, kept = manifest.near_duplicates.get("largest", 0), manifest.documents["kept"]
    if 2 * largest > kept and manifest.config["near_duplicates"] != "drop":
        return (
            f"{largest} of {kept} documents are near duplicates, which stand in one split; "
            "give others"
        )
    share = manifest.config["validation_fraction"]
    return (
        f"the documents are too few for --validation_fraction {share}; {change} it, or give more "
        "documents"
    )


def _cause(manifest: Manifest, kind: str, why: str | None = None) -> str:
    if advice := splitter_advice(manifest.documents):
        return advice
    if kind == "sentiment":
        return _too_few_labels(manifest)
    sentences, drops = manifest.sentences, manifest.examples["drops"]
    if 2 * sentences["usable"] < sentences["read"]:
        reason = max(sentences["drops"], key=sentences["drops"].__getitem__)
        return f"most sentences are left out ({reason}: {SENTENCE_DROPS[reason]})"
    reason = why or max(_CURES, key=lambda name: drops.get(name, 0))
    cure = _CURES[reason]
    if not why and not drops.get(reason):  # anchors that cannot be this have become another kind
        return (
            "few anchors have a neighbour, another sentence of their document and enough of "
            "others: give longer or more documents"
        )
    return f"{reason} ({EXAMPLE_DROPS[reason]}): {cure}"


def _too_few_labels(manifest: Manifest) -> str:
    asked = mixture(manifest).get("sentiment", {}).get("asked", 0) * manifest.rows["train"]
    short = asked - manifest.count("kinds", "sentiment")[0]
    if 0 < short < len(LABELS) * len(manifest.shards["train"]):
        return (
            f"each shard takes {len(LABELS)} at a time, one of each class: give more documents, "
            "or fewer --num_shards"
        )
    told = f"--labeller {manifest.config['labeller']} gave too few labels of some class"
    english = "; VADER knows English words only: give model:... or lm:..., or other"
    cure = english if manifest.config["labeller"] == "vader" else "; give another, or lower"
    return f"{told}{cure} --sentiment_thresholds"
