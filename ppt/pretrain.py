"""Pre-train a soft prompt on a corpus: ``python -m ppt.pretrain --format=unified``.

``accelerate launch -m ppt.pretrain --format=...`` does it on several GPUs.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ppt
from ppt.backbones.sources import EMBEDDED
from ppt.base.extras import left_out, need
from ppt.base.files import file_digest, write_atomically
from ppt.base.flags import parse
from ppt.base.output_folder import locked
from ppt.base.threads import spin_less
from ppt.corpus.storage import MANIFEST, Corpus, open_corpus
from ppt.errors import ConfigError, exit_status
from ppt.training.settings import PretrainConfig

DESCRIPTION = """\
Pre-train a soft prompt on a self-supervised corpus, with the backbone frozen.

A corpus comes from python -m pipelines.build_corpus. The run folder gets prompt/ (a PEFT
adapter of the best step), README.md, metrics.jsonl, loss.png and TensorBoard events. A
run that was interrupted goes on when the same command is given again."""

EPILOG = """\
examples:
  python -m ppt.pretrain --format=unified
  python -m ppt.pretrain --format=sentiment --style=hybrid --max_steps=300 --dtype=bfloat16
  python -m ppt.pretrain --format=sentence_pair --model=google/t5-xl-lm-adapt \\
      --optimizer=adafactor --prompt_length=100 --output_dir=runs/pair
  accelerate launch -m ppt.pretrain --format=unified --model=Qwen/Qwen2.5-1.5B

With no flag but --format it takes 500 steps of 16 examples: an hour or more on a laptop's
CPU for unified, the format with the longest texts. A bar tells the time left of the whole
run. --dtype=bfloat16 is faster on CPUs that have it; --max_length=128 and --max_steps=100
give a first look."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    spin_less()
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    config = parse(
        PretrainConfig,
        argv,
        prog="python -m ppt.pretrain",
        description=DESCRIPTION,
        epilog=EPILOG,
    ).resolved()
    corpus = open_corpus(str(config.corpus), config.format, config.verify)
    if config.tensorboard:
        need("tensorboard", "--tensorboard=true")
    from ppt.training.folder import check_run
    from ppt.training.processes import (
        join,  # torch comes in here, so that --help and most errors are quick
    )

    processes = join(config.device)
    folder = Path(str(config.output_dir))
    with locked(folder) if processes.first else nullcontext():
        goes_on = check_run(
            folder,
            config,
            overwrite=config.overwrite_output_dir,
            resume=config.resume_from_checkpoint,
        )
        processes.wait()
        _pretrain(config, corpus, folder, processes, goes_on=goes_on)
        processes.leave()
    return 0


def _pretrain(
    config: PretrainConfig, corpus: Corpus, folder: Path, processes: Any, *, goes_on: bool
) -> None:
    """Load, train, and write what is left to write."""
    from ppt.backbones.loading import dtype_hint, load_backbone
    from ppt.prompts.rendering import Renderer
    from ppt.training.examples import load_examples
    from ppt.training.folder import begin_run
    from ppt.training.loop import train

    backbone = load_backbone(
        config.model,
        device=processes.device or config.device,
        dtype=config.dtype,
        threads=config.threads,
    )
    renderer = Renderer.standard(
        config.format, backbone.kind, config.style, backbone.tokenizer, config.max_length
    )
    words = renderer.words()
    require_room(backbone, words, config)
    prompt = first_prompt(config, backbone, words)
    examples = load_examples(
        corpus,
        renderer,
        config.max_train_examples or config.max_steps * config.local_batch_size * processes.world,
        config.max_eval_examples,
        progress=processes.first,
    )
    facts = facts_of(config, corpus, renderer, examples)
    if processes.first:
        print(f"{facts['examples']} examples of {corpus.folder}; {facts['cut to --max_length']}"
              f" cut to {config.max_length} tokens")  # fmt: skip
        if hint := dtype_hint(backbone):
            print(hint, file=sys.stderr)
        if goes_on:
            print(f"going on with the run in {folder}")
        begin_run(folder, config, goes_on=goes_on)
    processes.wait()
    result = train(
        backbone,
        prompt,
        examples,
        config,
        folder,
        resume=config.resume_from_checkpoint,
        identity={"corpus": facts["corpus manifest sha256"]},
        processes=processes,
        progress="bar" if sys.stderr.isatty() else "lines",
    )
    if processes.first:
        finish(config, folder, backbone, renderer, facts, result)


def facts_of(
    config: PretrainConfig, corpus: Corpus, renderer: Any, examples: Any
) -> dict[str, str]:
    """What a card tells of where a prompt comes from."""
    from ppt.prompts.patterns import PATTERNS

    embedded = EMBEDDED.get(config.model)
    return {
        "backbone": f"{config.model}, licence {embedded.licence}" if embedded else config.model,
        "format": config.format,
        "pattern": PATTERNS[config.format][renderer.pattern.layout][config.style],
        "label words": ", ".join(renderer.verbalizer.words.values()),
        "corpus": str(config.corpus),
        "corpus manifest sha256": file_digest(corpus.folder / MANIFEST),
        "examples": f"{len(examples.train):,} train, {len(examples.validation):,} validation",
        "documents kept": f"{corpus.manifest.documents['kept']:,}",
        "cut to --max_length": f"{examples.cut_share:.1%}",
        "ppt": ppt.__version__,
    }


def first_prompt(config: PretrainConfig, backbone: Any, words: Any) -> Any:
    """The prompt that training starts from; the same in every process and on every device."""
    import torch

    from ppt.prompts.soft import Residual, SoftPrompt, Vocabulary, initialiser

    vocabulary = Vocabulary(backbone.input_embeddings(), backbone.tokenizer, words)
    generator = torch.Generator().manual_seed(config.seed)
    shape = (config.prompt_length, backbone.hidden_size)
    values = initialiser(config.init, vocabulary)(shape, generator)
    residual = Residual(shape[1], config.residual, generator) if config.residual else None
    return SoftPrompt(values, residual)


def require_room(backbone: Any, words: Any, config: PretrainConfig) -> None:
    """Refuse lengths that the backbone has no positions for."""
    room, width = backbone.positions, words.ids.shape[1]
    asked = config.prompt_length + config.max_length + width - 1
    if room is not None and asked > room:
        raise ConfigError(
            f"--prompt_length {config.prompt_length}, --max_length {config.max_length} and label"
            f" words of up to {width} tokens need {asked} positions, but {config.model} has {room}:"
            " lower one of the flags."
        )


def finish(
    config: PretrainConfig,
    folder: Path,
    backbone: Any,
    renderer: Any,
    facts: dict[str, str],
    result: Any,
) -> None:
    """Write the prompt, its card and figure, and last `result.json`; print the scores."""
    from rich.console import Console

    from ppt.prompts.files import save_prompt
    from ppt.prompts.patterns import PATTERNS_VERSION
    from ppt.training.card import draw_loss, prompt_card, read_metrics, scores_table
    from ppt.training.folder import CARD, PROMPT, RESULT
    from ppt.training.log import LOSS_PNG

    base = EMBEDDED[config.model].hub_id if config.model in EMBEDDED else config.model
    scores = {"first": result.first.as_dict(), "best": result.best.as_dict()}
    card = {
        "backbone": config.model,
        "format": config.format,
        "style": config.style,
        "layout": renderer.pattern.layout,
        "patterns_version": PATTERNS_VERSION,
        "label_words": list(renderer.verbalizer.words.values()),
        "loss": config.loss,
        "corpus_sha256": facts["corpus manifest sha256"],
        **scores,
    }
    save_prompt(folder / PROMPT, result.prompt, kind=backbone.kind, model=base, card=card)
    drawn = not left_out("matplotlib", LOSS_PNG)
    if drawn:
        draw_loss(folder, read_metrics(folder), f"{config.format}, {config.model}")
    flags = {name: value for name, value in asdict(config).items() if name != "output_dir"}
    text = prompt_card(
        base_model=base, facts=facts, flags=flags, first=result.first, best=result.best,
        drawn=drawn,
    )  # fmt: skip
    write_atomically(folder / CARD, text.encode())
    summary = {
        **scores,
        "steps": result.steps,
        "stopped_early": result.stopped_early,
        "seconds": round(result.seconds, 3),
        "examples_per_second": round(result.examples / max(result.seconds, 1e-9), 3),
    }
    write_atomically(folder / RESULT, (json.dumps(summary, indent=2) + "\n").encode())
    Console().print(scores_table(result.first, result.best))
    print(
        f"{result.steps} steps{', stopped early' if result.stopped_early else ''}; the prompt of"
        f" step {result.best.step}: {folder / PROMPT}"
    )


if __name__ == "__main__":
    sys.exit(main())
