"""Which hard words a backbone answers best to: patterns of pairs and choices, on training rows.

    python -m benchmarks.words --task rte --data_dir ../shared/tasks [--rows 360]

Zero-shot accuracy and macro-F1, as they are and calibrated, of each pattern with the task's own
label words (choices: the options themselves, by the mean token). The rows are the first of the
training split, shuffled; test rows are never read. The first pattern is the product's own
(`ppt.corpus.formats`, `ppt.tasks.forms`).
"""

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ppt
from ppt.base.markdown import markdown_table
from ppt.tasks.forms import task_form
from ppt.tasks.spec import Rows
from ppt.tasks.table import TASKS

CANDIDATES = {
    "sentence_pair": (
        "{text_b}\nQuestion: {text_a}? Yes or no?\nAnswer: {mask}",
        "{text_b}\nQuestion: {text_a}?\nIn one word, the answer is {mask}",
        "{text_b}\nIs it true that {text_a}?\nIn one word, the answer is {mask}",
        "Passage: {text_b}\nQuestion: {text_a}?\nIn one word, {mask}",
        "{text_b}\nBased on that, is it true that {text_a}? Yes, no or maybe?\nAnswer: {mask}",
        "Statement: {text_a}\nText: {text_b}\nDoes the text support the statement?\nAnswer: {mask}",
        "Premise: {text_b}\nHypothesis: {text_a}\nIn one word, is it so? {mask}",
    ),
    "multiple_choice": (
        "{text_b}\n{text_a} {mask}",
        "Passage: {text_b}\nQuestion: {text_a}\nAnswer: {mask}",
        "{text_b}\nQuestion: {text_a}\nThe answer is {mask}",
        "{text_b}\n\nQ: {text_a}\nA: {mask}",
        "Read the passage and answer.\n{text_b}\nQuestion: {text_a}\nThe right answer is: {mask}",
    ),
}
"""Format of a task → texts in the suffix layout."""

DRAWN = 60
"""Rows of which the few are drawn that zero-shot never looks at."""

METHODS = ("zero_shot", "zero_shot_calibrated")
HEAD = ("pattern", *(f"{method}: {score}" for method in METHODS for score in ("accuracy", "F1")))


def rows_of(folder: Path, rows: int) -> list[dict[str, Any]]:
    """`rows` of the training split, the same each time."""
    lines = (folder / "train.jsonl").read_text("utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return random.Random(0).sample(records, min(rows, len(records)))


def measure(name: str, rows: Sequence[dict[str, Any]], flags: argparse.Namespace) -> None:
    """Print the table, a line as soon as it is known."""
    held = replace(TASKS[name], source=Rows(rows[:DRAWN], rows[DRAWN:]))
    choice = held.is_choice
    backbone = ppt.load_backbone(flags.model, dtype=flags.dtype, threads=flags.threads)
    form = task_form(held.format, "en", pair=True, view="texts" if choice else "plain")["suffix"]
    assert isinstance(form, dict), "a row of the table"
    print(markdown_table(HEAD, [], left=1))
    for text in (form["hard"], *CANDIDATES[held.format]):
        form["hard"] = text
        results = ppt.tune(
            ppt.load_task(held), backbone, methods=METHODS, shots=4, seeds=1,
            max_length=flags.max_length, answers="texts" if choice else "letters",
        )  # fmt: skip
        found = {run.method: run.test for run in results.runs}
        scores = [f"{one:.3f}" for name in METHODS
                  for one in (found[name].accuracy, found[name].macro_f1)]  # fmt: skip
        shown = f"`{json.dumps(text)[1:-1]}`"
        print(markdown_table((shown, *scores), []).partition("\n")[0], flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.words", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    known = [name for name, task in TASKS.items() if task.format in CANDIDATES]
    parser.add_argument("--task", required=True, choices=known)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=360)
    parser.add_argument("--max_length", type=int, default=256)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    flags = parser.parse_args(argv)
    measure(flags.task, rows_of(flags.data_dir / flags.task, flags.rows), flags)
    return 0


if __name__ == "__main__":
    sys.exit(main())
