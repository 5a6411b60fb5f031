"""The lines of results.jsonl: the one reader of the file, for those who add to it and report it.

A line is a run: task x method x shots x seed x learning rate. The file grows while a grid
runs, so a last line that was cut off is left out and told; a line broken anywhere else is
an error. A run that stands twice (it was made again) counts as it stands last, as in any
log that is only appended to. Keys of a later version are passed over. Both are told.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ppt.base.files import read_bytes
from ppt.errors import InputError
from ppt.results.run import Run, kinds, read_run


@dataclass(frozen=True)
class Lines:
    """What a file holds: runs by id in the order they ended, and what must be told of it.

    Of its `size` in bytes the first `whole` are whole lines; what is added begins with `gap`.
    """

    runs: Mapping[str, Run] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    size: int = 0
    whole: int = 0
    gap: bytes = b""


def read_lines(path: Path) -> Lines:
    """Read a results.jsonl; raises InputError where that cannot be done."""
    try:
        data = read_bytes(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot read {path}: {why}: give the folder that python -m ppt.fewshot"
            " wrote its results to."
        ) from error
    runs: dict[str, Run] = {}
    unknown: set[str] = set()
    lines, twice, torn = data.split(b"\n"), 0, False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            values = json.loads(line, parse_int=_integer)
            run = read_run(values, place)
        except (json.JSONDecodeError, UnicodeDecodeError, OverflowError, RecursionError) as error:
            torn = number == len(lines) and isinstance(error, ValueError)
            if torn:
                break
            raise InputError(f"{place}: no JSON ({error}): remove that line.") from error
        unknown |= values.keys() - kinds(Run).keys()
        twice += runs.pop(run.run, None) is not None
        runs[run.run] = run
    told = {
        f"The last line of {path.name} was cut off and is left out.": torn,
        f"Lines of {path.name} that repeat a run: {twice}. The last of each run counts.": twice,
        f"Keys of {path.name} that this version does not know, and passes over:"
        f" {', '.join(map(repr, sorted(unknown)))}.": unknown,
    }
    notes = tuple(note for note, is_so in told.items() if is_so)
    if not torn and lines[-1].strip():  # whole, but for its line feed
        return Lines(runs, notes, len(data), len(data), gap=b"\n")
    return Lines(runs, notes, len(data), len(data) - len(lines[-1]))


def _integer(digits: str) -> int:
    """Python reads integers of any size; what follows (NumPy, Arrow) holds 64 bits."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise OverflowError(f"an integer of {len(digits)} digits; 64 bits can be read")
    return int(digits)
