"""Whether what was trained before was trained for the backbone that is to take it up."""

from collections.abc import Iterable
from pathlib import Path

from ppt.backbones.base import Backbone
from ppt.backbones.checks import weights_digest
from ppt.backbones.sources import base_model
from ppt.prompts.files import CONFIG, Prompt
from ppt.prompts.foreign import told


def is_for(prompt: Prompt, model: str) -> bool:
    """Whether it was trained for that backbone; its name, folder or hub id may tell."""
    ours = {_name(model), base_model(model)}
    theirs = {prompt.card[key] for key in ("backbone", "model") if key in prompt.card}
    return not theirs or bool(ours & {_name(str(name)) for name in theirs})


def doubts(prompts: Iterable[Prompt], backbone: Backbone, model: str) -> list[str]:
    """Notes on prompts that fit the backbone of `model` by their sizes, but are another's.

    Its folder may have been trained on since; of prompts without a card PEFT's config tells.
    """
    weights, ours, notes = weights_digest(backbone), {_name(model), base_model(model)}, []
    for one in prompts:
        base = "" if one.card else str(one.config.get("base_model_name_or_path") or "")
        if one.card.get("weights_sha256") == weights:
            continue  # whatever it was called
        if not is_for(one, model):
            theirs = one.card.get("backbone", one.card.get("model"))
            notes.append(f"{one} was trained for {theirs}, not for {model}.")
        elif "weights_sha256" in one.card:
            notes.append(f"{one} was trained for {model} when its weights were others.")
        elif base and _name(base) not in ours:
            notes.append(f"{one} was trained for {told(base)}, by its {CONFIG}, not for {model}.")
    return list(dict.fromkeys(notes))


def _name(model: str) -> str:
    """A model's name; of a local folder the one that every spelling of its path shares."""
    try:
        place = Path(model).expanduser()
        return str(place.resolve()) if place.exists() else model
    except (OSError, RuntimeError):  # too long for a path, the home of nobody
        return model
