"""What a run tells while it goes: metrics.jsonl, TensorBoard, a bar, and why it ends badly.

metrics.jsonl has a row {"split": "train", "step", "loss", ...} every `logging_steps` and
a row {"split": "validation", ...} an evaluation. A state remembers how many bytes the
file had, and a resumed run cuts it there: no row stands twice, none is lost.

The bar counts work, not steps: so evaluations move it too, the first one before any
step, and the time left is that of the whole run.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from ppt.base.extras import left_out, need
from ppt.base.files import TO_GO_ON, writing
from ppt.errors import TrainingError
from ppt.training.evaluation import Evaluation
from ppt.training.loop import Loop, Watcher
from ppt.training.objective import OneRun
from ppt.training.settings import TrainSettings
from ppt.training.state import latest

METRICS, LOSS_PNG, EVENTS = "metrics.jsonl", "loss.png", "tensorboard"


TRAINING_WORK = 2
"""What a row costs in training over what it costs in evaluation: 2.1 on the embedded backbone."""


class OnlyLane(Watcher[Evaluation]):
    """The watcher of a run of one lane, maybe in a `folder`; it ends where that lane diverges."""

    def __init__(self, settings: TrainSettings, folder: Path | None) -> None:
        self.settings, self.folder = settings, folder

    def diverged(self, _lane: int, step: int, what: str, value: float) -> None:
        """Raise TrainingError."""
        last = latest(self.folder) if self.folder else None
        good = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        raise TrainingError(
            f"the {what} is {value} at step {step}; {good}: begin anew with a lower"
            f" --learning_rate (now {self.settings.learning_rate:g}), more --warmup_steps or a"
            " smaller --max_grad_norm."
        )


class RunLog(OnlyLane):
    """The logs of a run as its watcher, from where it stands; metrics.jsonl goes on at `offset`.

    Of several processes only the first has one.
    """

    folder: Path

    def __init__(
        self, loop: Loop[Evaluation], objective: OneRun, folder: Path, offset: int, progress: str
    ) -> None:
        settings = objective.settings
        super().__init__(settings, folder)
        self.every, self._path = settings.logging_steps, folder / METRICS
        self._rows = settings.local_batch_size * loop.processes.world, objective.scored
        self._step, self._evaluations = loop.step, len(loop.courses[0].history)
        self._began, self._start = time.monotonic(), self._work(loop.step, self._evaluations)
        self._total = self._work(
            settings.max_steps, 1 + -(-settings.max_steps // settings.eval_steps)
        )
        with writing(self._path, TO_GO_ON):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _open_at(self._path, offset)
            self._events = _events(folder / EVENTS, loop.step, settings.tensorboard)
        self._bar: Any = tqdm(
            total=self._total, initial=self._start, disable=progress != "bar", dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
            desc=self._where(),
        )  # fmt: skip
        self._lines = progress == "lines"
        self._shown: dict[str, str] = {}

    def stepped(self, step: int) -> None:
        """Move the bar."""
        self._step = step
        self._move(self._where())

    def evaluating(self, share: float) -> None:
        """Move the bar within an evaluation."""
        self._move(f"{self._where()}, evaluating", share)

    def trained(self, _lane: int, row: Mapping[str, float]) -> None:
        """Log means over the last steps."""
        self._write("train", row)
        self._show(
            loss=f"{row['loss']:.3f}",
            accuracy=f"{row['accuracy']:.3f}",
            examples=f"{row['examples_per_second']:.1f}/s",
        )

    def evaluated(self, _lane: int, result: Evaluation) -> None:
        """Log scores on the validation split."""
        self._write("validation", asdict(result))
        self._show(validation=f"{result.loss:.3f}, {result.accuracy:.3f}")
        self._evaluations += 1
        self._move(self._where())
        if self._lines:
            told = ", ".join(f"{name} {value}" for name, value in self._shown.items())
            print(f"{self._where()}: {told}, {self._left()} left", file=sys.stderr)

    def offset(self) -> int:
        """The bytes of metrics.jsonl so far, which are on disk when this returns."""
        with writing(self._path, TO_GO_ON):
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close everything, after an error too."""
        self._bar.close()
        if self._events is not None:
            self._events.close()
        with writing(self._path, TO_GO_ON):
            self._file.close()

    def _write(self, split: str, row: Mapping[str, Any]) -> None:
        with writing(self._path, TO_GO_ON):
            self._file.write((json.dumps({"split": split, **row}) + "\n").encode())
            self._file.flush()
            if self._events is not None:
                for name, value in row.items():
                    if name != "step" and isinstance(value, int | float):
                        self._events.add_scalar(f"{split}/{name}", value, row["step"])

    def _show(self, **values: str) -> None:
        self._shown.update(values)
        self._bar.set_postfix(self._shown, refresh=False)

    def _move(self, where: str, share: float = 0.0) -> None:
        self._bar.set_description_str(where, refresh=False)
        self._bar.update(self._work(self._step, self._evaluations + share) - self._bar.n)

    def _work(self, steps: int, evaluations: float) -> float:
        """What is done after so many of them, in rows scored."""
        trained, scored = self._rows
        return steps * trained * TRAINING_WORK + evaluations * scored

    def _where(self) -> str:
        return f"step {self._step:,} of {self.settings.max_steps:,}"

    def _left(self) -> str:
        """The time left at this session's pace, as in 12:34."""
        done = self._work(self._step, self._evaluations)
        pace = (time.monotonic() - self._began) / max(done - self._start, 1)
        shown: str = tqdm.format_interval((self._total - done) * pace)
        return shown


def _open_at(path: Path, offset: int) -> BinaryIO:
    """Open a file of lines to append to, cut to the whole lines of its first `offset` bytes."""
    file = path.open("a+b")
    file.seek(0)
    lines, end, _ = file.read(offset).rpartition(b"\n")
    file.truncate(len(lines + end))
    return file


def _events(folder: Path, step: int, wanted: bool | None) -> Any:
    """TensorBoard's writer, if it is wanted (None: where it is installed), or None.

    It hides what an interrupted run wrote past `step`.
    """
    if wanted is False or (wanted is None and left_out("tensorboard", f"{EVENTS}/")):
        return None
    need("tensorboard", "--tensorboard=true")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
