r"""What builds make of real text: the tables of docs/corpora.md, a row a file of documents.

    python -m benchmarks.real_texts --input news.jsonl novels.jsonl.gz -- \
        --exclude sst2,rte --data_dir ../shared/tasks
    python -m benchmarks.real_texts --input news.jsonl novels.jsonl.gz --checkout ../before

Each file is built by itself, all formats, by the code of this checkout or another; flags after
`--` go to the build. What the rows are worth is then measured by the code of this one:

- *twins*: validation documents with a Jaccard index of 0.8 or more, of runs of eight words, to
  one of train, of all validation documents with rows;
- *both*: validation sentences of pairs that stand in train too, of all validation sentences;
- *tested on*: training anchors of pairs that share words with the held-out rows of `--tested`;
- *overlap* and *form*: the shortcut baselines of `ppt.corpus.shortcuts` on the first training
  rows, of six options and of `unified` with its chance;
- the mixture of `unified`, labels of pairs, medians of letters by class, training rows;
- CPU-seconds per MB of text: the whole command, with VADER's labels, in one process.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.documents import documents
from benchmarks.watching import watch
from pipelines.excluding import read_excluded
from pipelines.logs import quiet
from ppt.base.markdown import markdown_table
from ppt.base.text import content_keys
from ppt.base.words import words_of
from ppt.corpus.formats import FORMATS
from ppt.corpus.sentiment import LABELS
from ppt.corpus.shingles import SHINGLE_WORDS
from ppt.corpus.shortcuts import SAMPLE, shortcuts
from ppt.corpus.storage import Corpus, open_corpus
from ppt.errors import exit_status

RELATIONS = ("text", "MB", "twins", "both", "tested on", "rows of the four", "CPU-s per MB")
GIVEN_AWAY = (
    "text", "six: overlap", "form", "`unified`: overlap", "form", "chance",
    "choice/pair/sentiment", "no/maybe/yes", "letters by class",
)  # fmt: skip
TWIN = 0.8


def twins(train: Iterable[str], validation: Iterable[str]) -> tuple[int, int]:
    """How many texts of `validation` have a twin in `train`, and how many there are."""
    train, validation = list(train), list(validation)
    words = words_of([*train, *validation])
    places, runs = words.runs(SHINGLE_WORDS)
    texts = words.texts[places]
    order = np.lexsort((texts, runs))
    texts, runs = texts[order], runs[order]
    once = np.append(True, (runs[1:] != runs[:-1]) | (texts[1:] != texts[:-1]))[: len(runs)]
    texts, runs = texts[once], runs[once]
    sizes = np.bincount(texts, minlength=len(train) + len(validation))
    known = texts < len(train)
    their_runs, theirs = runs[known], texts[known]
    found = 0
    for number in range(len(train), len(sizes)):
        own = runs[texts == number]
        first, last = (np.searchsorted(their_runs, own, side) for side in ("left", "right"))
        met = [theirs[a:b] for a, b in zip(first, last, strict=True) if a < b]
        if met:
            shared = np.bincount(np.concatenate(met), minlength=len(train))
            either = sizes[: len(train)] + len(own) - shared
            found += bool((shared >= TWIN * either).any())
    return found, len(validation)


def sentences(rows: pa.Table) -> set[str]:
    """The keys of all sentences of pairs."""
    texts = pc.unique(pa.chunked_array([*rows["text_a"].chunks, *rows["text_b"].chunks]))
    return set(content_keys(texts.to_pylist()))


def relations(
    texts: dict[str, str], pairs: Corpus, tested: list[str], data_dir: str | None
) -> list[str]:
    """The cells of twins, both and tested on, of documents by id."""
    train, validation = (pairs.read(split) for split in ("train", "validation"))
    ids = [pc.unique(rows["document_id"]).to_pylist() for rows in (train, validation)]
    twin, of = twins(*([texts[name] for name in names if name in texts] for names in ids))
    known, held = sentences(train), sentences(validation)
    excluded, _ = read_excluded(tested, data_dir)
    shared = (excluded.hits(pc.unique(train["text_a"]).to_pylist()) >= 0).sum()
    return [f"{twin} of {of}", f"{len(held & known):,} of {len(held):,}", f"{shared}"]


def given_away(corpora: dict[str, Corpus]) -> list[str]:
    """The cells of the second table."""
    six, mixed = (
        shortcuts(corpora[name].read("train").slice(0, SAMPLE), FORMATS[name].words)["choice"]
        for name in ("multiple_choice", "unified")
    )
    unified, pairs = (corpora[name].manifest for name in ("unified", "sentence_pair"))
    kinds = [unified.count("kinds", kind)[0] for kind in FORMATS["unified"].kinds]
    sentiment = corpora["sentiment"].read("train")
    labels = sentiment["label"].to_numpy()
    letters = pc.utf8_length(sentiment["text_a"]).to_numpy()
    medians = [f"{np.median(letters[labels == i]):.0f}" for i in range(len(LABELS))]
    return [
        *(f"{one[part]:.3f}" for one in (six, mixed) for part in ("overlap", "form")),
        f"{mixed['chance']:.3f}",
        "/".join(f"{100 * n / sum(kinds):.0f}" for n in kinds),
        "/".join(f"{pairs.count('labels', word)[0]:,}" for word in ("no", "maybe", "yes")),
        "/".join(medians),
    ]


def built(path: Path, flags: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Both rows of one file of documents."""
    texts = list(documents([str(path)], float("inf")))
    megabytes = sum(len(text) for _, text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        cost = watch(
            [sys.executable, "-m", "pipelines.build_corpus", "--input", str(path.resolve()),
             "--output", folder, "--workers", "1", *flags.build],
            flags.checkout,
        )  # fmt: skip
        corpora = {name: open_corpus(Path(folder) / name, name) for name in FORMATS}
        rows = "/".join(f"{corpus.manifest.rows['train']:,}" for corpus in corpora.values())
        related = relations(dict(texts), corpora["sentence_pair"], flags.tested, flags.data_dir)
        name = path.name.partition(".")[0]
        first = [name, f"{megabytes:.1f}", *related, rows, f"{cost.cpu / megabytes:.2f}"]
        return first, [name, *given_away(corpora)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", type=Path, required=True)
    parser.add_argument("--checkout", help="the folder of the code that builds")
    parser.add_argument("--tested", nargs="*", default=["sst2", "rte"])
    parser.add_argument("--data_dir", default="../shared/tasks", help="where the tasks lie")
    parser.add_argument("build", nargs="*", help="after `--`: further flags of the build")
    flags = parser.parse_args()
    quiet()
    tables = zip(*(built(path, flags) for path in flags.input), strict=True)
    for columns, rows in zip((RELATIONS, GIVEN_AWAY), tables, strict=True):
        print(markdown_table(columns, rows), end="\n\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
