"""What a build costs past one machine, and which limit it meets first.

    python -m benchmarks.scale --input '../shared/corpora/*.jsonl.gz' --write docs/scale.md
    python -m benchmarks.scale --page docs/scale.md --cpu_hour 0.03

The first measures a sample and writes the tables of a page, the second takes what was measured
from there, with other prices, sizes or workers. Measured is what the functions of each stage
take in one process, without Beam; simulated is where the hash puts documents that are as many
and as long as told; all else is arithmetic on these and on the flags.
"""

import argparse
import math
import re
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.sample import TOLD, Measured, measure
from pipelines.config import MAX_SHARDS, BuildConfig
from pipelines.logs import quiet
from ppt.base.markdown import markdown_table
from ppt.base.pages import MOST_ROWS
from ppt.base.streams import stream, uniform
from ppt.corpus.clusters import MEMBER
from ppt.corpus.formats import FORMATS
from ppt.errors import exit_status

KINDS = {"web pages": (2_000, 1.2), "books": (300_000, 0.8)}
"""Synthetic documents beside the sample's: median characters, deviation of the logarithm."""

BASE_MB = 20
"""Text that is taken 1, 10 and 100 times, where places are simulated."""

SLICE_MB = 32
"""Text of a slice, of files that are not compressed."""

SIZES = {"10 GB": 10e3, "1 TB": 1e6, "a web crawl of 20 TB": 20e6}
"""MB of text."""

# ---- where the hash puts documents


def lengths(count: int, median: float, deviation: float) -> np.ndarray:
    """Characters of synthetic documents, log-normal; the same each time."""
    first, second = (uniform(stream(np.arange(count, dtype=np.uint64), n)) for n in (0, 1))
    normal = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)  # Box and Muller 1958
    return np.maximum(median * np.exp(deviation * normal), 1).astype(np.int64)


def skew(megabytes: float, shard_mb: float, median: float, deviation: float) -> list[float]:
    """Documents, shards, and of the shards' text over its mean: the largest, the smallest."""
    mean = median * math.exp(deviation**2 / 2)
    sizes = lengths(max(1, round(megabytes * 1e6 / mean)), median, deviation)
    config = BuildConfig(num_shards=max(1, round(sizes.sum() / 1e6 / shard_mb)))
    text = np.zeros(config.num_shards)
    numbers = stream(np.arange(len(sizes), dtype=np.uint64), 2).tolist()
    for number, size in zip(numbers, sizes.tolist(), strict=True):
        text[config.shard_in("train", number)[1]] += size
    return [len(sizes), len(text), *(of / text.mean() for of in (text.max(), text.min()))]


def placement(sample: Measured, shard_mb: float) -> list[list[object]]:
    """How even shards are, by kind of documents and amount of text."""
    kinds = {"as the sample": (sample.median_chars, sample.deviation)} | KINDS
    rows = []
    for kind, shape in kinds.items():
        for times in (1, 10, 100):
            megabytes = BASE_MB * times
            count, shards, most, least = skew(megabytes, shard_mb, *shape)
            rows.append(
                [kind, f"{megabytes:,}", f"{count:,}", shards, f"{most:.2f}", f"{least:.2f}"]
            )
    return rows


# ---- arithmetic


def shards_of(megabytes: float, shard_mb: float) -> int:
    """Training shards, where ever larger ones are taken when they would be too many."""
    return max(1, min(MAX_SHARDS, round(megabytes / shard_mb)))


def costs(sample: Measured, flags: argparse.Namespace) -> list[list[object]]:
    """A build of each size: its files, work, workers, hours and money."""
    rows = []
    for name, megabytes in SIZES.items():
        shards = shards_of(megabytes, flags.shard_mb)
        files = round(shards * 1.05) * (len(FORMATS) + 1) + 3 * len(FORMATS)
        hours = megabytes * sample.cpu / 3600 / flags.efficiency
        shuffled = megabytes / 1e3 * (sample.packed(shards) + sample.notes)
        workers = min(flags.most_workers, math.ceil(hours / flags.hours))
        one = megabytes / shards * (sample.pool + sample.label + sample.build) / 3600
        price = (
            hours * (flags.cpu_hour + flags.gb_hour * flags.memory_gb) + shuffled * flags.shuffle_gb
        )
        rows.append([
            name, f"{megabytes / shards:,.0f}", f"{shards:,}", f"{files:,}",
            f"{shards * sample.entry_bytes / 1e6:,.1f}", f"{hours:,.0f}", f"{shuffled:,.0f}",
            f"{workers:,}", f"{hours / workers + one:,.1f}", f"{price:,.2f}",
        ])  # fmt: skip
    return rows


def limits(sample: Measured, flags: argparse.Namespace) -> list[list[object]]:
    """GB of text at which each limit is met, by kind of documents; what is met first leads."""
    kinds = {"as the sample": (sample.median_chars, sample.deviation)} | KINDS
    mean = {kind: at * math.exp(width**2 / 2) for kind, (at, width) in kinds.items()}
    memory = flags.memory_gb * 1e9
    graph = sample.slice_bytes / SLICE_MB + sample.shard_bytes / flags.shard_mb
    id_memory = sample.id_bytes + 3 * 8  # as text; as numbers, together, and sorted
    in_clusters = MEMBER.itemsize * flags.near_share
    met = {
        "numbers of shards": dict.fromkeys(mean, MAX_SHARDS * flags.shard_mb / 1e3),
        "the graph": dict.fromkeys(mean, flags.graph_mb * 1e6 / graph / 1e3),
        "shards' notes": dict.fromkeys(mean, memory / sample.note_bytes * flags.shard_mb / 1e3),
        "documents' ids": {kind: memory / id_memory * of / 1e9 for kind, of in mean.items()},
        "clusters": {kind: memory / in_clusters * of / 1e9 for kind, of in mean.items()},
        "a shard": dict.fromkeys(mean, MAX_SHARDS * memory / sample.shard_memory / 1e9),
        "a shard's rows": dict.fromkeys(mean, MAX_SHARDS * MOST_ROWS / sample.unpacked / 1e9),
    }
    order = sorted(met, key=lambda name: min(met[name].values()))
    return [[name, WHERE[name], *(f"{met[name][kind]:,.0f}" for kind in mean)] for name in order]


WHERE = {
    "numbers of shards": "five digits in file names; a larger `--shard_mb` goes further",
    "the graph": "slices and shards stand in the job that is handed in",
    "shards' notes": "one process holds what all shards tell",
    "documents' ids": "it counts the ids that documents share",
    "clusters": "each worker holds the near duplicates",
    "a shard": "a worker holds it; so large at most, with as many as can be",
    "a shard's rows": "readers hold 2 GiB of those of a format at the most",
}

# ---- the page


def table(columns: list[str], rows: list[list[object]]) -> str:
    """Markdown; numbers to the right."""
    return markdown_table(columns, rows, 1)


def told(sample: Measured) -> str:
    """What was measured, as `known` reads it."""
    rows = [[what, f"{asdict(sample)[name]:.6g}"] for name, what in TOLD.items()]
    return table(["", "measured"], rows)


def tables(sample: Measured, flags: argparse.Namespace) -> dict[str, str]:
    """What the page shows, by the names of its places."""
    used = ("shard_mb", "cpu_hour", "gb_hour", "shuffle_gb", "memory_gb", "efficiency", "hours",
            "most_workers", "graph_mb", "near_share")  # fmt: skip
    kinds = ["as the sample", *KINDS]
    return {
        "measured": told(sample),
        "placement": table(
            ["documents", "MB", "number", "shards", "largest / mean", "smallest / mean"],
            placement(sample, flags.shard_mb),
        ),
        "parameters": table(
            ["flag", "value"], [[f"`--{name}`", getattr(flags, name)] for name in used]
        ),
        "costs": table(["text", "MB a shard", "shards", "files", "MB a manifest", "CPU-hours",
                        "GB shuffled", "workers", "hours", "money"], costs(sample, flags)),
        "limits": table(["limit", "what it is", *(f"GB, {kind}" for kind in kinds)],
                        limits(sample, flags)),
    }  # fmt: skip


def known(page: str) -> Measured:
    """What a page says was measured."""
    rows = dict(re.findall(r"^\| (.+?) \| ([\d.e+-]+) \|$", page, re.MULTILINE))
    return Measured(**{name: float(rows[told]) for name, told in TOLD.items()})


def written(page: str, found: dict[str, str]) -> str:
    """The page with new tables in their places."""
    for name, text in found.items():
        begin, end = f"<!-- scale: {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def parsed(argv: list[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--input", nargs="+", help="documents to measure; without it, --page has the numbers")
    add("--megabytes", type=float, default=24, help="how much of them")
    add("--page", default="docs/scale.md", help="where the measured numbers stand")
    add("--write", metavar="PAGE", help="put the tables into it")
    for name, default, told in (
        ("shard_mb", 8, "as in build_corpus"),
        ("cpu_hour", 0.056, "price of a core for an hour"),
        ("gb_hour", 0.003557, "price of a GB of memory for an hour"),
        ("shuffle_gb", 0.011, "price of a GB shuffled"),
        ("memory_gb", 4, "memory of a worker, which has one core"),
        ("efficiency", 0.7, "share of a worker's time that is not Beam's, waiting or starting"),
        ("hours", 8, "for so long workers are taken"),
        ("most_workers", 1000, "but no more than these"),
        ("graph_mb", 10, "the largest job that can be handed in, as Dataflow's quotas say"),
        ("near_share", 0.1, "share of documents that have near duplicates"),
    ):
        add(f"--{name}", type=type(default), default=default, help=f"{told} ({default})")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print the tables, or put them into the page."""
    quiet()
    flags = parsed(argv)
    page = Path(flags.write or flags.page)
    sample = measure(flags.input, flags.megabytes) if flags.input else known(page.read_text())
    sample = known(told(sample))  # so that both ways show the same digits
    found = tables(sample, flags)
    if flags.write:
        page.write_text(written(page.read_text(), found))
    else:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in found.items()))


if __name__ == "__main__":
    sys.exit(exit_status(main))
