"""Flags of what a command runs on. Nothing here imports torch."""

from dataclasses import dataclass

from ppt.base.flags import Command, between, flag

MACHINE = "the machine"


@dataclass(frozen=True, kw_only=True)
class MachineSettings(Command):
    """What a command runs on."""

    dtype: str = flag(
        "precision of the backbone; auto: bfloat16 on a GPU that has it",
        group=MACHINE,
        default="auto",
        choices=("auto", "float32", "bfloat16"),
    )
    device: str | None = flag(
        "cpu, cuda or cuda:<number>", group=MACHINE, default=None, unset="a GPU if there is one",
        free=True,
    )  # fmt: skip
    threads: int | None = flag(
        "CPU threads; a resumed run is bit-identical only with as many as before",
        group=MACHINE,
        default=None,
        rule=between(1, 1024),
        unset="PyTorch's choice",
        free=True,
    )
