"""Few-shot tuning: K runs side by side against one after another, and against PEFT's way.

    python -m benchmarks.fewshot --runs=5 --steps=12 --dtype=bfloat16

The rows are those of data/tasks/verdicts. PEFT's side is its users' usual script: prompt
tuning with the Trainer of transformers, on the same rows, start, rate and number of
steps; no side validates. Each measurement is a process of its own, so that peak memory
is its own, and the sides take turns, so that a busy machine slows all of them.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASK = Path(__file__).parents[1] / "data" / "tasks" / "verdicts" / "task.yaml"

SIDES = {
    "one after another": "K runs, each alone",
    "side by side": "the same K runs as one batch",
    "one run, label words": "our loop, the default loss",
    "one run, vocabulary": "our loop, the loss over all tokens, as PEFT's",
    "one run, PEFT": "PEFT and the Trainer of transformers",
}


def main(argv: list[str] | None = None) -> None:
    """Measure every side in turn and print a Markdown table."""
    flags = parse(argv)
    if flags.child:
        print(json.dumps(measure(flags.child, flags)))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(flags.rounds):
        for side in SIDES:
            found[side].append(in_a_process(side))
    print(f"K = {flags.runs}, {flags.steps} steps of {flags.batch}, P = {flags.prompt_length},")
    print(f"{flags.dtype}, {flags.threads} threads, {flags.model}\n")
    print("| side | s a run (median) | runs an hour | peak MB | last training loss |")
    print("|---|---|---|---|---|")
    for side, told in SIDES.items():
        seconds = statistics.median(one["seconds"] for one in found[side])
        peak = max(one["peak"] for one in found[side])
        loss = found[side][0]["loss"]
        cells = f"{seconds:.2f} | {3600 / seconds:.0f} | {peak:.0f} | {loss:.4f}"
        print(f"| {side}: {told} | {cells} |")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="K (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=12, help="of each run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="rows a step (default: %(default)s)")
    parser.add_argument("--shots", type=int, default=32, help="rows to train on")
    parser.add_argument("--prompt_length", type=int, default=20, help="P (default: %(default)s)")
    parser.add_argument("--max_length", type=int, default=64, help="tokens of a row, at most")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="each side is measured that often")
    parser.add_argument("--tokens_at_once", type=int, default=4096)
    parser.add_argument("--child", choices=tuple(SIDES), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def in_a_process(side: str) -> dict[str, float]:
    """What `measure` gives in a fresh process with the same flags."""
    command = [sys.executable, "-m", "benchmarks.fewshot", *sys.argv[1:], f"--child={side}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(side: str, flags: argparse.Namespace) -> dict[str, float]:
    """Seconds a run, peak memory in MB, and the last training loss of the first run."""
    import torch

    torch.set_num_threads(flags.threads)
    measured = peft_run(flags) if side == "one run, PEFT" else our_runs(side, flags)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**measured, "peak": peak}


def material(flags: argparse.Namespace) -> tuple[Any, Any, list[Any], list[Any]]:
    """The backbone, the view of the task, and rows and first prompt of each run."""
    import torch

    from ppt.fewshot.bench import asked_backbone
    from ppt.fewshot.settings import FewshotConfig
    from ppt.fewshot.views import TaskView
    from ppt.methods import METHODS
    from ppt.prompts.soft import Vocabulary, sampled_vocabulary
    from ppt.tasks.user_file import load_task_file

    config = FewshotConfig(
        task_file=str(TASK), model=flags.model, dtype=flags.dtype, threads=flags.threads,
        prompt_length=flags.prompt_length, max_length=flags.max_length,
    )  # fmt: skip
    backbone = asked_backbone(config)
    data = load_task_file(TASK)
    view = TaskView.of(data, METHODS["prompt_tuning"], backbone, flags.max_length, None)
    seeds = list(range(flags.runs))
    rows = [view.draw(flags.shots, seed).train.tokens for seed in seeds]
    vocabulary = Vocabulary(backbone.input_embeddings(), backbone.tokenizer, view.words)
    make, shape = sampled_vocabulary(vocabulary), (flags.prompt_length, backbone.hidden_size)
    prompts = [make(shape, torch.Generator().manual_seed(seed)) for seed in seeds]
    return backbone, view, rows, prompts


def our_runs(side: str, flags: argparse.Namespace) -> dict[str, float]:
    """Our loop: all runs as one bank, or each as a bank of its own. One row validates."""
    from ppt.fewshot.lanes import Lane, tune
    from ppt.prompts.batches import TokenRows
    from ppt.training.settings import StepSettings
    from ppt.training.trainables import PromptBank

    backbone, view, rows, prompts = material(flags)
    settings = StepSettings(
        max_steps=flags.steps, eval_steps=flags.steps,
        per_device_train_batch_size=flags.batch, early_stopping_patience=0,
        loss="vocabulary" if "vocabulary" in side else "verbalizer",
    )  # fmt: skip
    lanes = []
    for seed, own in enumerate(rows):
        one = TokenRows(own.ids[: own.starts[1]], own.starts[:2], own.labels[:1], own.options[:1])
        lanes.append(Lane(own, one, 5e-3, seed))
    if side.startswith("one run"):
        lanes, prompts = lanes[:1], prompts[:1]
    width = len(lanes) if side == "side by side" else 1
    began, courses = time.perf_counter(), []
    for start in range(0, len(lanes), width):
        bank = PromptBank(backbone, prompts[start : start + width])
        part = lanes[start : start + width]
        courses += tune(bank, part, settings, view.words, tokens_at_once=flags.tokens_at_once)
    seconds = (time.perf_counter() - began) / len(lanes)
    return {"seconds": seconds, "loss": courses[0].train_curve[-1][1]}


def peft_run(flags: argparse.Namespace) -> dict[str, float]:
    """PEFT's prompt tuning of a causal model with the Trainer, on the rows of the first run."""
    import torch
    from peft import PromptTuningConfig, get_peft_model
    from transformers import Trainer, TrainingArguments

    backbone, view, (rows, *_), (start, *_) = material(flags)
    tokenizer = backbone.tokenizer
    examples = []
    for one in range(len(rows)):
        text = rows.ids[rows.starts[one] : rows.starts[one + 1]].tolist()
        word = view.words.ids[rows.labels[one], : view.words.lengths[rows.labels[one]]].tolist()
        examples.append({"input_ids": text + word, "labels": [-100] * len(text) + word})

    def together(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(one["input_ids"]) for one in batch)
        fill = {"input_ids": tokenizer.pad_token_id, "labels": -100}
        columns = {
            name: [one[name] + [value] * (width - len(one[name])) for one in batch]
            for name, value in fill.items()
        }
        mask = [
            [1] * len(one["input_ids"]) + [0] * (width - len(one["input_ids"])) for one in batch
        ]
        return {
            name: torch.tensor(value) for name, value in {**columns, "attention_mask": mask}.items()
        }

    settings = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=flags.prompt_length)
    model = get_peft_model(backbone.model, settings)
    (weight,) = (one for one in model.parameters() if one.requires_grad)
    weight.data.copy_(start)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=flags.steps, learning_rate=5e-3, weight_decay=0.0,
            lr_scheduler_type="constant", per_device_train_batch_size=flags.batch,
            save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=1, use_cpu=True,
            remove_unused_columns=False,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=examples, data_collator=together)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return {"seconds": seconds, "loss": losses[-1]}


if __name__ == "__main__":
    main()
