"""How all plots of results look: colours, marks, sizes, and panels laid out in inches.

matplotlib is imported only when something is drawn.
"""

import functools
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INK, FAINT = "#1b1f26", "#c8cdd6"
"""Text and axes; grids. A page may put its own colours in their place."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c8c")
"""Those of Okabe and Ito (2008) without their black and yellow, which a dark or a white page
swallows, and a grey; in the order in which neighbours differ most with any colour blindness."""

MARKS = ("o", "s", "^", "D", "v")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
"""With the colours these give 105 looks before one comes again."""

WIDTH, MIN_WIDTH = 12.4, 5.6
"""Inches of a full page, and of a figure whose heading can still be read."""

NOTE_LETTER, NOTE_LINE = 0.064, 0.16
"""Inches that a letter and a line of a note take, with some to spare."""

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlepad": 4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Look:
    """How a method is drawn in every plot."""

    colour: str
    mark: str
    dash: Any


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method: neighbours differ in colour and mark."""
    return {
        name: Look(
            COLOURS[i % len(COLOURS)],
            MARKS[i % len(MARKS)],
            DASHES[i // len(COLOURS) % len(DASHES)],
        )
        for i, name in enumerate(methods)
    }


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Let a function draw in `STYLE`, whatever the user's own settings of matplotlib are."""

    @functools.wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib as mpl

        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return drawing


@dataclass(frozen=True)
class Space:
    """Inches around and between panels; above them the heading has its own."""

    left: float = 0.45
    right: float = 0.1
    bottom: float = 0.45
    across: float = 0.3
    down: float = 0.5


def columns_for(count: int, most: int) -> int:
    """Columns for `count` panels, `most` or fewer, so that the last line is as full as can be."""
    lines = -(-count // most)
    return -(-count // lines)


def panels(
    count: int, columns: int, size: tuple[float, float], space: Space, title: str, note: str
) -> tuple[Any, list[Any]]:
    """A Figure and its `count` axes of `size` (inches), in lines of `columns`.

    `title` stands over them, under it `note`, which says what is drawn.
    """
    from matplotlib.figure import Figure

    width, height = size
    lines = -(-count // columns)
    total_w = space.left + columns * width + (columns - 1) * space.across + space.right
    total_w = max(total_w, MIN_WIDTH)
    texts = textwrap.wrap(plain(note, 300), int(total_w / NOTE_LETTER))
    top = 0.28 + NOTE_LINE * len(texts) + 0.32
    total_h = top + lines * height + (lines - 1) * space.down + space.bottom
    figure = Figure(figsize=(total_w, total_h))
    x, y = 0.08 / total_w, 1 - 0.06 / total_h
    figure.text(x, y, plain(title, 100), va="top", fontsize=10, fontweight="bold")
    figure.text(x, y - 0.22 / total_h, "\n".join(texts), va="top", linespacing=1.3)
    axes = []
    for i in range(count):
        line, column = divmod(i, columns)
        x = space.left + column * (width + space.across)
        y = total_h - top - line * (height + space.down) - height
        axes.append(figure.add_axes((x / total_w, y / total_h, width / total_w, height / total_h)))
    return figure, axes


def plain(text: str, limit: int = 26) -> str:
    """Text that any font and file format can take: one line, no control characters, not long."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
