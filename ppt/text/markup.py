"""Markdown and HTML → the prose in them. Both are read by kept parsers.

What is left are paragraphs parted by blank lines: headings and list items are paragraphs of
their own, so that what they part are no neighbours. Code, tables, images, addresses of links
and markup go. Nothing is added.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from ppt.base.extras import cure, is_there

LONGEST_MARKUP = 2_000_000
"""Characters. Parsers build a tree, of up to some hundred bytes a character."""

DEEPEST_HTML = 512
"""Elements within elements; browsers draw the same line. The extractor's time is quadratic
in it."""

MOST_OPTIONS = 5_000
"""Of forms. The parser's time is quadratic in those of one list: these take it a second."""

_INLINE_CHARS = 10_000
"""A paragraph's markup is read so much at a time: a token a character takes memory."""

_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n(?=(?:#.*\n|\s){0,99}[\"']?[\w.-]+[\"']?:\s)"
    r"(?:(?!---|\.\.\.).*\n){0,200}(?:---|\.\.\.)"
    r"|\+\+\+[ \t]*\n(?:(?!\+\+\+).*\n){0,200}\+\+\+)[ \t]*(?:\n|\Z)"
)
"""YAML, which begins with a key, as prose between two rules does not; or TOML."""
_INLINE_TEXT = {"text", "text_special", "code_inline"}
_LINE_ENDS = {"softbreak", "hardbreak"}
_NO_PROSE_ELEMENTS = (
    "pre", "code.block", "table", "nav", "form", "svg", "math", "button", "canvas", "del", "s",
    "strike", "rt", "rp", 'sup:has(> a[href*="#"])', "a[role=doc-noteref]", "a.footnote-ref",
    "a.footnote-back", "a.footnote-backref", "a.noteref",
)  # fmt: skip
"""`rt` and `rp` are how signs are read, which would stand within the words, as would the numbers
of notes, and hide where a sentence ends ("rose.[1] It")."""

_BLOCK = re.compile(
    r"<(?=/?(?:address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figcaption|"
    r"figure|footer|form|header|hgroup|legend|listing|main|menu|nav|ol|pre|search|section|summary|"
    r"table|ul|xmp)[\s/>])",
    re.IGNORECASE,
)
"""Blocks. What stands before and behind one is no paragraph, even where the block is left out."""

_TAG = re.compile(r"<(/?)([a-zA-Z][\w-]*)")
_OPENED_AGAIN = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905
"""Elements that HTML opens again in each block after the one in which they were not closed."""
_HOLDS_NOTHING = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905
)
_ENDS_ITSELF = _HOLDS_NOTHING.union(
    """
    p li dt dd tr td th thead tbody tfoot option optgroup colgroup caption rp rt html head body
    """.split()  # noqa: SIM905
)
"""Elements that nest no deeper when they are not closed."""

_IS_XML = re.compile(
    r"\s*(?:<\?xml\s|(?:<!doctype[^<>]*>\s*)?<html\s[^<>]*\bxmlns=)", re.IGNORECASE
)
_EMPTY = re.compile(r"<([a-zA-Z][\w:-]*+)([^<>]*+)(?<=/)>")
"""An element of XML without content. To HTML's parser it is open: after <title/> all is title."""


class ExtractionError(ValueError):
    """Why no prose could be taken out of a document."""


# ---- Markdown


def prose_of_markdown(text: str) -> str:
    """Paragraphs, headings and list items of CommonMark with tables, by markdown-it-py."""
    _refuse_longer(text)
    links: dict[str, Any] = {}  # "[1]: address" of the whole text, for "[words][1]"
    tokens = _markdown().parse(_FRONT_MATTER.sub("", text, count=1), links)
    blocks, in_table = [], False
    for token in tokens:
        if token.type in ("table_open", "table_close"):
            in_table = token.type == "table_open"
        elif token.type == "inline" and not in_table:
            blocks.append("".join(_inline_prose(piece, links) for piece in _pieces(token.content)))
    return "\n\n".join(block for block in blocks if block.strip())


@cache
def _markdown() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@cache
def _inline_markdown() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("strikethrough")
    parser.inline.ruler.before("link", "note", _passes_note)
    return parser


_NOTE = re.compile(r"\[\^[^\]\s]{1,40}\](?::[ \t]*)?")


def _passes_note(state: Any, _: bool) -> bool:
    """A rule of the parser: the number of a note, where it is called or stands, is no text."""
    if found := _NOTE.match(state.src, state.pos):
        state.pos = found.end()
    return found is not None


def _pieces(content: str) -> list[str]:
    """Most paragraphs whole; longer ones in parts, so that their tokens stay few."""
    pieces = []
    while len(content) > _INLINE_CHARS:
        end = max(content.rfind(" ", 0, _INLINE_CHARS), content.rfind("\n", 0, _INLINE_CHARS)) + 1
        pieces.append(content[: end or _INLINE_CHARS])
        content = content[end or _INLINE_CHARS :]
    return [*pieces, content]


def _inline_prose(content: str, links: dict[str, Any]) -> str:
    """A paragraph's words. Its parser strips the ends, which parts of a paragraph need."""
    head = content[: len(content) - len(content.lstrip())]
    tail = content[len(content.rstrip()) :] if content.strip() else ""
    words, is_address, deleted = [], False, 0
    for block in _inline_markdown().parseInline(content.strip(), links):
        for token in block.children or ():
            if token.type in ("link_open", "link_close"):
                is_address = token.type == "link_open" and token.info == "auto"
            elif token.type in ("s_open", "s_close"):
                deleted += token.nesting
            elif deleted:
                continue
            elif token.type in _LINE_ENDS or (
                token.type == "html_inline" and token.content[:3].lower() == "<br"
            ):
                words.append("\n")
            elif token.type in _INLINE_TEXT and not is_address:
                words.append(token.content)
    return head + "".join(words) + tail


# ---- HTML


def prose_of_html(text: str, *, without: Sequence[str] = ()) -> str:
    """The main content's paragraphs, headings and list items, by Resiliparse; of some elements
    nothing.
    """
    _refuse_longer(text)
    if not is_there("resiliparse"):
        raise ExtractionError(f"HTML needs resiliparse: {cure('resiliparse')}")
    if _IS_XML.match(text):
        text = _EMPTY.sub(_closed, text)
    text = _BLOCK.sub("<br><", text)
    for (what, most), count in zip(_MOST.items(), _size(text), strict=True):
        if count > most:
            raise ExtractionError(f"{count} {what}, {most} at most")
    from resiliparse.extract.html2text import extract_plain_text

    found: str = extract_plain_text(
        text,
        preserve_formatting=True,
        main_content=True,
        list_bullets=False,
        alt_texts=False,
        skip_elements=[*_NO_PROSE_ELEMENTS, *without],
    )
    lines = map(str.strip, found.split("\n"))  # it wraps none: each is a block of its own
    return "\n\n".join(filter(None, lines))


def _closed(empty: "re.Match[str]") -> str:
    name, rest = empty.groups()
    return empty[0] if name.lower() in _HOLDS_NOTHING else f"<{name}{rest[:-1]}></{name}>"


_MOST = {
    "elements within each other": DEEPEST_HTML,
    "elements": LONGEST_MARKUP,
    "options of forms": MOST_OPTIONS,
}


def _size(html: str) -> tuple[int, int, int]:
    """How many there are of what `_MOST` bounds, at most: as if no element were closed but by its
    own end tag.
    """
    depth = deepest = again = elements = options = 0
    for closing, name in _TAG.findall(html.lower()):
        step = -1 if closing else 1
        if name not in _ENDS_ITSELF:
            depth = max(depth + step, 0)
            deepest = max(deepest, depth)
        if name in _OPENED_AGAIN:
            again = max(again + step, 0)
        elements += 1 + again
        options += name == "option" and not closing
    return deepest, elements, options


def _refuse_longer(text: str) -> None:
    if len(text) > LONGEST_MARKUP:
        raise ExtractionError(f"{len(text)} characters of markup, {LONGEST_MARKUP} at most")
