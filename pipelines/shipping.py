"""How workers of other machines get our code: as a wheel that the runner stages.

The wheel is made of the package as it is installed here, so that no checkout and no build tool
is needed, and asks for the very versions of this installation: they decide the corpora's bytes.
What only training needs is left out; a worker's start would wait for it.
"""

import base64
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pipelines
import ppt
from pipelines.labelling import find_labeller
from ppt.base.extras import PACKAGE
from ppt.base.files import write_atomically, writing
from ppt.base.flags import Command, flag, parse
from ppt.errors import ConfigError, as_command
from ppt.text import encoding, language
from ppt.text.extract import EXTRACTORS

_TRAINING = frozenset(
    {"datasets", "jinja2", "pyyaml", "safetensors", "torch", "tqdm", "transformers"}
)
"""Of what the package needs, what no worker imports unless a model labels."""

_READING = {"boto3", "matplotlib", encoding.LIBRARY, language.LIBRARY} | {
    one.library for one in EXTRACTORS.values() if one.library
}
"""What some flags, a store and drawing need: taken along where it is installed here."""

_SCRIPT = "ppt-build-corpus = pipelines.build_corpus:main"
_TIME = (1980, 1, 1, 0, 0, 0)
"""The same code makes the same bytes, which a runner that staged them before knows again."""


def wheel(folder: Path, labeller: str) -> Path:
    """Write the wheel for workers, of whom a `labeller` may ask for torch, into `folder`."""
    stem = f"{PACKAGE.replace('-', '_')}-{ppt.__version__}"
    info = f"{stem}.dist-info"
    files = dict(_code())
    told = [f"Name: {PACKAGE}", f"Version: {ppt.__version__}"]
    told += [f"Requires-Dist: {one}" for one in requirements(labeller)]
    files[f"{info}/METADATA"] = _lines("Metadata-Version: 2.1", *told)
    tags = "Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"
    files[f"{info}/WHEEL"] = _lines(*tags)
    files[f"{info}/entry_points.txt"] = _lines("[console_scripts]", _SCRIPT)
    record = f"{info}/RECORD"
    listed = [f"{name},{_digest(data)},{len(data)}" for name, data in files.items()]
    files[record] = _lines(*listed, f"{record},,")
    path = folder / f"{stem}-py3-none-any.whl"
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    write_atomically(path, whole.getvalue())
    return path


def requirements(labeller: str) -> list[str]:
    """What workers need, each as ``name==version`` of this installation."""
    try:
        needed = [one for one in requires(PACKAGE) or () if "extra ==" not in one]
    except PackageNotFoundError as error:
        raise ConfigError(
            f"a wheel for workers: {PACKAGE} is not installed here, so nothing tells what it needs:"
            " pip install it, or give --package IMAGE."
        ) from error
    names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in needed}
    if not find_labeller(labeller).libraries:
        names -= _TRAINING
    found = {name: _version(name) for name in names | _READING}
    return [f"{name}=={number}" for name, number in sorted(found.items()) if number]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _code() -> Iterator[tuple[str, bytes]]:
    """Name in the wheel → content of our modules and their data."""
    for package in (pipelines, ppt):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{package.__name__}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _digest(data: bytes) -> str:
    """As PEP 427 has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


DESCRIPTION = "Write the wheel that workers of other machines need, to build an image around it."
EPILOG = """\
examples:
  python -m pipelines.shipping dist
  python -m pipelines.shipping dist --labeller lm:smollm2-135m

Then: docker build, as docs/dataflow.md says. --package wheel needs none of this."""


@dataclass(frozen=True, kw_only=True)
class ShippingFlags(Command):
    """``python -m pipelines.shipping``: a wheel for workers."""

    folder: str = flag("the folder to write it to", group="the wheel", option="", metavar="FOLDER")
    labeller: str = flag(
        "the labeller of the builds: a model needs torch and more", group="the wheel",
        default="vader",
    )  # fmt: skip


@as_command
def main(argv: Sequence[str] | None) -> None:
    """Run the command and return its exit code: 0, or 2 after a one-line error."""
    flags = parse(ShippingFlags, argv, "python -m pipelines.shipping", DESCRIPTION, EPILOG)
    folder = Path(flags.folder)
    with writing(folder, "give another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        print(wheel(folder, flags.labeller))


if __name__ == "__main__":
    sys.exit(main())
