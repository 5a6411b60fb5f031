"""Few-shot tuning and its evaluation: ``python -m ppt.fewshot --tasks=sst2 --prompt=runs/``."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppt.base.extras import is_there
from ppt.base.files import write_atomically
from ppt.base.flags import parse, to_json
from ppt.base.output_folder import locked
from ppt.base.threads import spin_less
from ppt.errors import ConfigError, InputError, exit_status
from ppt.fewshot.grid import banks, content_digest
from ppt.fewshot.settings import DEFAULT_METHODS, PPT_METHODS, FewshotConfig, split
from ppt.methods import METHODS, PRETRAINED, methods_text
from ppt.prompts.patterns import PATTERNS_VERSION
from ppt.results.folder import CONFIG, PLOTS, REJECTS, check_folder
from ppt.results.trial import Trial
from ppt.tasks.forms import PROMPT_FORMATS
from ppt.tasks.loading import TaskData, load_task
from ppt.tasks.table import TASKS_VERSION, named_task
from ppt.tasks.user_file import load_task_file

if TYPE_CHECKING:  # it imports torch, which --help and most errors need not wait for
    from ppt.transfer.library import SavedPrompt

DESCRIPTION = f"""\
Tune on a few labelled examples, and test on all the others, by any number of methods.

Examples are drawn by seed, as many to train on as to validate on; the best step and the
best learning rate are those of the validation examples, never of the test. The output
folder gets results.jsonl (a row a run), tables, plots/, predictions.parquet and adapters/.
What is in it already is not run again, so an interrupted grid goes on when the command is
given again.

{methods_text()}"""

EPILOG = """\
examples:
  python -m ppt.fewshot --tasks=sst2,rte --data_dir=tasks --prompt=runs/
  python -m ppt.fewshot --task_file=my_task.yaml --prompt=runs/unified --dtype=bfloat16
  python -m ppt.fewshot --tasks=sst2 --methods=prompt_tuning,ppt,lora --grid=method \\
      --prompt=runs/sentiment --seeds=3 --max_test_examples=500"""

Choices = Mapping[tuple[str, str], "SavedPrompt | None"]
"""(task, method) → the prompt that it begins with, if it begins with one."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    spin_less()
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    config = parse(
        FewshotConfig, argv, prog="python -m ppt.fewshot", description=DESCRIPTION, epilog=EPILOG
    )
    with locked(Path(config.output_dir)):
        _tune(config, Path(config.output_dir))
    return 0


def _tune(config: FewshotConfig, folder: Path) -> None:
    """Run what is missing in a folder that is locked, and show all of it."""
    check_folder(folder, config, overwrite=config.overwrite_output_dir)
    tasks = load_tasks(config)
    chosen = choose_methods(config, tasks)
    trials = plan(config, tasks, chosen)
    from ppt.results.store import open_store

    store = open_store(folder, trials, overwrite=config.overwrite_output_dir)
    missing = store.missing(trials)
    print(f"{len(trials)} runs, {len(trials) - len(missing)} of them finished before")
    if missing:
        run_trials(config, tasks, chosen, missing, store)
    store.write_predictions()
    tell(folder)


def load_tasks(config: FewshotConfig) -> dict[str, TaskData]:
    """The tasks by name, read and checked; what was not kept of them is told."""
    names = split(config.tasks or "")
    for name in names:
        if name.endswith((".yaml", ".yml")):
            raise ConfigError(
                f"--tasks: got the file {name}, expected names: give --task_file={name}."
            )
    where = None if config.data_dir is None else Path(config.data_dir)
    named = [named_task(name) for name in names]
    tasks = [load_task_file(path) for path in split(config.task_file or "")]
    names += [data.task.name for data in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two tasks are called {name!r}: give one of them another name.")
    tasks = [*(load_task(task, where) for task in named), *tasks]
    loaded = dict(zip(names, tasks, strict=True))
    for data in tasks:
        print(data.report())
        for shots in config.shot_counts:
            data.few_shot(shots, seed=0)  # so that too few rows are told before anything runs
    return loaded


def choose_methods(config: FewshotConfig, tasks: Mapping[str, TaskData]) -> Choices:
    """The methods of each task, and the prompts that they begin with."""
    from ppt.transfer.library import choose_prompt, described, find_prompts

    prompts = find_prompts(split(config.prompt or ""))
    named = config.method_names
    chosen: dict[tuple[str, str], SavedPrompt | None] = {}
    for name, data in tasks.items():
        own = PROMPT_FORMATS[data.task.format]
        for method_name in named or (*DEFAULT_METHODS, *PPT_METHODS):
            method = METHODS[method_name]
            wanted = "unified" if method.unified else own, method.style
            if method.init != PRETRAINED:
                chosen[name, method_name] = None
            elif named or any(prompt.serves(*wanted) for prompt in prompts):
                chosen[name, method_name] = choose_prompt(
                    prompts, *wanted, config.model, f"{method_name} on {name}"
                )
    if prompts and not named and not any(chosen.values()):
        suiting = {"unified", *(PROMPT_FORMATS[data.task.format] for data in tasks.values())}
        raise InputError(
            f"no prompt suits {', '.join(tasks)}: expected one of format"
            f" {' or '.join(sorted(suiting))}, got {described(prompts)}: pre-train one"
            " (python -m ppt.pretrain --format=unified), or leave --prompt out."
        )
    return chosen


def plan(config: FewshotConfig, tasks: Mapping[str, TaskData], chosen: Choices) -> list[Trial]:
    """All trials of the grid."""
    from ppt.transfer.library import prompt_digest

    versions = {"patterns": PATTERNS_VERSION, "tasks": TASKS_VERSION}
    contents = {name: content_digest(data) for name, data in tasks.items()}
    trials = []
    for (task, method), prompt in chosen.items():
        decisive = {
            **config.decisive(),
            "versions": versions,
            "content": contents[task],
            "prompt_sha256": prompt_digest(prompt) if prompt else None,
        }
        trials += [
            Trial(task, method, shots, seed, rate).named(decisive)
            for shots in config.shot_counts
            for seed in range(config.seeds)
            for rate in config.rates_of(METHODS[method])
        ]
    return trials


def run_trials(
    config: FewshotConfig,
    tasks: Mapping[str, TaskData],
    chosen: Choices,
    trials: Sequence[Trial],
    store: Any,
) -> None:
    """Run what is missing, bank by bank, with a bar over runs."""
    from tqdm import tqdm

    from ppt.fewshot.banks import Workbench, rehearse, run_bank

    backbone = load(config)
    prompts = {key: prompt.folder for key, prompt in chosen.items() if prompt}
    bench = Workbench(config, backbone, tasks, prompts)
    rehearse(bench, trials)
    store.begin()
    write_folder(Path(config.output_dir), config, tasks)
    hidden = not sys.stderr.isatty()
    with tqdm(total=len(trials), unit="run", disable=hidden, dynamic_ncols=True) as bar:
        for bank in banks(trials, config.side_by_side):

            def on_step(step: int, name: str = str(bank)) -> None:
                bar.set_postfix_str(f"{name}, step {step} of {config.max_steps}")

            bar.set_postfix_str(str(bank))
            run_bank(bench, bank, store, on_step)
            bar.update(len(bank.trials))
            rows = [store.rows[one.id] for one in bank.trials]
            bar.write(summary(str(bank), rows), file=sys.stderr)


def load(config: FewshotConfig) -> Any:
    """The backbone. On a CPU in bfloat16 plain attention takes a third less time a step."""
    import torch

    from ppt.backbones.loading import load_backbone

    on_cpu = config.device == "cpu" or (config.device is None and not torch.cuda.is_available())
    return load_backbone(
        config.model,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        attention="eager" if on_cpu and config.dtype == "bfloat16" else None,
    )


def write_folder(folder: Path, config: FewshotConfig, tasks: Mapping[str, TaskData]) -> None:
    """Write the flags, and the rows of tasks that were not kept."""
    write_atomically(folder / CONFIG, to_json(config).encode())
    for name, data in tasks.items():
        lines = [json.dumps(one.as_dict(), ensure_ascii=False) + "\n" for one in data.rejects]
        if lines:
            write_atomically(folder / REJECTS / f"{name}.jsonl", "".join(lines).encode())


def summary(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for a bank of runs: means over them."""
    told = [f"{name}: {len(rows)} run{'s' * (len(rows) > 1)}"]
    for side in ("validation", "test"):
        mean = sum(row[side]["accuracy"] for row in rows) / len(rows)
        told.append(f"{side} {mean:.3f}")
    told.append(f"{sum(row['seconds'] for row in rows):.0f} s")
    diverged = sum(row["diverged"] for row in rows)
    return ", ".join(told) + (f"; {diverged} diverged and stopped" if diverged else "")


def tell(folder: Path) -> None:
    """Print the table; write it, as Markdown and CSV, and the plots."""
    from rich.console import Console

    from ppt.results.figures import plots_of, save_plots
    from ppt.results.report import make_report
    from ppt.results.selection import PREDICTIONS, RESULTS, shots_of
    from ppt.results.tables import overview, save_tables, to_rich

    report = make_report(folder)
    console = Console()
    for shots in shots_of(report.chosen):
        console.print(to_rich(overview(report.rows, shots)))
    tables = save_tables(folder, report.rows)
    written = [folder / RESULTS, folder / PREDICTIONS, *tables]
    if is_there("matplotlib"):
        save_plots(folder / PLOTS, plots_of(report.chosen, report.rows))
        written.append(folder / PLOTS)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    print(*written, sep=", ")
    print(f"as one page: python -m ppt.report {folder}")


if __name__ == "__main__":
    sys.exit(main())
