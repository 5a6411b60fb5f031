"""The laws of the house, read from the table in docs/design.md: floors, order, short files."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d) \| `([\w/.]+)` \| [^|]+ \| ([^|]*)\|$", re.MULTILINE)

FLOOR_OF, PLACES = {}, {}
"""Wing or module → floor; module → (wing, place within it)."""

for floor, name, names in ROW.findall((ROOT / "docs" / "design.md").read_text()):
    wing = name.removesuffix(".py").replace("/", ".")
    FLOOR_OF[wing] = int(floor)
    for place, one in enumerate(re.findall(r"`(\w+)`", names) or [""]):
        PLACES[f"{wing}.{one}".rstrip(".")] = (wing, place)


def modules():
    """Every module of the product by dotted name, the menus of wings aside."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in ("ppt", "pipelines")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    }


def imports(path):
    """What a file imports anywhere, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_table_has_every_module_and_no_other():
    assert set(PLACES) == set(modules())


def test_wings_import_only_from_lower_floors_and_files_from_earlier_ones():
    for name, path in modules().items():
        wing, place = PLACES[name]
        for other in (imports(path) & set(PLACES)) - {name}:
            other_wing, other_place = PLACES[other]
            if wing == other_wing:
                assert other_place < place, f"{name} imports {other}, which stands after it"
            else:
                assert FLOOR_OF[other_wing] < FLOOR_OF[wing], f"{name} imports {other}"


def test_wings_have_menus():
    for wing in {wing for wing, _ in PLACES.values() if (ROOT / wing.replace(".", "/")).is_dir()}:
        menu = ROOT / wing.replace(".", "/") / "__init__.py"
        text = ast.get_docstring(ast.parse(menu.read_text()))
        assert len(text.splitlines()) >= 4, menu
        for file in re.findall(r"`(\w+)`", text.rpartition("Read")[2]):
            assert (menu.parent / f"{file}.py").is_file(), f"{menu}: {file}"


def test_ppt_never_imports_the_pipelines_or_beam():
    for path in (ROOT / "ppt").rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(("pipelines", "apache_beam")), f"{path.name}: {name}"


def loaded_after(*modules):
    code = f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_what_workers_import_never_imports_torch():
    loaded = loaded_after("pipelines.stages", "pipelines.build_corpus", "pipelines.job")
    assert not {"torch", "transformers", "matplotlib"} & set(loaded)


def test_installed_commands_are_there():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        module, function = target.split(":")
        assert name.startswith("ppt-")
        assert callable(getattr(importlib.import_module(module), function))


def test_files_and_functions_stay_short():
    for package in ("ppt", "pipelines", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert len(text.splitlines()) <= 300, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    lines = node.end_lineno - node.lineno + 1
                    assert lines <= 60, f"{path}: {node.name} has {lines} lines"


def test_no_two_files_of_a_folder_share_a_prefix():
    for folder in {path.parent for path in modules().values()}:
        heads = sorted(p.stem.split("_")[0] for p in folder.glob("[!_]*.py") if p.is_file())
        for one, other in pairwise(heads):
            assert one != other, f"{folder}: {one}"


def test_the_packages_print_nothing_when_imported():
    for path in modules().values():
        for node in ast.parse(path.read_text()).body:
            is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            assert not is_call, f"{path} runs something at import"
