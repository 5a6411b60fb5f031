"""Pre-training on a corpus, from opened corpus and loaded backbone to what is kept."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ppt
from ppt.backbones.base import Backbone
from ppt.backbones.sources import EMBEDDED
from ppt.base.extras import left_out
from ppt.base.files import file_digest, write_atomically
from ppt.base.flags import from_values
from ppt.base.output_folder import locked
from ppt.base.signals import StopRequest
from ppt.corpus.storage import MANIFEST, Corpus, open_corpus
from ppt.prompts.files import ADAPTER, FOLDER, Prompt
from ppt.prompts.patterns import PATTERNS_VERSION, standard_texts
from ppt.prompts.rendering import Renderer
from ppt.training.card import draw_loss, prompt_card, read_metrics
from ppt.training.course import Course
from ppt.training.evaluation import Evaluation
from ppt.training.examples import Examples, load_examples
from ppt.training.folder import CARD, RESULT, begin_run, check_run
from ppt.training.keeper import Keeper, OnlyLane
from ppt.training.log import LOSS_PNG
from ppt.training.loop import Loop, enough_memory
from ppt.training.objective import CorpusRows
from ppt.training.processes import Processes
from ppt.training.settings import PretrainConfig, TrainSettings
from ppt.training.starts import Beginning, started
from ppt.training.trainables import PromptBank, Trainable

LESS = (
    "begin anew with a smaller --per_device_train_batch_size (and as much more"
    " --gradient_accumulation_steps), --per_device_eval_batch_size or --max_length"
)
"""What users can do about too little memory."""


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

    @property
    def scores(self) -> dict[str, Any]:
        """The scores before training and at the best step, as JSON values."""
        return {"first": self.first.as_dict(), "best": self.best.as_dict()}


def train(
    trainable: Trainable,
    examples: Examples,
    settings: TrainSettings,
    folder: Path | None = None,
    *,
    resume: str = "auto",
    identity: Mapping[str, Any] | None = None,
    processes: Processes | None = None,
    progress: str = "bar",
) -> Course[Evaluation]:
    """Train `trainable` (one lane) in place and leave it as at its best step.

    With a `folder` the run is logged there, and goes on from its states: `resume` is "auto"
    (the newest, if any), "none", or the folder of a state; `identity` is what else must be
    equal for a state to be gone on from. `progress` is "bar", "lines" (one an evaluation, for
    log files) or "none". Raises TrainingError where it cannot go on.
    """
    settings, processes = settings.resolved(), processes or Processes()
    objective = CorpusRows(trainable, examples, settings, processes)
    keeper = Keeper(folder, settings, identity or {}) if folder else None
    loop = Loop(objective, [settings], keeper or OnlyLane(settings), processes)
    with StopRequest() as stop, enough_memory(trainable.backbone.device, LESS):
        try:
            if keeper:
                keeper.begin(loop, resume, progress)
            (course,) = loop.to_the_end(stop)
        finally:
            if keeper:
                keeper.close()
    return course


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
    ``trains="lora"``. Without `output_dir` all stays in memory; with it, the run goes on
    from its states, as the command does. `progress` is "none", "lines" or "bar".
    Raises PPTError for what is wrong with corpus or settings.
    """
    opened = corpus if isinstance(corpus, Corpus) else open_corpus(corpus)
    folder = Path(output_dir) if output_dir is not None else None
    known = {"format": opened.manifest.format, "corpus": str(opened.folder)}
    config = from_values(
        PretrainConfig,
        {**known, "model": backbone.name, "output_dir": folder and str(folder), **settings},
    ).resolved()
    with locked(folder):
        goes_on = folder is not None and check_run(
            folder,
            config,
            overwrite=config.overwrite_output_dir,
            resume=config.resume_from_checkpoint,
        )
        return pretrain(config, opened, backbone, folder, goes_on=goes_on, progress=progress)


def pretrain(
    config: PretrainConfig,
    corpus: Corpus,
    backbone: Backbone,
    folder: Path | None,
    *,
    processes: Processes | None = None,
    goes_on: bool = False,
    progress: str = "none",
    tell: Callable[[str], None] = lambda _: None,
) -> Pretrained:
    """Train on a corpus as resolved `config` says; with a `folder`, keep everything there.

    `tell` hears what users should know meanwhile.
    """
    processes = processes or Processes()
    renderer = Renderer.standard(
        config.format, backbone.kind, config.style, backbone.tokenizer, config.max_length,
        config.answers,
    )  # fmt: skip
    with started(Beginning(config, backbone, renderer, corpus)) as trainable:
        examples = load_examples(
            corpus,
            renderer,
            config.max_train_examples
            or config.max_steps * config.local_batch_size * processes.world,
            config.max_eval_examples,
            progress=progress != "none" and processes.first,
        )
        facts = facts_of(config, corpus, renderer, examples)
        if processes.first:
            cut = facts["cut to --max_length"]
            tell(f"{facts['examples']} examples of {corpus.folder}; {cut} cut to"
                 f" {config.max_length} tokens")  # fmt: skip
            if goes_on:
                tell(f"going on with the run in {folder}")
            if folder:
                begin_run(folder, config, goes_on=goes_on)
        processes.wait()
        course = train(
            trainable,
            examples,
            config,
            folder,
            resume=config.resume_from_checkpoint,
            identity={"corpus": facts["corpus manifest sha256"]},
            processes=processes,
            progress=progress,
        )
        best = course.best(config.metric_for_best_model)
        card = {**card_of(config, renderer, facts), "first": course.first.as_dict(),
                "best": best.as_dict()}  # fmt: skip
        made = None
        if isinstance(trainable, PromptBank):
            place = folder and folder / FOLDER
            made = Prompt(card, place, trainable.value(0)[0], trainable.trains)
        pretrained = Pretrained(made, best, course)
        if folder and processes.first:
            finish(config, folder, trainable, card, facts, pretrained)
    return pretrained


ASIDE = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")
"""Flags that say nothing of what was trained, so that its card is the same however it ended."""

PLACES = {"prompt": FOLDER, "lora": ADAPTER}
"""``--trains`` → where in the run folder it is kept."""


def facts_of(
    config: PretrainConfig, corpus: Corpus, renderer: Renderer, examples: Examples
) -> dict[str, str]:
    """What a card tells people of where a prompt comes from."""
    embedded = EMBEDDED.get(config.model)
    texts = standard_texts(config.format, renderer.pattern.layout, config.style, config.answers)
    return {
        "backbone": f"{config.model}, licence {embedded.licence}" if embedded else config.model,
        "format": config.format,
        "pattern": next(iter(texts.values())),
        "label words": ", ".join(renderer.verbalizer.words.values()),
        "corpus": str(config.corpus),
        "corpus manifest sha256": file_digest(corpus.folder / MANIFEST),
        "examples": f"{len(examples.train):,} train, {len(examples.validation):,} validation",
        "documents kept": f"{corpus.manifest.documents['kept']:,}",
        "cut to --max_length": f"{examples.cut_share:.1%}",
        "ppt": ppt.__version__,
    }


def card_of(config: PretrainConfig, renderer: Renderer, facts: Mapping[str, str]) -> dict[str, Any]:
    """What programs must know of a prompt (``prompt.json``), its scores aside."""
    return {
        "backbone": config.model,
        "format": config.format,
        "style": config.style,
        "layout": renderer.pattern.layout,
        "patterns_version": PATTERNS_VERSION,
        "label_words": list(renderer.verbalizer.words.values()),
        "loss": config.loss,
        "answers": config.answers,
        "corpus_sha256": facts["corpus manifest sha256"],
    }


def finish(
    config: PretrainConfig,
    folder: Path,
    trainable: Trainable,
    card: Mapping[str, Any],
    facts: Mapping[str, str],
    made: Pretrained,
) -> None:
    """Write what was trained, its card and figure, and last `result.json`."""
    base = EMBEDDED[config.model].hub_id if config.model in EMBEDDED else config.model
    trainable.save(0, folder / PLACES[config.trains], base, card)
    drawn = not left_out("matplotlib", LOSS_PNG)
    if drawn:
        draw_loss(folder, read_metrics(folder), f"{config.format}, {config.model}")
    flags = {name: value for name, value in asdict(config).items() if name not in ASIDE}
    text = prompt_card(
        base_model=base, facts=facts, flags=flags, first=made.first, best=made.best,
        drawn=drawn,
    )  # fmt: skip
    write_atomically(folder / CARD, text.encode())
    course = made.course
    summary = {
        **made.scores,
        "steps": course.step,
        "stopped_early": course.stopped_early,
        "seconds": round(course.seconds, 3),
        "examples_per_second": round(course.examples / max(course.seconds, 1e-9), 3),
    }
    write_atomically(folder / RESULT, (json.dumps(summary, indent=2) + "\n").encode())
