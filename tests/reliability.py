"""The table of docs/reliability.md: ``python -m tests.reliability faults`` or ``fuzz``.

Runs the tests that are marked with a promise, faults or fuzz, with the numbers that the page
speaks of, and writes what was counted into the page. The suite runs the same tests, shorter.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
PROMISES = {
    "bits": "training that is cut off anywhere ends in the same bits",
    "clear": "a command killed while it clears a folder harms nobody's files, and goes on",
    "disk": "a full disk is one line, and the rerun goes on",
    "kill": "a command killed at any step ends, when given again, as if it had not been",
    "retry": "a runner may run a bundle twice, at once, or again after it failed: the same bytes",
    "lock": "two processes never write to one folder, and a dead one blocks nobody",
    "torn": "torn and half-written files cost what was torn, and nothing else",
    "prompt": "a mutated prompt or state is read right, or is one line",
    "corpus": "a mutated corpus, manifest or document is read right, or is one line",
    "task": "mutated labelled data or its YAML is read right, or is one line",
    "results": "mutated results are read right, or are one line",
}
"""Key of a mark → what it stands for."""

MORE = {"faults": {"PPT_KILLS": "8"}, "fuzz": {"PPT_FUZZ": "1000"}}
"""What is run → settings of the long version."""


def table(counted):
    """Markdown rows: promise, count, tests."""
    rows = ["| promise | put to the test | by |", "|---|---:|---|"]
    for promise, one in counted.items():
        tests = sorted({f"`{name.partition('::')[0]}`" for name in one["tests"]})
        rows.append(f"| {PROMISES[promise]} | {one['cases']:,} | {', '.join(tests)} |")
    total = sum(one["cases"] for one in counted.values())
    return "\n".join([*rows, f"| **together** | **{total:,}** | |"])


def written(page, kind, counted):
    """The page with the table of that kind in its place."""
    begin, end = f"<!-- {kind} -->", f"<!-- end of {kind} -->"
    head, _, rest = page.partition(begin)
    tail = rest.partition(end)[2]
    return f"{head}{begin}\n{table(counted)}\n{end}{tail}"


def main(kind):
    """Run, count, write."""
    with tempfile.TemporaryDirectory() as scratch:
        tally = Path(scratch) / "tally.json"
        command = [sys.executable, "-m", "pytest", "-n", "2", f"--tally={tally}", "-m", "promise",
                   "-k", "fuzz" if kind == "fuzz" else "not fuzz"]  # fmt: skip
        done = subprocess.run(command, env={**os.environ, **MORE[kind]})
        if done.returncode:
            sys.exit(done.returncode)
        counted = json.loads(tally.read_text())
    PAGE.write_text(written(PAGE.read_text(), kind, counted))
    print(table(counted))


if __name__ == "__main__":
    main(sys.argv[1])
