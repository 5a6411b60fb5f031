"""The script for a GPU runs through on a CPU in its small setting; a tiny random model."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import device, gpu
from ppt.backbones.loading import load_backbone
from ppt.pretrain import main as pretrain
from tests.builds import build, good_documents, write_jsonl
from tests.tiny import save_tiny

ROOT = Path(__file__).parents[1]


def test_it_checks_measures_and_trains_and_goes_on(tmp_path, monkeypatch):
    save_tiny(tmp_path / "m", max_position_embeddings=512)
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(60))
    build(
        "--input", source, "--output", tmp_path / "c", "--formats", "sentence_pair",
        "--validation_fraction", 0.2,
    )  # fmt: skip
    monkeypatch.setattr(device, "clock", lambda step, *_: (step(), 0.5)[1])
    flags = ["--small", "--model", tmp_path / "m", "--corpora", tmp_path / "c", "--seconds", 3600]
    train = ["--max_steps=3", "--eval_steps=1", "--max_length=48", "--max_eval_examples=8"]
    started = []

    def begin(command):
        """A process of its own would have much to import."""
        started.append(command)
        assert command[:3] == [sys.executable, "-m", "ppt.pretrain"]
        nothing = dict.fromkeys(("wait", "kill"), lambda *_: None)
        return SimpleNamespace(**nothing, returncode=pretrain(list(map(str, command[3:]))))

    monkeypatch.setattr(subprocess, "Popen", begin)
    assert gpu.main([*map(str, [*flags, "--out", tmp_path / "one"]), "--", *train]) == 0
    found = json.loads((tmp_path / "one/gpu.json").read_text())
    check = found["against the CPU (relative)"]
    assert check["float32 scores"] == check["float32 gradient"] == 0
    assert 0 < check["bfloat16 gradient"] < 1
    assert found["examples a second"]["ours, B=4"] == 8.0
    assert found["runs a minute"]["times"] == 2.0
    assert set(found["trained"]) == {"sentence_pair-soft", "sentence_pair-hybrid"}
    assert found["trained"]["sentence_pair-soft"]["steps"] == 3
    with tarfile.open(tmp_path / "one/runs.tar") as tar:
        assert "sentence_pair-soft/prompt/adapter_model.safetensors" in tar.getnames()
    assert "| examples a second | PEFT, B=2 | 4 |" in (tmp_path / "one/gpu.md").read_text()
    again = [*flags, "--out", tmp_path / "two", "--runs", tmp_path / "one/runs.tar"]
    assert gpu.main([*map(str, again), "--", *train]) == 0
    assert len(started) == 2, "what was trained is not trained again"
    assert json.loads((tmp_path / "two/gpu.json").read_text())["trained"] == {}


def test_it_needs_little_besides_torch(tmp_path):
    """None of Beam, NLTK, datasets or Matplotlib is on the machines that it is made for."""
    code = (
        "import sys\n"
        "for name in ('apache_beam', 'nltk', 'datasets', 'matplotlib', 'gguf'):\n"
        "    sys.modules[name] = None\n"
        "import benchmarks.gpu, ppt.pretrain, ppt.training.pretraining, ppt.backbones.labeller\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_device_that_computes_other_numbers_is_told(tmp_path, monkeypatch):
    backbone = load_backbone(str(save_tiny(tmp_path / "m")), device="cpu")
    bench = device.Bench(backbone, str(tmp_path / "m"), 2, 4, (2,))
    right = device.scores_and_gradient
    calls = []

    def wrong(*arguments):
        scores, gradient = right(*arguments)
        calls.append(1)
        return scores + 0.1 * (len(calls) == 2), gradient

    monkeypatch.setattr(device, "scores_and_gradient", wrong)
    with pytest.raises(SystemExit, match="other numbers than the CPU"):
        device.check(bench)
