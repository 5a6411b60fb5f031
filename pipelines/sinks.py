"""Where the corpora go: files that appear whole or not at all, and the manifest last.

What only an unfinished build needs lives in one folder, ``.building/``, with a note
per finished shard that lets a rerun after a crash keep it. It goes when the
manifests stand. Local files are written beside and renamed; on object stores a
file appears only when it is closed.
"""

import errno
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from pipelines.config import BuildConfig, ShardKey
from pipelines.ledger import ShardResult
from ppt.base.files import appearing, write_synced
from ppt.base.output_folder import locked
from ppt.corpus.storage import MANIFEST, shard_name
from ppt.errors import OutputError

BUILDING = ".building"
_OUR_FILES = re.compile(
    r"((train|validation)-\d{5}-of-\d{5}\.(parquet|jsonl)|README\.md|histograms\.png)"
)


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

    def prepare(self, config: BuildConfig, overwrite: bool) -> None:
        """Make the folders; refuse a finished corpus, keep what a crashed run finished.

        A finished build whose ``.building/`` still stands, of the same flags and
        inputs, crashed while writing its manifests: it goes on.
        """
        with told_plainly(self.root):
            previous = self.get(f"{BUILDING}/fingerprint")
            continues = previous == config.fingerprint().encode() and not overwrite
            done = [f for f in config.formats if self.get(f"{f}/{MANIFEST}") is not None]
            if done and not overwrite and not (continues and len(done) < len(config.formats)):
                if continues:
                    self.finish()
                raise OutputError(
                    f"{self.root} already holds {', '.join(done)}: "
                    "give --overwrite to replace, another --output, or other --formats."
                )
            self._refuse_others(config, previous)
            # A corpus without its manifest is unfinished: it must go before any shard changes.
            self.delete([f"{f}/{MANIFEST}" for f in done if overwrite])
            if not continues:
                self.finish()
            if is_local(self.root):
                for transient in (f"{BUILDING}/{name}" for name in ("progress", "spool")):
                    shutil.rmtree(self.path(transient), ignore_errors=True)
                    Path(self.path(transient)).mkdir(parents=True)
                for folder in (*config.formats, "rejects", f"{BUILDING}/shards"):
                    Path(self.path(folder)).mkdir(parents=True, exist_ok=True)
        self.put(f"{BUILDING}/fingerprint", config.fingerprint().encode())

    def _refuse_others(self, config: BuildConfig, previous: bytes | None) -> None:
        """Where no build of ours was interrupted, a corpus has a manifest; files alone do not."""
        folders = [Path(self.path(name)) for name in config.formats if is_local(self.root)]
        for folder in folders if previous is None else []:
            others = sorted(path.name for path in folder.glob("[!.]*"))
            if others and MANIFEST not in others:
                raise OutputError(
                    f"{folder} is not empty and no corpus (it has {others[0]}, and no {MANIFEST}):"
                    " give another --output, or move it away."
                )

    def finish(self) -> None:
        """Remove what only an unfinished build needs."""
        if is_local(self.root):
            shutil.rmtree(self.path(BUILDING), ignore_errors=True)
        elif self.get(f"{BUILDING}/fingerprint") is not None:
            FileSystems.delete([self.path(f"{BUILDING}/")])

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

    def sweep(self, config: BuildConfig, wanted: set[str]) -> None:
        """Delete files of our kinds that an earlier build left, in the folders of this one."""
        for folder in (*config.formats, "rejects"):
            found = [
                n for n in self.sizes(f"{folder}/*") if _OUR_FILES.fullmatch(posixpath.basename(n))
            ]
            self.delete([name for name in found if name not in wanted])


def _note(key: ShardKey) -> str:
    return f"{BUILDING}/shards/{shard_name(*key, 0)}.json"


@contextmanager
def only_build(output: Output) -> Iterator[None]:
    """Keep two builds out of one local folder. The lock ends with its process."""
    if not is_local(output.root):
        yield
        return
    with told_plainly(output.root):
        Path(output.root).mkdir(parents=True, exist_ok=True)
    with locked(Path(output.root), "--output"):
        yield


@contextmanager
def told_plainly(path: str) -> Iterator[None]:
    """Turn an OSError into one line with the cure."""
    cures = {
        errno.ENOSPC: "the disk is full: free some space and run the same command again to go on",
        errno.EDQUOT: "the quota is used up: free some space and run the same command again",
        errno.EACCES: "not writable: give another --output or change its permissions",
        errno.EROFS: "the file system is read-only: give another --output",
        errno.ENOTDIR: "a file stands where a folder is needed: give another --output",
        errno.EEXIST: "a file stands where a folder is needed: give another --output",
    }
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        cure = cures.get(error.errno or 0, error.strerror or str(error))
        raise OutputError(f"cannot write {path}: {cure}.") from error
