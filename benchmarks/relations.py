"""What it costs to find near duplicates and repetition, against datatrove's MinHash.

    python -m benchmarks.relations --input '../shared/corpora/*.jsonl.gz' --megabytes 20

Each row is CPU-seconds per MB of text in one process, with nothing but that part. The MinHash
signatures of datatrove (its default of 14 times 8 hashes, here of eight words; words by
`str.split`, which costs less than its tokenizers) are measured on `SLOW_MEGABYTES` of the same
text, where it is installed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.documents import documents
from pipelines.packets import pack
from ppt.base.text import content_key, document_key, document_number, normalise
from ppt.corpus.clusters import cluster, edges, link
from ppt.corpus.repeats import repeated, standing
from ppt.corpus.shingles import SHINGLE_WORDS, sample_shingles
from ppt.errors import exit_status
from ppt.text.sentences import get_splitter

SLOW_MEGABYTES = 2
AT_ONCE = 500_000
"""Characters whose shingles are sampled together, as a build does."""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU-seconds and result."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def batches(texts: list[str]) -> list[list[int]]:
    """Numbers of texts, as many together as a build holds."""
    found: list[list[int]] = [[]]
    size = 0
    for number, text in enumerate(texts):
        found[-1].append(number)
        size += len(text)
        if size >= AT_ONCE:
            found.append([])
            size = 0
    return found


def datatrove_signatures(texts: list[str]) -> float | None:
    """CPU-seconds of datatrove's signatures of the texts; None where it is not installed."""
    try:
        from datatrove.pipeline.dedup import minhash

        minhash.load_word_tokenizer = lambda _: SimpleNamespace(word_tokenize=str.split)
        step = minhash.MinhashDedupSignature(".", minhash.MinhashConfig(n_grams=SHINGLE_WORDS))
        hashed = step._hash_func  # of bytes, in newer releases of what it hashes with
        step._hash_func = lambda text: hashed(text.encode())
        step.get_signature(step.get_shingles(" ".join("abcdefghijkl")))
    except Exception as error:  # whatever its parts raise where one is missing
        print(f"datatrove: {error!r:.200}")
        return None
    return timed(lambda: [step.get_signature(step.get_shingles(text)) for text in texts])[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", default=["data/documents/*.jsonl"])
    parser.add_argument("--megabytes", type=float, default=20)
    flags = parser.parse_args()
    texts = [text for _, text in documents(flags.input, flags.megabytes * 1e6, normalise)]
    mb = sum(map(len, texts)) / 1e6
    numbers = [document_number(document_key(text)) for text in texts]
    sample_shingles([0], ["a warm start: the table of signs is made"])
    splitter = get_splitter()
    sentences = [splitter(text) for text in texts]
    groups = batches(texts)
    print(f"{mb:.1f} MB of text, {len(texts):,} documents\n")
    print("| | CPU-s per MB | bytes per byte of text |\n|---|---|---|")

    def row(what: str, seconds: float, rows: np.ndarray | None = None, size: float = mb) -> None:
        packed = "" if rows is None else f"{len(pack(rows)) / mb / 1e6:.3f}"
        print(f"| {what} | {seconds / size:.4f} | {packed} |", flush=True)

    sampling, samples = timed(lambda: np.concatenate([
        sample_shingles([numbers[n] for n in some], [texts[n] for n in some]) for some in groups
    ]))  # fmt: skip
    row("samples of shingles", sampling, samples)
    linking, links = timed(lambda: link(samples))
    row("links", linking, links)
    judging, found = timed(lambda: cluster(edges(links)))
    row("edges and clusters", judging)
    keying, keys = timed(lambda: [[*map(content_key, one)] for one in sentences])
    row("content keys", keying)
    noting, standings = timed(lambda: np.concatenate([
        standing([numbers[n] for n in some], [keys[n] for n in some]) for some in groups
    ]))  # fmt: skip
    row("hashes of keys", noting, standings)
    counting, rows = timed(lambda: repeated(standings, found.members["number"][:0]))
    row("repetition", counting, rows)
    packing, _ = timed(lambda: (pack(samples), pack(links), pack(standings)))
    row("packing all of these", packing)
    total = sampling + linking + judging + keying + noting + counting + packing
    row("**all together**", total)
    few = texts[: max(1, int(np.searchsorted(np.cumsum([*map(len, texts)]), SLOW_MEGABYTES * 1e6)))]
    theirs, size = datatrove_signatures(few), sum(map(len, few)) / 1e6
    if theirs is not None:
        row(f"datatrove's MinHash signatures, {size:.1f} MB", theirs, size=size)
        print(f"\nOurs over datatrove's: {total / mb / (theirs / size):.3f}")
    print(f"\n{found.counts()}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
