"""One rule for the names that become files and folders: of tasks, formats, shards, members, runs.

They come from users' files and from what others wrote, and are checked where they are read.
"""

from ppt.errors import ConfigError, visible

LONGEST = 200
"""Bytes of a name: file systems take 255, and suffixes follow."""


def is_name(name: object, longest: int = LONGEST) -> bool:
    """Whether `name` can be a file's, in the folder that it is put into and nowhere else."""
    return (
        isinstance(name, str)
        and visible(name) == name == name.strip()
        and not name.startswith(".")
        and not {*name} & {"/", "\\"}
        and 1 <= len(name.encode()) <= longest
    )


def check_name(name: object, what: str, longest: int = LONGEST) -> None:
    """Raise ConfigError where `name`, the name of `what`, could be no file's."""
    if not is_name(name, longest):
        raise ConfigError(
            f"{what}: got {name!r:.80}, expected a name of 1 to {longest} bytes without / and \\,"
            " control characters or white space at its ends, and that begins with no dot."
        )
