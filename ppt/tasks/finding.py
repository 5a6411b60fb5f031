"""A labelled task by whatever names it: a public name, a YAML file, or a `Task`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ppt.base.files import given
from ppt.errors import ConfigError, require_kind
from ppt.tasks.loading import TaskData, load_rows
from ppt.tasks.spec import Task
from ppt.tasks.table import TASKS, named_task
from ppt.tasks.user_file import load_task_file

SUFFIXES = (".yaml", ".yml")


def require_distinct(names: Sequence[str]) -> None:
    """Refuse two tasks of one name, whose results would be one."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two tasks are called {name!r}: give one of them another name.")


def load_task(task: Task | Path | str, data_dir: Path | str | None = None) -> TaskData:
    """The rows of a task, read, checked and counted.

    `task` is a name of `ppt.TASKS`, the path of a YAML file (docs/your-own-task.md), or a
    `Task` of your own, such as one with `Rows` in memory. Public sets come from
    ``data_dir/<name>/``, or from the Hugging Face hub. Raises PPTError that says what is
    wrong, and the cure.
    """
    if isinstance(task, Path) or (isinstance(task, str) and task.endswith(SUFFIXES)):
        return load_task_file(task)
    found = named_task(task) if isinstance(task, str) else task
    require_kind("task", found, Task, "a name, a YAML file or a Task")
    return load_rows(found, None if data_dir is None else given(data_dir))


def find_spec(name: str, task_files: Iterable[Path]) -> Task:
    """What the task of results is: that of one of the YAML files, or public.

    Raises PPTError where it is none of them, or a file or its data cannot be read.
    """
    own = {found.name: found for found in (load_task_file(one).task for one in task_files)}
    if name not in own and name not in TASKS:
        known = f"the tasks {', '.join(own)}" if own else "none"
        raise ConfigError(
            f"the task {name} of the results is in no file that is given, got {known}: give its"
            " YAML file as --task_file."
        )
    return own[name] if name in own else TASKS[name]
