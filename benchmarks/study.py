"""The study: what a pre-trained start buys, by task, shots and method, with intervals.

    python -m benchmarks.study --data_dir ../shared/tasks --prompt data/prompts
    python -m benchmarks.study --list          # the slices, and what of them is done
    python -m benchmarks.study --page          # only write docs/results.md and its plot anew

Slices of `SLICES` run in their order, each a grid of ``python -m ppt.fewshot``, so whoever is
interrupted goes on; `--slices` chooses, `--seconds` begins no slice after that long. Rows of
finished runs are kept in benchmarks/study/, and tables and plot of docs/results.md are made from
these alone: differences are paired by seed, to the twin without a pre-trained start.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppt.base.files import save_figure, write_atomically
from ppt.base.markdown import markdown_table
from ppt.errors import ConfigError, InputError, exit_status
from ppt.fewshot.__main__ import main as fewshot
from ppt.methods import METHODS, PRETRAINED
from ppt.results.lines import read_lines
from ppt.results.plots import sample_curves
from ppt.results.report import Results, results_of
from ppt.results.rows import Row
from ppt.results.selection import RESULTS
from ppt.results.style import COLOURS, DASHES, MARKS, Look
from ppt.results.tables import interval, spread
from ppt.results.trial import place_of

ROOT = Path(__file__).parents[1]
KEPT, PAGE, PLOT = ROOT / "benchmarks/study", ROOT / "docs/results.md", ROOT / "docs/study.png"
BEGIN, END = "<!-- study -->", "<!-- end of study -->"

GRIDS = {
    "sst2": ("--max_length=96", "--max_steps=32", "--per_device_train_batch_size=8"),
    "sentiment": ("--max_length=96", "--max_steps=32", "--per_device_train_batch_size=8",
                  "--max_test_examples=400"),
    "pairs": ("--max_length=256", "--max_steps=48", "--per_device_train_batch_size=8",
              "--max_test_examples=2000"),
    "choice": ("--max_length=512", "--max_steps=32", "--per_device_train_batch_size=4",
               "--max_test_examples=2000", "--answers=texts"),
}  # fmt: skip
"""Folder of runs → the flags that decide their numbers."""

TWINS = {
    "pretrained": "prompt_tuning", "ppt": "prompt_tuning",
    "unified_pretrained": "prompt_tuning", "unified_ppt": "prompt_tuning",
    "hybrid_pretrained": "hybrid_prompt_tuning", "hybrid_ppt": "hybrid_prompt_tuning",
    "lora_pretrained": "lora", "lora_ppt": "lora",
}  # fmt: skip
"""Method with a pre-trained start → the same without."""

CURVES = (
    ("prompt_tuning", "ppt"), ("hybrid_prompt_tuning", "hybrid_ppt"), ("lora", "lora_ppt"),
)  # fmt: skip
"""What is drawn over numbers of examples, in one colour: dashed without a start, then with it;
zero-shot is dotted."""

MACHINE = ("model", "dtype", "threads", "device", "tokens_at_once")
"""Flags that go on to ppt.fewshot as they are."""

UNTRAINED = ("zero_shot", "in_context")
PROMPTS = ("prompt_tuning", "pretrained", "ppt")
HYBRID = ("hybrid_prompt_tuning", "hybrid_pretrained", "hybrid_ppt")
LORA = ("lora", "lora_pretrained", "lora_ppt")
UNIFIED = ("unified_pretrained", "unified_ppt")
OTHERS = ("prompt_tuning_random", "prompt_tuning_labels", "ensemble_vote", "fine_tuning")
CORE = ("zero_shot", *PROMPTS, *HYBRID, *LORA)


@dataclass(frozen=True)
class Slice:
    """What one call of ppt.fewshot adds to a grid."""

    grid: str
    tasks: str
    methods: tuple[str, ...]
    shots: str
    seeds: int = 5

    @property
    def runs(self) -> set[tuple[str, int, str, int]]:
        """(task, shots, method, seed) of all its runs."""
        return {
            (task, int(shots), method, seed)
            for task in self.tasks.split(",")
            for shots in self.shots.split(",")
            for method in self.methods
            for seed in range(self.seeds)
        }

    def __str__(self) -> str:
        return f"{self.tasks}, {self.shots} shots, {self.seeds} seeds: {', '.join(self.methods)}"


SLICES = (
    Slice("sst2", "sst2", CORE, "8", 10),
    Slice("sst2", "sst2", CORE, "32"),
    Slice("sentiment", "sst5", CORE, "8", 10),
    Slice("sentiment", "sst5", CORE, "32"),
    Slice("sst2", "sst2", CORE, "4,16", 10),
    Slice("sst2", "sst2", CORE, "64,256"),
    Slice("sst2", "sst2", ("in_context", *OTHERS), "32"),
    Slice("sentiment", "sst5", CORE, "16,64,256"),
    Slice("pairs", "rte,cb,boolq", (*UNTRAINED, *PROMPTS, *LORA), "32"),
    Slice("choice", "race_middle", ("zero_shot", *PROMPTS, *UNIFIED, *LORA), "32"),
)


def kept(grid: str) -> Results | None:
    """The rows of a grid that the repository keeps."""
    path = KEPT / f"{grid}.jsonl"
    if not path.is_file():
        return None
    lines = read_lines(path)
    return results_of(lines.runs.values(), lines.notes, str(path)) if lines.runs else None


def missing(part: Slice) -> int:
    """How many of its runs are not kept."""
    found = kept(part.grid)
    done = {(one.task, one.shots, one.method, one.seed) for one in found.runs} if found else set()
    return len(part.runs - done)


def page() -> str:
    """The tables of all that is kept, and what is not."""
    parts, seconds = [], 0.0
    for grid, flags in GRIDS.items():
        found = kept(grid)
        if found is None:
            continue
        seconds += sum(run.seconds for run in found.runs)
        rows = {name: _by_place(found.rows(baseline=name)) for name in _baselines(found)}
        first = next(iter(rows.values()))
        for task, shots in dict.fromkeys((task, shots) for task, shots, _ in first if task):
            tested = next(run.test_rows for run in found.runs if run.task == task)
            parts.append(f"**{task}, {shots} shots**, {tested} test rows (`{' '.join(flags)}`):")
            parts.append(_table(rows, task, shots))
    parts.append(f"Time that these rows took, by the clock: {seconds / 3600:.1f} hours.")
    left = [f"- {part} ({missing(part)} of {len(part.runs)} runs)" for part in SLICES
            if missing(part)]  # fmt: skip
    if left:
        parts += ["Not run, or not wholly; the same command adds them:", "\n".join(left)]
    return "\n\n".join(parts)


def _baselines(found: Results) -> list[str | None]:
    methods = {run.method for run in found.runs}
    return [None, *(one for one in dict.fromkeys(TWINS.values()) if one in methods)]


def _by_place(rows: Sequence[Row]) -> dict[tuple[str | None, int, str], Row]:
    return {(row.task, row.shots, row.method): row for row in rows}


HEAD = ("method", "accuracy (%)", "95% interval", "seeds", "to its twin", "95% interval of it")

Rows = dict[str | None, dict[tuple[str | None, int, str], Row]]
"""Baseline → rows with differences to it, by task, shots and method."""


def _table(rows: Rows, task: str, shots: int) -> str:
    body = []
    for method in METHODS:
        row = rows[None].get((task, shots, method))
        if row is None:
            continue
        score = row.scores["accuracy"]
        twin = TWINS.get(method)
        there = rows.get(twin, {}).get((task, shots, method)) if twin else None
        other = there.difference if there else None
        body.append((
            f"**{method}**" if METHODS[method].init == PRETRAINED else method,
            spread(score), interval(score), str(score.n),
            f"{100 * other.mean:+.1f}{there.mark}" if other and there else "",
            interval(other, "+") if other else "",
        ))  # fmt: skip
    return markdown_table(HEAD, body, 1)


def draw() -> None:
    """Draw the curves of all tasks that were run with several numbers of examples."""
    grids = [found for found in map(kept, GRIDS) if found]
    shots = {(run.task, run.shots) for found in grids for run in found.runs}
    several = Counter(task for task, _ in shots)
    looks = {
        name: Look(colour, mark, dash)
        for pair, colour in zip(CURVES, COLOURS, strict=False)
        for name, mark, dash in zip(pair, MARKS, DASHES[1::-1], strict=False)
    } | {"zero_shot": Look(COLOURS[-1], MARKS[2], DASHES[2])}
    rows = [
        row for found in grids for row in found.rows()
        if row.task and several[row.task] > 1 and row.method in looks
    ]  # fmt: skip
    if rows:
        rows.sort(key=lambda row: [*looks].index(row.method))
        chance = {run.task: run.chance for found in grids for run in found.runs}
        save_figure(PLOT, sample_curves(rows, chance, looks), dpi=120, facecolor="white")


def publish() -> None:
    """Write page and plot anew from what is kept."""
    write_atomically(PAGE, written(PAGE.read_text(encoding="utf-8")).encode())
    draw()


def written(text: str) -> str:
    """A page with the tables of now between its marks; raises InputError where it has none."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise InputError(f"{PAGE} lacks {BEGIN} and {END} after it: put these where tables go.")
    return f"{head}{BEGIN}\n\n{page()}\n\n{END}{tail}"


def keep(folder: Path, grid: str) -> None:
    """Put a grid's finished rows beside those that are kept, and write the page.

    One of another id at a place that has one was made anew, and takes it: of the two no score
    may be chosen. Prompts of this repository are named from its root.
    """
    KEPT.mkdir(exist_ok=True)
    before = kept(grid)
    runs = {place_of(run): run for run in before.runs} if before else {}
    runs |= {place_of(run): run for run in read_lines(folder / RESULTS).runs.values()}
    text = "".join(f"{run.line()}\n" for run in runs.values()).replace(f"{ROOT}/", "")
    write_atomically(KEPT / f"{grid}.jsonl", text.encode())
    publish()


def argv_of(part: Slice, flags: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The flags of ppt.fewshot."""
    yield from GRIDS[part.grid]
    yield f"--tasks={part.tasks}"
    yield f"--methods={','.join(part.methods)}"
    yield f"--shots={part.shots}"
    yield f"--seeds={part.seeds}"
    yield f"--output_dir={folder}"
    for name in ("data_dir", "prompt", *MACHINE):
        if getattr(flags, name) is not None:
            yield f"--{name}={getattr(flags, name)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, slice by slice, and write the page after each."""
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", help="as of ppt.fewshot")
    parser.add_argument("--prompt", default="data/prompts", help="as of ppt.fewshot")
    parser.add_argument("--output_dir", type=Path, default=Path("results/study"))
    parser.add_argument("--slices", help="numbers from --list, with commas; all if left out")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--list", action="store_true", help="the slices, and what is missing")
    parser.add_argument("--page", action="store_true", help="only write page and plot")
    for name in MACHINE:
        parser.add_argument(f"--{name}", help="as of ppt.fewshot")
    flags = parser.parse_args(argv)
    if flags.list:
        for number, part in enumerate(SLICES):
            print(f"{number}: {part} ({missing(part)} of {len(part.runs)} missing)")
        return 0
    if flags.page:
        publish()
        return 0
    known = {str(number): part for number, part in enumerate(SLICES)}
    chosen = flags.slices.split(",") if flags.slices else list(known)
    if strange := [one for one in chosen if one not in known]:
        raise ConfigError(
            f"--slices: got {strange[0]!r}, expected numbers from 0 to {len(SLICES) - 1}: --list"
            " shows them."
        )
    began = time.monotonic()
    for part in (known[number] for number in chosen):
        if time.monotonic() - began > flags.seconds:
            print("time is up: the same command goes on")
            break
        folder = flags.output_dir / part.grid
        if status := fewshot([*argv_of(part, flags, folder)]):
            return status
        keep(folder, part.grid)
    return 0


if __name__ == "__main__":
    sys.exit(main())
