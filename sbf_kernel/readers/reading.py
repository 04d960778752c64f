"""What a reader returns: normalised text, and where each part of it stood in the source.

Offsets count Unicode code points of ``Reading.text``. They are right by
construction, because text is cleaned *before* it is appended; nobody touches
it afterwards.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "cue"]

_BREAKS = re.compile(r"\r\n?|[\x85\u2028\u2029\v\f]")
# Control, format-less junk and lone surrogates: PostgreSQL refuses NUL, JSON
# refuses surrogates, and no reader of a citation can see the rest.
_JUNK = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_SPACES = re.compile(r"[ \t\xa0\u2000-\u200a\u202f\u205f\u3000]+")
_MANY_BREAKS = re.compile(r"\n{3,}")


def clean_text(text: str, *, keep_spaces: bool = False) -> str:
    """Normalise text once, before any offset is counted.

    NFC, ``\\n`` line ends, no control characters, soft hyphens or surrogates;
    runs of blanks become one and line ends lose theirs, unless
    ``keep_spaces`` (code, tables).
    """
    text = unicodedata.normalize("NFC", _JUNK.sub("", _BREAKS.sub("\n", text)).replace("\u00ad", ""))
    if not keep_spaces:
        text = "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _MANY_BREAKS.sub("\n\n", text)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block stood in its source; only what applies is set."""

    page: int | None = None
    """1-based page or slide."""
    headings: tuple[str, ...] = ()
    """Titles of the sections around it, outermost first."""
    seconds: float | None = None
    """Start time in audio or video."""
    cell: int | None = None
    """1-based cell of a Jupyter notebook."""
    sheet: str | None = None
    """Sheet of a workbook."""
    row: int | None = None
    """1-based row of a table; the header is row 1."""


@dataclass(frozen=True, slots=True)
class Block:
    """A structural unit: ``text[start:end]`` is one heading, paragraph, table row …"""

    start: int
    end: int
    kind: BlockKind
    place: Place
    header: str = ""
    """For table rows: the header line of their table, for chunks that start in the middle."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The normalised text of one source with its structure."""

    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    media_type: str = "text/plain"
    pages: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class ReadingBuilder:
    """Collects blocks in reading order and counts the offsets.

    Headings given by :meth:`heading` become the ``headings`` of what follows.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0
        self._headings: list[tuple[int, str]] = []

    def heading(self, text: str, level: int, **place: object) -> None:
        """Append a heading of ``level`` 1…6 and open its section."""
        title = " ".join(clean_text(text).split())
        if not title:
            return
        self._headings = [(lv, t) for lv, t in self._headings if lv < level]
        self.add(title, "heading", **place)
        self._headings.append((level, title))

    def add(self, text: str, kind: BlockKind = "paragraph", *, header: str = "", **place: object) -> None:
        """Append one block, cleaned. Empty text is ignored.

        ``place`` takes the fields of :class:`Place` except ``headings``.
        """
        text = clean_text(text, keep_spaces=kind in ("code", "table")).strip("\n" if kind == "code" else None)
        if not text.strip():
            return
        if self._parts:
            same_table = kind == "table" and self._blocks[-1].kind == "table" and self._blocks[-1].header == header
            self._append("\n" if same_table else "\n\n")
        start = self._length
        self._append(text)
        where = Place(headings=tuple(t for _, t in self._headings), **place)  # type: ignore[arg-type]
        self._blocks.append(Block(start, self._length, kind, where, header))

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def build(self, *, title: str = "", media_type: str = "text/plain", pages: int | None = None,
              metadata: dict[str, str] | None = None) -> Reading:
        """Return the finished reading."""
        return Reading("".join(self._parts), tuple(self._blocks), " ".join(clean_text(title).split()), media_type,
                       pages, metadata or {})
