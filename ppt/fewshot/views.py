"""The rows of a task as a method shows them: drawn by seed, rendered, and kept for the next.

Methods that show a task alike (pattern and label words) share its rendered rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ppt.backbones.base import Backbone
from ppt.backbones.calibration import content_free
from ppt.methods import Method
from ppt.prompts.batches import TokenRows, pack
from ppt.prompts.patterns import Example, rendered_text
from ppt.prompts.rendering import Renderer
from ppt.prompts.tensors import LabelWords
from ppt.tasks.loading import TaskData
from ppt.tasks.spec import Task
from ppt.tasks.splits import subset
from ppt.training.evaluation import option_counts


@dataclass(frozen=True)
class Shown:
    """Rows as examples and as tokens."""

    examples: Sequence[Example]
    tokens: TokenRows
    renderer: Renderer

    @cached_property
    def ids(self) -> list[str]:
        """The rows' own ids, [N]."""
        return [str(example["id"]) for example in self.examples]

    @cached_property
    def texts(self) -> list[str]:
        """The rows as people read them, uncut, with ``<X>`` for the label word, [N]."""
        return [rendered_text(example, self.renderer.pattern) for example in self.examples]

    def chance(self, words: LabelWords) -> float:
        """The accuracy of blind guessing: the mean of 1 / options over rows."""
        return float((1 / option_counts(self.tokens, words)).mean())


@dataclass(frozen=True)
class Draw:
    """The rows of one seed; the test is the same object for all seeds where it is the same."""

    train: Shown
    validation: Shown
    test: Shown


@dataclass
class TaskView:
    """A task as one pattern and verbalizer show it to a backbone."""

    data: TaskData
    renderer: Renderer
    unified: bool
    max_test_examples: int | None
    _tests: dict[tuple[str, ...], Shown] = field(default_factory=dict)

    @classmethod
    def of(
        cls, data: TaskData, method: Method, backbone: Backbone, max_length: int,
        max_test_examples: int | None, answers: str = "letters",
    ) -> "TaskView":  # fmt: skip
        """The view that a method has."""
        task, unified = data.task, method.unified
        by_text = answers == "texts" and (task.is_choice or unified)
        pattern = task.pattern(backbone.layout, method.style, unified, by_text=by_text)
        if method.named:
            pattern = pattern.behind(f"{task.name}: ")
        words = task.verbalizer(unified)
        renderer = Renderer(pattern, words, backbone.tokenizer, max_length, by_text)
        return cls(data, renderer, unified, max_test_examples)

    @cached_property
    def words(self) -> LabelWords:
        """The label words as tokens."""
        return self.renderer.words()

    @property
    def labels(self) -> list[str]:
        """What reports call the labels, in their order."""
        return [one.title for one in self.task.labels]

    @property
    def format(self) -> str:
        """The format that the task is shown in."""
        return "unified" if self.unified else self.task.format

    @property
    def task(self) -> Task:
        """What is shown."""
        return self.data.task

    @property
    def pattern_text(self) -> str:
        """How its rows look: ``{text_a}`` and so on for their own texts, ``<X>`` for the word."""
        pair, choice = bool(self.task.columns.text_b), self.task.is_choice
        row = {
            "text_a": "{text_a}",
            "text_b": "{text_b}" if pair else None,
            "options": ["{option}"] * 2 if choice else None,
            "label": 0,
        }
        (example,) = self.task.examples([row], self.unified)
        return rendered_text(example, self.renderer.pattern)

    def draw(self, shots: int, seed: int) -> Draw:
        """The rows of one seed."""
        few = self.data.few_shot(shots, seed)
        ids = [str(row["id"]) for row in few.test]
        chosen = subset(ids, self.max_test_examples)
        key = tuple(ids[row] for row in chosen)
        if key not in self._tests:
            self._tests[key] = self.shown([few.test[row] for row in chosen])
        return Draw(self.shown(few.train), self.shown(few.validation), self._tests[key])

    def sides(self, shots: int, seed: int, most: int) -> tuple[Shown, Shown]:
        """Of the rows of one seed those that train, `most` at most, and that validate."""
        split, rows = self.data.split(shots, seed), self.data.train
        return (
            self.shown([rows[row] for row in split.train[:most]]),
            self.shown([rows[row] for row in split.validation]),
        )

    def content_free(self, shown: Shown) -> Shown:
        """Rows without content, `CONTENT_FREE` of them in turn: for each row where options show.

        Else they would all be the same, and those of one row serve all.
        """
        options = self.renderer.by_text or self.renderer.pattern.lettered
        each = shown.examples if options else shown.examples[:1]
        examples = [free for one in each for free in content_free(one)]
        return Shown(examples, pack(self.renderer.rows(examples)), self.renderer)

    def shown(self, rows: Sequence[Example]) -> Shown:
        """Rows of the task as it is shown."""
        examples = self.task.examples(rows, self.unified)
        return Shown(examples, pack(self.renderer.rows(examples)), self.renderer)
