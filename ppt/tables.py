"""Rows of pool indices → an Arrow table of examples, by `take`, without Python objects per row."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from ppt.format_options import FormatOptions, option_caps
from ppt.formats import OPTION_WORDS, Rows
from ppt.pool import Indices, Pool
from ppt.text import cut

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("document_id", pa.string()),
        ("text_a", pa.string()),
        ("text_b", pa.string()),
        ("options", pa.list_(pa.string())),
        ("label", pa.int64()),
    ]
)

_KEY_DIGITS = 16
_MOST_OPTIONS = 16


class Phrases:
    """Every string that examples of one pool can hold, as one Arrow array to take from.

    The pool's N sentences once per length cap, then the label words.
    """

    def __init__(self, pool: Pool, options: FormatOptions) -> None:
        caps = {cap for n in range(2, _MOST_OPTIONS + 1) for cap in option_caps(n, options)}
        caps |= {options.max_text_chars, options.max_option_chars}
        texts: list[str] = []
        self._starts: dict[int, int] = {}
        for cap in sorted(caps):
            self._starts[cap] = len(texts)
            texts += [text if len(text) <= cap else cut(text, cap) for text in pool.text]
        self._words = len(texts)
        self.strings = pa.array([*texts, *OPTION_WORDS], pa.large_string())

    def starts(self, caps: Iterable[int]) -> Indices:
        """Where the sentences cut to each of `caps` start in `strings`."""
        return np.array([self._starts[cap] for cap in caps], dtype=np.int64)

    def take(self, indices: Indices, starts: Indices) -> pa.Array:
        """Strings for pool indices (>= 0, -1 - w for option word w), `starts` as given above."""
        place = np.where(indices < 0, self._words - 1 - indices, starts + indices)
        return self.strings.take(pa.array(place)).cast(pa.string())


def to_table(
    pool: Pool, phrases: Phrases, rows: Rows, format_name: str, options: FormatOptions
) -> pa.Table:
    """Materialise R rows of one format: a table of `COLUMNS`, R rows long."""
    counts = rows.option_counts()
    query_starts, option_starts = _caps_by_count(phrases, format_name, options)
    # Rows whose options are label words keep the full text length: only selections have
    # options long enough to need a shorter query.
    selects = np.zeros(len(rows), dtype=bool)
    filled = np.flatnonzero(counts)
    selects[filled] = rows.options[rows.offsets[:-1][filled]] >= 0
    text_starts = query_starts[np.where(selects, counts, 0)]
    has_second = rows.second >= 0
    text_b = phrases.take(np.maximum(rows.second, 0), text_starts)
    flat = phrases.take(rows.options, np.repeat(option_starts[counts], counts))
    return pa.table(
        [
            pa.array(_example_ids(pool, rows, selects, format_name), pa.string()),
            _document_ids(pool).take(pa.array(pool.document[rows.anchor])),
            phrases.take(rows.anchor, text_starts),
            pa.compute.if_else(pa.array(has_second), text_b, pa.scalar(None, pa.string())),
            pa.ListArray.from_arrays(pa.array(rows.offsets.astype(np.int32)), flat),
            pa.array(rows.label.astype(np.int64)),
        ],
        schema=COLUMNS,
    )


def _caps_by_count(
    phrases: Phrases, format_name: str, options: FormatOptions
) -> tuple[Indices, Indices]:
    """Where the phrases for a row of n options start, for n = 0...16: queries, options."""
    full = (options.max_text_chars, options.max_option_chars)
    shrinks = format_name == "unified"
    caps = [
        option_caps(n, options) if shrinks and n >= 2 else full for n in range(_MOST_OPTIONS + 1)
    ]
    queries, answers = zip(*caps, strict=True)
    return phrases.starts(queries), phrases.starts(answers)


def _document_ids(pool: Pool) -> pa.Array:
    return pa.array([document.id for document in pool.documents], pa.string())


def _example_ids(
    pool: Pool, rows: Rows, selects: np.ndarray[tuple[int], np.dtype[np.bool_]], format_name: str
) -> list[str]:
    """``<document key>-<sentence number>``; unified ids end in the format they come from."""
    keys = [document.key.hex()[:_KEY_DIGITS] for document in pool.documents]
    anchor = rows.anchor
    stems = [
        f"{keys[document]}-{position}"
        for document, position in zip(
            pool.document[anchor].tolist(), pool.position[anchor].tolist(), strict=True
        )
    ]
    if format_name != "unified":
        return stems
    kinds = np.where(selects, 0, np.where(rows.second >= 0, 1, 2)).tolist()
    names = ("choice", "pair", "sentiment")
    return [f"{stem}-{names[kind]}" for stem, kind in zip(stems, kinds, strict=True)]
