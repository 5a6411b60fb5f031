"""Pre-trained prompt tuning: corpora in, prompts out, few-shot results at the end.

From Python the same things are at hand as from the shell (docs/api.md). Importing `ppt`
imports nothing else: what is asked for is imported then.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "open_corpus": "corpus.storage",
    "FORMATS": "corpus.formats",
    "load_backbone": "backbones.loading",
    "load_prompt": "prompts.files",
    "load_task": "tasks.finding",
    "TASKS": "tasks.table",
    "train_prompt": "training.pretraining",
    "tune": "fewshot.running",
    "load_classifier": "fewshot.labelling",
    "METHODS": "methods",
    "read_results": "results.report",
    "PPTError": "errors",
    "ConfigError": "errors",
    "CorpusError": "errors",
    "InputError": "errors",
    "OutputError": "errors",
    "TrainingError": "errors",
    "UnknownNameError": "errors",
}
"""Name → the module of `ppt` that it comes from."""

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - names of a table

if TYPE_CHECKING:
    from ppt.backbones.loading import load_backbone as load_backbone
    from ppt.corpus.formats import FORMATS as FORMATS
    from ppt.corpus.storage import open_corpus as open_corpus
    from ppt.errors import ConfigError as ConfigError
    from ppt.errors import CorpusError as CorpusError
    from ppt.errors import InputError as InputError
    from ppt.errors import OutputError as OutputError
    from ppt.errors import PPTError as PPTError
    from ppt.errors import TrainingError as TrainingError
    from ppt.errors import UnknownNameError as UnknownNameError
    from ppt.fewshot.labelling import load_classifier as load_classifier
    from ppt.fewshot.running import tune as tune
    from ppt.methods import METHODS as METHODS
    from ppt.prompts.files import load_prompt as load_prompt
    from ppt.results.report import read_results as read_results
    from ppt.tasks.finding import load_task as load_task
    from ppt.tasks.table import TASKS as TASKS
    from ppt.training.pretraining import train_prompt as train_prompt


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'ppt' has no attribute {name!r}")
    return getattr(import_module(f"ppt.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
