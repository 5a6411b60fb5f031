"""Raw documents → prose: the extractors by name, and which a file's name asks for."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ppt.text.dialogue import prose_of_script, prose_of_subtitles
from ppt.text.mail import prose_of_mail
from ppt.text.markup import prose_of_html, prose_of_markdown

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Extractor:
    """How one kind of document is made plain.

    `prose` takes a text and returns the prose in it: its letters in their order, and no
    others. It raises ExtractionError, and takes linear time. Files with one of `extensions`
    ask for it with `AUTO`. What it finds depends on the `library`, if it needs one.
    """

    prose: Callable[[str], str]
    extensions: tuple[str, ...] = ()
    library: str = ""


EXTRACTORS = {
    NONE: Extractor(lambda text: text),
    "markdown": Extractor(prose_of_markdown, (".md", ".markdown"), "markdown-it-py"),
    "html": Extractor(prose_of_html, (".html", ".htm", ".xhtml"), "resiliparse"),
    "mail": Extractor(prose_of_mail, (".eml",)),
    "subtitles": Extractor(prose_of_subtitles, (".srt", ".vtt")),
    "script": Extractor(prose_of_script),
}
"""Name → extractor."""


def extractor_for(asked: str, extension: str) -> str:
    """The name of the extractor: the one `asked` for, or with `AUTO` that of the extension."""
    if asked != AUTO:
        return asked
    return next((name for name, one in EXTRACTORS.items() if extension in one.extensions), NONE)


_HEADS = {
    "RTF": (r"\{\\rtf\d", "save it as plain text"),
    "PDF": (r"%PDF-\d", "take its text out first"),
    "PostScript": (r"%!PS", "take its text out first"),
    "HTML": (r"<(?:!doctype html|html)\b", "--extract html reads it"),
    "XML": (r"<\?xml\s", "take its text out first"),
    "subtitles": (
        r"WEBVTT\b|\d{1,6}\s{1,4}\d{1,4}:\d\d:\d\d[.,]\d{3} -->", "--extract subtitles reads it"
    ),
    "JSON": (r'\[?\s{0,9}\{\s{0,9}"[^"\n]{1,80}"\s{0,9}:', "--input_format jsonl reads its lines"),
}  # fmt: skip
"""What is no plain text → how it begins, and the cure."""

_HEAD = re.compile(
    rf"\ufeff?\s{{0,99}}(?:{'|'.join(f'({head})' for head, _ in _HEADS.values())})", re.IGNORECASE
)


def other_kind(text: str) -> str:
    """What a text is by how it begins, with the cure, where that is no plain one; else ""."""
    if not (found := _HEAD.match(text)):
        return ""
    (kind, (_, cure)) = [*_HEADS.items()][(found.lastindex or 1) - 1]
    return f"it begins as {kind}: {cure}, --extract none takes it as it is"
