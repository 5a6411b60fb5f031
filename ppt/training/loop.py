"""The one training loop: step, evaluate, keep the best, stop early, save, resume.

What a step computes is an objective, what is trained a trainable, what goes on beside it
(logs, states) a watcher; pre-training has one lane, few-shot tuning many. A lane is a run as
if it were alone: it has its own learning rate, optimizer, clipping, best step and end.

Rates, early stopping and the best step are pure functions of a lane's course. So a run whose
state is kept ends in the same bits however often it was killed, on a CPU with as many
threads. The order within a turn makes that simple: evaluate if due, save if due, then step;
a resumed run enters at the top of a turn.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from ppt.base.signals import StopRequest
from ppt.errors import TrainingError, want_of_memory
from ppt.training.evaluation import Course, S, Window, best_step, has_stalled
from ppt.training.objective import Objective
from ppt.training.optimizers import MAKERS, rate
from ppt.training.processes import ALONE, Processes, add_up_gradients
from ppt.training.settings import StepSettings


@contextmanager
def enough_memory(device: torch.device, cure: str) -> Iterator[None]:
    """Turn want of memory into a TrainingError that says the `cure`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if (reason := want_of_memory(error)) is None:
            raise
        raise TrainingError(f"{device} has too little memory ({reason}): {cure}.") from error


class Watcher(Generic[S]):
    """What goes on beside a loop: here nothing, and a lane that diverges simply ends."""

    every = 1
    """Steps between training rows."""

    def evaluating(self, share: float) -> None:
        """An evaluation has scored this share of its rows."""

    def evaluated(self, lane: int, result: S) -> None:
        """A lane was evaluated."""

    def trained(self, lane: int, row: dict[str, float]) -> None:
        """Means of a lane over its last steps."""

    def stepped(self, step: int) -> None:
        """All lanes have taken a step."""

    def turn(self, loop: "Loop[S]", *, last: bool) -> None:
        """Between evaluation and step: time to save. It is the `last` one where lanes all end."""

    def diverged(self, lane: int, step: int, what: str, value: float) -> None:
        """A number of a lane is none. Raises TrainingError where nothing was trained yet."""
        del lane
        if not step and what == "validation loss":
            raise TrainingError(
                f"the validation loss is {value} before the first step: take --dtype float32, or"
                " another prompt."
            )


class Loop(Generic[S]):
    """Lanes under way. `settings` are those of each lane, alike but for the learning rate."""

    def __init__(
        self,
        objective: Objective[S],
        settings: Sequence[StepSettings],
        watcher: Watcher[S],
        processes: Processes = ALONE,
    ) -> None:
        self.objective, self.trainable = objective, objective.trainable
        self.settings = [one.resolved() for one in settings]
        self.watcher, self.processes = watcher, processes
        lanes = range(self.trainable.lanes)
        assert len(settings) == len(lanes)
        self.parameters = [self.trainable.parameters(lane) for lane in lanes]
        self.optimizers = [
            MAKERS[one.optimizer](own, one) if own else None
            for own, one in zip(self.parameters, self.settings, strict=True)
        ]
        # before a state is taken up: a resumed run is pulled to where it began, too
        self._starts = [
            [weight.detach().clone() for weight in own] if one.pull else []
            for own, one in zip(self.parameters, self.settings, strict=True)
        ]
        self.last = settings[0].max_steps if any(self.parameters) else 0
        self.courses: list[Course[S]] = [Course() for _ in lanes]
        self.best: list[list[Tensor]] = [[] for _ in lanes]
        self.step = 0

    @torch.enable_grad()
    def to_the_end(self, stop: StopRequest) -> list[Course[S]]:
        """Turn after turn, until no lane goes on; each is left as at its best step."""
        active, common = list(range(len(self.courses))), self.settings[0]
        while True:
            if self.step % common.eval_steps == 0 or self.step == self.last:
                self._evaluate(active, stop)
            active = [lane for lane in active if self._goes_on(lane)]
            self.watcher.turn(self, last=not active or stop.agreed)
            stop.leave_if_agreed()
            if not active:
                break
            self._step(active, stop)
        for lane, best in enumerate(self.best):
            self.trainable.restore(lane, best)
        return self.courses

    def _goes_on(self, lane: int) -> bool:
        course, own = self.courses[lane], self.settings[lane]
        stalled = has_stalled(
            course.history, own.metric_for_best_model, own.early_stopping_patience
        )
        course.stopped_early = self.step < self.last and (stalled or course.diverged)
        return self.step < self.last and not course.stopped_early

    def _evaluate(self, active: Sequence[int], stop: StopRequest) -> None:
        courses = [self.courses[lane] for lane in active]
        if all(one.history and one.history[-1].step == self.step for one in courses):
            return  # a resumed run was evaluated before it was saved

        def watch(share: float) -> bool:
            self.watcher.evaluating(share)
            return stop.received is not None

        results = self.objective.evaluate(active, self.step, watch)
        if results is None:
            stop.agreed = True
            return
        for lane, result in zip(active, results, strict=True):
            course, own = self.courses[lane], self.settings[lane]
            if not self._is_finite(lane, result.loss, "validation loss"):
                continue
            course.history.append(result)
            if best_step(course.history, own.metric_for_best_model) is result:
                self.best[lane] = self.trainable.value(lane)
            self.watcher.evaluated(lane, result)

    def _step(self, active: Sequence[int], stop: StopRequest) -> None:
        """One update of each active lane from one batch of its own."""
        began = time.perf_counter()
        for lane in active:
            for weight in self.parameters[lane]:
                if weight.grad is not None:
                    weight.grad.zero_()
        self.trainable.step = self.step
        found = self.objective.step(active)
        add_up_gradients(self.processes, [p for lane in active for p in self.parameters[lane]])
        asked = torch.tensor([float(stop.received is not None)], dtype=torch.float64)
        *sums, stops = self.processes.sum(torch.cat([found.sums.flatten(), asked])).tolist()
        stop.agreed = stops > 0
        for place, lane in enumerate(active):
            loss, right = sums[2 * place : 2 * place + 2]
            self._update(lane, loss, found.weights[place], right, found.rows[place])
        self.step += 1
        self._tell([lane for lane in active if not self.courses[lane].diverged], began)

    def _update(self, lane: int, loss: float, weight: float, right: float, rows: int) -> None:
        """Take the step of a lane whose gradients are there, and count it."""
        own, optimizer = self.settings[lane], self.optimizers[lane]
        norm = float(clip_grad_norm_(self.parameters[lane], own.max_grad_norm or math.inf))
        if not self._is_finite(lane, loss / weight, "loss"):
            return
        if not self._is_finite(lane, norm, "gradient norm"):
            return
        assert optimizer is not None, "a lane that goes on is trained"
        for group in optimizer.param_groups:
            group["lr"] = rate(own, self.step)
        optimizer.step()
        if own.pull:
            share = min(1.0, own.pull * rate(own, self.step))
            with torch.no_grad():
                for one, start in zip(self.parameters[lane], self._starts[lane], strict=True):
                    one.lerp_(start, share)
        course = self.courses[lane]
        course.step = self.step + 1
        course.examples += rows
        course.window.add(loss, weight, right, rows, norm)

    def _tell(self, stepped: Sequence[int], began: float) -> None:
        """Tell the watcher of a step, and of the means over the last ones where they are due."""
        seconds = time.perf_counter() - began
        self.watcher.stepped(self.step)
        due = self.step % self.watcher.every == 0 or self.step == self.last
        for lane in stepped:
            course = self.courses[lane]
            course.seconds += seconds
            course.window.seconds += seconds
            if due:
                row = course.window.row(self.step, rate(self.settings[lane], self.step - 1))
                self.watcher.trained(lane, row)
                course.window = Window()

    def _is_finite(self, lane: int, value: float, what: str) -> bool:
        if math.isfinite(value):
            return True
        self.courses[lane].diverged = True
        self.watcher.diverged(lane, self.step, what, value)
        return False
