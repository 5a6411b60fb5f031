"""Label rows with what few-shot tuning has made: ``python -m ppt.predict results/``."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppt.base.files import appearing, require_writable, sweep_dead, write_synced, writing
from ppt.base.flags import Command, again, at_least, flag, parse
from ppt.base.imports import import_models, quick_imports, spin_less
from ppt.base.output_folder import read_config
from ppt.base.terminal import Beat
from ppt.errors import ConfigError, OutputError, as_command, note, visible
from ppt.fewshot.settings import FewshotConfig, split
from ppt.results.folder import model_of
from ppt.results.report import read_results
from ppt.results.run import Run
from ppt.results.selection import chosen_run
from ppt.results.tables import csv_text
from ppt.tasks.finding import find_spec
from ppt.tasks.readers import EXPECTED, Table, read_table
from ppt.tasks.rejects import RowReject, keep_rejects, tally
from ppt.tasks.spec import Files
from ppt.tasks.unlabelled import PREDICTION, unlabelled
from ppt.training.shared import MachineSettings

if TYPE_CHECKING:
    from ppt.fewshot.classifier import Labelled

DESCRIPTION = """\
Label new rows with what python -m ppt.fewshot has tuned.

The rows have the columns of the task, but for its label: a file as the task's own. The output
has all their columns and three kinds more: prediction (what the label column would hold),
probability, and p(<label>) for each label. Rows that cannot be used are counted and stand
beside it, in <output>.rejects.jsonl, each with its reason.

Of several runs that with the most examples labels, then that with the best validation scores;
the flags below name another."""

EPILOG = """\
examples:
  python -m ppt.predict results/ --input=new.csv --output=labelled.csv
  python -m ppt.predict results/ --input=new.jsonl.gz --output=labelled.jsonl --method=lora_ppt
  python -m ppt.predict results/ --input=new.csv --output=labelled.csv --task=sst2 --seed=3"""

ROWS, RUN = "the rows", "which run labels them"


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Command):
    """``python -m ppt.predict``: a results folder and rows in, the same rows with labels out."""

    results: str = flag("the results folder, such as results/", group=ROWS, option="")
    input: str = flag(f"the rows, a file in {EXPECTED}", group=ROWS, metavar="FILE")
    output: str = flag("where they go, a .csv, .tsv or .jsonl file", group=ROWS, metavar="FILE")
    overwrite: bool = flag("replace an output that is there", group=ROWS, default=False)
    task: str | None = flag(
        "the task, where the results are of several", group=RUN, default=None, unset="theirs"
    )
    task_file: str | None = flag(
        "the task's YAML file", group=RUN, default=None, unset="where it was", metavar="FILE"
    )
    prompt: str | None = flag(
        "the pre-trained prompt of a method that takes it as it is", group=RUN, default=None,
        unset="where it was", metavar="FOLDER",
    )  # fmt: skip
    method: str | None = flag("its method", group=RUN, default=None, unset="any")
    shots: int | None = flag(
        "its number of examples", group=RUN, default=None, rule=at_least(1), unset="the most"
    )
    seed: int | None = flag(
        "its seed", group=RUN, default=None, rule=at_least(0), unset="the best on validation"
    )
    run: str | None = flag(
        "its id, as in results.jsonl", group=RUN, default=None, unset="the best on validation"
    )
    model: str | None = again(
        FewshotConfig, "model", None, group=RUN, help="the backbone", unset="where it was"
    )
    dtype: str | None = again(
        MachineSettings, "dtype", None, help="precision of the backbone", unset="as it was tuned"
    )
    device: str | None = again(MachineSettings, "device")
    threads: int | None = again(MachineSettings, "threads", help="CPU threads")
    tokens_at_once: int = again(FewshotConfig, "tokens_at_once")


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    spin_less()
    flags = parse(PredictConfig, argv, "python -m ppt.predict", DESCRIPTION, EPILOG)
    output, source = Path(flags.output), Path(flags.input)
    beside = output.with_name(f"{output.name}.rejects.jsonl")
    write = _writer(output)
    _require_free((output, beside), source, overwrite=flags.overwrite)
    folder = Path(flags.results)
    wanted = {name: getattr(flags, name) for name in ("task", "method", "shots", "seed", "run")}
    results = read_results(folder)
    run = chosen_run(results.runs, **wanted)
    config = read_config(folder, FewshotConfig)
    task = find_spec(run.task, map(Path, split(flags.task_file or config.task_file or "")))
    quoting = task.source.quoting if isinstance(task.source, Files) else None
    table = read_table(source, quoting=quoting)
    rows, rejects = unlabelled(task, table)
    machine = {name: getattr(flags, name) for name in ("device", "threads", "tokens_at_once")}
    with quick_imports(argv):  # torch comes in here
        from tqdm import tqdm

        from ppt.fewshot.bench import asked_backbone
        from ppt.fewshot.classifier import AT_ONCE, Classifier, kept_prompts
        from ppt.fewshot.memory import afresh, remembered

    import_models(argv)
    own = {name: getattr(flags, name) or getattr(config, name) for name in ("model", "dtype")}
    config = replace(config, prompt=flags.prompt, **own, **machine)
    tuned = kept_prompts(folder, run)
    print(f"by {described(run)}")
    backbone, digest = asked_backbone(config), model_of(folder)
    with (
        remembered(output) as recall,
        Classifier.of(run, task, backbone, config, tuned, digest) as classifier,
    ):
        _require_free((output, beside), source, overwrite=flags.overwrite)  # as it may have come
        note(*results.notes, *classifier.notes)
        hidden, beat, done = not sys.stderr.isatty(), Beat(), 0
        with tqdm(total=len(rows), unit="row", disable=hidden, dynamic_ncols=True) as bar:

            def on_rows(count: int) -> None:
                nonlocal done
                done += count
                bar.update(count)
                if hidden and beat.due():
                    print(f"{done:,} of {len(rows):,} rows", file=sys.stderr, flush=True)

            few = len(rows) <= AT_ONCE  # from which there is nothing to go on
            known = afresh if few else partial(recall, classifier.scorer)
            found = classifier.label(table, rows, rejects, on_rows, known)
        _keep(output, write(found.columns, found.rows), beside, rejects)
    if found.cut:
        note(f"texts cut to the {config.max_length} tokens of the run: {found.cut:,}.")
    print(visible("; ".join(_summary(found, table, len(task.labels), beside))))
    print(output)


def _keep(output: Path, data: bytes, beside: Path, rejects: Sequence[RowReject]) -> None:
    """Write the rows, and the rejects first, so that no output is ever without them."""
    with writing(output, "free some space there, or write to another folder"):
        sweep_dead(output)
        with appearing(output) as scratch:
            write_synced(scratch, data)
            keep_rejects(beside, rejects)


def _summary(found: "Labelled", table: Table, labels: int, beside: Path) -> Iterator[str]:
    yield f"{len(found.rows):,} of {len(table.rows):,} rows of {table.source} are labelled"
    said = [str(row[PREDICTION]) for row in found.rows]
    if len({*said}) <= labels:  # options' own texts are many
        yield tally(said)
    if found.rejects:
        yield f"not labelled: {tally(one.reason for one in found.rejects)}, in {beside}"
    if table.note:
        yield table.note


def described(run: Run) -> str:
    """A run in a line."""
    scores = run.validation
    told = f" (validation {scores.accuracy:.3f})" if scores else ""
    which = f"{run.task}, {run.method}, {run.shots} shots, seed {run.seed}"
    return visible(f"run {run.run}: {which}{told}")


def _require_free(places: Sequence[Path], source: Path, *, overwrite: bool) -> None:
    require_writable(places[0].parent, "--output")
    for place in places:
        if place.is_dir() or (place.exists() and place.samefile(source)):
            raise OutputError(f"--output: {place} is the input, or a folder: give another file.")
        if place.exists() and not overwrite:
            raise OutputError(f"{place} is there: give another --output, or --overwrite.")


def _writer(path: Path) -> Any:
    kind = path.suffix.lower()
    if kind not in WRITERS:
        ends = ", ".join(WRITERS)
        raise ConfigError(f"--output: got {path}, expected a name that ends in one of {ends}.")
    return WRITERS[kind]


def _lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    del columns
    lines = (f"{_json(row)}\n" for row in rows)
    return "".join(lines).encode(errors="backslashreplace")


def _cells(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], sign: str) -> bytes:
    lines = ([row.get(name) for name in columns] for row in rows)
    return csv_text(columns, lines, _cell, sign).encode(errors="backslashreplace")


def _cell(value: Any) -> Any:
    """A cell as CSV has it: JSON of what Arrow or JSON made of several, or of a truth value."""
    return _json(value) if isinstance(value, bool | list | dict) else value


def _json(value: Any) -> str:
    """The JSON of a value, which has no NaN; what it does not know (dates, decimals) is text."""
    return json.dumps(_finite(value), ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


WRITERS = {
    ".csv": lambda columns, rows: _cells(columns, rows, ","),
    ".tsv": lambda columns, rows: _cells(columns, rows, "\t"),
    ".jsonl": _lines,
}
"""How the output's name ends → its bytes."""


if __name__ == "__main__":
    sys.exit(main())
