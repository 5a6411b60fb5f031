"""What the documents say is so: commands parse, links lead somewhere, no module is left out."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.flags import BuildFlags
from pipelines.train_punkt import PunktFlags
from ppt.base.flags import parse
from ppt.base.output_folder import CONFIG
from ppt.fewshot.settings import FewshotConfig
from ppt.inspect import InspectConfig
from ppt.methods import METHODS
from ppt.predict import PredictConfig
from ppt.report import ReportConfig
from ppt.results.folder import FILES, FOLDERS
from ppt.results.selection import RESULTS
from ppt.training.adaptation import AdaptConfig
from ppt.training.settings import PretrainConfig
from ppt.transfer.__main__ import TransferConfig
from tests.reliability import PROMISES

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "pipelines.build_corpus": BuildFlags,
    "pipelines.train_punkt": PunktFlags,
    "ppt.inspect": InspectConfig,
    "ppt.pretrain": PretrainConfig,
    "ppt.adapt": AdaptConfig,
    "ppt.fewshot": FewshotConfig,
    "ppt.predict": PredictConfig,
    "ppt.report": ReportConfig,
    "ppt.transfer": TransferConfig,
}
MAIN = {name: f"{name}.__main__" for name in ("ppt.fewshot", "ppt.transfer")}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(path, module):
    """The arguments of every ``python -m module`` of a file that needs no shell."""
    text = path.read_text().replace("\\\n", " ")
    found = re.findall(rf"^(?:\t\S+/)?python -m {re.escape(module)}\b(.*)$", text, re.MULTILINE)
    return [shlex.split(arguments) for arguments in found if "$" not in arguments]


@pytest.mark.parametrize("path", [*PAGES, ROOT / "Makefile"], ids=lambda path: path.name)
def test_commands_have_flags_that_exist(path):
    for module, config in COMMANDS.items():
        for argv in commands(path, module):
            parse(config, argv, prog=module, description="")


def test_commands_are_found():
    assert len(commands(ROOT / "README.md", "ppt.fewshot")) == 3


@pytest.mark.parametrize("module", COMMANDS)
def test_the_examples_of_help_have_flags_that_exist(module, capsys):
    name = MAIN.get(module, module)
    with pytest.raises(SystemExit):
        importlib.import_module(name).main(["--help"])
    shown = capsys.readouterr().out.replace("\\\n", " ")
    launch = rf"^  (?:python|accelerate launch) -m {module} (.+)$"
    examples = re.findall(launch, shown, re.MULTILINE)
    assert len(examples) > 1
    for arguments in examples:
        parse(COMMANDS[module], shlex.split(arguments), prog=module, description="")


APART = """
import json, sys, {0} as it
for flag in ("--help", "--bogus"):
    sys.argv[1:] = [flag]
    try: status = it.main()
    except SystemExit as left: status = left.code
    print("loaded:", json.dumps([status, [*sys.modules]]))
"""


@pytest.mark.parametrize("module", COMMANDS)
def test_help_and_bad_flags_wait_for_nothing_heavy(module):
    """One process has both, as help loads the least."""
    code = APART.format(MAIN.get(module, module))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    helped, refused = map(json.loads, re.findall(r"^loaded: (.*)$", done.stdout, re.MULTILINE))
    assert (helped[0], refused[0]) == (0, 2)
    assert "examples:" in done.stdout
    told = r"error: unknown argument --bogus\.( Did .*\?)? --help .*\.\n"
    assert re.fullmatch(told, done.stderr)
    heavy = {"torch", "transformers", "matplotlib", "nltk", "datasets"}
    assert not heavy & {*refused[1]}
    assert "apache_beam" not in helped[1]


def test_quickstart_goes_from_its_own_prompt_to_a_page_and_may_be_given_again():
    (pretrain,) = commands(ROOT / "Makefile", "ppt.pretrain")
    (few,) = commands(ROOT / "Makefile", "ppt.fewshot")
    (report,) = commands(ROOT / "Makefile", "ppt.report")
    made = parse(PretrainConfig, pretrain, prog="", description="")
    config = parse(FewshotConfig, few, prog="", description="")
    assert made.overwrite_output_dir
    assert config.overwrite_output_dir
    own, kept = config.prompt.split(",")
    assert own == made.output_dir
    assert (ROOT / kept / "prompt" / "adapter_config.json").is_file()
    assert (ROOT / config.task_file).is_file()
    assert report == [config.output_dir]
    assert f"{config.output_dir}/plots/boxes-{config.shots}.png" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in link:
            continue
        name, _, place = link.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), link
        if place:
            heads = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert place in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-")
                             for head in heads], link  # fmt: skip


def test_the_tests_that_promises_name_are_there():
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", text)
    assert len(named) > 15
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), name


def test_every_promise_that_is_marked_is_one_of_the_table():
    tests = "".join(path.read_text() for path in ROOT.glob("tests/test_*.py"))
    marked = {*re.findall(r"pytest\.mark\.promise\(\s*\"(\w+)\"", tests)}
    assert marked == set(PROMISES)


def test_the_paths_of_the_picture_are_files():
    for name in re.findall(
        r"`((?:ppt|pipelines)/[\w/]+\.py)`", (ROOT / "docs/design.md").read_text()
    ):
        assert (ROOT / name).is_file(), name


def test_the_page_of_the_command_has_every_method_and_file():
    text = (ROOT / "docs" / "fewshot.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]*) ?\|", text, re.MULTILINE))
    rates = {name: method.rates.get("adamw") for name, method in METHODS.items()}
    assert {name: float(rate) if rate else None for name, rate in rows.items()} == rates
    for name in ({RESULTS, CONFIG, *FILES} - {"report.html"}) | {f"{one}/" for one in FOLDERS}:
        assert f"`{name}" in text, name
