"""Citation markers in text that arrives in pieces.

A model writes ``[1]``, ``[1, 2]``, ``[1-3]``, ``[^1]`` or ``【1】``. All of them
come out as ``[1][2][3]``; labels that were never given out are dropped and
counted. Code is left alone. Where the stream is cut does not matter: whatever
might still become a marker waits until it is decided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_INSIDE: Final = r"[\d ^,;、，\-–—]"
_MAX_INSIDE: Final = 60
_MARKER: Final = re.compile(
    rf"(?P<gap>[ \t]*)[\[【](?P<inside>{_INSIDE}{{1,{_MAX_INSIDE}}})(?:†[^\]】\n]{{0,40}})?[\]】]"
)
_MAYBE_MARKER: Final = re.compile(rf"[\[【]{_INSIDE}{{0,{_MAX_INSIDE}}}(?:†[^\]】\n]{{0,40}})?\Z")
_ITEM: Final = re.compile(r"\s*\^?(\d{1,3})(?:\s*[-–—]\s*\^?(\d{1,3}))?\s*")
_LONGEST_RANGE: Final = 50
_STOP: Final = re.compile(r"[\[【`\n]")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_MAYBE_FENCE: Final = re.compile(r" {0,3}(?:`*|~*)\Z")
_CODE_SPAN: Final = 200
"""Longest inline code, in characters; a backtick without a partner in reach is a backtick."""


@dataclass(frozen=True)
class Marker:
    """One ``[label]`` in the text that came out."""

    label: int
    start: int
    end: int
    """``text[start:end]`` is the marker itself."""


class MarkerStream:
    """Turns what a model streams into text with clean markers.

    Parameters
    ----------
    labels
        The labels that were given to the model.
    """

    def __init__(self, labels: Collection[int]) -> None:
        self.markers: list[Marker] = []
        self.unknown = 0
        """Markers the model invented."""
        self._labels = frozenset(labels)
        self._buffer = ""
        self._length = 0
        self._line_start = True
        self._fence = ""  # the run of characters that closes the block of code we are in
        self._verbatim = False  # the rest of this line is code

    def feed(self, piece: str) -> str:
        """Take the next piece of the stream; return what is certain by now."""
        self._buffer += piece
        return self._drain(final=False)

    def finish(self) -> str:
        """Return what waited; nothing follows."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> str:
        out: list[str] = []
        while self._buffer:
            taken = self._step(final)
            if taken is None:
                break
            size, text = taken
            self._buffer = self._buffer[size:]
            self._length += len(text)
            out.append(text)
        return "".join(out)

    def _step(self, final: bool) -> tuple[int, str] | None:
        """Return how much of the buffer is decided and what becomes of it; None: wait for more."""
        if self._line_start:
            return self._begin_line(final)
        if self._verbatim or self._fence:
            return self._code_line()
        return self._prose(final)

    def _begin_line(self, final: bool) -> tuple[int, str] | None:
        if not final and _MAYBE_FENCE.match(self._buffer):
            return None
        self._line_start = False
        match = _FENCE.match(self._buffer)
        if match is None or (self._fence and not match[1].startswith(self._fence)):
            return 0, ""
        self._fence = "" if self._fence else match[1]
        self._verbatim = True
        return match.end(), match.group()

    def _code_line(self) -> tuple[int, str]:
        end = self._buffer.find("\n") + 1
        if end:
            self._line_start, self._verbatim = True, False
        return (end or len(self._buffer)), self._buffer[: end or None]

    def _prose(self, final: bool) -> tuple[int, str] | None:
        match = _STOP.search(self._buffer)
        if match is None or match.start():
            # Blanks wait: they go when the marker behind them goes.
            end = match.start() if match else len(self._buffer)
            text = len(self._buffer[:end].rstrip(" \t"))
            if match and match.group() in "[【" and not text:
                return self._bracket(end, final)
            if (match and match.group() in "[【") or not (match or final):
                end = text
            return (end, self._buffer[:end]) if end else None
        if match.group() == "\n":
            self._line_start = True
            return 1, "\n"
        return self._backtick(final) if match.group() == "`" else self._bracket(0, final)

    def _bracket(self, at: int, final: bool) -> tuple[int, str] | None:
        """Decide about the bracket at ``at``; only blanks stand before it."""
        if not final and _MAYBE_MARKER.match(self._buffer, at):
            return None
        match = _MARKER.match(self._buffer)
        labels = _labels(match["inside"]) if match else None
        if match is None or labels is None:
            return at + 1, self._buffer[: at + 1]
        known = [label for label in dict.fromkeys(labels) if label in self._labels]
        self.unknown += sum(label not in self._labels for label in labels)
        if not known:
            return match.end(), ""
        return match.end(), self._write(match["gap"], known)

    def _write(self, gap: str, labels: list[int]) -> str:
        text = gap
        for label in labels:
            start = self._length + len(text)
            text += f"[{label}]"
            self.markers.append(Marker(label, start, self._length + len(text)))
        return text

    def _backtick(self, final: bool) -> tuple[int, str] | None:
        """Pass inline code through, so that ``a[1]`` in it is no marker."""
        run = len(self._buffer) - len(self._buffer.lstrip("`"))
        reach = run + _CODE_SPAN
        window = self._buffer[:reach]
        complete = final or len(self._buffer) > reach or "\n" in window
        if run == len(self._buffer) and not final:
            return None
        line = window.split("\n", 1)[0]
        close = re.compile(rf"(?<!`)`{{{run}}}(?!`)").search(line, run)
        if close and (close.end() < len(window) or complete):
            return close.end(), self._buffer[: close.end()]
        return (run, "`" * run) if complete else None


def _labels(inside: str) -> list[int] | None:
    """Return the labels of ``1, 3-5``; None when it is no list of labels."""
    labels: list[int] = []
    for part in re.split(r"[,;、，]", inside):
        match = _ITEM.fullmatch(part)
        if match is None or int(match[1]) == 0:  # "[0, 1]" is mathematics
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        labels += range(first, last + 1) if first <= last < first + _LONGEST_RANGE else (first, last)
    return labels
