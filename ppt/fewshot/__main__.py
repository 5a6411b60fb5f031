"""Few-shot tuning and its evaluation: ``python -m ppt.fewshot --tasks=sst2 --prompt=runs/``."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ppt.base.extras import is_there
from ppt.base.flags import parse
from ppt.base.imports import import_models, quick_imports, spin_less
from ppt.base.output_folder import locked
from ppt.errors import ConfigError, as_command, note
from ppt.fewshot.settings import FewshotConfig, split
from ppt.methods import methods_text
from ppt.results.folder import PLOTS, check_folder
from ppt.tasks.finding import SUFFIXES, load_task, require_distinct
from ppt.tasks.loading import TaskData
from ppt.tasks.table import named_task

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
  python -m ppt.fewshot --tasks=cb --sources=prompts/ --methods=prompt_tuning,spot:all,spot_best
  python -m ppt.fewshot --tasks=sst2,rte --shots=all --seeds=1 --methods=prompt_tuning \\
      --max_steps=2000 --eval_steps=100 --early_stopping_patience=5 --library=prompts/
  python -m ppt.fewshot --tasks=sst2 --methods=prompt_tuning,ppt,lora --grid=method \\
      --prompt=runs/sentiment --seeds=3 --max_test_examples=500"""


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    spin_less()
    config = parse(FewshotConfig, argv, "python -m ppt.fewshot", DESCRIPTION, EPILOG)
    with locked(Path(config.output_dir)):
        _tune(config, Path(config.output_dir), argv)


def _tune(config: FewshotConfig, folder: Path, argv: Sequence[str] | None) -> None:
    """Run what is missing in a folder that is locked, and show all of it."""
    check_folder(folder, config, overwrite=config.overwrite_output_dir)
    tasks = load_tasks(config)
    with quick_imports(argv):  # torch comes in here
        from ppt.fewshot.bench import asked_backbone
        from ppt.fewshot.running import plan_grid
        from ppt.fewshot.shelving import add_to_library
        from ppt.results.store import open_store
        from ppt.transfer.library import find_prompts

    prompts, sources = (find_prompts(split(one or "")) for one in (config.prompt, config.sources))
    grid, notes = plan_grid(config, tasks, prompts, sources)
    store = open_store(folder, grid.trials, overwrite=config.overwrite_output_dir)
    note(*notes, *store.notes)
    missing = grid.missing(store)
    print(f"{len(grid.trials)} runs, {len(grid.trials) - len(missing)} of them finished before")
    if missing:
        import_models(argv)
        grid.run(asked_backbone(config), missing, store, progress=True)
    store.write_predictions()
    runs = [store.runs[one.id] for one in grid.trials]
    for place in add_to_library(config, folder, runs, grid.chosen):
        print(f"in the library: {place}")
    tell(folder, store.notes)


def load_tasks(config: FewshotConfig) -> dict[str, TaskData]:
    """The tasks by name, read and checked; what was not kept of them is told."""
    names = split(config.tasks or "")
    for name in names:
        if name.endswith(SUFFIXES):
            raise ConfigError(
                f"--tasks: got the file {name}, expected names: give --task_file={name}."
            )
    named = [named_task(name) for name in names]
    tasks = [load_task(Path(path)) for path in split(config.task_file or "")]
    names += [data.task.name for data in tasks]
    require_distinct(names)
    tasks = [*(load_task(task, config.data_dir) for task in named), *tasks]
    loaded = dict(zip(names, tasks, strict=True))
    for data in tasks:
        print(data.report())
        for shots in config.shots_of(data.all_shots):
            data.few_shot(shots, seed=0)  # so that too few rows are told before anything runs
    return loaded


def tell(folder: Path, told: Sequence[str]) -> None:
    """Print the table, and notes not yet `told`; write it, as Markdown and CSV, and the plots."""
    from ppt.results.figures import plots_of, save_plots
    from ppt.results.report import make_report
    from ppt.results.selection import PREDICTIONS, RESULTS
    from ppt.results.tables import overviews, save_tables, show

    report = make_report(folder)
    show(overviews(report.rows))
    tables = save_tables(folder, report.rows)
    written = [folder / RESULTS, folder / PREDICTIONS, *tables]
    if is_there("matplotlib"):
        save_plots(folder / PLOTS, plots_of(report.chosen, report.rows))
        written.append(folder / PLOTS)
    note(*(one for one in report.notes if one not in told))
    print(*written, sep=", ")
    print(f"as one page: python -m ppt.report {shlex.quote(str(folder))}")


if __name__ == "__main__":
    sys.exit(main())
