"""A command as a frozen dataclass: one documented field = one flag = one JSON key.

Subclass `Command`, declare fields with `flag`, and `parse` gives flags with a grouped
``--help``, `to_json` and `from_json` the file in the run folder. Values are checked in
one place, `Command.__post_init__`, however they came in.
"""

import argparse
import difflib
import json
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, ClassVar, NoReturn, TypeVar, get_args, get_type_hints

from ppt.errors import ConfigError

C = TypeVar("C", bound="Command")

UNSET = "auto"
"""What a flag is given on the command line to leave its value to the program."""

SWITCH = {"true": True, "false": False}

KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Rule:
    """What values must be: the test, and its words in messages."""

    holds: Callable[[Any], bool]
    words: str


def at_least(minimum: int) -> Rule:
    """Numbers from `minimum` on."""
    return Rule(lambda value: value >= minimum, f"{minimum} or more")


ABOVE_ZERO = Rule(lambda value: value > 0, "a number above 0")


def flag(
    text: str,
    *,
    group: str,
    default: Any = MISSING,
    choices: Iterable[str] = (),
    rule: Rule | None = None,
    unset: str = "",
    free: bool = False,
) -> Any:
    """A field of a `Command`, with its help `text`.

    `unset` tells what None stands for. `free` values may differ when a run is resumed.
    """
    known = {"help": text, "group": group, "choices": tuple(choices), "rule": rule}
    return field(default=default, metadata={**known, "unset": unset, "free": free})


@dataclass(frozen=True, kw_only=True)
class Command:
    """Base of all commands: every value is checked when one is made.

    `GROUPS` orders the groups of ``--help``.
    """

    GROUPS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        kinds = _kinds(type(self))
        for one in fields(self):
            self._check(one, kinds[one.name], getattr(self, one.name))

    def _check(self, one: "Field[Any]", kind: type, value: Any) -> None:
        if value is None and one.metadata["unset"]:
            return
        accepted = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"--{one.name}: got {value!r}, expected {KINDS[kind]}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"--{one.name}: got {value}, expected a finite number.")
        choices, rule = one.metadata["choices"], one.metadata["rule"]
        if choices and value not in choices:
            near = difflib.get_close_matches(str(value), choices, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"--{one.name}: got {value!r}, expected one of {', '.join(choices)}.{hint}"
            )
        if rule is not None and not rule.holds(value):
            raise ConfigError(f"--{one.name}: got {value!r}, expected {rule.words}.")


def parse(
    command: type[C], argv: Sequence[str] | None, *, prog: str, description: str, epilog: str = ""
) -> C:
    """The command that `argv` asks for (None: the process's own arguments)."""
    parser = Parser(
        prog=prog,
        usage=f"{prog} {_required(command)}[--flag=value ...]",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = _kinds(command)
    groups = {name: parser.add_argument_group(name) for name in command.GROUPS}
    for one in fields(command):
        name = one.metadata["group"]
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if kinds[one.name] is bool else {}
        groups[name].add_argument(
            f"--{one.name}", help=_help(one), metavar=_metavar(one, kinds[one.name]), **switch
        )
    given, unknown = parser.parse_known_args(argv)
    if unknown:
        raise _unknown("argument", unknown[0], [f"--{one.name}" for one in fields(command)])
    texts = vars(given)
    for one in fields(command):
        if one.default is MISSING and one.name not in texts:
            values = " or ".join(one.metadata["choices"]) or _metavar(one, kinds[one.name])
            raise ConfigError(f"--{one.name} is missing: give it as --{one.name}={values}.")
    optional = {one.name for one in fields(command) if one.metadata["unset"]}
    return command(
        **{
            name: None if text == UNSET and name in optional else _convert(name, text, kinds[name])
            for name, text in texts.items()
        }
    )


def to_json(command: Command) -> str:
    """The file's text: one key a field."""
    return json.dumps(asdict(command), indent=2, ensure_ascii=False) + "\n"


def from_json(command: type[C], text: str) -> C:
    """Read `to_json`'s text; keys that are missing have their defaults."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the text is no JSON ({error}).") from None
    if not isinstance(values, dict):
        raise ConfigError(f"got a JSON {type(values).__name__}, expected an object.")
    return from_values(command, values)


def from_values(command: type[C], values: Mapping[str, Any]) -> C:
    """The command of values by field name; what is missing has its default."""
    known = [one.name for one in fields(command)]
    for name in values:
        if name not in known:
            raise _unknown("key", name, known)
    for one in fields(command):
        if one.default is MISSING and one.name not in values:
            raise ConfigError(f"the key {one.name!r} is missing.")
    return command(**values)


def differing(old: C, new: C) -> list[str]:
    """The fields that two commands differ in, but for those that are `free`."""
    return [
        one.name
        for one in fields(old)
        if not one.metadata["free"] and getattr(old, one.name) != getattr(new, one.name)
    ]


class Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: one line, exit code 2 by `exit_status`."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError in the place of argparse's own exit."""
        raise ConfigError(f"{message}; --help shows all flags.")


def _kinds(command: type[Command]) -> dict[str, type]:
    """Field → its type; of ``float | None`` the float."""
    return {
        name: next(t for t in get_args(hint) if t is not type(None))
        if isinstance(hint, types.UnionType)
        else hint
        for name, hint in get_type_hints(command).items()
    }


def _convert(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in SWITCH:
            raise ConfigError(f"--{name}: got {text!r}, expected {KINDS[bool]}.")
        return SWITCH[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"--{name}: got {text!r}, expected {KINDS[kind]}.") from None


def _required(command: type[Command]) -> str:
    names = [one.name for one in fields(command) if one.default is MISSING]
    return "".join(f"--{name}={name.upper()} " for name in names)


def _help(one: "Field[Any]") -> str:
    default = one.metadata["unset"] if one.default is None else one.default
    if isinstance(default, bool):
        default = str(default).lower()
    shown = "required" if one.default is MISSING else f"default: {default}"
    return f"{one.metadata['help']} ({shown})".replace("%", "%%")


def _metavar(one: "Field[Any]", kind: type) -> str:
    choices = "|".join(one.metadata["choices"])
    return choices or {int: "N", float: "X", str: "TEXT", bool: "true|false"}[kind]


def _unknown(kind: str, name: str, known: Sequence[str]) -> ConfigError:
    near = difflib.get_close_matches(name.partition("=")[0], known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return ConfigError(f"unknown {kind} {name}.{hint} --help shows all flags.")
