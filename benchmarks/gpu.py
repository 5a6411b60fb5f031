"""One call on a GPU: is it right, how fast is it, and what can be trained in the time left?

    python -m benchmarks.gpu --corpora corpora --seconds 540 --out gpu

Checks scores and gradients against the CPU, times our step against PEFT's, runs side by side
against one after another, the share of what the device multiplies at its best, and the labeller;
then pre-trains prompts, a part of the time left for each. `--out` gets `gpu.json`, a table in
`gpu.md` and all runs, unfinished ones too, in `runs.tar`; given as `--runs`, that file lets
another call go on from there. It needs torch, transformers, peft, safetensors, pyarrow, NumPy
and what these bring. `--small` runs all of it on a CPU, to see that it works: in minutes.
"""

import argparse
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmarks.device import PARTS, SIZES, Bench
from ppt.backbones.loading import load_backbone
from ppt.errors import exit_status

ANSWERS = {"sentiment": "letters", "sentence_pair": "letters",
           "multiple_choice": "texts", "unified": "texts"}  # fmt: skip
"""Format that is pre-trained → how its options answer: a small model does not bind letters."""

RUNS = tuple((name, style) for name in ANSWERS for style in ("soft", "hybrid"))
"""What is pre-trained: format and style."""

SAVING = 30.0
"""Seconds that a run gets to save its state when its time is over."""


def train(flags: argparse.Namespace, folder: Path, ends: float) -> dict[str, Any]:
    """Pre-train what `--corpora` has corpora for, each in its share of the time until `ends`."""
    todo = [(name, style) for name, style in RUNS if (Path(flags.corpora) / name).is_dir()]
    found = {}
    for place, (name, style) in enumerate(todo):
        run = folder / f"{name}-{style}"
        share = (ends - time.monotonic()) / (len(todo) - place)
        command = [
            sys.executable, "-m", "ppt.pretrain", f"--format={name}", f"--style={style}",
            f"--corpus={Path(flags.corpora) / name}", f"--model={flags.model}",
            f"--answers={ANSWERS[name]}",
            f"--output_dir={run}", *flags.pretrain,
        ]  # fmt: skip
        if (run / "result.json").is_file() or share <= SAVING:
            continue
        process = subprocess.Popen(command)
        try:
            process.wait(share - SAVING)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # it saves its state, and goes on next time
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAVING)
            process.kill()  # does nothing to one that has ended
            process.wait()
        result, ended = run / "result.json", process.returncode
        state = "goes on" if ended == 128 + signal.SIGTERM else f"failed with exit code {ended}"
        found[run.name] = json.loads(result.read_text()) if result.is_file() else state
    return found


def table(found: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    lines = ["| what | | |", "|---|---|---:|"]
    for part, numbers in found.items():
        if isinstance(numbers, dict):
            lines += [
                f"| {part} | {name} | {value:.4g} |"
                for name, value in numbers.items()
                if isinstance(value, float)
            ]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Check, measure, train. Returns the exit code."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m", help="the backbone (%(default)s)")
    parser.add_argument("--corpora", default="corpora", help="folder of corpora (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder (%(default)s)")
    parser.add_argument("--runs", type=Path, help="runs.tar of an earlier call, to go on from")
    parser.add_argument("--seconds", type=float, default=540, help="in all (%(default)s)")
    parser.add_argument("--small", action="store_true", help="on any machine, to see that it works")
    parser.add_argument("pretrain", nargs="*", help="after --: flags for python -m ppt.pretrain")
    flags = parser.parse_args(argv)
    if not (flags.small or torch.cuda.is_available()):
        parser.error("there is no GPU: give --small to try all of it on a CPU.")
    backbone = load_backbone(flags.model)
    bench = Bench(backbone, flags.model, *SIZES["small" if flags.small else "full"])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    found: dict[str, Any] = {"device": device, "torch": torch.__version__}
    flags.out.mkdir(parents=True, exist_ok=True)

    def keep() -> None:
        (flags.out / "gpu.json").write_text(json.dumps(found, indent=2) + "\n")
        (flags.out / "gpu.md").write_text(f"{device}, torch {torch.__version__}\n\n{table(found)}")

    for name, part in PARTS.items():
        found[name] = part(bench)
        keep()
        print(f"{time.monotonic() - began:4.0f} s  {name}: {json.dumps(found[name])}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        if flags.runs:
            with tarfile.open(flags.runs) as tar:
                tar.extractall(scratch, filter="data")
        found["trained"] = train(flags, Path(scratch), began + flags.seconds - SAVING)
        keep()
        with tarfile.open(flags.out / "runs.tar", "w") as tar:
            for run in sorted(Path(scratch).iterdir()):
                tar.add(run, arcname=run.name)
    print((flags.out / "gpu.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
