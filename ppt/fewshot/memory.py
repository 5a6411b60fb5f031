"""Scores that were found, on disk while rows are labelled: what ends halfway goes on from there."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ppt.base.files import read_bytes, remove, write_atomically
from ppt.base.output_folder import locked
from ppt.prompts.batches import TokenRows

Score = Callable[[], Tensor]


def afresh(rows: TokenRows, score: Score) -> Tensor:
    """The scores [M, N, L] of N rows by M members: found now, and kept nowhere."""
    del rows
    return score()


@contextmanager
def remembered(output: Path) -> Iterator[Callable[[str, TokenRows, Score], Tensor]]:
    """What is `afresh` where nothing is known, and keeps what it found in a folder beside
    `output` until the block ends well.

    Files are named by who scored which tokens: what another found, or of other rows, is never
    met. Meanwhile no other process may write to `output`; raises OutputError.
    """
    folder = output.with_name(f".ppt-labels-{output.name[-30:]}")

    def recall(who: str, rows: TokenRows, score: Score) -> Tensor:
        place = folder / f"{_digest(who, rows)}.npy"
        with suppress(OSError, ValueError, EOFError):  # none, or broken by others
            return torch.from_numpy(np.load(io.BytesIO(read_bytes(place)), allow_pickle=False))
        found = score()
        data = io.BytesIO()
        np.save(data, found.numpy())
        write_atomically(place, data.getvalue())
        return found

    with locked(folder, "--output"):
        yield recall
        for place in folder.glob("*.npy"):
            remove(place)
    with suppress(OSError):  # where another process began
        folder.rmdir()


def _digest(who: str, rows: TokenRows) -> str:
    found = hashlib.sha256(who.encode())
    arrays: Sequence[np.ndarray] = (rows.ids, rows.starts, rows.options)
    if (own := rows.choices) is not None:
        arrays = (*arrays, own.ids, own.starts, own.firsts)
    for one in arrays:
        found.update(f"{one.dtype}{one.shape}".encode() + one.tobytes())
    return found.hexdigest()
