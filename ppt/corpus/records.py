"""The nouns that flow: a `Document` that was read, or the `Reject` that it became.

Both are frozen and know their place in the input, so that whatever happens to
them later can be told with its reason and position.
"""

from dataclasses import asdict, dataclass

REASONS = {
    "unreadable_file": "the file could not be opened or read",
    "corrupt_file": "the file is damaged; what stood before the damage was kept",
    "invalid_utf8": "the bytes are not UTF-8",
    "invalid_json": "the line is not a JSON value",
    "not_an_object": "the JSON value is not an object",
    "missing_field": "the text or id field is missing or null",
    "not_a_string": "the text is not a string, or the id neither string nor integer",
    "nul_bytes": "the text has NUL characters, so it is not text",
    "lone_surrogate": "the text has half a surrogate pair, which no UTF-8 file can hold",
    "too_long": "the document is longer than --max_document_chars",
    "blank": "the document is empty or white space",
    "near_duplicate": "--near_duplicates drop: another document holds nearly all of its text",
    "too_few_sentences": "the document has fewer sentences than --min_sentences",
}
"""Stable reason words for rejected documents and files, each with its meaning."""


@dataclass(frozen=True, slots=True)
class Document:
    """A raw document. `source` and `offset` say where it stood in the input."""

    id: str
    text: str
    source: str
    offset: int


@dataclass(frozen=True, slots=True)
class Reject:
    """Something read that cannot be used, with a reason word of `REASONS` and its place.

    `offset` counts bytes of the decompressed file, or rows of a Parquet file. It stands for
    as many `records`: of a damaged Parquet file the rows are known, of others not.
    """

    source: str
    offset: int
    reason: str
    detail: str = ""
    records: int = 1

    def __post_init__(self) -> None:
        assert self.reason in REASONS, self.reason

    def as_dict(self) -> dict[str, str | int]:
        """The JSON line written to ``rejects/``; without `records` it is one."""
        line = asdict(self)
        return line if self.records > 1 else {k: v for k, v in line.items() if k != "records"}
