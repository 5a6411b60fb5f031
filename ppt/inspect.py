"""Look inside a corpus: ``python -m ppt.inspect corpora/unified -n 5``."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ppt.base.extras import left_out
from ppt.base.flags import Command, at_least, flag, parse
from ppt.base.terminal import plain_console
from ppt.corpus.formats import FORMATS
from ppt.corpus.histograms import HISTOGRAMS, draw_histograms
from ppt.corpus.manifest import SPLITS, Manifest
from ppt.corpus.storage import VERIFY, open_corpus
from ppt.errors import exit_status, visible

DESCRIPTION = """\
Show samples of a corpus, the answer marked, and its counts; check its files."""

EPILOG = """\
examples:
  python -m ppt.inspect corpora/unified -n 5
  python -m ppt.inspect corpora/sentiment --split=validation --seed=1
  python -m ppt.inspect corpora/unified -n 0 --verify=full"""

ANSWER_STYLE = "bold green"


SAMPLES, FILES = "the samples", "the corpus"


@dataclass(frozen=True, kw_only=True)
class InspectConfig(Command):
    """``python -m ppt.inspect``: a corpus in, samples and counts on the screen."""

    GROUPS: ClassVar[tuple[str, ...]] = (FILES, SAMPLES)

    corpus: str = flag("a corpus's folder, such as corpora/unified", group=FILES, option="")
    verify: str = flag(
        "full: check each shard's sha256 too", group=FILES, default=VERIFY[0], choices=VERIFY
    )
    n: int = flag("samples", group=SAMPLES, default=5, rule=at_least(0), option="-n")
    split: str = flag("where they are from", group=SAMPLES, default=SPLITS[0], choices=SPLITS)
    seed: int | None = flag(
        "draw samples at random", group=SAMPLES, default=None, rule=at_least(0), unset="the first"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    flags = parse(
        InspectConfig, argv, prog="python -m ppt.inspect", description=DESCRIPTION, epilog=EPILOG
    )
    corpus = open_corpus(flags.corpus, verify=flags.verify)
    console = plain_console()
    rows = corpus.read(flags.split)
    for row in _sample(rows, flags.n, flags.seed):
        console.print(panel(row, corpus.manifest.format))
    console.print(stats_table(corpus.manifest))
    for warning in corpus.manifest.warnings:
        console.print(f"warning: {visible(warning)}")
    drawn = corpus.folder / HISTOGRAMS
    if drawn.exists() or not left_out("matplotlib", HISTOGRAMS):
        if not drawn.exists():
            draw_histograms(corpus.folder, corpus.manifest)
        console.print(f"Histograms: {visible(str(drawn))}")
    return 0


def _sample(rows: pa.Table, n: int, seed: int | None) -> list[dict[str, Any]]:
    n = min(n, rows.num_rows)
    if seed is None:
        return list(rows.slice(0, n).to_pylist())
    chosen = np.random.default_rng(seed).choice(rows.num_rows, n, replace=False)
    return list(rows.take(pa.array(chosen)).to_pylist())


def panel(row: Mapping[str, Any], format_name: str) -> Panel:
    """One example as people read it: texts, then options or label words, the answer marked."""
    lines = [Text(visible(row["text_a"]))]
    if row["text_b"] is not None:
        lines.append(Text(visible(row["text_b"]), style="cyan"))
    words = FORMATS[format_name].words
    if row["options"]:
        for i, option in enumerate(row["options"]):
            lines.append(_choice(f"{words[i]}. {visible(option)}", i == row["label"]))
    else:
        marked = [_choice(word, i == row["label"]) for i, word in enumerate(words)]
        lines.append(Text("  ").join(marked))
    title = Text(visible(f"{row['id']}  from {row['document_id']}"), style="dim")
    return Panel(Group(*lines), title=title, title_align="left")


def _choice(text: str, is_answer: bool) -> Text:
    return Text(f"▶ {text}", style=ANSWER_STYLE) if is_answer else Text(f"  {text}")


def stats_table(manifest: Manifest) -> Table:
    """Rows, labels and drops by split."""
    rows = manifest.rows
    table = Table(title=f"{manifest.format}", title_justify="left")
    table.add_column("")
    for split in SPLITS:
        table.add_column(split, justify="right")
    table.add_row("examples", *(f"{rows[split]:,}" for split in SPLITS))
    table.add_row("shards", *(str(len(manifest.shards[split])) for split in SPLITS))
    known = FORMATS[manifest.format]
    for what, names in (("kind", known.kinds), ("label", known.words)):
        for name in names:
            if any(counts := manifest.count(f"{what}s", name)):
                table.add_row(f"{what} {name}", *(f"{count:,}" for count in counts))
    table.add_section()
    documents = manifest.documents
    table.add_row("documents kept", f"{documents['kept']:,}", f"of {documents['read']:,} read")
    for reason, count in manifest.examples["drops"].items():
        if count:
            table.add_row(f"dropped: {visible(reason)}", f"{count:,}", "anchors")
    return table


if __name__ == "__main__":
    sys.exit(main())
