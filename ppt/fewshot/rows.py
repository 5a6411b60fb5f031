"""What is told of a trial: its line in results.jsonl, its predictions, its adapter's card."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ppt.fewshot.answers import Outcome, Verdict, verdict, worth
from ppt.fewshot.grid import Bank
from ppt.fewshot.lanes import Tuned
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.starts import Start
from ppt.fewshot.views import Draw, Shown, TaskView
from ppt.methods import METHODS
from ppt.prompts.patterns import PATTERNS_VERSION
from ppt.results.metrics import confusion
from ppt.results.store import PREDICTION_COLUMNS
from ppt.results.trial import Trial


@dataclass(frozen=True)
class Finished:
    """A bank that is through: how each lane went, and its test scores [N, L]."""

    bank: Bank
    config: FewshotConfig
    view: TaskView
    draws: Mapping[int, Draw]
    start: Start
    tuned: Sequence[Tuned]
    tests: Sequence[Tensor]
    seconds_a_lane: float

    def lanes(self, trial: Trial) -> list[int]:
        """The lanes of a trial's members."""
        return [self.bank.lane(trial, member) for member in range(self.bank.method.members)]

    def tested(self, trial: Trial) -> Verdict:
        """What a trial's members say of the test rows."""
        return self._together(trial, self.tests)

    def validated(self, trial: Trial) -> Verdict:
        """What they say of the validation rows, each at its best step."""
        return self._together(trial, [lane.scores for lane in self.tuned])

    def _together(self, trial: Trial, scores: Sequence[Tensor]) -> Verdict:
        members = torch.stack([scores[lane] for lane in self.lanes(trial)])
        return verdict(members, METHODS[trial.method].combine)


def result_row(finished: Finished, trial: Trial, adapter: str | None) -> dict[str, Any]:
    """The line of results.jsonl."""
    method, view, draw = METHODS[trial.method], finished.view, finished.draws[trial.seed]
    lanes = finished.lanes(trial)
    tuned = [finished.tuned[lane] for lane in lanes]
    courses = [one.course for one in tuned]
    weights = [weight for lane in lanes for weight in finished.start.trainable.parameters(lane)]
    tested = finished.tested(trial)
    table = confusion(draw.test.tokens.labels, tested.said.numpy(), len(view.labels))
    return {
        **trial.columns,
        "model": finished.config.model,
        "format": view.format_of(method),
        "style": method.style,
        "init": finished.start.init,
        "demonstrations": finished.start.shown,
        "members": method.members,
        "labels": view.labels,
        "chance": draw.test.chance(view.words),
        "test_rows": len(draw.test.tokens),
        "validation": _scores(finished, finished.validated(trial), draw.validation),
        "test": _scores(finished, tested, draw.test),
        "confusion": table.tolist(),
        "curve": _mean_curve([course.history for course in courses]) if method.is_trained else [],
        "train_curve": _mean_train_curve([one.train_curve for one in tuned]),
        "steps": max(course.step for course in courses),
        "best_step": max(one.best.step for one in tuned),
        "stopped_early": any(course.stopped_early for course in courses),
        "diverged": any(course.diverged for course in courses),
        "seconds": round(finished.seconds_a_lane * len(lanes), 3),
        "parameters": sum(weight.numel() for weight in weights),
        "adapter": adapter,
    }


def prediction_table(finished: Finished, trial: Trial) -> pa.Table:
    """What was said of each test row."""
    shown, answers = finished.draws[trial.seed].test, finished.tested(trial)
    labels = np.array(finished.view.labels, dtype=object)
    true, said = shown.tokens.labels, answers.said.numpy()
    same = trial.columns
    own = {
        "id": shown.ids,
        "text": shown.texts,
        "label": labels[true],
        "prediction": labels[said],
        "probability": answers.probability.numpy(),
        "correct": true == said,
    }
    columns = {name: [value] * len(true) for name, value in same.items()}
    return pa.table({**columns, **own}, schema=PREDICTION_COLUMNS)


def adapter_card(finished: Finished, trial: Trial) -> dict[str, Any]:
    """What is to be known of a tuned prompt, beside what `save_prompt` tells."""
    method, renderer = METHODS[trial.method], finished.view.renderer
    return {
        "backbone": finished.config.model,
        "task": trial.task,
        "method": trial.method,
        "format": finished.view.format_of(method),
        "style": method.style,
        "layout": renderer.pattern.layout,
        "patterns_version": PATTERNS_VERSION,
        "label_words": list(renderer.verbalizer.words.values()),
        "init": finished.start.init,
        "shots": trial.shots,
        "seed": trial.seed,
        "learning_rate": trial.learning_rate,
        "run": trial.id,
    }


def _scores(finished: Finished, answers: Verdict, shown: Shown) -> dict[str, float]:
    result = worth(answers, shown.tokens.labels, finished.config.loss)
    return {name: value for name, value in asdict(result).items() if name != "step"}


def _mean_curve(curves: Sequence[Sequence[Outcome]]) -> list[dict[str, float]]:
    """Validation over training; of several members the mean over those still at it."""
    by_step: dict[int, list[Outcome]] = {}
    for curve in curves:
        for point in curve:
            by_step.setdefault(point.step, []).append(point)
    return [
        {
            "step": step,
            "loss": _mean([point.loss for point in points]),
            "accuracy": _mean([point.accuracy for point in points]),
        }
        for step, points in sorted(by_step.items())
    ]


def _mean_train_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[dict[str, float]]:
    by_step: dict[int, list[float]] = {}
    for curve in curves:
        for step, loss in curve:
            by_step.setdefault(step, []).append(loss)
    return [{"step": step, "loss": _mean(found)} for step, found in sorted(by_step.items())]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
