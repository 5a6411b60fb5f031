"""Runs row by row: what one has right and another wrong, and whether that is chance.

    python -m benchmarks.paired results/zero_shot results/lora-seed-1 results/lora-seed-2

Methods that train nothing have one run whatever the seed, so no spread over seeds tells them
apart; their test rows do. Each folder must hold one run of the same task, as `ppt.fewshot` leaves
it for one method and seed. P is of the exact two-sided McNemar test; the interval is the normal
one of a difference of paired shares. Several runs against the first also stand together, each row
by the share of them that has it right.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ppt.errors import InputError, exit_status, first_line
from ppt.results.predictions import PREDICTIONS

COLUMNS = ("task", "id", "correct")


@dataclass(frozen=True)
class Paired:
    """How many of `rows` both, the first alone and the second alone have right."""

    rows: int
    both: int
    lost: int
    gained: int

    @property
    def p(self) -> float:
        """Of so unequal a split of the rows that differ, if either were as likely."""
        differ, fewer = self.lost + self.gained, min(self.lost, self.gained)
        tail = sum(math.comb(differ, k) for k in range(fewer + 1))
        return min(1.0, tail / 2 ** (differ - 1)) if differ else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """95% of the second's accuracy minus the first's."""
        gain = (self.gained - self.lost) / self.rows
        spread = math.sqrt(((self.gained + self.lost) / self.rows - gain**2) / self.rows)
        return gain - 1.96 * spread, gain + 1.96 * spread


Rows = dict[Any, bool]
"""Task and id of a row, and its number among those of that id → whether a run has it right."""


def read(path: Path) -> Rows:
    """The rows of a run. Raises InputError where there is not one run."""
    place = path / PREDICTIONS if path.is_dir() else path
    try:
        table = pq.read_table(place, columns=["run", *COLUMNS])
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{place} cannot be read ({first_line(error)}): give a folder of results."
        ) from None
    if len(runs := table["run"].unique()) != 1:
        raise InputError(f"{path} holds {len(runs)} runs, expected one: of one method and seed.")
    seen, rows = Counter[Any](), Rows()
    for *name, correct in zip(*(table[one].to_pylist() for one in COLUMNS), strict=True):
        seen[tuple(name)] += 1  # a text may stand twice
        rows[*name, seen[tuple(name)]] = correct
    return rows


def compare(first: Rows, second: Rows) -> Paired:
    """Both runs' rows, side by side. Raises InputError where they are not the same."""
    if first.keys() != second.keys():
        raise InputError(
            f"the runs were tested on {len(first)} and {len(second)} rows, of which"
            f" {len(first.keys() & second.keys())} are alike: expected the same rows of one task."
        )
    pairs = [(first[row], second[row]) for row in first]
    return Paired(
        len(pairs),
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
    )


def together(first: Rows, others: Sequence[Rows]) -> tuple[float, ...]:
    """How much more of the rows the others have right in the mean, and 95% of it over rows."""
    shares = np.mean([[one[row] for row in first] for one in others], axis=0)
    gains = shares - np.array([*first.values()])
    mean, spread = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
    return mean, mean - 1.96 * spread, mean + 1.96 * spread


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("others", type=Path, nargs="+")
    flags = parser.parse_args()
    first, others = read(flags.first), [read(path) for path in flags.others]
    for path, other in zip(flags.others, others, strict=True):
        found = compare(first, other)
        before, after = (100 * (found.both + k) / found.rows for k in (found.lost, found.gained))
        low, high = (100 * end for end in found.interval)
        print(f"{path}: {found.rows:,} rows, {before:.1f}% and {after:.1f}%,", end=" ")
        print(f"{after - before:+.1f} ({low:+.1f} to {high:+.1f});", end=" ")
        print(f"{found.gained} gained, {found.lost} lost (p = {found.p:.4f})")
    if len(others) > 1:
        mean, low, high = (100 * one for one in together(first, others))
        print(f"all {len(others)} in the mean: {mean:+.1f} ({low:+.1f} to {high:+.1f})")


if __name__ == "__main__":
    sys.exit(exit_status(main))
