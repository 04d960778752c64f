"""Presentations (PPTX): slides as pages, with tables, charts, diagrams, notes and comments."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.archive import Archive
from sbf_kernel.readers.docx import core_facts
from sbf_kernel.readers.equations import equation_text
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.tree import Element, attribute, local
from sbf_kernel.readers.workbooks import number_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_TITLES: Final = ("title", "ctrTitle")
_FURNITURE: Final = ("sldNum", "ftr", "hdr", "dt")
"""Placeholders repeated on every slide: number, footer, header, date."""


def read_pptx(source: RawSource) -> Reading:
    """Read a presentation slide by slide; a slide's title is the heading of all that is on it."""
    archive = Archive(source.content, source.name)
    main = next((path for kind, path in archive.relations("").values() if kind == "officeDocument"), "")
    main = main if main in archive else "ppt/presentation.xml"
    root = archive.xml(main)
    if root is None:
        raise SourceBroken(f"{source.name!r} is damaged: it has no presentation part")
    relations = archive.relations(main)
    authors = _authors(archive, relations)
    builder = ReadingBuilder()
    count = 0
    first_title = ""
    for node in root.iter():
        if local(node) != "sldId":
            continue
        identifier = next((str(value) for key, value in node.attrib.items() if str(key).endswith("}id")), "")
        path = relations.get(identifier, ("", ""))[1]
        slide = archive.xml(path) if path else None
        count += 1
        if slide is not None:
            title = _Slide(builder, archive, path, count).add(slide, authors)
            first_title = first_title or title
    facts = core_facts(archive)
    declared = facts.pop("title", "")
    title = first_title if declared.lower() in ("", "powerpoint presentation", "presentation") else declared
    return builder.build(
        title=title,
        pages=count,
        metadata=facts,
        media_type="application/vnd.openxmlformats-officedocument.presentationml.presentation",
    )


def _authors(archive: Archive, relations: dict[str, tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, path in relations.values():
        root = archive.xml(path) if kind in ("commentAuthors", "authors") else None
        for node in root if root is not None else ():
            found[attribute(node, "id")] = attribute(node, "name")
    return found


class _Slide:
    """One slide and what hangs on it."""

    def __init__(self, builder: ReadingBuilder, archive: Archive, path: str, number: int) -> None:
        self._builder = builder
        self._archive = archive
        self._relations = archive.relations(path)
        self._number = number

    def add(self, slide: Element, authors: dict[str, str]) -> str:
        """Append the slide; return its title."""
        shapes = list(_shapes(slide))
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        title = " ".join(text for shape in titles for text, _ in _paragraphs(shape))
        self._builder.close(1)
        self._builder.heading(title, 1, page=self._number)
        for shape in shapes:
            if shape not in titles and _placeholder(shape) not in _FURNITURE:
                self._shape(shape)
        for kind, path in self._relations.values():
            if kind == "notesSlide":
                self._notes(path)
            elif kind == "comments":
                self._comments(path, authors)
        return title

    def _shape(self, shape: Element) -> None:
        if local(shape) == "graphicFrame":
            self._graphic(shape)
            return
        for text, level in _paragraphs(shape):
            self._builder.add(f"- {text}" if level else text, "list" if level else "paragraph", page=self._number)

    def _graphic(self, frame: Element) -> None:
        for node in frame.iter():
            tag = local(node)
            if tag == "tbl":
                rows = [
                    [" ".join(text for text, _ in _paragraphs(cell)) for cell in row if local(cell) == "tc"]
                    for row in node
                    if local(row) == "tr"
                ]
                self._builder.table(rows, page=self._number)
            elif tag == "chart":
                self._chart(self._target(node))
            elif tag == "relIds":
                self._diagram(self._relations.get(attribute(node, "dm"), ("", ""))[1])

    def _target(self, node: Element) -> str:
        identifier = next((str(value) for key, value in node.attrib.items() if str(key).endswith("}id")), "")
        return self._relations.get(identifier, ("", ""))[1]

    def _chart(self, path: str) -> None:
        """Append a chart as its title and a table of what it shows: one row per category."""
        root = self._archive.xml(path) if path else None
        if root is None:
            return
        for node in root.iter():
            if local(node) == "title":
                self._builder.add(" ".join(text for text, _ in _paragraphs(node)), page=self._number)
        series = [node for node in root.iter() if local(node) == "ser"]
        names = [" ".join(_cached(one, "tx")) for one in series]
        categories = max((_cached(one, "cat", "xVal") for one in series), key=len, default=[])
        values = [_cached(one, "val", "yVal") for one in series]
        columns = zip_longest(["", *categories], *([name, *column] for name, column in zip(names, values, strict=True)))
        self._builder.table([[cell or "" for cell in row] for row in columns], page=self._number)

    def _diagram(self, path: str) -> None:
        root = self._archive.xml(path) if path else None
        for node in root.iter() if root is not None else ():
            if local(node) == "pt":
                self._builder.add(" ".join(text for text, _ in _paragraphs(node)), "list", page=self._number)

    def _notes(self, path: str) -> None:
        root = self._archive.xml(path)
        for shape in _shapes(root) if root is not None else ():
            if _placeholder(shape) == "body":
                text = "\n".join(text for text, _ in _paragraphs(shape))
                self._builder.add(f"[Notes] {text}" if text.strip() else "", page=self._number)

    def _comments(self, path: str, authors: dict[str, str]) -> None:
        """Append comments: the old kind has plain text, the new kind paragraphs."""
        root = self._archive.xml(path)
        for node in root.iter() if root is not None else ():
            if local(node) not in ("cm", "reply"):
                continue
            own = [part for part in node if local(part) in ("text", "txBody")]
            text = " ".join(
                (part.text or "") if local(part) == "text" else " ".join(line for line, _ in _paragraphs(part))
                for part in own
            ).strip()
            author = authors.get(attribute(node, "authorId"), "")
            if text:
                self._builder.add(f"[Comment by {author}] {text}" if author else f"[Comment] {text}", page=self._number)


def _shapes(slide: Element) -> Iterator[Element]:
    """Yield shapes in the order a screen reader takes, groups opened, fallbacks for old programs left out."""
    tree = next((node for node in slide.iter() if local(node) == "spTree"), None)
    stack = list(reversed(tree)) if tree is not None else []
    while stack:
        node = stack.pop()
        tag = local(node)
        if tag in ("sp", "graphicFrame", "cxnSp", "pic"):
            yield node
        elif tag == "grpSp":
            stack.extend(reversed(node))
        elif tag == "AlternateContent":
            choices = [child for child in node if local(child) == "Choice"] or list(node)
            stack.extend(reversed([child for choice in choices[:1] for child in choice]))


def _placeholder(shape: Element) -> str:
    for node in shape.iter():
        if local(node) == "ph":
            return attribute(node, "type") or "obj"
        if local(node) in ("txBody", "spPr"):
            break
    return ""


def _paragraphs(parent: Element) -> Iterator[tuple[str, int]]:
    """Yield the text and the indent level of every paragraph under ``parent``."""
    for paragraph in parent.iter():
        if local(paragraph) != "p":
            continue
        level = 0
        parts: list[str] = []
        for node in paragraph.iter():
            tag = local(node)
            if tag == "pPr":
                said = attribute(node, "lvl")
                level = int(said) if said.isdecimal() and len(said) < 3 else 0
            elif tag == "t" and "math" not in str(node.tag):
                parts.append(node.text or "")
            elif tag == "br":
                parts.append("\n")
            elif tag == "oMath":
                parts.append(equation_text(node))
        text = "".join(parts).strip()
        if text:
            yield text, level


def _cached(series: Element, *names: str) -> list[str]:
    """Return the values a chart keeps of its worksheet."""
    points = (point for part in series if local(part) in names for point in part.iter() if local(point) == "v")
    return [_number(point.text) for point in points if point.text]


def _number(text: str) -> str:
    try:
        return number_text(float(text))
    except ValueError:
        return text
