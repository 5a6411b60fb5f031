"""A run in a folder: its log, and the states from which it goes on, bit by bit."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ppt.base.signals import StopRequest
from ppt.errors import ConfigError, InputError, TrainingError
from ppt.prompts.early import EARLY, read_early, read_start, save_early
from ppt.prompts.files import FOLDER
from ppt.training.course import Course
from ppt.training.evaluation import Evaluation
from ppt.training.log import Plan, RunLog
from ppt.training.loop import Loop, Watcher, enough_memory
from ppt.training.objective import OneRun
from ppt.training.settings import TrainSettings
from ppt.training.state import (
    State,
    keep_states,
    latest,
    load_state,
    optimizer_state,
    restore_optimizer,
    restore_rng,
    rng_states,
    save_state,
)


class OnlyLane(Watcher[Evaluation]):
    """The watcher of a run of one lane, which ends where that diverges."""

    folder: Path | None = None

    def __init__(self, settings: TrainSettings) -> None:
        self.settings = settings

    def diverged(self, lane: int, step: int, what: str, value: float) -> None:
        """Raise TrainingError."""
        del lane
        last = latest(self.folder) if self.folder else None
        good = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        raise TrainingError(
            f"the {what} is {value} at step {step}; {good}: begin anew with a lower"
            f" --learning_rate (now {self.settings.learning_rate:g}), more --warmup_steps or a"
            " smaller --max_grad_norm."
        )


class Keeper(OnlyLane):
    """The watcher of a run in `folder`.

    `identity` is what, beside the data's position, must be equal for a state to be gone on
    from. Of several processes only the first logs and saves.
    """

    def __init__(self, folder: Path, settings: TrainSettings, identity: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.folder: Path = folder
        self.identity = dict(identity)
        self.every = settings.logging_steps
        self.log: RunLog | None = None
        self._saved: int | None = None

    def begin(self, loop: Loop[Evaluation], which: str, progress: str) -> None:
        """Take up the state that `which` names (`train`), if any, and open the log."""
        path = {"auto": latest(self.folder), "none": None}.get(which, Path(which))
        state = load_state(path) if path else None
        if path and state:
            self._take_up(loop, state, path)
        loop.processes.wait()
        if not loop.processes.first:
            return
        if path and loop.step:
            self._take_up_early(path, loop.step)
        keep_states(self.folder, loop.step if state else -1, self.settings.save_total_limit)
        settings, objective = self.settings, self._objective(loop)
        plan = Plan(
            steps=settings.max_steps,
            trained=settings.local_batch_size * loop.processes.world,
            evaluations=1 + -(-settings.max_steps // settings.eval_steps),
            scored=objective.scored,
        )
        self.log = RunLog(
            self.folder, plan, step=loop.step, evaluations=len(loop.courses[0].history),
            offset=int(state.values["metrics_bytes"]) if state else 0,
            tensorboard=settings.tensorboard, progress=progress,
        )  # fmt: skip

    def close(self) -> None:
        """Close the log, after an error too."""
        if self.log:
            self.log.close()

    def evaluating(self, share: float) -> None:
        """Move the bar."""
        if self.log:
            self.log.evaluating(share)

    def evaluated(self, lane: int, result: Evaluation) -> None:
        """Log the scores."""
        del lane
        if self.log:
            self.log.evaluation(result)

    def stepped(self, step: int) -> None:
        """Move the bar."""
        del step
        if self.log:
            self.log.step()

    def trained(self, lane: int, row: dict[str, float]) -> None:
        """Log means over the last steps."""
        del lane
        if self.log:
            self.log.train(row)

    def turn(self, loop: Loop[Evaluation], *, last: bool) -> None:
        """Write the state where it is due, unless the newest one is of this very moment."""
        self._keep_early(loop)
        due = last or (loop.step and loop.step % self.settings.save_steps == 0)
        if due and self.log and self._saved != loop.step:
            save_state(self.folder, self._state(loop, self.log), self.settings.save_total_limit)
            self._saved = loop.step

    def _keep_early(self, loop: Loop[Evaluation]) -> None:
        """Keep the prompt as it begins and at the early step, before a state says it is past."""
        step = self.settings.early_step
        if step is None or loop.step not in (0, step) or not self.log:
            return
        file = self.folder / FOLDER / EARLY
        value = loop.trainable.value(0)[0]
        save_early(file, step, *([value] if not loop.step else [read_start(file), value]))

    def _take_up_early(self, path: Path, step: int) -> None:
        """Have what the run of a state kept of its start, maybe in another folder."""
        early = self.settings.early_step
        if early is None:
            return
        file = path.parent / FOLDER / EARLY
        try:
            kept = read_early(file)
            start = kept.start if kept else read_start(file)
            if step > early and kept is None:
                raise InputError(f"{file} has no prompt of step {early}.")
        except InputError as error:
            raise InputError(
                f"the state {path} is of step {step}, but its run lacks what --embedding_steps"
                f" {early} keeps ({error}): begin anew with --resume_from_checkpoint none."
            ) from error
        save_early(self.folder / FOLDER / EARLY, early, start, kept.value if kept else None)

    def _objective(self, loop: Loop[Evaluation]) -> OneRun:
        assert isinstance(loop.objective, OneRun), "only its position can be kept"
        return loop.objective

    def _state(self, loop: Loop[Evaluation], log: RunLog) -> State:
        """All that decides the next step, and what was logged before it."""
        (optimizer,), (course,), (best,) = loop.optimizers, loop.courses, loop.best
        assert optimizer is not None
        memory, numbers = optimizer_state(optimizer)
        values = {
            **asdict(course),
            "order": self._objective(loop).position(),
            "optimizer": numbers,
            "metrics_bytes": log.offset(),
            "identity": self.identity,
        }
        kept = {f"best.{i}": tensor for i, tensor in enumerate(best)}
        return State({**loop.trainable.state(), **memory, **rng_states(), **kept}, values)

    def _take_up(self, loop: Loop[Evaluation], state: State, path: Path) -> None:
        for key, value in self.identity.items():
            if state.values["identity"].get(key) != value:
                raise ConfigError(
                    f"the state {path} was made with {key} {state.values['identity'].get(key)!r},"
                    f" this run has {value!r}: go on with the same, or begin anew with"
                    " --resume_from_checkpoint none."
                )
        objective, (optimizer,) = self._objective(loop), loop.optimizers
        objective.go_to(state.values["order"])
        loop.trainable.load_state(state.tensors)
        assert optimizer is not None
        restore_optimizer(optimizer, state)
        count = sum(name.startswith("best.") for name in state.tensors)
        loop.best[0] = [state.tensors[f"best.{i}"] for i in range(count)]
        restore_rng(state)
        loop.courses[0] = Course.of(state.values, Evaluation)
        loop.step = self._saved = state.step


LESS = (
    "begin anew with a smaller --per_device_train_batch_size (and as much more"
    " --gradient_accumulation_steps), --per_device_eval_batch_size or --max_length"
)
"""What users can do about too little memory."""


def run(
    objective: OneRun,
    folder: Path | None = None,
    *,
    resume: str = "auto",
    identity: Mapping[str, Any] | None = None,
    progress: str = "bar",
) -> Course[Evaluation]:
    """Train the one lane of `objective` in place and leave it as at its best step.

    With a `folder` the run is logged there, and goes on from its states: `resume` is "auto"
    (the newest, if any), "none", or the folder of a state; `identity` is what else must be
    equal for a state to be gone on from. `progress` is "bar", "lines" (one an evaluation, for
    log files) or "none". Raises TrainingError where it cannot go on.
    """
    settings = objective.settings
    keeper = Keeper(folder, settings, identity or {}) if folder else None
    loop = Loop(objective, [settings], keeper or OnlyLane(settings), objective.processes)
    with StopRequest() as stop, enough_memory(objective.trainable.backbone.device, LESS):
        try:
            if keeper:
                keeper.begin(loop, resume, progress)
            (course,) = loop.to_the_end(stop)
        finally:
            if keeper:
                keeper.close()
    return course
