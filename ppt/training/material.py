"""What a run is trained on, ready for the loop: the rows of a corpus (`language` has documents)."""

from dataclasses import dataclass
from typing import Any

from ppt.base.files import file_digest
from ppt.corpus.storage import MANIFEST, Corpus
from ppt.prompts.rendering import Renderer
from ppt.training.examples import load_examples
from ppt.training.objective import CorpusRows, OneRun
from ppt.training.processes import Processes
from ppt.training.settings import PretrainConfig
from ppt.training.trainables import Trainable


@dataclass(frozen=True)
class Material:
    """What is trained on, ready: what cards tell of it, and what a run that goes on must share."""

    objective: OneRun
    facts: dict[str, str]
    identity: dict[str, Any]
    told: str


def corpus_rows(
    config: PretrainConfig, corpus: Corpus, renderer: Renderer, trainable: Trainable,
    processes: Processes, *, progress: bool,
) -> Material:  # fmt: skip
    """The rows of a corpus as what a prompt is trained on."""
    limit = config.max_steps * config.local_batch_size * processes.world
    examples = load_examples(
        corpus, renderer, config.max_train_examples or limit, config.max_eval_examples,
        progress=progress,
    )  # fmt: skip
    digest, cut = file_digest(corpus.folder / MANIFEST), f"{examples.cut_share:.1%}"
    count = f"{len(examples.train):,} train, {len(examples.validation):,} validation"
    facts = {
        "corpus": str(config.corpus),
        "corpus manifest sha256": digest,
        "examples": count,
        "documents kept": f"{corpus.manifest.documents['kept']:,}",
        "cut to --max_length": cut,
    }
    told = f"{count} examples of {corpus.folder}; {cut} cut to {config.max_length} tokens"
    objective = CorpusRows(trainable, examples, config, processes)
    return Material(objective, facts, {"corpus": digest}, told)
