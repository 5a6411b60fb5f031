"""Heat maps and scatter plots of transfer: what is near, what gains, and whether these agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt.results.run import Run
from ppt.results.selection import distinct
from ppt.results.style import COLOURS, FAINT, INK, Look, Space, columns_for, panels, plain, styled
from ppt.results.transfer import gains, matrix

CELL, LETTER = (0.62, 0.3), 0.068
"""Inches of a cell, and of a letter of a name."""

WIDEST = 60.0
"""Inches of all cells: where more do not fit each is smaller, the smallest without a number."""

MORE, LESS = COLOURS[0], COLOURS[3]
"""Of values above and below 0."""

GAIN_NOTE = (
    "Per cent of the errors without transfer (prompt_tuning) that starting from a source avoids;"
    " below 0 it makes more. Rows: sources; columns: targets; means over seeds."
)


@styled
def heat_map(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], title: str, note: str,
    digits: int = 0,
) -> Any:  # fmt: skip
    """Values [R, C] as numbers on a colour the stronger the further from 0, or from the least.

    With values below 0 both ways have a colour; else the scale is from the least to the greatest.
    Cells of NaN stay empty.
    """
    names = 0.25 + LETTER * max(len(plain(one)) for one in (*rows, ""))
    below = 0.25 + LETTER * max(len(plain(one)) for one in (*columns, ""))
    share = min(1.0, WIDEST / (CELL[0] * max(len(columns), len(rows))))
    size = (share * CELL[0] * len(columns), share * CELL[1] * len(rows))
    figure, (ax,) = panels(1, 1, size, Space(left=names, bottom=below), title, note)
    ax.pcolormesh(values, edgecolor=FAINT, linewidth=0.5).set(
        array=None, facecolor=_colours(values).reshape(-1, 4)
    )
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value) and share > 0.5:
            ax.text(column + 0.5, row + 0.5, f"{value:.{digits}f}", ha="center", va="center",
                    fontsize=8 * share)  # fmt: skip
    ax.set_yticks(np.arange(len(rows)) + 0.5, [plain(one) for one in rows])
    ax.set_xticks(np.arange(len(columns)) + 0.5, [plain(one) for one in columns], rotation=90)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=8 * share)
    return figure


def _colours(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A colour [R, C, 4] of each value, half transparent at most, so that ink is read on it."""
    from matplotlib.colors import to_rgb

    finite = values[np.isfinite(values)]
    least = float(finite.min()) if finite.size and finite.min() >= 0 else 0.0
    far = np.abs(np.nan_to_num(values - least))
    shades = np.empty((*values.shape, 4))
    shades[..., :3] = np.where((values < 0)[..., None], to_rgb(LESS), to_rgb(MORE))
    shades[..., 3] = 0.55 * far / max(far.max(initial=0.0), 1e-12)
    return shades


@styled
def transfer_map(runs: Sequence[Run], title: str) -> Any:
    """The transfer matrix of selected runs of one number of shots; sources down, targets across."""
    found = {(one.source, one.target): 100 * one.mean for one in gains(runs)}
    rows = list(dict.fromkeys(source for source, _ in found))
    columns = [task for task in distinct(runs, "task") if any(task == one for _, one in found)]
    return heat_map(matrix(found, rows, columns), rows, columns, f"Transfer: {title}", GAIN_NOTE)


@styled
def likeness_and_gain(
    points: Mapping[str, Sequence[tuple[str, float, float]]],
    told: Mapping[str, str],
    looks: Mapping[str, Look],
    title: str,
) -> Any:
    """A panel a target: its (source, similarity, gain) points, `told` over each what they say."""
    from matplotlib.lines import Line2D

    columns = columns_for(len(points), 4)
    beside = max(2, int(columns * 2.6 / 1.6))
    space = Space(left=0.6, bottom=0.55 + 0.2 * -(-len(looks) // beside), across=0.55, down=0.6)
    note = "A point is a source and a seed: gain in per cent of the errors without transfer."
    figure, axes = panels(len(points), columns, (2.6, 1.9), space, title, note)
    for (target, own), ax in zip(points.items(), axes, strict=True):
        for source, near, gain in own:
            look = looks[source]
            ax.plot(near, 100 * gain, look.mark, color=look.colour, markeredgecolor=INK,
                    markeredgewidth=0.4)  # fmt: skip
        ax.axhline(0, color=INK, linewidth=0.8, linestyle=(0, (3, 3)))
        ax.set_title(f"{plain(target)}: {told[target]}", loc="left")
        ax.set_xlabel("similarity")
        ax.grid(axis="y")
    figure.legend(
        handles=[
            Line2D([], [], color=one.colour, marker=one.mark, linestyle="", label=plain(name))
            for name, one in looks.items()
        ],
        loc="lower center", ncols=min(beside, len(looks)),
    )  # fmt: skip
    return figure
