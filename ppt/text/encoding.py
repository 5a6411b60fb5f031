"""Bytes → text: UTF-8, an encoding by name, or one found by the kept detector."""

import codecs

from ppt.text.language import language_of_words

AUTO = "auto"
UTF8 = "utf-8"
LIBRARY = "charset-normalizer"

DETECTED_BYTES = 100_000
"""The detector looks at so much of a record: its cost is bounded, and more tells it no more."""

FEWEST_FOREIGN_BYTES = 16
"""With fewer bytes outside ASCII a record is not guessed at: "café" is taken for UTF-16."""

_WESTERN = "cp1252"
_ITS_LANGUAGES = {
    "English", "German", "Dutch", "French", "Spanish", "Portuguese", "Italian", "Swedish",
    "Danish", "Finnish", "Indonesian",
}  # fmt: skip
_ITS_KIN = ("cp125", "iso8859")
_AS_LIKELY = 0.05
"""In the detector's "chaos". Of encodings that differ in few letters it takes the first by name,
so Spanish was cp1250's: "seńor"."""

_ASCII = bytes(range(128))
_NEED_NULS = ["utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le", "utf_7"]
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
"""Byte-order marks, the longer first."""


_NO_CHARSETS = ("idna", "punycode", "undefined")
"""Codecs of Python's own; punycode takes quadratic time."""


def is_charset(name: str) -> bool:
    """Whether it is an encoding of text that Python knows."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return codec._is_text_encoding and codec.name not in _NO_CHARSETS


def is_known(encoding: str) -> bool:
    """Whether it is `AUTO` or an encoding of text that Python knows."""
    return encoding == AUTO or is_charset(encoding)


def keeps_lines(encoding: str) -> bool:
    """Whether bytes below 128 are ASCII in it, so that files can be cut at line feeds."""
    ascii_bytes = bytes(range(32, 127)) + b"\t\r\n"
    try:
        return encoding == AUTO or ascii_bytes.decode(encoding) == ascii_bytes.decode("ascii")
    except UnicodeDecodeError:
        return False


def decode(data: bytes, encoding: str = UTF8) -> tuple[str, str]:
    """The text of `data`, and the encoding that it was in.

    With `AUTO` that is what a byte-order mark says, else UTF-8 if it is that, else what
    charset-normalizer finds in records with enough bytes outside ASCII. Raises
    UnicodeDecodeError.
    """
    if encoding != AUTO:
        return data.decode(encoding), encoding
    if name := by_mark(data):
        return data.decode(name), name
    try:
        return data.decode(), UTF8
    except UnicodeDecodeError:
        found = _detected(data)
        if found is None:
            raise
        return data.decode(found), found


def by_mark(data: bytes | bytearray) -> str:
    """The encoding that a byte-order mark other than UTF-8's tells; "" where there is none."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")


def _detected(data: bytes) -> str | None:
    """What the detector finds in enough bytes outside ASCII; None where there is nothing."""
    if len(data.translate(None, _ASCII)) < FEWEST_FOREIGN_BYTES and b"\0" not in data:
        return None
    from charset_normalizer import from_bytes

    without = [] if b"\0" in data else _NEED_NULS
    found = from_bytes(data[:DETECTED_BYTES], cp_exclusion=without)
    best = found.best()
    if best is None:
        return None
    name: str = best.encoding
    if name.startswith(_ITS_KIN) and language_of_words(str(best)) in _ITS_LANGUAGES:
        likely = (one for one in found if one.chaos <= best.chaos + _AS_LIKELY)
        if any(_WESTERN in one.could_be_from_charset for one in likely):
            return _WESTERN
    return name
