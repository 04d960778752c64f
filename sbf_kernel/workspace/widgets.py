"""``nb.widgets`` and ``ws.widgets``: what one clicks on, in Jupyter."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.operations import build
from sbf_kernel.records import Chat, Citation, Hit, Notebook, Source
from sbf_kernel.workspace.chats import ChatHandle
from sbf_kernel.workspace.references import Ref
from sbf_kernel.workspace.sources import Sources

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace

_MODULE = "sbf_kernel.widgets"
"""Named, not imported: the widgets stand on what is in this package, and need anywidget."""


class Widgets:
    """The widgets of a notebook, or of a whole workspace.

    Each is shown by being the last thing in a cell. With ``SBF_STATIC=1`` the
    cell shows a table or text instead, and nothing that can be clicked.
    """

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None) -> None:
        self._ws, self._notebook = workspace, notebook

    def sources(self) -> Any:
        """Drop files, paste links or text, follow each source until it is ready, read it."""
        return _widget("SourcesBox")(self._ws, self._notebook)

    def search(self, query: str = "") -> Any:
        """Search, see why each hit ranks where it does, open it at its words. ``.hits`` are what was found last."""
        return _widget("SearchBox")(self._ws, self._notebook, query)

    def chat(self, chat: Chat | ChatHandle | Ref | None = None) -> Any:
        """Talk with the sources.

        Parameters
        ----------
        chat
            The chat to go on with; the next question begins a new one when none is given.

        Raises
        ------
        InvalidInput
            Neither a chat nor a notebook is given.
        """
        if chat is None and self._notebook is None:
            raise InvalidInput("a chat needs a notebook", hint="use nb.widgets.chat()")
        found: Chat | None = None
        if chat is not None:
            chat_id = chat.id if isinstance(chat, (Chat, ChatHandle)) else chat
            found = self._ws.call(build(op.GetChat, chat_id=chat_id))
        notebook = self._notebook
        if found is not None and (notebook is None or notebook.id != found.notebook_id):
            notebook = self._ws.call(op.GetNotebook(notebook_id=found.notebook_id))
        return _widget("ChatBox")(self._ws, notebook, found.id if found else None)

    def viewer(self, what: Source | Hit | Citation | Ref) -> Any:
        """Read a source; a hit or a citation opens it at its words.

        Parameters
        ----------
        what
            Or the id or exact name of a source; of a notebook's widgets, a name in it.
        """
        if isinstance(what, (Hit, Citation)):
            return _widget("SourceViewer")(self._ws, what.source_id, what.version_id, what.start, what.end)
        return _widget("SourceViewer")(self._ws, Sources(self._ws, self._notebook).get(what).id)

    def jobs(self) -> Any:
        """Follow background work; cancel it, try it again."""
        return _widget("JobsBox")(self._ws)

    def __repr__(self) -> str:
        return "<widgets: sources(), search(), chat(), viewer(source), jobs()>"


def _widget(name: str) -> Any:
    return getattr(import_module(_MODULE), name)
