"""Text made harmless for HTML, Markdown and terminals, and the builder that HTML is made with."""

from __future__ import annotations

import html
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH = 100
"""Columns that the plain face fills at most."""

_REPLACED = "\ufffd"


@dataclass(frozen=True)
class View:
    """Three faces of one thing."""

    plain: str
    html: str
    markdown: str

    def text(self) -> str:
        """Return the plain face."""
        return self.plain

    def mimebundle(self) -> dict[str, str]:
        """Return what Jupyter shows: HTML where it can, Markdown and text elsewhere."""
        return {"text/plain": self.plain, "text/markdown": self.markdown, "text/html": self.html}

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.mimebundle()

    def __str__(self) -> str:
        return self.plain

    __repr__ = __str__


def _harmless() -> dict[int, str]:
    """Map each dangerous character to one harmless character, so that offsets stay right."""
    controls = [*range(0x20), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF]
    reordering = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    table = dict.fromkeys([*controls, *reordering], _REPLACED)
    # Direction marks are invisible and only nudge their neighbours; so is the joiner that replaces them.
    table |= dict.fromkeys((0x200E, 0x200F, 0x061C), "\u2060")
    return table | {0x09: "\t", 0x0A: "\n", 0x0D: " ", 0x0B: "\n", 0x0C: "\n", 0x85: "\n", 0x2028: "\n", 0x2029: "\n"}


_HARMLESS = _harmless()
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace control, direction-changing and unpaired characters, each by exactly one character."""
    return _SURROGATE.sub(_REPLACED, text.translate(_HARMLESS))


def one_line(text: str) -> str:
    """Return clean text with every run of white space as one space."""
    return " ".join(clean(text).split())


def clip(text: str, limit: int) -> str:
    """Return text of at most ``limit`` characters, the cut shown by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


class Markup(str):
    """HTML that is safe as it stands: made by :func:`element` only."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an HTML element; children that are not :class:`Markup`, and all attribute values, are escaped.

    ``class_``, ``aria_label`` and the like name the attributes; those that are None are left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(clean(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str], between: str = "") -> Markup:
    """Return children in a row, escaped unless they are :class:`Markup`."""
    return Markup(
        html.escape(between).join(
            child if isinstance(child, Markup) else html.escape(clean(child)) for child in children
        )
    )


_MARKDOWN = re.compile(
    r"[\\`*_{}\[\]()#|~$!^@]|:(?=//)|(?<=www)\.|^[-+=](?=\s|[-+=]|$)|^\d+(?P<item>[.)])", re.IGNORECASE
)


def markdown(text: str) -> str:
    """Return one line that Markdown shows as exactly this text: no markup, no links, no HTML."""
    line = _MARKDOWN.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], one_line(text))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def columns(text: str) -> int:
    """Return how many terminal columns the text takes."""
    return len(text) if text.isascii() else sum(map(_column, text))


def _column(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, width: int) -> list[str]:
    """Break one line of text into lines of at most ``width`` columns, at spaces where possible."""
    lines: list[str] = []
    current, used = "", 0
    for word in _pieces(text, width):
        size = columns(word)
        if current and used + 1 + size > width:
            lines.append(current)
            current, used = word, size
        else:
            current, used = (f"{current} {word}", used + 1 + size) if current else (word, size)
    return [*lines, current]


def _pieces(text: str, width: int) -> Iterator[str]:
    for word in text.split():
        while columns(word) > width:
            cut = next(n for n in range(len(word), 0, -1) if columns(word[:n]) <= max(width, 2))
            yield word[:cut]
            word = word[cut:]
        yield word


def paragraphs(text: str, width: int = WIDTH, indent: str = "") -> str:
    """Return text wrapped for a terminal, its line breaks kept."""
    room = width - len(indent)
    return "\n".join((indent + line).rstrip() for part in clean(text).split("\n") for line in wrap(part, room))


def static() -> bool:
    """Tell whether output must be the same on every run (``SBF_STATIC``): no times, no random ids."""
    return os.environ.get("SBF_STATIC", "").lower() in ("1", "true", "yes", "on")
