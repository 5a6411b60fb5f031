"""A few-shot grid's results as one HTML page: ``python -m ppt.report results/``."""

import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppt.base.files import write_atomically
from ppt.base.flags import Command, flag, parse
from ppt.errors import InputError, OutputError, as_command, note
from ppt.results.folder import PAGE
from ppt.results.page import html_page
from ppt.results.report import make_report
from ppt.results.rows import BASELINE
from ppt.results.selection import METRICS
from ppt.results.tables import overviews, show

DESCRIPTION = """\
Make one HTML page of what python -m ppt.fewshot left in a results folder.

The page needs no network and no other file, so it can be mailed or attached: tables with
deviations, bootstrap intervals and paired differences to a baseline; box plots; sample
curves; training curves; confusion; example predictions. Of several learning rates the
one with the best validation scores counts. A grid that still runs can be reported too."""

EPILOG = """\
reads, of the folder:
  results.jsonl        a line a run; a last line that was cut off is left out and told
  predictions.parquet  for the examples; without it there are none
and, of the folder of --transfer, the plots of similarities

examples:
  python -m ppt.report results/
  python -m ppt.report results/ --transfer=transfer/
  python -m ppt.report results/ --baseline=zero_shot --metric=macro_f1 --open
  python -m ppt.report results/ --output=/tmp/first-grid.html"""


OUTPUT, COMPARED = "the page", "what it compares"


PNG = b"\x89PNG\r\n\x1a\n"
SURE = 15
"""Bytes by which a page is known."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig(Command):
    """``python -m ppt.report``: a results folder in, a page out."""

    results: str = flag("the results folder, such as results/", group=OUTPUT, option="")
    output: str | None = flag(
        "where the page goes", group=OUTPUT, default=None, unset=f"{PAGE} in there", metavar="FILE"
    )
    transfer: str | None = flag(
        "what python -m ppt.transfer left: its plots of similarities come on the page",
        group=OUTPUT, default=None, unset="none", metavar="FOLDER",
    )  # fmt: skip
    open: bool = flag("open the page in the browser", group=OUTPUT, default=False)
    baseline: str | None = flag(
        "the method that others are compared with", group=COMPARED, default=None,
        unset=f"{BASELINE} where it was run", metavar="METHOD",
    )  # fmt: skip
    metric: str = flag(
        "of overviews, box plots, sample curves and differences", group=COMPARED,
        default="accuracy", choices=METRICS,
    )  # fmt: skip


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    flags = parse(ReportConfig, argv, "python -m ppt.report", DESCRIPTION, EPILOG)
    folder = Path(flags.results)
    report = make_report(folder, metric=flags.metric, baseline=flags.baseline)
    path = Path(flags.output or folder / PAGE)
    images = _similarities(Path(flags.transfer)) if flags.transfer else {}
    page = html_page(report, images).encode("utf-8", "replace")
    _require_page(path, page)
    write_atomically(path, page)
    show(overviews(report.rows))
    note(*report.notes)
    print(f"{path}: {len(report.runs):,} runs, {len(page) / 1e6:.1f} MB")
    if flags.open:
        webbrowser.open(path.resolve().as_uri())


def _similarities(folder: Path) -> dict[str, bytes]:
    """The plots of ``python -m ppt.transfer`` that results alone do not give, by their titles."""
    paths = [folder / "similarities.png", *sorted(folder.glob("correlation-*.png"))]
    try:
        found = {path.stem: path.read_bytes() for path in paths if path.is_file()}
    except OSError as error:
        raise InputError(f"cannot read the plots in {folder}: {error.strerror}.") from error
    if not found or not all(data.startswith(PNG) for data in found.values()):
        raise InputError(
            f"--transfer: got {folder}, expected a folder with the plots of python -m ppt.transfer:"
            " run that first, and give its --output_dir."
        )
    return found


def _require_page(path: Path, page: bytes) -> None:
    """Refuse to write over what is no page, such as the results themselves or /dev/stdout."""
    is_page = not path.exists()
    if path.is_file():
        with path.open("rb") as file:
            is_page = page.startswith(file.read(SURE))
    if not is_page:
        raise OutputError(f"{path} is there and is no page: give another --output.")


if __name__ == "__main__":
    sys.exit(main())
