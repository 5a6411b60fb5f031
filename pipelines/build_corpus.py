"""Raw documents → corpora: ``python -m pipelines.build_corpus --input FILES --output corpora/``."""

import os
import sys
from collections.abc import Sequence

from pipelines.flags import DESCRIPTION, EPILOG, BuildFlags
from pipelines.logs import quiet
from ppt.base.flags import parse
from ppt.base.imports import quick_imports
from ppt.errors import exit_status

LEAN = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Environment in which Arrow, here and in the workers, takes memory from the system's
allocator. Its own keeps what one shard needed for the next: a fifth more at the peak."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 after a one-line error."""
    quiet()  # --verbose brings Beam's log back
    return exit_status(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    for name, value in LEAN.items():
        os.environ.setdefault(name, value)  # Arrow looks when it is first imported
    flags = parse(
        BuildFlags, argv, prog="python -m pipelines.build_corpus", description=DESCRIPTION,
        epilog=EPILOG,
    )  # fmt: skip
    with quick_imports(argv):
        from pipelines.job import run
        from pipelines.options import job_of  # Beam comes in here: --help is quick

    run(job_of(flags))
    return 0


if __name__ == "__main__":
    sys.exit(main())
