"""The one training loop: step, evaluate, keep the best, stop early, save, resume.

Methods differ by what is trained, from where and how fast, never by loop. Everything
that decides the next step is in the state (prompt, optimizer, data position, RNG,
history), and rates, early stopping and the best step are pure functions of it. So a
run that was killed at any moment and started again ends in the same bits, on a CPU
with as many threads. The order within a turn makes that simple: evaluate if due, save
if due, then step; a resumed run enters at the top of a turn.

With W processes each takes its part of the global batch; gradients of the loss *sum*
over global rows are added up, so W processes give the gradient of one.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from ppt.backbones.base import LOSSES, Backbone
from ppt.base.signals import StopRequest
from ppt.errors import ConfigError, TrainingError
from ppt.prompts.batches import collate
from ppt.prompts.order import BatchOrder, part
from ppt.prompts.soft import SoftPrompt
from ppt.training.evaluation import best_of, evaluate, has_stalled
from ppt.training.examples import Examples
from ppt.training.log import Plan, RunLog
from ppt.training.optimizers import make_optimizer, rate
from ppt.training.position import Position, TrainResult, Window
from ppt.training.processes import Processes, add_up_gradients
from ppt.training.settings import TrainSettings
from ppt.training.state import (
    State,
    drop_after,
    latest,
    load_state,
    optimizer_state,
    restore_optimizer,
    restore_rng,
    rng_states,
    save_state,
)


def train(
    backbone: Backbone,
    prompt: SoftPrompt,
    examples: Examples,
    settings: TrainSettings,
    folder: Path | str,
    *,
    resume: str = "auto",
    identity: Mapping[str, Any] | None = None,
    processes: Processes | None = None,
    progress: str = "bar",
) -> TrainResult:
    """Train `prompt` in place; returns the best prompt of the run and its scores.

    `resume` is "auto" (the newest state in `folder`, if any), "none", or the folder
    of a state. `identity` is what else must be equal for a state to be gone on from.
    `progress` is "bar", "lines" (one an evaluation, for log files) or "none".
    """
    run = _Run(backbone, prompt, examples, settings.resolved(), Path(folder), identity or {},
               processes or Processes())  # fmt: skip
    offset = run.resume(resume)
    with StopRequest() as stop:
        run.open_log(offset, progress)
        try:
            return run.to_the_end(stop)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"{backbone.device} has too little memory ({str(error).partition('.')[0]}): begin"
                " anew with a smaller --per_device_train_batch_size (and as much more"
                " --gradient_accumulation_steps), --per_device_eval_batch_size or --max_length."
            ) from error
        finally:
            if run.log:
                run.log.close()


class _Run:
    """A run under way; `train` is its face."""

    def __init__(
        self,
        backbone: Backbone,
        prompt: SoftPrompt,
        examples: Examples,
        settings: TrainSettings,
        folder: Path,
        identity: Mapping[str, Any],
        processes: Processes,
    ) -> None:
        self.backbone, self.prompt, self.examples = backbone, prompt.to(backbone.device), examples
        self.settings, self.folder, self.identity = settings, folder, dict(identity)
        self.processes = processes
        self.words = examples.words.to(backbone.device)
        self.parameters = list(self.prompt.parameters())
        self.optimizer = make_optimizer(self.parameters, settings)
        self.order = BatchOrder(
            examples.train.lengths,
            settings.local_batch_size * processes.world,
            settings.seed,
            processes.rank,
            processes.world,
        )
        self.at = Position()
        self.best_prompt = self.prompt.folded()
        self.saved: int | None = None
        self.log: RunLog | None = None

    def to_the_end(self, stop: StopRequest) -> TrainResult:
        """Turn after turn, until the last step, early stopping or a signal."""
        settings, at = self.settings, self.at
        while True:
            if self._evaluation_due():
                self._evaluate(stop)
            stalled = has_stalled(
                at.history, settings.metric_for_best_model, settings.early_stopping_patience
            )
            done = stalled or at.step >= settings.max_steps
            if done or stop.agreed or (at.step and at.step % settings.save_steps == 0):
                self._save()
            stop.leave_if_agreed()
            if done:
                break
            self._step(stop)
        return TrainResult(
            prompt=self.best_prompt,
            last_prompt=self.prompt.folded(),
            history=tuple(at.history),
            best=best_of(at.history, settings.metric_for_best_model),
            steps=at.step,
            stopped_early=stalled and at.step < settings.max_steps,
            seconds=at.seconds,
            examples=at.examples,
        )

    def _evaluation_due(self) -> bool:
        step, last = self.at.step, self.at.history[-1].step if self.at.history else -1
        due = step % self.settings.eval_steps == 0 or step == self.settings.max_steps
        return due and step != last

    def _evaluate(self, stop: StopRequest) -> None:
        settings = self.settings
        prompt = self.prompt.folded()

        def watch(share: float) -> bool:
            if self.log:
                self.log.evaluating(share)
            return stop.received is not None

        result = evaluate(
            self.backbone,
            prompt.to(self.backbone.device),
            self.examples.validation,
            self.words,
            step=self.at.step,
            loss=settings.loss,
            batch_size=settings.per_device_eval_batch_size,
            processes=self.processes,
            watch=watch,
        )
        if result is None:
            stop.agreed = True
            return
        self._require_finite(result.loss, "validation loss")
        self.at.history.append(result)
        if best_of(self.at.history, settings.metric_for_best_model) is result:
            self.best_prompt = prompt
        if self.log:
            self.log.evaluation(result)

    def _step(self, stop: StopRequest) -> None:
        """One update from one global batch, in as many forward passes as are asked for."""
        settings, at, began = self.settings, self.at, time.perf_counter()
        rows = len(self.order.batch(self.order.epoch, self.order.step))
        mine = next(self.order)
        self.optimizer.zero_grad(set_to_none=False)
        sums = torch.zeros(3, dtype=torch.float64)  # loss, right answers, requests to stop
        for turn in range(settings.gradient_accumulation_steps):
            indices = part(mine, turn, settings.gradient_accumulation_steps)
            if len(indices):
                sums[:2] += self._forward_backward(indices, rows)
        sums[2] = float(stop.received is not None)
        add_up_gradients(self.processes, self.parameters)
        loss, right, stops = self.processes.sum(sums).tolist()
        stop.agreed = stops > 0
        norm = float(clip_grad_norm_(self.parameters, settings.max_grad_norm or math.inf))
        self._require_finite(loss / rows, "loss")
        self._require_finite(norm, "gradient norm")
        learning_rate = rate(settings, at.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        at.step += 1
        at.examples += rows
        seconds = time.perf_counter() - began
        at.seconds += seconds
        at.window.add(loss, right, rows, norm, seconds)
        if self.log:
            self.log.step()
        if at.step % settings.logging_steps == 0 or at.step == settings.max_steps:
            if self.log:
                self.log.train(at.window.row(at.step, learning_rate))
            at.window = Window()

    def _forward_backward(self, indices: Any, rows: int) -> Tensor:
        """Add the gradient of the loss over `rows` global rows; returns [loss sum, right]."""
        backbone, loss, train = self.backbone, self.settings.loss, self.examples.train
        batch = collate(train, indices, self.words, backbone.tokenizer.pad_token_id)
        batch = batch.to(backbone.device)
        scores = backbone.score(self.prompt(), batch, full_vocabulary=loss == "vocabulary")
        total = LOSSES[loss](scores, batch.labels, reduction="sum")
        (total / rows).backward()  # type: ignore[no-untyped-call]
        right = (scores.argmax(-1) == batch.labels).sum()
        return torch.stack([total.detach(), right.to(total.dtype)]).cpu().double()

    def _require_finite(self, value: float, what: str) -> None:
        if math.isfinite(value):
            return
        last = latest(self.folder)
        good = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        raise TrainingError(
            f"the {what} is {value} at step {self.at.step}; {good}: begin anew with a lower"
            f" --learning_rate (now {self.settings.learning_rate:g}), more --warmup_steps or a"
            " smaller --max_grad_norm."
        )

    def _save(self) -> None:
        """Write the state, unless the newest one is of this very moment."""
        if self.log and self.saved != self.at.step:
            save_state(self.folder, self._state(), self.settings.save_total_limit)
        self.saved = self.at.step

    def _state(self) -> State:
        assert self.log is not None
        memory, numbers = optimizer_state(self.optimizer)
        prompt = {f"prompt.{name}": value for name, value in self.prompt.state_dict().items()}
        values = {
            **asdict(self.at),
            "order": self.order.state_dict(),
            "optimizer": numbers,
            "metrics_bytes": self.log.offset(),
            "identity": self.identity,
        }
        return State({**prompt, **memory, **rng_states(), "best": self.best_prompt}, values)

    def resume(self, which: str) -> int:
        """Take up the state that `which` names, if any; returns the bytes of its metrics."""
        path = {"auto": latest(self.folder), "none": None}.get(which, Path(which))
        state = load_state(path) if path else None
        if state:
            self._take_up(state, path)
        self.processes.wait()
        if self.processes.first:
            drop_after(self.folder, self.at.step if state else -1)
        return int(state.values["metrics_bytes"]) if state else 0

    def _take_up(self, state: State, path: Path | None) -> None:
        for key, value in self.identity.items():
            if state.values["identity"].get(key) != value:
                raise ConfigError(
                    f"the state {path} was made with {key} {state.values['identity'].get(key)!r},"
                    f" this run has {value!r}: go on with the same, or begin anew with"
                    " --resume_from_checkpoint none."
                )
        self.order.load_state_dict(state.values["order"])
        own = {name[7:]: t for name, t in state.tensors.items() if name.startswith("prompt.")}
        self.prompt.load_state_dict(own)
        restore_optimizer(self.optimizer, state)
        self.best_prompt = state.tensors["best"]
        restore_rng(state)
        self.at, self.saved = Position.of(state.values), state.step

    def open_log(self, offset: int, progress: str) -> None:
        """Begin to log; only the first process does."""
        if not self.processes.first:
            return
        settings = self.settings
        plan = Plan(
            steps=settings.max_steps,
            trained=settings.local_batch_size * self.processes.world,
            evaluations=1 + -(-settings.max_steps // settings.eval_steps),
            scored=len(self.examples.validation),
        )
        self.log = RunLog(
            self.folder, plan, step=self.at.step, evaluations=len(self.at.history),
            offset=offset, tensorboard=settings.tensorboard, progress=progress,
        )  # fmt: skip
