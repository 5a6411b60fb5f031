"""Subtitles and scripts → what is said in them.

Cue numbers, times, tags, speakers' names and stage directions go; the lines of a sentence
that stands in several cues come together. Every rule looks at a bounded part of a line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import unescape

from ppt.text.markup import ExtractionError

PAUSE_SECONDS = 5.0
"""A silence this long between two cues parts paragraphs."""

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?: ?[.,] ?(\d{1,3}))?"
_TIMING = re.compile(rf"\s{{0,9}}{_TIME}[ \t]{{0,9}}-->[ \t]{{0,9}}{_TIME}")
_OTHER_TIMES = re.compile(
    r"-->|^\{\d{1,9}\}\{\d{1,9}\}|^Dialogue: |^\s{0,9}<(?:sami|tt|\?xml)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""Of MicroDVD, SubStation Alpha, SAMI and TTML, or of times that are none."""
_TAG = re.compile(r"<[^<>\n]{0,200}>|\{\\?[^{}\n]{0,200}\}")
_SOUND = re.compile(r"\[[^\[\]]{0,200}\]|\([^()]{0,200}\)|[♪♫]")
_SPEAKER = re.compile(r"[^\W\d_][\w .'’#&/-]{0,29}:(?:\s|\Z)")
"""If it is in capitals."""
_DASH = re.compile(r"\s{0,9}(?:[-–—]|>{2,3})\s{0,9}(?=\S)")
"""Another one speaks; two signs ">" say so in captions for the deaf."""


def prose_of_subtitles(text: str) -> str:
    """The sentences of SubRip (SRT) or WebVTT; a text without times is left as it is. Raises
    ExtractionError.
    """
    if not any(map(_TIMING.match, text.split("\n"))):
        if found := _OTHER_TIMES.search(text):
            raise ExtractionError(f"{found[0]!r} is of no SRT or WebVTT; convert it")
        return text
    paragraphs: list[list[str]] = [[]]
    said_last, previous = "", 0.0
    for start, end, lines in _cues(text):
        if start - previous >= PAUSE_SECONDS:
            paragraphs.append([])
        previous = end
        for line in unescape(_SOUND.sub("", _TAG.sub("", "\n".join(lines)))).split("\n"):
            said = line.strip()
            if dash := _DASH.match(said):
                said = said[dash.end() :]
                paragraphs.append([])
            if (name := _SPEAKER.match(said)) and name[0].isupper():
                said = said[name.end() :]
                paragraphs.append([])
            said = said.strip()
            if said and said != said_last:  # captions that roll show a line twice
                paragraphs[-1].append(said)
                said_last = said
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def _cues(text: str) -> Iterator[tuple[float, float, list[str]]]:
    """(start, end, lines) of each cue: what stands below a line of times, up to the next one; in
    WebVTT, which has notes between cues, up to a blank one.
    """
    times: tuple[float, float] | None = None
    lines: list[str] = []
    blank_ends = text.startswith("WEBVTT")
    for line in (*text.split("\n"), None):
        timing = _TIMING.match(line) if line else None
        if timing or line is None or (blank_ends and not line.strip()):
            if times and timing and lines and lines[-1].strip().isdigit():
                lines.pop()  # the number of the cue that begins here
            if times:
                yield *times, lines
            times, lines = None, []
            if timing:
                times = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])
        elif times:
            lines.append(line)


def _seconds(parts: Iterable[str | None]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return 3600 * int(hours) + 60 * int(minutes) + float(f"{int(seconds)}.{fraction}")


# ---- scripts of plays and films

_SCENE = re.compile(
    r"\s{0,80}(?:\d{1,4}[A-Z]?\.?\s{1,20})?(?:INT|EXT|INT\./EXT|I/E)[. ]|"
    r"\s{0,80}(?:ACT|SCENE|PROLOGUE|EPILOGUE)\b[^a-z]{0,40}$|"
    r"\s{0,80}(?:Act|Scene|ACT|SCENE)\s{1,4}(?:[IVXLC]{1,6}|\d{1,3})\b|"
    r"\s{0,80}[A-Z '.]{0,40}(?:CUT|DISSOLVE|FADE|SMASH|MATCH)(?: [A-Z]{1,12}){0,3}[.:]?\s{0,9}$|"
    r"\s{0,80}(?:Enter|Exit|Exeunt|Re-enter)\b"
)
_DIRECTION = re.compile(r"\[[^\[\]]{0,400}\]|\([^()]{0,400}\)")
_NAME_LINE = re.compile(r"\s{0,80}[^\W\d_][\w .,'’&#/-]{0,40}[.:]?\s{0,9}$")
"""If it is in capitals."""
_CAPITAL = r"[^\W\d_a-z]"
_NAME = rf"{_CAPITAL}[\w.'’-]{{0,20}}(?: {_CAPITAL}[\w.'’-]{{0,20}}){{0,2}}"
_NAME_BEFORE = re.compile(rf"\s{{0,20}}({_NAME}[.:])\s{{1,9}}(?=\S)")
_OFTEN = 2
"""What stands before a colon or period so often at lines' beginnings is a speaker's name."""


def prose_of_script(text: str) -> str:
    """The speeches, a paragraph each: of a play ("HAMLET. To be…") or a film's script."""
    lines = _DIRECTION.sub("", text).split("\n")
    heads = Counter(
        found[1] for line in lines if (found := _NAME_BEFORE.match(line)) and _is_name(found[1])
    )
    said: list[str] = []
    for line in lines:
        if _SCENE.match(line) or (line.isupper() and _NAME_LINE.match(line)):
            said.append("")
        elif (found := _NAME_BEFORE.match(line)) and _speaks(found[1], heads):
            said += ["", line[found.end() :]]
        else:
            said.append(line.strip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(said)).strip("\n")


def _is_name(head: str) -> bool:
    return head[0].isupper() and (head.endswith(":") or head.isupper())


def _speaks(head: str, heads: Counter[str]) -> bool:
    return (head.isupper() and len(head) > 2) or heads[head] >= _OFTEN
