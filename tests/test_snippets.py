"""Every Python snippet of README and docs runs, in a place like the one that they speak of."""

import doctest
import gzip
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import transformers

import ppt
from ppt.backbones import sources
from ppt.fewshot.__main__ import main as fewshot
from ppt.pretrain import main as pretrain
from tests.builds import DOCUMENTS, build, good_documents
from tests.few import toy_task
from tests.tiny import save_tiny

ROOT = Path(__file__).parents[1]
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    if path.name != "extending.md"  # tests/test_extending.py runs it
)
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUNED = Path("adapters", "sst2", "ppt", "shots-32-seed-0-lr-0.002")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with corpora, runs, results and a task, as the pages have them."""
    folder = tmp_path_factory.mktemp("pages")
    save_tiny(folder / "model", max_position_embeddings=1024)
    build("--input", DOCUMENTS / "*.jsonl", "--output", folder / "corpora",
          "--validation_fraction", "0.1")  # fmt: skip
    lines = "".join(json.dumps(one) + "\n" for one in good_documents())
    (folder / "docs").mkdir()
    (folder / "docs" / "some.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    common = [f"--model={folder / 'model'}", "--device=cpu", "--prompt_length=4"]
    for name in ("unified", "sentiment"):
        argv = [f"--format={name}", f"--corpus={folder / 'corpora' / name}", "--max_steps=2",
                f"--output_dir={folder / 'runs' / name}", "--max_eval_examples=8"]  # fmt: skip
        assert pretrain([*argv, *common, "--tensorboard=false"]) == 0
    toy_task(folder)
    argv = [f"--task_file={folder / 'toy.yaml'}", "--shots=4", "--seeds=2", "--max_steps=2",
            f"--prompt={folder / 'runs' / 'sentiment'}", f"--output_dir={folder / 'results'}",
            "--methods=zero_shot,prompt_tuning,ppt,lora"]  # fmt: skip
    assert fewshot([*common, *argv]) == 0
    shutil.copytree(folder / "runs" / "unified" / "prompt", folder / "results" / TUNED)
    shutil.copy(folder / "toy.yaml", folder / "helpdesk.yaml")
    return folder


@pytest.fixture
def there(place, monkeypatch):
    """That folder as the current one, with the tiny model in place of the embedded one."""
    monkeypatch.chdir(place)
    known = sources.find_model
    names = {"smollm2-135m", HUB_ID}
    monkeypatch.setattr(
        "ppt.backbones.loading.find_model",
        lambda name: place / "model" if name in names else known(name),
    )
    real = transformers.AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        transformers.AutoModelForCausalLM, "from_pretrained",
        lambda name, *args, **kw: real(place / "model" if name == HUB_ID else name, *args, **kw),
    )  # fmt: skip
    yield place
    for made in ("lora", "tour"):
        shutil.rmtree(place / "runs" / made, ignore_errors=True)


@pytest.mark.parametrize("path", [p for p in PAGES if SNIPPET.search(p.read_text())],
                         ids=lambda path: path.name)  # fmt: skip
def test_the_snippets_of_a_page_run_in_their_order(there, path):
    names = {}
    for snippet in SNIPPET.findall(path.read_text()):
        if snippet.startswith(">>>"):
            continue
        exec(compile(snippet, str(path), "exec"), names)


def test_the_pages_examples_print_what_they_say(there):
    failed, count = doctest.testfile(
        str(ROOT / "docs" / "api.md"), module_relative=False, encoding="utf-8",
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )  # fmt: skip
    assert not failed
    assert count > 20


def test_every_name_of_the_face_has_its_place_on_the_page():
    text = (ROOT / "docs" / "api.md").read_text()
    for name in set(ppt.__all__) - {"__version__"}:
        assert f"`{name}`" in text, name
        assert getattr(ppt, name) is not None
    assert dir(ppt) == sorted(ppt.__all__)
    with pytest.raises(AttributeError, match="no attribute 'pretrain_prompt'"):
        _ = ppt.pretrain_prompt


def test_importing_it_is_instant():
    from tests.test_imports import loaded_after

    assert not {"torch", "numpy", "pyarrow", "apache_beam"} & set(loaded_after("ppt"))


def test_the_notebook_runs_from_top_to_bottom(place, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)
    given = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(given) == 1, "the cell that says which model"
    given[0].source += f"\nMODEL, DOCUMENTS = {str(place / 'model')!r}, {str(DOCUMENTS)!r}"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(place)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = [out for cell in code for out in cell.outputs]
    assert any("image/png" in out.get("data", {}) for out in shown), "a plot"
    assert any("Test accuracy" in str(out) for out in shown), "a table"
