"""A run that ended, as a classifier of rows without labels: what few-shot tuning was for."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppt.backbones.base import Backbone
from ppt.backbones.checks import weights_digest
from ppt.backbones.loading import torch_as_usual
from ppt.base.extras import need
from ppt.errors import ConfigError, InputError, brief
from ppt.fewshot.choosing import pretrained_prompt
from ppt.fewshot.lanes import score_rows
from ppt.fewshot.memory import Score, afresh
from ppt.fewshot.predictions import Predictions, predict
from ppt.fewshot.settings import FewshotConfig, split
from ppt.fewshot.starts import Beginning, Start, started
from ppt.fewshot.views import Shown, TaskView
from ppt.methods import BEST, PRETRAINED, find_method
from ppt.prompts.batches import TokenRows
from ppt.prompts.files import Prompt, open_prompt
from ppt.results.run import Run
from ppt.results.selection import CHECKPOINT, is_bare, is_untouched
from ppt.tasks.loading import TaskData
from ppt.tasks.readers import Table, rows_table
from ppt.tasks.rejects import RowReject
from ppt.tasks.spec import Task
from ppt.tasks.unlabelled import Unlabelled, label_columns, unlabelled
from ppt.training.kinship import doubts
from ppt.transfer.library import find_prompts, words_changed

AT_ONCE = 512
"""Rows that are scored between two looks at how far it is."""


def kept_prompts(folder: Path, run: Run) -> tuple[Prompt, ...]:
    """What a run has tuned, as its results folder keeps it: a prompt or adapter, several of an
    ensemble; none where nothing was tuned, or it was cleared away.
    """
    if run.adapter is None:
        return ()
    place = folder / run.adapter
    places = (one for one in sorted(place.glob("member-*")) or [place] if one.is_dir())
    return tuple(one for one in map(open_prompt, places) if one.card)


def needed_prompts(
    run: Run, task: Task, config: FewshotConfig, tuned: Sequence[Prompt]
) -> Sequence[Prompt]:
    """Its means: what it has `tuned`, or the pre-trained prompt that it took as it is, from
    where it lay, or from `config.prompt`.

    Raises PPTError where that is not there, not all of it, or of another run.
    """
    count = 1 if find_method(run.method).combine == BEST else run.members
    own = [one for one in tuned if one.card.get("run", run.run) == run.run]
    if run.adapter and len(own) != count:
        raise InputError(
            f"run {run.run}: of what it has tuned, {run.adapter} in its results holds {len(own)} of"
            f" {count} whole: copy the whole folder, or take another run."
        )
    if tuned or not is_untouched(run):
        return tuned
    place = str(run.init).removeprefix(CHECKPOINT)
    if config.prompt is None and not Path(place).exists():
        raise InputError(
            f"run {run.run} took {place} as it was, which is not there: give it as --prompt (from"
            " Python as prompt)."
        )
    given = find_prompts(split(config.prompt) if config.prompt else [place])
    return (pretrained_prompt(config, run.method, task, given),)


@dataclass(frozen=True)
class Labelled:
    """Rows with their labels, in the order in which they were read; `rejects` are the others.

    To the `columns` that were read come `prediction`, which is what the label column of the task
    holds; `probability`; and that of each label, as ``p(<label>)`` (of a majority vote the
    probability is the share of votes, and these are means over the members).
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    rejects: tuple[RowReject, ...]
    cut: int = 0
    """Rows whose texts were longer than ``--max_length``."""

    def to_pandas(self) -> Any:
        """A DataFrame; raises ConfigError where pandas is not installed."""
        need("pandas", "to_pandas()")
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows], columns=self.columns)


@dataclass(frozen=True)
class Classifier(AbstractContextManager["Classifier"]):
    """A run's prompts (or adapter, or hard words alone) before a backbone.

    An adapter is in the backbone's weights until `close`; prompts leave them as they are.
    """

    run: Run
    view: TaskView
    starts: list[Start]
    config: FewshotConfig
    held: ExitStack
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls, run: Run, task: Task, backbone: Backbone, config: FewshotConfig,
        prompts: Sequence[Prompt], model: str = "",
    ) -> "Classifier":  # fmt: skip
        """The classifier of a run of `task`, with what it has tuned, before a model of the digest
        `model`, if that is known. Raises PPTError.
        """
        backbone.require_plain()
        method = find_method(run.method)
        data = TaskData(task, (), (), (), {}, {})
        view = TaskView.of(data, method, backbone, config.max_length, None, config.answers)
        prompts = needed_prompts(run, task, config, prompts)
        _require_same_view(run, view, prompts)
        if prompts:  # they are what it begins with, wherever the run itself has begun
            method = replace(method, init=PRETRAINED, transfer=None)
        elif not is_bare(run):
            raise ConfigError(f"run {run.run} of {run.method} leaves nothing that labels rows.")
        own = replace(config, residual=0)  # which is in the prompts already
        none = view.shown([])  # a prompt that is made needs no examples
        with ExitStack() as stack:
            starts = []
            for prompt in prompts or (None,):
                beginning = Beginning(method, backbone, view, none, [run.seed], own, prompt)
                start = stack.enter_context(started(beginning))
                read = tuple(prompt.card.get("text_start") or ()) if prompt else ()
                starts.append(replace(start, start=read))
            notes = doubts(prompts, backbone, config.model)
            if not notes and model not in ("", weights_digest(backbone)):
                notes = [f"the results are of other weights than those of {config.model} now."]
            if is_untouched(run) and run.init_digest not in (None, prompts[0].digest):
                notes = [*notes, f"{prompts[0]} is another prompt than run {run.run} took."]
            return cls(run, view, starts, own, stack.pop_all(), notes)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the backbone as it was. What was predicted stays, and no more can be."""
        self.starts.clear()
        self.held.close()

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Labelled:
        """The rows, mappings by the task's columns, with their labels.

        Raises InputError where a column is missing or has the name of one that rows get, or no row
        is usable; ConfigError as `label` does.
        """
        table = rows_table("the rows", rows)
        return self.label(table, *unlabelled(self.view.task, table))

    @torch_as_usual()
    def label(
        self,
        table: Table,
        usable: Sequence[Unlabelled],
        rejects: Sequence[RowReject],
        on_rows: Callable[[int], None] = lambda _: None,
        recall: Callable[[TokenRows, Score], Tensor] = afresh,
    ) -> Labelled:
        """The usable rows of a table with their labels; `on_rows` is told how many more have one.

        `recall` may know scores from before, by the same `scorer`. Raises ConfigError once the
        classifier is closed, or while another one's adapter is in the backbone's weights.
        """
        if not self.starts:
            raise ConfigError("this classifier is closed: load it again.")
        if find_method(self.run.method).trains != "lora":  # whose own adapter is in the weights
            self.starts[0].trainable.backbone.require_plain()
        found, cut, rest = list[Mapping[str, Any]](), 0, iter(usable)
        own = label_columns(self.view.task)
        while some := list(islice(rest, AT_ONCE)):
            shown = self.view.shown([one.example for one in some])
            scores = recall(shown.tokens, partial(self._scores, shown))
            told = predict(scores, find_method(self.run.method).combine)
            found += _answered(some, told, own)
            cut += shown.tokens.cut
            on_rows(len(some))
        return Labelled((*table.columns, *own), tuple(found), tuple(rejects), cut)

    @property
    def scorer(self) -> str:
        """What all bits of scores depend on, but for the rows."""
        trainable, words = self.starts[0].trainable, self.view.words
        parts = [(one.trainable.digest(0), one.start) for one in self.starts]
        how = (self.config.loss, self.config.tokens_at_once, words.ids.tolist(), words.per_token)
        backbone = trainable.backbone
        machine = (backbone.dtype, backbone.device, torch.get_num_threads(), torch.__version__)
        told = repr((weights_digest(backbone), parts, how, machine))
        return hashlib.sha256(told.encode()).hexdigest()

    def _scores(self, shown: Shown) -> Tensor:
        """Scores [M, N, L] of N rows by the run's members."""
        every = np.arange(len(shown.tokens))[None]
        members = [
            score_rows(
                one.trainable, [0], one.rows(shown), every, self.view.words,
                loss=self.config.loss, tokens_at_once=self.config.tokens_at_once,
            )[0]
            for one in self.starts
        ]  # fmt: skip
        return torch.stack(members)


def _answered(
    rows: Iterable[Unlabelled], told: Predictions, names: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """Rows with what their label columns would hold, and the probabilities of all labels."""
    best, probability = told.predicted.tolist(), told.probability.tolist()
    each = told.scores.softmax(-1).tolist()
    for row, label, sure, shares in zip(rows, best, probability, each, strict=True):
        values = (row.answers[label], sure, *shares)
        yield {**row.fields, **dict(zip(names, values, strict=True))}


def _require_same_view(run: Run, view: TaskView, prompts: Iterable[Prompt]) -> None:
    """Refuse a task with other labels, words or pattern than those that the run was of."""
    words = [*view.renderer.verbalizer.words.values()]
    found: list[tuple[str, Any, Any]] = [("labels", [*view.labels], [*run.labels])]
    for card in (one.card for one in prompts if "task" in one.card):  # not what is untouched
        found.append(("label words", words, card.get("label_words", words)))
        now = view.pattern_text
        found.append(("pattern", now, card.get("pattern", now)))
    for name, now, then in found:
        if now != then:
            raise InputError(
                f"task {view.task.name} has the {name} {brief(now)}, but run {run.run} was tuned"
                f" with {brief(then)}: give the task as it was."
            )
    for one in prompts:
        if words_changed(one):
            raise InputError(
                f"what was tuned in {one} was trained beside other hard words than those of today:"
                " tune it anew."
            )
