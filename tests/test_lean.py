"""A build on one machine imports Beam without what it never asks of it."""

import importlib
import json
import shutil
import subprocess
import sys

import pytest

from pipelines.flags import BuildFlags
from pipelines.lean import SPARED, import_beam
from ppt.base.flags import parse
from tests.builds import DOCUMENTS, ROOT

AT_HOME = """
import sys
from pipelines.build_corpus import main
code = main()
print(*sys.modules, sep="\\n")
sys.exit(code)
"""


def test_a_build_at_home_leaves_out_what_it_never_uses(tmp_path):
    shutil.copy(DOCUMENTS / "crafts.jsonl", tmp_path / "in.jsonl")
    argv = ["--input", tmp_path / "in.jsonl", "--output", tmp_path / "c", "--workers", "2"]
    command = [sys.executable, "-c", AT_HOME, *map(str, argv)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split("\n"))
    assert "apache_beam" in loaded
    assert not set(SPARED) & loaded


@pytest.mark.parametrize(
    ("flags", "at_home"),
    [
        ((), True),
        (("--runner", "DirectRunner"), True),
        (("--runner", "FlinkRunner"), False),
        (("--output", "s3://bucket/c"), False),
        (("--exclude", "sst2,gs://bucket/tests.txt"), False),
    ],
)
def test_a_build_is_at_home_that_names_no_store(flags, at_home):
    argv = ["--input", "a.txt", *flags]
    assert parse(BuildFlags, argv, "build", "", "").at_home == at_home


def test_what_was_left_out_comes_to_whoever_asks_later(monkeypatch):
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    import_beam(["tabnanny", "json"])
    assert "tabnanny" not in sys.modules  # not None, which would forbid it
    assert importlib.import_module("tabnanny").check
    assert sys.modules["json"] is json  # what is there stays
