"""Two runs row by row: what one has right and the other wrong, and whether that is chance.

    python -m benchmarks.paired results/a/predictions.parquet results/b/predictions.parquet

Methods that train nothing have one run whatever the seed, so no spread over seeds tells them
apart; their test rows do. Each file must hold one run of the same task, as `ppt.fewshot` leaves it
for one method and seed. P is of the exact two-sided McNemar test; the interval is the normal one
of a difference of paired shares.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ppt.errors import InputError, exit_status


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


def read(path: Path) -> dict[str, bool]:
    """Row id → whether the run has it right. Raises InputError where there is not one run."""
    table = pq.read_table(path, columns=["run", "task", "id", "correct"])
    if len(runs := table["run"].unique()) != 1:
        raise InputError(f"{path} holds {len(runs)} runs, expected one: of one method and seed.")
    return dict(zip(table["id"].to_pylist(), table["correct"].to_pylist(), strict=True))


def compare(first: dict[str, bool], second: dict[str, bool]) -> Paired:
    """Both runs' rows, side by side. Raises InputError where they are not the same."""
    if first.keys() != second.keys():
        raise InputError(
            f"the runs were tested on {len(first)} and {len(second)} rows, of which"
            f" {len(first.keys() & second.keys())} are the same: expected the same rows."
        )
    pairs = [(first[row], second[row]) for row in first]
    return Paired(
        len(pairs),
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
    )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    flags = parser.parse_args()
    found = compare(read(flags.first), read(flags.second))
    one, other = (100 * (found.both + k) / found.rows for k in (found.lost, found.gained))
    low, high = (100 * end for end in found.interval)
    print(f"{found.rows:,} rows: {one:.1f}% and {other:.1f}%, {other - one:+.1f}", end=" ")
    print(f"({low:+.1f} to {high:+.1f}); {found.gained} gained, {found.lost} lost", end=" ")
    print(f"(p = {found.p:.4f})")


if __name__ == "__main__":
    sys.exit(exit_status(main))
