"""No command asks the network for anything, where its files are on this machine."""

import json
import os
import subprocess
import sys

import pytest

from tests.builds import ROOT, good_documents, write_jsonl
from tests.few import toy_place
from tests.synthetic import synthetic_grid, write_results
from tests.test_fewshot import flags as few_flags
from tests.tiny import save_tiny
from tests.toys import toy_corpus


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
import gc, importlib, json, sys

gc.disable()  # as commands do that are started by themselves
asked = []

def hook(event, args):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
        asked.append(f"{event} {args}")
        raise OSError(event)

sys.addaudithook(hook)
told = {}
for name, (module, argv) in json.loads(sys.argv[1]).items():
    asked.clear()
    try:
        status = importlib.import_module(module).main(argv)
    except BaseException as error:
        status = repr(error)
    told[name] = [status, list(asked)]
print("told", json.dumps(told))
gc.freeze()
"""


def alone(commands, folder):
    """Run commands in one process that sees each attempt of Python's sockets to lead out.

    Name → its exit status and what it asked.
    """
    given = json.dumps({name: (module, list(map(str, argv)))
                        for name, (module, argv) in commands.items()})  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", GUARD, given], timeout=600, capture_output=True, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("told ")[2])


COMMANDS = (build, look, train, tune, show)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    made = {make.__name__: make(tmp_path_factory.mktemp(make.__name__)) for make in COMMANDS}
    return alone(made, "")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda make: make.__name__)
def test_no_command_asks_the_network(command, told):
    assert told[command.__name__] == [0, []]


def test_whoever_asks_is_seen(tmp_path):
    (tmp_path / "asks.py").write_text(
        "import socket\n"
        "def main(_):\n"
        "    try:\n"
        "        socket.gethostbyname('a.b')\n"
        "    except OSError:\n"
        "        return 0\n"
    )
    found = alone({"first": ("asks", []), "second": ("asks", [])}, tmp_path)
    seen = [0, ["socket.gethostbyname ('a.b',)"]]
    assert found == {"first": seen, "second": seen}
