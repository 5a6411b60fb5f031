"""What corpora give away: a row of a Markdown table for each output folder of a build.

    python -m benchmarks.shortcuts corpora/ other-corpora/

All is measured on the rows, so it serves corpora of any version: baselines as the manifest has
them (`ppt.corpus.shortcuts`), the mixture of `unified`, rows, medians of letters by class.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from ppt.corpus.formats import FORMATS
from ppt.corpus.sentiment import LABELS
from ppt.corpus.shortcuts import SAMPLE, shortcuts
from ppt.corpus.storage import open_corpus

COLUMNS = (
    "corpus", "six: overlap", "six: form", "unified: overlap", "unified: form", "(chance)",
    "choice/pair/sentiment", "no/maybe/yes", "letters by class", "rows",
)  # fmt: skip


def row(folder: Path) -> list[str]:
    """The cells of one output folder that has all four formats."""
    corpora = {name: open_corpus(folder / name, name) for name in FORMATS}
    rows = {name: corpus.read("train") for name, corpus in corpora.items()}
    found = {
        name: shortcuts(rows[name].slice(0, SAMPLE), FORMATS[name].words)["choice"]
        for name in ("multiple_choice", "unified")
    }
    six, mixed = found["multiple_choice"], found["unified"]
    manifests = {name: corpus.manifest for name, corpus in corpora.items()}
    kinds = [manifests["unified"].count("kinds", kind)[0] for kind in FORMATS["unified"].kinds]
    pairs = [manifests["sentence_pair"].count("labels", word)[0] for word in ("no", "maybe", "yes")]
    labels = rows["sentiment"]["label"].to_numpy()
    letters = pc.utf8_length(rows["sentiment"]["text_a"]).to_numpy()
    medians = [f"{np.median(letters[labels == i]):.0f}" for i in range(len(LABELS))]
    return [
        str(folder), f"{six['overlap']:.3f}", f"{six['form']:.3f}", f"{mixed['overlap']:.3f}",
        f"{mixed['form']:.3f}", f"{mixed['chance']:.3f}",
        "/".join(f"{100 * n / sum(kinds):.0f}" for n in kinds),
        "/".join(f"{n:,}" for n in pairs), "/".join(medians),
        "/".join(f"{manifest.rows['train']:,}" for manifest in manifests.values()),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for folder in sys.argv[1:]:
        print(f"| {' | '.join(row(Path(folder)))} |", flush=True)


if __name__ == "__main__":
    main()
