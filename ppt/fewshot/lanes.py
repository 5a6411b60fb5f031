"""The loop of few-shot tuning: K runs in lockstep, each as if it were alone.

A run is a lane: it has its own rows, order of batches, learning rate, clipping, best
step and end. A step scores the batches of all lanes in one pass, or in as few as their
tokens allow, and adds up *sums*: each row's loss is divided by the rows of its own lane's
batch. So each lane gets the gradient of its own mean loss, whatever the others do, and a
lane that has stopped leaves the batch. Nothing is ever asked of test rows here.

A few steps on 32 rows are no work to save halfway: whoever is killed begins again.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.errors import TrainingError
from ppt.fewshot.answers import Outcome, alone, worth
from ppt.prompts.batches import TokenRows, collate, join
from ppt.prompts.order import BatchOrder
from ppt.prompts.tensors import LabelWords
from ppt.training.evaluation import best_of, has_stalled
from ppt.training.optimizers import make_optimizer, rate
from ppt.training.settings import StepSettings
from ppt.training.trainables import Tuned

Floats = NDArray[np.float64]

CURVE_POINTS = 100
"""Points of a training curve, at most about as many."""

CONTEXT_SHARE = 1 / 16
"""What a token before the text costs a row of evaluation: its keys and values alone."""


@dataclass(frozen=True)
class Lane:
    """What is a run's own. `learning_rate` is None where nothing is trained."""

    train: TokenRows
    validation: TokenRows
    learning_rate: float | None
    seed: int


@dataclass
class Course:
    """How a lane went. `scores` [N, L] are those of its best step on validation.

    `train_curve` has (step, mean loss since the one before).
    """

    curve: list[Outcome] = field(default_factory=list)
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.zeros(0))
    best: Outcome | None = None
    steps: int = 0
    stopped_early: bool = False
    diverged: bool = False


def tune(
    tuned: Tuned,
    lanes: Sequence[Lane],
    settings: StepSettings,
    words: LabelWords,
    *,
    tokens_at_once: int,
    on_step: Callable[[int], None] = lambda _: None,
) -> list[Course]:
    """Train every lane of `tuned` and leave it as at its best validation step.

    Where nothing is trained there is but one evaluation. `on_step` hears of each step.
    """
    bank = _Bank(tuned, lanes, settings, words, tokens_at_once)
    bank.to_the_end(on_step)
    return bank.courses


class _Bank:
    """Lanes under way; `tune` is its face."""

    def __init__(
        self, tuned: Tuned, lanes: Sequence[Lane], settings: StepSettings, words: LabelWords,
        tokens_at_once: int,
    ) -> None:  # fmt: skip
        assert len(lanes) == tuned.lanes
        self.tuned, self.settings, self.tokens = tuned, settings, tokens_at_once
        self.words = words.to(tuned.backbone.device)
        self.courses = [Course() for _ in lanes]
        self.best: list[list[Tensor]] = [[] for _ in lanes]
        self.trained = any(tuned.parameters(k) for k in range(len(lanes)))
        self.own = [
            replace(settings, learning_rate=lane.learning_rate).resolved() for lane in lanes
        ]
        if self.trained:
            size = settings.per_device_train_batch_size
            self.orders = [BatchOrder(lane.train.lengths, size, lane.seed) for lane in lanes]
            self.optimizers = [
                make_optimizer(tuned.parameters(k), own) for k, own in enumerate(self.own)
            ]
            self.train, self.offsets = _joint([lane.train for lane in lanes])
        self.validation, offsets = _joint([lane.validation for lane in lanes])
        self.rows = offsets[:, None] + np.arange(len(lanes[0].validation))
        every = max(1, settings.max_steps // CURVE_POINTS)
        self.window, self.losses = every, [0.0 for _ in lanes]

    def to_the_end(self, on_step: Callable[[int], None]) -> None:
        """Turn after turn, until no lane goes on."""
        step, active = 0, list(range(len(self.courses)))
        last = self.settings.max_steps if self.trained else 0
        while True:
            if step % self.settings.eval_steps == 0 or step == last:
                self._evaluate(active, step)
            active = [k for k in active if self._goes_on(k, step, last)]
            if not active:
                break
            self._step(active, step)
            step += 1
            on_step(step)
        for k, best in enumerate(self.best):
            self.tuned.restore(k, best)

    def _goes_on(self, k: int, step: int, last: int) -> bool:
        course, settings = self.courses[k], self.settings
        stalled = has_stalled(
            course.curve, settings.metric_for_best_model, settings.early_stopping_patience
        )
        course.stopped_early = step < last and (stalled or course.diverged)
        return step < last and not course.stopped_early

    def _evaluate(self, active: list[int], step: int) -> None:
        scores = score_rows(
            self.tuned, active, self.validation, self.rows[active], self.words,
            loss=self.settings.loss, tokens_at_once=self.tokens,
        )  # fmt: skip
        labels = self.validation.labels[self.rows[active]]
        for k, own, right in zip(active, scores, labels, strict=True):
            course = self.courses[k]
            result = worth(alone(own), right, self.settings.loss, step)
            if not math.isfinite(result.loss):
                course.diverged = True
                if not step:
                    raise TrainingError(
                        f"the validation loss is {result.loss} before the first step: take"
                        " --dtype float32, or another prompt."
                    )
                continue
            course.curve.append(result)
            if best_of(course.curve, self.settings.metric_for_best_model) is result:
                course.best, course.scores = result, own
                self.best[k] = self.tuned.snapshot(k)

    def _step(self, active: list[int], step: int) -> None:
        """One update of each active lane from one batch of its own."""
        picks = [next(self.orders[k]) for k in active]
        size = max(map(len, picks))
        chosen = np.stack(
            [self.offsets[k] + np.resize(rows, size) for k, rows in zip(active, picks, strict=True)]
        )
        shares = np.stack([(np.arange(size) < len(rows)) / len(rows) for rows in picks])
        losses = np.zeros(len(active))
        longest = int(self.train.lengths[chosen].max())
        for part, rows in passes(len(active), size, longest, self.tokens):
            which = active[part]
            losses[part] += self._forward_backward(which, chosen[part, rows], shares[part, rows])
        for k, loss in zip(active, losses.tolist(), strict=True):
            self._update(k, step, loss)

    def _forward_backward(self, which: list[int], chosen: Indices, shares: Floats) -> Floats:
        """Add the gradients of rows `chosen` [K, B], each weighed by its share; the losses [K]."""
        backbone, loss = self.tuned.backbone, self.settings.loss
        batch = collate(self.train, chosen.ravel(), self.words, backbone.tokenizer.pad_token_id)
        batch = batch.to(backbone.device)
        scores = self.tuned.score(which, batch, full_vocabulary=loss == "vocabulary")
        each = LOSSES[loss](scores, batch.labels, reduction="none").view(len(which), -1)
        own = (each * torch.from_numpy(shares).to(each)).sum(1)
        own.sum().backward()  # type: ignore[no-untyped-call]
        return np.asarray(own.detach().double().cpu())

    def _update(self, k: int, step: int, loss: float) -> None:
        course, optimizer, own = self.courses[k], self.optimizers[k], self.own[k]
        norm = float(
            clip_grad_norm_(self.tuned.parameters(k), self.settings.max_grad_norm or math.inf)
        )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            course.diverged = True
            return
        for group in optimizer.param_groups:
            group["lr"] = rate(own, step)
        optimizer.step()
        optimizer.zero_grad()
        course.steps = step + 1
        self.losses[k] += loss
        if course.steps % self.window == 0:
            course.train_curve.append((course.steps, self.losses[k] / self.window))
            self.losses[k] = 0.0


@torch.no_grad()
def score_rows(
    tuned: Tuned,
    which: Sequence[int],
    rows: TokenRows,
    chosen: Indices,
    words: LabelWords,
    *,
    loss: str,
    tokens_at_once: int,
) -> Tensor:
    """Scores [K, N, L], on the CPU, of the lanes `which` for each one's rows `chosen` [K, N].

    The longest rows come first, as many at once as `tokens_at_once` allows.
    """
    lengths = rows.lengths[chosen]
    order = np.argsort(-lengths, axis=1, kind="stable")
    longest = np.take_along_axis(lengths, order, 1).max(0) + int(tuned.context * CONTEXT_SHARE)
    scores = torch.zeros(*chosen.shape, len(words.lengths))
    device, pad = tuned.backbone.device, tuned.backbone.tokenizer.pad_token_id
    words = words.to(device)
    at = np.arange(len(chosen))[:, None]
    for start, end in spans(longest, tokens_at_once // len(chosen)):
        places = order[:, start:end]
        batch = collate(rows, chosen[at, places].ravel(), words, pad).to(device)
        found = tuned.score(which, batch, full_vocabulary=loss == "vocabulary")
        scores[at, places] = found.view(*places.shape, -1).cpu()
    return scores


def spans(falling: Indices, room: int) -> Iterator[tuple[int, int]]:
    """Cut rows of `falling` lengths into runs (start, end) of `room` padded tokens at most."""
    start = 0
    while start < len(falling):
        end = min(start + max(1, room // int(falling[start])), len(falling))
        yield start, end
        start = end


def passes(lanes: int, rows: int, longest: int, room: int) -> Iterator[tuple[slice, slice]]:
    """Cut a batch [lanes, rows] of `longest` tokens each into parts of `room` tokens at most.

    Whole lanes while one fits; else parts of a lane, whose gradients add up.
    """
    together = max(1, room // (rows * longest))
    at_once = rows if rows * longest <= room else max(1, room // longest)
    for lane in range(0, lanes, together):
        for row in range(0, rows, at_once):
            yield slice(lane, lane + together), slice(row, row + at_once)


def _joint(parts: Sequence[TokenRows]) -> tuple[TokenRows, Indices]:
    """All lanes' rows in one table, and where each lane's begin, [K]."""
    sizes = [len(part) for part in parts]
    return join(parts), np.cumsum([0, *sizes[:-1]])
