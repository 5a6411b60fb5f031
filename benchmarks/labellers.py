"""How good pseudo-labels are: labellers, and questions of the `lm:` one, on a labelled set.

    python -m benchmarks.labellers --task FOLDER_WITH_validation.jsonl [--rows 400]

Lines are JSON objects with `text` or `sentence` and a `label` of 0 to 4 (terrible to
great) or of 0 and 1. The rows are a random sample of the file, the same each time. With
five classes the table tells
- five: the share of right labels,
- two: bad against good, by which of the two has more probability; neutral rows left out,
- area: under the ROC curve of the mean class, the same rows,
- r: correlation of the mean class with the label,
- used: rows that would be in a corpus, at the labeller's thresholds, classes balanced,
- right: the share of right labels among these (a class at a time, then the mean).
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt.corpus.sentiment import (
    LABELS,
    LM_THRESHOLDS,
    PUBLISHED_THRESHOLDS,
    class_distribution,
    keep,
)
from ppt.errors import exit_status
from ppt.text.vader import vader_compound

Array = NDArray[Any]

QUESTIONS = (
    "the reviewer describes it as",
    "the overall quality is",
    "the sentiment is",
    "it is very",
    "I would describe it as",
    "it was",
)
OPPOSITES = (
    ("bad", "good"),
    ("terrible", "great"),
    ("negative", "positive"),
    ("weak", "strong"),
    ("horrible", "wonderful"),
    ("disappointing", "amazing"),
)
"""The first two questions and *negative, positive* and *weak, strong* are those of
`ppt.backbones.labeller`."""

THRESHOLDS = (0.0, 0.4, 0.6, 0.7)


def load(path: Path, rows: int) -> tuple[list[str], Array]:
    """A random sample of at most `rows` texts and their labels."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    chosen = random.Random(0).sample(records, min(rows, len(records)))
    texts = [record.get("text") or record["sentence"] for record in chosen]
    return texts, np.array([record["label"] for record in chosen])


def two_classes(probabilities: Array, labels: Array) -> float:
    """Accuracy of bad against good; of ties half are taken to be right."""
    if labels.max() > 1:
        sided = labels != len(LABELS) // 2
        probabilities, labels = probabilities[sided], labels[sided] > len(LABELS) // 2
    lead = probabilities[:, 3:].sum(1) - probabilities[:, :2].sum(1)
    return float(np.where(lead == 0, 0.5, (lead > 0) == labels).mean())


def area(probabilities: Array, labels: Array) -> float:
    """How often a good row's mean class is above a bad row's; of ties half."""
    position = probabilities @ np.arange(len(LABELS))
    middle = (labels.max() + labels.min()) / 2
    good, bad = position[labels > middle], position[labels < middle]
    return float((np.sign(good[:, None] - bad) / 2 + 0.5).mean())


def used(probabilities: Array, labels: Array, thresholds: tuple[float, ...]) -> tuple[int, float]:
    """Rows of a balanced corpus, and the share of right labels, each class weighing the same."""
    found, kept = keep(probabilities, thresholds)
    counts = np.bincount(found[kept], minlength=len(LABELS))
    if not counts.min():
        return 0, float("nan")
    right = [(labels[kept & (found == label)] == label).mean() for label in range(len(LABELS))]
    return len(LABELS) * int(counts.min()), float(np.mean(right))


def row(
    name: str, probabilities: Array, labels: Array, thresholds: tuple[float, ...], rate: float
) -> str:
    """One line of the table."""
    cells = [f"{one(probabilities, labels):.3f}" for one in (two_classes, area)]
    if labels.max() > 1:
        count, right = used(probabilities, labels, thresholds)
        position = probabilities @ np.arange(len(LABELS))
        cells = [
            f"{(probabilities.argmax(1) == labels).mean():.3f}",
            *cells,
            f"{np.corrcoef(position, labels)[0, 1]:.2f}",
            f"{count / len(labels):.0%}",
            f"{right:.2f}",
        ]
    return " | ".join([f"| {name}", *cells, f"{rate:.0f} |" if rate else "|"])


def answers(backbone_name: str, texts: list[str], labels: Array) -> Iterator[str]:
    """Each question with each pair of words alone."""
    from ppt.backbones.labeller import LMLabeller
    from ppt.backbones.loading import fast_dtype, load_backbone

    backbone = load_backbone(backbone_name, dtype=fast_dtype())
    for question in QUESTIONS:
        for pair in OPPOSITES:
            found = LMLabeller.of(backbone, (question,), (pair,)).probabilities(texts)
            yield row(f"{question}: {' or '.join(pair)}", found, labels, LM_THRESHOLDS, 0)


def model_rows(
    backbone_name: str, tuned: list[str], texts: list[str], labels: Array
) -> Iterator[str]:
    """The `lm:` labeller, those that were `tuned`, and the mean of all."""
    from ppt.backbones.labeller import LMLabeller
    from ppt.transfer.teacher import TunedLabeller

    def labelled(name: str, labeller: LMLabeller | TunedLabeller) -> str:
        started = time.process_time()
        found.append(labeller.probabilities(texts))
        rate = len(texts) / (time.process_time() - started)
        return row(name, found[-1], labels, LM_THRESHOLDS, rate)

    found: list[Array] = []
    yield labelled(f"lm:{backbone_name}", LMLabeller.load(backbone_name))
    for threshold in THRESHOLDS if labels.max() > 1 else ():
        yield row(f"— at {threshold}", found[0], labels, (threshold,) * 5, 0)
    for place in tuned:
        yield labelled(f"tuned:{place}", TunedLabeller.load(place))
    if tuned:
        yield row("the mean of these", np.mean(found, 0), labels, LM_THRESHOLDS, 0)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--backbone", default="smollm2-135m")
    parser.add_argument("--tuned", nargs="*", default=[], help="prompts and adapters that label")
    parser.add_argument("--answers", action="store_true", help="each question and pair of words")
    flags = parser.parse_args()
    texts, labels = load(flags.task / f"{flags.split}.jsonl", flags.rows)
    print(f"{len(texts)} rows of {flags.task.name}, {flags.split}; lm: {flags.backbone}\n")
    names = ("five", "two", "area", "r", "used", "right") if labels.max() > 1 else ("two", "area")
    print(" | ".join(["| labeller", *names, "sentences a CPU-second |"]))
    print("|---" * (len(names) + 2) + "|")
    started = time.process_time()
    vader = class_distribution(vader_compound(texts))
    rate = len(texts) / (time.process_time() - started)
    print(row("vader", vader, labels, PUBLISHED_THRESHOLDS, rate), flush=True)
    if flags.answers:
        for line in answers(flags.backbone, texts, labels):
            print(line, flush=True)
    for line in model_rows(flags.backbone, flags.tuned, texts, labels):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
