"""The documents that benchmarks measure on."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ppt.corpus.records import Document
from ppt.errors import InputError


def documents(
    patterns: Sequence[str], characters: float, change: Callable[[str], str] = str
) -> Iterator[tuple[str, str]]:
    """Ids and changed texts of what `patterns` match, until there are so many characters.

    Raises InputError where there are none.
    """
    from pipelines.preparing import ReadOptions
    from pipelines.readers import expand, read  # Beam comes in here

    read_none = True
    for part in expand(patterns):
        for record in read(part, ReadOptions()):
            if characters <= 0:
                return
            if isinstance(record, Document):
                text = change(record.text)
                characters -= len(text)
                read_none = False
                yield record.id, text
    if read_none:
        raise InputError(f"no documents in {', '.join(patterns)}: give files of documents.")


def texts(path: str | Path) -> Iterator[str]:
    """The texts of a JSONL file."""
    with Path(path).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


_OPENING_QUOTE = re.compile(r"""(?<![^\s(\[—-])["']""")


def typographic(text: str) -> str:
    """Curly quotes and dashes for straight ones, as printed books have them."""
    text = _OPENING_QUOTE.sub(lambda quote: {'"': "“", "'": "‘"}[quote[0]], text.replace("--", "—"))
    return text.translate({ord('"'): "”", ord("'"): "’"})


def gather(
    patterns: list[str],
    megabytes: float,
    path: Path,
    copies: int = 1,
    change: Callable[[str], str] = str,
) -> float:
    """Write documents as JSONL until `megabytes` of text, then copies of other letters.

    Copies have their letters moved along the alphabet, so that nothing in them
    is a duplicate of anything. Returns the megabytes of text written.
    """
    written = 0.0
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    with path.open("w", encoding="utf-8") as file:
        for copy in range(copies):
            moved = str.maketrans(alphabet, alphabet[copy:] + alphabet[:copy])
            for identity, text in documents(
                patterns, megabytes * 1e6, lambda text, moved=moved: change(text.translate(moved))
            ):
                written += len(text) / 1e6
                row = {"id": f"{identity}-{copy}", "text": text}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return written


def scatter(path: Path, folder: Path, number: int) -> float:
    """Write `number` small files of the paragraphs of a JSONL file, and all as one JSONL beside.

    Returns the megabytes of text.
    """
    folder.mkdir()
    paragraphs = [one for text in texts(path) for one in text.split("\n") if len(one) > 150]
    written = 0
    with folder.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        for n in range(number):
            text = f"{paragraphs[n % len(paragraphs)]}\nWith these words ends part {n:b} of it."
            (folder / f"{n}.txt").write_text(text, encoding="utf-8")
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            written += len(text)
    return written / 1e6
