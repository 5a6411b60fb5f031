"""The laws of the layout: floors, no circles, what a module must not import, quiet imports."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    0: [
        "llama",
        "threads",
        "errors",
        "tensors",
        "processes",
        "signals",
        "metrics",
        "markdown",
        "plot_style",
        "statistics",
        "svg",
    ],
    1: [
        "text",
        "records",
        "sentiment",
        "adapters",
        "embedded",
        "files",
        "flags",
        "scoring",
        "task_rows",
        "yaml_keys",
        "methods",
        "result_runs",
    ],
    2: [
        "pool",
        "format_options",
        "punkt",
        "causal",
        "config",
        "patterns",
        "prompts",
        "splits",
        "prompt_choice",
        "tuned",
        "results",
    ],
    3: [
        "sampling",
        "sentences",
        "checkpoints",
        "optimizers",
        "rendering",
        "task_forms",
        "calibration",
        "fewshot_config",
        "result_rows",
        "result_examples",
        "result_folder",
    ],
    4: ["formats", "batches", "seq2seq", "task_spec", "result_plots", "result_tables"],
    5: [
        "tables",
        "backbones",
        "evaluation",
        "task_examples",
        "task_table",
        "in_context",
        "verdicts",
        "result_figures",
    ],
    6: ["corpus", "logs", "positions", "prompt_cards", "tasks", "tuning", "report_page"],
    7: ["cards", "plots", "examples", "runs", "task_files", "trials", "report"],
    8: ["inspect", "training", "lm_sentiment", "material", "result_store"],
    9: ["pretrain", "starts"],
    10: ["trial_rows"],
    11: ["bank_runs"],
    12: ["fewshot"],
}
"""A module of `ppt` imports only from lower floors."""

PIPELINE_FLOORS = {
    0: ["files", "packets", "progress", "workers", "pool_handler"],
    1: ["parquet", "model_labeller", "lm_labeller"],
    2: ["readers", "labelling"],
    3: ["config", "train_punkt"],
    4: ["shards", "sinks"],
    5: ["manifests", "options"],
    6: ["stages"],
    7: ["job"],
    8: ["build_corpus"],
}


def imports(path):
    """Our own modules that a file imports anywhere, as package.module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path, package):
    names = {p.stem for p in (ROOT / package).glob("*.py")} - {"__init__"}
    return {
        n.split(".")[1]
        for n in imports(path)
        if n.startswith(f"{package}.") and n.split(".")[1] in names
    }


@pytest.mark.parametrize(("package", "floors"), [("ppt", FLOORS), ("pipelines", PIPELINE_FLOORS)])
def test_modules_import_only_from_lower_floors(package, floors):
    floor_of = {name: floor for floor, names in floors.items() for name in names}
    modules = {path.stem: path for path in (ROOT / package).glob("*.py")} | {}
    modules.pop("__init__")
    assert set(modules) == set(floor_of), "a new module needs its floor"
    for name, path in modules.items():
        for other in ours(path, package):
            assert floor_of[other] < floor_of[name], f"{package}.{name} imports {other}"


def test_ppt_never_imports_the_pipelines_or_beam():
    for path in (ROOT / "ppt").rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(("pipelines", "apache_beam")), f"{path.name}: {name}"


def loaded_after(module):
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


@pytest.mark.parametrize("module", ["pipelines.stages", "pipelines.build_corpus", "pipelines.job"])
def test_what_workers_import_never_imports_torch(module):
    loaded = loaded_after(module)
    assert not {"torch", "transformers", "matplotlib"} & set(loaded)


def test_help_and_bad_flags_do_not_wait_for_torch():
    assert not {"torch", "transformers", "matplotlib"} & set(loaded_after("ppt.pretrain"))


def test_installed_commands_are_there():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        module, function = target.split(":")
        assert name.startswith("ppt-")
        assert callable(getattr(importlib.import_module(module), function))


def test_modules_stay_short():
    for package in ("ppt", "pipelines"):
        for path in (ROOT / package).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 320, path


def test_the_packages_print_nothing_when_imported():
    for package in ("ppt", "pipelines"):
        for path in (ROOT / package).glob("*.py"):
            for node in ast.parse(path.read_text()).body:
                is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
                assert not is_call, f"{path} runs something at import"
