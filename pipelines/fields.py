"""The text and the id in a record of each input format, or why there are none."""

import json
from contextlib import suppress

from pipelines.parquet import Row
from pipelines.preparing import ReadOptions
from ppt.corpus.records import Notes, UnusableError, encodable, refuse_twice
from ppt.text.encoding import AUTO, UTF8, decode

Found = tuple[object, str | None, Notes]
"""The text, the id if there is one, and how the text was encoded, where that is not settled."""

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_decode_json = json.JSONDecoder().decode
_A_LINE = "; expected an object a line, which jq -c '.[]' makes of an array"


def of_text(record: bytes, options: ReadOptions) -> Found:
    """The record is the text."""
    text, notes = _decoded(record, options)
    return text, None, notes


def of_json(record: bytes, options: ReadOptions) -> Found:
    """A JSON object."""
    line, notes = _decoded(record, options)
    try:
        value = _decode_json(line)
    except RecursionError:
        raise UnusableError("invalid_json", "nested too deeply") from None
    except ValueError as error:  # also an integer of more digits than Python converts
        reason = "nul_bytes" if "\0" in line else "invalid_json"
        raise UnusableError(reason, f"{error}{_A_LINE * (line.strip() in '[{')}") from error
    if not isinstance(value, dict):
        hint = _A_LINE * isinstance(value, list)
        raise UnusableError("not_an_object", f"the line is a JSON {type(value).__name__}{hint}")
    for field in filter(None, (options.text_field, options.id_field)):
        refuse_twice(line, field)
    if options.text_field not in value:
        raise UnusableError("missing_field", f"no {options.text_field!r}; there are {list(value)}")
    return value[options.text_field], _id(value.get(options.id_field or "id"), options), notes


def of_row(record: Row, options: ReadOptions) -> Found:
    """A row of two columns."""
    data, key = record
    # A string of Parquet is UTF-8, whatever other files are; --encoding reads what breaks that.
    text, notes = _decoded(data, options, UTF8) if data is not None else (None, ())
    name = key.decode(errors="surrogateescape") if isinstance(key, bytes) else key
    return text, _id(name, options), notes


def _decoded(data: bytes, options: ReadOptions, *first: str) -> tuple[str, Notes]:
    """The text, in one of the encodings `first` if it is that, else as `options` ask."""
    for encoding in first:
        with suppress(UnicodeDecodeError):
            return _noted(*decode(data, encoding), options)
    try:
        return _noted(*decode(data, options.encoding), options)
    except UnicodeDecodeError as error:
        hint = "; is it UTF-16?" if data.startswith(_UTF16_BOMS) else ""
        detail = f"byte 0x{data[error.start]:02x} at {error.start} of the record{hint}"
        cure = "; --encoding NAME reads others" if options.encoding in (UTF8, AUTO) else ""
        raise UnusableError("invalid_utf8", f"{detail}{cure}") from error
    except UnicodeError as error:  # of a codec without places
        raise UnusableError("invalid_utf8", str(error)) from error


def _noted(text: str, found: str, options: ReadOptions) -> tuple[str, Notes]:
    return text, () if options.encoding == UTF8 else ((f"encoding {found}", 1),)


def _id(value: object, options: ReadOptions) -> str | None:
    """Return `value` as an id; None where none was asked for and it cannot be one."""
    try:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise UnusableError("missing_field", f"no {options.id_field!r}, which is to be the id")
        if type(value) is int:  # a bool is not
            return str(value)
        if not isinstance(value, str):
            raise UnusableError("not_a_string", f"the id is {type(value).__name__}")
        return encodable(value)
    except UnusableError:
        if options.id_field:
            raise
        return None
