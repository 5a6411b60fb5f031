"""What users install: wheel and sdist are built, and the wheel's commands run from an empty place.

``python -m tests.wheel``, which ``make check`` runs. The wheel goes into an environment of its
own with its real dependencies, as ``make setup`` installed them, and no extra: a
dependency or a data file that was forgotten shows, and so does what is left out without extras.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from importlib.metadata import Distribution, distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SCRIPTS = "bin" if os.name == "posix" else "Scripts"

HELP = ("ppt-build-corpus", "ppt-train-punkt", "ppt-inspect", "ppt-pretrain", "ppt-fewshot",
        "ppt-report", "ppt-adapt", "ppt-transfer", "ppt-predict")  # fmt: skip

TINY = "--model=model --max_steps=2 --prompt_length=4 --max_length=96 --device=cpu"
STEPS = (
    (
        "ppt-build-corpus --input documents/*.jsonl --output corpora --validation_fraction 0.1"
        " --workers 2"
    ),
    "ppt-train-punkt --input documents/science.jsonl --output punkt --min_count 1",
    "ppt-inspect corpora/unified -n 1",
    f"ppt-pretrain --format=sentiment {TINY} --output_dir=runs/tiny --max_eval_examples=16",
    (
        f"ppt-fewshot --task_file=verdicts/task.yaml --prompt=runs/tiny {TINY} --shots=8 --seeds=1"
        " --methods=zero_shot,prompt_tuning,ppt --max_test_examples=20 --output_dir=results"
    ),
    "ppt-report results",
    "ppt-predict results --input=verdicts/test.jsonl --output=labelled.csv --device=cpu",
    "ppt-transfer runs --model=model",
)
LEFT = (
    "corpora/unified/manifest.json", "punkt/abbrev_types.txt", "runs/tiny/result.json",
    "runs/tiny/prompt/adapter_model.safetensors", "results/results.md", "results/report.html",
    "labelled.csv",     "transfer/transfer.md",
)  # fmt: skip
REFUSED = {
    f"ppt-pretrain --format=sentiment {TINY} --output_dir=runs/new --tensorboard=true":
        "pip install 'pre-trained-prompt-tuning[tensorboard]'",
    f"ppt-fewshot --task_file=verdicts/task.yaml --methods=lora {TINY} --output_dir=new":
        "pip install 'pre-trained-prompt-tuning[peft]'",
}  # fmt: skip


def main() -> None:
    """Build, install, run; raises where anything is not as it should be."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        wheel = build(place / "dist")
        installed = install(wheel, place / "venv")
        work = furnished(place / "work")
        for name in HELP:
            assert "usage: python -m" in run(installed, work, f"{name} --help"), name
        for command in STEPS:
            run(installed, work, command)
        for name in LEFT:
            assert (work / name).stat().st_size > 0, name
        for command, cure in REFUSED.items():
            said = run(installed, work, command, expect=2)
            assert said.startswith("error: "), said
            assert cure in said, said
        assert not (work / "runs/tiny/loss.png").exists(), "plots are an extra"
    print("the wheel is whole, and its commands run from nothing")


def build(folder: Path) -> Path:
    """The wheel, made from the sdist; every file of the two packages is in both."""
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    listed = subprocess.run(
        ["git", "ls-files", "ppt", "pipelines"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        missing = set(listed) - set(archive.namelist())
        assert not missing, f"the wheel lacks {sorted(missing)}"
    with tarfile.open(sdist) as archive:
        missing = set(listed) - {name.partition("/")[2] for name in archive.getnames()}
        assert not missing, f"the sdist lacks {sorted(missing)}"
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The folder of the commands of a new environment that has the wheel and no extra.

    What it asks for is linked from the environment at hand: pip would unpack a gigabyte again.
    """
    venv.create(folder)
    python = folder / SCRIPTS / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (own,) = distributions(path=[site])
    for one in needed(own):
        for file in one.files or ():
            link(Path(str(one.locate_file(file))), Path(site, file))
    subprocess.run([*pip, "check"], check=True)
    return python.parent


def needed(own: Distribution) -> list[Distribution]:
    """All that a distribution asks for, and what these ask for."""
    found: dict[tuple[str, str], Distribution] = {}
    todo = [(own, "")]
    while todo:
        one, extra = todo.pop()
        for asked in map(Requirement, one.requires or ()):
            if asked.marker is None or asked.marker.evaluate({"extra": extra}):
                new = {(asked.name, more) for more in ("", *asked.extras)} - found.keys()
                todo += [(distribution(asked.name), more) for _, more in new]
                found |= {key: distribution(asked.name) for key in new}
    return list({one.name: one for one in found.values()}.values())


def link(source: Path, target: Path) -> None:
    """A module with what it is compiled to, or another file; of commands nothing is asked."""
    if ".." in target.parts or not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    for file in (source, Path(cache_from_source(source))) if source.suffix == ".py" else (source,):
        place = target.parent / file.relative_to(source.parent)
        if file.is_file() and not place.exists():
            place.parent.mkdir(exist_ok=True)
            try:
                place.hardlink_to(file)
            except OSError:  # on another disk
                shutil.copy2(file, place)


def furnished(folder: Path) -> Path:
    """A folder with documents, a task and a tiny random model, and nothing of the checkout."""
    from tests.tiny import save_tiny

    shutil.copytree(ROOT / "data" / "documents", folder / "documents")
    shutil.copytree(ROOT / "data" / "tasks" / "verdicts", folder / "verdicts")
    save_tiny(folder / "model", max_position_embeddings=512)
    return folder


def run(installed: Path, work: Path, command: str, expect: int = 0) -> str:
    """What an installed command says, on both streams; it sees neither checkout nor network."""
    name, *arguments = command.split()
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [installed / name, *arguments], cwd=work, env={**env, "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == expect, f"{command}\n{done.stdout}{done.stderr}"
    print(f"{command.partition(' --')[0]}: {expect}", flush=True)
    return done.stderr + done.stdout


if __name__ == "__main__":
    main()
