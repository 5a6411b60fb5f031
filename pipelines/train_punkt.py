"""Learn Punkt's parameters: ``python -m pipelines.train_punkt --input FILES --output FOLDER``.

The folder is in NLTK's own save format and is given to the corpus pipeline as
``--splitter punkt:FOLDER``. The English parameters in ``ppt/data/punkt`` were made
with ``--supplement english``; the README beside them says from what.
"""

import glob
import io
import json
import os
import shutil
import string
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.logs import quiet
from ppt.base.files import SCRATCH, move_together, owner, writing
from ppt.base.flags import Command, at_least, flag, parse
from ppt.base.output_folder import locked
from ppt.base.text import normalise
from ppt.corpus.records import REASONS, UnusableError, refuse_twice, sound
from ppt.errors import InputError, as_command, visible
from ppt.tasks.unpacked import opened, packing
from ppt.text.extract import AUTO, NONE, extractor_for
from ppt.text.punkt import PunktParameters
from ppt.text.sentences import PUNKT_FILES, TRAINED, save_punkt, train_punkt

DESCRIPTION = """\
Learn from text where Punkt is to split sentences of its kind.

The folder is in NLTK's own save format and is given to the corpus pipeline as
--splitter punkt:FOLDER."""

EPILOG = """\
examples:
  python -m pipelines.train_punkt --input 'docs/*.jsonl.gz' --output my-punkt
  python -m pipelines.train_punkt --input 'docs/*.txt' --output my-punkt --supplement=english

A few MB of text teach the common abbreviations. It takes about 2 s and, up to 8 MB, 60 MB
of memory for each MB."""

ENGLISH_ABBREVIATIONS = """
    mr mrs ms messrs mme mlle dr prof rev hon st ste esq jr sr
    gen col maj capt lt sgt cpl cmdr adm brig gov sen rep reps pres supt insp
    inc co corp ltd bros dept univ assn intl ave blvd rd hwy mt ft
    jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri
    etc cf viz vs al ibid approx esp incl resp fig figs eq eqs vol vols pp nos eds chap
    oz lb lbs sq tel est a.k.a w.r.t p.t.o r.s.v.p u.s.a u.s.s.r ph.d m.sc b.sc
    ariz calif colo conn fla mich minn okla tenn wis
"""
"""Common abbreviations, few of them in old novels. Words are left out: "no", "sat", "in"."""

INITIALS = [f"{a}.{b}" for a in string.ascii_lowercase for b in string.ascii_lowercase]
"""Punkt knows "J." for an initial, but must have met "J.K." or "U.S." to know it."""

OPENING_QUOTES = ("", "'", "‘", "“")
"""Punkt takes a quote that opens a word for a part of it."""

LETTERS_BUT_WORDS = "bcdefghjklmnopqrstuvwxyz"
"""Code writes letters in lower case. That hides that "R." in "J. R. Wells" goes on a name."""

BEFORE_NUMBERS = ("no", "p", "art", "sec", "ch", "par", "c", "ca", "mar")
"""Words and initials that are abbreviations before a number: "No. 5"."""


def supplement_english(parameters: PunktParameters) -> None:
    """Add what every reader of English knows."""
    words = ENGLISH_ABBREVIATIONS.split() + INITIALS
    parameters.abbrev_types.update(quote + word for word in words for quote in OPENING_QUOTES)
    for letter in LETTERS_BUT_WORDS:
        parameters.ortho_context.pop(letter, None)
    parameters.collocations.update((word, "##number##") for word in BEFORE_NUMBERS)


def texts(patterns: Sequence[str], field: str) -> Iterator[str]:
    """Normalised texts of all files: `field` of each JSON line, or the whole of other files."""
    paths: dict[str, str] = {}  # a file that two patterns match is learned from once
    for pattern in patterns:
        found = [pattern]  # a path may hold "[" and be no glob
        if not os.path.isfile(pattern):  # noqa: PTH113
            found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute ones too
        if not found:
            raise InputError(f"--input: no file matches {pattern!r}")
        paths |= {os.path.abspath(path): path for path in found}  # noqa: PTH100
    for path in paths.values():
        yield from _texts_of(path, field)


def _texts_of(path: str, field: str) -> Iterator[str]:
    plain = path.lower().removesuffix(packing(Path(path)))
    markup = extractor_for(AUTO, os.path.splitext(plain)[1])  # noqa: PTH122
    if markup != NONE:
        raise InputError(
            f"--input: {path} is {markup} and no plain text; --splitter {TRAINED} of "
            "pipelines.build_corpus learns from the prose of it"
        )
    with opened(Path(path)) as packed, io.TextIOWrapper(packed, "utf-8-sig") as file:
        if not plain.endswith((".jsonl", ".ndjson", ".json")):
            with _told(path):
                text = sound(file.read())
            yield normalise(text)
            return
        for number, line in enumerate(file, 1):
            if line.strip():
                yield normalise(_text_in(line, field, f"{path}, line {number}"))


def _text_in(line: str, field: str, place: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON: {error}") from error
    with _told(place):
        refuse_twice(line, field)
        text = record.get(field) if isinstance(record, dict) else None
        if isinstance(text, str):
            return sound(text)
    raise InputError(f"{place}: no string {field!r}; --text_field names the one with the text")


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except UnusableError as error:
        raise InputError(f"{place}: {REASONS[error.reason]} ({error.detail})") from error


INPUT, LEARNING = "files", "learning"


@dataclass(frozen=True, kw_only=True)
class PunktFlags(Command):
    """``python -m pipelines.train_punkt``: text in, a folder of Punkt's parameters out."""

    input: tuple[str, ...] = flag(
        "files or quoted glob patterns: .jsonl with a text field, or plain text; packed (.gz, "
        ".zst, .bz2, .xz) or not",
        group=INPUT,
        metavar="PATTERN",
    )
    output: str = flag(
        "folder for the four parameter files; it is made, and what it has of them is replaced",
        group=INPUT,
        metavar="FOLDER",
    )
    text_field: str = flag("JSON field of the text", group=INPUT, default="text")
    min_count: int = flag(
        "words met fewer than N times in lower case are taken for names, and little is kept of "
        "them",
        group=LEARNING,
        default=10,
        rule=at_least(1),
    )
    supplement: str = flag(
        "add common abbreviations, whether met or not", group=LEARNING, default="none",
        choices=("none", "english"),
    )  # fmt: skip


@as_command
def main(argv: Sequence[str] | None) -> None:
    """Run the command and return its exit code: 0, or 2 after a one-line error."""
    quiet()
    flags = parse(PunktFlags, argv, "python -m pipelines.train_punkt", DESCRIPTION, EPILOG)
    from pipelines.finding import refuse_overlap  # Beam comes in here: --help is quick

    refuse_overlap(flags.input, (), flags.output, PUNKT_FILES)
    parameters = train_punkt(texts(flags.input, flags.text_field), flags.min_count)
    learned = sorted(parameters.abbrev_types)
    if flags.supplement == "english":
        supplement_english(parameters)
    _save(parameters, Path(flags.output))
    print(
        f"learned {len(learned)} abbreviations ({visible(', '.join(learned[:30]))}...); "
        f"in {visible(flags.output)}: {len(parameters.abbrev_types)} abbreviations, "
        f"{len(parameters.collocations)} collocations, {len(parameters.sent_starters)} sentence "
        f"starters, habits of {len(parameters.ortho_context)} words"
    )


def _save(parameters: PunktParameters, folder: Path) -> None:
    """Write the four files; at no moment does the folder hold a mixture of two models."""
    aside = folder / f"{SCRATCH}{owner(os.getpid())}"
    with locked(folder, "--output"), writing(folder, "give another --output"):
        try:
            save_punkt(parameters, aside)
            move_together(aside, folder, PUNKT_FILES)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
