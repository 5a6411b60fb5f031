"""Flags of the commands that read raw documents. Nothing here imports torch."""

from dataclasses import dataclass

from ppt.base.flags import Command, Rule, flag

DATA = "the data"

LM = "lm"
"""The format of raw documents, which have no rows, patterns or label words."""


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
