"""Where the corpora go: files that appear whole or not at all, and the manifest last.

What only an unfinished build needs lives in one folder, ``.building/``, with a note per
finished shard that lets a rerun after a crash keep it. It goes when all is done. In it a plan
names every file that is the build's to write or to remove, before the first is touched; with
the manifests of finished corpora it says what is ours. Nothing else is ever removed or
replaced. Local files are renamed into place; on object stores one appears when it is closed.
"""

import errno
import json
import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from pipelines.config import BuildConfig, ShardKey
from pipelines.ledger import ShardResult
from ppt.base.files import SCRATCH, appearing, write_synced
from ppt.base.names import check_name
from ppt.base.output_folder import locked
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


def is_local(path: str) -> bool:
    """Whether plain `os` calls work on a path."""
    return FileSystems.get_scheme(path) is None


@dataclass(frozen=True)
class Output:
    """The folder that a build writes to. Paths given to its methods are relative to it."""

    root: str

    def path(self, name: str) -> str:
        """The full path of a file below the folder."""
        return posixpath.join(self.root, name)

    def put(self, name: str, data: bytes) -> None:
        """Write a file that is either there whole or not there. Raises OutputError."""
        with told_plainly(self.path(name)):
            if is_local(self.root):
                with appearing(Path(self.path(name))) as scratch:
                    write_synced(scratch, data)
            else:
                with FileSystems.create(self.path(name), "application/octet-stream") as file:
                    file.write(data)

    def get(self, name: str) -> bytes | None:
        """A small file's bytes, or None where there is none."""
        if is_local(self.root):
            path = Path(self.path(name))
            return path.read_bytes() if path.is_file() else None
        if not FileSystems.exists(self.path(name)):
            return None
        with FileSystems.open(self.path(name)) as file:
            return bytes(file.read())

    def sizes(self, pattern: str) -> dict[str, int]:
        """Name below the output → bytes, of the files that match ``folder/pattern``."""
        folder = posixpath.dirname(pattern)
        if is_local(self.root):
            found = [path for path in Path(self.root).glob(pattern) if path.is_file()]
            return {f"{folder}/{path.name}": path.stat().st_size for path in found}
        matched = FileSystems.match([self.path(pattern)])[0].metadata_list
        return {f"{folder}/{posixpath.basename(m.path)}": m.size_in_bytes for m in matched}

    def delete(self, names: list[str]) -> None:
        """Delete files that are there."""
        if names:
            FileSystems.delete([self.path(name) for name in names])

    def prepare(self, config: BuildConfig, overwrite: bool) -> bool:
        """Make the folders; refuse finished corpora and other people's files.

        What a crashed build of the same flags and inputs finished is kept. False: that is
        all of it, so that only what stands beside the manifests may be missing.
        """
        with told_plainly(self.root):
            planned, previous = self._plan()
            continues = previous == config.fingerprint()
            found = self._finished()
            done = [name for name in config.formats if name in found]
            if done and not overwrite:
                if continues and len(done) == len(config.formats):
                    return False
                if not continues:
                    raise OutputError(
                        f"{self.root} already holds {', '.join(done)}: give --overwrite to "
                        "replace, another --output, or other --formats."
                    )
            theirs = (files_of(name, one) for name, one in found.items())
            known, writes = planned.union(*theirs), set(files_to_write(config))
            self._refuse_others(known, writes)
            others = (files_of(name, found[name]) for name in found.keys() - set(config.formats))
            kept = {
                file
                for files in others
                for file in files
                if not file.startswith((REJECTS, EXCLUDED))
            }
            ours = (known | writes) - kept
            # A corpus without its manifest is unfinished: it must go before any shard changes.
            self._put_plan(ours, previous if continues else "")
            if overwrite:
                self.delete([f"{name}/{MANIFEST}" for name in done])
            self._make_folders(config, afresh=not continues)
            self._put_plan(ours, config.fingerprint())
            return True

    def _make_folders(self, config: BuildConfig, *, afresh: bool) -> None:
        if not is_local(self.root):
            if afresh:
                self.delete(list(self.sizes(f"{BUILDING}/shards/*")))
            return
        for transient in ("progress", "spool", "beam", *(["shards"] if afresh else [])):
            shutil.rmtree(self.path(f"{BUILDING}/{transient}"), ignore_errors=True)
        for folder in ("progress", "spool", "beam", "shards"):
            Path(self.path(f"{BUILDING}/{folder}")).mkdir(parents=True, exist_ok=True)
        for folder in (*config.formats, REJECTS, *([EXCLUDED] if config.excluded else [])):
            Path(self.path(folder)).mkdir(parents=True, exist_ok=True)

    def _refuse_others(self, known: set[str], writes: set[str]) -> None:
        """Before any work: no file of others may be in a folder that the build writes to."""
        folders = sorted(set(map(posixpath.dirname, writes))) if is_local(self.root) else []
        found = [path for folder in folders for path in Path(self.path(folder)).glob("[!.]*")]
        if self.get(_PLAN) is None and is_local(self.root):
            found += Path(self.path(BUILDING)).glob("[!.]*")
        others = sorted(p for p in found if f"{p.parent.name}/{p.name}" not in known)
        if broken := {p.parent for p in others if p.name == MANIFEST}:
            folders = sorted({p.parent.name for p in others})
            raise OutputError(
                f"{min(broken) / MANIFEST} is broken, and it alone says which files are ours: move "
                f"{' and '.join(folders)} out of {self.root}, or give another --output."
            )
        if others:
            raise OutputError(
                f"{others[0].parent} is not empty and no corpus alone (it has {others[0].name}, "
                "which no build has made): give another --output, or move it away."
            )

    def _plan(self) -> tuple[set[str], str]:
        """The files of an unfinished build and its fingerprint; nothing where there is none."""
        try:
            plan = json.loads(self.get(_PLAN) or "{}")
            files = set(plan.get("files", ()))
            for part in {part for file in files for part in file.split("/")}:
                check_name(part, "a file of the plan")  # nothing outside is ours
            return files, str(plan.get("fingerprint", ""))
        except (ValueError, AttributeError, TypeError) as error:
            raise OutputError(
                f"{self.path(_PLAN)} is not ours ({error}): give another --output, or move it away."
            ) from error

    def _put_plan(self, files: Iterable[str], fingerprint: str) -> None:
        plan = {"files": sorted(files), "fingerprint": fingerprint}
        self.put(_PLAN, json.dumps(plan).encode())

    def _finished(self) -> dict[str, Manifest]:
        """The manifests, by folder, that say what is ours."""
        local = Path(self.root).glob(f"*/{MANIFEST}") if is_local(self.root) else ()
        found = {}
        for name in sorted({*FORMATS, *(path.parent.name for path in local)}):
            with suppress(ValueError):  # else it is no manifest of ours
                if (data := self.get(f"{name}/{MANIFEST}")) is not None:
                    found[name] = Manifest.from_json(data.decode())
        return found

    def finish(self) -> None:
        """Remove what only an unfinished build needs; it goes from sight in one moment."""
        if not is_local(self.root):
            if self.get(_PLAN) is not None:
                FileSystems.delete([self.path(f"{BUILDING}/")])
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
        result = ShardResult.from_json(note) if note else None
        if result is None or result.digest != digest:
            return None
        for path, size in result.files.items():
            if self.sizes(path).get(path) != size:
                return None
        return result

    def put_shard(self, files: dict[str, bytes], result: ShardResult) -> None:
        """Write a shard's files, then the note that says so."""
        for path, data in files.items():
            self.put(path, data)
        self.put(_note(result.key), result.to_json().encode())

    def sweep(self, config: BuildConfig, made: set[str]) -> None:
        """Delete what the plan names and this build did not make: an earlier one left it."""
        planned, _ = self._plan()
        wanted = made | set(punkt_files(config.splitter))
        folders = {posixpath.dirname(name) for name in planned}
        there = {name for folder in folders for name in self.sizes(f"{folder}/*")}
        self.delete(sorted(planned & there - wanted))


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


@contextmanager
def only_build(output: Output) -> Iterator[None]:
    """Keep two builds out of one local folder. The lock ends with its process.

    A build that fails before it has written anything leaves nothing behind.
    """
    if not is_local(output.root):
        yield
        return
    with locked(Path(output.root), "--output"):
        goes_on = Path(output.path(BUILDING)).exists()
        try:
            yield
        except Exception:
            if not goes_on:
                output.forget()
            raise


@contextmanager
def told_plainly(path: str) -> Iterator[None]:
    """Turn an OSError into one line with the cure."""
    cures = {
        errno.ENOSPC: "the disk is full: free some space and run the same command again to go on",
        errno.EDQUOT: "the quota is used up: free some space and run the same command again",
        errno.EACCES: "not writable: give another --output or change its permissions",
        errno.EROFS: "the file system is read-only: give another --output",
    }
    a_file = "a file stands where a folder is needed: give another --output"
    cures |= dict.fromkeys((errno.ENOTDIR, errno.EEXIST), a_file)
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        cure = cures.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {cure}.") from error
