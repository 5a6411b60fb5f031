"""Markdown tables."""

from collections.abc import Iterable
from typing import Any

from ppt.errors import visible


def markdown_table(
    head: Iterable[str], rows: Iterable[Iterable[Any]], left: int | None = None
) -> str:
    """A table of any values as text; all columns after the first `left` are aligned right."""
    names = [_cell(name) for name in head]
    left = len(names) if left is None else left
    rule = "---|" * left + "---:|" * (len(names) - left)
    lines = [names, *([_cell(value) for value in row] for row in rows)]
    shown = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([shown[0], f"|{rule}", *shown[1:]])


def _cell(value: Any) -> str:
    return visible(str(value)).replace("|", "\\|")
