"""What ``python -m ppt.adapt`` is asked to do. Nothing here imports torch."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from ppt.backbones.sources import DEFAULT_MODEL
from ppt.base.flags import Rule, again, at_least, between, flag
from ppt.errors import ConfigError
from ppt.training.settings import OPTIMISER, STEPS, PretrainConfig, StepSettings, TrainSettings
from ppt.training.shared import DATA, LM, MACHINE, DocumentSettings, MachineSettings

MODEL = "the model"
SPANS = "span_corruption"

RATES = {
    "lora": {"adamw": 1e-3, "adafactor": 1e-3},
    "everything": {"adamw": 1e-4, "adafactor": 1e-3},
    "new": {"adamw": 3e-3, "adafactor": 1e-2},
}
"""What is trained (or that it is new) → learning rate by optimizer."""


@dataclass(frozen=True, kw_only=True)
class AdaptConfig(TrainSettings, MachineSettings, DocumentSettings):
    """``python -m ppt.adapt``: raw documents and a model in, an adapted model out."""

    GROUPS: ClassVar[tuple[str, ...]] = (DATA, MODEL, OPTIMISER, STEPS, MACHINE)

    objective: str = flag(
        "lm: the next token, or for encoder-decoders the continuation of a prefix;"
        " span_corruption: what stood in gaps (T5)", group=DATA, choices=(LM, SPANS),
    )  # fmt: skip
    corpus: str = flag(
        "raw documents: .jsonl, .txt or .parquet, packed or not, such as 'docs/*.jsonl.gz'",
        group=DATA, rule=Rule(bool, "files"), free=True,
    )  # fmt: skip
    output_dir: str = flag("the run folder; the model is in model/", group=DATA, free=True)
    overwrite_output_dir: bool = again(PretrainConfig, "overwrite_output_dir")
    resume_from_checkpoint: str = again(PretrainConfig, "resume_from_checkpoint")
    max_length: int = again(
        PretrainConfig, "max_length", help="tokens of a window; documents are packed into these"
    )
    max_eval_examples: int | None = again(
        PretrainConfig, "max_eval_examples", 128, help="windows that are held out; 'auto': all"
    )
    model: str | None = flag(
        "the model to begin from: an embedded name, a folder or a hub id", group=MODEL,
        default=None, unset=f"{DEFAULT_MODEL}, or none with --config",
    )  # fmt: skip
    config: str | None = flag(
        "begin from nothing in place of --model: a config.json of transformers",
        group=MODEL, default=None, unset="none",
    )  # fmt: skip
    train_tokenizer: int | None = flag(
        "tokens of the byte-level BPE that is trained on the documents; with --config",
        group=MODEL, default=None, rule=between(360, 1_000_000), unset="none",
    )  # fmt: skip
    trains: str = flag(
        "all weights, in float32, or low-rank adapters of all linear layers through PEFT",
        group=MODEL, default="everything", choices=("everything", "lora"),
    )  # fmt: skip
    merge: bool = flag(
        "write the model with the low-rank adapters added to its weights, not these alone",
        group=MODEL, default=False, free=True,
    )  # fmt: skip
    loss: str = again(
        StepSettings, "loss", help="of label words, which documents have none of: leave it out",
        choices=("verbalizer",),
    )  # fmt: skip
    learning_rate: float | None = again(
        StepSettings, "learning_rate", help="the peak rate",
        unset="0.0001 for all weights with adamw, 0.001 for lora, 0.003 for a new model",
    )  # fmt: skip
    per_device_train_batch_size: int = again(StepSettings, "per_device_train_batch_size", 8)
    per_device_eval_batch_size: int = again(TrainSettings, "per_device_eval_batch_size", 8)
    save_steps: int = again(TrainSettings, "save_steps", 100)
    seed: int = again(
        TrainSettings, "seed", help="of what is new, the cuts and the order of the data"
    )
    weight_decay: float | None = again(StepSettings, "weight_decay", unset="0")
    max_steps: int = flag("steps in all", group=STEPS, default=1000, rule=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.config is None) != (self.train_tokenizer is None):
            raise ConfigError(
                "--config and --train_tokenizer make a new model together: give both, or neither."
            )
        if self.config is not None and self.model is not None:
            raise ConfigError("--model and --config both say what to begin from: give one.")
        if self.config is not None and self.trains != "everything":
            raise ConfigError(f"--trains {self.trains} needs a model: with --config leave it out.")
        if self.merge and self.trains != "lora":
            raise ConfigError("--merge adds low-rank adapters to a model: give --trains=lora too.")

    def resolved(self) -> Self:
        """The same with every value that was left open."""
        rate, decay = self.learning_rate, self.weight_decay
        usual = RATES["new" if self.config else self.trains]
        return replace(
            self,
            learning_rate=usual[self.optimizer] if rate is None else rate,
            weight_decay=0.0 if decay is None else decay,
            model=self.model or (None if self.config else DEFAULT_MODEL),
        )
