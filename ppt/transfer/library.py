"""Which pre-trained prompt serves a method: what ``--prompt`` holds, and what fits.

``--prompt`` names prompts, run folders, or a folder of runs. A prompt fits by its card:
format and style as the method shows the task, backbone as the one that is tuned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppt.backbones.sources import EMBEDDED
from ppt.base.files import file_digest
from ppt.errors import InputError
from ppt.prompts.files import CONFIG, WEIGHTS, read_card

FOLDER = "prompt"


@dataclass(frozen=True)
class SavedPrompt:
    """A prompt on disk. A prompt made elsewhere has an empty card: any format may be its own.

    One that was tuned on a task is no start for another.
    """

    folder: Path
    card: Mapping[str, Any]

    def serves(self, format_name: str, style: str) -> bool:
        """Whether it was pre-trained on that format in that style."""
        if not self.card:
            return True
        own = self.card.get("format"), self.card.get("style")
        return own == (format_name, style) and "task" not in self.card

    def is_for(self, model: str) -> bool:
        """Whether it was trained for that backbone; its name, folder or hub id may tell."""
        ours = {_name(model), EMBEDDED[model].hub_id if model in EMBEDDED else ""}
        theirs = {self.card[key] for key in ("backbone", "model") if key in self.card}
        return not theirs or bool(ours & {_name(str(name)) for name in theirs})


def find_prompts(places: Iterable[str]) -> list[SavedPrompt]:
    """All prompts of `places`: each a prompt, a run folder, or a folder of these."""
    found: dict[Path, SavedPrompt] = {}
    for place in places:
        here = Path(place)
        inside = sorted(here.iterdir()) if here.is_dir() else []
        folders = [here, here / FOLDER, *inside, *(folder / FOLDER for folder in inside)]
        prompts = [folder for folder in folders if (folder / CONFIG).is_file()]
        if not prompts:
            what = "no prompt in" if here.exists() else "no folder"
            raise InputError(
                f"there is {what} {here}: expected a folder of python -m ppt.pretrain such"
                f" as runs/unified, a folder of them such as runs/, or one with {CONFIG}."
            )
        found |= {folder: SavedPrompt(folder, read_card(folder)) for folder in prompts}
    return list(found.values())


def choose_prompt(
    prompts: Sequence[SavedPrompt], format_name: str, style: str, model: str, purpose: str
) -> SavedPrompt:
    """The one prompt for a format, a style and a backbone.

    `purpose` is who asks for it, for the message where there is none or several.
    """
    make = f"python -m ppt.pretrain --format={format_name}" + (
        f" --style={style} --output_dir=runs/{format_name}-{style}" if style != "soft" else ""
    )
    serving = [prompt for prompt in prompts if prompt.serves(format_name, style)]
    fitting = [prompt for prompt in serving if prompt.is_for(model)]
    if serving and not fitting:
        one = serving[0]
        raise InputError(
            f"{purpose}: the prompt in {one.folder} was trained for {one.card.get('backbone')},"
            f" got --model {model}: give its backbone, or make one: {make} --model={model}"
        )
    if not fitting:
        given = described(prompts) or "no --prompt"
        raise InputError(
            f"{purpose}: it needs a prompt of format {format_name}, style {style}; got {given}:"
            f" make one ({make}) and give its folder as --prompt."
        )
    if len(fitting) > 1:
        places = ", ".join(str(prompt.folder) for prompt in fitting)
        raise InputError(f"{purpose}: several prompts fit ({places}): give one as --prompt.")
    return fitting[0]


def prompt_digest(prompt: SavedPrompt) -> str:
    """What tells two prompts apart, wherever they lie."""
    return file_digest(prompt.folder / WEIGHTS)


def described(prompts: Iterable[SavedPrompt]) -> str:
    """Where prompts lie, each with its format, style and backbone."""
    told = []
    for prompt in prompts:
        known = (str(prompt.card.get(key, "?")) for key in ("format", "style", "backbone"))
        told.append(f"{prompt.folder} ({', '.join(known)})")
    return ", ".join(told)


def _name(model: str) -> str:
    """A model's name; of a local folder the one that every spelling of its path shares."""
    return str(Path(model).resolve()) if Path(model).expanduser().is_dir() else model
