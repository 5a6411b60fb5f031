"""What the documents say is so: commands parse, links lead somewhere, no module is left out."""

import re
import shlex
from pathlib import Path

import pytest

from ppt.base.flags import parse
from ppt.errors import ConfigError
from ppt.fewshot.settings import FewshotConfig
from ppt.methods import METHODS
from ppt.report import _parser
from ppt.results.folder import CONFIG, FILES, FOLDERS
from ppt.results.selection import RESULTS
from ppt.training.settings import PretrainConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(path, module):
    """The arguments of every ``python -m module`` of a file that needs no shell."""
    text = path.read_text().replace("\\\n", " ")
    found = re.findall(rf"^(?:\t\S+/)?python -m {re.escape(module)}\b(.*)$", text, re.MULTILINE)
    return [shlex.split(arguments) for arguments in found if "$" not in arguments]


@pytest.mark.parametrize("path", [*PAGES, ROOT / "Makefile"], ids=lambda path: path.name)
def test_commands_have_flags_that_exist(path):
    for module, config in (("ppt.pretrain", PretrainConfig), ("ppt.fewshot", FewshotConfig)):
        for argv in commands(path, module):
            parse(config, argv, prog=module, description="")
    for argv in commands(path, "ppt.report"):
        _parser().parse_args(argv)


def test_commands_are_found():
    assert len(commands(ROOT / "README.md", "ppt.fewshot")) == 2
    with pytest.raises(ConfigError):
        parse(FewshotConfig, ["--task", "x"], prog="", description="")


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
