"""A grid from tasks, a backbone and prompts to results, on disk or in memory."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ppt.backbones.base import Backbone
from ppt.backbones.checks import weights_digest
from ppt.backbones.loading import torch_as_usual, with_backbone
from ppt.base.files import given, write_atomically
from ppt.base.flags import from_values, to_json
from ppt.base.output_folder import CONFIG, locked
from ppt.base.terminal import Beat
from ppt.errors import ConfigError, note, require_kind
from ppt.fewshot.banks import rehearse, run_bank
from ppt.fewshot.bench import Workbench
from ppt.fewshot.choosing import Choices, choose_methods
from ppt.fewshot.classifier import kept_prompts
from ppt.fewshot.grid import banks, content_digest
from ppt.fewshot.rows import summary
from ppt.fewshot.settings import FewshotConfig
from ppt.fewshot.shelving import add_to_library, check_library
from ppt.methods import METHODS, PRETRAINED, family, find_method
from ppt.prompts.files import Prompt
from ppt.prompts.patterns import PATTERNS_VERSION
from ppt.results.folder import MODEL, REJECTS, check_folder, require_same_model
from ppt.results.report import Results, results_of
from ppt.results.selection import is_untouched
from ppt.results.store import ResultStore, Store, open_store
from ppt.results.trial import Trial, place_of
from ppt.tasks.finding import require_distinct
from ppt.tasks.loading import TaskData
from ppt.tasks.rejects import keep_rejects
from ppt.tasks.table import TASKS_VERSION
from ppt.transfer.library import find_prompts


@dataclass(frozen=True)
class Tuning(Results):
    """Results, and the prompts of each run by its id: what was tuned, or taken as it is; of an
    ensemble several.

    `config` are the flags that they came of.
    """

    prompts: Mapping[str, tuple[Prompt, ...]] = field(default_factory=dict)
    config: FewshotConfig | None = None


@torch_as_usual()
def tune(
    tasks: TaskData | Sequence[TaskData],
    backbone: Backbone,
    *,
    methods: str | Sequence[str] | None = None,
    prompts: Prompt | Path | str | Sequence[Prompt | Path | str] = (),
    sources: Prompt | Path | str | Sequence[Prompt | Path | str] = (),
    shots: int | str | Sequence[int | str] = 32,
    seeds: int | Sequence[int] = 5,
    output_dir: Path | str | None = None,
    progress: bool = False,
    **settings: Any,
) -> Tuning:
    """Tune and test on a few labelled examples: what ``python -m ppt.fewshot`` does.

    `methods` are names of `ppt.METHODS`; left out, zero_shot, prompt_tuning, the kinds of PPT
    that `prompts` serve, and a run from each of `sources`: prompts of other tasks. `seeds` is
    how many, or which. `settings` are further flags by name, such as ``max_steps=16``. Without
    `output_dir` all stays in memory; with it, finished runs there are not repeated.
    Raises PPTError for what is wrong with tasks, prompts or settings.
    """
    several = _several(tasks)
    for one in several:
        require_kind("tasks", one, TaskData, "what ppt.load_task gives")
    require_distinct([one.task.name for one in several])
    known = {one.task.name: one for one in several}
    which = [f"{seed}," for seed in _several(seeds)]
    values = {
        "tasks": ",".join(known),
        "methods": methods if methods is None else ",".join(map(str, _several(methods))),
        "shots": ",".join(map(str, _several(shots))),
        "seeds": "".join(which) if _is_several(seeds) else str(seeds),
        **({} if output_dir is None else {"output_dir": str(output_dir)}),
    }
    if twice := settings.keys() & {*values, "model", "prompt", "task_file", "sources"}:
        raise ConfigError(f"got {min(twice)} as a setting: it has an argument of its own.")
    config = from_values(FewshotConfig, with_backbone({**values, **settings}, backbone))
    if config.library and output_dir is None:
        raise ConfigError("got a library and no output_dir, whose adapters it takes: give both.")
    own, lent = _prompts(prompts), _prompts(sources)
    folder = None if output_dir is None else given(output_dir)
    with locked(folder):
        return _tuned(config, backbone, known, own, lent, folder, progress=progress)


def _is_several(given: Any) -> bool:
    """Whether several are given: a text is one, and no list of letters."""
    return isinstance(given, Iterable) and not isinstance(given, str)


def _several(given: Any) -> list[Any]:
    return list(given) if _is_several(given) else [given]


def _prompts(given: Any) -> list[Prompt]:
    """Prompts, and those in folders, as ``--prompt`` finds them: LoRA adapters too."""
    several = [] if given is None else _several(given)
    for one in several:
        if not isinstance(one, Prompt | Path | str):
            told = f"prompts: got a {type(one).__name__}, expected prompts or folders of them"
            raise ConfigError(f"{told}, such as what ppt.load_prompt gives.")
    known = [[one] if isinstance(one, Prompt) else find_prompts([one]) for one in several]
    return list(chain.from_iterable(known))


def _tuned(
    config: FewshotConfig,
    backbone: Backbone,
    known: Mapping[str, TaskData],
    given: Sequence[Prompt],
    lent: Sequence[Prompt],
    folder: Path | None,
    *,
    progress: bool,
) -> Tuning:
    """The grid of `config`, in memory or in a folder that is locked."""
    if folder:
        check_folder(folder, config, overwrite=config.overwrite_output_dir)
    grid, notes = plan_grid(config, known, given, lent)
    store = Store()
    if folder:
        store = open_store(folder, grid.trials, overwrite=config.overwrite_output_dir)
    missing = grid.missing(store)
    kept = grid.run(backbone, missing, store, progress=progress) if missing else {}
    if isinstance(store, ResultStore):
        store.write_predictions()
    runs = [store.runs[one.id] for one in grid.trials]
    if folder:
        add_to_library(config, folder, runs, grid.chosen)
    results = results_of(runs, (*notes, *store.notes))
    for one in runs:
        begin = grid.chosen[one.task, one.method]
        if isinstance(begin, Prompt) and is_untouched(one):
            kept[one.run] = (begin,)
        if folder and (on_disk := kept_prompts(folder, one)):
            kept[one.run] = on_disk
    return Tuning(results.runs, results.notes, kept, config)


@dataclass(frozen=True)
class Grid:
    """What is to be run on `tasks` as `config` says, and what each task and method begins with."""

    config: FewshotConfig
    tasks: Mapping[str, TaskData]
    chosen: Choices

    @cached_property
    def trials(self) -> list[Trial]:
        """All trials."""
        return self._named(
            [
                Trial(task, method, shots, seed, rate)
                for task, method in self.chosen
                for shots in self.config.shots_of(self.tasks[task].all_shots)
                for seed in self.config.seed_numbers
                for rate in self.config.rates_of(find_method(method))
            ]
        )

    def missing(self, store: Store) -> list[Trial]:
        """The trials without a run.

        Raises OutputError where any run of these tasks was made from other things than it would be
        today, of other seeds, rates and methods too: they would stand in one table.
        """
        asked = {place_of(one) for one in self.trials}  # whose names are known
        places = [place_of(run) for run in store.runs.values() if run.task in self.tasks]
        others = [Trial(*place) for place in places if place not in asked]
        told = [one for one in others if self._can_be_told(one)]
        return store.missing([*self.trials, *self._named(told)])

    def _can_be_told(self, place: Trial) -> bool:
        """Whether what a run would begin with today is known: nothing, or what is chosen here."""
        if family(place.method) not in METHODS:  # of a module that is not imported here
            return False
        method = find_method(place.method)
        begins = method.init == PRETRAINED or method.transfer is not None
        return not begins or (place.task, place.method) in self.chosen

    def _named(self, places: Sequence[Trial]) -> list[Trial]:
        """Trials with the ids that they have by today's data, prompts and flags."""
        decisive = {
            "flags": self.config.decisive(),
            "versions": {"patterns": PATTERNS_VERSION, "tasks": TASKS_VERSION},
        }
        contents = {name: content_digest(self.tasks[name]) for name in {one.task for one in places}}
        begins = {key: begin and begin.digest for key, begin in self.chosen.items()}
        return [
            one.named(
                decisive
                | {"content": contents[one.task], "prompt": begins.get((one.task, one.method))}
            )
            for one in places
        ]

    def run(
        self, backbone: Backbone, trials: Sequence[Trial], store: Store, *, progress: bool
    ) -> dict[str, tuple[Prompt, ...]]:
        """Run trials, bank by bank; the tuned prompts that no folder keeps.

        `progress` is a bar over runs on a terminal, else a line a minute.
        """
        config, begins = self.config, {key: begin for key, begin in self.chosen.items() if begin}
        bench = Workbench(config, backbone, self.tasks, begins, store.folder)
        told = rehearse(bench, trials)
        store.notes = (*store.notes, *told)
        if progress:
            note(*told)
        store.begin()
        if store.folder is not None:
            write_folder(store.folder, config, self.tasks, weights_digest(backbone))
        hidden, beat, done = not progress or not sys.stderr.isatty(), Beat(), 0
        with tqdm(total=len(trials), unit="run", disable=hidden, dynamic_ncols=True) as bar:
            for bank in banks(trials, config.side_by_side):

                def on_step(step: int, name: str = str(bank), done: int = done) -> None:
                    told = f"{name}, step {step} of {config.max_steps}"
                    bar.set_postfix_str(told)
                    if progress and hidden and beat.due():
                        count = f"{done} of {len(trials)} runs done"
                        print(f"{told}; {count}", file=sys.stderr, flush=True)

                bar.set_postfix_str(str(bank))
                run_bank(bench, bank, store, on_step)
                bar.update(len(bank.trials))
                done += len(bank.trials)
                runs = [store.runs[one.id] for one in bank.trials]
                if progress:
                    bar.write(summary(str(bank), runs), file=sys.stderr)
        return bench.kept


def plan_grid(
    config: FewshotConfig,
    tasks: Mapping[str, TaskData],
    prompts: Sequence[Prompt],
    sources: Sequence[Prompt],
) -> tuple[Grid, Sequence[str]]:
    """A grid, and what users should know of it; raises PPTError for what cannot be run or kept."""
    chosen, notes = choose_methods(config, tasks, prompts, sources)
    check_library(config, list(tasks), (method for _, method in chosen))
    return Grid(config, tasks, chosen), notes


def write_folder(
    folder: Path, config: FewshotConfig, tasks: Mapping[str, TaskData], model: str
) -> None:
    """Write the flags, the digest of the `model`, and the rows of tasks that were not kept."""
    require_same_model(folder, model)
    write_atomically(folder / CONFIG, to_json(config).encode())
    write_atomically(folder / MODEL, model.encode())
    for name, data in tasks.items():
        keep_rejects(folder / REJECTS / f"{name}.jsonl", data.rejects)
