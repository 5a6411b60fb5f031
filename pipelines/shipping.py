"""How workers of other machines get our code: as a wheel that the runner stages.

The wheel is made of the package as it is installed here, so that no checkout and no build tool
is needed, and asks for the very versions of this installation: they decide the corpora's bytes.
What only training needs is left out; a worker's start would wait for it.
"""

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pipelines
import ppt
from pipelines.config import BuildConfig
from pipelines.labelling import find_labeller
from ppt.base.extras import PACKAGE
from ppt.errors import ConfigError

_TRAINING = frozenset(
    {"datasets", "jinja2", "pyyaml", "safetensors", "torch", "tqdm", "transformers"}
)
"""Of what the package needs, what no worker imports unless a model labels."""

_DRAWING = "matplotlib"
_TIME = (1980, 1, 1, 0, 0, 0)
"""The same code makes the same bytes, which a runner that staged them before knows again."""


def wheel(folder: Path, config: BuildConfig) -> Path:
    """Write the wheel for the workers of a build into `folder`."""
    stem = f"{PACKAGE.replace('-', '_')}-{ppt.__version__}"
    files = dict(_code())
    told = [f"Name: {PACKAGE}", f"Version: {ppt.__version__}"]
    told += [f"Requires-Dist: {one}" for one in requirements(config)]
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = _lines("Metadata-Version: 2.1", *told)
    files[f"{info}/WHEEL"] = _lines(
        "Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"
    )
    record = f"{info}/RECORD"
    listed = [f"{name},{_digest(data)},{len(data)}" for name, data in files.items()]
    files[record] = _lines(*listed, f"{record},,")
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    return path


def requirements(config: BuildConfig) -> list[str]:
    """What the workers of a build need, each as ``name==version`` of this installation."""
    try:
        needed = [one for one in requires(PACKAGE) or () if "extra ==" not in one]
    except PackageNotFoundError as error:
        raise ConfigError(
            f"--package wheel: {PACKAGE} is not installed here, so nothing tells what it needs: "
            "pip install it, or give --package IMAGE."
        ) from error
    names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in needed}
    if not find_labeller(config.labeller)[0].libraries:
        names -= _TRAINING
    names |= config.versions().keys() - {"ppt", "corpus_format"}
    found = {name: _version(name) for name in (*names, _DRAWING)}
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
