"""YAML of plain keys and texts, with the line of each key for messages.

All scalars are read as text: unquoted, YAML takes ``yes``, ``no`` and ``0`` for booleans
and numbers, and to our users they are words and labels.
"""

from pathlib import Path
from typing import Any

import yaml

from ppt.errors import ConfigError, InputError, first_line

MAX_BYTES = 100_000
"""Of a file that people write; YAML is read slowly."""


class Keys(dict[str, Any]):
    """A YAML mapping that knows the line of each key."""

    lines: dict[str, int]

    def wrong(self, key: str, told: str) -> ConfigError:
        """The error for a key whose value cannot be used."""
        return ConfigError(f"line {self.lines[key]}: {key}: {told}")


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads all scalars as text, keeps lines, and refuses keys that stand twice.

    And aliases: a few lines of them can stand for more values than there are atoms.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ConfigError(
                f"line {event.start_mark.line + 1}: no YAML of plain texts: *{event.anchor} is an"
                " alias: write out what it stands for."
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> str:
        text: str = super().construct_scalar(node)
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise ConfigError(
                f"line {node.start_mark.line + 1}: {text!r:.60} has half a surrogate pair: write"
                " the sign itself."
            )
        return text

    def construct_mapping(self, node: Any, deep: bool = False) -> Keys:
        found = Keys()
        found.lines = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise ConfigError(f"line {line}: a key must be a word, got {key!r}.")
            if key in found:
                raise ConfigError(
                    f"line {line}: {key!r} stands on line {found.lines[key]} too: keep one."
                )
            found[key] = self.construct_object(value_node, deep=deep)
            found.lines[key] = line
        return found


def read_keys(path: Path) -> Keys:
    """The mapping that a YAML file holds; raises ConfigError or InputError with the line."""
    text = _text(path)
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 (all text)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(
            f"{line}no YAML ({error.problem}): check colons, quotation marks and indents there."
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"no YAML ({first_line(error)}): save it as plain text.") from None
    if not isinstance(found, Keys):
        raise ConfigError(f"expected lines such as 'format: sentiment', got {found!r:.60}.")
    return found


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise InputError("cannot be read (it is no file): give a YAML file's path.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"has more than {MAX_BYTES:,} bytes: give a YAML file of some lines.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8: save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read ({why}): give a YAML file's path.") from None
