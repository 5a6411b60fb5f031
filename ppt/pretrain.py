"""Pre-train a soft prompt on a corpus: ``python -m ppt.pretrain --format=unified``.

``accelerate launch -m ppt.pretrain --format=...`` does it on several GPUs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ppt.base.extras import need
from ppt.base.flags import parse
from ppt.base.imports import import_models, quick_imports, spin_less
from ppt.base.output_folder import locked
from ppt.corpus.storage import open_corpus
from ppt.errors import as_command
from ppt.training.settings import PretrainConfig
from ppt.training.shared import LM

DESCRIPTION = """\
Pre-train a soft prompt on a self-supervised corpus, with the backbone frozen.

A corpus comes from python -m pipelines.build_corpus, but for --format=lm, which reads raw
documents as language modelling. The run folder gets prompt/ (a PEFT
adapter of the best step), README.md, metrics.jsonl, loss.png and TensorBoard events. A
run that was interrupted goes on when the same command is given again."""

EPILOG = """\
examples:
  python -m ppt.pretrain --format=unified
  python -m ppt.pretrain --format=sentiment --style=hybrid --max_steps=300 --dtype=bfloat16
  python -m ppt.pretrain --format=sentence_pair --model=google/flan-t5-xl \\
      --optimizer=adafactor --prompt_length=100 --output_dir=runs/pair
  python -m ppt.pretrain --format=lm --corpus='docs/*.jsonl.gz' --max_length=128
  accelerate launch -m ppt.pretrain --format=unified --model=Qwen/Qwen2.5-1.5B

With no flag but --format it takes 500 steps of 16 examples: an hour or more on a laptop's
CPU for unified, the format with the longest texts. A bar tells the time left of the whole
run. --dtype=bfloat16 is faster on CPUs that have it; --max_length=128 and --max_steps=100
give a first look."""


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    spin_less()
    config = parse(PretrainConfig, argv, "python -m ppt.pretrain", DESCRIPTION, EPILOG).resolved()
    corpus = (
        None if config.format == LM
        else open_corpus(str(config.corpus), config.format, config.verify)
    )  # fmt: skip
    if config.tensorboard:
        need("tensorboard", "--tensorboard=true")
    with quick_imports(argv):  # torch comes in here: --help and most errors are quick
        from ppt.training.processes import Session, join

    processes, folder = join(config.device), Path(str(config.output_dir))
    with locked(folder if processes.first else None):
        from ppt.backbones.loading import dtype_hint, load_backbone
        from ppt.training.card import show_scores
        from ppt.training.folder import check_run
        from ppt.training.pretraining import PLACES, pretrain
        from ppt.training.windows import Reading

        goes_on = check_run(folder, config)
        processes.wait()
        import_models(argv)
        read = corpus or Reading(str(config.corpus), config)
        backbone = load_backbone(
            config.model,
            device=processes.device or config.device,
            dtype=config.dtype,
            threads=config.threads,
            target=config.target,
        )
        if processes.first and (hint := dtype_hint(backbone)):
            print(hint, file=sys.stderr)
        progress = "bar" if sys.stderr.isatty() else "lines"
        session = Session(processes, goes_on, progress, tell=print)
        made = pretrain(config, read, backbone, folder, session)
        if processes.first:
            metric, place = config.metric_for_best_model, folder / PLACES[config.trains]
            show_scores(made.course, metric, f"the {config.trains} of ", place)
        processes.leave()


if __name__ == "__main__":
    sys.exit(main())
