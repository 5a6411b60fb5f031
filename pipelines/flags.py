"""The flags of `build_corpus`. Importing them needs neither Beam nor torch.

What they mean, and what else can be wrong with them, `pipelines.options` knows. All that
are no flags here go to Beam, if they are flags there.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ppt.base.flags import ABOVE_ZERO, Command, Parser, at_least, flag
from ppt.corpus.formats import FORMATS
from ppt.corpus.options import ADJACENCIES
from ppt.corpus.sentiment import LABELS, LM_THRESHOLDS, PUBLISHED_THRESHOLDS
from ppt.text.sentences import LENGTHS, OTHER_LENGTHS

DESCRIPTION = """\
Turn raw documents into self-supervised corpora, in one read.

They are sentence pairs, six-option multiple choice, pseudo-labelled sentiment, and
everything as multiple choice (unified). The same input and flags give the same bytes, on
any runner and number of workers."""

EPILOG = """\
examples:
  python -m pipelines.build_corpus --input 'docs/*.txt' --output corpora/
  python -m pipelines.build_corpus --input 'a.jsonl.gz' 'b/*.parquet' --formats unified
  python -m pipelines.build_corpus --input 'gs://bucket/*.jsonl' --output gs://bucket/corpora \\
      --runner DataflowRunner --project my-project --region europe-west1 \\
      --temp_location gs://bucket/tmp --dry_run

Then: python -m ppt.inspect corpora/unified -n 5
Any further flag is passed on to Apache Beam. Exit codes: 0 done, 2 a one-line error."""

AUTO = "auto"
INPUT_FORMATS = ("text", "lines", "jsonl", "parquet")
NEAR_DUPLICATES = GROUP, KEEP, DROP = "group", "keep", "drop"
CPU_HOUR_PRICE = 0.07
"""About 0.056 + 4 x 0.0036 dollars, a price list of Dataflow's batch workers; yours may differ."""

LOCAL_RUNNERS = ("FnApiRunner", "DirectRunner")
"""Names of the one that runs in this process or in processes of this machine."""

INPUT, WANTED, OUTPUT = "input", "what of it is wanted", "output"
DOCUMENTS, SENTENCES = "documents that are related", "sentences"
EXAMPLES, RUNNING, ELSEWHERE = "examples", "running", "on other machines (docs/dataflow.md)"


def joined(values: Iterable[float]) -> str:
    """Numbers as a flag takes them."""
    return ",".join(map(str, values))


def _lengths(which: int) -> str:
    """The default bounds of sentences as ``--help`` tells them."""
    others = ", ".join(f"{bounds[which]} with {name}" for name, bounds in LENGTHS.items())
    return f"{OTHER_LENGTHS[which]}; {others}"


@dataclass(frozen=True, kw_only=True)
class BuildFlags(Command):
    """``python -m pipelines.build_corpus``: raw documents in, corpora out."""

    REST: ClassVar[str] = "beam"

    input: tuple[str, ...] = flag(
        "files or globs, plain, .gz or .zst; quote globs; may be given several times",
        group=INPUT,
        metavar="PATTERN",
    )
    input_format: str = flag(
        "text: a file is a document; lines: a line is one; jsonl; parquet; auto: by name",
        group=INPUT,
        default=AUTO,
        choices=(AUTO, *INPUT_FORMATS),
    )
    text_field: str = flag("JSON field or Parquet column of the text", group=INPUT, default="text")
    id_field: str | None = flag(
        "field of the document's id",
        group=INPUT,
        default=None,
        unset="'id' where it is text or a whole number",
    )
    max_document_chars: int = flag(
        "longer documents are cut at paragraphs into parts, with ids like mine#1",
        group=INPUT,
        default=16_000_000,
    )
    encoding: str = flag(
        "of the input: a name that Python knows (cp1252, gb18030), or auto, which finds it for "
        "each record; other bytes are rejected",
        group=INPUT,
        default="utf-8",
        metavar="NAME",
    )
    extract: str = flag(
        "make documents plain: markdown (no code, tables, markup), html (the main content), mail "
        "(no headers, quotations, signatures), subtitles, script (no names, directions), none; "
        "auto: by the file's name, .txt, .jsonl and .parquet as they are",
        group=WANTED,
        default=AUTO,
        metavar="NAME",
    )
    language: str | None = flag(
        "codes such as en or de,fr: documents in others are rejected",
        group=WANTED,
        default=None,
        unset="any",
        metavar="CODES",
    )
    quality: str | None = flag(
        "published filters, comma-separated, made for English web pages: gopher_quality, "
        "gopher_repetition, c4 (which also leaves out lines); what fails is rejected",
        group=WANTED,
        default=None,
        unset="none",
        metavar="NAMES",
    )
    output: str = flag("folder", group=OUTPUT, default="corpora")
    formats: str = flag("comma-separated", group=OUTPUT, default=",".join(FORMATS))
    overwrite: bool = flag("replace finished corpora", group=OUTPUT, default=False)
    validation_fraction: float = flag("share of documents held out", group=OUTPUT, default=0.05)
    num_shards: int | None = flag(
        "training shards", group=OUTPUT, default=None, rule=at_least(1),
        unset="one per --shard_mb of text, estimated from file sizes",
    )  # fmt: skip
    shard_mb: float = flag(
        "text per shard; other-document sentences come from the same shard", group=OUTPUT,
        default=8.0, rule=ABOVE_ZERO,
    )  # fmt: skip
    near_duplicates: str = flag(
        "documents that hold 0.8 of each other's text, editions or a reply and what it quotes: "
        "group: all in one split; drop: the longest stays, the others are rejects; keep: as if "
        "they were strangers, without looking for them",
        group=DOCUMENTS,
        default=NEAR_DUPLICATES[0],
        choices=NEAR_DUPLICATES,
    )
    exclude: str | None = flag(
        "comma-separated tasks (sst2, rte) and files of rows or lines that will be tested on: "
        "sentences that share 13 words on end with a row are left out, counted and listed",
        group=DOCUMENTS,
        default=None,
        unset="nothing",
    )
    data_dir: str | None = flag(
        "the tasks of --exclude are read from data_dir/NAME/, all splits but train",
        group=DOCUMENTS,
        default=None,
        unset="the Hugging Face hub",
    )
    splitter: str = flag(
        "punkt:english, punkt:LANGUAGE or FOLDER, punkt:train (learn from the input itself), "
        "regex:zh, regex:ja, regex:stops (of Hindi, Arabic, Urdu…), lines",
        group=SENTENCES,
        default="punkt:english",
    )
    min_sentences: int = flag("documents with fewer are rejected", group=SENTENCES, default=2)
    min_sentence_chars: int | None = flag(
        "shorter sentences are left out", group=SENTENCES, default=None, rule=at_least(1),
        unset=_lengths(0),
    )  # fmt: skip
    max_sentence_chars: int | None = flag(
        "longer sentences are left out", group=SENTENCES, default=None, rule=at_least(1),
        unset=_lengths(1),
    )  # fmt: skip
    seed: int = flag("all random choices come from it and the documents", group=EXAMPLES, default=1)
    adjacency: str = flag(
        "which neighbour is the adjacent sentence", group=EXAMPLES, default=ADJACENCIES[0],
        choices=ADJACENCIES,
    )  # fmt: skip
    max_examples_per_document: int = flag(
        "per format; 0: every sentence", group=EXAMPLES, default=0
    )
    max_text_chars: int = flag(
        "text_a and text_b are cut to this, at a clause's or a word's end",
        group=EXAMPLES,
        default=400,
    )
    max_option_chars: int = flag(
        "options are cut to this, and shorter the more", group=EXAMPLES, default=200
    )
    unified_mixture: str = flag(
        "shares of the unified corpus, or 'published': selection only",
        group=EXAMPLES,
        default="choice=0.6,pair=0.2,sentiment=0.2",
    )
    labeller: str = flag(
        "vader; model:FOLDER_OR_HUB_ID, any five-class sequence classifier; tuned:PLACE, a run of "
        "ppt.pretrain or an adapter of ppt.fewshot on sentiment; lm:NAME, any backbone, zero-shot ("
        "lm:smollm2-135m labels about 13 sentences/s on a CPU core, so "
        "100,000 take two hours: --max_examples_per_document bounds them); or several with commas, "
        "whose mean counts, on the scale of the first; one named twice weighs twice",
        group=EXAMPLES,
        default="vader",
    )
    sentiment_thresholds: str | None = flag(
        f"least confidence for {', '.join(LABELS)}",
        group=EXAMPLES,
        default=None,
        unset=f"{joined(PUBLISHED_THRESHOLDS)}, as published; with lm:, tuned: or several "
        f"{joined(LM_THRESHOLDS)}",
    )
    sentiment_shares: str | None = flag(
        "shares of the classes in the corpus, such as 6,31,26,27,10, if not equal ones: the labels "
        "give the order of a shard's sentences, and each class is cut from it by its share",
        group=EXAMPLES,
        default=None,
        unset="equal, of labels as they are",
    )
    document_weight: float = flag(
        "how far the other sentences of its document pull a sentence's label: by so many classes "
        "for each class that they are off the middle in the mean; reviews gain by 0.5",
        group=EXAMPLES,
        default=0.0,
    )
    workers: int | None = flag(
        "local processes", group=RUNNING, default=None, rule=at_least(1),
        unset=f"all cores, {os.cpu_count() or 1} here",
    )  # fmt: skip
    runner: str = flag(
        "FnApiRunner (local; DirectRunner means the same), or any runner that Beam knows",
        group=RUNNING,
        default=LOCAL_RUNNERS[0],
    )
    dry_run: bool = flag(
        "tell what would be done, on how many files, shards and workers and at what cost, and do "
        "nothing; what another runner would be sent is made, and not sent",
        group=RUNNING,
        default=False,
    )
    verbose: bool = flag("show Beam's own log, and ours", group=RUNNING, default=False)
    package: str | None = flag(
        "how workers get this code: wheel, made of this installation and staged with the job; "
        "the name of a container image, made with Dockerfile; none: they have it",
        group=ELSEWHERE,
        default=None,
        unset="wheel where workers run in containers, else none",
        metavar="wheel|none|IMAGE",
    )
    accelerator: str | None = flag(
        "GPU for the step where a model labels, as Beam's hint says it, such as "
        "type:nvidia-l4;count:1;install-nvidia-driver",
        group=ELSEWHERE,
        default=None,
        unset="none",
        metavar="HINT",
    )
    cpu_hour_price: float = flag(
        "for --dry_run: dollars for a core and its 4 GB of memory for an hour",
        group=ELSEWHERE,
        default=CPU_HOUR_PRICE,
        rule=ABOVE_ZERO,
    )
    beam: tuple[str, ...] = flag("flags of Beam", group=RUNNING, default=())

    @property
    def at_home(self) -> bool:
        """Whether this machine does it, and no store is named."""
        return self.runner in LOCAL_RUNNERS and "://" not in repr(self)

    @classmethod
    def check_rest(cls, rest: Sequence[str], known: Sequence[str]) -> None:
        """Beam passes over flags that it does not know; a mistyped one must not be lost."""
        if not rest or any(one.startswith("--template_location") for one in rest):
            return  # the launcher of a Flex Template adds flags that nobody has typed
        from apache_beam.options.pipeline_options import PipelineOptions

        theirs = Parser(prog="", allow_abbrev=False, add_help=False, conflict_handler="resolve")
        for options in PipelineOptions.__subclasses__():
            options._add_argparse_args(theirs)
        _, lost = theirs.parse_known_args(list(rest))
        super().check_rest(lost, [*known, *theirs._option_string_actions])
