"""What of a library is near to what, and what it gained: ``python -m ppt.transfer prompts/``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppt.backbones.sources import DEFAULT_MODEL
from ppt.base.extras import left_out
from ppt.base.files import save_figure, write_atomically
from ppt.base.flags import Command, flag, parse, to_json
from ppt.base.imports import quick_imports
from ppt.base.output_folder import CONFIG, Kind, locked
from ppt.errors import InputError, as_command, note, visible
from ppt.results.selection import RESULTS

if TYPE_CHECKING:
    from ppt.results.tables import Sheet
    from ppt.transfer.comparison import Comparison
    from ppt.transfer.similarity import Matrix
    from ppt.transfer.sources import Source

DESCRIPTION = """\
Compare the prompts of a library, and tell what starting from them has gained.

Tasks are as near as their prompts at a fixed early step (--embedding_steps keeps it). With
results of python -m ppt.fewshot that has run spot:all beside prompt_tuning there are the
transfer matrix, the best of the k nearest sources, and whether similarity tells the gain."""

EPILOG = """\
examples:
  python -m ppt.transfer prompts/
  python -m ppt.transfer prompts/ --results=results/spot --output_dir=transfer
  python -m ppt.transfer prompts/ --similarity=pairs --model=google/t5-v1_1-base"""

INPUT, OUTPUT = "what is compared", "the tables and plots"

TABLES, LIKENESS, GAINS = "transfer.md", "similarities.csv", "transfer.csv"
TRANSFER = Kind(
    "a comparison of prompts", TABLES, (LIKENESS, GAINS, "similarities.png"),
    r"(transfer|correlation)-\d+\.png",
)  # fmt: skip

USUAL = "results"


@dataclass(frozen=True, kw_only=True)
class TransferConfig(Command):
    """``python -m ppt.transfer``: a library of prompts in, tables and plots out."""

    library: str = flag("a folder of prompts", group=INPUT, option="")
    results: str | None = flag(
        "a results folder of python -m ppt.fewshot", group=INPUT, default=None,
        unset=f"{USUAL}/ if it has runs",
    )  # fmt: skip
    model: str = flag("the backbone of the prompts", group=INPUT, default=DEFAULT_MODEL)
    similarity: str = flag(
        "the cosine of prompts' mean tokens, or the mean over all pairs of tokens",
        group=INPUT, default="means", choices=("means", "pairs"),
    )  # fmt: skip
    output_dir: str = flag("where tables and plots go", group=OUTPUT, default="transfer")


@as_command
def main(argv: Sequence[str] | None) -> None:
    """The command. Returns its exit code."""
    config = parse(TransferConfig, argv, "python -m ppt.transfer", DESCRIPTION, EPILOG)
    folder = Path(config.output_dir)
    with locked(folder):
        TRANSFER.previous(folder, TransferConfig, overwrite=True)
        _compare(config, folder, argv)


def _compare(config: TransferConfig, folder: Path, argv: Sequence[str] | None) -> None:
    """Read, compare, show and write, in a folder that is locked."""
    with quick_imports(argv):  # torch comes in here
        from ppt.transfer.library import find_prompts
        from ppt.transfer.similarity import clustered, similarities
        from ppt.transfer.sources import as_sources

    sources, notes = as_sources(find_prompts([config.library]), config.model)
    note(*notes)
    if not sources:
        raise InputError(f"no prompt in {config.library} is for --model {config.model}.")
    if lacking := [one.name for one in sources if one.early is None]:
        note(f"{', '.join(lacking)}: no early prompt was kept, the best one stands for it.")
    embeddings = [one.embedding for one in sources]
    likeness = similarities(embeddings, embeddings, config.similarity)
    order = clustered(likeness)
    several = _comparisons(config, sources)
    steps = {one.early.step for one in sources if one.early}.union(*(one.steps for one in several))
    if len(steps) > 1:
        told = ", ".join(map(str, sorted(steps)))
        note(f"early prompts, of sources and targets, are of several steps ({told}).")
    names, ordered = [sources[i].name for i in order], likeness[order][:, order]
    _write(config, folder, names, ordered, several)


def _comparisons(config: TransferConfig, sources: Sequence["Source"]) -> list["Comparison"]:
    """A comparison for each number of shots that has transfer; none without results."""
    from ppt.prompts.files import Prompt
    from ppt.results.report import read_results
    from ppt.results.selection import at_shots, distinct, shots_of
    from ppt.training.kinship import is_for
    from ppt.transfer.comparison import compare, of_other_prompts

    folder = Path(config.results or USUAL)
    if config.results is None and not (folder / RESULTS).is_file():
        note("no results, so no transfer matrix: give --results.")
        return []
    results = read_results(folder)
    note(*results.notes)
    chosen = results.selected()
    models = distinct(chosen, "model")
    if others := [one for one in models if not is_for(Prompt({"backbone": one}), config.model)]:
        told = f"{folder} has runs of {others[0]}, got --model {config.model}"
        if config.results is not None:
            raise InputError(f"{told}: give the backbone of the results, and its prompts.")
        note(f"{visible(told)}, so no transfer matrix.")
        return []
    if others := of_other_prompts(sources, chosen, folder):
        told = f"runs from {', '.join(others)} began with other prompts than the library has"
        note(f"{told}: their gains are not those of its similarities.")
    several = [
        compare(sources, at_shots(chosen, shots), folder, shots, config.similarity)
        for shots in shots_of(chosen)
    ]
    why = "prompt_tuning has no runs of the same seeds, or made no error"
    for each in several:
        for task in each.untold:
            note(f"{visible(task)}, {each.shots} shots: no gain to tell: {why}.")
    found = [each for each in several if each.gains]
    if not found and not any(each.untold for each in several):
        told = f"{folder} has no runs of prompt_tuning and of spot:<source> on one task"
        note(f"{told}, so no transfer matrix.")
    return found


def _write(
    config: TransferConfig, folder: Path, names: Sequence[str], likeness: "Matrix",
    several: Sequence["Comparison"],
) -> None:  # fmt: skip
    """Show the tables, and write them and the plots; the flags first, the tables last."""
    from ppt.results.tables import show, to_markdown
    from ppt.transfer import tables

    sheets: list[Sheet] = [
        tables.similarity_sheet(names, likeness, config.similarity),
        tables.ranking_sheet(names, likeness),
    ]
    for one in several:
        sheets += [tables.gain_sheet(one), tables.target_ranking(one)]
        sheets += [tables.top_sheet(one), tables.correlation_sheet(one)]
    show(sheets)
    TRANSFER.clear(folder)
    write_atomically(folder / CONFIG, to_json(config).encode())
    if not left_out("matplotlib", "the plots"):
        for name, draw in _plots(names, likeness, several).items():
            save_figure(folder / f"{name}.png", draw(), dpi=120, facecolor="white")
    write_atomically(folder / LIKENESS, tables.likeness_csv(names, likeness).encode())
    if several:
        write_atomically(folder / GAINS, tables.transfer_csv(several).encode())
    write_atomically(folder / TABLES, "\n".join(map(to_markdown, sheets)).encode())
    print(f"{folder / TABLES}, and plots beside it")


def _plots(
    names: Sequence[str], likeness: "Matrix", several: Sequence["Comparison"]
) -> dict[str, Callable[[], Any]]:
    """Name → what draws it."""
    from functools import partial

    from ppt.results.heat import heat_map, likeness_and_gain, transfer_map
    from ppt.results.style import looks

    note = "Of prompts at an early step; those that are alike stand together (average linkage)."
    plots: dict[str, Callable[[], Any]] = {
        "similarities": partial(heat_map, likeness, names, names, "Similarity of sources", note, 3)
    }
    for one in several:
        words = f"{one.shots} shots"
        plots[f"transfer-{one.shots}"] = partial(transfer_map, one.runs, words)
        points = {target: own for target in one.targets if (own := one.points(target))}
        if not points:
            continue
        found = {target: one.correlations[target] for target in points}
        told = {t: f"r = {c.r:+.2f}, p = {c.p:.2f}" if c else "too few" for t, c in found.items()}
        plots[f"correlation-{one.shots}"] = partial(
            likeness_and_gain, points, told, looks(one.sources), f"Similarity and gain, {words}"
        )
    return plots


if __name__ == "__main__":
    sys.exit(main())
