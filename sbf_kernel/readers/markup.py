"""XML: JATS and other articles by their sections, feeds by their entries, any other XML by its texts."""

from __future__ import annotations

import re
from typing import Final

from sbf_kernel.errors import SourceBroken
from sbf_kernel.readers.html import add_html, decode_html, flat_text
from sbf_kernel.readers.html_tables import tidy
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder
from sbf_kernel.readers.text import add_plain_text
from sbf_kernel.readers.tree import Element, attribute, local, parse_xml

_SECTIONS: Final = frozenset({
    "sec", "section", "chapter", "part", "div", "abstract", "appendix", "app", "ack", "ref-list", "front", "back",
    "body", "article", "book", "sect1", "sect2", "sect3", "sect4", "preface", "boxed-text", "trans-abstract",
    "glossary"
})  # fmt: skip
_TITLES: Final = frozenset(["title", "head", "article-title"])
_PARAGRAPHS: Final = frozenset({
    "p", "para", "simpara", "l", "ab", "verse-line", "disp-quote", "attrib", "td", "th", "entry", "term", "def",
    "label-text"
})  # fmt: skip
_LISTED: Final = frozenset(["list-item", "listitem", "item", "ref", "mixed-citation"])
_CODE: Final = frozenset(["code", "preformat", "programlisting", "screen"])
_FRONT_SKIPPED: Final = frozenset({
    "journal-meta", "permissions", "article-categories", "pub-date", "history", "custom-meta-group", "volume",
    "issue", "elocation-id", "fpage", "lpage", "counts", "self-uri", "funding-group", "kwd-group", "aff",
    "article-id", "contrib-group", "author-notes", "related-article", "related-object"
})  # fmt: skip
_MARKUP_INSIDE = re.compile(r"</?(?:p|br|div|a|ul|ol|li|h\d|b|i|em|strong|table|img|span)\b[^<>]*>", re.IGNORECASE)
MAX_DEPTH: Final = 250


def read_xml(source: RawSource) -> Reading:
    """Read any XML document."""
    root = _root(source.content, source.name)
    builder = ReadingBuilder()
    tag = local(root).lower()
    if tag in ("rss", "feed", "rdf"):
        title = _add_feed(builder, root)
    elif tag == "html":
        title, _ = add_html(builder, decode_html(source.content))
    elif any(local(node) in _SECTIONS for node in root.iter()) and any(local(n) in ("p", "para") for n in root.iter()):
        title = _add_article(builder, root)
    else:
        title = ""
        _add_texts(builder, root)
    if builder.empty:
        _add_texts(builder, root)
    return builder.build(title=title, media_type="application/xml")


def read_jats(source: RawSource) -> Reading:
    """Read a journal article in the Journal Article Tag Suite (NISO Z39.96)."""
    root = _root(source.content, source.name)
    builder = ReadingBuilder()
    title = _add_article(builder, root)
    return builder.build(title=title, media_type="application/jats+xml", metadata=_jats_facts(root))


def _root(content: bytes, name: str) -> Element:
    """Parse leniently: what stands before a mistake is better than nothing."""
    text = decode_html(content).lstrip("\ufeff \t\r\n").replace("\x00", "")
    text = re.sub(r"[\x01-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", text)
    data = text.encode("utf-8")
    try:
        return parse_xml(data, repr(name), allow_doctype=True)
    except SourceBroken:
        root = parse_xml(data, repr(name), allow_doctype=True, recover=True)
        kept = sum(len(str(part)) for part in root.itertext())
        if kept < 0.5 * len(flat_text(text).strip()):
            raise
        return root


def _jats_facts(root: Element) -> dict[str, str]:
    front = next((node for node in root.iter() if local(node) == "article-meta"), root)
    facts: dict[str, str] = {}
    for node in front.iter():
        if local(node) == "article-id" and attribute(node, "pub-id-type") == "doi":
            facts["doi"] = node.text or ""
        elif local(node) == "year":
            facts.setdefault("date", node.text or "")
    facts["author"] = ", ".join(_authors(front))[:2000]
    return facts


def _authors(front: Element | None) -> list[str]:
    """Return the authors of an article as printed: given names before the surname."""
    names: list[str] = []
    for node in front.iter() if front is not None else ():
        if local(node) == "contrib" and attribute(node, "contrib-type") in ("author", ""):
            parts = {local(part): _inline(part) for part in node.iter() if local(part) in ("given-names", "surname")}
            names.append(f"{parts.get('given-names', '')} {parts.get('surname', '')}".strip())
    return [name for name in names if name]


def _add_article(builder: ReadingBuilder, root: Element) -> str:
    """Append an article by its sections; return its title."""
    title = next((_inline(node) for node in root.iter() if local(node) in ("article-title", "title")), "")
    _Walk(builder).visit(root, 1)
    return title


class _Walk:
    """One pass over an article; the parser has bounded the depth of the tree."""

    def __init__(self, builder: ReadingBuilder) -> None:
        self._builder = builder

    def visit(self, node: Element, level: int) -> None:
        """Append an element; ``level`` is the heading level of titles in it."""
        tag = local(node)
        if not tag or tag in _FRONT_SKIPPED:
            return
        if tag == "title-group":
            self._children(node, level)
            self._builder.add(", ".join(_authors(node.getparent())))
        elif tag in _TITLES:
            self._builder.heading(_inline(node), min(level, 6))
        elif tag in _LISTED and not any(local(part) in ("p", "para") for part in node.iter()):
            self._builder.add("- " + _inline(node), "list")
        elif tag in _PARAGRAPHS:
            self._builder.add(_inline(node))
            self._inner_blocks(node, level)
        elif tag in ("table", "informaltable", "tgroup"):
            self._table(node)
        elif tag in _CODE:
            self._builder.add("".join(map(str, node.itertext())), "code")
        elif tag in ("disp-formula", "equation", "tex-math"):
            self._builder.add(_inline(node))
        else:
            self._children(node, level)

    def _children(self, node: Element, level: int) -> None:
        tag = local(node)
        if tag == "abstract" and not any(local(child) in _TITLES for child in node):
            self._builder.heading("Abstract", min(level, 6))
        inner = level + 1 if tag in _SECTIONS and tag not in ("front", "body", "back", "article", "book") else level
        if (node.text or "").strip():
            self._builder.add(node.text or "")
        for child in node:
            after_title = local(child) in _TITLES
            self.visit(child, level if after_title else inner)
            if (child.tail or "").strip():
                self._builder.add(child.tail or "")

    def _inner_blocks(self, node: Element, level: int) -> None:
        """Append lists, tables and figures that stand inside a paragraph, which its own text leaves out."""
        for child in node:
            if local(child) in _BLOCKS_INSIDE:
                self.visit(child, level + 1)

    def _table(self, table: Element) -> None:
        rows = [row for row in table.iter() if local(row) in ("tr", "row")]
        cells = [[_inline(cell) for cell in row if local(cell) in ("td", "th", "entry")] for row in rows]
        self._builder.table(tidy(cells))


_BLOCKS_INSIDE: Final = frozenset({
    "list", "table-wrap", "fig", "disp-formula", "boxed-text", "disp-quote", "itemizedlist", "orderedlist",
    "informaltable", "table", "figure", "programlisting", "fig-group", "table-wrap-group"
})  # fmt: skip


def _inline(node: Element) -> str:
    """Return the text of an element on one line, block elements inside it left out."""
    parts: list[str] = [node.text or ""]
    for child in node:
        tag = local(child)
        if tag not in _BLOCKS_INSIDE and tag not in ("label-hidden", "annotation", "tex-math"):
            parts.append(_inline(child))
            if tag in (
                "p",
                "title",
                "surname",
                "break",
                "label",
                "year",
                "name",
                "string-name",
                "person-group",
                "article-title",
                "source",
                "volume",
            ):
                parts.append(" ")
        parts.append(child.tail or "")
    return " ".join("".join(parts).split())


def _add_feed(builder: ReadingBuilder, root: Element) -> str:
    """Append an RSS or Atom feed: each entry under its title, its text with markup removed."""
    channel = next((node for node in root if local(node) == "channel"), root)
    title = next((_inline(node) for node in channel if local(node) == "title"), "")
    builder.heading(title, 1)
    for node in channel:
        if local(node) in ("description", "subtitle"):
            _add_marked(builder, "".join(map(str, node.itertext())))
    for entry in root.iter():
        if local(entry) not in ("item", "entry"):
            continue
        builder.heading(next((_inline(node) for node in entry if local(node) == "title"), ""), 2)
        contents = [node for node in entry if local(node) in ("encoded", "content")]
        for node in contents or [n for n in entry if local(n) in ("description", "summary")]:
            _add_marked(builder, "".join(map(str, node.itertext())))
        for node in entry:
            if local(node) in ("link", "pubDate", "published", "date", "creator", "author"):
                builder.add(_inline(node) or attribute(node, "href"))
    return title


def _add_marked(builder: ReadingBuilder, text: str) -> None:
    if _MARKUP_INSIDE.search(text):
        add_html(builder, text, whole=True)
    else:
        add_plain_text(builder, text)


def _add_texts(builder: ReadingBuilder, root: Element) -> None:
    """Append every element that has text of its own; siblings that are short go together, named."""
    for node in root.iter():
        own = (node.text or "").strip() if isinstance(node.tag, str) else ""
        mixed = own or any((child.tail or "").strip() for child in node)
        parent = node.getparent()
        inside = parent is not None and any((child.tail or "").strip() for child in parent)
        if mixed and not inside:
            text = _inline(node)
            builder.add(f"{local(node)}: {text}" if len(text) < 80 and not len(node) else text)
