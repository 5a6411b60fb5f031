"""A glance at the input before the work: what its first documents already tell."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice

from pipelines.config import BuildConfig
from pipelines.files import FileSlice
from pipelines.labelling import refuse_foreign
from pipelines.readers import read
from ppt.corpus.records import Document

FILES, DOCUMENTS = 8, 10
"""So many documents of so many files are looked at."""

MOST_FOREIGN = 0.9
"""More than the manifests allow of all documents: these few may be of another mixture."""


def refuse_foreign_input(slices: Iterable[FileSlice], config: BuildConfig) -> None:
    """Raise InputError where the labeller does not know the language of these documents."""
    if not config.needs_labels:
        return
    parts = sorted(slices, key=lambda part: (part.name, part.start))
    some = parts[:: max(len(parts) // FILES, 1)][:FILES]
    records = chain.from_iterable(islice(read(part, config.read), DOCUMENTS) for part in some)
    texts = [record.text for record in records if isinstance(record, Document)]
    foreign = Counter(filter(None, map(config.foreign_to_labeller(), texts)))
    refuse_foreign(config.labeller, foreign, len(texts), MOST_FOREIGN)
