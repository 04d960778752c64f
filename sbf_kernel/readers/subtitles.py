"""Subtitles (SRT, WebVTT): what was said, with the second it begins.

Lenient on purpose: files without a header, without numbers or without blank
lines between cues are common.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import decode

_TIME: Final = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-{{1,2}}>\s*{_TIME}")
_INNER_TIME = re.compile(r"<(?:\d+:)?\d\d:\d\d\.\d{3}>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]{1,100})>")
_TAGS = re.compile(
    r"</?[A-Za-z][^<>]{0,200}>|<(?:\d+:)?\d\d:\d\d\.\d{3}>|\{\\[^{}]{0,100}\}|\{[yYcCfFsSpP]:[^{}]{0,50}\}"
)
_SKIPPED_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


@dataclass(slots=True)
class _Cue:
    seconds: float
    lines: list[str]


def read_subtitles(source: RawSource) -> Reading:
    """Read subtitles; rolling captions, which repeat the line before, are said once."""
    text = decode(source.content)
    cues = _parse(text)
    if not cues and text.strip():
        raise SourceBroken(f"{source.name!r} holds no subtitle times", source=source.name)
    if _rolling(cues, text):
        cues = _unrolled(cues)
    builder = ReadingBuilder()
    for cue in cues:
        builder.add(" ".join(cue.lines), "cue", seconds=cue.seconds)
    kind = "text/vtt" if text.lstrip("\ufeff").startswith("WEBVTT") else "application/x-subrip"
    return builder.build(title=_title(text), media_type=kind)


def _parse(text: str) -> list[_Cue]:
    cues: list[_Cue] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    inside = False
    for place, line in enumerate(lines):
        timing = _TIMING.match(line)
        if timing:
            cues.append(_Cue(_seconds(timing), []))
            inside = True
        elif not line.strip():
            # A blank line ends a cue only if no text follows before the next number or time:
            # some encoders put empty lines inside cues.
            inside = inside and _goes_on(lines, place)
        elif inside and not _is_number(lines, place):
            spoken = _spoken(line)
            if spoken:
                cues[-1].lines.append(spoken)
    return cues


def _goes_on(lines: list[str], place: int) -> bool:
    following = [line for line in lines[place + 1 : place + 4] if line.strip()]
    if not following or _TIMING.match(following[0]) or _SKIPPED_BLOCK.match(following[0]):
        return False
    return not (len(following) > 1 and _TIMING.match(following[1]))


def _is_number(lines: list[str], place: int) -> bool:
    """Return whether a line is a cue's number or name, which stands right before its time, after a blank line."""
    following = lines[place + 1] if place + 1 < len(lines) else ""
    before = lines[place - 1] if place else ""
    return bool(_TIMING.match(following)) and (lines[place].strip().isdigit() or not before.strip())


def _spoken(line: str) -> str:
    line = _VOICE.sub(r"\1: ", line)
    return " ".join(html.unescape(_TAGS.sub("", line)).split())


def _seconds(timing: re.Match[str]) -> float:
    hours, minutes, seconds, fraction = timing.groups()[:4]
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return round(whole + int((fraction or "0").ljust(3, "0")) / 1000, 3)


def _rolling(cues: list[_Cue], text: str) -> bool:
    """Return whether most cues begin with the end of the one before, as automatic captions of YouTube do."""
    repeats = sum(1 for one, two in pairwise(cues) if one.lines and two.lines[:1] == one.lines[-1:])
    return repeats > 0.4 * len(cues) or (bool(_INNER_TIME.search(text)) and repeats > 0)


def _unrolled(cues: list[_Cue]) -> list[_Cue]:
    kept: list[_Cue] = []
    shown: list[str] = []
    for cue in cues:
        fresh = [line for line in cue.lines if line not in shown]
        if cue.lines:
            shown = cue.lines
        if fresh:
            kept.append(_Cue(cue.seconds, fresh))
    return kept


def _title(text: str) -> str:
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    return first[6:].strip(" -\t") if first.startswith("WEBVTT") else ""
