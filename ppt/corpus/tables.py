"""Rows of pool indices → an Arrow table of examples, by `take`, without Python objects per row."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ppt.base.arrays import Indices, Mask
from ppt.corpus.builders import Stock
from ppt.corpus.formats import FORMATS, LETTERS
from ppt.corpus.options import option_caps
from ppt.corpus.rows import OPTION_WORDS, Rows
from ppt.corpus.trim import ENDS, fitted

_REPEATED = pa.dictionary(pa.int32(), pa.string())
"""Strings that stand in several rows: an index each, which Parquet stores as it is."""

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("document_id", _REPEATED),
        ("kind", _REPEATED),
        ("text_a", pa.string()),
        ("text_b", _REPEATED),
        ("options", pa.list_(_REPEATED)),
        ("label", pa.int64()),
    ]
)

_KEY_DIGITS = 16


class Phrases:
    """Every string that examples of one stock can hold, as one Arrow array to take from.

    The pool's N sentences, those of them that a cap cuts once more for each such
    cap, then the label words. Also the pool's N stems of example ids and the ids
    of its documents.
    """

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        pool, options = stock.pool, stock.options
        caps = {cap for n in range(2, len(LETTERS) + 1) for cap in option_caps(n, options)}
        caps |= {options.max_text_chars, options.max_option_chars}
        texts = [*pool.whole]
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self._caps = sorted(caps, reverse=True)
        places = np.arange(len(texts))
        self._places = np.empty((len(caps), len(places)), dtype=np.int64)
        for row, cap in enumerate(self._caps):
            for i in np.flatnonzero(lengths > cap).tolist():
                text = fitted(texts[i], cap)
                if text != texts[places[i]]:
                    places[i] = len(texts)
                    texts.append(text)
            self._places[row] = places
        self._is_cut = self._places >= len(pool)
        words = sorted(set(OPTION_WORDS))
        # A dictionary must not hold a string twice, as short sentences may be label words:
        # Parquet would write a page of more bytes than it fills.
        unique = pa.array([*texts, *words], pa.string()).dictionary_encode()
        self._strings, codes = unique.dictionary, unique.indices.to_numpy()
        self._places = codes[self._places]
        self._words = codes[len(texts) + np.array([words.index(word) for word in OPTION_WORDS])]
        keys = pa.array([one.key.hex()[:_KEY_DIGITS] for one in pool.documents], pa.string())
        places_in = pc.cast(pa.array(pool.position), pa.string())
        self.stems = pc.binary_join_element_wise(keys.take(pa.array(pool.document)), places_in, "-")
        ids = pa.array([document.id for document in pool.documents], pa.string())
        self.document_ids = ids.dictionary_encode()

    def rows_of(self, caps: Iterable[int]) -> Indices:
        """For `take`: which row of cut texts belongs to each of `caps`."""
        return np.array([self._caps.index(cap) for cap in caps], dtype=np.int64)

    def take(self, indices: Indices, cap_rows: Indices) -> pa.StringArray:
        """The sentences at `indices` of the pool, each cut to its cap."""
        return self._strings.take(pa.array(self._places[cap_rows, indices]))

    def is_cut(self, indices: Indices, cap_rows: Indices) -> Mask:
        """Which of the sentences are cut; words (< 0) never are."""
        return (indices >= 0) & self._is_cut[cap_rows, np.maximum(indices, 0)]

    def encode(
        self,
        indices: Indices,
        cap_rows: Indices,
        missing: Mask | None = None,
        endless: Mask | None = None,
    ) -> pa.DictionaryArray:
        """Sentences (>= 0) and option words (-1 - w) as indices into the strings used.

        Null where `missing`, without their last signs where `endless`. Nothing is copied per
        row: that would be most of the work.
        """
        is_word = indices < 0
        places = self._places[cap_rows, np.where(is_word, 0, indices)]
        places = np.where(is_word, self._words[np.where(is_word, -1 - indices, 0)], places)
        n = len(self._strings)
        if endless is not None:
            places = places + n * endless
        used = np.zeros(2 * n, dtype=bool)
        used[places] = True
        codes = (np.cumsum(used) - 1)[places].astype(np.int32)
        strings = self._strings.take(pa.array(np.flatnonzero(used[:n])))
        if used[n:].any():
            ended = pc.utf8_rtrim(self._strings.take(pa.array(np.flatnonzero(used[n:]))), ENDS)
            unique = pa.concat_arrays([strings, ended]).dictionary_encode()
            strings, codes = unique.dictionary, unique.indices.to_numpy()[codes]
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=missing), strings)


def to_table(phrases: Phrases, rows: Rows, format_name: str) -> pa.Table:
    """Materialise R rows of one format: a table of `COLUMNS`, R rows long."""
    kinds = FORMATS[format_name].kinds
    kind = pa.DictionaryArray.from_arrays(pa.array(rows.kind.astype(np.int32)), list(kinds))
    ids = phrases.stems.take(pa.array(rows.anchor))
    if len(kinds) > 1:  # a sentence may be the anchor of several
        ids = pc.binary_join_element_wise(ids, kind.dictionary_decode(), "-")
    counts = rows.option_counts()
    query_rows, option_rows = _caps_by_count(phrases, format_name)
    shrinks = np.isin(kinds, FORMATS[format_name].shrinking)[rows.kind]
    text_rows = query_rows[np.where(shrinks, counts, 0)]
    caps = np.repeat(option_rows[counts], counts)
    shows = np.zeros(len(rows), dtype=bool)  # a cut option has no end: so none of its row has
    shows[np.repeat(np.arange(len(rows)), counts)[phrases.is_cut(rows.options, caps)]] = True
    flat = phrases.encode(rows.options, caps, endless=np.repeat(shows, counts))
    documents = phrases.stock.pool.document[rows.anchor]
    return pa.table(
        [
            ids,
            phrases.document_ids.take(pa.array(documents)),
            kind,
            phrases.take(rows.anchor, text_rows),
            phrases.encode(np.maximum(rows.second, 0), text_rows, missing=rows.second < 0),
            pa.ListArray.from_arrays(pa.array(rows.offsets.astype(np.int32)), flat),
            pa.array(rows.label.astype(np.int64)),
        ],
        schema=COLUMNS,
    )


def _caps_by_count(phrases: Phrases, format_name: str) -> tuple[Indices, Indices]:
    """Which cap rows a row of n options has, for n = 0...16: of its texts, of its options."""
    options = phrases.stock.options
    full = (options.max_text_chars, options.max_option_chars)
    shrinks = FORMATS[format_name].shrinking
    caps = [
        option_caps(n, options) if shrinks and n >= 2 else full for n in range(len(LETTERS) + 1)
    ]
    queries, answers = zip(*caps, strict=True)
    return phrases.rows_of(queries), phrases.rows_of(answers)
