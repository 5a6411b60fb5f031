"""Settings of all tests, and the count of what each promise was put to (docs/reliability.md)."""

import gc
import json
import os
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from ppt.base.imports import quick_imports
from ppt.corpus import histograms

# A slow machine is no failing property. The tests of a change see the same examples each time;
# `make fuzz`, which sets PPT_FUZZ, sees others each time.
settings.register_profile("ours", deadline=None, derandomize="PPT_FUZZ" not in os.environ)
settings.load_profile("ours")
# Nothing here may look for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests run side by side: threads of one would take the cores of another, which waits for its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Most of the time of a small build or run goes to drawing its plots, which few tests look at: those
# ask for `drawn`. Commands in processes of their own, and pages, draw all the same.
DRAW, HISTOGRAMS = Figure.savefig, histograms.figure_of
PNG = b"\x89PNG\r\n\x1a\n"


def save_at_once(figure, file, **look):
    if look.get("format") == "png":
        file.write(PNG)
    else:
        DRAW(figure, file, **look)


Figure.savefig = save_at_once
histograms.figure_of = lambda _: Figure()


@pytest.fixture
def drawn(monkeypatch):
    """Plots are drawn, pixel by pixel."""
    monkeypatch.setattr(Figure, "savefig", DRAW)
    monkeypatch.setattr(histograms, "figure_of", HISTOGRAMS)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Test files import all that there is, and none of it is garbage."""
    with quick_imports():
        return (yield)


def pytest_unconfigure():
    gc.unfreeze()  # else duckdb says as the process ends what was not taken down


def pytest_addoption(parser):
    parser.addoption("--tally", metavar="FILE", help="write how often each promise was tested")


def pytest_collection_modifyitems(items):
    """A test marked with a promise (tests/reliability.py) is one fault, or as many as `cases`."""
    for item in items:
        for mark in item.iter_markers("promise"):
            item.user_properties.append(("promise", mark.args[0]))


def pytest_terminal_summary(terminalreporter, config):
    path = config.getoption("--tally")
    if path is None:
        return
    found = defaultdict(lambda: {"cases": 0, "tests": set()})
    for report in terminalreporter.stats.get("passed", ()):
        known = dict(report.user_properties)
        if report.when == "call" and "promise" in known:
            one = found[known["promise"]]
            one["cases"] += known.get("cases", 1)
            one["tests"].add(report.nodeid.partition("[")[0])
    told = {name: {**one, "tests": sorted(one["tests"])} for name, one in sorted(found.items())}
    Path(path).write_text(json.dumps(told, indent=1) + "\n")


@pytest.fixture
def cases(record_property):
    """Tell how many faults a test put in: ``cases(2000)``."""
    return lambda count: record_property("cases", count)
