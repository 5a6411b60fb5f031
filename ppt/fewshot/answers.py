"""From scores to answers, of one scorer or of several together, and what these are worth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.results.statistics import accuracy, confusion, macro_f1


@dataclass(frozen=True)
class Verdict:
    """What is said of N rows: `scores` [N, L], the label `said` [N], its `probability` [N].

    Of a majority vote the probability is the share of votes; its scores, and so its
    loss, are those of the mean: votes alone give no loss.
    """

    scores: Tensor
    said: Tensor
    probability: Tensor


@dataclass(frozen=True)
class Outcome:
    """What answers to `rows` rows were worth after `step` steps."""

    step: int
    loss: float
    accuracy: float
    macro_f1: float
    rows: int


def worth(answers: Verdict, labels: Indices, loss: str, step: int = 0) -> Outcome:
    """The mean loss of answers and how many are right, for labels [N]."""
    said = answers.said.numpy()
    table = confusion(labels, said, answers.scores.shape[1])
    mean_loss = float(LOSSES[loss](answers.scores, torch.from_numpy(labels)))
    return Outcome(step, mean_loss, accuracy(labels, said), macro_f1(table), len(labels))


def alone(scores: Tensor) -> Verdict:
    """One scorer: the best label, and its probability among those that its row allows."""
    best, said = scores.softmax(-1).max(-1)
    return Verdict(scores, said, best)


def mean(scores: Tensor) -> Verdict:
    """Several scorers [M, N, L]: the mean of their probabilities."""
    return alone(scores.softmax(-1).mean(0).log())


def vote(scores: Tensor) -> Verdict:
    """Several scorers [M, N, L]: the label that most say; a tie goes by mean probability."""
    together = mean(scores)
    votes = torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).sum(0)
    said = (votes + together.scores.exp() / 2).argmax(-1)
    share = votes.gather(1, said[:, None])[:, 0] / len(scores)
    return Verdict(together.scores, said, share)


COMBINE = {"mean": mean, "vote": vote}
"""`Method.combine` → how."""


def verdict(scores: Tensor, combine: str | None) -> Verdict:
    """Of scores [M, N, L] what M members say; M is 1 where nothing combines them."""
    return alone(scores[0]) if combine is None else COMBINE[combine](scores)
