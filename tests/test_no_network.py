"""No command asks the network for anything, where its files are on this machine."""

import subprocess
import sys

import pytest

from tests.builds import ROOT, good_documents, write_jsonl
from tests.few import toy_place
from tests.synthetic import synthetic_grid, write_results
from tests.test_fewshot import flags as few_flags
from tests.tiny import save_tiny
from tests.toys import toy_corpus

ASKED = 77


def build(folder):
    write_jsonl(folder / "documents.jsonl", good_documents())
    return "pipelines.build_corpus", [
        "--input",
        folder / "documents.jsonl",
        "--output",
        folder / "built",
    ]


def look(folder):
    return "ppt.inspect", [toy_corpus(folder / "corpus"), "-n", "2"]


def train(folder):
    save_tiny(folder / "small", max_position_embeddings=80)
    corpus = toy_corpus(folder / "corpus")
    return "ppt.pretrain", [
        f"--corpus={corpus}", f"--model={folder / 'small'}", f"--output_dir={folder / 'prompt'}",
        "--format=sentiment", "--max_steps=2", "--prompt_length=4", "--max_length=64",
    ]  # fmt: skip


def tune(folder):
    toy_place(folder)
    return "ppt.fewshot.__main__", few_flags(folder, folder / "results")


def show(folder):
    runs = synthetic_grid(tasks=("sst2",), methods=("ppt", "prompt_tuning"), seeds=2)
    return "ppt.report", [write_results(folder, runs), f"--output={folder / 'page.html'}"]


GUARD = """
import importlib, os, sys

def hook(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
        print("asked", event, args, file=sys.stderr, flush=True)
        os._exit(77)

sys.addaudithook(hook)
sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))
"""


def alone(module, argv):
    """Run a command in a process of which no socket of Python's leads out; its exit status."""
    command = [sys.executable, "-c", GUARD, module, *map(str, argv)]
    return subprocess.run(command, cwd=ROOT, timeout=120).returncode


@pytest.mark.parametrize("command", [build, look, train, tune, show])
def test_no_command_asks_the_network(command, tmp_path):
    assert alone(*command(tmp_path)) == 0


def test_whoever_asks_is_seen(tmp_path):
    (tmp_path / "asks.py").write_text(
        "import socket\nmain = lambda _: socket.gethostbyname('a.b')\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{GUARD}"
    done = subprocess.run([sys.executable, "-c", code, "asks"], capture_output=True)
    assert done.returncode == ASKED
