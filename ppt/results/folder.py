"""The results folder: new, of this grid (added to), of another grid, or none of ours (refused).

Another grid's is refused too, unless the command is to begin anew: then what a grid leaves
is removed, by name, once nothing else can go wrong. Other people's files are never touched.
"""

import shutil
from pathlib import Path

from ppt.base.files import require_writable
from ppt.base.flags import Command, differing, from_json
from ppt.errors import ConfigError, OutputError
from ppt.results.selection import PREDICTIONS, RESULTS

CONFIG = "config.json"
"""The last command's flags: what proves that a folder is one of results."""

PARTS, ADAPTERS, REJECTS, PLOTS = "predictions", "adapters", "rejects", "plots"
TABLES = ("results.md", "results.csv")
PAGE = "report.html"

FILES = (PREDICTIONS, *TABLES, PAGE)
FOLDERS = (PARTS, ADAPTERS, REJECTS, PLOTS)
"""With `RESULTS` and `CONFIG` all that a grid and its report leave."""


def check_folder(folder: Path, config: Command, *, overwrite: bool) -> None:
    """Refuse a folder that holds something else, or, without `overwrite`, results of other flags.

    Nothing is changed yet, so that a mistake found later costs nothing.
    """
    elsewhere = "give another --output_dir."
    require_writable(folder)
    if not (folder / CONFIG).is_file():
        if any(folder.glob("[!.]*")):
            raise OutputError(
                f"{folder} is not empty and holds no {CONFIG} of results: {elsewhere}"
            )
        return
    try:
        old = from_json(type(config), (folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"cannot read {folder / CONFIG}: {error} Or {elsewhere}") from error
    for name in [] if overwrite else differing(old, config):
        raise ConfigError(
            f"the results in {folder} are of --{name} {getattr(old, name)!r}, got"
            f" {getattr(config, name)!r}: give the same to add to them, another --output_dir, or"
            " --overwrite_output_dir to begin anew."
        )


def clear(folder: Path) -> None:
    """Remove what a grid leaves: its rows first, the proof that the folder is ours last."""
    try:
        (folder / RESULTS).unlink(missing_ok=True)
        for path in (folder / name for name in FOLDERS):
            if path.is_dir():
                shutil.rmtree(path)
        for name in (*FILES, CONFIG):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot clear {folder}: {error}: give another --output_dir.") from error
