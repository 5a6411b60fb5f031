"""How near two tasks are, by their prompts at an early step; and which of many are nearest.

Both measures are SPoT's (Vu et al. 2022). Pure functions.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]


def cosine_of_means(one: Tensor, other: Tensor) -> float:
    """The cosine of the mean tokens of two prompts [P, H] and [Q, H]."""
    mine, theirs = one.double().mean(0), other.double().mean(0)
    return float(torch.nn.functional.cosine_similarity(mine, theirs, dim=0))


def mean_pairwise_cosine(one: Tensor, other: Tensor) -> float:
    """The mean cosine over all P * Q pairs of tokens.

    Which is the product of the means of tokens of length 1.
    """
    units = (torch.nn.functional.normalize(prompt.double(), dim=-1) for prompt in (one, other))
    mine, theirs = (unit.mean(0) for unit in units)
    return float(mine @ theirs)


SIMILARITIES: Mapping[str, Callable[[Tensor, Tensor], float]] = {
    "means": cosine_of_means,
    "pairs": mean_pairwise_cosine,
}
"""``--similarity`` → the measure, of two prompts at an early step."""


def similarities(rows: Sequence[Tensor], columns: Sequence[Tensor], measure: str) -> Matrix:
    """The similarity of each row's prompt to each column's, [R, C]."""
    of = SIMILARITIES[measure]
    return np.array([[of(one, other) for other in columns] for one in rows], np.float64)


def weights(near: Sequence[float]) -> list[float]:
    """The share of each of several sources in their mean: its similarity by their sum.

    One that points away from the task (below 0) gets none, and where all do, all are alike.
    """
    kept = [max(one, 0.0) for one in near]
    return [one / sum(kept) for one in kept] if sum(kept) else [1 / len(kept)] * len(kept)


def clustered(likeness: Matrix) -> list[int]:
    """An order of N things in which those that are alike stand together, from [N, N].

    Average linkage: the two groups that are most alike on average become one, again and
    again (Sokal and Michener 1958); each is turned so that the ends that meet are alike.
    """
    count = len(likeness)
    groups = {place: [place] for place in range(count)}
    sums, sizes = likeness.copy(), np.ones(count)  # of all pairs of members; members
    apart = np.tri(count, k=-1, dtype=bool)  # b and a before it are both still groups
    for _ in range(count - 1):
        means = np.where(apart, sums / np.outer(sizes, sizes), -np.inf)
        b, a = divmod(int(means.argmax()), count)
        turned = [
            [*left, *right]
            for left in (groups[a], groups[a][::-1])
            for right in (groups[b], groups[b][::-1])
        ]
        seam = len(groups[a])
        groups[a] = max(turned, key=lambda order: likeness[order[seam - 1], order[seam]])
        del groups[b]
        apart[b] = apart[:, b] = False
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sizes[a] += sizes[b]
    return groups[0] if groups else []
