"""Golden runs are as they were recorded; see tests/golden.py."""

import json

import pytest

from tests import golden

KNOWN = json.loads(golden.FILE.read_text())


def test_corpora_have_the_bytes_that_they_had(tmp_path):
    assert golden.corpora(tmp_path) == KNOWN["corpora"]


@pytest.mark.parametrize("what", ["prompts", "results"])
def test_training_gives_the_numbers_that_it_gave(tmp_path, what):
    made, known = getattr(golden, what)(tmp_path), KNOWN[what]
    assert made.keys() == known.keys()
    for name, run in made.items():
        assert run["numbers"] == pytest.approx(known[name]["numbers"], abs=1e-3), name
    if golden.machine() == KNOWN["machine"]:
        assert made == known
