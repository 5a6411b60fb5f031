"""Settings of all tests, and the count of what each promise was put to (docs/reliability.md)."""

import gc
import json
import os
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from ppt.base.files import save_figure
from ppt.base.imports import quick_imports
from ppt.corpus import histograms
from ppt.results import figures

# A slow machine is no failing property. The tests of a change see the same examples each time;
# `make fuzz`, which sets PPT_FUZZ, sees others each time.
FUZZ = "PPT_FUZZ" in os.environ
settings.register_profile(
    "ours", deadline=None, derandomize=not FUZZ, max_examples=100 if FUZZ else 50
)
settings.load_profile("ours")
# Nothing here may look for a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests run side by side: threads of one would take the cores of another, which waits for its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Most of the time of a small build or run goes to drawing its plots, which few tests look at: those
# ask for `drawn`. Commands in processes of their own, and pages, draw all the same.
DRAW, HISTOGRAMS, PLOTS = Figure.savefig, histograms.figure_of, figures.save_plots
PNG = b"\x89PNG\r\n\x1a\n"


def save_at_once(figure, file, **look):
    if look.get("format") == "png":
        file.write(PNG)
    else:
        DRAW(figure, file, **look)


def plots_at_once(place, plots, suffix="png"):
    return PLOTS(place, [replace(one, draw=Figure) for one in plots], suffix)


# No test ends with the machine: a disk that is waited for, hundreds of times, tells none apart. A
# file must be open all the same.
os.fsync = os.fstat

Figure.savefig = save_at_once
histograms.figure_of = lambda _: Figure()


@pytest.fixture(scope="session", autouse=True)
def drawn_at_once():
    """What tests import by name is as it was."""
    figures.save_plots = plots_at_once
    if "torch" in sys.modules:
        from ppt.training import folder

        folder.draw_loss = lambda place, *_: save_figure(place / folder.LOSS_PNG, Figure())


@pytest.fixture
def drawn(monkeypatch):
    """Plots are drawn, pixel by pixel."""
    monkeypatch.setattr(Figure, "savefig", DRAW)
    monkeypatch.setattr(histograms, "figure_of", HISTOGRAMS)
    if "torch" in sys.modules:
        from ppt.training import card, folder

        monkeypatch.setattr(folder, "draw_loss", card.draw_loss)
    monkeypatch.setattr(figures, "save_plots", PLOTS)


@pytest.fixture
def precise(monkeypatch):
    """Labellers compute in 32 bits, also where the CPU has units for 16."""
    from ppt.backbones import loading

    monkeypatch.setattr(loading, "_has_amx", lambda: False)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Test files import all that there is, and none of it is garbage."""
    with quick_imports():
        found = yield
    # What is frozen counts as nothing, so that Python would look through the rest all the time.
    gc.set_threshold(5_000, 10, 50)
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # else duckdb says as the process ends what was not taken down; first in is last out, as pytest
    # looks for garbage once more before
    config.add_cleanup(gc.unfreeze)


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
