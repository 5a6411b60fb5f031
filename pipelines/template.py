"""What a Flex Template says of itself, made of our flags: ``python -m pipelines.template``.

The form that Dataflow's console shows, and the checks of the launch request, come of it. Its
launcher runs `build_corpus` with the parameters as flags.
"""

import json
import sys
from dataclasses import MISSING, Field, fields
from typing import Any

from pipelines.flags import DESCRIPTION, BuildFlags
from ppt.base.flags import kinds_of

_OF_THE_LAUNCHER = {"data_dir", "workers", "runner", "dry_run", "cpu_hour_price", "beam"}
"""Flags that are no parameters: they ask for this machine, or the launcher gives them."""

_PLACES = {"input": "gs://bucket/docs/*.jsonl", "output": "gs://bucket/corpora"}
_SHAPES = {bool: "^(true|false)$", int: r"^-?\d+$", float: r"^-?[0-9.eE+-]+$"}


def metadata() -> dict[str, Any]:
    """The content of ``metadata.json``."""
    kinds = kinds_of(BuildFlags)
    return {
        "name": "Corpora for pre-trained prompt tuning",
        "description": " ".join(DESCRIPTION.split()),
        "parameters": [
            _parameter(one, kinds[one.name])
            for one in fields(BuildFlags)
            if one.name not in _OF_THE_LAUNCHER
        ],
    }


def _parameter(one: "Field[Any]", kind: type) -> dict[str, Any]:
    known = one.metadata
    example = f", such as {_PLACES[one.name]}" if one.name in _PLACES else ""
    default = known["unset"] or ("" if one.default is MISSING else one.default)
    said = f"{known['help']}{example}"
    parameter = {
        "name": one.name,
        "label": one.name.replace("_", " ").capitalize(),
        "helpText": f"{said} (default: {default})" if default != "" else said,
        "paramType": "TEXT",
        "isOptional": one.name not in _PLACES,
    }
    shape = _shape(one.name, kind, known["choices"])
    return parameter | ({"regexes": [shape]} if shape else {})


def _shape(name: str, kind: type, choices: tuple[str, ...]) -> str:
    if name in _PLACES:
        return "^(gs|s3)://.+$"
    if choices:
        return f"^({'|'.join(choices)})$"
    return _SHAPES.get(kind, "")


def main() -> int:
    """Print it."""
    print(json.dumps(metadata(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
