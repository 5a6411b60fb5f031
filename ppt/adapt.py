"""Adapt a language model to raw documents: ``python -m ppt.adapt --objective=lm --corpus=...``.

``accelerate launch -m ppt.adapt ...`` does it on several GPUs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ppt.base.extras import need
from ppt.base.flags import parse
from ppt.base.imports import import_models, quick_imports, spin_less
from ppt.base.output_folder import locked
from ppt.errors import as_command
from ppt.training.adaptation import AdaptConfig

DESCRIPTION = """\
Go on training a language model on raw documents, or train one from nothing.

Files of .jsonl (the key "text"), .txt (a document a file) or .parquet, packed or not, are read
once and packed into windows of --max_length tokens; some documents are held out to evaluate on.
The run folder gets model/ (model and tokenizer, as transformers reads them) or adapter/,
README.md, metrics.jsonl, loss.png and rejects.jsonl. A run that was interrupted goes on when the
same command is given again."""

EPILOG = """\
examples:
  python -m ppt.adapt --objective=lm --corpus='docs/*.jsonl.gz' --trains=lora --merge \\
      --output_dir=adapted
  python -m ppt.adapt --objective=lm --corpus='docs/*.txt' --model=google/t5-v1_1-small \\
      --output_dir=adapted --optimizer=adafactor --max_length=512
  python -m ppt.adapt --objective=span_corruption --corpus='docs/*.parquet' --config=t5.json \\
      --train_tokenizer=8000 --output_dir=small-t5

The first makes adapted/model of the embedded backbone; python -m ppt.fewshot --model=adapted
takes it. After the second (Lester et al. 2021 adapt T5 so) give
--target=word there. In the third t5.json is a config of transformers, such as {"model_type":
"t5", "d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 4, "num_heads": 4}."""


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    spin_less()
    config = parse(AdaptConfig, argv, "python -m ppt.adapt", DESCRIPTION, EPILOG).resolved()
    if config.trains == "lora":
        need("peft", "--trains=lora")
    if config.tensorboard:
        need("tensorboard", "--tensorboard=true")
    with quick_imports(argv):  # torch comes in here: --help and most errors are quick
        from ppt.training.processes import Session, join

    processes, folder = join(config.device), Path(config.output_dir)
    with locked(folder if processes.first else None):
        from ppt.training.adapting import adapt, place_of
        from ppt.training.card import show_scores
        from ppt.training.folder import check_run
        from ppt.training.windows import Reading

        goes_on = check_run(folder, config)
        processes.wait()
        import_models(argv)
        progress = "bar" if sys.stderr.isatty() else "lines"
        session = Session(processes, goes_on, progress, tell=print)
        course = adapt(config, Reading(config.corpus, config), folder, session)
        if processes.first:
            show_scores(course, config.metric_for_best_model, "", folder / place_of(config))
        processes.leave()


if __name__ == "__main__":
    sys.exit(main())
