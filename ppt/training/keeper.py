"""A run in a folder: its log, and the states from which it goes on, bit by bit."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ppt.base.signals import StopRequest
from ppt.errors import ConfigError, InputError
from ppt.prompts.early import EARLY, read_early, read_start, save_early
from ppt.prompts.files import FOLDER
from ppt.training.evaluation import Course, Evaluation, Window
from ppt.training.log import OnlyLane, RunLog
from ppt.training.loop import Loop, enough_memory
from ppt.training.objective import OneRun
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


class Keeper(RunLog):
    """The watcher of a run in `folder`: its log, and the states that it can go on from.

    `identity` is what, beside the data's position, must be equal for a state to be gone on from;
    `early` the step whose prompt is kept too, if one is; `state` what was taken up, if anything.
    """

    def __init__(
        self, loop: Loop[Evaluation], objective: OneRun, folder: Path, state: State | None,
        identity: Mapping[str, Any], early: int | None, progress: str,
    ) -> None:  # fmt: skip
        offset = int(state.values["metrics_bytes"]) if state else 0
        super().__init__(loop, objective, folder, offset, progress)
        self.objective, self.identity, self.early = objective, identity, early
        self._saved = state.step if state else None

    def turn(self, loop: Loop[Evaluation], *, last: bool) -> None:
        """Write the state where it is due, unless the newest one is of this very moment."""
        early, stopped = self.early, loop.courses[0].stopped_early
        if early is not None and (loop.step in (0, early) or (stopped and loop.step < early)):
            # the prompt as it begins, and at the early step; before a state says that it is past
            file, value = self.folder / FOLDER / EARLY, loop.trainable.value(0)[0]
            both = [read_start(file), value] if loop.step else [value]
            save_early(file, loop.step or early, *both)
        due = last or (loop.step and loop.step % self.settings.save_steps == 0)
        if due and self._saved != loop.step:
            save_state(self.folder, self._state(loop), self.settings.save_total_limit)
            self._saved = loop.step

    def _state(self, loop: Loop[Evaluation]) -> State:
        """All that decides the next step, and what was logged before it."""
        (optimizer,), (course,), (best,) = loop.optimizers, loop.courses, loop.best
        assert optimizer is not None
        memory, numbers = optimizer_state(optimizer)
        values = {
            **asdict(course),
            "order": self.objective.order.state_dict(),
            "optimizer": numbers,
            "metrics_bytes": self.offset(),
            "identity": self.identity,
        }
        kept = {f"best.{i}": tensor for i, tensor in enumerate(best)}
        return State({**loop.trainable.state(), **memory, **rng_states(), **kept}, values)


def _take_up(
    loop: Loop[Evaluation], objective: OneRun, state: State, path: Path, identity: Mapping[str, Any]
) -> None:
    for key, value in identity.items():
        if state.values["identity"].get(key) != value:
            raise ConfigError(
                f"the state {path} was made with {key} {state.values['identity'].get(key)!r},"
                f" this run has {value!r}: go on with the same, or begin anew with"
                " --resume_from_checkpoint none."
            )
    objective.order.load_state_dict(state.values["order"])
    loop.trainable.load_state(state.tensors)
    (optimizer,) = loop.optimizers
    assert optimizer is not None
    restore_optimizer(optimizer, state)
    count = sum(name.startswith("best.") for name in state.tensors)
    loop.best[0] = [state.tensors[f"best.{i}"] for i in range(count)]
    restore_rng(state)
    values = state.values
    loop.courses[0] = Course(
        values["step"], [Evaluation(**one) for one in values["history"]],
        Window(**values["window"]), values["seconds"], values["examples"],
    )  # fmt: skip
    loop.step = state.step


def _take_up_early(path: Path, step: int, folder: Path, early: int) -> None:
    """Have in `folder` what the run of a state kept of its start, maybe in another one."""
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
    own = (kept.step, start, kept.value) if kept else (early, start)
    save_early(folder / FOLDER / EARLY, *own)


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
    early: int | None = None,
    progress: str = "bar",
) -> Course[Evaluation]:
    """Train the one lane of `objective` in place and leave it as at its best step.

    With a `folder` the run is logged there, and goes on from its states: `resume` is "auto"
    (the newest, if any), "none", or the folder of a state; `identity` is what else must be
    equal for a state to be gone on from; the prompt of the step `early` is kept too.
    `progress` is "bar", "lines" (one an evaluation, for log files) or "none". Raises
    TrainingError where it cannot go on.
    """
    settings, device = objective.settings, objective.trainable.backbone.device
    identity = dict(identity or {})
    loop = Loop(objective, [settings], OnlyLane(settings, folder), objective.processes)
    with StopRequest() as stop, enough_memory(device, LESS), ExitStack() as at_the_end:
        if folder:
            path = {"auto": latest(folder), "none": None}.get(resume, Path(resume))
            state = load_state(path) if path else None
            if path and state:
                _take_up(loop, objective, state, path, identity)
            loop.processes.wait()
            if loop.processes.first:
                if path and loop.step and early is not None:
                    _take_up_early(path, loop.step, folder, early)
                keep_states(folder, loop.step if state else -1, settings.save_total_limit)
                keeper = Keeper(loop, objective, folder, state, identity, early, progress)
                loop.watcher = at_the_end.enter_context(closing(keeper))
        (course,) = loop.to_the_end(stop)
    return course
