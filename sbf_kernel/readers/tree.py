"""XML trees: the one place that parses XML, and the few questions readers ask of an element.

Entities are never resolved, nothing is fetched, and the size of a document is
known before a tree of it is built.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from sbf_kernel.errors import SourceBroken, SourceTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_ELEMENTS: Final = 2_500_000
"""Of one XML part: lxml needs about 250 bytes for each, so a tree stays well below a gigabyte."""
_DOCTYPE = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)


class Element(Protocol):
    """What readers use of an lxml element."""

    tag: Any
    """``{namespace}name``; not a string for comments and processing instructions."""
    text: str | None
    tail: str | None

    # What these do is lxml's to say: https://lxml.de/apidoc/lxml.etree.html
    # ruff: noqa: D102
    @property
    def attrib(self) -> Mapping[str, str]: ...
    def get(self, key: str) -> str | None: ...
    def iter(self, *tags: str) -> Iterator[Element]: ...
    def iterancestors(self, *tags: str) -> Iterator[Element]: ...
    def iterdescendants(self, *tags: str) -> Iterator[Element]: ...
    def iterchildren(self, *tags: str) -> Iterator[Element]: ...
    def itertext(self) -> Iterator[str]: ...
    def getparent(self) -> Element | None: ...
    def getprevious(self) -> Element | None: ...
    def getroottree(self) -> Element: ...
    def remove(self, element: Element) -> None: ...
    def clear(self) -> None: ...
    def __iter__(self) -> Iterator[Element]: ...
    def __reversed__(self) -> Iterator[Element]: ...
    def __getitem__(self, place: int) -> Element: ...
    def __delitem__(self, place: int) -> None: ...
    def __len__(self) -> int: ...


def local(element: Element | None) -> str:
    """Return an element's name without its namespace; '' for comments and for None."""
    tag = element.tag if element is not None else None
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str:
    """Return an attribute by local name, whatever its namespace; '' if there is none."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def text_of(element: Element) -> str:
    """Return all text inside an element."""
    return "".join(str(part) for part in element.itertext())


def parse_xml(data: bytes, what: str, *, allow_doctype: bool = False, recover: bool = False) -> Element:
    """Parse XML after counting its elements.

    Parameters
    ----------
    data
        The bytes of the document.
    what
        What it is, for messages.
    allow_doctype
        Office formats must have none (an attack otherwise); JATS and RSS do.
    recover
        Go on after errors in markup.

    Raises
    ------
    SourceBroken, SourceTooLarge
        It is no XML, or its tree would not fit into memory.
    """
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    if not allow_doctype:
        refuse_doctype(data, what)
    count_elements(data, what)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        dtd_validation=False,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise SourceBroken(f"{what} is damaged ({error.msg})") from error
    if root is None:
        raise SourceBroken(f"{what} is damaged: no element in it")
    return cast("Element", root)


def stream_xml(data: bytes, wanted: str, what: str) -> Iterator[Element]:
    """Yield the elements with the local name ``wanted`` one by one, and forget each when the next is asked for."""
    from lxml import etree  # type: ignore[import-untyped, unused-ignore]

    refuse_doctype(data, what)
    walk = etree.iterparse(
        io.BytesIO(data),
        events=("end",),
        tag=f"{{*}}{wanted}",
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        remove_comments=True,
    )
    try:
        for _, element in walk:
            yield cast("Element", element)
            element.clear()
            parent = element.getparent()
            while parent is not None and element.getprevious() is not None:
                del parent[0]
    except etree.XMLSyntaxError as error:
        raise SourceBroken(f"{what} is damaged ({error.msg})") from error


def refuse_doctype(data: bytes, what: str) -> None:
    """Refuse a document type or entity declaration, with which parsers are made to read files or fill memory."""
    if _DOCTYPE.search(data[:40_000].replace(b"\0", b"")):
        raise SourceBroken(f"{what} declares a document type or entities, which no such file has")


def count_elements(data: bytes, what: str) -> None:
    """Refuse XML whose tree would not fit into memory, by a linear scan of the bytes."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:4].count(0):
        data = data.replace(b"\0", b"")  # UTF-16: the ASCII of the tags is enough to count
    count = data.count(b"<") - data.count(b"</")
    if count > MAX_ELEMENTS:
        raise SourceTooLarge(f"{what} holds {count:,} XML elements; the limit is {MAX_ELEMENTS:,}")
