"""What is told of a trial: its line in results.jsonl, its predictions, its adapter's card; of a
bank of trials a line for people.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ppt.backbones.checks import weights_digest
from ppt.fewshot.grid import Bank
from ppt.fewshot.lanes import LaneResult
from ppt.fewshot.predictions import Predictions, measure, predict
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.starts import Start
from ppt.fewshot.views import Draw, Shown, TaskView
from ppt.methods import BEST, find_method
from ppt.prompts.patterns import PATTERNS_VERSION
from ppt.results.predictions import PREDICTION_COLUMNS
from ppt.results.run import Point, Run, Scores
from ppt.results.statistics import confusion
from ppt.results.trial import Trial
from ppt.training.evaluation import best_of


@dataclass(frozen=True)
class Finished:
    """A bank that is through: how each lane went, and its test scores [N, L]."""

    bank: Bank
    config: FewshotConfig
    view: TaskView
    draws: Mapping[int, Draw]
    start: Start
    lane_results: Sequence[LaneResult]
    tests: Sequence[Tensor]
    seconds_a_lane: float
    begun: str | None = None
    """The digest of the pre-trained prompt, if it began with one."""

    def lanes(self, trial: Trial) -> list[int]:
        """The lanes of a trial's members; where validation takes one of them, that one."""
        lanes = [self.bank.lane(trial, member) for member in range(self.bank.method.members)]
        if find_method(trial.method).combine != BEST:
            return lanes
        outcomes = [self.lane_results[lane].best for lane in lanes]
        best = best_of(outcomes, self.config.metric_of(self.bank.method))
        return [lanes[outcomes.index(best)]]

    def tested(self, trial: Trial) -> Predictions:
        """What a trial's members predict of the test rows."""
        return self._together(trial, self.tests)

    def validated(self, trial: Trial) -> Predictions:
        """What they predict of the validation rows, each at its best step."""
        return self._together(trial, [lane.scores for lane in self.lane_results])

    def _together(self, trial: Trial, scores: Sequence[Tensor]) -> Predictions:
        members = torch.stack([scores[lane] for lane in self.lanes(trial)])
        return predict(members, find_method(trial.method).combine)


def result_row(finished: Finished, trial: Trial, adapter: str | None) -> Run:
    """The trial as a run, a line of results.jsonl."""
    method, view, draw = find_method(trial.method), finished.view, finished.draws[trial.seed]
    lanes = finished.lanes(trial)
    results = [finished.lane_results[lane] for lane in lanes]
    courses = [one.course for one in results]
    tested = finished.tested(trial)
    table = confusion(draw.test.tokens.labels, tested.predicted.numpy(), len(view.labels))
    curves = (
        [{"step": one.step, "loss": one.loss, "accuracy": one.accuracy} for one in course.history]
        for course in courses
    )
    losses = ([{"step": step, "loss": loss} for step, loss in one.train_curve] for one in results)
    return Run(
        **trial.columns,
        model=finished.config.model,
        format=view.format,
        style=method.style,
        init=finished.start.told(lanes[0]),
        init_digest=finished.begun,
        demonstrations=finished.start.shown,
        members=method.members,
        labels=tuple(view.labels),
        chance=draw.test.chance(view.words),
        test_rows=len(draw.test.tokens),
        validation=_scores(finished, finished.validated(trial), draw.validation),
        test=_scores(finished, tested, draw.test),
        confusion=tuple(map(tuple, table.tolist())),
        curve=_mean_curve(curves) if method.is_trained else (),
        train_curve=_mean_curve(losses),
        steps=max(course.step for course in courses),
        best_step=max(one.best.step for one in results),
        stopped_early=any(course.stopped_early for course in courses),
        diverged=any(course.diverged for course in courses),
        seconds=round(finished.seconds_a_lane * method.members, 3),
        parameters=sum(one.parameters for one in results),
        adapter=adapter,
    )


def summary(name: str, runs: Sequence[Run]) -> str:
    """A line for a bank of runs: means over them."""
    parts = [f"{name}: {len(runs)} run{'s' * (len(runs) > 1)}"]
    for side in ("validation", "test"):
        mean = sum(getattr(run, side).accuracy for run in runs) / len(runs)
        parts.append(f"{side} {mean:.3f}")
    parts.append(f"{sum(run.seconds for run in runs):.0f} s")
    diverged = sum(run.diverged for run in runs)
    return ", ".join(parts) + (f"; {diverged} diverged and stopped" if diverged else "")


def prediction_table(finished: Finished, trial: Trial) -> pa.Table:
    """What was predicted of each test row."""
    shown, predictions = finished.draws[trial.seed].test, finished.tested(trial)
    labels = np.array(finished.view.labels, dtype=object)
    true, predicted = shown.tokens.labels, predictions.predicted.numpy()
    own = {
        "id": shown.ids,
        "text": shown.texts,
        "label": labels[true],
        "prediction": labels[predicted],
        "probability": predictions.probability.numpy(),
        "correct": true == predicted,
    }
    columns = {name: [value] * len(true) for name, value in trial.columns.items()}
    return pa.table({**columns, **own}, schema=PREDICTION_COLUMNS)


def adapter_card(finished: Finished, trial: Trial, lane: int) -> dict[str, Any]:
    """What is to be known of what a lane has tuned, beside what `save_prompt` tells."""
    method, renderer = find_method(trial.method), finished.view.renderer
    result = finished.lane_results[lane]
    source = finished.start.loans[lane].source if finished.start.loans else None
    return {
        "backbone": finished.config.model,
        "task": trial.task,
        "method": trial.method,
        "format": finished.view.format,
        "style": method.style,
        "layout": renderer.pattern.layout,
        "patterns_version": PATTERNS_VERSION,
        "pattern": finished.view.pattern_text,
        "label_words": list(renderer.verbalizer.words.values()),
        "init": finished.start.told(lane),
        "source": source and source.name,
        "source_digest": source and source.prompt.digest,
        "steps": result.course.step,
        "best_step": result.best.step,
        "validation": {"accuracy": result.best.accuracy, "loss": result.best.loss},
        "text_start": list(finished.start.start),
        "shots": trial.shots,
        "seed": trial.seed,
        "learning_rate": trial.learning_rate,
        "run": trial.id,
        "weights_sha256": weights_digest(finished.start.trainable.backbone),
    }


def _scores(finished: Finished, predictions: Predictions, shown: Shown) -> Scores:
    one = measure(predictions, shown.tokens.labels, finished.config.loss)
    return Scores(one.loss, one.accuracy, one.macro_f1, one.rows)


def _mean_curve(curves: Iterable[Sequence[Point]]) -> tuple[Point, ...]:
    """Point by point the mean over the members that are still at it."""
    by_step: dict[float, list[Point]] = {}
    for point in chain.from_iterable(curves):
        by_step.setdefault(point["step"], []).append(point)
    return tuple(
        {name: step if name == "step" else fmean([one[name] for one in points])
         for name in points[0]}
        for step, points in sorted(by_step.items())
    )  # fmt: skip
