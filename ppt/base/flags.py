"""A command as a frozen dataclass: one documented field = one flag = one JSON key.

Subclass `Command`, declare fields with `flag`, and `parse` gives flags with a grouped
``--help``, `to_json` and `from_json` the file in the run folder. Values are checked in
one place, `Command.__post_init__`, however they came in.
"""

import argparse
import json
import math
import os
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from itertools import zip_longest
from typing import Any, ClassVar, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from ppt.errors import ConfigError, did_you_mean

C = TypeVar("C", bound="Command")

UNSET = "auto"
"""What a flag is given on the command line to leave its value to the program."""

LONGEST = 127
"""Bits of a whole number, its sign aside: as many as a seed may have (`ppt.base.streams`)."""

MODEL = "--model"
"""Its value is part of what a run is known by, and stays as it is given."""

SWITCH = {"true": True, "false": False}

KINDS = {
    int: ("a whole number", "N"), float: ("a number", "X"), str: ("text", "TEXT"),
    bool: ("true or false", "true|false"), tuple: ("one or more texts", "TEXT"),
}  # fmt: skip
"""Type of a field → what values must be, and how ``--help`` shows them. A tuple is of texts."""


@dataclass(frozen=True)
class Rule:
    """What values must be: the test, and its words in messages."""

    holds: Callable[[Any], bool]
    words: str


def at_least(minimum: int) -> Rule:
    """Numbers from `minimum` on."""
    return Rule(lambda value: value >= minimum, f"{minimum} or more")


def between(minimum: int, maximum: int) -> Rule:
    """Numbers from `minimum` to `maximum`."""
    return Rule(lambda value: minimum <= value <= maximum, f"{minimum:,} to {maximum:,}")


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
    option: str | None = None,
    metavar: str = "",
) -> Any:
    """A field of a `Command`, with its help `text`.

    `unset` tells what None stands for. `free` values may differ when a run is resumed.
    `option` is what is typed if it is not ``--<name>``; "": nothing, it goes by its place.
    """
    known = {"help": text, "group": group, "choices": tuple(choices), "rule": rule}
    more = {"unset": unset, "free": free, "option": option, "metavar": metavar}
    return field(default=default, metadata=known | more)


def again(command: "type[Command]", name: str, default: Any = MISSING, **changes: Any) -> Any:
    """The flag `name` of another command, with another default or other words (`help`)."""
    known: dict[str, Field[Any]] = {one.name: one for one in fields(command)}
    own = known[name].default if default is MISSING else default
    return field(default=own, metadata={**known[name].metadata, **changes})


@dataclass(frozen=True, kw_only=True)
class Command:
    """Base of all commands: every value is checked when one is made.

    `GROUPS` orders the groups of ``--help``; left out, the fields do. `REST` names a field, of
    texts, that takes all arguments which are no flags here; `check_rest` refuses those that are
    no others' either.
    """

    GROUPS: ClassVar[tuple[str, ...]] = ()
    REST: ClassVar[str] = ""

    @classmethod
    def check_rest(cls, rest: Sequence[str], known: Sequence[str]) -> None:
        """Refuse `rest`, arguments that are none of the flags `known`."""
        if rest:
            raise unknown("argument", rest[0], known)

    def __post_init__(self) -> None:
        kinds = kinds_of(type(self))
        for one in fields(self):
            self._check(one, kinds[one.name], getattr(self, one.name))

    def _check(self, one: "Field[Any]", kind: type, value: Any) -> None:
        if value is None and one.metadata["unset"]:
            return
        name, (words, _) = _shown(one), KINDS[kind]
        accepted = (int, float) if kind is float else (kind,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{name}: got {value!r}, expected {words}.")
        if isinstance(value, int) and value.bit_length() > LONGEST:
            told = f"got a number of {value.bit_length()} bits, expected {LONGEST} at most"
            raise ConfigError(f"{name}: {told}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: got {value}, expected a finite number.")
        choices, rule = one.metadata["choices"], one.metadata["rule"]
        if choices and value not in choices:
            near = did_you_mean(str(value), choices)
            raise ConfigError(f"{name}: got {value!r}, expected one of {', '.join(choices)}.{near}")
        if rule is not None and not rule.holds(value):
            raise ConfigError(f"{name}: got {value!r}, expected {rule.words}.")
        for text in value if isinstance(value, tuple) else (value,):
            if text == "" or "\0" in str(text):  # an unset variable; from Python
                raise ConfigError(f"{name}: got {text!r}, expected {words}.")


def parse(
    command: type[C], argv: Sequence[str] | None, prog: str, description: str, epilog: str = ""
) -> C:
    """The command that `argv` asks for (None: the process's own arguments)."""
    kinds = kinds_of(command)
    argv = list(_spelled_out(sys.argv[1:] if argv is None else argv, kinds))
    given, rest = _parser(command, prog, description, epilog).parse_known_args(argv)
    command.check_rest(rest, [_shown(one) for one in _flags(command)])
    texts = vars(given)
    for one in _flags(command):
        if one.default is MISSING and one.name not in texts:
            name, values = _shown(one), _metavar(one, kinds[one.name])
            values = values.replace("|", " or ")
            is_named = name.startswith("--")
            cure = f"give it as {name}={values}" if is_named else f"give {one.metadata['help']}"
            raise ConfigError(f"{name} is missing: {cure}.")
    made = {
        one.name: None if texts[one.name] == UNSET and one.metadata["unset"]
        else _convert(_shown(one), texts[one.name], kinds[one.name])
        for one in _flags(command) if one.name in texts
    }  # fmt: skip
    return command(**made, **({command.REST: tuple(rest)} if command.REST else {}))


def _spelled_out(argv: Sequence[str], kinds: Mapping[str, type]) -> Iterator[str]:
    """``--open results/`` as ``--open=true results/``."""
    for given, after in zip_longest(argv, argv[1:], fillvalue=""):
        is_switch = given.startswith("--") and kinds.get(given[2:]) is bool
        yield f"{given}=true" if is_switch and after.lower() not in SWITCH else given


def _parser(command: type[Command], prog: str, description: str, epilog: str) -> "Parser":
    kinds, flags = kinds_of(command), _flags(command)
    needed = [(one, f"{_shown(one)}=") for one in flags if one.default is MISSING]
    usage = [(name if name.startswith("--") else "") + one.name.upper() for one, name in needed]
    parser = Parser(
        prog=prog, usage=" ".join([prog, *usage, "[--flag=value ...]"]), description=description,
        epilog=epilog, allow_abbrev=False, argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    order = command.GROUPS or dict.fromkeys(one.metadata["group"] for one in flags)
    groups = {name: parser.add_argument_group(name) for name in order}
    for one in flags:
        kind, option = kinds[one.name], one.metadata["option"]
        how: dict[str, Any] = {"help": _help(one), "metavar": _metavar(one, kind)}
        if kind is tuple:
            how |= {"nargs": "+", "action": "extend"}
        elif option == "":
            how |= {"nargs": "?", "metavar": one.name.upper()}  # we tell that it is missing
        if option:
            how |= {"dest": one.name}
        groups[one.metadata["group"]].add_argument(_shown(one), **how)
    return parser


def to_json(command: Command) -> str:
    """The file's text: one key a field. Bytes of a path that are no UTF-8 are JSON's escapes."""
    text = json.dumps(asdict(command), indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace").decode()


def from_json(command: type[C], text: str) -> C:
    """Read `to_json`'s text; keys that are missing have their defaults."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the text is no JSON ({error}).") from None
    if not isinstance(values, dict):
        raise ConfigError(f"got a JSON {type(values).__name__}, expected an object.")
    return from_values(command, values)


def from_values(command: type[C], values: Mapping[str, Any]) -> C:
    """The command of values by field name; what is missing has its default."""
    known = [one.name for one in fields(command)]
    for name in values:
        if name not in known:
            raise unknown("key", name, known)
    for one in fields(command):
        if one.default is MISSING and one.name not in values:
            raise ConfigError(f"the key {one.name!r} is missing.")
    return command(
        **{name: tuple(value) if isinstance(value, list) else value
           for name, value in values.items()}
    )  # fmt: skip


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


def unknown(kind: str, name: str, known: Sequence[str]) -> ConfigError:
    """The error for a flag or key that there is not."""
    near = did_you_mean(name.partition("=")[0], known, str)
    return ConfigError(f"unknown {kind} {name}.{near} --help shows all flags.")


def _flags(command: type[Command]) -> list["Field[Any]"]:
    return [one for one in fields(command) if one.name != command.REST]


def kinds_of(command: type[Command]) -> dict[str, type]:
    """Field → its type; of ``float | None`` the float."""
    kinds = {}
    for name, hint in get_type_hints(command).items():
        hints = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        kind = next(one for one in hints if one is not type(None))
        kinds[name] = get_origin(kind) or kind
    return kinds


def _convert(name: str, given: Any, kind: type) -> Any:
    if kind is bool:
        if given.lower() not in SWITCH:
            raise ConfigError(f"{name}: got {given!r}, expected {KINDS[bool][0]}.")
        return SWITCH[given.lower()]
    if kind is str and name != MODEL:
        return at_home(given)
    try:
        return tuple(map(at_home, given)) if kind is tuple else kind(given)
    except ValueError:
        raise ConfigError(f"{name}: got {given!r}, expected {KINDS[kind][0]}.") from None


def at_home(text: str) -> str:
    """Paths, with commas between them; those that begin with ``~/`` are in the home folder.

    Shells see to that at the beginning of a word alone, and not after ``--output_dir=``.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 (pathlib raises where there is none)
    return re.sub("(?:^|(?<=,))~(?=/)", lambda _: home, text)


def _shown(one: "Field[Any]") -> str:
    """A field as it is typed and as messages call it."""
    option: str | None = one.metadata["option"]
    return f"--{one.name}" if option is None else option or one.name


def _help(one: "Field[Any]") -> str:
    default = one.metadata["unset"] if one.default is None else one.default
    if isinstance(default, bool):
        default = str(default).lower()
    shown = "required" if one.default is MISSING else f"default: {default}"
    return f"{one.metadata['help']} ({shown})".replace("%", "%%")


def _metavar(one: "Field[Any]", kind: type) -> str:
    return "|".join(one.metadata["choices"]) or one.metadata["metavar"] or KINDS[kind][1]
