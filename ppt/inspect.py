"""Look inside a corpus, or at what was rejected: ``python -m ppt.inspect corpora/unified -n 5``."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ppt.base.arrays import Indices
from ppt.base.extras import left_out
from ppt.base.files import require_file
from ppt.base.flags import Command, at_least, flag, parse
from ppt.base.terminal import plain_console
from ppt.corpus.card import BASELINES
from ppt.corpus.formats import FORMATS
from ppt.corpus.histograms import HISTOGRAMS, draw_histograms
from ppt.corpus.manifest import SPLITS, Manifest
from ppt.corpus.records import REASONS
from ppt.corpus.rows import OPTION_WORDS
from ppt.corpus.storage import MANIFEST, VERIFY, Corpus, open_corpus
from ppt.errors import ConfigError, CorpusError, OutputError, as_command, first_line, visible

DESCRIPTION = """\
Show samples of a corpus, the answer marked, and its counts; check its files. Of the folder
rejects/ show what was rejected, by reason."""

EPILOG = """\
examples:
  python -m ppt.inspect corpora/unified -n 5
  python -m ppt.inspect corpora/sentiment --split=validation --seed=1
  python -m ppt.inspect corpora/unified -n 2 --sample_by=class
  python -m ppt.inspect corpora/rejects -n 3 --sample_by=reason
  python -m ppt.inspect corpora/unified -n 0 --verify=full"""

ANSWER_STYLE = "bold green"


SAMPLES, FILES = "the samples", "the corpus"
SAMPLE_BY = ("all", "class", "reason")
REJECTS = "rejects"


@dataclass(frozen=True, kw_only=True)
class InspectConfig(Command):
    """``python -m ppt.inspect``: a corpus in, samples and counts on the screen."""

    corpus: str = flag(
        "a corpus's folder, such as corpora/unified, or corpora/rejects", group=FILES, option=""
    )
    verify: str = flag(
        "full: check each shard's sha256 too", group=FILES, default=VERIFY[0], choices=VERIFY
    )
    n: int = flag("samples", group=SAMPLES, default=5, rule=at_least(0), option="-n")
    split: str = flag("where they are from", group=SAMPLES, default=SPLITS[0], choices=SPLITS)
    sample_by: str = flag(
        "n of each: of each label word or kind, or of each reason of rejects",
        group=SAMPLES, default="all", choices=SAMPLE_BY,
    )  # fmt: skip
    seed: int | None = flag(
        "draw samples at random", group=SAMPLES, default=None, rule=at_least(0), unset="the first"
    )


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    flags = parse(InspectConfig, argv, "python -m ppt.inspect", DESCRIPTION, EPILOG)
    console = plain_console()
    folder = Path(flags.corpus)
    is_rejects = folder.name == REJECTS and not (folder / MANIFEST).exists()
    allowed = SAMPLE_BY[0], SAMPLE_BY[2 if is_rejects else 1]
    if flags.sample_by not in allowed:
        raise ConfigError(
            f"--sample_by: got {flags.sample_by}, expected {' or '.join(allowed)} here"
        )
    if is_rejects:
        _show_rejects(folder, flags, console)
        return
    corpus = open_corpus(folder, verify=flags.verify)
    name = corpus.manifest.format
    groups = {"": np.arange(corpus.manifest.rows[flags.split])}
    if flags.sample_by != SAMPLE_BY[0]:
        groups = _by_class(corpus, flags.split)
    chosen = {
        title: numbers[_chosen(len(numbers), flags.n, flags.seed)]
        for title, numbers in groups.items()
    }
    rows = iter(corpus.rows(flags.split, [n for some in chosen.values() for n in some.tolist()]))
    for title, numbers in chosen.items():
        if title:
            console.print(Text(f"{visible(title)}, {len(groups[title]):,} rows", style="bold"))
        for row in islice(rows, len(numbers)):
            console.print(panel(row, name))
    console.print(stats_table(corpus.manifest))
    for warning in corpus.manifest.warnings:
        console.print(f"warning: {visible(warning)}")
    drawn = corpus.folder / HISTOGRAMS
    if not drawn.exists() and not left_out("matplotlib", HISTOGRAMS):
        try:
            draw_histograms(corpus.folder, corpus.manifest)
        except OutputError as error:  # whoever looks need not be who may write
            console.print(f"note: {visible(str(error))}")
    if drawn.exists():
        console.print(f"Histograms: {visible(str(drawn))}")


def _show_rejects(folder: Path, flags: InspectConfig, console: Console) -> None:
    """What was rejected: samples with their place, then how many for each reason."""
    by_reason = flags.sample_by != SAMPLE_BY[0]
    counts, sizes = Counter[str](), Counter[str]()
    for line in _rejects(folder):
        counts[line["reason"]] += line["records"]
        sizes[line["reason"] * by_reason] += 1
    chosen = {group: _chosen(sizes[group], flags.n, flags.seed) for group in sorted(sizes)}
    for line in _rejects_at(folder, chosen, by_reason=by_reason):
        place = Text(visible(f"{line['source']} at {line['offset']}"), style="dim")
        told = Text(visible(f"{line['reason']}: {line['detail']}".rstrip(": ")))
        console.print(Panel(told, title=place, title_align="left"))
    table = Table(title=REJECTS, title_justify="left")
    for column in ("reason", "", "records"):
        table.add_column(column, justify="right" if column == "records" else "left")
    for reason, count in counts.most_common():
        table.add_row(visible(reason), _MEANINGS.get(reason, ""), f"{count:,}")
    console.print(table)


def _rejects_at(
    folder: Path, chosen: Mapping[str, Indices], *, by_reason: bool
) -> list[dict[str, Any]]:
    """The chosen lines of each reason, or of all; read anew, for there may be millions."""
    found: dict[tuple[str, int], dict[str, Any]] = {
        (group, number): {} for group, numbers in chosen.items() for number in numbers.tolist()
    }
    seen = Counter[str]()
    for line in _rejects(folder):
        group = line["reason"] * by_reason
        if (group, seen[group]) in found:
            found[group, seen[group]] = line
        seen[group] += 1
    return [line for line in found.values() if line]


def _rejects(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of all shards, in order; raises CorpusError where one is none of ours."""
    paths = sorted(folder.glob("*.jsonl"))
    if not folder.is_dir():
        raise CorpusError(f"no folder {folder}: a build that rejected something has made one")
    for path in paths:
        try:
            require_file(path)
            with path.open(encoding="utf-8") as file:
                for text in file:
                    line = json.loads(text)
                    known = {"reason": "", "detail": "", "records": 1, **line}
                    if type(known["records"]) is not int or not 0 < known["records"] < 1 << 53:
                        raise ValueError(f"{known['records']} records")
                    told = {
                        key: str(known[key]) for key in ("reason", "detail", "source", "offset")
                    }
                    yield {**told, "records": known["records"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorpusError(
                f"{path} has a line that no build wrote ({first_line(error)})"
            ) from None


def _chosen(many: int, n: int, seed: int | None) -> Indices:
    """Which of so many to show: the first, or drawn."""
    n = min(n, many)
    if seed is None:
        return np.arange(n)
    return np.random.default_rng(seed).choice(many, n, replace=False)


def _by_class(corpus: Corpus, split: str) -> dict[str, Indices]:
    """The numbers of the rows of each class; a shard at a time, as rows as objects are large."""
    found: dict[str, list[Indices]] = {}
    start = 0
    for table in corpus.tables(split):
        rows = table.drop_columns(["id", "document_id", "text_a"]).to_pylist()
        names = np.array([class_of(row, corpus.manifest.format) for row in rows])
        for name in np.unique(names).tolist():
            found.setdefault(name, []).append(start + np.flatnonzero(names == name))
        start += len(rows)
    return {name: np.concatenate(found[name]) for name in sorted(found)}


def class_of(row: Mapping[str, Any], format_name: str) -> str:
    """The label word of a row that has one, else its kind; of a format of several kinds both."""
    known, options, label = FORMATS[format_name], row["options"], row["label"]
    word = str(options[label] if options else known.words[label])
    is_word = not options or word in OPTION_WORDS
    if len(known.kinds) == 1:
        return word if is_word else known.kinds[0]
    guess = ("sentiment" if row["text_b"] is None else "pair") if is_word else "choice"
    kind = row.get("kind", guess)  # rows of version 1 have none
    return f"{kind}: {word}" if is_word else str(kind)


def panel(row: Mapping[str, Any], format_name: str) -> Panel:
    """One example as people read it: texts, then options or label words, the answer marked."""
    lines: list[Any] = [Text(visible(row["text_a"]))]
    words = FORMATS[format_name].words
    if row["text_b"] is not None:
        lines.append(Text(visible(row["text_b"]), style="cyan"))
    marks = [("▶", ANSWER_STYLE) if i == row["label"] else (" ", "") for i in range(len(words))]
    if row["options"]:
        # A grid folds by the width that signs have on the screen: a text without spaces stays
        # beside its letter.
        options = Table.grid(padding=(0, 1))
        options.add_column(no_wrap=True)
        options.add_column(overflow="fold")
        for word, (mark, style), option in zip(words, marks, row["options"], strict=False):
            letter = Text(f"{mark} {word}.", style=style)
            options.add_row(letter, Text(visible(option), style=style))
        lines.append(options)
    else:
        marked = zip(words, marks, strict=True)
        told = (Text(f"{mark} {word}", style=style) for word, (mark, style) in marked)
        lines.append(Text("  ").join(told))
    title = Text(visible(f"{row['id']}  from {row['document_id']}"), style="dim")
    return Panel(Group(*lines), title=title, title_align="left")


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
            if any(by_split := manifest.count(f"{what}s", name)):
                table.add_row(f"{what} {name}", *(f"{count:,}" for count in by_split))
    for kind, of in manifest.mixture.items():
        table.add_row(
            f"mixture: {kind}", f"{of.get('met', 0):.0%}", f"{of.get('asked', 0):.0%} asked"
        )
    table.add_section()
    for kind, of in manifest.shortcuts.items():
        chance = f"chance {of.get('chance', 0):.2f}"
        for name, told in BASELINES.items():
            if name in of:
                table.add_row(f"{visible(kind)}, {told}", f"{of[name]:.2f}", chance)
    table.add_section()
    documents = manifest.documents
    table.add_row("documents kept", f"{documents['kept']:,}", f"of {documents['read']:,} read")
    for name, count in _other_counts(manifest):
        table.add_row(visible(name), f"{count:,}", "")
    for reason, count in manifest.examples["drops"].items():
        if count:
            table.add_row(f"dropped: {visible(reason)}", f"{count:,}", "anchors")
    return table


_MEANINGS = {**REASONS, "duplicate": "it equals one that was kept"}


def _other_counts(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """What else the ledgers of documents and sentences count: clusters, exclusions, drops."""
    for ledger, known in ((manifest.documents, {"kept", "read"}), (manifest.sentences, {"read"})):
        what = "documents" if ledger is manifest.documents else "sentences"
        for name, value in ledger.items():
            parts = value if isinstance(value, dict) else {"": value}
            for reason, count in parts.items():
                if count and name not in known:
                    yield f"{what} {name}{reason and f': {reason}'}".replace("_", " "), count


if __name__ == "__main__":
    sys.exit(main())
