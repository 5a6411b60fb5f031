"""Golden runs are as they were recorded; see tests/golden.py.

Those of few-shot are compared in tests/test_fewshot.py, which looks at them in other ways too.
"""

import json

import pytest

from tests import golden

KNOWN = json.loads(golden.FILE.read_text())


def test_corpora_have_the_bytes_that_they_had(tmp_path):
    assert golden.corpora(tmp_path) == KNOWN["corpora"]


def compare(made, known):
    assert made.keys() == known.keys()
    for name, run in made.items():
        assert run["numbers"] == pytest.approx(known[name]["numbers"], abs=1e-3), name
    if golden.machine() == KNOWN["machine"]:
        assert made == known


def test_pretraining_gives_the_numbers_that_it_gave(tmp_path):
    compare(golden.prompts(tmp_path), KNOWN["prompts"])
