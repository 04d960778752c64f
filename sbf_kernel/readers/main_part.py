"""Which parts of a web page are its text, and which are menus, banners and footers.

Rules instead of learning, in the spirit of Readability and of boilerplate
removal by link density (Kohlschütter et al., WSDM 2010): what the page itself
marks as main, minus what it marks as navigation, minus lists of links. Every
rule has a guard: a page that would lose most of its prose keeps it.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sbf_kernel.readers.tree import Element

_NOT_MAIN_TAGS: Final = ("nav", "aside", "footer", "form", "dialog", "menu", "search")
_NOT_MAIN_ROLES: Final = frozenset({
    "navigation", "banner", "contentinfo", "search", "complementary", "dialog", "alertdialog", "menu", "menubar",
    "toolbar", "tablist"
})  # fmt: skip
_NAMED_CLUTTER = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navbox|navigation|menu|submenu|breadcrumbs?|sidebar|footer|cookies?|consent|gdpr|share|"
    r"sharing|social|related|recommended|recirc|newsletter|subscribe|subscription|paywall|promo|advert|advertisement|"
    r"ads?|banner|popup|modal|overlay|masthead|toolbar|pagination|pager|skip|tags|tagcloud|outbrain|taboola|trending|"
    r"most-(?:read|popular|viewed)|popular|teaser|toc-sidebar|editsection|login|signup|comments?|disqus|respond)"
    r"(?:$|[\s_-])",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NO_LETTERS = re.compile(r"[\W\d_]+")
_SENTENCE: Final = 50
"""Letters. Shorter texts are labels and teasers."""
_HIDDEN_TAGS: Final = frozenset({"script", "style", "template", "noscript", "head", "svg"})
_DATE_NAMES: Final = (
    "article:published_time",
    "date",
    "dc.date",
    "datepublished",
    "pubdate",
    "citation_date",
    "citation_publication_date",
)
_AUTHOR_NAMES: Final = ("author", "article:author", "dc.creator", "citation_author")


def main_parts(root: Element) -> list[Element]:
    """Return the elements that hold the main text, in document order, with clutter removed from them.

    The tree is changed. When the rules leave next to nothing of a page, the
    page is not an article, and its whole body is returned instead.
    """
    body = next(root.iter("body"), root)
    _drop_invisible(body)
    sizes = _Sizes(body)
    everything = sizes.prose(body)
    spare = deepcopy(body)
    _drop_clutter(body, sizes)
    sizes = _Sizes(body)
    parts = _marked_main(body, sizes) or [body]
    for part in parts:
        _drop_link_lists(part, sizes)
    sizes = _Sizes(body)
    if len(parts) == 1:
        parts = _article_in(parts[0], sizes)
    left = sum(sizes.prose(part) for part in parts)
    if left < min(0.25 * everything, 2000) or left < 200 <= everything:
        for element in list(spare.iter("nav", "footer", "dialog")):
            _drop(element)
        return [spare]
    return parts


def page_facts(root: Element) -> tuple[str, dict[str, str]]:
    """Return the page's title and what its head declares: author, date, description, language, address."""
    said: dict[str, str] = {}
    for meta in root.iter("meta"):
        key = (meta.get("property") or meta.get("name") or meta.get("itemprop") or "").lower()
        value = (meta.get("content") or "").strip()
        if key and value:
            said.setdefault(key, value[:1000])
    titles = ["".join(title.itertext()) for title in root.iter("title") if _in_head(title)]
    heads = ["".join(head.itertext()) for head in root.iter("h1")]
    named = [*(said.get(key, "") for key in ("og:title", "citation_title", "dc.title")), *titles[:1], *heads[:1]]
    title = next((" ".join(text.split()) for text in named if text.strip()), "")
    canonical = [link.get("href") or "" for link in root.iter("link") if (link.get("rel") or "").lower() == "canonical"]
    facts = {
        "author": next((said[key] for key in _AUTHOR_NAMES if key in said), ""),
        "date": next((said[key] for key in _DATE_NAMES if key in said), ""),
        "description": said.get("description") or said.get("og:description", ""),
        "language": root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "",
        "url": said.get("og:url") or next(iter(canonical), ""),
    }
    return title, {key: value for key, value in facts.items() if value}


class _Sizes:
    """How much text every element of a tree holds, counted in one pass: letters, because menus have numbers too.

    ``prose`` counts letters outside links, ``linked`` inside them, and
    ``sentences`` those outside links in texts of at least :data:`_SENTENCE` letters.
    """

    def __init__(self, root: Element) -> None:
        from lxml import etree  # type: ignore[import-untyped, unused-ignore]

        self._counts: dict[Element, tuple[int, int, int]] = {}
        totals = [0, 0, 0]
        starts: list[tuple[int, int, int]] = []
        links = skipped = 0
        for event, node in etree.iterwalk(root, events=("start", "end")):
            hidden, link = node.tag in _HIDDEN_TAGS, node.tag == "a"
            if event == "start":
                starts.append((totals[0], totals[1], totals[2]))
                skipped, links = skipped + hidden, links + link
                text = node.text
            else:
                skipped, links = skipped - hidden, links - link
                before = starts.pop()
                self._counts[node] = (totals[0] - before[0], totals[1] - before[1], totals[2] - before[2])
                text = node.tail
            letters = len(_NO_LETTERS.sub("", text)) if text and not skipped else 0
            totals[1 if links else 0] += letters
            totals[2] += letters if letters >= _SENTENCE and not links else 0

    def prose(self, element: Element) -> int:
        """Return the letters outside links: what a reader came for."""
        return self._counts.get(element, (0, 0, 0))[0]

    def linked(self, element: Element) -> int:
        """Return the letters inside links."""
        return self._counts.get(element, (0, 0, 0))[1]

    def sentences(self, element: Element) -> int:
        """Return the letters in sentences."""
        return self._counts.get(element, (0, 0, 0))[2]


def _drop_invisible(body: Element) -> None:
    for element in list(body.iter()):
        if element is body or not isinstance(element.tag, str):
            continue
        style = element.get("style")
        if element.get("hidden") is not None or (style and _HIDDEN.search(style)):
            _drop(element)


def _drop_clutter(body: Element, sizes: _Sizes) -> None:
    """Drop what is marked as no main text, unless it holds a large share of the page's prose."""
    everything = sizes.prose(body)
    for element in list(body.iter()):
        if element is body or not isinstance(element.tag, str) or element.getparent() is None:
            continue
        sure = element.tag in _NOT_MAIN_TAGS or element.get("role") in _NOT_MAIN_ROLES
        sure = sure or (element.tag == "header" and next(element.iterancestors("article", "main"), None) is None)
        named = f"{element.get('class') or ''} {element.get('id') or ''}"
        if not sure and (element.tag in {"body", "main", "article", "html"} or not _NAMED_CLUTTER.search(named)):
            continue
        prose, linked = sizes.prose(element), sizes.linked(element)
        if prose > 0.1 * everything and next(element.iter("h1", "main"), None) is not None:
            continue
        limit = 0.3 if sure or linked > prose else 0.1
        if prose <= max(limit * everything, 40):
            _drop(element)


def _marked_main(body: Element, sizes: _Sizes) -> list[Element]:
    """Return what the page marks as its main part, when that holds most of the prose that is left."""
    prose = sizes.prose(body)
    mains = [
        element
        for element in body.iter("main", "div", "section")
        if element.tag == "main" or element.get("role") == "main"
    ]
    articles = [element for element in body.iter("article") if next(element.iterancestors("article"), None) is None]
    for group in (mains, articles):
        lengths = [sizes.prose(element) for element in group]
        if group and max(lengths) > 0.8 * sum(lengths) and max(lengths) > 0.4 * prose:
            return [group[lengths.index(max(lengths))]]
        if group and sum(lengths) > 0.5 * prose:
            return [element for element in group if next(element.iterancestors("main"), None) is None] or group
    return []


def _drop_link_lists(part: Element, sizes: _Sizes) -> None:
    """Drop lists and divisions that are nearly all links: menus without the name.

    Unless they are most of the part: then it is a list, not an article.
    """
    menus: set[Element] = set()
    dropped = 0
    for element in part.iter("ul", "ol", "div", "section", "p"):
        prose, linked = sizes.prose(element), sizes.linked(element)
        if element is part or linked <= 4 * prose or not menus.isdisjoint(element.iterancestors()):
            continue
        links = sum(1 for _ in element.iter("a"))
        if links > 2 and linked / links < 120 and next(element.iter("h1", "th"), None) is None:
            menus.add(element)
            dropped += linked
    if dropped < 0.6 * (sizes.prose(part) + sizes.linked(part)):
        for element in menus:
            _drop(element)


def _article_in(part: Element, sizes: _Sizes) -> list[Element]:
    """Return the smallest element that holds nearly all sentences of ``part``, after the page's first heading.

    What surrounds it are teasers, offers and video lists. Pages of short
    pieces (tables, lists, reference manuals) stay whole: there, what would be
    left out is more than a fifth of the prose.
    """
    found = part
    while sizes.sentences(part) > 600:
        inner = next((child for child in found if sizes.sentences(child) > 0.95 * sizes.sentences(part)), None)
        if inner is None or sizes.prose(inner) < 0.8 * sizes.prose(part):
            break
        found = inner
    return [found] if found is part else [*_before(part, found), found]


def _before(part: Element, found: Element) -> list[Element]:
    """Return what stands between the page's heading and its text: the heading, lead, author, date."""
    title = _folded("".join(next((node for node in part.getroottree().iter("title")), part).itertext()))
    around = {found, *found.iterancestors()}
    headings = [node for node in part.iter("h1", "h2", "h3") if found not in node.iterancestors()]
    named = [node for node in headings if len(text := _folded("".join(node.itertext()))) > 5 and text in title]
    start = next(iter(named), next((node for node in headings if node.tag == "h1"), None))
    taken: list[Element] = []
    started = False
    for node in part.iter():
        if node is found:
            return taken
        started = started or node is start
        if started and node not in around and isinstance(node.tag, str) and not set(node.iterancestors()) & set(taken):
            taken.append(node)
    return [start] if start is not None else []  # the heading stands below the text


def _folded(text: str) -> str:
    return _NO_LETTERS.sub("", text).casefold()


def _in_head(title: Element) -> bool:
    parent = title.getparent()
    return parent is not None and parent.tag in ("head", "html")


def _drop(element: Element) -> None:
    """Remove an element but not the text after it."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail and element.tail.strip():
        before = element.getprevious()
        # "&#1;" is parsed, but lxml refuses to be given the character.
        tail = " " + _CONTROLS.sub("", element.tail)
        if before is None:
            parent.text = _CONTROLS.sub("", parent.text or "") + tail
        else:
            before.tail = _CONTROLS.sub("", before.tail or "") + tail
    parent.remove(element)
