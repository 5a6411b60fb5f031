"""Seeded few-shot draws: which rows train, which validate, which test; pure functions.

Rows are ranked, within their label, by ``hash(seed, id)``. Training takes a label's rows
from the head of that ranking, validation from its tail. So a draw does not depend on
the order of the rows or on the machine; the two sides are disjoint, and both are nested:
for one seed, the rows of 32 shots are among those of 64, which are among those of 128.

Rows of equal text must have left before (`ppt.tasks.loading.without_duplicates`), or one text
could stand on both sides.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from ppt.base.flags import LONGEST
from ppt.base.streams import seed_bits
from ppt.errors import InputError, require_known

BALANCES = {
    "equal": "equally many rows of each label; an error where a label has too few",
    "level": "as equal as the rows allow: a label with too few gives half of them to each side",
}
"""What the draws promise about labels."""


MOST_HELD = 500
"""Rows that are enough to tell a better step from a worse one."""


@dataclass(frozen=True)
class Split:
    """Row numbers, each side in random order, so that its head is a random sample too."""

    train: tuple[int, ...]
    validation: tuple[int, ...]

    def rest(self, n_rows: int) -> list[int]:
        """The rows on neither side, in their order."""
        drawn = {*self.train, *self.validation}
        return [row for row in range(n_rows) if row not in drawn]


def draw(
    labels: Sequence[int],
    shots: int,
    seed: int,
    ids: Sequence[str],
    *,
    balance: str = "equal",
    names: Sequence[str] = (),
) -> Split:
    """Draw `shots` rows for training and as many for validation, by `seed`.

    `names`, if given, are those of all labels, so that one without a row is seen. Where
    `shots` is no multiple of their number, the seed decides which labels give one more.
    Raises InputError, with counts, where there are too few rows.
    """
    require_known("balance", balance, BALANCES)
    if not isinstance(shots, Integral) or shots < 1:
        raise InputError(f"got {shots!r:.60} shots: expected a whole number, 1 or more.")
    ranking = _ranking(seed, ids)
    known = sorted({*labels, *range(len(names))})
    ranked: dict[int, list[int]] = {label: [] for label in known}
    for row in ranking:
        ranked[labels[row]].append(row)
    _require_rows({label: len(rows) for label, rows in ranked.items()}, shots, balance, names)
    order = sorted(ranked, key=lambda label: seed_bits(seed, "label", str(label)))
    train = deal(shots, order, {label: (len(rows) + 1) // 2 for label, rows in ranked.items()})
    validation = deal(shots, order, {label: len(rows) // 2 for label, rows in ranked.items()})
    heads = {row for label, rows in ranked.items() for row in rows[: train[label]]}
    tails = {row for label, rows in ranked.items() for row in rows[len(rows) - validation[label] :]}
    return Split(
        tuple(row for row in ranking if row in heads),
        tuple(row for row in ranking if row in tails),
    )


def deal(shots: int, order: Sequence[int], room: Mapping[int, int]) -> dict[int, int]:
    """How many rows each label gives: dealt one by one in `order` while there is room.

    More shots never give fewer rows of a label, which is what nests the draws.
    """
    counts = dict.fromkeys(order, 0)
    left = min(shots, sum(room.values()))
    while left:
        for label in order:
            if left and counts[label] < room[label]:
                counts[label] += 1
                left -= 1
    return counts


def held_out(n_rows: int) -> int:
    """How many of `n_rows` rows validate where all others train: a tenth, 500 at most."""
    return max(1, min(n_rows // 10, MOST_HELD))


def draw_all(seed: int, ids: Sequence[str]) -> Split:
    """All rows, whatever their labels: `held_out` of them to validate, the others to train."""
    ranking = _ranking(seed, ids)
    last = len(ids) - held_out(len(ids))
    return Split(tuple(ranking[:last]), tuple(ranking[last:]))


def subset(ids: Sequence[str], max_test_examples: int | None) -> list[int]:
    """At most `max_test_examples` of the rows with these ids, in order: always the same ones.

    Those whose ids have the smallest hash, whatever the run's seed, so that all runs are
    tested on the same rows. None takes all.
    """
    rows = range(len(ids))
    if max_test_examples is None or len(ids) <= max_test_examples:
        return list(rows)
    ranked = sorted(rows, key=lambda row: (seed_bits(0, "test", ids[row]), ids[row], row))
    return sorted(ranked[:max_test_examples])


def _ranking(seed: int, ids: Sequence[str]) -> list[int]:
    """The rows in the random order of a seed; raises InputError for what is none, and where an id
    stands twice.
    """
    if not isinstance(seed, Integral) or int(seed).bit_length() > LONGEST:
        raise InputError(
            f"got the seed {seed!r:.60}: expected a whole number of {LONGEST} bits at most."
        )
    twice = [identity for identity, count in Counter(ids).items() if count > 1]
    if twice:
        raise InputError(
            f"id {twice[0]!r} stands on several rows: expected a different id on each; without"
            " an id column they are made from the texts."
        )
    bits = [seed_bits(seed, identity) for identity in ids]
    return sorted(range(len(ids)), key=lambda row: (bits[row], ids[row]))


def _require_rows(
    counts: Mapping[int, int], shots: int, balance: str, names: Sequence[str]
) -> None:
    """Refuse too few rows of a label or in all, and tell for how many shots there are enough."""
    asked = f"{shots} rows to train and {shots} to validate"
    each = 2 * -(-shots // max(len(counts), 1)) if balance == "equal" else 0
    short = {label: count for label, count in counts.items() if count < each}
    if short:
        enough = len(counts) * (min(counts.values()) // 2)
        told = ", ".join(
            f"{names[label] if names else label!r} has {count}" for label, count in short.items()
        )
        raise InputError(
            f"{asked}, over {len(counts)} labels, take {each} of each label, but {told}:"
            + (f" lower --shots to {enough}," if enough else "")
            + " add rows, or let the task say balance: level."
        )
    room = sum(count // 2 for count in counts.values())
    if room < shots:
        raise InputError(
            f"{asked} take {2 * shots} rows, but there are {sum(counts.values())}: lower --shots to"
            f" {room}, or add rows."
        )
