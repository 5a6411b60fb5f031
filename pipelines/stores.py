"""Files by path, on this disk or in an object store (``s3://``, ``gs://``) through Beam.

A file is written whole or not at all: here by a rename, in a store because an object appears
when its upload is complete. What a store refuses is told in one line; before that its library
and Beam have tried again.
"""

import errno
import functools
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import IO, Any

from apache_beam.io.aws.clients.s3 import boto3_client
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from ppt.base.extras import need
from ppt.base.files import appearing, write_synced
from ppt.errors import InputError, OutputError, PPTError, first_line

MODULES = {"s3": "boto3", "gs": "google.cloud.storage"}
"""Scheme → what Beam's file system for it needs."""

_AGAIN = "run the same command again to go on"
_CURES = {
    401: "check the keys",
    403: "check the keys, the clock, and the right to list, read, write and delete there",
    404: "check the address",
}
"""What to do, by the code that a store answers; else `_AGAIN`."""

_BUCKET = re.compile(r"\w+://[A-Za-z0-9][-_.A-Za-z0-9]*(/.*)?", re.DOTALL)

_AS_IT_IS = CompressionTypes.UNCOMPRESSED


def is_local(path: str) -> bool:
    """Whether plain `os` calls work on a path."""
    return FileSystems.get_scheme(path) is None


def configure(flags: Iterable[str]) -> None:
    """Let Beam's flags, such as ``--s3_endpoint_url``, count before there is a pipeline."""
    FileSystems.set_options(PipelineOptions([*flags]))


def reach(path: str, what: str, kind: type[PPTError]) -> None:
    """Ask the store of `path` once, to be able to `what` it; raises `kind`.

    Later Beam asks for ten minutes before it gives up: right for a busy store, not for a
    mistyped address.
    """
    if is_local(path):
        return
    scheme = str(FileSystems.get_scheme(path))
    if scheme in MODULES and not _BUCKET.fullmatch(path):
        raise kind(f"cannot {what} {path!r}: expected {scheme}://BUCKET/FOLDER.")
    if scheme in MODULES:  # Beam tells it of gs:// in its own words, and of s3:// later
        need(MODULES[scheme], f"{scheme}://")
    try:
        _beam().get_filesystem(path)
    except (ValueError, BeamIOError) as error:  # its own cures are those of gs://, or none
        known = ", ".join(f"{one}://BUCKET/…" for one in MODULES)
        raise kind(
            f"cannot {what} {path!r}: Beam has nothing installed for {scheme}://; expected a path "
            f"of this machine, {known}."
        ) from error
    if scheme == "s3":
        with answered(path, what, kind):
            client, bucket, key = _s3(path)
            client.list_objects_v2(Bucket=bucket, Prefix=key.partition("*")[0], MaxKeys=1)


@contextmanager
def answered(path: str, what: str, kind: type[PPTError]) -> Iterator[None]:
    """Turn what a store answers to the attempt to `what` its `path` into one line.

    That there is no such file stays FileNotFoundError.
    """
    try:
        yield
    except PPTError:
        raise
    except Exception as error:
        code, told = _reason(error)
        if isinstance(error, OSError) and error.errno == errno.ENOENT:
            raise
        raise kind(f"cannot {what} {path!r}: {told}: {_CURES.get(code, _AGAIN)}.") from error


def _reason(error: Exception) -> tuple[int, str]:
    """The code and the words of what Beam has wrapped."""
    while isinstance(error, BeamIOError) and error.exception_details:
        error = next(iter(error.exception_details.values()))
    wrong = 404 if isinstance(error, ValueError) else None  # no store was asked
    wrong = 401 if "credentials" in str(error) else wrong  # nor could one be
    code = getattr(error, "code", None) or _answer_code(error) or wrong
    told = getattr(error, "message", None) or first_line(error)
    return code if isinstance(code, int) else 0, " ".join(str(told).split()).rstrip(".")


def _answer_code(error: Exception) -> int | None:
    """The HTTP status that boto3 was answered with, if it was."""
    answer = getattr(error, "response", None) or {}
    code: int | None = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code


def put(path: str, data: bytes) -> None:
    """Write or replace a file that is either there whole or not there. Raises OutputError."""
    if is_local(path):
        with told_plainly(path), appearing(Path(path)) as scratch:
            write_synced(scratch, data)
        return
    with answered(path, "write", OutputError):
        if FileSystems.get_scheme(path) == "s3":
            client, bucket, key = _s3(path)
            client.put_object(Bucket=bucket, Key=key, Body=data)
            return
        with _beam().create(path, compression_type=_AS_IT_IS) as file:
            file.write(data)


def _s3(path: str) -> tuple[Any, str, str]:
    """boto3's client, the bucket and the key.

    Beam cannot write an empty object, and leaves the parts of an upload that is cut off there.
    """
    from apache_beam.io.aws.s3io import S3IO, parse_s3_path

    client = S3IO(options=_beam().get_filesystem(path)._options).client.client
    return client, *parse_s3_path(path, object_optional=True)


def get(path: str) -> bytes | None:
    """A small file's bytes, or None where there is none."""
    if is_local(path):
        return Path(path).read_bytes() if Path(path).is_file() else None
    try:
        with opened(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def opened(path: str) -> IO[bytes]:
    """A file of a store, to be read at any place. Raises FileNotFoundError or InputError."""
    return io.BufferedReader(_Reading(path))


def sizes(pattern: str) -> dict[str, int]:
    """Path → bytes of the files of a store that match a pattern of Beam's."""
    with answered(pattern, "list", InputError):
        found = _beam().match([pattern])[0].metadata_list
    # Some programs make empty objects in the place of folders.
    return {file.path: file.size_in_bytes for file in found if not file.path.endswith("/")}


def delete(paths: Iterable[str]) -> None:
    """Delete files; those of a store need not be there."""
    if paths := list(paths):
        with answered(paths[0], "delete", OutputError):
            _beam().delete(paths)


class _Reading(io.RawIOBase):
    """Beam's file, with its errors told: as they are, some would pass for a damaged file."""

    def __init__(self, path: str) -> None:
        self._path = path
        with answered(path, "read", InputError):
            self._file = _beam().open(path, compression_type=_AS_IT_IS)

    def readinto(self, buffer: Any) -> int:
        with answered(self._path, "read", InputError):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):  # it may never have been opened
            self._file.close()
        super().close()


@functools.cache
def _beam() -> Any:
    """Beam's file systems, with two faults of their S3 client mended.

    It makes a new one of boto3's a call, in 0.1 CPU-s: one may be used by many threads. And an
    error without an answer, as when a connection is cut, makes it fail by an error of its own.
    """
    if boto3_client.boto3 is not None:
        make, lock = functools.cache(boto3_client.boto3.session.Session().client), Lock()

        def client(**how: Any) -> Any:
            with lock:
                return make(**how)

        session = SimpleNamespace(client=client)
        boto3_client.get_http_error_code = _answer_code
        boto3_client.boto3 = SimpleNamespace(session=SimpleNamespace(Session=lambda: session))
    return FileSystems


@contextmanager
def told_plainly(path: str) -> Iterator[None]:
    """Turn an OSError of this disk into one line with the cure."""
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
