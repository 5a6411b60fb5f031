"""From results to a classifier: which run is meant, of which task, before which backbone."""

from dataclasses import replace
from pathlib import Path

from ppt.backbones.base import Backbone
from ppt.backbones.loading import torch_as_usual, with_backbone
from ppt.base.files import given
from ppt.base.output_folder import read_config
from ppt.errors import ConfigError, require_kind
from ppt.fewshot.bench import asked_backbone
from ppt.fewshot.classifier import Classifier, kept_prompts
from ppt.fewshot.running import Tuning
from ppt.fewshot.settings import FewshotConfig, split
from ppt.results.folder import model_of
from ppt.results.report import read_results
from ppt.results.selection import chosen_run
from ppt.tasks.finding import find_spec
from ppt.tasks.loading import TaskData
from ppt.tasks.spec import Task


@torch_as_usual()
def load_classifier(
    results: Tuning | Path | str,
    *,
    task: TaskData | Task | str | None = None,
    backbone: Backbone | None = None,
    method: str | None = None,
    shots: int | None = None,
    seed: int | None = None,
    run: str | None = None,
    prompt: Path | str | None = None,
) -> Classifier:
    """What a run has tuned, ready to label rows: what ``python -m ppt.predict`` does.

    `results` are a folder, or what `ppt.tune` gave. Of several runs the one with the most
    examples, then the best validation scores, unless `method`, `shots`, `seed` or `run` say
    which. A `task` that is no public one or in memory must be given, and so must the `backbone`
    of results in memory; else it is loaded as it was. A pre-trained prompt that a run took as it
    is, is where it was, or the `prompt` that is given. Raises PPTError.
    """
    spec = task.task if isinstance(task, TaskData) else task
    require_kind("task", spec, Task | str | None, "a name, a Task, or what ppt.load_task gives")
    name = spec.name if isinstance(spec, Task) else spec
    which = {"task": name, "method": method, "shots": shots, "seed": seed, "run": run}
    if isinstance(results, Tuning):
        prompts = results.prompts
        one, config = chosen_run(results.runs, prompts, **which), results.config
        if config is None or backbone is None:
            raise ConfigError("results in memory: expected the backbone that they came of, too.")
        tuned, model = prompts.get(one.run, ()), ""
    else:
        folder = given(results)
        config = read_config(folder, FewshotConfig)
        one = chosen_run(read_results(folder).runs, (), **which)
        tuned, model = kept_prompts(folder, one), model_of(folder)
    if not isinstance(spec, Task):
        spec = find_spec(one.task, map(Path, split(config.task_file or "")))
    if backbone is not None:
        config = replace(config, **with_backbone({}, backbone))
    config = replace(config, prompt=None if prompt is None else str(given(prompt)))
    return Classifier.of(one, spec, backbone or asked_backbone(config), config, tuned, model)
