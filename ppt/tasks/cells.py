"""CSV and TSV: lines → rows of cells, with every line accounted for.

Python's csv module lets a stray quotation mark swallow the rows up to the next one, and
gives a whole file up for one bad row. Here a row that cannot be read is one `BadRow`, reading
goes on with the next line, and a file whose marks no CSV writer has set is not taken for CSV.
"""

import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

Lines = Callable[[], Iterable[str]]
"""The lines of a file from its beginning; it may be read twice."""

QUOTINGS = {
    "csv": "texts may stand in quotation marks, and a mark in such a text twice, as CSV has it",
    "none": "quotation marks are signs as all others",
}
"""What the quotation marks of CSV and TSV are; left out, the file itself must show it."""

HIGHEST = 10_000
"""Lines of a cell; of one that has more the opening mark is taken for a mistake."""

_SIGNS = ",;\t"
_SEP_LINE = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)
_UNCLOSED = "a quotation mark opens a cell that never ends, or not soon"
_AFTER = "text follows a closing quotation mark"


@dataclass(frozen=True, slots=True)
class BadRow:
    """What is no record, and why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Record:
    """The cells that begin on a line and what is odd about them, or why there are none.

    `height` counts its lines. `stray`: it has quotation marks that no CSV writer leaves;
    `needed`: marks that one sets. `swallows`: it has no mark within marks, and more than half
    of its lines would be whole rows if marks were signs.
    """

    line: int
    cells: Sequence[str] | BadRow
    height: int = 1
    stray: bool = False
    needed: bool = False
    swallows: bool = False


@dataclass(frozen=True)
class Rows:
    """The named columns, rows with their places, and notes, which are whole after the rows."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[str, Mapping[str, Any] | BadRow]]
    notes: Sequence[str]


def divided(
    lines: Lines, kind: str, quoting: str | None = None, limit: int | None = None
) -> Rows | None:
    """Rows of a "csv" or "tsv" file; None where no first line names columns.

    Quotation marks are what `quoting`, of `QUOTINGS`, says. Without, CSV has them, and TSV
    only if every mark is one that a CSV writer would set and some cell could not do without.
    """

    def body() -> Iterable[str]:
        return islice(chain.from_iterable(map(_ends, lines())), skip, None)

    sign, skip = "\t" if kind == "tsv" else "", 0
    top = ((number, line) for number, line in enumerate(body(), 1) if line.strip("\r\n"))
    number, first = next(top, (0, ""))
    if given := _SEP_LINE.fullmatch(first):  # as Excel marks its files
        sign, skip, first = given[1], number, next(top, (0, ""))[1]
    outside = re.sub('"[^"]*"', "", first)
    sign = sign or max(_SIGNS, key=outside.count)

    careful = False
    if quoting is None:
        quoting, careful = _shown(body, kind, sign, limit)
    found = records(body(), sign, quoted=quoting == "csv", careful=careful, line=skip + 1)
    header = next(found, None)
    if header is None or isinstance(header.cells, BadRow):
        return None
    names = [name.strip() for name in header.cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        return None
    columns = tuple(filter(None, names))
    nameless = len(names) - len(columns)
    notes = [f"columns without a name, which are not read: {nameless}"] if nameless else []
    return Rows(columns, _rows(found, names, sign, notes), notes)


def _shown(lines: Lines, kind: str, sign: str, limit: int | None) -> tuple[str, bool]:
    """What a file's marks show: how it is quoted, and whether one must be careful with them."""
    stray = needed = False
    for one in islice(records(lines(), sign), limit):
        stray = stray or one.stray
        needed = needed or (one.needed and not one.swallows)
    header = next(filter(str.strip, lines()), "").strip()
    in_header = all(len(part) > 1 and part[0] == part[-1] == '"' for part in header.split(sign))
    if kind == "csv" or in_header or (needed and not stray):
        return "csv", stray
    return "none", False


def records(
    lines: Iterable[str], sign: str, *, quoted: bool = True, careful: bool = False, line: int = 1
) -> Iterator[Record]:
    """The records of lines, blank ones left out; the first line has the number `line`.

    `careful` takes those that swallow rows for bad.
    """
    back: deque[str] = deque()
    source = iter(lines)

    def following() -> str:
        return back.popleft() if back else next(source, "")

    width = 0
    while first := following():
        if not quoted or '"' not in first:
            cells: Sequence[str] | BadRow = first.rstrip("\r\n").split(sign)
            taken, stray, needed = [first], False, False
        else:
            cells, taken, stray, needed = _marked(first, following, sign)
        swallows = False
        if not isinstance(cells, BadRow):
            width = width or len(cells)
            whole = sum(one.count(sign) + 1 == width for one in taken)
            swallows = 2 * whole > len(taken) > 1 and not any('"' in cell for cell in cells)
        if careful and swallows:
            cells = BadRow(f"a quotation mark spans {len(taken)} whole lines")
        if isinstance(cells, BadRow):
            back.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        if first.strip("\r\n"):
            yield Record(line, cells, len(taken), stray, needed, swallows)
        line += len(taken)


def _ends(line: str) -> Iterable[str]:
    """A line, or several where a carriage return alone ends them."""
    is_one = "\r" not in line.removesuffix("\n").removesuffix("\r")
    return (line,) if is_one else io.StringIO(line, newline="")


def _marked(
    line: str, following: Callable[[], str], sign: str
) -> tuple[Sequence[str] | BadRow, list[str], bool, bool]:
    """The cells of a record that has quotation marks, and the lines it takes.

    Then whether a mark stands where no CSV writer puts it, and whether a cell needs its marks:
    it holds the sign, a line's end or a mark.
    """
    taken, cells, place, stray, needed = [line], list[str](), 0, False, False

    def more() -> str:
        line = following() if len(taken) < HIGHEST else ""
        taken.extend([line] if line else [])
        return line

    while True:
        if line.startswith('"', place):
            cell, line, place = _in_marks(line, place + 1, more)
            if not line:
                return BadRow(_UNCLOSED), taken, True, True
            needed = needed or any(one in cell for one in (sign, '"', "\n", "\r"))
        else:
            end = line.find(sign, place)
            cell = line[place:end] if end >= 0 else line[place:].rstrip("\r\n")
            place += len(cell)
            stray = stray or '"' in cell
        cells.append(cell)
        if line.startswith(sign, place):
            place += 1
        elif line[place : place + 2].strip("\r\n"):
            return BadRow(_AFTER), taken, True, True
        else:
            return cells, taken, stray, needed


def _in_marks(line: str, place: int, more: Callable[[], str]) -> tuple[str, str, int]:
    """The text from `place` to the mark that closes it; the line of that, and where it goes on.

    Of one that nothing closes no line.
    """
    parts: list[str] = []
    while line:
        end = line.find('"', place)
        if end < 0:
            parts.append(line[place:])
            line, place = more(), 0
        elif line.startswith('"', end + 1):
            parts.append(line[place : end + 1])
            place = end + 2
        else:
            parts.append(line[place:end])
            place = end + 1
            break
    return "".join(parts), line, place


def _rows(
    found: Iterator[Record], names: Sequence[str], sign: str, notes: list[str]
) -> Iterator[tuple[str, Mapping[str, Any] | BadRow]]:
    """Records by column: blank cells at the end of a row are nothing, nor are nameless columns."""
    swallowed: list[Record] = []
    for one in found:
        cells = one.cells
        if one.swallows and not isinstance(cells, BadRow):
            swallowed.append(one)
        if not isinstance(cells, BadRow):
            more = next((i for i in range(len(cells), len(names), -1) if cells[i - 1].strip()), 0)
            if more or len(cells) < len(names):
                counts = f"{more or len(cells)} cells, but the header has {len(names)}"
                cells = BadRow(f"{counts} (quote texts that hold {sign!r})")
        row: Mapping[str, Any] | BadRow = (
            cells if isinstance(cells, BadRow)
            else {name: cell for name, cell in zip(names, cells, strict=False) if name}
        )  # fmt: skip
        yield f"line {one.line}", row
    if swallowed:
        first = swallowed[0]
        notes.append(
            f"{len(swallowed)} of its rows span lines that look like rows: line {first.line} and"
            f" {first.height - 1} after it; if they are, quoting: none parts them"
        )
