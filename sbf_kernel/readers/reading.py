"""What a reader returns: normalised text, and where each part of it stood in the source.

Offsets count Unicode code points of ``Reading.text``. They are right by
construction, because text is cleaned *before* it is appended; nobody touches
it afterwards.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, Unpack

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "cue"]

_BREAKS = re.compile(r"\r\n?|[\x85\u2028\u2029\v\f]")
# What nobody can see in a citation and some store refuses: controls (PostgreSQL
# refuses NUL), lone surrogates (JSON refuses them), byte-order marks and
# non-characters, soft hyphens, zero-width spaces, bidi marks, embeddings and overrides
# ("Trojan Source", CVE-2021-42574) and tag characters, which can carry hidden
# instructions to a model. ZWJ and ZWNJ stay: Persian and Indic spelling needs them.
_JUNK = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    r"\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_MANY_BREAKS = re.compile(r"\n{3,}")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
"""Typesetting forms only; NFKC would also rewrite ², ½ and full-width letters, which carry meaning."""


def clean_text(text: str, *, keep_spaces: bool = False) -> str:
    r"""Normalise text once, before any offset is counted.

    NFC, ``\n`` line ends, Latin ligatures spelt out, no control or invisible
    characters and no surrogates; runs of blanks become one and line ends lose
    theirs, unless ``keep_spaces`` (code, tables). Cleaning twice changes nothing.

    Parameters
    ----------
    text
        Any string, valid Unicode or not.
    keep_spaces
        Keep indentation and runs of blanks as they are.
    """
    text = _JUNK.sub("", _BREAKS.sub("\n", text)).translate(_LIGATURES)
    text = unicodedata.normalize("NFC", text)
    if not keep_spaces:
        text = "\n".join(_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _MANY_BREAKS.sub("\n\n", text)


def one_line(text: str) -> str:
    """Return ``text`` cleaned, with every run of white space as one blank: titles, headings, table cells."""
    return " ".join(clean_text(text).split())


@dataclass(frozen=True, slots=True)
class RawSource:
    """What a reader is given: bytes, and what somebody knows about them."""

    content: bytes
    name: str
    """File name or title; for messages and hints only."""
    password: str | None = None


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


class Where(TypedDict, total=False):
    """The fields of :class:`Place` a reader may give; ``headings`` are counted by the builder."""

    page: int | None
    seconds: float | None
    cell: int | None
    sheet: str | None
    row: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """A structural unit: ``text[start:end]`` is one heading, one paragraph, one table row and so on."""

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

    def __len__(self) -> int:
        """Return the number of characters so far."""
        return self._length

    @property
    def empty(self) -> bool:
        """Whether nothing has been added yet."""
        return not self._blocks

    def heading(self, text: str, level: int, **place: Unpack[Where]) -> None:
        """Append a heading of ``level`` 1…6 and open its section."""
        title = one_line(text)
        if not title:
            return
        self.close(level)
        self.add(title, "heading", **place)
        self._headings.append((level, title))

    def close(self, level: int) -> None:
        """End the open sections of ``level`` and below without starting another (a new file or slide)."""
        self._headings = [(lv, t) for lv, t in self._headings if lv < level]

    def add(self, text: str, kind: BlockKind = "paragraph", *, header: str = "", **place: Unpack[Where]) -> None:
        """Append one block, cleaned. Empty text is ignored.

        ``place`` takes the fields of :class:`Place` except ``headings``.
        """
        text = clean_text(text, keep_spaces=kind in ("code", "table")).strip("\n" if kind == "code" else None)
        if not text.strip():
            return
        if self._parts:
            self._append(self._separator(kind, header))
        start = self._length
        self._append(text)
        where = Place(headings=tuple(t for _, t in self._headings), **place)
        self._blocks.append(Block(start, self._length, kind, where, header))

    def table(self, rows: list[list[str]], *, first_row: int = 1, **place: Unpack[Where]) -> None:
        """Append a table: one block per row, cells joined with `` | ``, the first row as every row's header.

        ``first_row`` is the 1-based number of ``rows[0]`` in the source; rows
        without text are skipped but counted.
        """
        header = ""
        for number, cells in enumerate(rows, first_row):
            line = table_line(cells)
            if line:
                header = header or line
                place["row"] = number
                self.add(line, "table", header=header, **place)

    def include(self, reading: Reading) -> None:
        """Append a whole reading (an attachment) inside the sections that are open."""
        open_sections = tuple(t for _, t in self._headings)
        for block in reading.blocks:
            if self._parts:
                self._append(self._separator(block.kind, block.header))
            start = self._length
            self._append(reading.text[block.start : block.end])
            place = replace(block.place, headings=open_sections + block.place.headings)
            self._blocks.append(Block(start, self._length, block.kind, place, block.header))

    def _separator(self, kind: BlockKind, header: str) -> str:
        """Return what stands between the last block and one of ``kind``: rows and list items keep together."""
        last = self._blocks[-1]
        together = kind == last.kind and kind in ("table", "list", "cue") and header == last.header
        return "\n" if together else "\n\n"

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def build(
        self,
        *,
        title: str = "",
        media_type: str = "text/plain",
        pages: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Reading:
        """Return the finished reading."""
        facts = {key: one_line(value) for key, value in (metadata or {}).items() if value}
        return Reading(
            "".join(self._parts),
            tuple(self._blocks),
            one_line(title),
            media_type,
            pages,
            {key: value for key, value in facts.items() if value},
        )


def table_line(cells: list[str]) -> str:
    """Return the cells of one row as ``a | b | c``: empty ends dropped, line breaks inside a cell as blanks."""
    texts = [one_line(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return " | ".join(texts).strip()
