"""What docs/extending.md adds from outside the package works as it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ppt
from pipelines.labelling import LABELLERS, check_labeller
from ppt.backbones.loading import FAMILIES
from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import open_corpus
from ppt.errors import ConfigError, UnknownNameError
from ppt.fewshot.starts import STARTS
from ppt.inspect import main as inspect
from ppt.methods import METHODS
from ppt.prompts.patterns import rendered_text, standard_pattern, standard_verbalizer
from ppt.prompts.soft import INITS
from ppt.tasks.table import TASKS
from ppt.training.settings import PretrainConfig
from tests.builds import DOCUMENTS, build, digests
from tests.few import toy_task
from tests.test_labelling import run_labeller
from tests.tiny import tiny, tiny_batch, tiny_prompt
from tests.toys import toy_corpus

ROOT = Path(__file__).parents[1]
FILES = dict(
    re.findall(
        r"^```python file=(\S+)\n(.*?)^```$",
        (ROOT / "docs" / "extending.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
)
INPUT = ("--input", DOCUMENTS / "praise.jsonl", DOCUMENTS / "complaints.jsonl")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the modules of the page, which can be imported; the tables as before after."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "scores.txt").write_text("love 2\nnice 0.3\nneither 0\nslow -0.3\nhate -2\n")
    monkeypatch.syspath_prepend(tmp_path)
    kept = [(table, dict(table)) for table in (FORMATS, LABELLERS, INITS, METHODS, STARTS, TASKS)]
    families = list(FAMILIES)
    yield tmp_path
    FAMILIES[:] = families
    for table, rows in kept:
        table.clear()
        table.update(rows)
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def alone(place, script, *args):
    """Run a script of the folder in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{place}"}
    return subprocess.run(
        [sys.executable, script, *map(str, args)], cwd=place, env=environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_format_of_ones_own_is_built_opened_inspected_and_rendered(place, capsys):
    import order  # noqa: F401

    build(*INPUT, "--output", place / "c", "--formats", "order,sentence_pair", "--num_shards", 2)
    corpus = open_corpus(place / "c/order", "order", verify="full")
    rows = corpus.read("train").to_pylist()
    assert len(rows) > 100
    for name in ("before", "after"):
        assert sum(corpus.manifest.count("labels", name)) > len(rows) / 4
    assert sum(corpus.manifest.count("kinds", "pair")) == sum(corpus.manifest.rows.values())
    beside = {(row["text_a"], row["text_b"]): row for row in rows}
    turned = [(row, beside.get((row["text_b"], row["text_a"]))) for row in rows]
    assert any(other for _, other in turned)
    assert all(row["label"] != other["label"] for row, other in turned if other)
    assert "stands before or after" in (place / "c/order/README.md").read_text()
    assert inspect([str(place / "c/order"), "-n", "1"]) == 0
    shown = capsys.readouterr().out
    assert "label before" in shown
    assert rows[0]["text_b"].split()[0] in shown
    text = rendered_text(rows[0], standard_pattern("order", "suffix", "hybrid"))
    asked = f"{rows[0]['text_a']}\nWhere does this stand?\n{rows[0]['text_b']}\nIt stands <X>"
    assert text == asked
    assert list(standard_verbalizer("order").words) == ["before", "after"]


def test_workers_get_the_formats_and_labellers_that_their_launcher_knows(place):
    script = (
        (place / "build.py").read_text().replace("import order", "import lexicon\nimport order")
    )
    (place / "both.py").write_text(script)
    flags = ("--formats", "order,sentiment", "--num_shards", 2, "--sentiment_thresholds",
             "0,0,0,0,0", "--labeller", f"lexicon:{place / 'scores.txt'}")  # fmt: skip
    done = alone(place, "both.py", *INPUT, "--output", place / "c2", *flags, "--workers", 2)
    assert done.returncode == 0, done.stderr
    import lexicon  # noqa: F401
    import order  # noqa: F401

    build(*INPUT, "--output", place / "c1", *flags)
    assert digests(place / "c1") == digests(place / "c2")


def test_commands_know_a_format_that_was_imported_before_them(place):
    for module in ("pipelines.build_corpus", "ppt.pretrain"):
        text = FILES["build.py"].replace("pipelines.build_corpus", module)
        (place / "help.py").write_text(text)
        assert "order" in alone(place, "help.py", "--help").stdout


def test_a_format_that_was_not_imported_is_an_error(place, capsys):
    build(*INPUT, "--output", place / "c", "--formats", "order", expect=2)
    assert "unknown format in --formats 'order'" in capsys.readouterr().err
    import order  # noqa: F401

    build(*INPUT, "--output", place / "c", "--formats", "order")
    del FORMATS["order"]
    with pytest.raises(UnknownNameError, match=r"unknown format of .*c/order 'order'"):
        open_corpus(place / "c/order")


def test_a_labeller_of_ones_own_labels_a_corpus(place):
    import lexicon  # noqa: F401

    with pytest.raises(UnknownNameError, match=r"Known: .*lexicon:<file of words and scores>"):
        check_labeller("lexicn:x")
    with pytest.raises(ConfigError, match="there is no such file"):
        check_labeller("lexicon:nowhere.txt")
    sentences = ["I love it", "So nice", "Hm", "A slow one", "I hate it"]
    found = run_labeller(f"lexicon:{place / 'scores.txt'}", [("one", sentences)])["one"]
    np.testing.assert_array_equal(found.argmax(1), [4, 3, 2, 1, 0])


def test_methods_and_initialisers_of_ones_own_run_as_the_others(place):
    import from_mean  # noqa: F401
    import norms  # noqa: F401

    backbone = tiny("llama", max_position_embeddings=256)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    task = ppt.load_task(toy_task(place / "toy"))
    methods = ["zero_shot", "prompt_tuning_mean", "norm_tuning"]
    found = ppt.tune(task, backbone, methods=methods, shots=6, seeds=1, max_steps=4, eval_steps=2,
                     prompt_length=3, max_length=60)  # fmt: skip
    by_method = {run.method: run for run in found.runs}
    assert list(by_method) == methods
    assert by_method["prompt_tuning_mean"].init == "mean"
    gains = sum(p.numel() for n, p in backbone.model.named_parameters() if "norm" in n)
    assert by_method["norm_tuning"].parameters == gains > 0
    assert by_method["norm_tuning"].curve[-1]["loss"] != by_method["norm_tuning"].curve[0]["loss"]
    after = backbone.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(weight.requires_grad for weight in backbone.model.parameters())
    corpus = toy_corpus(place / "toys" / "sentiment")
    made = ppt.train_prompt(corpus, backbone, init="mean:50", max_steps=1, max_length=60)
    assert made.prompt.values().shape == (PretrainConfig(format="sentiment").prompt_length, 32)


def test_a_task_of_ones_own_is_read_by_its_name(place):
    import moods  # noqa: F401

    (place / "moods").mkdir()
    for split in ("train", "validation"):
        lines = (json.dumps({"text": f"{split} {n}", "label": n % 2}) for n in range(12))
        (place / "moods" / f"{split}.jsonl").write_text("\n".join(lines))
    data = ppt.load_task("moods", place)
    assert [label.word for label in data.task.labels] == ["bad", "good"]
    assert (len(data.train), len(data.test)) == (12, 12)


def test_a_family_of_ones_own_serves_its_models(place):
    batch, prompt = tiny_batch("multi"), tiny_prompt(tiny("opt"))
    known = tiny("opt").score(prompt, batch)
    import plain_opt

    backbone = tiny("opt")
    assert type(backbone) is plain_opt.PlainOPT
    assert not backbone.shared_prefix
    assert torch.allclose(backbone.score(prompt, batch), known, atol=1e-3)
    assert type(tiny("gpt2")) is not plain_opt.PlainOPT
