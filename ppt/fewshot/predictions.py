"""From scores to predicted labels, of one scorer or of several together, and how good these are."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.results.statistics import accuracy, confusion, macro_f1
from ppt.training.evaluation import Scored


@dataclass(frozen=True)
class Predictions:
    """Of N rows: `scores` [N, L], the `predicted` label [N], its `probability` [N].

    Of a majority vote the probability is the share of votes; its scores, and so its
    loss, are those of the mean: votes alone give no loss.
    """

    scores: Tensor
    predicted: Tensor
    probability: Tensor


@dataclass(frozen=True)
class Outcome(Scored):
    """How good predictions for `rows` rows were after `step` steps."""

    step: int
    loss: float
    accuracy: float
    macro_f1: float
    rows: int


def measure(predictions: Predictions, labels: Indices, loss: str, step: int = 0) -> Outcome:
    """The mean loss of predictions and how many are right, for labels [N]."""
    predicted = predictions.predicted.numpy()
    table = confusion(labels, predicted, predictions.scores.shape[1])
    mean_loss = float(LOSSES[loss](predictions.scores, torch.from_numpy(labels)))
    return Outcome(step, mean_loss, accuracy(labels, predicted), macro_f1(table), len(labels))


def single(scores: Tensor) -> Predictions:
    """One scorer: the best label, and its probability among those that its row allows."""
    best, predicted = scores.softmax(-1).max(-1)
    return Predictions(scores, predicted, best)


def mean(scores: Tensor) -> Predictions:
    """Several scorers [M, N, L]: the mean of their probabilities, of which none underflows."""
    return single(scores.log_softmax(-1).logsumexp(0) - math.log(len(scores)))


def vote(scores: Tensor) -> Predictions:
    """Several scorers [M, N, L]: the label of most; a tie goes by mean probability."""
    together = mean(scores)
    votes = torch.nn.functional.one_hot(scores.argmax(-1), scores.shape[-1]).sum(0)
    predicted = (votes + together.scores.exp() / 2).argmax(-1)
    share = votes.gather(1, predicted[:, None])[:, 0] / len(scores)
    return Predictions(together.scores, predicted, share)


COMBINE = {"mean": mean, "vote": vote}
"""`Method.combine` → how."""


def predict(scores: Tensor, combine: str | None) -> Predictions:
    """Of scores [M, N, L] what M members predict; one alone needs nothing that combines it."""
    return single(scores[0]) if len(scores) == 1 else COMBINE[str(combine)](scores)
