"""Where our Punkt parameters and others end sentences: agreement on the same documents.

    python -m benchmarks.sentences --reference punkt_tab/english --input 'docs/*.jsonl.gz'

`--reference` is a folder in NLTK's own save format, such as NLTK's English model
(``nltk.download("punkt_tab")``). Its sentence ends count as the truth.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.documents import documents
from pipelines.logs import quiet
from ppt.base.text import normalise
from ppt.errors import exit_status
from ppt.text.punkt import PunktParameters, PunktSplitter
from ppt.text.sentences import load_punkt

OURS = Path(__file__).parents[1] / "ppt/data/punkt/english"


def compare(pattern: str, ours: PunktParameters, reference: PunktParameters, size: float) -> str:
    """One row of the table, from up to `size` characters of what `pattern` matches."""
    only_ours = only_theirs = both = 0
    splitters = PunktSplitter(ours), PunktSplitter(reference)
    for _, text in documents([pattern], size, normalise):
        mine, theirs = ({end for _, end in one.spans(text)} for one in splitters)
        only_ours += len(mine - theirs)
        only_theirs += len(theirs - mine)
        both += len(mine & theirs)
    precision, recall = both / max(both + only_ours, 1), both / max(both + only_theirs, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    scores = " | ".join(f"{score:.4f}" for score in (precision, recall, f1))
    return f"| {pattern} | {scores} | {only_ours:,} | {only_theirs:,} | {both:,} |"


def main() -> None:
    """Print the table, a row for each `--input`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--input", nargs="+", default=["data/documents/*.jsonl"])
    parser.add_argument("--megabytes", type=float, default=3, help="of each input (default: 3)")
    flags = parser.parse_args()
    quiet()
    ours, reference = load_punkt(OURS), load_punkt(flags.reference)
    print("| text | precision | recall | F1 | only ours | only the reference's | both |")
    print("|---|---|---|---|---|---|---|")
    for pattern in flags.input:
        print(compare(pattern, ours, reference, flags.megabytes * 1e6), flush=True)


if __name__ == "__main__":
    sys.exit(exit_status(main))
