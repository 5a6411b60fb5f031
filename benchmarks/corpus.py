"""What building corpora costs, against NLTK's Punkt alone and a plain-Python builder.

    python -m benchmarks.corpus --input '../shared/corpora/*.jsonl.gz' --megabytes 60

One run measures everything on the same documents, each part in a process of its
own, and prints a Markdown table. CPU-seconds count all processes of a part;
Beam's own start-up is counted in, but not in "MB/s while working".
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipelines.readers import ReadOptions, expand, read
from ppt.corpus.formats import FORMATS
from ppt.corpus.records import Document

SAMPLE_MEGABYTES = 6
"""How much of the documents the slow references read; their cost per MB is even."""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall clock and CPU over all processes; MB of the launcher, of the largest worker;
    millions of characters a second from the first document to the last shard.
    """

    wall: float
    cpu: float
    launcher: float
    worker: float
    rate: float


def watch(command: list[str]) -> Cost:
    """Run a command and add up what it and its descendants used, sampled 20 times a second."""
    started = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu: dict[int, float] = {}
    launcher = worker = 0
    while process.poll() is None:
        for each in [process, *_descendants(process)]:
            try:
                times, memory = each.cpu_times(), each.memory_info()
            except psutil.Error:
                continue
            cpu[each.pid] = times.user + times.system
            if each.pid == process.pid:
                launcher = max(launcher, memory.rss)
            else:
                worker = max(worker, memory.rss)
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{process.stderr.read()}")
    wall = time.monotonic() - started
    rate = float(re.findall(r"([\d.]+) M/s while", process.stdout.read())[-1])
    return Cost(wall, sum(cpu.values()), launcher / 1e6, worker / 1e6, rate)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def texts(path: str) -> Iterator[str]:
    """The texts of a JSONL file."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def part_nltk(path: str) -> None:
    """NLTK's Punkt, with our parameters, on whole documents."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    from ppt.text.sentences import get_splitter

    tokenizer = PunktSentenceTokenizer(get_splitter("punkt:english").parameters)  # type: ignore[attr-defined]
    _timed(lambda: sum(len(list(tokenizer.span_tokenize(text))) for text in texts(path)))


def part_splitter(path: str) -> None:
    """Our Punkt on the same documents."""
    from ppt.text.sentences import get_splitter

    splitter = get_splitter("punkt:english")
    _timed(lambda: sum(len(splitter(text)) for text in texts(path)))


def _sentences(path: str) -> list[str]:
    from ppt.text.sentences import get_splitter

    splitter = get_splitter("punkt:english")
    return [sentence for text in texts(path) for sentence in splitter(text)]


def part_vader(path: str) -> None:
    """The labeller: our VADER on every sentence."""
    from ppt.text.vader import vader_compound

    sentences = _sentences(path)
    _timed(lambda: len(vader_compound(sentences)))


def part_vadersentiment(path: str) -> None:
    """The package vaderSentiment, a sentence at a time."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    sentences = _sentences(path)
    _timed(lambda: sum(analyzer.polarity_scores(text)["pos"] > 0 for text in sentences))


def part_oracle(path: str) -> None:
    """The plain-Python builder of the tests: NLTK, then one object per example."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    from ppt.base.text import document_key, fold_whitespace, normalise
    from ppt.corpus.options import FormatOptions
    from ppt.corpus.pool import SplitDocument
    from ppt.corpus.sentiment import class_distribution
    from ppt.text.sentences import get_splitter
    from ppt.text.vader import vader_compound
    from tests.oracle import Oracle

    tokenizer = PunktSentenceTokenizer(get_splitter("punkt:english").parameters)  # type: ignore[attr-defined]

    def split() -> list[SplitDocument]:
        documents = {}
        for number, raw in enumerate(texts(path)):
            text = normalise(raw)
            sentences = [fold_whitespace(s) for s in tokenizer.tokenize(text)]
            document = SplitDocument(document_key(text), str(number), sentences)
            documents[document.key] = document
        return [documents[key] for key in sorted(documents)]

    documents: list[SplitDocument] = []

    def run() -> int:
        documents.extend(split())
        oracle = Oracle(documents, FormatOptions())
        oracle.probabilities = class_distribution(vader_compound([s.text for s in oracle.pool]))
        return sum(len(oracle.rows(name)) for name in FORMATS)

    _timed(run)


def _timed(function: Callable[[], int]) -> None:
    started = time.process_time()
    count = function()
    print(json.dumps({"cpu": time.process_time() - started, "count": count}))


PARTS = {
    name.removeprefix("part_"): function
    for name, function in list(globals().items())
    if name.startswith("part_")
}


def run_part(name: str, path: Path) -> float:
    """CPU-seconds of one part, without what loading it costs."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus", "--part", name, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout)["cpu"])


def pipeline(path: Path, folder: Path, formats: str, workers: int, *flags: str) -> Cost:
    """The product's own command, from start to finished corpora."""
    return watch(
        [sys.executable, "-m", "pipelines.build_corpus", "--input", str(path), "--output",
         str(folder), "--formats", formats, "--workers", str(workers), "--overwrite", *flags]
    )  # fmt: skip


def gather(patterns: list[str], megabytes: float, copies: int, path: Path) -> float:
    """Write documents as JSONL until `megabytes` of text, then copies of other letters.

    Copies have their letters moved along the alphabet, so that nothing in them
    is a duplicate of anything. Returns the megabytes of text written.
    """
    written = 0.0
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    with path.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            moved = str.maketrans(alphabet, alphabet[copy:] + alphabet[:copy])
            budget = megabytes * 1e6
            for part in expand(patterns):
                for record in read(part, ReadOptions()):
                    if not isinstance(record, Document) or budget <= 0:
                        continue
                    text = record.text.translate(moved) if copy else record.text
                    budget -= len(text)
                    written += len(text) / 1e6
                    file.write(json.dumps({"id": f"{record.id}-{copy}", "text": text}) + "\n")
    return written


def report(patterns: list[str], megabytes: float, copies: int) -> None:
    """Measure all and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, small, larger = (
            folder / "whole.jsonl",
            folder / "small.jsonl",
            folder / "large.jsonl",
        )
        mb = gather(patterns, megabytes, 1, whole)
        sample = gather(patterns, min(SAMPLE_MEGABYTES, megabytes), 1, small)
        print(f"{mb:.1f} MB of text; references on {sample:.1f} MB of it where marked *\n")
        print(
            "| | CPU-s per MB | wall s | MB/s while working | launcher MB | largest worker MB |\n"
            "|---|---|---|---|---|---|"
        )

        def row(what: str, cpu: float, cost: Cost | None = None) -> None:
            cells = [f"{cpu:.3f}", "", "", "", ""]
            if cost:
                worker = f"{cost.worker:.0f}" if cost.worker else "the same"
                cells[1:] = [f"{cost.wall:.1f}", f"{cost.rate:.2f}", f"{cost.launcher:.0f}", worker]
            print(f"| {what} | {' | '.join(cells)} |", flush=True)

        nltk = run_part("nltk", whole) / mb
        row("NLTK's Punkt alone", nltk)
        row("our Punkt alone, the same boundaries", run_part("splitter", whole) / mb)
        row("vaderSentiment, every sentence *", run_part("vadersentiment", small) / sample)
        vader = run_part("vader", whole) / mb
        row("our VADER, every sentence, the same scores", vader)
        row("plain-Python builder (NLTK, oracle, our VADER) *", run_part("oracle", small) / sample)
        for format_name in FORMATS:
            cost = pipeline(whole, folder / "c", format_name, 1)
            row(f"pipeline, {format_name}, 1 process", cost.cpu / mb, cost)
        one = pipeline(whole, folder / "c", ",".join(FORMATS), 1)
        row("pipeline, all four, 1 process", one.cpu / mb, one)
        row("— without the labeller's calls", one.cpu / mb - vader)
        two = pipeline(whole, folder / "c", ",".join(FORMATS), 2)
        row("pipeline, all four, 2 processes", two.cpu / mb, two)
        if copies > 1:
            more = gather(patterns, megabytes, copies, larger)
            for workers in (1, 2):
                big = pipeline(larger, folder / "c", ",".join(FORMATS), workers)
                row(
                    f"pipeline, all four, {workers} process{'es' * (workers > 1)}, {more:.0f} MB",
                    big.cpu / more,
                    big,
                )
        rest = one.cpu / mb - vader
        print(f"\nAll four without the labeller over NLTK alone: {rest / nltk:.2f}")
        print(
            f"2 processes over 1: throughput {two.rate / one.rate:.2f}, "
            f"whole command {one.wall / two.wall:.2f}"
        )


def main() -> None:
    """Run the benchmark, or one part of it in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", default=["data/documents/*.jsonl"])
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--copies", type=int, default=4, help="how much larger the large run is")
    parser.add_argument("--part", nargs=2, metavar=("PART", "FILE"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.part:
        PARTS[flags.part[0]](flags.part[1])
    else:
        report(flags.input, flags.megabytes, flags.copies)


if __name__ == "__main__":
    main()
