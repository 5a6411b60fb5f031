"""A bank of trials from start to finish: draw, begin, tune, test, save."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.calibration import CONTENT_FREE, calibrate, label_prior
from ppt.backbones.sources import EMBEDDED
from ppt.base.streams import seed_bits
from ppt.fewshot.grid import Bank
from ppt.fewshot.lanes import Lane, score_rows, tune
from ppt.fewshot.rows import Finished, adapter_card, prediction_table, result_row
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.starts import LOWER, Beginning, Start, started
from ppt.fewshot.views import Shown, TaskView
from ppt.methods import METHODS, Method
from ppt.prompts.batches import join
from ppt.prompts.files import Prompt
from ppt.results.folder import ADAPTERS
from ppt.results.store import Store
from ppt.results.trial import Trial
from ppt.tasks.loading import TaskData
from ppt.training.trainables import PromptBank


@dataclass
class Workbench:
    """What banks need of the world. `prompts` are the pre-trained ones, by task and method."""

    config: FewshotConfig
    backbone: Backbone
    tasks: Mapping[str, TaskData]
    prompts: Mapping[tuple[str, str], Prompt]
    kept: dict[str, tuple[Prompt, ...]] = field(default_factory=dict)
    """Tuned prompts by trial, where no folder keeps them."""
    _views: dict[tuple[str, str, bool], TaskView] = field(default_factory=dict)

    def view(self, task: str, method: Method) -> TaskView:
        """The task as the method shows it."""
        key = task, method.style, method.unified
        if key not in self._views:
            config = self.config
            limits = config.max_length, config.max_test_examples, config.answers
            self._views[key] = TaskView.of(self.tasks[task], method, self.backbone, *limits)
        return self._views[key]


def rehearse(bench: Workbench, trials: Sequence[Trial]) -> None:
    """Meet what could be wrong with words, patterns and prompts before anything has run."""
    backbone, config = bench.backbone, bench.config
    for task, name in dict.fromkeys((one.task, one.method) for one in trials):
        method, prompt = METHODS[name], bench.prompts.get((task, name))
        view = bench.view(task, method)
        train = view.draw(config.shot_counts[0], seed=0).train
        backbone.require_room(0, config.max_length, view.renderer.width, LOWER)
        with started(Beginning(method, backbone, view, train, [0], config, prompt)):
            pass


def run_bank(
    bench: Workbench,
    bank: Bank,
    store: Store,
    on_step: Callable[[int], None] = lambda _: None,
) -> None:
    """Run the trials of a bank; their adapters, predictions and rows go to `store`."""
    config, method, first = bench.config, bank.method, bank.trials[0]
    view = bench.view(first.task, method)
    draws = {seed: view.draw(first.shots, seed) for seed, _ in bank.points}
    places = [(*point, member) for point in bank.points for member in range(method.members)]
    seeds = [member_seed(seed, member) for seed, _, member in places]
    prompt = bench.prompts.get((first.task, first.method))
    began, train = time.perf_counter(), draws[first.seed].train
    beginning = Beginning(method, bench.backbone, view, train, seeds, config, prompt)
    with started(beginning) as start:
        lanes = [
            Lane(start.rows(draws[seed].train), start.rows(draws[seed].validation), rate, own)
            for (seed, rate, _), own in zip(places, seeds, strict=True)
        ]
        budget = config.tokens_at_once
        results = tune(
            start.trainable, lanes, config.steps, view.words, tokens_at_once=budget, on_step=on_step
        )
        seconds = (time.perf_counter() - began) / len(lanes)
        tested = [draws[seed].test for seed, _, _ in places]
        tests = _test(start, tested, view, config)
        if method.calibrated:
            for one, (seed, _, _) in zip(results, places, strict=True):
                one.scores = _calibrated(one.scores, draws[seed].validation, start, view, config)
            tests = [
                _calibrated(scores, rows, start, view, config)
                for scores, rows in zip(tests, tested, strict=True)
            ]
        finished = Finished(bank, config, view, draws, start, results, tests, seconds)
        adapters = [_save(bench, finished, one, store.folder) for one in bank.trials]
        store.add(
            [result_row(finished, *pair) for pair in zip(bank.trials, adapters, strict=True)],
            {one.id: prediction_table(finished, one) for one in bank.trials},
        )


def member_seed(seed: int, member: int) -> int:
    """The seed of an ensemble's member; the first is as a run alone with that seed."""
    return seed if not member else seed_bits(seed, "member", str(member)) >> 1


def _test(
    start: Start, shown: Sequence[Shown], view: TaskView, config: FewshotConfig
) -> list[Tensor]:
    """Test scores [N, L] of each lane; lanes that are alike are scored once."""
    sets = {id(one): start.rows(one) for one in shown}
    sizes = [len(rows) for rows in sets.values()]
    offsets = dict(zip(sets, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    chosen = np.stack([offsets[id(one)] + np.arange(len(one.tokens)) for one in shown])
    once = start.trainable.alike and len(sets) == 1
    which = list(range(1 if once else len(shown)))
    scores = score_rows(
        start.trainable, which, join(list(sets.values())), chosen[which], view.words,
        loss=config.loss, tokens_at_once=config.tokens_at_once,
    )  # fmt: skip
    return [scores[0 if once else lane] for lane in range(len(shown))]


def _calibrated(
    scores: Tensor, shown: Shown, start: Start, view: TaskView, config: FewshotConfig
) -> Tensor:
    """Scores [N, L] of rows, given what is predicted of rows without content."""
    free = view.content_free(shown)
    found = score_rows(
        start.trainable, [0], start.rows(free), np.arange(len(free.tokens))[None], view.words,
        loss=config.loss, tokens_at_once=config.tokens_at_once,
    )  # fmt: skip
    return calibrate(scores, label_prior(found.view(-1, len(CONTENT_FREE), found.shape[-1])))


def _save(bench: Workbench, finished: Finished, trial: Trial, folder: Path | None) -> str | None:
    """Save what was trained; the adapter's path in the results folder, if it is one.

    An ensemble has one for each member, in a folder each. Without a results folder prompts
    stay in memory.
    """
    model, members = bench.config.model, METHODS[trial.method].members
    base = EMBEDDED[model].hub_id if model in EMBEDDED else model
    path = f"{ADAPTERS}/{trial.task}/{trial.method}/shots-{trial.shots}-seed-{trial.seed}"
    if trial.learning_rate is not None:
        path += f"-lr-{trial.learning_rate}"
    card, saved = adapter_card(finished, trial), False
    trainable = finished.start.trainable
    if folder is None:
        if isinstance(trainable, PromptBank):
            values = [trainable.value(lane)[0] for lane in finished.lanes(trial)]
            bench.kept[trial.id] = tuple(
                Prompt(card, tensor=one, trains=trainable.trains) for one in values
            )
        return None
    for member, lane in enumerate(finished.lanes(trial)):
        place = folder / path / f"member-{member}" if members > 1 else folder / path
        saved = trainable.save(lane, place, base, card)
    return path if saved else None
