"""The documents that benchmarks measure on."""

from collections.abc import Callable, Iterator, Sequence

from ppt.corpus.records import Document


def documents(
    patterns: Sequence[str], characters: float, change: Callable[[str], str] = str
) -> Iterator[tuple[str, str]]:
    """Ids and changed texts of what `patterns` match, until there are so many characters."""
    from pipelines.preparing import ReadOptions
    from pipelines.readers import expand, read  # Beam comes in here

    for part in expand(patterns):
        for record in read(part, ReadOptions()):
            if characters <= 0:
                return
            if isinstance(record, Document):
                text = change(record.text)
                characters -= len(text)
                yield record.id, text
