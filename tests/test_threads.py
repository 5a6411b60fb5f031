"""Threads spin for less, unless the user says how long."""

import subprocess
import sys

import pytest

from ppt.base import imports


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "20000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_what_users_set_stays(given, expected, monkeypatch):
    environment = dict(given)
    monkeypatch.setattr(imports.os, "environ", environment)
    imports.spin_less()
    assert environment.get("GOMP_SPINCOUNT") == expected


def test_commands_import_torch_only_after_it_is_set():
    code = "import sys, ppt.fewshot, ppt.pretrain; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
