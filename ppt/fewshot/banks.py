"""A bank of trials from start to finish: draw, begin, tune, test, save."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ppt.backbones.calibration import CONTENT_FREE, calibrate, label_prior
from ppt.backbones.sources import base_model
from ppt.base.streams import seed_bits
from ppt.fewshot.bench import Workbench
from ppt.fewshot.grid import Bank
from ppt.fewshot.lanes import Lane, LaneResult, score_rows, tune
from ppt.fewshot.loans import Borrowed
from ppt.fewshot.rows import Finished, adapter_card, prediction_table, result_row
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.sourcing import lent
from ppt.fewshot.starts import LOWER, Beginning, Loan, Start, started
from ppt.fewshot.views import Shown, TaskView
from ppt.methods import Method, find_method
from ppt.prompts.batches import join
from ppt.prompts.early import EARLY, save_early
from ppt.prompts.files import Prompt
from ppt.results.folder import ADAPTERS
from ppt.results.store import Store
from ppt.results.trial import Trial
from ppt.training.kinship import doubts
from ppt.training.trainables import PromptBank


def rehearse(bench: Workbench, trials: Sequence[Trial]) -> list[str]:
    """Meet what could be wrong with words, patterns and prompts before anything has run.

    Returns notes on the tasks whose texts are cut, and on prompts of other weights.
    """
    backbone, config = bench.backbone, bench.config
    cut: dict[str, tuple[int, int]] = {}
    first: dict[tuple[str, str], int] = {}
    begun: dict[Prompt, None] = {}
    for one in trials:
        first.setdefault((one.task, one.method), one.shots)
    for (task, name), shots in first.items():
        method, begin = find_method(name), bench.begins.get((task, name))
        view = bench.view(bench.tasks[task], method)
        draw = view.draw(shots, seed=0)
        cut[task] = max(cut.get(task, (0, 0)), (draw.test.tokens.cut, len(draw.test.tokens)))
        backbone.require_room(0, config.max_length, view.renderer.width, LOWER)
        beginning = Beginning(method, backbone, view, draw.train, [0], config)
        if isinstance(begin, Borrowed):
            size, kind = backbone.hidden_size, backbone.kind
            sources = [one.prompt for one in begin.sources]
            loans = [Loan(one.values(hidden_size=size, kind=kind), "") for one in sources]
            begun |= dict.fromkeys(sources)
            beginning = replace(beginning, loans=loans[:1])
        else:
            beginning = replace(beginning, prompt=begin)
            begun |= dict.fromkeys([begin] if begin else [])
        with started(beginning):
            pass
    return [
        f"{count:,} of {rows:,} test texts of {task} are cut to {config.max_length} tokens"
        " (--max_length)."
        for task, (count, rows) in cut.items() if count
    ] + doubts(begun, backbone, config.model)  # fmt: skip


def run_bank(
    bench: Workbench,
    bank: Bank,
    store: Store,
    on_step: Callable[[int], None] = lambda _: None,
) -> None:
    """Run the trials of a bank; their adapters, predictions and rows go to `store`."""
    config, method, first = bench.config, bank.method, bank.trials[0]
    view = bench.view(bench.tasks[first.task], method)
    draws = {seed: view.draw(first.shots, seed) for seed, _ in bank.points}
    places = [(*point, member) for point in bank.points for member in range(method.members)]
    seeds = [member_seed(seed, member) for seed, _, member in places]
    begin = bench.begins.get((first.task, first.method))
    prompt = begin if isinstance(begin, Prompt) else None
    began, train = time.perf_counter(), draws[first.seed].train
    beginning = Beginning(method, bench.backbone, view, train, seeds, config, prompt)
    with started(lent(bench, first, beginning, draws, places, on_step)) as start:
        lanes = [
            Lane(start.rows(draws[seed].train), start.rows(draws[seed].validation), rate, own)
            for (seed, rate, _), own in zip(places, seeds, strict=True)
        ]
        budget = config.tokens_at_once
        results = tune(
            start.trainable, lanes, config.steps_of(method), view.words, tokens_at_once=budget,
            on_step=on_step, keep_step=config.kept_step,
        )  # fmt: skip
        seconds = (time.perf_counter() - began) / len(lanes)
        tested = [draws[seed].test for seed, _, _ in places]
        tests = _test(bench, method, start, tested, view, results)
        if method.calibrated:
            for one, (seed, _, _) in zip(results, places, strict=True):
                one.scores = _calibrated(one.scores, draws[seed].validation, start, view, config)
            tests = [
                _calibrated(scores, rows, start, view, config)
                for scores, rows in zip(tests, tested, strict=True)
            ]
        begun = prompt.digest if prompt else None
        finished = Finished(bank, config, view, draws, start, results, tests, seconds, begun)
        adapters = [_save(bench, finished, one, store.folder) for one in bank.trials]
        store.add(
            [result_row(finished, *pair) for pair in zip(bank.trials, adapters, strict=True)],
            {one.id: prediction_table(finished, one) for one in bank.trials},
        )


def member_seed(seed: int, member: int) -> int:
    """The seed of an ensemble's member; the first is as a run alone with that seed."""
    return seed if not member else seed_bits(seed, "member", str(member)) >> 1


def _test(
    bench: Workbench, method: Method, start: Start, shown: Sequence[Shown], view: TaskView,
    results: Sequence[LaneResult],
) -> list[Tensor]:  # fmt: skip
    """Test scores [N, L] of each lane; a state that lanes are left in as they began, once a grid.

    Few lanes leave a good start, and test rows are most of what a run reads. Such a state is
    scored by itself, so that a grid which goes on gets the same digits.
    """

    def scores(which: Sequence[int]) -> Sequence[Tensor]:
        sets = {id(shown[lane]): start.rows(shown[lane]) for lane in which}
        offsets = dict(zip(sets, np.cumsum([0, *map(len, sets.values())]).tolist(), strict=False))
        chosen = [offsets[id(shown[lane])] + np.arange(len(shown[lane].tokens)) for lane in which]
        return score_rows(
            start.trainable, which, join(list(sets.values())), np.stack(chosen), view.words,
            loss=bench.config.loss, tokens_at_once=bench.config.tokens_at_once,
        ).unbind()  # fmt: skip

    left = [lane for lane, one in enumerate(results) if one.best.step]
    found = dict(zip(left, scores(left), strict=True)) if left else {}
    for lane in range(len(results)):
        if lane not in found:
            state = start.trainable.digest(lane)
            key = id(view), method.training(), id(shown[lane]), state
            if key not in bench.tested:
                (bench.tested[key],) = scores([lane])
            found[lane] = bench.tested[key]
    return [found[lane] for lane in range(len(results))]


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
    base, lanes = base_model(bench.config.model), finished.lanes(trial)
    name = trial.method.replace(":", "-", 1)  # no sign of a path on Windows, where no source has it
    path = f"{ADAPTERS}/{trial.task}/{name}/shots-{trial.shots}-seed-{trial.seed}"
    if trial.learning_rate is not None:
        path += f"-lr-{trial.learning_rate}"
    saved, trainable = False, finished.start.trainable
    if folder is None:
        if isinstance(trainable, PromptBank):
            bench.kept[trial.id] = tuple(
                Prompt(
                    adapter_card(finished, trial, lane), tensor=trainable.value(lane)[0],
                    trains=trainable.trains,
                )
                for lane in lanes
            )  # fmt: skip
        return None
    for member, lane in enumerate(lanes):
        place = folder / path / f"member-{member}" if len(lanes) > 1 else folder / path
        saved = trainable.save(lane, place, base, adapter_card(finished, trial, lane))
        if early := finished.lane_results[lane].early:
            save_early(place / EARLY, early.step, early.start, early.value)
    return path if saved else None
