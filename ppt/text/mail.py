"""A mail → what its writer wrote: no headers, quotations, signatures or footers.

The message's parts are read by Python's own `email`; what quoting looks like is in tables
here. Every rule looks at whole lines, once.
"""

import quopri
import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_string
from email.message import Message
from itertools import pairwise

from ppt.text.encoding import is_charset, meant
from ppt.text.markup import ExtractionError, prose_of_html

_HEADER = re.compile(
    r"(?:From [^\n]*\n)?(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?"
    r"(?:from|to|subject|date|received|return-path|message-id|mime-version|content-type):",
    re.IGNORECASE,
)
"""Header lines up to one that only mails have."""

_NEXT = re.compile(r"\n\nFrom [^\n]{1,200}:\d\d[^\n]{0,40}\n[\w-]{1,80}: ")
"""What begins another mail in an mbox: its sender and the time, and its headers below."""

_ENCODED = re.compile(r"[\s\"]*([\w-]*)")
"""What a header's first word says; a comment may follow."""

_SHIFTED = ("iso2022_", "hz", "utf-7")
"""Encodings of which all bytes are ASCII, so that mails in them are sent as they are."""

_PARAMETERS = re.compile(
    r"^content-(?:type|disposition):.*(?:\n[ \t].*)*", re.IGNORECASE | re.MULTILINE
)
LONGEST_PARAMETERS = 2_000
"""Characters of a header that has some; `email` takes time quadratic in them."""

_QUOTE = re.compile(r"[ \t]*(?:[A-Z]{0,3}>|\|[ \t>])")
_WROTE = re.compile(
    r"\b(?:wrote|writes|said|schrieb|a écrit|écrit|escribió|ha scritto|scrisse|escreveu|schreef|"
    r"skrev|napisał|napsal|написал|пише|пишет|写道|書きました)\b.{0,60}$|[:：]$",
    re.IGNORECASE,
)
_ATTRIBUTION_LINES = 3
_SIGNATURE = re.compile(r"--[ \t]*$")
_FOOTER = re.compile(r"_{20,}$|-{3,}[ \t]*(?:original message|forwarded message|"
    r"ursprüngliche nachricht|message d'origine|mensaje original)", re.IGNORECASE)  # fmt: skip
_WHEN = "Sent|Date|Gesendet|Datum|Envoyé|Enviado|Inviato|Data|Verzonden"
_TO, _WHAT = "To|An|À|Para|A|Aan", "Subject|Betreff|Objet|Asunto|Assunto|Oggetto|Onderwerp"
_FORWARDED = re.compile(
    r"^\*?(?:From|Von|De|Da|Van) ?:\*? [^\n]{1,200}\n\n?\*?"
    rf"(?:(?:{_WHEN}) ?:|(?:{_TO}) ?:[^\n]{{1,200}}\n\n?(?:[^\n]{{1,200}}\n\n?)??"
    rf"\*?(?:{_WHEN}|{_WHAT}) ?:)",
    re.MULTILINE,
)
"""Headers within a mail, as Outlook puts them above the one that is answered."""

_SIGNED_BY = re.compile(r"Hash: (?:SHA|MD5|RIPEMD)[\w, -]*$")
_ARMOUR = re.compile(r"-----(BEGIN|END) PGP ([A-Z ]+)-----")


def prose_of_mail(text: str) -> str:
    """What was written in a mail, with headers or without. Raises ExtractionError."""
    text = text.lstrip("\n")
    if not _HEADER.match(text):
        return _written(text)
    if _NEXT.search(text):
        raise ExtractionError("several mails in one; give each a file or a line of its own")
    longest = max((len(found[0]) for found in _PARAMETERS.finditer(text)), default=0)
    if longest > LONGEST_PARAMETERS:
        raise ExtractionError(f"a header of {longest} characters, {LONGEST_PARAMETERS} at most")
    try:
        return _written(_body(message_from_string(text)))
    except ExtractionError:
        raise
    except RecursionError:
        raise ExtractionError("the mail's parts are nested too deeply") from None
    except (LookupError, TypeError, ValueError) as error:  # its parser's, of a header's parameters
        raise ExtractionError(f"the mail's headers cannot be read: {error}") from error


def _body(message: Message) -> str:
    """The first text, plain or in HTML, that is not blank."""
    text, kinds = None, set()
    for part in _parts(message):
        kinds.add(kind := part.get_content_type())
        if kind in ("text/plain", "text/html") and not part.get_filename():
            text = _decoded(part)
            if kind == "text/html":
                text = prose_of_html(text, without=("blockquote",))
            if text.strip():
                return text
    if text is None:
        raise ExtractionError(f"no text in the mail; there are {sorted(kinds)}")
    return text


def _parts(message: Message) -> Iterator[Message]:
    """The parts in order, of those that say the same the plain one first. A list's footer may be
    plain below a body in HTML, and an attached mail is another's.
    """
    if not message.is_multipart():
        yield message
        return
    inside = [part for part in message.get_payload() if isinstance(part, Message)]
    if message.get_content_type() == "multipart/alternative":
        inside.sort(key=lambda part: part.get_content_type() != "text/plain")
    for part in inside:
        yield from _parts(part)


def _decoded(part: Message) -> str:
    """A part's text. Only what was transferred as ASCII still hides its bytes, all or some."""
    found = _ENCODED.match(str(part.get("content-transfer-encoding", "")).lower())
    transfer = found[1] if found else ""
    if "uu" in transfer:
        raise ExtractionError(f"the mail's text is in {transfer!r}")
    payload, charset = part.get_payload(), part.get_content_charset("utf-8")
    if not isinstance(payload, str):
        return ""
    shifted = is_charset(charset) and meant(charset).startswith(_SHIFTED) and payload.isascii()
    if not shifted and transfer not in ("quoted-printable", "base64"):
        return payload
    try:
        name = meant(charset)
        raw = payload.encode("ascii" if payload.isascii() or transfer == "base64" else name)
        if transfer == "base64":
            part.replace_header("content-transfer-encoding", transfer)
            raw = part.get_payload(decode=True)  # type: ignore[assignment]
        data = quopri.decodestring(raw) if transfer == "quoted-printable" else raw
        with suppress(UnicodeDecodeError):
            return data.decode(name)
        return data.decode(charset)
    except (LookupError, ValueError) as error:
        raise ExtractionError(f"the mail's text is not {charset!r}: {error}") from error


def _written(body: str) -> str:
    kept: list[str] = []
    in_armour = was_quote = False
    body = body.replace("\r\n", "\n")
    answered = _FORWARDED.search(body)
    for line in _unescaped(body[: answered.start() if answered else None].split("\n")):
        if armour := _ARMOUR.match(line):
            in_armour = armour[1] == "BEGIN" and armour[2] != "SIGNED MESSAGE"
        elif in_armour or _SIGNED_BY.match(line):
            continue
        elif _SIGNATURE.match(line) or _FOOTER.match(line):
            break
        elif _QUOTE.match(line):
            if not was_quote:
                _drop_attribution(kept)
                kept.append("")
            was_quote = True
        else:
            kept.append(line)
            was_quote = was_quote and not line.strip()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")


def _unescaped(lines: list[str]) -> Iterator[str]:
    """The lines, with "From" where an mbox has ">From" and nothing around it is quoted."""
    before = ""  # the last that is not blank
    for line, after in pairwise([*lines, ""]):
        own = line.startswith(">From ") and not (
            any(map(_QUOTE.match, (before, after))) or _WROTE.search(before.rstrip()[-200:])
        )
        yield line[1:] if own else line
        before = line if line.strip() else before


def _drop_attribution(kept: list[str]) -> None:
    """Take "On Monday, X wrote:" off the end: the last lines, up to a blank one."""
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    start = end
    while start and end - start < _ATTRIBUTION_LINES and kept[start - 1].strip():
        start -= 1
    is_apart = start == 0 or not kept[start - 1].strip()
    if start < end and is_apart and _WROTE.search(kept[end - 1].rstrip()[-200:]):
        del kept[start:]
