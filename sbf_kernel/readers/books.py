"""EPUB books in the order of their spine, with chapter headings."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from sbf_kernel.errors import SourceBroken, SourceEncrypted
from sbf_kernel.readers.archive import Archive
from sbf_kernel.readers.html import add_html, decode_html
from sbf_kernel.readers.reading import RawSource, Reading, ReadingBuilder, one_line
from sbf_kernel.readers.tree import Element, attribute, local, parse_xml, text_of

_FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read_epub(source: RawSource) -> Reading:
    """Read a book. A chapter file without a heading of its own gets its title from the table of contents.

    Raises
    ------
    SourceEncrypted
        Its text is under digital rights management.
    """
    archive = Archive(source.content, source.name)
    _refuse_rights_management(archive, source.name)
    container = _xml(archive, "META-INF/container.xml", source.name)
    opf = next((attribute(node, "full-path") for node in container.iter() if local(node) == "rootfile"), "")
    package = _xml(archive, opf, source.name)
    folder = posixpath.dirname(opf)
    items: dict[str, tuple[str, str, str]] = {}
    facts: dict[str, str] = {}
    names = {
        "title": "title",
        "creator": "author",
        "language": "language",
        "date": "date",
        "publisher": "publisher",
        "identifier": "identifier",
        "subject": "subject",
    }
    for node in package.iter():
        if local(node) == "item":
            path = posixpath.normpath(posixpath.join(folder, unquote(attribute(node, "href"))))
            items[attribute(node, "id")] = (path, attribute(node, "media-type"), attribute(node, "properties"))
        elif local(node) in names and node.text:
            facts.setdefault(names[local(node)], node.text)
    labels = _contents(archive, items, source.name)
    builder = ReadingBuilder()
    for node in package.iter():
        path, kind, properties = items.get(attribute(node, "idref"), ("", "", ""))
        if local(node) == "itemref" and path and "nav" not in properties.split() and "image" not in kind:
            _add_chapter(builder, archive.read(path), labels.get(path, ""))
    return builder.build(title=facts.pop("title", ""), media_type="application/epub+zip", metadata=facts)


def _add_chapter(builder: ReadingBuilder, content: bytes, label: str) -> None:
    if not content.strip():
        return
    markup = decode_html(content)
    lowered = markup.lower()
    if label and not any(f"<h{level}" in lowered for level in range(1, 5)):
        builder.heading(label, 1)
    add_html(builder, markup, whole=True)


def _xml(archive: Archive, path: str, name: str) -> Element:
    data = archive.read(path) if path else b""
    if not data.strip():
        raise SourceBroken(f"{name!r} is damaged: {path or 'the package file'} is missing")
    return parse_xml(data, f"{name!r}: {path}", allow_doctype=True, recover=True)


def _refuse_rights_management(archive: Archive, name: str) -> None:
    if "META-INF/encryption.xml" not in archive:
        return
    root = _xml(archive, "META-INF/encryption.xml", name)
    methods = [attribute(node, "Algorithm") for node in root.iter() if local(node) == "EncryptionMethod"]
    if any(method not in _FONT_SCRAMBLING for method in methods):
        raise SourceEncrypted(
            f"{name!r} is protected by digital rights management",
            source=name,
            hint="only its reading program can open it; add a copy without protection",
        )


def _contents(archive: Archive, items: dict[str, tuple[str, str, str]], name: str) -> dict[str, str]:
    """Return path of a chapter file → its first title in the table of contents (NCX or navigation document)."""
    labels: dict[str, str] = {}
    for path, kind, properties in items.values():
        if kind != "application/x-dtbncx+xml" and "nav" not in properties.split():
            continue
        try:
            root = _xml(archive, path, name)
        except SourceBroken:
            continue  # a book can be read without its table of contents
        folder = posixpath.dirname(path)
        for node in root.iter():
            if local(node) == "navPoint":
                target = next((attribute(part, "src") for part in node if local(part) == "content"), "")
                text = next((text_of(part) for part in node if local(part) == "navLabel"), "")
            elif local(node) == "a":
                target, text = attribute(node, "href"), text_of(node)
            else:
                continue
            target = posixpath.normpath(posixpath.join(folder, unquote(target.partition("#")[0])))
            labels.setdefault(target, one_line(text))
    return labels
