"""Which pre-trained prompt serves a method: what ``--prompt`` holds, and what fits.

``--prompt`` names prompts, run folders, or a folder of runs. A prompt fits by its card:
format and style as the method shows the task, backbone as the one that is tuned.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ppt.base.files import SCRATCH
from ppt.corpus.formats import FORMATS
from ppt.errors import InputError
from ppt.prompts.files import ADAPTER, CONFIG, FOLDER, Prompt, open_prompt
from ppt.prompts.foreign import readable
from ppt.prompts.patterns import ANSWERS, HARD_WORDS_SINCE, PATTERNS_VERSION, TARGETS
from ppt.training.kinship import is_for

LETTERS = ANSWERS[0]

WHAT = {"prompt": "prompt", "kv": "prompt of keys and values", "lora": "LoRA adapter"}
"""What is trained → what messages call it."""

MAKES = {"kv": " --prompt_kind=kv", "lora": " --trains=lora"}
"""What is trained → the flag that pre-trains it, where one is needed."""


def serves(
    prompt: Prompt, format_name: str, style: str, trains: str = "prompt", answers: str = LETTERS,
    target: str = TARGETS[0],
) -> bool:  # fmt: skip
    """Whether it is what is to be trained, and was pre-trained on that format in that style.

    One that was tuned on a task is no start for another, nor one for another ``--target``.
    """
    if not prompt.card or prompt.trains != trains:
        return prompt.trains == trains
    own = prompt.card.get("format"), prompt.card.get("style"), prompt.card.get("answers", LETTERS)
    wanted = format_name, style, answers if FORMATS[format_name].texts else LETTERS
    fits = prompt.card.get("layout") in (target, "suffix", None)
    return own == wanted and fits and "task" not in prompt.card


def words_changed(prompt: Prompt) -> bool:
    """Whether the hard words that it was trained beside are others now."""
    since = HARD_WORDS_SINCE.get(str(prompt.card.get("style")), 0)
    version: int = prompt.card.get("patterns_version") or PATTERNS_VERSION
    return version < since


def find_prompts(places: Iterable[str]) -> list[Prompt]:
    """All prompts of `places`: each a prompt, a run folder, or a folder of these."""
    found: dict[Path, Prompt] = {}
    for place in places:
        here = Path(place)
        with readable(place):
            found_here = sorted(here.iterdir()) if here.is_dir() else []
            inside = [one for one in found_here if not one.name.startswith(SCRATCH)]
            folders = [run / own for run in (here, *inside) for own in ("", FOLDER, ADAPTER)]
            prompts = [one for one in folders if (one / CONFIG).is_file()]
            what = "no prompt in" if here.exists() else "no folder"
        if not prompts:
            raise InputError(
                f"there is {what} {here}: expected a folder of python -m ppt.pretrain such"
                f" as runs/unified, a folder of them such as runs/, or one with {CONFIG}."
            )
        found |= {folder: open_prompt(folder) for folder in prompts}
    return list(found.values())


def choose_prompt(
    prompts: Sequence[Prompt],
    format_name: str,
    style: str,
    model: str,
    purpose: str,
    trains: str = "prompt",
    answers: str = LETTERS,
    target: str = TARGETS[0],
) -> Prompt:
    """The one prompt for a format, a style and a backbone; or adapter, where that is trained.

    `purpose` is who asks for it, for the message where there is none or several.
    """
    made = {"prompt": style, "kv": f"{style}-kv"}.get(trains, trains)
    make = f"python -m ppt.pretrain --format={format_name}" + (
        MAKES.get(trains, "")
        + f" --target={target}" * (target != TARGETS[0])
        + f" --answers={answers}" * (answers != LETTERS and bool(FORMATS[format_name].texts))
        + f" --style={style}" * (style != "soft")
        + f" --output_dir=runs/{format_name}-{made}" * (made != "soft")
    )
    wanted = format_name, style, trains, answers, target
    serving = [prompt for prompt in prompts if serves(prompt, *wanted)]
    if old := [prompt for prompt in serving if words_changed(prompt)]:
        raise InputError(
            f"{purpose}: the {style} {WHAT[trains]} in {old[0]} was trained beside other hard words"
            f" than those of today: make it anew ({make})."
        )
    fitting = [prompt for prompt in serving if is_for(prompt, model)]
    if serving and not fitting:
        one = serving[0]
        raise InputError(
            f"{purpose}: the prompt in {one} was trained for {one.card.get('backbone')},"
            f" got --model {model}: give its backbone, or make one: {make} --model={model}"
        )
    if not fitting:
        given = described(prompts) or "no --prompt"
        raise InputError(
            f"{purpose}: it needs a {WHAT[trains]} of format {format_name}, style {style}; got"
            f" {given}: make one ({make}) and give its folder as --prompt."
        )
    if len(fitting) > 1:
        places = ", ".join(map(str, fitting))
        raise InputError(f"{purpose}: several prompts fit ({places}): give one as --prompt.")
    return fitting[0]


def described(prompts: Iterable[Prompt]) -> str:
    """Where prompts lie, each with its format, style and backbone."""
    told = []
    for prompt in prompts:
        known = (str(prompt.card.get(key, "?")) for key in ("format", "style", "backbone"))
        told.append(f"{prompt} ({', '.join(known)})")
    return ", ".join(told)
