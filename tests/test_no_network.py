"""No command asks the network for anything, where its files are on this machine."""

import os
import sys
import traceback

import pytest

from pipelines.build_corpus import main as build_corpus
from ppt.fewshot.__main__ import main as fewshot
from ppt.inspect import main as inspect
from ppt.pretrain import main as pretrain
from ppt.report import main as report
from tests.builds import good_documents, write_jsonl
from tests.few import toy_place
from tests.synthetic import synthetic_grid, write_results
from tests.test_fewshot import flags as few_flags
from tests.tiny import save_tiny
from tests.toys import toy_corpus

ASKED = 77


def build(folder):
    write_jsonl(folder / "documents.jsonl", good_documents())
    return build_corpus, ["--input", folder / "documents.jsonl", "--output", folder / "built"]


def look(folder):
    return inspect, [toy_corpus(folder / "corpus"), "-n", "2"]


def train(folder):
    save_tiny(folder / "small", max_position_embeddings=80)
    corpus = toy_corpus(folder / "corpus")
    return pretrain, [f"--corpus={corpus}", f"--model={folder / 'small'}", "--format=sentiment",
                      "--max_steps=2", "--prompt_length=4", "--max_length=64",
                      f"--output_dir={folder / 'prompt'}"]  # fmt: skip


def tune(folder):
    toy_place(folder)
    return fewshot, few_flags(folder, folder / "results")


def show(folder):
    runs = synthetic_grid(tasks=("sst2",), methods=("ppt", "prompt_tuning"), seeds=2)
    return report, [write_results(folder, runs), f"--output={folder / 'page.html'}"]


def alone(main, argv):
    """Run a command in a child of which no socket leads out of it; its exit status."""
    child = os.fork()
    if not child:
        try:

            def hook(event, args):
                if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
                    print("asked", event, args, file=sys.stderr, flush=True)
                    os._exit(ASKED)

            sys.addaudithook(hook)
            status = main([str(one) for one in argv])
            os._exit(status)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("command", [build, look, train, tune, show])
def test_no_command_asks_the_network(command, tmp_path):
    assert alone(*command(tmp_path)) == 0


def test_whoever_asks_is_seen():
    import socket

    assert alone(lambda _: socket.create_connection(("127.0.0.1", 9)), []) == ASKED
