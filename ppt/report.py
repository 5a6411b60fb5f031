"""A few-shot grid's results as one HTML page: ``python -m ppt.report results/``."""

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ppt.base.files import write_atomically
from ppt.base.flags import Parser
from ppt.errors import exit_status
from ppt.results.folder import PAGE
from ppt.results.page import html_page
from ppt.results.report import make_report
from ppt.results.rows import BASELINE
from ppt.results.selection import METRICS, shots_of
from ppt.results.tables import overview, to_rich

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

examples:
  python -m ppt.report results/
  python -m ppt.report results/ --baseline=zero_shot --metric=macro_f1 --open
  python -m ppt.report results/ --output=/tmp/first-grid.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    flags = _parser().parse_args(argv)
    folder = Path(flags.results)
    report = make_report(folder, metric=flags.metric, baseline=flags.baseline)
    path = Path(flags.output or folder / PAGE)
    page = html_page(report).encode("utf-8", "replace")
    write_atomically(path, page)
    console = Console()
    for shots in shots_of(report.chosen):
        console.print(to_rich(overview(report.rows, shots)))
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{path}: {len(report.runs):,} runs, {len(page) / 1e6:.1f} MB")
    if flags.open:
        webbrowser.open(path.resolve().as_uri())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m ppt.report",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", help="the results folder, such as results/")
    parser.add_argument("--output", metavar="FILE", help=f"the page (default: {PAGE} in there)")
    parser.add_argument(
        "--baseline",
        metavar="METHOD",
        help=f"the method that others are compared with (default: {BASELINE} where it was run)",
    )
    parser.add_argument(
        "--metric",
        choices=tuple(METRICS),
        default="accuracy",
        help="of overviews, box plots, sample curves and differences (default: %(default)s)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


if __name__ == "__main__":
    sys.exit(main())
