"""YAML of plain keys and texts, with the line of each key for messages.

All scalars are read as text: unquoted, YAML takes ``yes``, ``no`` and ``0`` for booleans
and numbers, and to our users they are words and labels.
"""

from pathlib import Path
from typing import Any

import yaml

from ppt.errors import ConfigError, InputError, first_line


class Keys(dict[str, Any]):
    """A YAML mapping that knows the line of each key."""

    lines: dict[str, int]


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads all scalars as text, keeps lines, and refuses keys that stand twice."""

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
    try:
        found = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)  # noqa: S506 (all text)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}): give a YAML file's path.") from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8: save it as UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(
            f"{line}no YAML ({error.problem}): check colons, quotation marks and indents there."
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"no YAML ({first_line(error)}): save it as plain text.") from None
    if not isinstance(found, Keys):
        raise ConfigError(f"expected lines such as 'format: sentiment', got {found!r:.60}.")
    return found
