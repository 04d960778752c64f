"""HTML and XHTML: the main text with headings, lists, tables and code.

Parsers of HTML are quadratic, or silently drop text, when elements are nested
thousands deep; so a linear scan counts first and hopeless pages are read as
plain text (:func:`is_hostile`). What is main text is decided in
:mod:`sbf_kernel.readers.main_part`.
"""

from __future__ import annotations

import html as entities
import re
from typing import TYPE_CHECKING, Final, Unpack, cast

from sbf_kernel.readers.html_tables import table_rows
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, Where
from sbf_kernel.readers.text import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.readers.tree import Element

MAX_DEPTH: Final = 200
"""libxml2 drops what stands deeper than 255 levels; real pages stay under 100."""
MAX_TAGS: Final = 200_000
"""The 2.4 MB annual report among the test files has 60,000."""

_CHARSET = re.compile(rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]+)")
_XML_HEAD = re.compile(r"\A\ufeff?\s*<\?xml[^>]*\?>")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)([^<>]*)>")
_INVISIBLE = re.compile(r"<(?:!--|(script|style|head|template|svg)\b)", re.IGNORECASE)
_BLOCK_TAG = re.compile(r"</?(?:p|div|br|li|tr|h[1-6]|table|section|article|pre|dt|dd|hr)\b[^>]*>", re.IGNORECASE)
# Tags whose end may be left out: repeated openings follow each other, they do not nest.
_FLAT = frozenset({
    "br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr", "param",
    "p", "li", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "option", "optgroup", "colgroup", "rt",
    "rp", "html", "head", "body"
})  # fmt: skip

_SKIP = frozenset({
    "script", "style", "template", "svg", "canvas", "iframe", "object", "embed", "audio", "video", "map",
    "noscript", "head", "button", "select", "input", "textarea", "datalist", "progress", "meter", "rp", "rt",
    "area", "link", "meta", "title", "dialog"
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li",
    "main", "nav", "ol", "p", "section", "summary", "ul", "menu", "table", "tbody", "thead", "tfoot", "tr", "td",
    "th", "caption", "search"
})  # fmt: skip
_BOLD = re.compile(r"font-weight\s*:\s*(?:bold|[6-9]00)", re.IGNORECASE)
_MARKER = re.compile(r"[•·▪●■◦–—*☐☑☒✓-]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]")
_PART = re.compile(r"(?:part|item|chapter|section|article|note)\s+[\dIVXLC]+", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def read_html(source: RawSource) -> Reading:
    """Read a web page: its main text, title, and what it says about itself (author, date, language …)."""
    builder = ReadingBuilder()
    title, metadata = add_html(builder, decode_html(source.content))
    return builder.build(title=title, media_type="text/html", metadata=metadata)


def decode_html(content: bytes) -> str:
    """Return markup as text by byte-order mark, ``<meta charset>`` or XML declaration, else by detection."""
    head = content[:4096]
    declared = _XML_ENCODING.search(head) or _CHARSET.search(head)
    text = decode(content, declared.group(1).decode("ascii", "replace") if declared else None)
    return _XML_HEAD.sub("", text)


def add_html(
    builder: ReadingBuilder, markup: str, *, whole: bool = False, **place: Unpack[Where]
) -> tuple[str, dict[str, str]]:
    """Append a page to ``builder``.

    Parameters
    ----------
    markup
        The decoded page or fragment.
    whole
        Keep everything, as in a book or mail, where there are no menus.
    place
        Given to every block.

    Returns
    -------
    tuple
        The page's title and its metadata.
    """
    if is_hostile(markup):
        _add_flat(builder, markup, place)
        return "", {}
    root = parse_html(markup)
    if root is None:
        return "", {}
    from sbf_kernel.readers.main_part import main_parts, page_facts

    title, metadata = page_facts(root)
    parts = [root] if whole else main_parts(root)
    before = len(builder)
    for part in parts:
        add_element(builder, part, **place)
    if len(builder) == before:  # nothing but what is usually clutter
        _add_flat(builder, markup, place)
    return title, metadata


def _add_flat(builder: ReadingBuilder, markup: str, place: Where) -> None:
    for paragraph in flat_text(markup).split("\n\n"):
        builder.add(paragraph, **place)


def is_hostile(markup: str) -> bool:
    """Return whether elements nest deeper than :data:`MAX_DEPTH` or outnumber :data:`MAX_TAGS`, in linear time."""
    depth = tags = 0
    for match in _TAG.finditer(markup):
        tags += 1
        closing, tag, rest = match.groups()
        if tag.lower() in _FLAT or rest.endswith("/"):
            continue
        depth = max(depth - 1, 0) if closing else depth + 1
        if depth > MAX_DEPTH or tags > MAX_TAGS:
            return True
    return False


def flat_text(markup: str) -> str:
    """Return the text between tags, block tags as paragraph breaks, without building a tree, in linear time."""
    text = _BLOCK_TAG.sub("\n\n", _without_invisible(markup))
    return entities.unescape(re.sub(r"<[^<>]{0,10000}>", "", text))


def _without_invisible(markup: str) -> str:
    """Cut out comments, scripts and styles. What has no end is kept: looking for it again and again is quadratic."""
    parts: list[str] = []
    endless: set[str] = set()
    lowered = markup.lower() if len(markup.lower()) == len(markup) else markup
    place = 0
    for match in _INVISIBLE.finditer(markup):
        end = f"</{match[1].lower()}" if match[1] else "-->"
        if match.start() < place or end in endless:
            continue
        found = lowered.find(end, match.end())
        if found < 0:
            endless.add(end)
            continue
        parts.append(markup[place : match.start()])
        place = found + len(end)
        place = markup.find(">", place) + 1 or place if match[1] else place
    return " ".join([*parts, markup[place:]])


def parse_html(markup: str) -> Element | None:
    """Return the root element, or None when there is no element at all."""
    from lxml import etree, html  # type: ignore[import-untyped, unused-ignore]

    parser = html.HTMLParser(encoding="utf-8", huge_tree=False, remove_comments=True, remove_pis=True)
    data = markup.replace("\x00", "").encode("utf-8", "replace")
    try:
        return cast("Element", html.document_fromstring(data, parser=parser))
    except (etree.ParserError, etree.XMLSyntaxError):
        return None


def add_element(builder: ReadingBuilder, element: Element, **place: Unpack[Where]) -> None:
    """Append an element's text to ``builder``, block by block."""
    headed = sum(1 for _ in element.iter(*_HEADINGS)) > 1
    walk = _Walk(builder, place, bold_titles=not headed)
    walk.visit(element)
    walk.flush()


def tag_of(element: Element) -> str:
    """Return the lower-case local name, '' for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(tag, str) else ""


class _Walk:
    """One pass over a tree of bounded depth, collecting inline text until a block begins or ends."""

    def __init__(self, builder: ReadingBuilder, place: Where, *, bold_titles: bool) -> None:
        self._builder = builder
        self._place = place
        self._inline: list[str] = []
        self._list_depth = 0
        self._marker = ""
        self._bold_depth = 0
        self._plain_letters = 0
        self._bold_titles = bold_titles

    def flush(self) -> None:
        """Append the inline text collected so far as one block."""
        text = re.sub(r" *\n *", "\n", "".join(self._inline)).strip()
        bold, self._plain_letters = not self._plain_letters, 0
        self._inline.clear()
        if not text:
            return
        if bold and self._bold_titles and _is_title(text) and not self._list_depth:
            # Filings and old pages have no heading elements: a line of its own in bold is one to the eye.
            self._builder.heading(text, 2 if _PART.match(text) else 3, **self._place)
            return
        if self._list_depth:
            text, self._marker = self._marker + text, ""
        self._builder.add(text, "list" if self._list_depth else "paragraph", **self._place)

    def visit(self, element: Element) -> None:
        """Add one element; its tail belongs to the caller."""
        tag = tag_of(element)
        if tag in _SKIP or not tag:
            return
        if tag in _HEADINGS:
            self._heading(element, _HEADINGS[tag])
        elif tag == "table":
            self._table(element)
        elif tag in ("pre", "listing", "xmp"):
            self.flush()
            self._builder.add("".join(_preformatted(element)), "code", **self._place)
        elif tag == "math":
            self._inline.append(_formula(element))
        elif tag in ("ul", "ol", "dir", "menu"):
            self._list(element)
        elif tag == "li":
            self._item(element)
        elif tag == "br":
            self._inline.append("\n")
        elif tag in _BLOCKS:
            self.flush()
            bold = bool(_BOLD.search(element.get("style") or ""))
            self._bold_depth += bold
            self._children(element)
            self.flush()
            self._bold_depth -= bold
        else:
            bold = tag in ("b", "strong") or bool(_BOLD.search(element.get("style") or ""))
            self._bold_depth += bold
            self._children(element)
            self._bold_depth -= bold

    def _children(self, element: Element) -> None:
        self._text(element.text)
        for child in element:
            if self._is_figure_before(child):
                self._inline.append(" ")
            self.visit(child)
            self._text(child.tail)

    def _is_figure_before(self, child: Element) -> bool:
        """Return whether ``<b>13%</b><span>of …`` follows: style sheets set such figures apart, not blanks."""
        last = self._inline[-1][-1:] if self._inline and child.tag == "span" else ""
        return bool(last) and (last == "%" or last.isdigit()) and (child.text or "")[:1].isalpha()

    def _text(self, text: str | None) -> None:
        if text:
            # Line breaks of the markup are blanks; only <br> breaks lines.
            self._inline.append(re.sub(r"[ \t\r\n\f]+", " ", text))
            if not self._bold_depth and any(char.isalnum() for char in text):
                self._plain_letters += 1

    def _heading(self, element: Element, level: int) -> None:
        self.flush()
        self._children(element)
        text, self._inline, self._plain_letters = "".join(self._inline), [], 0
        self._builder.heading(text, level, **self._place)

    def _list(self, element: Element) -> None:
        self.flush()
        self._list_depth += 1
        self._children(element)
        self.flush()
        self._list_depth -= 1

    def _item(self, element: Element) -> None:
        self.flush()
        self._marker = "- "
        depth, self._list_depth = self._list_depth, max(self._list_depth, 1)
        self._children(element)
        self.flush()
        self._list_depth, self._marker = depth, ""

    def _table(self, element: Element) -> None:
        self.flush()
        rows = table_rows(element)
        if rows is None:  # laid out with a table: its cells are ordinary blocks
            self._children(element)
            self.flush()
            return
        for caption in element.iterchildren("caption"):
            self.visit(caption)
        self.flush()
        if rows and all(len(row) == 2 and _MARKER.fullmatch(row[0]) for row in rows):
            for marker, text in rows:  # a list laid out as a table
                self._builder.add(f"{'-' if marker in '•·▪●■◦–-—*' else marker} {text}", "list", **self._place)
            return
        self._builder.table(rows, **self._place)


def _is_title(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    return 3 <= len(text) <= 150 and letters * 2 > len(text) and not text.endswith((",", ";", ":")) and "\n" not in text


def _preformatted(element: Element) -> Iterator[str]:
    if element.text:
        yield element.text
    for child in element:
        if tag_of(child) == "br":
            yield "\n"
        elif tag_of(child) not in _SKIP:
            yield from _preformatted(child)
        if child.tail:
            yield child.tail


def _formula(element: Element) -> str:
    """Return a MathML formula as its author typed it, if that is kept, else its symbols."""
    for node in element.iter():
        if tag_of(node) == "annotation" and "tex" in (node.get("encoding") or "").lower() and node.text:
            return f" {node.text.strip()} "
    typed = element.get("alttext")
    if typed:
        return f" {typed} "
    return " ".join("".join(element.itertext()).split())
