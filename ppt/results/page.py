"""Results → one HTML page that needs nothing else: no network, no fonts, no other file.

Everything that a user wrote (texts, labels, names) goes through Jinja's escaping, and
characters that HTML does not allow are shown as �. The page works without its script,
which sorts and filters; the page's policy lets no other script run.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from ppt.base.extras import is_there
from ppt.methods import METHODS, family
from ppt.results.figures import KINDS, Plot, plots_of, points_per_line
from ppt.results.predictions import CHOICE, Examples
from ppt.results.report import Report
from ppt.results.rows import MIN_PAIRS
from ppt.results.run import Run
from ppt.results.selection import distinct, methods_of, shots_of
from ppt.results.statistics import CONFIDENCE
from ppt.results.style import FAINT, INK
from ppt.results.svg import CSS, inline_svg
from ppt.results.tables import NONE, Sheet, details, overviews, to_csv

COLOURS = {INK: "var(--ink)", FAINT: "var(--faint)"}
"""A plot's text and grid take the page's colours, which differ by day and by night."""

_NOT_IN_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def html_page(report: Report, images: Mapping[str, bytes] | None = None) -> str:
    """The whole page; the same for the same report. `images` are PNGs about transfer, by title."""
    chosen, rows, shown = report.chosen, report.rows, [one.run for one in report.examples]
    script, style = _asset("page.js"), _asset("page.css")
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return (
        environment.from_string(_asset("page.html"))
        .render(
            title="Few-shot results",
            facts=_facts(report),
            notes=report.notes,
            overviews=overviews(rows),
            details=details(rows),
            csv=_base64(to_csv(rows).encode("utf-8", "replace")),
            plots=_plots(plots_of(chosen, rows) if is_there("matplotlib") else ()),
            images={title: _base64(data) for title, data in (images or {}).items()},
            points=points_per_line(chosen),
            examples=_by_task(report.examples),
            choice=CHOICE,
            filters=[
                ("task", distinct(shown, "task")),
                ("method", methods_of(shown)),
                ("outcome", ("wrong", "right")),
            ],
            runs=_runs_sheet(report.runs, chosen),
            methods=[
                (name, METHODS[name].summary)
                for name in dict.fromkeys(map(family, methods_of(chosen)))
                if name in METHODS
            ],
            baseline=rows[0].baseline,
            confidence=f"{CONFIDENCE:.0%}",
            min_pairs=MIN_PAIRS,
            style=style + CSS,
            script=script,
            script_hash=_base64(hashlib.sha256(script.encode()).digest()),
        )
        .lstrip()
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _visible(value: Any) -> Any:
    """Text without the characters that no HTML page may hold; Jinja asks for all it prints."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _NOT_IN_HTML.sub("\ufffd", value)
    return value


@cache
def _asset(name: str) -> str:
    return (files("ppt") / "data" / "report" / name).read_text(encoding="utf-8")


def _plots(plots: Sequence[Plot]) -> dict[str, list[dict[str, str]]]:
    """By kind: names, titles, and the drawings as SVG."""
    drawn: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    for plot in plots:
        svg = inline_svg(plot.draw(), plot.name, COLOURS)
        drawn[plot.kind].append({"name": plot.name, "title": plot.title, "svg": svg})
    return drawn


def _facts(report: Report) -> list[tuple[str, str]]:
    runs = report.runs
    minutes = sum(run.seconds for run in runs) / 60
    rates = sorted({run.learning_rate for run in runs if run.learning_rate is not None})
    return [
        ("model", ", ".join(distinct(runs, "model"))),
        ("tasks", str(len(distinct(runs, "task")))),
        ("methods", str(len(methods_of(runs)))),
        ("shots", ", ".join(map(str, shots_of(runs)))),
        ("seeds", str(len(distinct(runs, "seed")))),
        ("learning rates", ", ".join(f"{rate:g}" for rate in rates) or NONE),
        ("runs", f"{len(runs):,}, of which {len(report.chosen):,} chosen on validation"),
        ("time of all runs", f"{minutes / 60:,.1f} h" if minutes > 90 else f"{minutes:.1f} min"),
    ]


def _by_task(examples: Sequence[Examples]) -> list[tuple[str, list[Examples]]]:
    shown = [one for one in examples if one.predictions]
    tasks = distinct((one.run for one in shown), "task")
    return [(task, [one for one in shown if one.run.task == task]) for task in tasks]


def _runs_sheet(runs: Sequence[Run], chosen: Sequence[Run]) -> Sheet:
    """Every run; test scores only of the chosen, so that nobody selects by them."""
    head = (
        "task", "method", "run", "shots", "seed", "learning rate", "chosen",
        "validation accuracy", "validation loss", "test accuracy", "best step", "seconds",
    )  # fmt: skip
    ids = {run.run for run in chosen}
    body = tuple(
        (
            run.task, run.method, run.run[:10], str(run.shots), str(run.seed),
            NONE if run.learning_rate is None else f"{run.learning_rate:g}",
            "yes" if run.run in ids else "no",
            f"{100 * run.validation.accuracy:.1f}" if run.validation else NONE,
            f"{run.validation.loss:.3f}" if run.validation else NONE,
            f"{100 * run.test.accuracy:.1f}" if run.run in ids else NONE,
            str(run.best_step) if run.curve else NONE,
            f"{run.seconds:.1f}",
        )
        for run in runs
    )  # fmt: skip
    return Sheet(f"All {len(runs):,} runs", head, body, names=3)
