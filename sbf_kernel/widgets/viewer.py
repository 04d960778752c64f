"""The text of a source, with the words it is opened for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel import display
from sbf_kernel.widgets.panel import script, style
from sbf_kernel.widgets.reading import Reader

if TYPE_CHECKING:
    from uuid import UUID

    from sbf_kernel.display import View
    from sbf_kernel.workspace import Workspace

SHOWN = 2_000
"""Characters shown where no widget can be."""


class SourceViewer(Reader):
    """The stored text of a source; a span of it marked and scrolled to.

    Parameters
    ----------
    source_id, version_id
        Which text; by default the newest version.
    start, end
        The span to mark, in characters.
    """

    _esm = script("viewer")
    _css = style("viewer")

    def __init__(
        self, workspace: Workspace, source_id: UUID, version_id: UUID | None = None, start: int = 0, end: int = 0
    ) -> None:
        super().__init__(workspace)
        version = str(version_id) if version_id else None
        piece = self._do_text(str(source_id), version, start, end)
        self.state = {"piece": piece, "start": start, "end": end}

    def _view(self) -> View:
        piece = self.state["piece"]
        found = self._text(piece["source_id"], piece["version_id"])
        left = max(0, self.state["start"] - SHOWN // 4)
        return display.quote(f"{found.name} · version {found.version}", found.text[left : left + SHOWN])

    def __repr__(self) -> str:
        return f"<SourceViewer of {self.state['piece']['name']!r}>"
