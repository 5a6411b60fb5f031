"""A figure as SVG to stand inside an HTML page.

Small (few decimals, the page's font, no empty groups), of no fixed size, in the page's
own colours for text and grids, and with ids that meet no other figure's.
"""

import io
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Tree

POINT = 4 / 3
"""CSS pixels."""

NARROW = 720
"""Pixels below which a figure is scrolled rather than made smaller."""

LEFT_OUT = {"metadata", "style"}
"""matplotlib's style element holds for a whole page; `CSS` says the same of a figure."""

CSS = "svg.drawn * { stroke-linejoin: round; stroke-linecap: butt; }"

_PLACES = ("d", "x", "y", "transform")
_NUMBER = re.compile(r"-?\d+\.\d+")
_FONT = re.compile(
    r"font: (?:(?:normal|bold|\d+) )*(?P<size>[\d.]+px) [^;]*|font-family: [^;]*;? ?"
)
_NOT_TURNED = re.compile(r"^rotate\(-?0 .*\)$")
_COMMAND = re.compile(r"\s*([A-Za-z])\s*")


def inline_svg(figure: Any, name: str, colours: Mapping[str, str]) -> str:
    """The ``<svg>`` element of a matplotlib Figure; `name` is its own on the page.

    `colours` gives what is put in the place of a colour, such as a CSS variable. The page
    needs `CSS`.
    """
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    root = Tree.fromstring(text.getvalue())  # noqa: S314 - matplotlib wrote it
    _tidy(root, colours, digits=1)
    width, height = (float(size) for size in root.attrib["viewBox"].split()[2:])
    root.attrib = {
        "class": "drawn",
        "viewBox": f"0 0 {width:g} {height:g}",
        "style": f"max-width:{width * POINT:.0f}px;min-width:{min(width * POINT, NARROW):.0f}px",
        "aria-hidden": "true",  # the page names the figure
    }
    return Tree.tostring(root, encoding="unicode")


def _tidy(element: Tree.Element, colours: Mapping[str, str], digits: int) -> None:
    """Shorten an element and all in it; marks in defs, which are small, keep more digits."""
    element.tag = _local(element.tag)
    if element.tag in ("g", "image"):
        element.attrib.pop("id", None)
    element.attrib = {
        _local(key): _shortened(_local(key), value, colours, digits)
        for key, value in element.attrib.items()
        if not _NOT_TURNED.match(value)
    }
    children = []
    for child in element:
        if _local(child.tag) in LEFT_OUT:
            continue
        _tidy(child, colours, 3 if element.tag == "defs" else digits)
        is_empty_group = child.tag == "g" and not child.attrib
        children += list(child) if is_empty_group else [child]
    element[:] = children
    if element.tag != "text":
        element.text = None
    element.tail = None


def _shortened(key: str, value: str, colours: Mapping[str, str], digits: int) -> str:
    if key in _PLACES:
        digits = 4 if value.startswith("matrix") else digits  # it scales a whole image
        value = _NUMBER.sub(lambda number: f"{round(float(number[0]), digits):g}", value)
        return _COMMAND.sub(r"\1", value).strip() if key == "d" else value
    if key != "style":
        return value
    value = _FONT.sub(lambda font: f"font-size: {font['size']}" if font["size"] else "", value)
    for colour, own in colours.items():
        value = value.replace(colour, own)
    return value.replace(": ", ":").replace("; ", ";")


def _local(name: str) -> str:
    """A name without its namespace, as HTML has it."""
    return name.rpartition("}")[2]
