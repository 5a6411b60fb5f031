"""What is told of a trained prompt: README.md and loss.png beside it, the table on screen."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from ppt.base.files import save_figure
from ppt.base.markdown import markdown_table
from ppt.errors import InputError, visible
from ppt.prompts.foreign import readable
from ppt.training.evaluation import Course, Evaluation
from ppt.training.log import LOSS_PNG, METRICS


def scores_rows(first: Evaluation, best: Evaluation) -> list[tuple[str, str, str, str]]:
    """(what, before, after, chance): loss, accuracy, and accuracy by options where they differ.

    Of tokens, which have no options, the perplexity too.
    """
    rows = [
        ("validation loss", f"{first.loss:.4f}", f"{best.loss:.4f}", ""),
        ("accuracy", f"{first.accuracy:.3f}", f"{best.accuracy:.3f}", f"{best.chance:.3f}"),
    ]
    if not best.by_options:
        before, after = (f"{math.exp(min(one.loss, 700)):,.1f}" for one in (first, best))
        rows.insert(1, ("perplexity", before, after, f"{1 / best.chance:,.0f}"))
    if len(best.by_options) > 1:
        for count, now in best.by_options.items():
            own = first.by_options[count]
            rows.append(
                (
                    f"accuracy, {count} options (n = {now['rows']})",
                    f"{own['accuracy']:.3f}",
                    f"{now['accuracy']:.3f}",
                    f"{now['chance']:.3f}",
                )
            )
    return rows


def show_scores(course: Course[Evaluation], metric: str, what: str, place: Path) -> None:
    """Print the scores before and after, and the `place` of the best step's result, `what`."""
    first, best = course.first, course.best(metric)
    table = Table(title=_count(best), title_justify="left")
    table.add_column("")
    for name in ("step 0", f"step {best.step} (best)", "chance"):
        table.add_column(name, justify="right")
    for row in scores_rows(first, best):
        table.add_row(*row)
    Console().print(table)
    early = ", stopped early" if course.stopped_early else ""
    print(f"{course.step} steps{early}; {what}step {best.step}: {place}")


def _count(best: Evaluation) -> str:
    return f"{best.rows:,} validation {'examples' if best.by_options else 'tokens'}"


TITLES = {
    "prompt": ("A pre-trained soft prompt", "prompt-tuning"),
    "kv": ("A pre-trained prompt of keys and values", "prefix-tuning"),
    "lora": ("A pre-trained LoRA adapter", "lora"),
}
"""What was trained → the card's heading, and its tag."""


def adapter_heading(what: str, place: str, base_model: str) -> str:
    """Of the adapter in `place`, a folder beside the card; `what` is a key of `TITLES`."""
    return f"""{_head(base_model, "peft", *TITLES[what])}

The folder `{place}/` is a PEFT adapter; the backbone stays as it is.

```python
from peft import PeftModel

model = PeftModel.from_pretrained(backbone, "{place}")  # backbone: {visible(base_model)}
```"""


def model_heading(base_model: str | None, place: str, loader: str) -> str:
    """Of an adapted model, or of one from nothing; `loader` is transformers' class."""
    title = f"A language model, {'adapted' if base_model else 'from nothing'}"
    return f"""{_head(base_model, "transformers", title)}

```python
from transformers import {loader}, AutoTokenizer

model = {loader}.from_pretrained("{place}")
tokenizer = AutoTokenizer.from_pretrained("{place}")
```"""


def _head(base_model: str | None, library: str, title: str, *tags: str) -> str:
    """What the hub reads of a card, in YAML, and its title."""
    base = yaml.safe_dump({"base_model": base_model}, allow_unicode=True) if base_model else ""
    told = "".join(f"- {tag}\n" for tag in (*tags, "pre-trained-prompt-tuning"))
    return f"---\n{base}library_name: {library}\ntags:\n{told}---\n\n# {title}"


def model_card(
    heading: str, facts: Mapping[str, Any], flags: Mapping[str, Any], first: Evaluation,
    best: Evaluation, *, drawn: bool,
) -> str:  # fmt: skip
    """The Markdown of README.md behind its heading; `drawn`: there is a loss.png."""
    scores = markdown_table(
        ("", "step 0", f"step {best.step} (best)", "chance"), scores_rows(first, best)
    )
    image = f"\n![loss and accuracy]({LOSS_PNG})\n" if drawn else ""
    shown = ((f"`--{name}`", f"`{value}`") for name, value in flags.items() if value is not None)
    return f"""{heading}

{markdown_table(("", ""), facts.items())}

## Scores on {_count(best)}

{scores}
{image}
## Flags

{markdown_table(("flag", "value"), shown)}
"""


DRAWN = {
    "train": ("step", "loss", "accuracy"),
    "validation": ("step", "loss", "accuracy", "chance"),
}
"""Split → what rows of metrics.jsonl have at least."""


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl; a half-written last line is left out."""
    file = folder / METRICS
    with readable(file):
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows, start=1):
        names = DRAWN.get(str(row.get("split"))) if isinstance(row, dict) else None
        if not names or not all(isinstance(row.get(name), int | float) for name in names):
            raise InputError(
                f"{file}: line {number} is no row of a run: remove that line, and give the same"
                " command again."
            )
    return rows


def draw_loss(folder: Path, rows: Sequence[Mapping[str, Any]], title: str) -> Path:
    """Draw training and validation loss, and accuracy against chance, beside metrics.jsonl."""
    from matplotlib.figure import Figure

    train = [row for row in rows if row["split"] == "train"]
    validation = [row for row in rows if row["split"] == "validation"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(visible(title), parse_math=False)
    losses, accuracies = figure.subplots(1, 2)
    for axes, name in ((losses, "loss"), (accuracies, "accuracy")):
        smooth = smoothed([row[name] for row in train])
        axes.plot([row["step"] for row in train], smooth, label="train (smoothed)")
        points = [row["step"] for row in validation], [row[name] for row in validation]
        axes.plot(*points, label="validation", marker="o", markersize=3)
        axes.set(xlabel="step", title=name)
    if validation:
        accuracies.axhline(validation[-1]["chance"], color="grey", linestyle=":", label="chance")
    for axes in (losses, accuracies):
        axes.legend(fontsize=8)
    return save_figure(folder / LOSS_PNG, figure, dpi=100)


def smoothed(values: Sequence[float], memory: float = 0.8) -> list[float]:
    """The exponential moving average, corrected for its start as Adam does."""
    means, mean = [], 0.0
    for count, value in enumerate(values, start=1):
        mean = memory * mean + (1 - memory) * value
        means.append(mean / (1 - memory**count))
    return means
