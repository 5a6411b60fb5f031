"""Which builds import Beam without what they never ask of it; tests/test_build.py has one."""

import importlib
import json
import sys

import pytest

from pipelines.flags import BuildFlags
from pipelines.lean import import_beam
from ppt.base.flags import parse


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
