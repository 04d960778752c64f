"""Word documents (DOCX): headings, lists, tables, text boxes, footnotes, comments and equations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.archive import Archive
from sbf_kernel.readers.equations import equation_text
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.tree import Element, attribute, local

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADING_STYLE = re.compile(
    r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|заголовок|标题|見出し)\s*(\d)", re.IGNORECASE
)
_NOTES: Final = (("footnotes", "footnote"), ("endnotes", "endnote"), ("comments", "comment"))
_TRANSPARENT: Final = frozenset({
    "sdt", "sdtContent", "ins", "smartTag", "hyperlink", "fldSimple", "customXml", "moveTo", "bdo", "dir"
})  # fmt: skip
_DROPPED: Final = frozenset({
    "del", "moveFrom", "rPr", "pPr", "instrText", "delText", "sectPr", "tblPr", "trPr", "tcPr", "Fallback"
})  # fmt: skip


def read_docx(source: RawSource) -> Reading:
    """Read a Word document in the order of its body; notes and comments follow at the end."""
    archive = Archive(source.content, source.name)
    main = next((path for kind, path in archive.relations("").values() if kind == "officeDocument"), "")
    main = main if main in archive else "word/document.xml"
    root = archive.xml(main)
    if root is None:
        raise SourceBroken(f"{source.name!r} is damaged: it has no main document part")
    relations = archive.relations(main)
    builder = ReadingBuilder()
    walk = _Walk(builder, _heading_styles(archive, relations), _list_styles(archive, relations))
    body = next((node for node in root if local(node) == "body"), root)
    walk.blocks(body)
    for part, item in _NOTES:
        path = next((path for kind, path in relations.values() if kind == part), "")
        notes = archive.xml(path) if path else None
        if notes is not None:
            _add_notes(builder, walk, notes, item)
    facts = core_facts(archive)
    return builder.build(
        title=facts.pop("title", "") or walk.first_title,
        metadata=facts,
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    )


def core_facts(archive: Archive) -> dict[str, str]:
    """Return title, author, subject, keywords and dates from an OOXML package."""
    root = archive.xml("docProps/core.xml")
    names = {
        "title": "title",
        "creator": "author",
        "subject": "subject",
        "keywords": "keywords",
        "created": "created",
        "modified": "modified",
        "language": "language",
    }
    facts: dict[str, str] = {}
    for node in root if root is not None else ():
        if local(node) in names and node.text and node.text.strip():
            facts[names[local(node)]] = node.text.strip()
    return facts


def _heading_styles(archive: Archive, relations: dict[str, tuple[str, str]]) -> dict[str, int]:
    """Return style id → heading level, by outline level, by name, or by the style it is based on."""
    path = next((path for kind, path in relations.values() if kind == "styles"), "")
    root = archive.xml(path) if path else None
    levels: dict[str, int] = {}
    parents: dict[str, str] = {}
    for style in root if root is not None else ():
        if local(style) != "style" or attribute(style, "type") not in ("paragraph", ""):
            continue
        key = attribute(style, "styleId")
        for node in style.iter():
            tag, value = local(node), attribute(node, "val")
            if tag == "name":
                named = _HEADING_STYLE.match(value)
                if named:
                    levels[key] = min(int(named[1]) or 1, 6)
                elif value.lower() == "title":
                    levels[key] = 1
            elif tag == "outlineLvl" and value.isdecimal() and int(value) < 9:
                levels.setdefault(key, min(int(value) + 1, 6))
            elif tag == "basedOn":
                parents[key] = value
    for key in parents:
        parent, steps = parents[key], 0
        while parent and parent not in levels and steps < 10:
            parent, steps = parents.get(parent, ""), steps + 1
        if parent in levels:
            levels.setdefault(key, levels[parent])
    return levels


def _list_styles(archive: Archive, relations: dict[str, tuple[str, str]]) -> set[str]:
    path = next((path for kind, path in relations.values() if kind == "styles"), "")
    root = archive.xml(path) if path else None
    return {
        attribute(style, "styleId")
        for style in (root if root is not None else ())
        if local(style) == "style" and any(local(node) == "numPr" for node in style.iter())
    }


def _add_notes(builder: ReadingBuilder, walk: _Walk, notes: Element, item: str) -> None:
    """Append footnotes, endnotes or comments as paragraphs that say what they are."""
    builder.close(1)
    for note in notes:
        if local(note) != item or "separator" in attribute(note, "type").lower():
            continue
        text = " ".join(walk.text(p) for p in note.iter() if local(p) == "p").strip()
        author = attribute(note, "author") if item == "comment" else ""
        label = f"{item.capitalize()} by {author}" if author else f"{item.capitalize()} {attribute(note, 'id')}"
        if text:
            builder.add(f"[{label.strip()}] {text}")


class _Walk:
    """One pass over a body part."""

    def __init__(self, builder: ReadingBuilder, headings: dict[str, int], lists: set[str]) -> None:
        self._builder = builder
        self._headings = headings
        self._lists = lists
        self.first_title = ""

    def blocks(self, parent: Element) -> None:
        """Append the paragraphs and tables under ``parent``."""
        for node in parent:
            tag = local(node)
            if tag == "p":
                self._paragraph(node)
            elif tag == "tbl":
                self._builder.table(self._rows(node))
            elif tag == "AlternateContent":
                self.blocks(next((child for child in node if local(child) == "Choice"), node))
            elif tag in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "Choice", "Fallback", "txbxContent"):
                self.blocks(node)

    def _paragraph(self, node: Element) -> None:
        style, listed, level = self._look(node)
        text = self.text(node)
        if text.strip():
            if level and len(text) < 300:
                self.first_title = self.first_title or text.strip()
                self._builder.heading(text, level)
            elif listed or style in self._lists:
                self._builder.add("- " + text.strip(), "list")
            else:
                self._builder.add(text)
        for box in self._boxes(node):
            self.blocks(box)

    def _look(self, node: Element) -> tuple[str, bool, int]:
        """Return a paragraph's style id, whether it is a list item, and its heading level (0: none)."""
        style, listed, outline = "", False, 0
        properties = next((child for child in node if local(child) == "pPr"), None)
        for child in properties if properties is not None else ():
            tag = local(child)
            if tag == "pStyle":
                style = attribute(child, "val")
            elif tag == "numPr":
                listed = any(local(n) == "numId" and attribute(n, "val") not in ("", "0") for n in child)
            elif tag == "outlineLvl" and attribute(child, "val").isdecimal() and int(attribute(child, "val")) < 9:
                outline = min(int(attribute(child, "val")) + 1, 6)
        return style, listed, outline or self._headings.get(style, 0)

    def _rows(self, table: Element) -> list[list[str]]:
        rows: list[list[str]] = []
        for row in _through(table, "tr"):
            cells = [(self._cell_part(part) for part in _through(cell, "p", "tbl")) for cell in _through(row, "tc")]
            rows.append([" ".join(filter(None, parts)) for parts in cells])
        return rows

    def _cell_part(self, part: Element) -> str:
        if local(part) == "tbl":  # a table in a cell: its rows one after the other
            return "; ".join(", ".join(filter(None, cells)) for cells in self._rows(part) if any(cells))
        boxes = [self.text(p) for box in self._boxes(part) for p in box.iter() if local(p) == "p"]
        return " ".join([self.text(part), *boxes]).strip()

    def _boxes(self, paragraph: Element) -> Iterator[Element]:
        """Yield the text boxes anchored in a paragraph, each once: Word stores them twice, for old programs too."""
        stack = list(reversed(paragraph))
        while stack:
            node = stack.pop()
            tag = local(node)
            if tag == "txbxContent":
                yield node
            elif tag == "AlternateContent":
                children = [child for child in node if local(child) == "Choice"] or list(node)
                stack.extend(reversed(children[:1]))
            else:
                stack.extend(reversed(node))

    def text(self, paragraph: Element) -> str:
        """Return a paragraph's text as printed: insertions in, deletions out, equations in line."""
        parts: list[str] = []
        stack = list(reversed(paragraph))
        while stack:
            node = stack.pop()
            tag = local(node)
            if tag == "t":
                parts.append(node.text or "")
            elif tag in ("tab", "ptab"):
                parts.append("\t")
            elif tag in ("br", "cr"):
                parts.append("\n")
            elif tag == "noBreakHyphen":
                parts.append("-")
            elif tag in ("oMath", "oMathPara"):
                parts.append(f" {equation_text(node)} ")
            elif tag not in _DROPPED and tag != "txbxContent":
                stack.extend(reversed(node))
        return "".join(parts)


def _through(parent: Element, *wanted: str) -> Iterator[Element]:
    """Yield children by name, looking through wrappers such as content controls."""
    for child in parent:
        if local(child) in wanted:
            yield child
        elif local(child) in _TRANSPARENT:
            yield from _through(child, *wanted)
