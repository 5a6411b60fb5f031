"""Raw documents → corpora: ``python -m pipelines.build_corpus --input FILES --output corpora/``."""

import logging
import sys
from collections.abc import Sequence

from ppt.errors import exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 after a one-line error."""
    # Beam warns at import of parts that nobody asked for, and tells every failure several
    # times with tracebacks; we tell it once. --verbose brings its log back.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.ERROR)
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    from pipelines.job import run
    from pipelines.options import parse

    run(parse(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
