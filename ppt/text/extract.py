"""Raw documents → prose: the extractors by name, and which a file's name asks for."""

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
