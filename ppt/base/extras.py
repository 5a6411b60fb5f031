"""Packages that only some features need: what to install where one is missing.

``pip install`` brings what the commands cannot do without. Everything else is an extra of
the package (pyproject.toml): a feature that was asked for and needs one is an error, a
drawing beside a result is left out, and that is told.
"""

import importlib.util

from ppt.errors import ConfigError, note

PACKAGE = "pre-trained-prompt-tuning"

EXTRAS = {
    "accelerate": "multi-gpu",
    "boto3": "s3",
    "charset_normalizer": "encoding",
    "gguf": "gguf",
    "google.cloud.dataflow": "gcp",
    "google.cloud.storage": "gcp",
    "matplotlib": "plots",
    "peft": "peft",
    "py3langid": "language",
    "resiliparse": "html",
    "tensorboard": "tensorboard",
}
"""Module → the extra that brings it."""


def is_there(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def need(module: str, what: str) -> None:
    """Raise ConfigError where `what` needs a `module` that is not there."""
    if not is_there(module):
        raise ConfigError(f"{what} needs {module}: {cure(module)}.")


def left_out(module: str, what: str) -> bool:
    """Whether `what` must be left out for want of `module`, which is then told in a line."""
    if is_there(module):
        return False
    note(f"{what} is left out, as {module} is missing: {cure(module)}")
    return True


def cure(module: str) -> str:
    """The command that installs it."""
    package = f"'{PACKAGE}[{EXTRAS[module]}]'" if module in EXTRAS else module
    return f"pip install {package}"
