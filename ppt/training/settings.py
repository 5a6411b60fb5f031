"""What the training commands are asked to do. Flags bear the names of Hugging Face's Trainer.

`StepSettings` is what optimizers, schedules and both loops read, `TrainSettings` what the
loop of pre-training (`ppt.training.loop`) adds; each command adds what is its own. Nothing
here imports torch, so that ``--help`` and errors are quick.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ppt.backbones.sources import DEFAULT_MODEL
from ppt.base.flags import Command, Rule, at_least, between, flag
from ppt.corpus.formats import FORMATS
from ppt.errors import ConfigError
from ppt.methods import ACCURACY, CLEAR, EXAMPLES, PROMPT_RATES
from ppt.prompts.patterns import ANSWERS, TARGETS
from ppt.training.shared import DATA, LM, MACHINE, DocumentSettings, MachineSettings

PROMPT, OPTIMISER, STEPS = "the prompt", "the optimizer", "steps, evaluation and state"

KINDS = ("embeddings", "kv")
"""``--prompt_kind``; the first is usual."""

RATE = Rule(lambda rate: 0 < rate <= 1e6, "a number above 0, up to 1,000,000")
"""What a learning rate may be: far more than trains anything, and what float32 can hold."""


DECAYS = {"adamw": 0.0, "adafactor": 1e-5}
"""``--optimizer`` → ``--weight_decay`` where flags say nothing; learning rates are `PROMPT_RATES`.

Adafactor has the values of Lester et al. 2021 for T5: constant 0.3, no relative step, no parameter
scaling, decay 0.8. Its updates have an RMS of at most the learning rate, so 0.3 does not carry over
to the embedded backbone, whose embeddings have an RMS of 0.136: AdamW with 5e-3 suits that one."""


@dataclass(frozen=True, kw_only=True)
class StepSettings(Command):
    """How fast, how long and by what measure anything is trained."""

    GROUPS: ClassVar[tuple[str, ...]] = (DATA, PROMPT, OPTIMISER, STEPS, MACHINE)

    loss: str = flag(
        "cross-entropy among the label words, or over the whole vocabulary as published",
        group=OPTIMISER, default="verbalizer", choices=("verbalizer", "vocabulary"),
    )  # fmt: skip
    optimizer: str = flag(
        "adafactor takes the settings of the T5 papers", group=OPTIMISER, default="adamw",
        choices=DECAYS,
    )  # fmt: skip
    learning_rate: float | None = flag(
        "the peak rate; scale it with the backbone's embeddings (RMS 0.136 for the embedded one)",
        group=OPTIMISER, default=None, rule=RATE, unset="0.005 for adamw, 0.3 for adafactor",
    )  # fmt: skip
    lr_scheduler_type: str = flag(
        "what follows the warm-up", group=OPTIMISER, default="constant",
        choices=("constant", "linear", "cosine"),
    )  # fmt: skip
    warmup_steps: int = flag(
        "steps in which the rate rises from 0", group=OPTIMISER, default=0, rule=at_least(0)
    )
    weight_decay: float | None = flag(
        "decoupled, per step", group=OPTIMISER, default=None, rule=between(0, 1_000_000),
        unset="0 for adamw, 1e-5 for adafactor",
    )  # fmt: skip
    pull: float = flag(
        "decoupled too, but towards where training began (L2-SP, Li et al. 2018): each step goes"
        " this times the rate of the way back", group=OPTIMISER, default=0.0,
        rule=between(0, 1_000_000),
    )  # fmt: skip
    max_grad_norm: float = flag(
        "the gradient is scaled down to this norm; 0: never", group=OPTIMISER, default=1.0,
        rule=at_least(0),
    )  # fmt: skip
    per_device_train_batch_size: int = flag(
        "examples of a forward pass on each device", group=STEPS, default=16, rule=at_least(1)
    )
    max_steps: int = flag("steps in all", group=STEPS, default=500, rule=at_least(1))
    eval_steps: int = flag(
        "steps between evaluations; there is one before and after training too",
        group=STEPS, default=50, rule=at_least(1),
    )  # fmt: skip
    metric_for_best_model: str = flag(
        "what the best step and early stopping go by; of equal accuracies the lower loss wins"
        f" ({CLEAR}: the earlier step, and the start where no accuracy is more than that above it)",
        group=STEPS, default="loss", choices=("loss", ACCURACY, CLEAR),
    )  # fmt: skip
    early_stopping_patience: int = flag(
        "stop after this many evaluations without a better one; 0: never",
        group=STEPS, default=5, rule=at_least(0),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_steps > self.max_steps:
            raise ConfigError(
                f"--warmup_steps: got {self.warmup_steps}, expected at most --max_steps "
                f"({self.max_steps})."
            )

    def resolved(self) -> Self:
        """The same with every value that was left open."""
        rate, decay = self.learning_rate, self.weight_decay
        return replace(
            self,
            learning_rate=PROMPT_RATES[self.optimizer] if rate is None else rate,
            weight_decay=DECAYS[self.optimizer] if decay is None else decay,
        )


def require_early(step: int | None, steps: int) -> None:
    """Refuse an early step that never comes."""
    if step is not None and step > steps:
        raise ConfigError(f"--embedding_steps: got {step}, expected at most {steps} (--max_steps).")


@dataclass(frozen=True, kw_only=True)
class TrainSettings(StepSettings):
    """How a soft prompt is pre-trained, whatever the data."""

    per_device_eval_batch_size: int = flag(
        "the same for a forward pass of evaluation", group=STEPS, default=32, rule=at_least(1)
    )
    gradient_accumulation_steps: int = flag(
        "forward passes per step; a step sees this times batch size times devices examples",
        group=STEPS, default=1, rule=at_least(1),
    )  # fmt: skip
    logging_steps: int = flag(
        "steps between training rows of metrics.jsonl", group=STEPS, default=10, rule=at_least(1)
    )
    tensorboard: bool | None = flag(
        "write TensorBoard events too", group=STEPS, default=None, free=True,
        unset="where TensorBoard is installed",
    )  # fmt: skip
    save_steps: int = flag(
        "steps between resumable states", group=STEPS, default=10, rule=at_least(1), free=True
    )
    save_total_limit: int = flag(
        "states that are kept, the newest", group=STEPS, default=2, rule=at_least(1), free=True
    )
    seed: int = flag(
        "of the initial prompt and the order of the data", group=STEPS, default=0,
        rule=Rule(lambda seed: 0 <= seed < 2**63, "0 to 2**63 - 1"),
    )  # fmt: skip

    @property
    def local_batch_size(self) -> int:
        """Examples of a step in each process."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TrainSettings, MachineSettings, DocumentSettings):
    """``python -m ppt.pretrain``: a corpus and a backbone in, a pre-trained prompt out."""

    format: str = flag(
        "kind of the corpus; lm: raw documents, as language modelling (SPoT, Vu et al. 2022)",
        group=DATA, choices=(*FORMATS, LM),
    )  # fmt: skip
    corpus: str | None = flag(
        "folder of one corpus; of lm, files of raw documents such as 'docs/*.jsonl.gz'",
        group=DATA, default=None, unset="corpora/<format>", free=True,
    )  # fmt: skip
    model: str = flag(
        "the frozen backbone: an embedded name, a folder or a hub id", group=DATA,
        default=DEFAULT_MODEL,
    )  # fmt: skip
    output_dir: str | None = flag(
        "the run folder", group=DATA, default=None, unset="runs/<format>", free=True
    )
    overwrite_output_dir: bool = flag(
        "begin anew where a finished or another run is; what this command itself began still "
        "goes on, unless --resume_from_checkpoint=none", group=DATA, default=False, free=True,
    )  # fmt: skip
    resume_from_checkpoint: str = flag(
        "auto: go on from the newest state in the run folder; none: begin anew; or the folder "
        "of one state", group=DATA, default="auto", free=True,
    )  # fmt: skip
    verify: str = flag(
        "what is checked of the corpus: sizes and row counts, or each shard's sha256 too",
        group=DATA, default="fast", choices=("fast", "full"), free=True,
    )  # fmt: skip
    style: str = flag(
        "hybrid patterns have hard words beside the soft prompt; hard ones serve lora",
        group=DATA, default="soft", choices=("soft", "hybrid", "hard"),
    )  # fmt: skip
    answers: str = flag(
        "what answers a row with options: its letter, or the text that is likeliest (a token's"
        " mean log-probability), for causal models", group=DATA, default="letters", choices=ANSWERS,
    )  # fmt: skip
    target: str = flag(
        "encoder-decoders: the decoder says a mask that stands in the text, then the label word"
        " (cloze); a mask that does not (sentinel); or the word alone, which suits models adapted"
        " to language modelling (Lester et al. 2021, 2.2)",
        group=DATA, default=TARGETS[0], choices=TARGETS,
    )  # fmt: skip
    max_length: int = flag(
        "tokens of an example at most, prompt aside; longer texts are cut fairly", group=DATA,
        default=256, rule=at_least(8),
    )  # fmt: skip
    max_train_examples: int | None = flag(
        "take only the first; shards are shuffled, so that is a fair sample", group=DATA,
        default=None, rule=at_least(1), unset="as many as the steps take",
    )  # fmt: skip
    max_eval_examples: int | None = flag(
        "the same for validation; 'auto' takes all", group=DATA, default=256, rule=at_least(1),
        unset="all",
    )  # fmt: skip
    trains: str = flag(
        "a soft prompt, or low-rank adapters of all linear layers through PEFT (Hu et al. 2022)",
        group=PROMPT, default="prompt", choices=("prompt", "lora"),
    )  # fmt: skip
    prompt_kind: str = flag(
        "a prompt's embeddings, or its keys and values of every layer (Li and Liang 2021), for"
        " causal models", group=PROMPT, default="embeddings", choices=KINDS,
    )  # fmt: skip
    prompt_length: int = flag(
        "tokens of the soft prompt; the papers take 100 with T5", group=PROMPT, default=20,
        rule=between(1, 10_000),
    )  # fmt: skip
    init: str = flag(
        "how the prompt begins: random[:limit], vocabulary[:tokens], labels, text:<words>, "
        "checkpoint:<folder> (a run with --trains=lora too), or, of kind kv, examples: the first of"
        " the corpus, as many as fit",
        group=PROMPT, default="vocabulary", rule=Rule(bool, "a name such as vocabulary"),
    )  # fmt: skip
    residual: int = flag(
        "bottleneck of the residual network (Razdaibiedina et al. 2023), folded into the prompt "
        "when it is saved; 0: none", group=PROMPT, default=0, rule=between(0, 10_000),
    )  # fmt: skip
    embedding_steps: int | None = flag(
        "keep the prompt of this early step too, by which python -m ppt.transfer knows its task",
        group=PROMPT, default=None, rule=at_least(1), unset="none is kept",
    )  # fmt: skip
    token_dropout: float = flag(
        "share of the positions of a prompt of kind kv that a step leaves unread (Lu et al. 2025)",
        group=PROMPT, default=0.0, rule=Rule(lambda share: 0 <= share < 1, "0 or more, below 1"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        prompt, kv = self.trains == "prompt", self.what == "kv"
        known = self.init == "vocabulary" or self.init.startswith("checkpoint:")
        for name, fits, part in (
            ("residual", prompt or not self.residual, "--trains=prompt"),
            ("prompt_kind", prompt or self.prompt_kind == KINDS[0], "--trains=prompt"),
            ("token_dropout", kv or not self.token_dropout, "--prompt_kind=kv"),
            ("init", prompt or known, "--trains=prompt"),
            ("init", kv or self.init != EXAMPLES, "--prompt_kind=kv"),
            ("init", self.format != LM or self.init != EXAMPLES, "corpora of labelled rows"),
        ):
            if not fits:
                raise ConfigError(f"--{name}: got {getattr(self, name)!r}: it is for {part} alone.")
        of_rows = (self.style, self.answers, self.target) != ("soft", ANSWERS[0], TARGETS[0])
        others = of_rows if self.format == LM else self.eval_corpus is not None
        if others:
            raise ConfigError(
                f"--style, --answers and --target are of rows, --eval_corpus is of --format {LM}:"
                f" leave out what --format {self.format} has not."
            )
        if self.format == LM and self.corpus is None:
            raise ConfigError(f"--format {LM} needs raw documents: give --corpus='docs/*.txt'.")
        require_early(self.embedding_steps, self.max_steps)
        if self.embedding_steps and self.what != "prompt":
            raise ConfigError(f"--embedding_steps is for prompts of embeddings, got {self.what}.")
        if self.trains == "prompt" and self.style == "hard":
            raise ConfigError(
                "--style: got 'hard', expected soft or hybrid: a prompt is soft; hard words alone"
                " serve --trains=lora."
            )
        if self.overwrite_output_dir and self.resume_from_checkpoint not in ("auto", "none"):
            raise ConfigError(
                "--overwrite_output_dir begins anew and --resume_from_checkpoint "
                f"{self.resume_from_checkpoint} does not: give one of them."
            )

    @property
    def what(self) -> str:
        """What is trained: ``prompt``, ``kv`` (a deep one) or ``lora``."""
        return "kv" if self.trains == "prompt" and self.prompt_kind == "kv" else self.trains

    def resolved(self) -> Self:
        """The same with every value that was left open, folders too."""
        return replace(
            super().resolved(),
            corpus=self.corpus or f"corpora/{self.format}",
            output_dir=self.output_dir or f"runs/{self.format}",
        )
