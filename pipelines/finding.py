"""Finding input files by patterns, on any file system Beam knows."""

# Patterns are Beam's strings, and os.path answers False where pathlib raises.
# ruff: noqa: PTH100, PTH110, PTH112, PTH114, PTH120, PTH202

import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import takewhile

from apache_beam.io.filesystems import FileSystems

from pipelines import stores
from pipelines.files import FileSlice
from pipelines.stores import is_local
from ppt.errors import InputError, OutputError, visible

_GLOB = re.compile(r"[\[*?]")


def match(pattern: str) -> dict[str, int]:
    """Return path → size of the files that `pattern`, a path or a glob, names.

    As in Beam, ``*`` stays within a folder and ``**`` does not; but ``/**/`` may be no folder at
    all, as for everyone else, and for `ppt.adapt` and `train_punkt`, and ``*`` any sign of a name.
    Only files match. Local links to nowhere and pipes are listed too: they become rejects. Raises
    InputError where a folder that the pattern reaches cannot be listed; links to folders are
    passed over and told.
    """
    if is_local(pattern):
        return _match_locally(os.path.abspath(pattern))
    stores.reach(pattern, "list", InputError)
    head, *globs = _GLOB.split(pattern, maxsplit=1)
    there = stores.sizes(f"{head}**" if globs else pattern)
    if pattern in there:  # a key may hold "[" and be no glob
        return {pattern: there[pattern]}
    matches = _matcher(pattern)
    return _some({path: size for path, size in there.items() if matches(path)}, pattern)


def _match_locally(pattern: str) -> dict[str, int]:
    if os.path.isdir(pattern):
        raise InputError(f"{pattern!r} is a folder; for the files in it give '{pattern}/*'.")
    if os.path.lexists(pattern):  # a path may hold "[" and be no glob
        return {pattern: _size(pattern)}

    def refuse(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise InputError(
                f"cannot list {error.filename!r}, which {pattern!r} reaches: {error.strerror}; "
                "make it readable, or give patterns that leave it out."
            ) from error

    sizes: dict[str, int] = {}
    passed: list[str] = []
    matches, reaches = _matcher(pattern), _reach(pattern)
    top = os.path.dirname(_GLOB.split(pattern)[0])
    for folder, folders, names in os.walk(top, onerror=refuse):
        paths = (os.path.join(folder, name) for name in names)
        sizes |= {path: _size(path) for path in paths if matches(path)}
        here = [os.path.join(folder, name) for name in folders]
        passed += (path for path in here if matches(path) and not reaches(path))
        folders[:] = [name for name in folders if reaches(os.path.join(folder, name))]
        for path in (os.path.join(folder, name) for name in folders):
            if os.path.islink(path):
                note = f"note: {visible(path)} is a link to a folder and is not followed"
                print(f"{note}; to read it give it by name", file=sys.stderr)
    found = _some(sizes, pattern)
    if passed:
        more = f" and {len(passed) - 1} more" if passed[1:] else ""
        note = f"note: folders are not read: {visible(min(passed))}{more}"
        print(f"{note}; for the files in one give FOLDER/*", file=sys.stderr)
    return found


def _some(sizes: dict[str, int], pattern: str) -> dict[str, int]:
    if not sizes:
        raise InputError(f"no file matches {pattern!r}; for a folder's files give 'folder/*'.")
    return sizes


def _size(path: str) -> int:
    """Its bytes; 0 of a link to nowhere."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def _matcher(pattern: str) -> Callable[[str], object]:
    """What tells whether a path matches a pattern of Beam's, to its end.

    Raises InputError for one that can be none, as ``[9-0]``.
    """
    known = FileSystems.get_filesystem(pattern).translate_pattern(pattern)
    # A "\\" is a sign like others here: Windows' archives leave it in names.
    known = known.replace(r"[^/\\]*", "[^/]*").replace("/.*/", "/(?:.*/)?")
    try:
        return re.compile(known).match
    except re.error as error:
        raise InputError(f"the pattern {pattern!r} is none: {error.msg}") from error


def _reach(pattern: str) -> Callable[[str], bool]:
    """What tells whether files that match may be in a folder: by its levels up to a ``**``."""
    levels = pattern.split("/")
    deep = next((i for i, level in enumerate(levels) if "**" in level), len(levels))
    heads = ["/".join(levels[:n]) for n in range(1, deep + 1)]
    known = [_matcher(head) for head in heads]

    def reaches(folder: str) -> bool:
        depth = folder.count("/") + 1
        if depth > deep:
            return deep < len(levels) and bool(known[-1]("/".join(folder.split("/")[:deep])))
        return depth < len(levels) and bool(known[depth - 1](folder))

    return reaches


def refuse_overlap(
    patterns: Iterable[str], slices: Iterable[FileSlice], output: str, names: Iterable[str]
) -> None:
    """Refuse an output that holds an input, or whose files, `names` below it, would be input.

    The first would be lost or mixed with what is built, the second read by a rerun. Local
    paths are compared behind all links. Raises OutputError.
    """
    local = is_local(output)
    place = os.path.realpath(output) if local else output.rstrip("/")
    cure = "give an --output apart from the --input."
    for part in slices:
        path = _behind_links(part.path) if local else part.path
        if path.startswith(place + "/"):
            raise OutputError(f"--output {output!r} contains the input {part.path!r}: {cure}")
    files = [f"{place}/{name}" for name in names]
    for pattern in filter(_GLOB.search, patterns):
        aim = pattern
        if local and is_local(pattern):
            fixed = os.path.dirname(_GLOB.split(os.path.abspath(pattern))[0])
            aim = os.path.realpath(fixed) + os.path.abspath(pattern)[len(fixed) :]
        hit = next(filter(_matcher(aim), files), None)
        if hit:
            raise OutputError(f"--input {pattern!r} would read the output's {hit!r}: {cure}")


def _behind_links(path: str) -> str:
    """As os.path.realpath, which would look at each folder above for each of many files."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    return os.path.join(_real_folder(folder), name)


_real_folder = lru_cache(os.path.realpath)


def short_names(paths: Iterable[str]) -> list[str]:
    """Return the paths below the folder that all share; as UTF-8, which a path need not be."""
    split = [path.split("/") for path in paths]
    levels = zip(*(folders for *folders, _ in split), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(parts[shared:]).encode(errors="backslashreplace").decode() for parts in split]
