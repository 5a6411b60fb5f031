"""Cutting a row's texts so that its tokens fit: the longest first, under one water level."""

from collections.abc import Callable, Sequence

from ppt.errors import ConfigError
from ppt.prompts.encoder import Encoder, Ids
from ppt.prompts.patterns import Cells


def water_fill(lengths: Sequence[int], room: int) -> list[int]:
    """Share `room` out under one level: the longest get less than their length first.

    What the level's rounding leaves goes one by one to the first that are cut, so
    the shares sum to `room`, or to all lengths where there is room for all.
    """
    left, level = room, 0
    for waiting, length in zip(range(len(lengths), 0, -1), sorted(lengths), strict=True):
        level = max(left // waiting, 0)
        if length > level:
            break
        left -= length
    shares = [min(length, level) for length in lengths]
    spare = room - sum(shares)
    for i, length in enumerate(lengths):
        if spare > 0 and length > shares[i]:
            shares[i] += 1
            spare -= 1
    return shares


def fit(
    rows: Sequence[Cells],
    whole: Sequence[int],
    tokenise: Callable[[Sequence[int], Sequence[Cells]], list[Ids]],
    encoder: Encoder,
    max_tokens: int,
) -> list[Ids]:
    """Cut the cells of each row under one water level until its ids are `max_tokens` or fewer.

    `whole` are the lengths uncut; `tokenise` turns row numbers and their cells into
    ids. A cell's token count by itself only guides the cuts: each try is measured, and
    where it fails, the room shrinks in proportion and by one token at least, so it ends
    with empty cells at the latest. Nearly all rows fit at the first try.
    """
    todo = list(range(len(rows)))
    fitted = tokenise(todo, [dict.fromkeys(row, "") for row in rows])
    least = [len(ids) for ids in fitted]
    if max(least, default=0) > max_tokens:
        raise ConfigError(
            f"at most {max_tokens} tokens are allowed, but the pattern's own words, letters and"
            f" special tokens take {max(least)}: raise --max_length to that at least."
        )
    ends = iter(encoder.token_ends([text for row in rows for text in row.values()]))
    cells = [[(key, text, next(ends)) for key, text in row.items()] for row in rows]
    sizes = [[len(ends) for _, _, ends in row] for row in cells]
    fixed = [min(least[i], whole[i] - sum(sizes[i])) for i in todo]  # less, where cells merge
    rooms = [max_tokens - length for length in fixed]
    while todo:
        shares = [water_fill(sizes[i], rooms[i]) for i in todo]
        cut = [_cut(cells[i], share) for i, share in zip(todo, shares, strict=True)]
        failed = []
        for i, share, ids in zip(todo, shares, tokenise(todo, cut), strict=True):
            if len(ids) <= max_tokens:
                fitted[i] = ids
                continue
            kept, room = sum(share), max_tokens - fixed[i]
            rooms[i] = min(kept * room // (len(ids) - fixed[i]), kept - 1)
            failed.append(i)
        todo = failed
    return fitted


def _cut(cells: Sequence[tuple[str, str, list[int]]], shares: Sequence[int]) -> Cells:
    """The first tokens of each cell, as many as its share, as text."""
    return {
        key: "" if share == 0 else text if share == len(ends) else text[: ends[share - 1]]
        for (key, text, ends), share in zip(cells, shares, strict=True)
    }
