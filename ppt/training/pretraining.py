"""Pre-training on a corpus, from opened corpus and loaded backbone to what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ppt
from ppt.backbones.base import Backbone
from ppt.backbones.checks import origin, weights_digest
from ppt.backbones.loading import torch_as_usual, with_backbone
from ppt.backbones.sources import EMBEDDED, base_model
from ppt.base.files import file_digest, given
from ppt.base.flags import from_values
from ppt.base.output_folder import locked
from ppt.corpus.storage import MANIFEST, VERIFY, Corpus, open_corpus
from ppt.errors import require_known
from ppt.prompts.files import ADAPTER, FOLDER, Prompt
from ppt.prompts.patterns import PATTERNS_VERSION, standard_texts
from ppt.prompts.rendering import Renderer
from ppt.training.card import adapter_heading
from ppt.training.evaluation import Course, Evaluation
from ppt.training.examples import load_examples
from ppt.training.folder import begin_run, check_run, end_run
from ppt.training.keeper import run
from ppt.training.language import language_run
from ppt.training.objective import CorpusRows, Material
from ppt.training.processes import ALONE, Processes, Session
from ppt.training.settings import PretrainConfig
from ppt.training.shared import LM
from ppt.training.starts import started
from ppt.training.trainables import PromptBank, Trainable
from ppt.training.windows import Reading

PROGRESS = ("none", "lines", "bar")
"""How a run may tell where it stands."""


@dataclass(frozen=True)
class Pretrained:
    """What came of a pre-training: the prompt of the best step (None where LoRA was trained)."""

    prompt: Prompt | None
    best: Evaluation
    course: Course[Evaluation]

    @property
    def first(self) -> Evaluation:
        """The scores before training."""
        return self.course.first


@torch_as_usual()
def train_prompt(
    corpus: Corpus | Path | str,
    backbone: Backbone,
    *,
    output_dir: Path | str | None = None,
    progress: str = "none",
    **settings: Any,
) -> Pretrained:
    """Pre-train on a corpus: what ``python -m ppt.pretrain`` does, from Python.

    `settings` are its flags by name, such as ``max_steps=100``, ``prompt_length=20`` or
    ``trains="lora"``; with ``format="lm"`` the corpus is files of raw documents. Without
    `output_dir` all stays in memory; with it, the run goes on from its states, as the command
    does. `progress` is "none", "lines" or "bar". Raises PPTError for what is wrong.
    """
    known = {"corpus": str(corpus)}
    require_known("progress", str(progress), PROGRESS)
    if settings.get("format") != LM:
        place = corpus.folder if isinstance(corpus, Corpus) else corpus
        corpus = open_corpus(place, settings.get("format"), settings.get("verify", VERIFY[0]))
        known = {"format": corpus.manifest.format, "corpus": str(corpus.folder)}
    known |= {} if output_dir is None else {"output_dir": str(output_dir)}
    values = with_backbone({**known, **settings}, backbone)
    if values.get("format") == LM and "target" not in settings:
        del values["target"]  # is of label words alone
    config = from_values(PretrainConfig, values).resolved()
    folder = None if output_dir is None else given(output_dir)
    with locked(folder):
        goes_on = folder is not None and check_run(folder, config)
        read = corpus if isinstance(corpus, Corpus) else Reading(str(corpus), config)
        return pretrain(config, read, backbone, folder, Session(ALONE, goes_on, progress))


def pretrain(
    config: PretrainConfig, corpus: Corpus | Reading, backbone: Backbone, folder: Path | None,
    session: Session,
) -> Pretrained:  # fmt: skip
    """Train on a corpus as resolved `config` says; with a `folder`, keep everything there."""
    renderer, weights, processes = None, weights_digest(backbone), session.processes
    if isinstance(corpus, Corpus):
        renderer = Renderer.standard(
            config.format, backbone.layout, config.style, backbone.tokenizer, config.max_length,
            config.answers,
        )  # fmt: skip

    def begin(_: Path | None = None) -> None:
        if processes.first and folder:
            begin_run(folder, config, goes_on=session.goes_on)

    with started(config, backbone, renderer, corpus) as trainable:
        shown = session.progress != "none" and processes.first
        if isinstance(corpus, Corpus):
            assert renderer is not None, "rows of a corpus are rendered"
            made = corpus_rows(config, corpus, renderer, trainable, processes, progress=shown)
            begin()
        else:
            made = language_run(
                trainable, corpus, LM, config, folder, session, most=config.max_train_examples,
                begin=begin,
            )  # fmt: skip
        facts = {**facts_of(config, renderer), **made.facts, "ppt": ppt.__version__}
        session.told(made.told, folder)
        processes.wait()
        course = run(
            made.objective, folder, resume=config.resume_from_checkpoint, identity=made.identity,
            early=config.embedding_steps, progress=session.progress,
        )  # fmt: skip
        scores = course.scores(config.metric_for_best_model)
        card = card_of(config, renderer, made.identity, course.step)
        card |= {**scores, "steps": course.step, "weights_sha256": weights}
        prompt = None
        if isinstance(trainable, PromptBank):
            place = folder and folder / FOLDER
            prompt = Prompt(card, place, trainable.value(0)[0], trainable.trains)
        if folder and processes.first:
            base, kept = base_model(config.model), PLACES[config.trains]
            trainable.save(0, folder / kept, base, card)
            heading = adapter_heading(config.what, kept, base)
            end_run(folder, config, course, f"{config.format}, {config.model}", heading, facts)
    return Pretrained(prompt, course.best(config.metric_for_best_model), course)


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
    both = examples.train, examples.validation
    cut = f"{sum(rows.cut for rows in both) / sum(map(len, both)):.1%}"
    digest = file_digest(corpus.folder / MANIFEST)
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
    identity = {"corpus": digest, "model": origin(trainable.backbone)}
    return Material(objective, facts, identity, told)


PLACES = {"prompt": FOLDER, "lora": ADAPTER}
"""``--trains`` → where in the run folder it is kept."""


def facts_of(config: PretrainConfig, renderer: Renderer | None) -> dict[str, str]:
    """What a card tells people of where a prompt comes from, but for its data."""
    embedded = EMBEDDED.get(config.model)
    facts = {
        "backbone": f"{config.model}, licence {embedded.licence}" if embedded else config.model,
        "format": config.format,
    }
    if renderer is not None:
        layout = renderer.pattern.layout
        texts = standard_texts(config.format, layout, config.style, config.answers)
        facts["pattern"] = next(iter(texts.values()))
        facts["label words"] = ", ".join(renderer.verbalizer.words.values())
    return facts


def card_of(
    config: PretrainConfig, renderer: Renderer | None, identity: Mapping[str, Any], steps: int
) -> dict[str, Any]:
    """What programs must know of a prompt (``prompt.json``), its scores aside."""
    early = config.embedding_steps and min(config.embedding_steps, steps)
    card: dict[str, Any] = {
        "backbone": config.model, "format": config.format, "style": config.style,
    }  # fmt: skip
    if renderer is None:
        return {**card, "embedding_step": early, "tokens_sha256": identity["tokens"]}
    return {
        **card,
        "layout": renderer.pattern.layout,
        "patterns_version": PATTERNS_VERSION,
        "label_words": list(renderer.verbalizer.words.values()),
        "loss": config.loss,
        "answers": config.answers,
        "embedding_step": early,
        "corpus_sha256": identity["corpus"],
    }
