"""Which language a text is in: by a kept identifier, or only whether it is plainly not English.

The second needs no package: it is for what knows English only, and speaks up where the text
shows another language, by its script or by its commonest words.
"""

import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import chain
from typing import Any

LIBRARY = "py3langid"

_SAMPLES, _SAMPLE_CHARS = 3, 1500
"""So many stretches of a text are looked at, of so many characters each."""

_GLANCE_CHARS = 400
"""Characters of each where every document of an English corpus is looked at, in passing."""

COMMON_WORDS = {
    "English": "the of and to is that it he for was with as his be by not you had but",
    "German": "der die und das ist nicht mit ein eine auf für dem sich auch den ich sie zu von",
    "Dutch": "de het een van en dat niet zijn op met voor maar ook aan ik hij er bij naar",
    "French": "le la les et des est une dans que qui pour pas sur il elle du au vous je",
    "Spanish": "el los las del que se una por con para como más pero su al lo este ha",
    "Portuguese": "os as do da que não uma um em por com para se mais como dos na",
    "Italian": "il di che la un una per non con gli del della si sono anche lo più nel",
    "Romanian": "și în de la cu nu este un pe din care pentru că mai sa au ce fost",
    "Swedish": "och att det som en på är av för med till den har inte ett om jag han var",
    "Danish": "og at det som en på er af for med til den har ikke et jeg han var de",
    "Finnish": "ja on ei että hän se oli mutta kun myös joka ovat kuin niin minä sitä ole",
    "Polish": "nie na się że do to jest jak po co ale tak za od był",
    "Czech": "se na je že do to jako pro ale by jsem byl tak co",
    "Hungarian": "az és hogy nem egy is volt meg ez de csak már mint vagy el azt én",
    "Turkish": "ve bir bu da de için ile çok ne daha gibi olarak var kadar ama olan ben",
    "Indonesian": "yang dan di ini itu dengan untuk tidak dari dalam akan pada ke adalah saya juga",
    "Vietnamese": "và của là có không được cho một trong người với các này để đã những tôi",
}
"""Language → some of its commonest words; no single letters, which code is full of."""

FEWEST_WORDS = 20
LEAST_SHARE = 0.10
"""A language shows in a text where at least so much of its words are of the commonest ones."""

_WORD = re.compile(r"[^\W\d_]+")
_BY_WORD: dict[str, list[str]] = {}
for _language, _words in COMMON_WORDS.items():
    for _word in _words.split():
        _BY_WORD.setdefault(_word, []).append(_language)


def identify(text: str) -> tuple[str, float]:
    """The ISO 639-1 code of the text's language, and how sure py3langid is of it, 0 to 1."""
    code, sure = _identifier().classify(" ".join(_stretches(text, _SAMPLE_CHARS)))
    return str(code), float(sure)


@cache
def known_languages() -> frozenset[str]:
    """The codes that `identify` can give."""
    return frozenset(map(str, _identifier().nb_classes))


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def foreign_language(text: str) -> str:
    """The language or script that shows in `text` where it is not English; "" if none does."""
    sample = " ".join(_stretches(text, _GLANCE_CHARS))
    if not sample.isascii() and any(s.isalpha() and _is_not_latin(s) for s in set(sample)):
        letters = [sign for sign in sample if sign.isalpha()]
        others = Counter(map(_script, filter(_is_not_latin, letters)))
        if 2 * others.total() > len(letters):
            return others.most_common(1)[0][0]
    language, found = _commonest(sample)
    return language if found[language] > 2 * found["English"] else ""


def _commonest(sample: str) -> tuple[str, Counter[str]]:
    """The language that shows in a sample, if one does, and how many words of each there are."""
    words = _WORD.findall(sample.lower())
    found = Counter(chain.from_iterable(_BY_WORD.get(word, ()) for word in words))
    language, count = max(found.items(), key=lambda item: item[1], default=("", 0))
    shows = len(words) >= FEWEST_WORDS and count >= LEAST_SHARE * len(words)
    return (language if shows else ""), found


def _stretches(text: str, size: int) -> list[str]:
    """The text, or stretches of it, of `size` characters, from beginning, middle and end."""
    if len(text) <= _SAMPLES * size:
        return [text]
    step = (len(text) - size) // (_SAMPLES - 1)
    return [text[i * step : i * step + size] for i in range(_SAMPLES)]


def _is_not_latin(letter: str) -> bool:
    return letter > "\u024f" and _script(letter) != "Latin"


@cache
def _script(letter: str) -> str:
    """The first word of its name: Latin, Cyrillic, Cjk, Hiragana…; with Han as Chinese."""
    name = unicodedata.name(letter, "unknown").split()[0].capitalize()
    return {"Cjk": "Chinese", "Hiragana": "Japanese", "Katakana": "Japanese"}.get(name, name)
