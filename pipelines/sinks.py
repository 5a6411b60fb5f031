"""Where the corpora go: files that appear whole or not at all, and the manifest last.

What only an unfinished build needs lives in one folder, ``.building/``, with a note per
finished shard that lets a rerun after a crash keep it. It goes when all is done. In it a plan
names every file that is the build's to write or to remove, before the first is touched; with
the manifests of finished corpora it says what is ours. Nothing else is ever removed or
replaced.
"""

import json
import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipelines import stores
from pipelines.config import BuildConfig, ShardKey
from pipelines.ledger import ShardResult
from pipelines.stores import is_local, told_plainly
from ppt.base.files import SCRATCH, require_writable
from ppt.base.names import check_name
from ppt.corpus.card import CARD
from ppt.corpus.formats import FORMATS
from ppt.corpus.histograms import HISTOGRAMS
from ppt.corpus.manifest import Manifest
from ppt.corpus.storage import MANIFEST, shard_name
from ppt.errors import OutputError
from ppt.text.sentences import PUNKT_FILES, TRAINED

BUILDING, REJECTS, EXCLUDED, PUNKT = ".building", "rejects", "excluded", "punkt"
_PLAN = f"{BUILDING}/plan.json"
EXCLUDED_ROWS = f"{BUILDING}/excluded.npz"


class Found(NamedTuple):
    """What a build finds in its output: the names that are `ours` to write or remove, the formats
    that are `done`, the fingerprint of the `previous` build if this one continues it, and whether
    the `whole` is there.
    """

    ours: set[str]
    done: list[str]
    previous: str
    whole: bool


@dataclass(frozen=True)
class Output:
    """The folder that a build writes to. Paths given to its methods are relative to it."""

    root: str

    def path(self, name: str) -> str:
        """The full path of a file below the folder."""
        return posixpath.join(self.root, name)

    @property
    def local(self) -> bool:
        """Whether it is a folder of this disk."""
        return is_local(self.root)

    def put(self, name: str, data: bytes) -> None:
        """Write a file that is either there whole or not there. Raises OutputError."""
        stores.put(self.path(name), data)

    def get(self, name: str) -> bytes | None:
        """A small file's bytes, or None where there is none."""
        return stores.get(self.path(name))

    def sizes(self, pattern: str) -> dict[str, int]:
        """Name below the output → bytes, of the files that match ``folder/pattern``."""
        folder = posixpath.dirname(pattern)
        if self.local:
            found = [path for path in Path(self.root).glob(pattern) if path.is_file()]
            return {f"{folder}/{path.name}": path.stat().st_size for path in found}
        matched = stores.sizes(self.path(pattern)).items()
        return {f"{folder}/{posixpath.basename(path)}": size for path, size in matched}

    def delete(self, names: Iterable[str]) -> None:
        """Delete files that are there."""
        stores.delete(self.path(name) for name in names)

    def look(self, config: BuildConfig, overwrite: bool) -> Found:
        """What is there of ours. Raises OutputError for finished corpora, other people's files
        and a place that cannot be written to; nothing is touched.
        """
        if self.local:
            require_writable(Path(self.root), "--output")
        else:
            stores.reach(self.root, "write to", OutputError)
        with told_plainly(self.root):
            planned, previous = self._plan()
            continues = previous == config.fingerprint()
            found = self.finished()
            done = [name for name in config.formats if name in found]
            if done and not (overwrite or continues):
                raise OutputError(
                    f"{self.root} already holds {', '.join(done)}: give --overwrite to "
                    "replace, another --output, or other --formats."
                )
            whole = len(done) == len(config.formats) and not overwrite
            theirs = (files_of(name, one) for name, one in found.items())
            known, writes = planned.union(*theirs), set(files_to_write(config))
            if not whole:
                self._refuse_others(known, writes)
        others = (files_of(name, found[name]) for name in found.keys() - set(config.formats))
        apart = (REJECTS, EXCLUDED)
        kept = {file for files in others for file in files if not file.startswith(apart)}
        return Found((known | writes) - kept, done, previous if continues else "", whole)

    def prepare(self, config: BuildConfig, overwrite: bool) -> bool:
        """Make the folders, where `look` finds nothing against it.

        What a crashed build of the same flags and inputs finished is kept. False: that is
        all of it, so that only what stands beside the manifests may be missing.
        """
        found = self.look(config, overwrite)
        if found.whole:
            return False
        with told_plainly(self.root):
            # A corpus without its manifest is unfinished: it must go before any shard changes.
            self._put_plan(found.ours, found.previous)
            if overwrite:
                self.delete([f"{name}/{MANIFEST}" for name in found.done])
            self._make_folders(config, afresh=not found.previous)
            self._put_plan(found.ours, config.fingerprint())
            return True

    def _make_folders(self, config: BuildConfig, *, afresh: bool) -> None:
        if not self.local:
            if afresh:
                self.delete(self.sizes(f"{BUILDING}/shards/*"))
            return
        for transient in ("progress", "spool", "beam", *(["shards"] if afresh else [])):
            shutil.rmtree(self.path(f"{BUILDING}/{transient}"), ignore_errors=True)
        for folder in ("progress", "spool", "beam", "shards"):
            Path(self.path(f"{BUILDING}/{folder}")).mkdir(parents=True, exist_ok=True)
        for folder in (*config.formats, REJECTS, *([EXCLUDED] if config.excluded else [])):
            Path(self.path(folder)).mkdir(parents=True, exist_ok=True)

    def _refuse_others(self, known: set[str], writes: set[str]) -> None:
        """Before any work: no file of others may be in a folder that the build writes to."""
        folders = sorted(set(map(posixpath.dirname, writes)))
        if self.get(_PLAN) is None and self.local:
            folders.append(BUILDING)
        found = {name for folder in folders for name in self._names(folder)}
        others = sorted(map(PurePosixPath, found - known))
        if broken := {name.parent for name in others if name.name == MANIFEST}:
            folders = sorted({name.parent.name for name in others})
            raise OutputError(
                f"{self.path(f'{min(broken)}/{MANIFEST}')} is broken, and it alone says which files"
                f" are ours: move {' and '.join(folders)} out of {self.root}, or give another"
                " --output."
            )
        if others:
            raise OutputError(
                f"{self.path(str(others[0].parent))} is not empty and no corpus alone (it has "
                f"{others[0].name}, "
                "which no build has made): give another --output, or move it away."
            )

    def _names(self, folder: str) -> Iterable[str]:
        """Of all that is in a folder, but what a dot hides."""
        if self.local:
            return [f"{folder}/{path.name}" for path in Path(self.path(folder)).glob("[!.]*")]
        return self.sizes(f"{folder}/[!.]*")

    def _plan(self) -> tuple[set[str], str]:
        """The files of an unfinished build and its fingerprint; nothing where there is none."""
        data = self.get(_PLAN)
        try:
            plan = json.loads(data or "{}")
            files = set(plan.get("files", ()))
            for folder, name in (file.split("/") for file in files):
                for part in (folder, name):
                    check_name(part, "a file of the plan")  # nothing outside is ours
            return files, str(plan.get("fingerprint", ""))
        except (ValueError, AttributeError, TypeError) as error:
            raise OutputError(
                f"{self.path(_PLAN)} is not ours ({error}): give another --output, or move it away."
            ) from error

    def _put_plan(self, files: Iterable[str], fingerprint: str) -> None:
        plan = {"files": sorted(files), "fingerprint": fingerprint}
        self.put(_PLAN, json.dumps(plan).encode())

    def finished(self) -> dict[str, Manifest]:
        """The manifests, by folder, that say what is ours."""
        local = Path(self.root).glob(f"*/{MANIFEST}") if self.local else ()
        found = {}
        for name in sorted({*FORMATS, *(path.parent.name for path in local)}):
            if (data := self.get(f"{name}/{MANIFEST}")) is not None:
                with suppress(ValueError):  # else it is no manifest of ours
                    found[name] = Manifest.from_json(data.decode())
        return found

    def finish(self) -> None:
        """Remove what only an unfinished build needs: here it goes from sight in one moment, in a
        store the plan goes last, so that a rerun clears up what is left.
        """
        if not self.local:
            for pattern in (f"{BUILDING}/shards/*", EXCLUDED_ROWS, _PLAN):
                self.delete(self.sizes(pattern))
        elif Path(self.path(BUILDING)).exists():
            gone = self.path(f"{SCRATCH}{os.getpid()}-finished")
            Path(self.path(BUILDING)).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def forget(self) -> None:
        """Remove plan and folders of a build that has not written anything yet."""
        building, (planned, _) = Path(self.path(BUILDING)), self._plan()
        files = {path.name for path in building.rglob("*") if path.is_file()}
        if files <= {*map(posixpath.basename, (_PLAN, EXCLUDED_ROWS))} and not any(
            map(self.sizes, planned)
        ):
            shutil.rmtree(building, ignore_errors=True)
            for folder in {posixpath.dirname(name) for name in planned}:
                with suppress(OSError):
                    Path(self.path(folder)).rmdir()

    def finished_shard(self, key: ShardKey, digest: str) -> ShardResult | None:
        """The result of a shard that an earlier run finished, if it would come out the same."""
        note = self.get(_note(key))
        try:
            result = ShardResult.from_json(note or "")
        except (ValueError, TypeError, KeyError, AttributeError):
            return None  # there is none, or it is broken
        whole = all(self.sizes(path).get(path) == size for path, size in result.files.items())
        return result if whole and result.digest == digest else None

    def put_shard(self, files: dict[str, bytes], result: ShardResult) -> None:
        """Write a shard's files, then the note that says so."""
        for path, data in files.items():
            self.put(path, data)
        self.put(_note(result.key), result.to_json().encode())

    def sweep(self, config: BuildConfig, made: Mapping[str, int]) -> None:
        """Delete what the plan names and this build did not make: an earlier one left it.

        Raises OutputError where a file has not the size that it was `made` with: a store keeps
        no second build out of a folder.
        """
        planned, _ = self._plan()
        folders = {posixpath.dirname(name) for name in (*planned, *made)}
        there = {
            name: size for folder in folders for name, size in self.sizes(f"{folder}/*").items()
        }
        for name, size in made.items():
            if there.get(name) != size:
                raise OutputError(
                    f"{self.path(name)} has {there.get(name, 'no')} bytes, expected {size}: "
                    "another build writes there too, or it was removed: run one alone, again."
                )
        cards = {f"{name}/{CARD}" for name in config.formats}
        wanted = made.keys() | cards | set(punkt_files(config.splitter))
        self.delete(sorted((planned & there.keys()) - wanted))


def files_of(name: str, manifest: Manifest) -> Iterator[str]:
    """The files below the output that belong to the finished corpus in the folder `name`."""
    shards = [shard.name for shards in manifest.shards.values() for shard in shards]
    config = manifest.config
    yield from _files(name, shards, str(config.get("splitter")), bool(config.get("excluded")))


def files_to_write(config: BuildConfig) -> Iterator[str]:
    """The files below the output that a build may write."""
    counts = config.shards_of
    shards = [shard_name(split, number, counts[split]) for split, number in config.all_shards()]
    for name in config.formats:
        yield from _files(name, shards, config.splitter, bool(config.excluded))


def _files(name: str, shards: Sequence[str], splitter: str, excluding: bool) -> Iterator[str]:
    yield from (f"{name}/{file}" for file in (MANIFEST, CARD, HISTOGRAMS, *shards))
    for folder in (REJECTS, *([EXCLUDED] if excluding else [])):
        yield from (f"{folder}/{posixpath.splitext(shard)[0]}.jsonl" for shard in shards)
    yield from punkt_files(splitter)


def punkt_files(splitter: str) -> list[str]:
    """The files of the parameters that a build has learned from its input."""
    return [f"{PUNKT}/{file}" for file in PUNKT_FILES] if splitter == TRAINED else []


def _note(key: ShardKey) -> str:
    return f"{BUILDING}/shards/{shard_name(*key, 0)}.json"
