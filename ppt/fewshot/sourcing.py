"""From other tasks to a start: what each lane of a transfer method begins with.

A target is known by a soft prompt that is tuned on its few examples up to the early step, from
the same start for all targets and seeds: from starts of their own, the starts would differ
more than the tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import Corpus
from ppt.fewshot.bench import Workbench
from ppt.fewshot.lanes import Curves, Lane, run_lanes, tune
from ppt.fewshot.loans import Borrowed
from ppt.fewshot.mixture import EVALUATIONS, Mixture, Portion
from ppt.fewshot.predictions import Outcome
from ppt.fewshot.shelving import shelve_mixture
from ppt.fewshot.starts import Beginning, Loan, beginnings
from ppt.fewshot.views import Draw
from ppt.methods import AVERAGE, BEST, METHODS, MIXTURE, ONE, TASKS, VECTORS, Method
from ppt.prompts.early import Early, save_early
from ppt.prompts.rendering import Renderer
from ppt.results.folder import embedding_file
from ppt.results.selection import LENT
from ppt.results.trial import Trial
from ppt.tasks.loading import TaskData
from ppt.training.evaluation import Course
from ppt.training.examples import load_examples
from ppt.training.trainables import PromptBank, Trainable
from ppt.transfer.similarity import weights
from ppt.transfer.sources import Source, ranked

PLAIN = METHODS["prompt_tuning"]
"""How prompts on the way to a start begin."""

EMBEDDING_SEED = 0
"""Of the start from which all targets are tuned to their embeddings."""

HELD = 64
"""Rows of a corpus that validate in a mixture: a few of each task are enough."""


@dataclass(frozen=True)
class Asked:
    """A start that is asked for: of a method on a task, for the rows that one seed draws."""

    bench: Workbench
    method: Method
    trial: Trial
    beginning: Beginning
    draw: Draw
    on_step: Callable[[int], None]

    @property
    def borrowed(self) -> Borrowed:
        """The sources and data that the method may use."""
        found = self.bench.begins[self.trial.task, self.trial.method]
        assert isinstance(found, Borrowed), found
        return found

    def plain_start(self, seed: int, length: int | None = None) -> Tensor:
        """A prompt [P, H] of sampled vocabulary."""
        config = self.bench.config
        config = replace(config, prompt_length=length or config.prompt_length)
        plain = replace(self.beginning, method=PLAIN, seeds=[seed], config=config)
        return beginnings(plain)[0][0]


def lent(
    bench: Workbench, trial: Trial, beginning: Beginning, draws: Mapping[int, Draw],
    places: Sequence[tuple[int, float | None, int]], on_step: Callable[[int], None],
) -> Beginning:  # fmt: skip
    """`beginning` with the loan of each lane, whose (seed, rate, member) are `places`."""
    method = beginning.method
    if method.transfer is None:
        return beginning
    asked = {
        seed: Asked(bench, method, replace(trial, seed=seed), beginning, draw, on_step)
        for seed, draw in draws.items()
    }
    if method.trains != "prompt":
        first = asked[trial.seed]
        return replace(beginning, before=lambda weights: _train_together(first, weights))
    found = {seed: WAYS[method.transfer](one) for seed, one in asked.items()}
    return replace(beginning, loans=[found[seed][member] for seed, _, member in places])


def target_embedding(asked: Asked) -> Early:
    """What the target is known by; kept in the results folder, for ``python -m ppt.transfer``.

    It is as long as the sources. What is kept is written each time: of several lengths that of
    the last method stays, also where those before it had been run already.
    """
    bench, trial = asked.bench, asked.trial
    length = len(asked.borrowed.sources[0].embedding)
    place = trial.task, trial.shots, trial.seed
    found = bench.targets.get((*place, length)) or _tuned_target(asked, length)
    bench.targets[(*place, length)] = found
    if bench.folder is not None:
        save_early(embedding_file(bench.folder, *place), found.step, found.start, found.value)
    return found


def _tuned_target(asked: Asked, length: int) -> Early:
    """A prompt of so many tokens at the early step on the target's rows."""
    bench, config = asked.bench, asked.bench.config
    step = config.early_step
    settings = replace(
        config.steps_of(asked.method), max_steps=step, eval_steps=step,
        lr_scheduler_type="constant", warmup_steps=0, early_stopping_patience=0,
    )  # fmt: skip
    start = asked.plain_start(EMBEDDING_SEED, length)
    rate, draw = config.prompt_rate(), asked.draw
    (result,) = tune(
        PromptBank(bench.backbone, [start]),
        [Lane(draw.train.tokens, draw.validation.tokens, rate, asked.trial.seed)],
        settings, asked.beginning.view.words,
        tokens_at_once=config.tokens_at_once, on_step=asked.on_step, keep_step=step,
    )  # fmt: skip
    assert result.early is not None
    return result.early


def _near(asked: Asked) -> list[tuple[Source, float]]:
    target, measure = target_embedding(asked).value, asked.bench.config.similarity
    return ranked(asked.borrowed.sources, target, asked.method.nearest, measure)


def _told(near: Sequence[tuple[Source, float]]) -> str:
    return LENT + ",".join(f"{one.name}={similarity:.3f}" for one, similarity in near)


def _one(asked: Asked) -> list[Loan]:
    """The prompt that was named; with a results folder what the target is known by is kept."""
    (source,) = asked.borrowed.sources
    if asked.bench.folder is not None:
        target_embedding(asked)
    return [Loan(source.values, LENT + source.name, source)]


def _best(asked: Asked) -> list[Loan]:
    """Each of the nearest for a member of its own; which is best their validation tells."""
    near = _near(asked)
    return [Loan(source.values, _told(near), source) for source, _ in near]


def _average(asked: Asked) -> list[Loan]:
    """The weighted mean of the nearest (Vu et al. 2022)."""
    near = _near(asked)
    shares = weights([similarity for _, similarity in near])
    mean = torch.stack([w * one.values for w, (one, _) in zip(shares, near, strict=True)]).sum(0)
    return [Loan(mean, _told(near))]


def _vectors(asked: Asked) -> list[Loan]:
    """A start of the target's own, and what training added to each of the nearest.

    Task prompt vectors (arXiv 2408.01119): the sum of best - start over the sources.
    """
    near = _near(asked)
    value = asked.plain_start(asked.trial.seed, len(near[0][0].values))
    for source, _ in near:
        assert source.early is not None, "sources without a start were left out"
        value = value + source.values - source.early.start
    return [Loan(value, _told(near))]


def _mixture(asked: Asked) -> list[Loan]:
    """A prompt that is trained on the data of the nearest, and of the target."""
    near, draw = _near(asked), asked.draw
    rows, held, words = draw.train.tokens, draw.validation.tokens, asked.beginning.view.words
    theirs = (_portion(asked, asked.borrowed.data[one.name]) for one, _ in near)
    portions = [Portion(len(rows), rows, held, words), *theirs]
    return [Loan(_mixed_prompt(asked, portions)[0], _told(near))]


def _tasks(asked: Asked) -> list[Loan]:
    """A prompt that is trained on all tasks of the grid: one for all targets of a seed."""
    names = tuple(asked.borrowed.data)
    key = names, _shots_of(asked), asked.trial.seed
    if key not in asked.bench.mixed:
        value, early, course = _mixed_prompt(asked, _together(asked))
        asked.bench.mixed[key] = value
        if asked.trial.seed == asked.bench.config.seed_numbers[0]:
            shelve_mixture(
                asked.bench.config, names, asked.borrowed.digest, asked.bench.backbone.kind,
                value, early, course,
            )  # fmt: skip
    return [Loan(asked.bench.mixed[key], f"tasks:{','.join(names)}")]


WAYS: Mapping[str, Callable[[Asked], list[Loan]]] = {
    ONE: _one,
    BEST: _best,
    AVERAGE: _average,
    VECTORS: _vectors,
    MIXTURE: _mixture,
    TASKS: _tasks,
}
"""`Method.transfer` → the loan of each member."""


def _mixed_prompt(
    asked: Asked, portions: Sequence[Portion]
) -> tuple[Tensor, Early | None, Course[Outcome]]:
    """A prompt [P, H] from sampled vocabulary, trained on a mixture; how it was early, and went."""
    config = asked.bench.config
    bank = PromptBank(asked.bench.backbone, [asked.plain_start(asked.trial.seed)])
    course, curves = _train(asked, bank, portions, config.prompt_rate())
    return bank.value(0)[0], curves.kept(0, course), course


def _train_together(asked: Asked, weights: Trainable) -> None:
    """Train all weights on the grid's tasks, each text behind its task's name."""
    rate = asked.bench.config.learning_rate or asked.method.rates[asked.bench.config.optimizer]
    _train(asked, weights, _together(asked), rate)


def _train(
    asked: Asked, trainable: Trainable, portions: Sequence[Portion], rate: float
) -> tuple[Course[Outcome], Curves]:
    """Train the one lane as on a task, and leave it at its best step by mean loss."""
    config = asked.bench.config
    steps, count = config.steps_of(asked.method), config.mixture_steps
    settings = replace(
        steps, max_steps=count, eval_steps=max(1, count // EVALUATIONS), learning_rate=rate,
        warmup_steps=min(steps.warmup_steps, count), metric_for_best_model="loss",
    )  # fmt: skip
    mixture = Mixture(
        trainable, portions, settings,
        cap=config.mixture_cap, seed=asked.trial.seed, tokens_at_once=config.tokens_at_once,
    )  # fmt: skip
    (course,), curves = run_lanes(mixture, [settings], asked.on_step, config.kept_step)
    return course, curves


def _together(asked: Asked) -> list[Portion]:
    shots = dict(_shots_of(asked))
    return [_portion(asked, data, shots[name]) for name, data in asked.bench.tasks.items()]


def _shots_of(asked: Asked) -> tuple[tuple[str, int], ...]:
    """The rows that each task of the grid gives: as many as the target, or all where it does."""
    tasks, shots = asked.bench.tasks, asked.trial.shots
    everything = shots == tasks[asked.trial.task].all_shots
    return tuple((name, one.all_shots if everything else shots) for name, one in tasks.items())


def _portion(asked: Asked, data: TaskData | Corpus, shots: int | None = None) -> Portion:
    """A task's part of a mixture: of a source all its rows, as many as the steps could take."""
    bench, config = asked.bench, asked.bench.config
    most = config.mixture_steps * config.per_device_train_batch_size
    if isinstance(data, TaskData):
        view = bench.view(data, asked.method)
        given = data.all_shots if shots is None else shots
        seed = EMBEDDING_SEED if shots is None else asked.trial.seed
        train, held = view.sides(given, seed, most)
        return Portion(given, train.tokens, held.tokens, view.words)
    renderer = Renderer.standard(
        data.manifest.format, bench.backbone.layout, asked.method.style, bench.backbone.tokenizer,
        config.max_length, config.answers if FORMATS[data.manifest.format].texts else "letters",
    )  # fmt: skip
    rows = load_examples(data, renderer, most, HELD, progress=False)
    return Portion(data.manifest.rows["train"], rows.train, rows.validation, rows.words)
