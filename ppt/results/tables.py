"""Rows of results as tables: terminal, Markdown, CSV; scores in per cent but for the CSV.

A cell says mean ±sample standard deviation over seeds; one seed has no deviation.
"""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ppt.base.files import write_atomically
from ppt.base.markdown import markdown_table
from ppt.errors import visible
from ppt.results.folder import TABLES
from ppt.results.rows import MIN_PAIRS, Row
from ppt.results.selection import METRICS
from ppt.results.statistics import CONFIDENCE, Summary

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""How texts begin that spreadsheets compute; tabs and line ends are escaped before."""

NONE = "–"
ALL_TASKS = "all tasks"


@dataclass(frozen=True)
class Sheet:
    """A table of text: the first `names` columns name things, the others hold numbers.

    Names are users': none of them steers a terminal.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", visible(self.title))
        object.__setattr__(self, "head", tuple(map(visible, self.head)))
        object.__setattr__(self, "rows", tuple(tuple(map(visible, row)) for row in self.rows))


def overview(rows: Sequence[Row], shots: int) -> Sheet:
    """Methods down, tasks across, for one number of shots, with the mean over tasks."""
    here = [row for row in rows if row.shots == shots]
    tasks = list(dict.fromkeys(row.task for row in here))
    cells = {(row.method, row.task): f"{spread(row.scores[row.metric])}{row.mark}" for row in here}
    methods = dict.fromkeys(row.method for row in here)
    body = tuple(
        (method, *(cells.get((method, task), NONE) for task in tasks)) for method in methods
    )
    metric = METRICS[here[0].metric]
    return Sheet(
        f"Test {metric} (%), {shots} shots",
        ("method", *map(_task, tasks)),
        body,
        names=1,
        note=_note(here),
    )


def overviews(rows: Sequence[Row]) -> list[Sheet]:
    """One for each number of shots."""
    return [overview(rows, shots) for shots in dict.fromkeys(row.shots for row in rows)]


def details(rows: Sequence[Row]) -> Sheet:
    """A line for each row: both scores, interval and seeds; with a baseline differences too."""
    metric, baseline = rows[0].metric, rows[0].baseline
    share = f"{CONFIDENCE:.0%}"
    columns: dict[str, Callable[[Row], str]] = {
        "task": lambda row: _task(row.task),
        "shots": lambda row: str(row.shots),
        "method": lambda row: row.method,
        "accuracy (%)": lambda row: spread(row.scores["accuracy"]),
        "macro-F1 (%)": lambda row: spread(row.scores["macro_f1"]),
        f"{share} interval": lambda row: interval(row.scores[metric]),
        "seeds": lambda row: str(row.scores[metric].n),
    }
    title = f"Test scores; intervals of {METRICS[metric]}"
    if baseline:
        title += f", differences to {baseline} over common seeds"
        columns |= {
            "difference": lambda row: (
                f"{percent(row.difference.mean, '+')}{row.mark}" if row.difference else NONE
            ),
            f"its {share} interval": lambda row: interval(row.difference, sign="+"),
            "pairs": lambda row: str(row.difference.n) if row.difference else NONE,
        }
    body = tuple(tuple(cell(row) for cell in columns.values()) for row in rows)
    return Sheet(title, tuple(columns), body, names=3, note=_note(rows))


def to_rich(sheet: Sheet) -> Group:
    """For the terminal: a title, the table, what its signs mean."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(sheet.head):
        is_name = place < sheet.names
        justify: Literal["left", "right"] = "left" if is_name else "right"
        table.add_column(Text(name), justify=justify, no_wrap=is_name)
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    note = [Text(f"{sheet.note}\n", style="dim")] if sheet.note else []
    return Group(Text(sheet.title, style="bold"), table, *note)


def show(sheets: Iterable[Sheet]) -> None:
    """Print sheets on the terminal."""
    console = Console()
    for sheet in sheets:
        console.print(to_rich(sheet))


def to_markdown(sheet: Sheet) -> str:
    """For a README: a heading, the table, what its signs mean."""
    head, *rows = (list(map(_plain, row)) for row in (sheet.head, *sheet.rows))
    parts = [f"### {_plain(sheet.title)}", markdown_table(head, rows, sheet.names), sheet.note]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown takes for no element of HTML, link or emphasis."""
    return re.sub(r"[`*\[]", r"\\\g<0>", text).replace("<", "&lt;")


def to_csv(rows: Sequence[Row]) -> str:
    """For spreadsheets and scripts: unrounded, in 0 to 1; what is not there is empty.

    Texts that a spreadsheet would compute begin with a ' there.
    `task` is empty for the mean over tasks; the difference is that of `metric` to `baseline`.
    """
    parts = ("n", "mean", "deviation", "low", "high")
    summaries = [*METRICS, "difference"]
    names = [f"{name}_{part}" for name in summaries for part in parts]
    lines = []
    for row in rows:
        known = {**row.scores, "difference": row.difference}
        values = (getattr(known[name], part, None) for name in summaries for part in parts)
        lines.append((row.task, row.shots, row.method, row.metric, row.baseline, *values))
    return csv_text(["task", "shots", "method", "metric", "baseline", *names], lines)


def inert(value: Any) -> Any:
    """A text that neither steers a terminal nor is a formula; numbers as they are."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def csv_text(
    head: Sequence[str], lines: Iterable[Sequence[Any]], cell: Callable[[Any], Any] = inert,
    sign: str = ",",
) -> str:  # fmt: skip
    """A CSV file with `sign` between its values, which are as `cell` makes them."""
    made: list[str] = []
    writer = csv.writer(SimpleNamespace(write=made.append), delimiter=sign, lineterminator="\r\n")
    writer.writerow(head)  # values with a sign of the line's end stand in marks
    writer.writerows(map(cell, line) for line in lines)
    return "".join(f"{line[:-2]}\n" for line in made)


def save_tables(folder: Path | str, rows: Sequence[Row]) -> tuple[Path, ...]:
    """Write ``results.md`` (overviews, then details) and ``results.csv``."""
    sheets = "\n".join(map(to_markdown, (*overviews(rows), details(rows))))
    texts = dict(zip(TABLES, (sheets, to_csv(rows)), strict=True))
    for name, text in texts.items():
        write_atomically(Path(folder) / name, text.encode("utf-8", "replace"))
    return tuple(Path(folder) / name for name in texts)


def spread(one: Summary) -> str:
    """A mean in per cent, and the deviation where there are several runs."""
    return percent(one.mean) + (f" ±{percent(one.deviation)}" if one.deviation is not None else "")


def interval(one: Summary | None, sign: str = "") -> str:
    """The ends of a mean's interval in per cent; `NONE` where there is none."""
    if one is None or one.low is None or one.high is None:
        return NONE
    return f"{percent(one.low, sign)} to {percent(one.high, sign)}"


def percent(value: float, sign: str = "") -> str:
    """One decimal; what rounds to zero has no sign."""
    return f"{round(100 * value, 1) + 0.0:{sign}.1f}"


def _task(task: str | None) -> str:
    return ALL_TASKS if task is None else task


def _note(rows: Sequence[Row]) -> str:
    """What the signs mean, of those that occur."""
    notes = []
    if any(row.mark for row in rows):
        notes.append(
            f"▲ ▼ better or worse than the baseline: the {CONFIDENCE:.0%} interval of {MIN_PAIRS}"
            " paired differences or more leaves out 0."
        )
    if any(row.task is None for row in rows):
        notes.append(f"{ALL_TASKS}: the mean over tasks, where a method has all of them.")
    return " ".join(notes)
