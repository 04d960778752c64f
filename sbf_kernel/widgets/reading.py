"""Reading sources in a widget: their text in pieces, the cited span marked, and lists of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.display.escaping import one_line
from sbf_kernel.operations import build
from sbf_kernel.records import Source, SourceList, SourcePage, SourceText
from sbf_kernel.widgets.panel import Panel
from sbf_kernel.widgets.rows import parts, source_row

PIECE = 16_000
"""Characters sent at once: a few screens. Jupyter drops messages beyond about 3 MB within 3 seconds."""
BEFORE = 3_000
"""Characters shown before a cited span."""
KEPT_PICTURES = 20
"""Pictures of pages kept at hand, about 60 kB each."""
KEPT = 4
"""Texts kept at hand; scrolling asks for piece after piece of the same one."""
ADD_SOURCES = "nb.widgets.sources() takes files, links and text; nb.add() too"
"""What to do about a notebook in which there is nothing to find."""


class Reader(Panel):
    """A widget in which sources can be opened."""

    def __init__(self, *arguments: Any) -> None:
        self._texts: OrderedDict[tuple[str, str], SourceText] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, int, int], SourcePage] = OrderedDict()
        super().__init__(*arguments)

    def _do_text(
        self, source_id: str, version_id: str | None = None, start: int = 0, end: int = 0, at: int | None = None,
        toward: Literal["end", "start"] = "end",
    ) -> dict[str, Any]:  # fmt: skip
        """Return a piece of a source's text.

        Parameters
        ----------
        start, end
            The span to mark; the piece lies around it unless ``at`` is given.
        at
            Where the piece begins, or ends when it is read toward the start.
        """
        found = self._text(source_id, version_id)
        left, right = _piece(found.text, start, end, at, toward)
        return {
            "source_id": str(found.source_id),
            "version_id": str(found.version_id),
            "version": found.version,
            "name": one_line(found.name),
            "length": len(found.text),
            "pages": self._pages(source_id) if at is None else 0,
            "from": left,
            "to": right,
            "parts": parts(found.text, [(start, end)] if end > start else [], left, right),
        }

    def _text(self, source_id: str, version_id: str | None) -> SourceText:
        key = (source_id, version_id or "")
        with self._lock:
            if version_id and key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        found: SourceText = self._ws.call(build(op.GetSourceText, source_id=source_id, version_id=version_id))
        with self._lock:
            self._texts[(source_id, str(found.version_id))] = found  # versions never change
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)
        return found

    def _pages(self, source_id: str) -> int:
        """Return how many pages can be looked at: only those of PDFs."""
        source: Source = self._ws.call(build(op.GetSource, source_id=source_id))
        return (source.page_count or 0) if source.media_type == "application/pdf" else 0

    def _do_picture(self, source_id: str, version_id: str, page: int, width: int) -> dict[str, Any]:
        """Return a picture of a page of a PDF; the last ones are kept, since they never change."""
        key = (version_id, page, width)
        with self._lock:
            kept = self._pictures.pop(key, None)
        drawn: SourcePage = kept or self._ws.call(
            build(op.GetSourcePage, source_id=source_id, version_id=version_id, page=page, width=width)
        )
        with self._lock:
            self._pictures[key] = drawn
            while len(self._pictures) > KEPT_PICTURES:
                self._pictures.popitem(last=False)
        return drawn.model_dump(mode="json", include={"image", "media_type", "page", "pages", "width", "height"})

    def _do_page(
        self, offset: int = 0, limit: int = 100, search: str = "", status: str | None = None, sort: str = "newest"
    ) -> dict[str, Any]:
        """Return a page of the notebook's sources."""
        found = self._ws.call(
            build(
                op.ListSources,
                notebook_id=self._notebook.id if self._notebook else None,
                search=search,
                status=status or None,
                sort=sort,
                limit=limit,
                offset=offset,
            )
        )
        return {"total": found.total, "offset": offset, "rows": [source_row(source) for source in found]}

    def _without_sources(self, notebook_id: UUID | None) -> bool:
        """Return whether a notebook, or for None the workspace, has no sources at all."""
        found: SourceList = self._ws.call(build(op.ListSources, notebook_id=notebook_id, limit=1))
        return found.total == 0

    @property
    def _notebook_id(self) -> UUID:
        assert self._notebook is not None
        return self._notebook.id


def _piece(text: str, start: int, end: int, at: int | None, toward: str) -> tuple[int, int]:
    """Return where a piece begins and ends: at line breaks where there are any near."""
    if at is None:
        left, right = max(0, start - BEFORE), min(len(text), max(end, start) + PIECE)
        return _break(text, left) if left else 0, _break(text, right)
    if toward == "start":
        left = max(0, at - PIECE)
        return (_break(text, left) if left else 0), at
    return at, _break(text, min(len(text), at + PIECE))


def _break(text: str, near: int) -> int:
    """Return the place after the last line break in the 1,000 characters before ``near``, or else ``near``."""
    if near >= len(text):
        return len(text)
    found = text.rfind("\n", max(0, near - 1_000), near)
    return near if found < 0 else found + 1
