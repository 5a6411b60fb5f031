"""Rows that a task can use, and those that it cannot, each with its place and reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ppt.base.files import write_atomically
from ppt.corpus.records import UnusableError
from ppt.errors import InputError, visible
from ppt.tasks.cells import BadRow
from ppt.tasks.readers import Table
from ppt.tasks.rows import REASONS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RowReject:
    """A row that is not kept: its split and place, a reason word of `REASONS`, and details."""

    split: str
    place: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.reason in REASONS, self.reason
        object.__setattr__(self, "detail", visible(self.detail))


def usable_rows(
    table: Table, split: str, columns: Iterable[str], make: Callable[[Mapping[str, Any]], T]
) -> tuple[list[tuple[str, T]], list[RowReject]]:
    """What `make` makes of each row, with its place, and the rows of which it makes nothing.

    Raises InputError where one of `columns` is missing, or no row is usable.
    """
    if not table.rows:
        raise InputError(f"{table.source} has no rows: expected one row an example.")
    for name in columns:
        if lack := table.lacks(name):
            raise InputError(lack)
    kept: list[tuple[str, T]] = []
    rejects = []
    for place, fields in table.rows:
        try:
            if isinstance(fields, BadRow):
                raise UnusableError("broken_line", fields.detail)
            kept.append((place, make(fields)))
        except UnusableError as unusable:
            rejects.append(RowReject(split, place, *unusable.args))
    if not kept:
        first = rejects[0]
        raise InputError(
            f"{table.source}: none of {len(table.rows)} rows can be used; {first.place}:"
            f" {REASONS[first.reason]} ({first.detail})."
        )
    return kept, rejects


def keep_rejects(place: Path, rejects: Sequence[RowReject]) -> None:
    """Write rejects, a line each; without any no file stays, of rows that were mended since."""
    if rejects:
        lines = [json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rejects]
        write_atomically(place, "".join(lines).encode())
    else:
        place.unlink(missing_ok=True)


def tally(values: Iterable[str]) -> str:
    """How often each is met, reasons or labels: ``blank 2, duplicate 1,000``."""
    return ", ".join(f"{value} {count:,}" for value, count in sorted(Counter(values).items()))
