"""The boundary of every command: one line, whatever file, flag or terminal is in the way."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toys import toy_corpus

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return toy_corpus(tmp_path_factory.mktemp("c") / "sentiment")


def run(*argv, **kwargs):
    """A command in a process of its own."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
    env = {**os.environ, **options.pop("env", {})}
    done = subprocess.run([sys.executable, "-m", *map(str, argv)], cwd=ROOT, env=env, **options)
    return done.returncode, (done.stderr or b"").decode()


def one_line(error):
    lines = error.splitlines()
    assert len(lines) == 1, error
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.promise("disk")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_the_output_is_one_line(corpus):
    with open("/dev/full", "w") as full:
        status, error = run("ppt.inspect", corpus, stdout=full)
    assert status == 2
    assert "no space is left" in one_line(error)


def test_an_output_that_is_closed_is_no_traceback(corpus, tmp_path):
    """As a service of the system may start a command: Python then has no sys.stdout."""
    command = [sys.executable, "-m", "ppt.inspect"]
    for folder, code in ((corpus, 0), (tmp_path, 2)):
        closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command, str(folder)]
        done = subprocess.run(closed, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == code
        assert done.stderr == "" if code == 0 else one_line(done.stderr)


def test_a_reader_that_goes_away_is_no_traceback(corpus):
    with subprocess.Popen(
        [sys.executable, "-m", "ppt.inspect", str(corpus), "-n", "40"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        assert process.wait(60) in (1, 141)  # 1 is rich's own answer
        assert process.stderr.read() == b""


def test_a_terminal_of_few_letters_is_no_traceback(corpus):
    status, error = run("ppt.inspect", corpus, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert (status, error) == (0, "")


LONG = "x" * 5000
MODULES = {"ppt.fewshot": "ppt.fewshot.__main__"}


@pytest.mark.parametrize(
    "argv",
    [
        ("ppt.inspect", LONG),
        ("ppt.report", LONG),
        ("ppt.pretrain", "--format=sentiment", f"--corpus={LONG}"),
        ("ppt.pretrain", "--format=sentiment", f"--output_dir={LONG}"),
        ("ppt.fewshot", f"--task_file={LONG}.yaml"),
        ("ppt.fewshot", "--tasks=sst2", f"--data_dir={LONG}"),
        ("ppt.fewshot", "--tasks=sst2", f"--output_dir={LONG}"),
        ("pipelines.build_corpus", "--input", LONG),
        ("pipelines.train_punkt", "--input", LONG, "--output", "x"),
    ],
    ids=lambda argv: " ".join(argv).replace(LONG, "xxx"),
)
def test_over_long_paths_are_one_line(corpus, capfd, argv):
    module, *argv = argv
    if module == "ppt.pretrain" and "--corpus" not in argv[-1]:
        argv = [*argv, f"--corpus={corpus}"]
    main = importlib.import_module(MODULES.get(module, module)).main
    assert main(argv) == 2
    one_line(capfd.readouterr().err)


def test_what_a_name_holds_does_nothing_to_a_terminal(tmp_path):
    status, error = run("ppt.inspect", tmp_path / "\x1b[31mred\u202e\x07")
    assert status == 2
    assert one_line(error).isprintable()
    assert r"\x1b[31mred\u202e\x07" in error
