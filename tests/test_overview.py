"""`python -m ppt` names every command that there is."""

import tomllib

import ppt
from ppt.__main__ import COMMANDS, main
from tests.builds import ROOT


def test_every_installed_command_is_listed(capsys):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = {place.partition(":")[0].removesuffix(".__main__") for place in scripts.values()}
    assert set(COMMANDS) == modules
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"python -m {name} " in listed for name in COMMANDS)
    assert all(len(line) <= 100 for line in listed.splitlines())


def test_a_command_in_the_wrong_place_is_told_where_it_is(capsys):
    assert main(["pretrane"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "error: got 'pretrane', expected --help or --version."
        " Did you mean python -m ppt.pretrain?\n"
    )
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{ppt.__version__}\n"
