"""Which commands there are: ``python -m ppt``."""

import sys
from collections.abc import Sequence

import ppt
from ppt.errors import ConfigError, as_command, did_you_mean

COMMANDS = {
    "pipelines.build_corpus": "raw documents → self-supervised corpora",
    "pipelines.train_punkt": "raw documents → a splitter of their language's sentences",
    "ppt.inspect": "what is in a corpus: rows, rejects, plots, warnings",
    "ppt.pretrain": "a corpus and a frozen model → a pre-trained prompt, or LoRA",
    "ppt.adapt": "raw documents and a model → a model that continues text",
    "ppt.fewshot": "few examples of a task → prompts tuned from their starts",
    "ppt.predict": "new rows and what was tuned → the rows with their labels",
    "ppt.report": "results of few-shot tuning → one page of tables and plots",
    "ppt.transfer": "a library of prompts → which starts help which tasks",
}
"""Module that is run → what comes in and what goes out."""


@as_command
def main(argv: Sequence[str] | None) -> None:
    """List the commands and return the exit code: 0, or 2 after a one-line error."""
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--version"]:
        print(ppt.__version__)
        return
    if argv and argv[0] not in ("-h", "--help"):
        own = {name.partition(".")[2]: name for name in COMMANDS}
        meant = did_you_mean(argv[0], own, lambda name: f"python -m {own[name]}")
        raise ConfigError(f"got {argv[0]!r}, expected --help or --version.{meant}")
    width = max(map(len, COMMANDS))
    print(f"Pre-trained prompt tuning {ppt.__version__}:\n")
    for name, what in COMMANDS.items():
        print(f"  python -m {name:{width}}  {what}")
    print("\nEach tells of its flags with --help; `make quickstart` runs most of them.")


if __name__ == "__main__":
    sys.exit(main())
