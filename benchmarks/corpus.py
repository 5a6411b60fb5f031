"""What building corpora costs, against NLTK's Punkt alone and a plain-Python builder.

    python -m benchmarks.corpus --input '../shared/corpora/*.jsonl.gz' --megabytes 60

One run measures everything on the same documents, each part in a process of its
own, and prints a Markdown table. CPU-seconds count all processes of a part;
Beam's own start-up is counted in, but not in "MB/s while working".
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.documents import gather, scatter, texts, typographic
from benchmarks.watching import Cost, watch
from pipelines.logs import quiet
from ppt.corpus.formats import FORMATS
from ppt.errors import exit_status

SAMPLE_MEGABYTES = 6
"""How much of the documents the slow references read; their cost per MB is even."""


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


def row(what: str, cpu: float, cost: Cost | None = None) -> None:
    """Print a row of the table."""
    cells = [f"{cpu:.3f}", "", "", "", ""]
    if cost:
        worker = f"{cost.worker:.0f}" if cost.worker else "the same"
        cells[1:] = [f"{cost.wall:.1f}", f"{cost.rate:.2f}", f"{cost.launcher:.0f}", worker]
    print(f"| {what} | {' | '.join(cells)} |", flush=True)


ALL = ",".join(FORMATS)


def of_kind(kind: str, path: Path, mb: float) -> str:
    """Rows of one kind of text; a line on what all four formats cost beside NLTK."""
    nltk, splitter, vader = (run_part(name, path) / mb for name in ("nltk", "splitter", "vader"))
    row(f"{kind}: NLTK's Punkt alone", nltk)
    row("— our Punkt alone, the same boundaries", splitter)
    row("— our VADER, every sentence, the same scores", vader)
    cost = pipeline(path, path.with_suffix(""), ALL, 1)
    row("— pipeline, all four, 1 process", cost.cpu / mb, cost)
    rest = cost.cpu / mb - vader
    row("— the same without the labeller's calls", rest)
    again = run_part("nltk", path) / mb
    row("— NLTK's Punkt alone, once more", again)
    nltk = (nltk + again) / 2
    return (
        f"- {kind}: all four formats cost {cost.cpu / mb / nltk:.2f} of NLTK's Punkt alone, "
        f"without the labeller's calls {rest / nltk:.2f}."
    )


def of_small_files(path: Path, number: int) -> str:
    """Rows of many small files and of their texts in one."""
    folder = path.with_name("small")
    mb = scatter(path, folder, number)
    many = pipeline(folder / "*.txt", path.with_name("of-small"), ALL, 1)
    one = pipeline(folder.with_suffix(".jsonl"), path.with_name("of-one"), ALL, 1)
    row(f"pipeline, all four, {number:,} files", many.cpu / mb, many)
    row("— the same texts in one file", one.cpu / mb, one)
    return (
        f"- {number:,} small files cost {many.cpu / one.cpu:.2f} times what one of them all does."
    )


def of_processes(whole: Path, mb: float, larger: Path, more: float) -> str:
    """Rows of each format, of two processes, and of a larger input."""
    out = whole.with_name("c")
    for format_name in FORMATS:
        cost = pipeline(whole, out, format_name, 1)
        row(f"pipeline, {format_name}, 1 process", cost.cpu / mb, cost)
    told = []
    for path, size in ((whole, mb), (larger, more)):
        one, two = (pipeline(path, out, ALL, workers) for workers in (1, 2))
        row(f"pipeline, all four, 1 process, {size:.0f} MB", one.cpu / size, one)
        row(f"pipeline, all four, 2 processes, {size:.0f} MB", two.cpu / size, two)
        told.append(
            f"- 2 processes over 1 at {size:.0f} MB: throughput {two.rate / one.rate:.2f}, "
            f"whole command {one.wall / two.wall:.2f}."
        )
    return "\n".join(told)


def report(flags: argparse.Namespace) -> None:
    """Measure all and print the table."""
    patterns, megabytes = flags.input, flags.megabytes
    with tempfile.TemporaryDirectory() as name:
        whole, curly, small, larger = (
            Path(name) / f"{file}.jsonl" for file in ("whole", "curly", "sample", "larger")
        )
        mb = gather(patterns, megabytes, whole)
        curly_mb = gather(patterns, megabytes, curly, change=typographic)
        sample = gather(patterns, min(SAMPLE_MEGABYTES, megabytes), small)
        print(f"{mb:.1f} MB of text; references on {sample:.1f} MB of it where marked *\n")
        print(
            "| | CPU-s per MB | wall s | MB/s while working | launcher MB | largest worker MB |\n"
            "|---|---|---|---|---|---|"
        )
        told = [of_kind("as given", whole, mb), of_kind("typographic", curly, curly_mb)]
        told.append(of_small_files(curly, flags.files))
        if flags.copies > 1:
            row("vaderSentiment, every sentence *", run_part("vadersentiment", small) / sample)
            oracle = run_part("oracle", small) / sample
            row("plain-Python builder (NLTK, oracle, our VADER) *", oracle)
            more = gather(patterns, megabytes, larger, flags.copies)
            told.append(of_processes(whole, mb, larger, more))
        print("", *told, sep="\n")


def main() -> None:
    """Run the benchmark, or one part of it in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", nargs="+", default=["data/documents/*.jsonl"])
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument(
        "--copies",
        type=int,
        default=4,
        help="how much larger the large run is; 1: only the kinds of text and small files",
    )
    parser.add_argument("--files", type=int, default=20_000, help="how many small files")
    parser.add_argument("--part", nargs=2, metavar=("PART", "FILE"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    quiet()
    if flags.part:
        PARTS[flags.part[0]](flags.part[1])
    else:
        report(flags)


if __name__ == "__main__":
    sys.exit(exit_status(main))
