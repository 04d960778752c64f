"""OpenDocument: text (ODT), spreadsheets (ODS) and presentations (ODP) of LibreOffice and others."""

from __future__ import annotations

from typing import Final

from sbf_kernel.errors import SourceBroken, SourceEmpty, SourceEncrypted, SourceTooLarge
from sbf_kernel.readers.archive import Archive
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, Where
from sbf_kernel.readers.tree import Element, attribute, local
from sbf_kernel.readers.workbooks import MAX_CELLS, add_sheet

_ODF: Final = "application/vnd.oasis.opendocument."
_MAX_REPEATS: Final = 1_000
"""Sheets end with a row "repeated a million times"; a filled row is repeated by hand at most this often."""
_SKIPPED: Final = frozenset({
    "tracked-changes", "sequence-decls", "variable-decls", "user-field-decls", "forms", "scripts",
    "font-face-decls", "automatic-styles", "annotation-end"
})  # fmt: skip


def read_odt(source: RawSource) -> Reading:
    """Read an ODT document: headings, paragraphs, lists, tables, notes, comments."""
    archive, body = _body(source.content, source.name)
    builder = ReadingBuilder()
    _Walk(builder).blocks(body)
    return _built(builder, archive, "text")


def read_ods(source: RawSource) -> Reading:
    """Read an ODS workbook: one block per row, with sheet and row number."""
    archive, body = _body(source.content, source.name)
    builder = ReadingBuilder()
    for table in body.iter():
        if local(table) == "table" and "table" in str(table.tag).partition("}")[0]:
            add_sheet(builder, attribute(table, "name"), _sheet_rows(table))
    if builder.empty:
        raise SourceEmpty(f"{source.name!r} is a workbook without any filled cell", source=source.name)
    return _built(builder, archive, "spreadsheet")


def read_odp(source: RawSource) -> Reading:
    """Read an ODP presentation: slides as pages, with notes."""
    archive, body = _body(source.content, source.name)
    builder = ReadingBuilder()
    pages = [node for node in body.iter() if local(node) == "page"]
    for number, page in enumerate(pages, 1):
        builder.close(1)
        walk = _Walk(builder, page=number)
        for frame in sorted(page, key=lambda node: attribute(node, "class") != "title"):
            if attribute(frame, "class") == "title":
                builder.heading(" ".join(_text(p) for p in frame.iter() if local(p) in ("p", "h")), 1, page=number)
            elif local(frame) == "notes":
                notes = "\n".join(_text(p) for p in frame.iter() if local(p) == "p").strip()
                builder.add(f"[Notes] {notes}" if notes else "", page=number)
            elif local(frame) != "forms":
                walk.blocks(frame)
    return _built(builder, archive, "presentation", len(pages))


def _body(content: bytes, name: str) -> tuple[Archive, Element]:
    archive = Archive(content, name)
    if b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise SourceEncrypted(
            f"{name!r} is encrypted; SBF cannot open protected OpenDocument files",
            source=name,
            hint="save it without a password and add it again",
        )
    root = archive.xml("content.xml")
    body = next((node for node in root.iter() if local(node) == "body"), None) if root is not None else None
    if body is None or not len(body):
        raise SourceBroken(f"{name!r} is damaged: it has no content part")
    return archive, body[0]


def _built(builder: ReadingBuilder, archive: Archive, kind: str, pages: int | None = None) -> Reading:
    root = archive.xml("meta.xml")
    names = {
        "title": "title",
        "creator": "author",
        "initial-creator": "author",
        "subject": "subject",
        "keyword": "keywords",
        "creation-date": "created",
        "date": "modified",
        "language": "language",
    }
    facts: dict[str, str] = {}
    for node in root.iter() if root is not None else ():
        if local(node) in names and node.text and node.text.strip():
            facts.setdefault(names[local(node)], node.text.strip())
    title = facts.pop("title", "")
    return builder.build(title=title, media_type=_ODF + kind, pages=pages, metadata=facts)


class _Walk:
    """One pass over a text body."""

    def __init__(self, builder: ReadingBuilder, page: int | None = None) -> None:
        self._builder = builder
        self._place: Where = {"page": page} if page else {}

    def blocks(self, parent: Element, *, listed: bool = False) -> None:
        """Append what is under ``parent``."""
        for node in parent:
            tag = local(node)
            if tag in _SKIPPED or not tag:
                continue
            if tag == "h":
                level = attribute(node, "outline-level")
                self._builder.heading(_text(node), min(int(level), 6) if level.isdecimal() else 1, **self._place)
                self._asides(node)
            elif tag == "p":
                text = _text(node).strip()
                if text:
                    self._builder.add(f"- {text}" if listed else text, "list" if listed else "paragraph", **self._place)
                self._asides(node)
            elif tag == "table":
                self._builder.table(_table(node), **self._place)
            else:
                self.blocks(node, listed=listed or tag == "list-item")

    def _asides(self, paragraph: Element) -> None:
        """Append the notes, comments and text boxes anchored in a paragraph, after it."""
        for node in paragraph.iter():
            tag = local(node)
            if tag == "note":
                body = " ".join(_text(p) for p in node.iter() if local(p) == "p").strip()
                self._builder.add(
                    f"[{attribute(node, 'note-class').capitalize() or 'Note'}] {body}" if body else "", **self._place
                )
            elif tag == "annotation":
                body = " ".join(_text(p) for p in node.iter() if local(p) == "p").strip()
                author = next((part.text or "" for part in node if local(part) == "creator"), "")
                self._builder.add(f"[Comment by {author}] {body}" if body else "", **self._place)
            elif tag == "text-box":
                self.blocks(node)


def _text(paragraph: Element) -> str:
    """Return a paragraph's own text, with its blanks, tabs and line breaks."""
    parts = [paragraph.text or ""]
    for node in paragraph:
        tag = local(node)
        if tag == "s":
            parts.append(" ")
        elif tag == "tab":
            parts.append("\t")
        elif tag == "line-break":
            parts.append("\n")
        elif tag not in ("note", "annotation", "text-box", "frame", "bookmark-start", "ruby-text") and tag:
            parts.append(_text(node))
        parts.append(node.tail or "")
    return "".join(parts)


def _table(table: Element) -> list[list[str]]:
    return [cells for _, cells in _sheet_rows(table)]


def _sheet_rows(table: Element) -> list[tuple[int, list[str]]]:
    """Return row number and cells, repeated ones counted and those with text spelt out."""
    rows: list[tuple[int, list[str]]] = []
    number = 1
    cells_read = 0
    for row in table.iter():
        if local(row) != "table-row":
            continue
        cells: list[str] = []
        for cell in row:
            if local(cell) in ("table-cell", "covered-table-cell"):
                text = " ".join(_text(p) for p in cell.iter() if local(p) in ("p", "h")).strip()
                cells.extend([text] * min(_count(cell, "number-columns-repeated"), _MAX_REPEATS if text else 300))
        while cells and not cells[-1]:
            cells.pop()
        times = _count(row, "number-rows-repeated")
        cells_read += len(cells) * min(times, _MAX_REPEATS)
        if cells_read > MAX_CELLS:
            raise SourceTooLarge(f"a table holds more than {MAX_CELLS:,} cells")
        rows.extend((number + step, cells) for step in range(min(times, _MAX_REPEATS) if cells else 0))
        number += times
    return rows


def _count(element: Element, name: str) -> int:
    said = attribute(element, name)
    return max(int(said), 1) if said.isdecimal() and len(said) < 9 else 1
