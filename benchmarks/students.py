"""How much labels teach: a student of words alone, taught by a corpus, asked about labelled rows.

    python -m benchmarks.students corpora/sentiment others/sentiment --task FOLDER [--split train]

A logistic regression on words and pairs of words learns a sentiment corpus in a minute. Which of
two corpora teaches it more about rows that people labelled tells which labels are better, long
before a language model has learned either: labellers, thresholds and ``--document_weight`` can be
chosen so, on rows that nothing is tested on. Rows as for `benchmarks.labellers`; "area" is that
under the ROC curve.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.labellers import area, load, two_classes
from ppt.base.markdown import markdown_table
from ppt.corpus.sentiment import LABELS
from ppt.corpus.storage import open_corpus
from ppt.errors import exit_status

LEAST, EPOCHS, ROWS, RATE, STEEP = 4, 6, 256, 0.02, 1.2
"""Rows that a word stands in; passes; rows of a step; its rate; log-odds of a class more."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[!?]")


def grams(text: str) -> Iterator[str]:
    """The words of a text, and each two that follow one another."""
    words = _WORD.findall(text.lower().replace(" n't", "n't"))
    yield from words
    yield from map(" ".join, pairwise(words))


class Student(nn.Module):
    """Weights of the words of some texts; a text has their sum over the root of their number."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        counts = Counter(gram for text in texts for gram in set(grams(text)))
        known = sorted(gram for gram, count in counts.items() if count >= LEAST)
        self.place = {gram: place for place, gram in enumerate(known)}
        self.weights = nn.EmbeddingBag(len(known), 1, mode="sum")
        nn.init.zeros_(self.weights.weight)
        self.bias = nn.Parameter(torch.zeros(1))

    def bags(self, texts: Sequence[str]) -> list[Tensor]:
        """The known words of each text."""
        return [
            torch.tensor(sorted({self.place[g] for g in grams(text) if g in self.place}), dtype=int)
            for text in texts
        ]

    def forward(self, bags: Sequence[Tensor]) -> Tensor:
        """Log-odds [N] of good."""
        sizes = torch.tensor([len(bag) for bag in bags])
        sums = self.weights(torch.cat(list(bags)), sizes.cumsum(0) - sizes)[:, 0]
        return sums * sizes.clamp(min=1).float().rsqrt() + self.bias


def taught(texts: Sequence[str], labels: Sequence[int], epochs: int = EPOCHS) -> Student:
    """A student that has learned the classes of texts, as shares of good."""
    torch.manual_seed(0)
    student = Student(texts)
    bags = student.bags(texts)
    right = torch.sigmoid(STEEP * (torch.tensor(labels).float() - len(LABELS) // 2))
    optimizer = torch.optim.Adam(student.parameters(), RATE)
    for _ in range(epochs):
        for rows in torch.randperm(len(bags)).split(ROWS):
            scores = student([bags[row] for row in rows.tolist()])
            loss = functional.binary_cross_entropy_with_logits(scores, right[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return student


def main(argv: Sequence[str] | None = None) -> int:
    """Teach a student by each corpus, and print what it knows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", nargs="+", help="folders of sentiment corpora")
    parser.add_argument("--task", type=Path, required=True, help="folder with the labelled rows")
    parser.add_argument("--split", default="train", help="of the task (%(default)s)")
    parser.add_argument("--rows", type=int, default=10**9, help="at most; all if left out")
    flags = parser.parse_args(argv)
    texts, labels = load(flags.task / f"{flags.split}.jsonl", flags.rows)
    found = []
    for folder in flags.corpora:
        table = open_corpus(folder, "sentiment").read("train")
        student = taught(table["text_a"].to_pylist(), table["label"].to_pylist())
        with torch.no_grad():
            good = student(student.bags(texts)).sigmoid().numpy()[:, None]
        spread = np.concatenate([1 - good, *np.zeros((3, *good.shape)), good], 1)
        told = f"{area(spread, labels):.4f}", f"{two_classes(spread, labels):.3f}"
        found.append((folder, f"{table.num_rows:,}", *told))
    print(markdown_table(("corpus", "rows", "area", "right"), found, 1))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
