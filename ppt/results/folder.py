"""The results folder: new, of this grid (added to), of another grid, or none of ours (refused).

Another grid's is refused too, unless the command is to begin anew: then what a grid leaves
is removed, by name, once nothing else can go wrong. Other people's files are never touched.
"""

from pathlib import Path

from ppt.base.flags import Command
from ppt.base.output_folder import Kind, require_same
from ppt.errors import OutputError
from ppt.results.selection import PREDICTIONS, RESULTS

PARTS, ADAPTERS, REJECTS, PLOTS = "predictions", "adapters", "rejects", "plots"
EMBEDDINGS = "embeddings"
"""What the targets of transfer are known by: a prompt at an early step each."""
TABLES = ("results.md", "results.csv")
PAGE = "report.html"

MODEL = "model.sha256"
"""What the runs' model is known again by."""

FILES = (PREDICTIONS, *TABLES, PAGE, MODEL)
FOLDERS = (PARTS, ADAPTERS, REJECTS, PLOTS, EMBEDDINGS)

GRID = Kind("results", RESULTS, (*FILES, *FOLDERS))
"""All that a grid and its report leave."""


def embedding_file(folder: Path, task: str, shots: int, seed: int) -> Path:
    """Where a results folder keeps what a target is known by."""
    return folder / EMBEDDINGS / task / f"shots-{shots}-seed-{seed}.safetensors"


def model_of(folder: Path) -> str:
    """The digest of the model that the runs in a folder are of; "" where it was not noted."""
    place = folder / MODEL
    return place.read_text(errors="replace").strip() if place.is_file() else ""


def require_same_model(folder: Path, digest: str) -> None:
    """Raise OutputError where the runs in the folder are of a model of another digest.

    A folder or hub id may hold another by now. Results of before it was noted tell nothing.
    """
    if model_of(folder) not in ("", digest):
        raise OutputError(
            f"the results in {folder} are of a model that had other weights, by the same name: give"
            " another --output_dir, or remove that folder."
        )


def check_folder(folder: Path, config: Command, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else, or, without `overwrite`, results of other flags.

    Nothing is changed yet, so that a mistake found later costs nothing.
    """
    old = GRID.previous(folder, type(config), overwrite=overwrite)
    if old is not None and not overwrite:
        require_same(f"the results in {folder} are of", old, config, "to add to them")
