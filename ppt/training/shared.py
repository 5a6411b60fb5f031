"""Flags that several commands share: of the machine, and of raw documents.

Nothing here imports torch.
"""

from dataclasses import dataclass

from ppt.base.flags import Command, Rule, between, flag

DATA, MACHINE = "the data", "the machine"

LM = "lm"
"""The format of raw documents, which have no rows, patterns or label words."""


@dataclass(frozen=True, kw_only=True)
class MachineSettings(Command):
    """What a command runs on."""

    dtype: str = flag(
        "precision of the backbone; auto: bfloat16 on a GPU that has it",
        group=MACHINE, default="auto", choices=("auto", "float32", "bfloat16"),
    )  # fmt: skip
    device: str | None = flag(
        "cpu, cuda or cuda:<number>", group=MACHINE, default=None, unset="a GPU if there is one",
        free=True,
    )  # fmt: skip
    threads: int | None = flag(
        "CPU threads; a resumed run is bit-identical only with as many as before",
        group=MACHINE, default=None, rule=between(1, 1024), unset="PyTorch's choice", free=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DocumentSettings(Command):
    """Where the text of raw documents stands, and which are held out."""

    text_field: str = flag(
        "the key or column of raw documents that holds their text", group=DATA, default="text",
        rule=Rule(bool, "a name"),
    )  # fmt: skip
    eval_corpus: str | None = flag(
        "raw documents to evaluate on, none of which is trained on", group=DATA, default=None,
        rule=Rule(bool, "files"), unset="some of the corpus are held out",
    )  # fmt: skip
    held_out: float = flag(
        "the share of raw documents that is held out, by their content", group=DATA, default=0.05,
        rule=Rule(lambda share: 0 < share < 1, "a share between 0 and 1"),
    )  # fmt: skip
