"""Sentence splitters by name, and learning, saving and loading Punkt's parameters.

`ppt.text.punkt` does the splitting for most languages, `ppt.text.scripts` for those with stops
of their own. NLTK is imported (0.3 s) only to learn parameters and to find its installed
languages.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ppt.base.files import appearing, write_synced
from ppt.base.text import folded
from ppt.errors import ConfigError, InputError, OutputError, unknown_name
from ppt.text.punkt import LOWER, MIDDLE_UPPER, PunktParameters, PunktSplitter
from ppt.text.scripts import FULL_STOPS, split_chinese, split_japanese, split_stops

Splitter = Callable[[str], list[str]]
"""Normalised document text → its sentences in order, white space folded, none empty."""

SPLITTERS = (
    "punkt:english", "punkt:<language>", "punkt:<folder>", "regex:zh", "regex:ja", "regex:stops",
    "lines",
)  # fmt: skip
TRAINED = "punkt:train"
"""The splitter that `pipelines.build_corpus` learns from its input."""

LENGTHS = {"regex:zh": (8, 300), "regex:ja": (8, 300)}
"""Splitter → the fewest and the most characters of a sentence that is usable by default."""

OTHER_LENGTHS = (20, 600)
"""Those of other splitters. By them half of all Chinese sentences would be too short."""

SHIPPED_LANGUAGES = ("english",)
PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab")

TRAIN_CHUNK_CHARS = 8_000_000
"""Training holds the tokens of this much text at a time; a character takes about 60 bytes."""

LONGEST_MARKER = 24
"""Characters; what is longer is a sentence."""

_NUMBER = r"(?:\d{1,4}(?:[.:-]\d{1,4})*[a-z]?|[^\W\d_]|(?=[ivxl])(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3}))"
_ABBREVIATED = r"§+|(?:art|sec|sect|par|para|abs|nr)\."
_SECTION = rf"(?:{_ABBREVIATED}|(?:no\.|article|artikel|section|clause|rule|step)(?=[\s\d]))"
_MARKER = re.compile(
    rf"[-*•]?\s?{_SECTION}?\s?[(\[]?{_NUMBER}(?:[.)\]]+|(?<=\d):)|{_ABBREVIATED}", re.IGNORECASE
)
"""A number, letter or Roman numeral with its period or bracket, and perhaps what it counts."""

_KANA = re.compile(r"[\u3041-\u30ff]")


def get_splitter(name: str = SPLITTERS[0]) -> Splitter:
    """The splitter that `name`, one of `SPLITTERS`, asks for.

    After ``punkt:`` an existing folder goes before a language of that name. Splitters
    are safe to reuse and can be pickled; Punkt's carries its parameters (0.3 MB for
    English), so that a worker needs neither the folder nor NLTK's data.
    """
    kind, _, source = name.partition(":")
    if kind == "punkt" and source:
        return PunktSplitter(_find_punkt(source))
    if name in _PLAIN:
        return _PLAIN[name]
    raise unknown_name("splitter", name, SPLITTERS)


def lengths_of(splitter: str) -> tuple[int, int]:
    """The fewest and the most characters of a usable sentence, where no flag says other."""
    return LENGTHS.get(splitter, OTHER_LENGTHS)


def join_markers(sentences: Sequence[str]) -> list[str]:
    """Put markers of lists and sections, "1." or "Art. 5.", before the sentence that follows.

    Splitters take their period for the end of a sentence. One that nothing follows stays.
    """
    joined: list[str] = []
    held: list[str] = []
    for sentence in sentences:
        held.append(sentence)
        if len(sentence) > LONGEST_MARKER or not _MARKER.fullmatch(sentence):
            joined.append(" ".join(held))
            held.clear()
    return [*joined, " ".join(held)] if held else joined


def better_splitter(text: str, n_sentences: int) -> str:
    """The splitter that `text` calls for, where it was split into suspiciously few; else ""."""
    if sum(map(text.count, "。！？")) >= 2 * n_sentences:
        return "regex:ja" if _KANA.search(text) else "regex:zh"
    if sum(map(text.count, f"{FULL_STOPS}؟")) >= 2 * n_sentences:
        return "regex:stops"
    lines = sum(1 for line in text.split("\n") if line and not line.isspace())
    if lines > n_sentences and sum(map(text.count, ".!?。！？")) < lines / 2:
        return "lines"
    return ""


def split_lines(text: str) -> list[str]:
    """Each line that is not blank."""
    return folded(text.split("\n"))


_PLAIN: dict[str, Splitter] = {
    "regex:zh": split_chinese,
    "regex:ja": split_japanese,
    "regex:stops": split_stops,
    "lines": split_lines,
}
"""Splitters without parameters."""


def _find_punkt(source: str) -> PunktParameters:
    """Parameters from a folder, from this package, or from NLTK's data, in this order."""
    if Path(source).is_dir() or not source.isidentifier():
        return load_punkt(Path(source))
    if source in SHIPPED_LANGUAGES:
        return load_punkt(resources.files("ppt") / "data" / "punkt" / source)
    if source == TRAINED.partition(":")[2]:
        raise ConfigError(
            f"splitter {TRAINED!r} learns from a whole corpus, which only "
            "pipelines.build_corpus has. Train with python -m pipelines.train_punkt "
            "and give 'punkt:<folder>'."
        )
    return load_punkt(Path(_nltk_folder(source)))


def _nltk_folder(language: str) -> str:
    """Where NLTK's data has Punkt's parameters of a language. Raises ConfigError."""
    from nltk.data import find

    try:
        return str(find(f"tokenizers/punkt_tab/{language}/"))
    except LookupError:
        pass
    try:
        known = sorted(path.name for path in Path(str(find("tokenizers/punkt_tab/"))).iterdir())
    except (LookupError, OSError):
        known = []
    there = f"; it has {', '.join(known)}" if known else ""
    raise ConfigError(
        f"splitter 'punkt:{language}': NLTK has no such model installed{there}, and there is no "
        "such folder. Run python -m nltk.downloader punkt_tab, or learn parameters with "
        "python -m pipelines.train_punkt and give 'punkt:<folder>'."
    )


def train_punkt(texts: Iterable[str], min_count: int = 10) -> PunktParameters:
    """Learn parameters from plain texts with NLTK's trainer.

    Settings differ from Kiss and Strunk where 60 MB of text showed mistakes:

    - a word that also stands without a period may be an abbreviation: 1,695 "Mr"
      do not hide 15,283 "Mr."; but one met once or twice may not be one;
    - a pair of words met fewer than five times is no collocation;
    - words met fewer than `min_count` times in lower case are names, or too rare:
      they start no sentence ("Dr. Martin"), and their habits are forgotten. Where they
      were never in lower case that changes no decision; it keeps the folder small;
    - so are those of words that are oftener names ("H. G. Wells").
    """
    from nltk.tokenize.punkt import PunktTrainer

    met: defaultdict[str, Counter[int]] = defaultdict(Counter)
    trainer = PunktTrainer()
    trainer.IGNORE_ABBREV_PENALTY = True
    trainer.ABBREV = 1.0
    trainer.ABBREV_BACKOFF = 0
    trainer.MIN_COLLOC_FREQ = 4
    # NLTK only notes that a word was met in a certain way; we count how often.
    trainer.get_params().add_ortho_context = lambda word, way: met[word].update((way,))
    for chunk in _chunks(texts):
        trainer.train(chunk, finalize=False)
    learned = trainer.get_params()

    lower = {word: sum(n for way, n in ways.items() if way & LOWER) for word, ways in met.items()}
    starters = {word for word in learned.sent_starters if lower.get(word, 0) >= min_count}
    habits = {
        word: sum(ways)
        for word, ways in met.items()
        if lower[word] >= min_count and (word in starters or lower[word] >= ways[MIDDLE_UPPER])
    }
    return PunktParameters(
        learned.abbrev_types, learned.collocations, starters, defaultdict(int, habits)
    )


def _chunks(texts: Iterable[str]) -> Iterator[str]:
    """`texts` joined by blank lines into parts of about `TRAIN_CHUNK_CHARS`."""
    parts: list[str] = []
    size = total = 0
    for text in filter(str.strip, texts):
        parts.append(text)
        size += len(text)
        if size >= TRAIN_CHUNK_CHARS:
            yield "\n\n".join(parts)
            parts, size, total = [], 0, total + size
    if parts:
        yield "\n\n".join(parts)
    elif not total:
        raise InputError("there is no text to learn Punkt parameters from")


def punkt_texts(parameters: PunktParameters) -> dict[str, str]:
    """The files of NLTK's own save format by name, in sorted order: the same bytes each time."""
    columns: tuple[Iterable[str], ...] = (
        parameters.abbrev_types,
        ("\t".join(pair) for pair in parameters.collocations),
        parameters.sent_starters,
        (f"{word}\t{habits}" for word, habits in parameters.ortho_context.items()),
    )
    return {
        name: "\n".join(sorted(lines)) for name, lines in zip(PUNKT_FILES, columns, strict=True)
    }


def save_punkt(parameters: PunktParameters, folder: Path) -> None:
    """Write a folder in NLTK's own save format.

    NLTK's `save_punkt_params` writes the same files, but refuses folders outside
    NLTK's data paths.
    """
    try:
        for name, text in punkt_texts(parameters).items():
            with appearing(folder / name) as scratch:
                write_synced(scratch, text.encode())
    except OSError as error:
        raise OutputError(f"cannot write Punkt parameters to {folder}: {error}") from error


def load_punkt(folder: Path | Traversable) -> PunktParameters:
    """Read a folder in NLTK's own save format, as `save_punkt` and NLTK write it."""
    return read_punkt(folder, lambda name: (folder / name).read_text(encoding="utf-8"))


def read_punkt(folder: object, read: Callable[[str], str]) -> PunktParameters:
    """The same of a `folder` anywhere, whose files `read` gives by name."""
    try:
        abbreviations, collocations, starters, habits = (
            [line for line in read(name).split("\n") if line] for name in PUNKT_FILES
        )
        return PunktParameters(
            set(abbreviations),
            {(first, second) for first, second in (line.split("\t") for line in collocations)},
            set(starters),
            defaultdict(int, {word: int(n) for word, n in (line.split("\t") for line in habits)}),
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Punkt parameters in '{folder}': {error}. Expected a folder with "
            f"{', '.join(PUNKT_FILES)}; python -m pipelines.train_punkt makes one."
        ) from error
