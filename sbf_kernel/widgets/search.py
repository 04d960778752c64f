"""Search: ranked passages, why they rank there, and the way to their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sbf_kernel import display
from sbf_kernel.records import Hit, Hits
from sbf_kernel.widgets.panel import script, style
from sbf_kernel.widgets.reading import ADD_SOURCES, Reader
from sbf_kernel.widgets.rows import hit_row

if TYPE_CHECKING:
    from uuid import UUID

    from sbf_kernel.display import View
    from sbf_kernel.records import Notebook
    from sbf_kernel.workspace import Workspace


class SearchBox(Reader):
    """Search a notebook, or all.

    Attributes
    ----------
    hits
        What was found last, as :class:`~sbf_kernel.records.Hits`; None before.
    selected
        The hit that was opened or inserted last; None before.
    """

    _esm = script("viewer", "search")
    _css = style("viewer", "search")

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None, query: str = "") -> None:
        self.hits: Hits | None = None
        self.selected: Hit | None = None
        super().__init__(workspace, notebook)
        self.state = {"notebook": notebook.name if notebook else "", "query": query, "found": None, "filters": {}}
        if query:
            self._do_search(query)

    def _do_search(
        self, query: str, everywhere: bool = False, media_types: tuple[str, ...] = (), arm: str = "hybrid",
        per_source: bool = False, limit: int = 20,
    ) -> dict[str, Any]:  # fmt: skip
        """Search; what is found also becomes ``hits``."""
        scope = () if everywhere or self._notebook is None else (self._notebook.id,)
        hits = self._ws.search(
            query, limit=limit, notebook_ids=scope, media_types=tuple(media_types), arm=arm, per_source=per_source
        )
        self.hits = hits
        found = {
            "query": query,
            "rows": [hit_row(hit) for hit in hits],
            "searched": hits.searched_chunks,
            "milliseconds": round(hits.milliseconds),
            "warnings": list(hits.warnings),
            "limit": limit,
            "advice": "" if hits else self._advice(scope),
        }
        filters = {"everywhere": everywhere, "media_types": list(media_types), "arm": arm, "per_source": per_source}
        self._show(query=query, found=found, filters=filters)
        return found

    def _advice(self, scope: tuple[UUID, ...]) -> str:
        """Return what to do when nothing was found."""
        if not self._without_sources(scope[0] if scope else None):
            return "Try other words, another type, or all notebooks."
        return f"{'This notebook is empty' if scope else 'There are no sources yet'}: {ADD_SOURCES}."

    def _do_select(self, rank: int) -> None:
        """Remember which hit was opened or inserted."""
        self.selected = next((hit for hit in self.hits or () if hit.rank == rank), None)

    def _view(self) -> View:
        if self.hits is not None:
            return self.hits._view()
        return display.quote("Search", "Nothing was searched for yet.")
