"""What Lester et al. 2021 studied of prompt tuning, on any task and backbone: a command a study.

    python -m benchmarks.lester length --tasks sst2 --data_dir ../shared/tasks
    python -m benchmarks.lester initialisation --tasks sst2 --data_dir ../shared/tasks
    python -m benchmarks.lester ensemble --tasks sst2 --data_dir ../shared/tasks
    python -m benchmarks.lester adaptation --models 0=smollm2-135m,40=adapted --tasks sst2 ...
    python -m benchmarks.lester interpolation --tasks sst2 --data_dir ../shared/tasks

The first four (their sections 3.2 and 6) are grids of ppt.fewshot, so they go on where they were
stopped. The last tests prompts on the line between those of two seeds, which it tunes first. Each
writes table.csv and plot.png into --output_dir and prints the table; further flags are those of
ppt.fewshot.
"""

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppt.base.markdown import markdown_table
from ppt.errors import exit_status
from ppt.fewshot.__main__ import load_tasks
from ppt.fewshot.__main__ import main as fewshot
from ppt.fewshot.bench import asked_backbone
from ppt.results.report import read_results
from ppt.results.run import Run
from ppt.results.statistics import Summary, summary
from ppt.results.tables import interval, spread

TUNED = "prompt_tuning"
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the way from one prompt to the other."""


@dataclass(frozen=True)
class Study:
    """`variants` are flags by what stands on the axis; of one alone the `methods` stand there."""

    axis: str
    methods: tuple[str, ...] = (TUNED,)
    variants: Mapping[str, tuple[str, ...]] | None = None


STUDIES = {
    "length": Study(
        "tokens of the prompt",
        variants={str(n): (f"--prompt_length={n}",) for n in (1, 5, 20, 50, 100)},
    ),
    "initialisation": Study(
        "start", ("prompt_tuning_random", "prompt_tuning", "prompt_tuning_labels")
    ),
    "ensemble": Study("", (TUNED, "ensemble_vote", "ensemble_mean")),
    "adaptation": Study("steps of language modelling", variants={}),
    "interpolation": Study("share of the way from a prompt to another", variants={}),
}
"""Study → what is varied. Steps of adaptation are those of ``--models``."""

Scores = dict[tuple[str, str], list[float]]
"""(task, place on the axis) → accuracies over seeds."""


def grids(name: str, flags: argparse.Namespace, rest: Sequence[str]) -> Scores:
    """Run the grids of a study, and read their test accuracies. Raises SystemExit."""
    study = STUDIES[name]
    variants = dict(study.variants or {"": ()})
    if name == "adaptation":
        pairs = [one.split("=", 1) for one in (flags.models or "").split(",")]
        if any(len(pair) < 2 for pair in pairs):
            raise SystemExit("error: --models: expected steps=model, with commas between them")
        variants = {steps: (f"--model={model}",) for steps, model in pairs}
        if len(variants) < len(pairs):
            raise SystemExit("error: --models: got steps twice, expected each once")
    found: list[tuple[str, Run]] = []
    for label, own in variants.items():
        folder = flags.output_dir / name / (label or "runs")
        methods = f"--methods={','.join(study.methods)}"
        if status := fewshot([*rest, *own, methods, f"--output_dir={folder}"]):
            raise SystemExit(status)
        runs = (run for run in read_results(folder).selected() if run.method in study.methods)
        found += [(label or run.method, run) for run in runs]
    names, scores = titles([run for _, run in found]), Scores()
    for place, run in found:
        scores.setdefault((names[run.task, run.shots], place), []).append(run.test.accuracy)
    return scores


def titles(runs: Iterable[Run]) -> dict[tuple[str, int], str]:
    """What a task at a number of shots is called: other numbers of shots are no other seeds."""
    both = dict.fromkeys((run.task, run.shots) for run in runs)
    counts = Counter(task for task, _ in both)
    return {(task, shots): f"{task}, {shots} shots" if counts[task] > 1 else task
            for task, shots in both}  # fmt: skip


def between(flags: argparse.Namespace, rest: Sequence[str]) -> Scores:
    """Accuracies of prompts on the line between those of the first two seeds (their section 6)."""
    import ppt
    from ppt.prompts.files import Prompt

    folder, config = flags.output_dir / "interpolation" / "runs", _config(rest)
    seeds = config.seed_numbers[:2]
    if len(seeds) < 2:
        raise SystemExit("error: --seeds: got one seed, expected two or more: a line has two ends")
    if status := fewshot([*rest, f"--methods={TUNED}", f"--output_dir={folder}"]):
        raise SystemExit(status)
    backbone, tasks, scores = asked_backbone(config), load_tasks(config), Scores()
    found = [
        run for run in read_results(folder).selected()
        if run.method == TUNED and run.seed in seeds and run.task in tasks
        and run.shots in config.shots_of(tasks[run.task].all_shots)
    ]  # fmt: skip
    names = ("max_length", "max_test_examples", "answers", "target", "dtype")
    settings = {name: getattr(config, name) for name in names}
    for (task, shots), title in titles(found).items():
        one, other = (ppt.load_prompt(folder / str(run.adapter)) for run in found
                      if (run.task, run.shots) == (task, shots))  # fmt: skip
        card = {key: value for key, value in one.card.items() if key != "task"}
        for share in SHARES:
            mixed = one.values().lerp(other.values(), share)
            prompt = Prompt({**card, "answers": config.answers}, tensor=mixed)
            results = ppt.tune(tasks[task], backbone, methods=["pretrained"], prompts=[prompt],
                               shots=shots, seeds=1, **settings)  # fmt: skip
            scores[title, f"{share:g}"] = [results.runs[0].test.accuracy]
    return scores


def _config(rest: Sequence[str]) -> Any:
    from ppt.base.flags import parse
    from ppt.fewshot.settings import FewshotConfig

    return parse(FewshotConfig, rest, prog="python -m benchmarks.lester", description="")


def rows(scores: Scores) -> list[tuple[str, str, Summary]]:
    """(task, place, summary of its accuracies)."""
    return [(task, place, summary(values)) for (task, place), values in scores.items()]


def save(folder: Path, study: Study, found: Sequence[tuple[str, str, Summary]]) -> str:
    """Write table.csv and plot.png; returns the table as Markdown, scores in per cent."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "place", "mean", "deviation", "low", "high", "n"])
        for task, place, one in found:
            writer.writerow([task, place, one.mean, one.deviation, one.low, one.high, one.n])
    draw(folder / "plot.png", study, found)
    return markdown_table(
        ("task", study.axis or "method", "accuracy (%)", "95% interval", "seeds"),
        [(task, place, spread(one), interval(one), one.n) for task, place, one in found],
        2,
    )


def draw(path: Path, study: Study, found: Sequence[tuple[str, str, Summary]]) -> None:
    """A line a task over the places, with the intervals of the means."""
    from matplotlib.figure import Figure

    from ppt.results.style import looks, styled

    @styled
    def drawn() -> Any:
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        ax = figure.add_subplot()
        places = list(dict.fromkeys(place for _, place, _ in found))
        for task, look in looks(dict.fromkeys(task for task, _, _ in found)).items():
            own = {place: one for name, place, one in found if name == task}
            x = [places.index(place) for place in own]
            mean = [100 * one.mean for one in own.values()]
            ends = [
                [abs(100 * ((one.mean if end is None else end) - one.mean)) for one, end in pairs]
                for pairs in (
                    [(one, one.low) for one in own.values()],
                    [(one, one.high) for one in own.values()],
                )
            ]
            ax.errorbar(x, mean, ends, color=look.colour, marker=look.mark, capsize=2, label=task)
        ax.set_xticks(range(len(places)), places)
        ax.set(xlabel=study.axis, ylabel="test accuracy (%), 95% interval of the mean")
        ax.grid(axis="y")
        ax.legend()
        figure.savefig(path, dpi=150)

    drawn()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study, and print its table."""
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--models", help="of adaptation: steps=model, with commas")
    parser.add_argument("--output_dir", type=Path, default=Path("results/lester"))
    flags, rest = parser.parse_known_args(argv)
    scores = (between(flags, rest) if flags.study == "interpolation"
              else grids(flags.study, flags, rest))  # fmt: skip
    print(save(flags.output_dir / flags.study, STUDIES[flags.study], rows(scores)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
