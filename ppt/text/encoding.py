"""Bytes → text: UTF-8, an encoding by name, or one found by the kept detector."""

import codecs
import re
from collections import Counter
from contextlib import suppress
from functools import partial

AUTO = "auto"
UTF8 = "utf-8"
LIBRARY = "charset-normalizer"

DETECTED_BYTES = 100_000
"""The detector looks at so much of a record: its cost is bounded, and more tells it no more."""

FEWEST_FOREIGN_BYTES = 16
"""With fewer bytes outside ASCII a record is not guessed at: "café" is taken for UTF-16."""

_KIN = ("cp125", "iso8859", "latin_1")
_ALIKE = ("cp1252", "cp1250", "iso8859_2", "cp1254", "cp1257", "cp850", "cp852", "mac_roman")
"""Encodings of like letters, of which the detector takes the first by name where few differ: so
Spanish was cp1250's ("seńor"). The earlier is taken where both fit."""
_LETTERS = (
    "äöüß", "áäéèëêíïóöúü", "àâæçéèêëîïôœùûüÿ", "áéíñóúü¿¡ªº", "áàâãçéêíóôõúüªº", "àèéìíîòóù",
    "åäöéü", "æøåéôòó", "áðéíóúýþæö", "àçèéíïóòúü·", "áéíóúàèìòù", "ąćęłńóśźż", "áčďéěíňóřšťúůýž",
    "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîşţ", "âçğıîöşûü\u0307", "ąčęėįšųūž",
    "āčēģīķļņōŗšūž", "äõöüšž",
)  # fmt: skip
"""Letters outside ASCII of German, Dutch, French, Spanish, Portuguese, Italian, Swedish and
Finnish, Danish and Norwegian, Icelandic, Catalan, Gaelic, Polish, Czech, Slovak, Hungarian,
Croatian and Slovene, Romanian, Turkish, Lithuanian, Latvian, Estonian."""
_ANY = frozenset("„“”‚‘’«»–—…§°×€©®™\xa0\xad")
"""Signs that stand in texts of all."""
_MOST_FOREIGN = 0.02

_JAPANESE = ("cp932", "euc_jp")
_HIRAGANA = re.compile("[ぁ-ん]")
_LEAST_HIRAGANA = 0.15
"""Of all signs outside ASCII; other texts of two bytes a sign have none, as what they are."""
_SHIFTS = (b"\x1b$B", b"\x1b$@")
"""How ISO 2022-JP begins what is not ASCII, in bytes that are."""

_DECLARED = re.compile(
    rb"""(?:<meta\s[^>]{0,200}?charset|<\?xml\s[^>]{0,100}?encoding"""
    rb"""|^content-type:(?:[^\n]|\n[ \t]){0,200}?charset)\s*=\s*["']?\s*([\w.:-]{1,40})""",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = 10_000
"""Bytes among which a page or mail says what it is in."""
_MEANT = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
          "euc_kr": "cp949", "shift_jis": "cp932"}  # fmt: skip
"""What programs name → what they write, which is more (WHATWG's Encoding Standard)."""

_ASCII = bytes(range(128))
_NO_ASCII = dict.fromkeys(range(128))
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


def meant(charset: str) -> str:
    """The encoding that a page or mail means by a name. Raises LookupError for none."""
    if not is_charset(charset):
        raise LookupError("nobody knows it")
    name = codecs.lookup(charset).name
    return _MEANT.get(name, name)


def keeps_lines(encoding: str) -> bool:
    """Whether bytes below 128 are ASCII in it, so that files can be cut at line feeds."""
    ascii_bytes = bytes(range(32, 127)) + b"\t\r\n"
    try:
        return encoding == AUTO or ascii_bytes.decode(encoding) == ascii_bytes.decode("ascii")
    except UnicodeDecodeError:
        return False


def decode(data: bytes, encoding: str = UTF8) -> tuple[str, str]:
    """The text of `data`, and the encoding that it was in.

    With `AUTO` that is what a byte-order mark says, else UTF-8 if it is that, else what a page or
    mail itself says, else what charset-normalizer finds in records with enough bytes outside
    ASCII. UTF-8 that is broken here and there is nothing else. Raises UnicodeDecodeError.
    """
    if encoding != AUTO:
        return data.decode(encoding), encoding
    if name := by_mark(data):
        return data.decode(name), name
    if any(shift in data for shift in _SHIFTS):
        with suppress(UnicodeDecodeError):
            return data.decode("iso2022_jp"), "iso2022_jp"
    try:
        return data.decode(), UTF8
    except UnicodeDecodeError:
        found = None if _is_broken_utf8(data) else _declared(data) or _detected(data)
        if found is None:
            raise
        return data.decode(found), found


def by_mark(data: bytes | bytearray) -> str:
    """The encoding that a byte-order mark other than UTF-8's tells; "" where there is none."""
    return next((name for mark, name in _MARKS.items() if data.startswith(mark)), "")


def _is_broken_utf8(data: bytes) -> bool:
    """Whether more signs outside ASCII are UTF-8 than are not: of other encodings few ever are."""
    text = data.decode(errors="replace")
    in_ascii = len(data) - len(data.translate(None, _ASCII))
    return len(text) - in_ascii >= 2 * text.count("\ufffd")


def _declared(data: bytes) -> str | None:
    """What a page or a mail says that it is in, where it can be read so."""
    if found := _DECLARED.search(data[:_HEAD]):
        with suppress(LookupError, UnicodeDecodeError):
            name = meant(found[1].decode())
            data.decode(name)
            return name if keeps_lines(name) else None  # as what it says is in ASCII
    return None


def _detected(data: bytes) -> str | None:
    """What the detector finds in enough bytes outside ASCII; None where there is nothing."""
    if len(data.translate(None, _ASCII)) < FEWEST_FOREIGN_BYTES and b"\0" not in data:
        return None
    from charset_normalizer import from_bytes

    without = [] if b"\0" in data else _NEED_NULS
    best = from_bytes(data[:DETECTED_BYTES], cp_exclusion=without).best()
    if best is None:
        return None
    name: str = best.encoding
    if b"\0" in data:
        return name
    return next(filter(partial(_is_japanese, data), _JAPANESE), "") or _of_one_language(data, name)


def _signs(data: bytes, name: str) -> str | None:
    """The signs outside ASCII of as much as is looked at, in lower case; None if it is not that."""
    try:
        return data.decode(name)[:DETECTED_BYTES].lower().translate(_NO_ASCII)
    except UnicodeDecodeError:
        return None


def _is_japanese(data: bytes, name: str) -> bool:
    signs = _signs(data, name) or ""
    return len(_HIRAGANA.findall(signs)) >= _LEAST_HIRAGANA * len(signs) > 0


def _of_one_language(data: bytes, found: str) -> str:
    """The first encoding in which the letters outside ASCII are those of one language; where they
    are in none, what was `found`.
    """

    def foreign(name: str) -> float:
        signs = _signs(data, name)
        if signs is None:
            return 1.0
        letters = Counter(signs)
        for sign in _ANY:
            del letters[sign]
        known = max(sum(letters[sign] for sign in own) for own in _LETTERS)
        return (letters.total() - known) / max(letters.total(), 1)

    first = (_ALIKE[0], found) if found.startswith(_KIN) else (found,)
    shares = {name: foreign(name) for name in (*first, *_ALIKE)}
    best = min(shares, key=shares.__getitem__)
    return best if shares[best] <= _MOST_FOREIGN else found
