"""Raw documents → corpora: ``python -m pipelines.build_corpus --input FILES --output corpora/``."""

import os
import sys
from collections.abc import Sequence

from pipelines.flags import DESCRIPTION, EPILOG, BuildFlags
from pipelines.lean import SPARED, import_beam
from pipelines.logs import quiet
from ppt.base.flags import parse
from ppt.base.imports import quick_imports
from ppt.errors import as_command


@as_command
def main(argv: Sequence[str] | None) -> None:
    """Run the command and return its exit code: 0, or 2 after a one-line error."""
    quiet()  # --verbose brings Beam's log back
    # Arrow, here and in the workers, looks when it is first imported. Its own allocator keeps what
    # one shard needed for the next: a fifth more at the peak.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    flags = parse(BuildFlags, argv, "python -m pipelines.build_corpus", DESCRIPTION, EPILOG)
    with quick_imports(argv):
        if argv is None and flags.at_home:
            import_beam(SPARED, "apache_beam.runners.portability.fn_api_runner")
        from pipelines.job import run
        from pipelines.options import job_of  # Beam comes in here: --help is quick

    run(job_of(flags))


if __name__ == "__main__":
    sys.exit(main())
