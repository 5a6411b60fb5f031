"""Few-shot tuning as an objective of the loop: K lanes in lockstep, each as if it were alone.

A lane has its own rows, order of batches and learning rate. A step scores the batches of all
lanes in one pass, or in as few as their tokens allow, and adds up *sums*: each row's loss is
divided by the rows of its own lane's batch. So each lane gets the gradient of its own mean
loss, whatever the others do, and a lane that has stopped leaves the batch. Nothing is ever
asked of test rows here.

A few steps on 32 rows are no work to save halfway: whoever is killed begins again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppt.backbones.base import LOSSES
from ppt.base.arrays import Indices
from ppt.base.signals import StopRequest
from ppt.fewshot.predictions import Outcome, measure, single
from ppt.prompts.batches import TokenRows, collate, join
from ppt.prompts.early import Early
from ppt.prompts.order import BatchOrder
from ppt.prompts.tensors import Batch, LabelWords
from ppt.training.evaluation import Course
from ppt.training.loop import Loop, Watcher, enough_memory
from ppt.training.objective import Objective, Sums, Watch
from ppt.training.replay import Replay
from ppt.training.settings import StepSettings
from ppt.training.trainables import PromptBank, Trainable

Floats = NDArray[np.float64]

CURVE_POINTS = 100
"""Points of a training curve, at most about as many."""

LESS = "lower --tokens_at_once, --side_by_side or --max_length"
"""What users can do about too little memory."""

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
class LaneResult:
    """How a lane went. `scores` [N, L] are those of its best step on validation.

    `train_curve` has (step, mean loss since the one before), `early` the lane's prompt at the step
    that `tune` was to keep. `parameters` are those that were trained, also of what is folded away.
    """

    course: Course[Outcome]
    best: Outcome
    scores: Tensor
    early: Early | None = None
    train_curve: list[tuple[int, float]] = field(default_factory=list)
    parameters: int = 0


def tune(
    trainable: Trainable,
    lanes: Sequence[Lane],
    settings: StepSettings,
    words: LabelWords,
    *,
    tokens_at_once: int,
    on_step: Callable[[int], None] = lambda _: None,
    keep_step: int | None = None,
) -> list[LaneResult]:
    """Train every lane of `trainable` and leave it as at its best validation step.

    Where nothing is trained there is but one evaluation. `on_step` hears of each step. Of prompts
    those at `keep_step` are kept too; of a lane that ends before, its last.
    """
    objective = TaskLanes(trainable, lanes, settings, words, tokens_at_once)
    sizes = [sum(map(torch.numel, trainable.parameters(lane))) for lane in range(len(lanes))]
    own = [replace(settings, learning_rate=lane.learning_rate) for lane in lanes]
    courses, curves = run_lanes(objective, own, on_step, keep_step)
    results = []
    for lane, course in enumerate(courses):
        best = course.best(settings.metric_for_best_model)
        scores = objective.scores[lane][best.step]
        early = curves.kept(lane, course)
        results.append(LaneResult(course, best, scores, early, curves.curves[lane], sizes[lane]))
    return results


def run_lanes(
    objective: Objective[Outcome],
    settings: Sequence[StepSettings],
    on_step: Callable[[int], None],
    keep_step: int | None,
) -> tuple[list[Course[Outcome]], "Curves"]:
    """Train the lanes of `objective`, each by its own `settings`, to the end of the last."""
    every = max(1, settings[0].max_steps // CURVE_POINTS)
    curves = Curves(len(settings), every, on_step, keep_step)
    with StopRequest() as stop, enough_memory(objective.trainable.backbone.device, LESS):
        return Loop(objective, settings, curves).to_the_end(stop), curves


class Curves(Watcher[Outcome]):
    """Keeps the curves of training losses, and prompts as they are early."""

    def __init__(
        self, lanes: int, every: int, on_step: Callable[[int], None], keep_step: int | None = None
    ) -> None:
        self.every, self._on_step, self._keep = every, on_step, keep_step
        self._early: list[tuple[Tensor, Tensor]] = []
        self.curves: list[list[tuple[int, float]]] = [[] for _ in range(lanes)]

    def trained(self, lane: int, row: dict[str, float]) -> None:
        """A point of the lane's curve."""
        self.curves[lane].append((int(row["step"]), row["loss"]))

    def stepped(self, step: int) -> None:
        """Tell who listens."""
        self._on_step(step)

    def turn(self, loop: Loop[Outcome], *, last: bool) -> None:
        """Keep each lane's prompt as it begins and at the early step."""
        trainable = loop.trainable
        if self._keep is None or not isinstance(trainable, PromptBank):
            return
        if not loop.step:
            values = [trainable.value(lane)[0] for lane in range(trainable.lanes)]
            self._early = [(value, value) for value in values]
        elif loop.step == self._keep or (last and loop.step < self._keep):
            self._early = [
                (start, trainable.value(lane)[0]) for lane, (start, _) in enumerate(self._early)
            ]

    def kept(self, lane: int, course: Course[Outcome]) -> Early | None:
        """What a lane was at the early step, or at its last where it ended before that."""
        step = max(1, min(self._keep or 1, course.step))
        return Early(step, *self._early[lane]) if self._early else None


class TaskLanes(Objective[Outcome]):
    """Lanes on the rows of a task. `scores` has, by lane, those of each evaluated step [N, L]."""

    def __init__(
        self, trainable: Trainable, lanes: Sequence[Lane], settings: StepSettings,
        words: LabelWords, tokens_at_once: int,
    ) -> None:  # fmt: skip
        assert len(lanes) == trainable.lanes
        self.trainable, self.loss, self.tokens = trainable, settings.loss, tokens_at_once
        self.words = words.to(trainable.backbone.device)
        self._replay = Replay(trainable, self._loss)
        self.scores: list[dict[int, Tensor]] = [{} for _ in lanes]
        size = settings.per_device_train_batch_size
        self._orders = [BatchOrder(lane.train.lengths, size, lane.seed) for lane in lanes]
        self._train, self._offsets = _joint([lane.train for lane in lanes])
        self._validation, offsets = _joint([lane.validation for lane in lanes])
        self._rows = offsets[:, None] + np.arange(len(lanes[0].validation))

    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[Outcome] | None:
        """How good each lane is on its validation rows."""
        if watch(0.0):
            return None
        chosen = self._rows[list(which)]
        found = score_rows(
            self.trainable, which, self._validation, chosen, self.words,
            loss=self.loss, tokens_at_once=self.tokens,
        )  # fmt: skip
        for lane, own in zip(which, found, strict=True):
            self.scores[lane][step] = own
        labels = self._validation.labels[chosen]
        return [
            measure(single(own), right, self.loss, step)
            for own, right in zip(found, labels, strict=True)
        ]

    def step(self, which: Sequence[int]) -> Sums:
        """A batch of each lane."""
        picks = [next(self._orders[lane]) for lane in which]
        rows = list(map(len, picks))
        return Sums(self.learn(which, picks, rows), [1.0] * len(picks), rows)

    def learn(self, which: Sequence[int], picks: Sequence[Indices], of: Sequence[int]) -> Tensor:
        """Add the gradients of the rows `picks` of each lane, parts of batches `of` so many rows.

        Returns losses, as shares of a batch's mean, and right answers, [K, 2]. Lanes with fewer
        rows repeat some, without weight.
        """
        size = max(map(len, picks))
        chosen = np.stack(
            [self._offsets[k] + np.resize(rows, size) for k, rows in zip(which, picks, strict=True)]
        )
        there = np.stack([np.arange(size) < len(rows) for rows in picks])
        shares = there / np.asarray(of)[:, None]
        sums = torch.zeros(len(picks), 2, dtype=torch.float64)
        longest = max(int(self._train.lengths[chosen].max()), label_tokens(self._train, self.words))
        for part, rows in passes(len(picks), size, longest, self.tokens):
            sums[part] += self._forward_backward(
                which[part], chosen[part, rows], shares[part, rows]
            )
        return sums

    def _forward_backward(self, which: Sequence[int], chosen: Indices, shares: Floats) -> Tensor:
        """Add the gradients of rows `chosen` [K, B], each weighed by its share.

        Returns losses and right answers, [K, 2].
        """
        backbone, replay = self.trainable.backbone, self._replay
        batch = collate(
            self._train, chosen.ravel(), self.words, backbone.pad_id, replay.multiple
        ).to(backbone.device)  # fmt: skip
        share = torch.from_numpy(shares).float().to(backbone.device)
        places = chosen - self._offsets[list(which), None]
        return replay(which, batch, places, share).double().cpu()

    def _loss(
        self, which: Sequence[int], batch: Batch, rows: Indices, shares: Tensor
    ) -> tuple[Tensor, Tensor]:
        scores = self.trainable.score(which, batch, self.loss, rows)
        each = LOSSES[self.loss](scores, batch.labels, reduction="none").view_as(shares)
        own = (each * shares).sum(1)
        right = (scores.argmax(-1) == batch.labels).view_as(shares) & (shares > 0)
        return own.sum(), torch.stack([own.detach(), right.sum(1).to(own.dtype)], 1)


@torch.no_grad()
def score_rows(
    trainable: Trainable,
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
    longest = np.take_along_axis(lengths, order, 1).max(0) + int(trainable.context * CONTEXT_SHARE)
    longest = np.maximum(longest, label_tokens(rows, words))
    scores = torch.zeros(*chosen.shape, len(words.lengths))
    device, pad = trainable.backbone.device, trainable.backbone.pad_id
    words = words.to(device)
    at = np.arange(len(chosen))[:, None]
    for start, end in spans(longest, tokens_at_once // len(chosen)):
        places = order[:, start:end]
        batch = collate(rows, chosen[at, places].ravel(), words, pad).to(device)
        found = trainable.score(which, batch, loss)
        scores[at, places] = found.view(*places.shape, -1).cpu()
    return scores


def label_tokens(rows: TokenRows, words: LabelWords) -> int:
    """Tokens of all label words that are read beside each row: many, where there are many labels.

    Few of them, which a row is longer than, count for nothing. Options are in a row's length.
    """
    return 0 if rows.choices is not None else len(words.lengths) * (words.ids.shape[-1] - 1)


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
