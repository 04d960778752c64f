"""``ws.notebooks``, and a notebook to work with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from sbf_kernel import operations as op
from sbf_kernel.adding import add_inputs
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.inputs import Input, from_frame, from_sql, from_text, gather
from sbf_kernel.operations import build
from sbf_kernel.records import Answer, AnswerDelta, Hits, Member, MemberList, Notebook, NotebookList, Source, SourceList
from sbf_kernel.workspace.chats import ChatHandle, chat_in
from sbf_kernel.workspace.notes import Notes
from sbf_kernel.workspace.references import Ref, all_pages, as_id
from sbf_kernel.workspace.sources import Sources, listing
from sbf_kernel.workspace.widgets import Widgets

if TYPE_CHECKING:
    from uuid import UUID

    import pandas as pd

    from sbf_kernel.workspace.workspace import Workspace


class Notebooks:
    """``ws.notebooks``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def create(self, name: str, description: str = "") -> NotebookHandle:
        """Make a notebook."""
        return NotebookHandle(self._ws, self._ws.call(build(op.CreateNotebook, name=name, description=description)))

    def open(self, name: str) -> NotebookHandle:
        """Return the notebook of this name, made if there is none."""
        try:
            return self.get(name)
        except NotFound:
            return self.create(name)

    def get(self, ref: Ref) -> NotebookHandle:
        """Return a notebook by id or exact name.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            Several have that name.
        """
        if (notebook_id := as_id(ref)) is not None:
            return NotebookHandle(self._ws, self._ws.call(op.GetNotebook(notebook_id=notebook_id)))
        named = [n for n in all_pages(self.list, search=str(ref).strip()) if n.name == str(ref).strip()]
        if not named:
            raise NotFound(f"there is no notebook {str(ref)!r}", hint="ws.notebooks.list() shows all")
        if len(named) > 1:
            raise InvalidInput(
                f"{len(named)} notebooks are called {str(ref)!r}",
                hint="get it by id: " + ", ".join(str(n.id) for n in named),
            )
        return NotebookHandle(self._ws, named[0])

    def list(
        self, search: str = "", *, shared: bool = False, sort: str = "updated", limit: int = 20, offset: int = 0
    ) -> NotebookList:
        """Return a page of notebooks; ``search`` matches part of name or description.

        Parameters
        ----------
        shared
            List those that others share with you, instead of your own.
        """
        found: NotebookList = self._ws.call(
            build(op.ListNotebooks, search=search, shared=shared, sort=sort, limit=limit, offset=offset)
        )
        return found


class NotebookHandle:
    """A research notebook to work with."""

    def __init__(self, workspace: Workspace, record: Notebook) -> None:
        self._ws, self.record = workspace, record
        self.sources = Sources(workspace, record)
        self.widgets = Widgets(workspace, record)
        self.notes = Notes(workspace, record.id)

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    def add(
        self,
        *things: Any,
        password: str | None = None,
        tags: tuple[str, ...] = (),
        language: str = "",
        progress: bool = True,
    ) -> SourceList:
        """Bring in sources and wait until each is ready or failed.

        Parameters
        ----------
        things
            Paths, folders, globs (``docs/**/*.md``), ``http(s)`` and YouTube
            URLs, pandas DataFrames.
        password
            For encrypted files.
        language
            ISO 639-1 code; detected when empty.

        Returns
        -------
        One source per input, in order, with status and reason. One that fails
        never stops the others. Ctrl-C stops; what was stored stays, and
        adding again goes on.

        Raises
        ------
        InvalidInput
            A path does not exist; nothing was added then.
        """
        return listing(
            add_inputs(
                self._ws,
                self.id,
                gather(things, str(self.id)),
                password=password,
                tags=tags,
                language=language,
                progress=progress,
            )
        )

    def add_text(self, text: str, name: str, **options: Any) -> Source:
        """Bring in a text under a name; the same name again is a new version. Options as :meth:`add`."""
        return self._add_one(from_text(text, name, str(self.id)), options)

    def add_frame(self, frame: pd.DataFrame, name: str, **options: Any) -> Source:
        """Bring in a DataFrame; citations will name its rows. Options as :meth:`add`."""
        return self._add_one(from_frame(frame, name, str(self.id)), options)

    def add_sql(self, query: str, connection: Any, name: str = "", **options: Any) -> Source:
        """Bring in the result of a query, through :func:`pandas.read_sql`. Options as :meth:`add`."""
        return self._add_one(from_sql(query, connection, name, str(self.id)), options)

    def _add_one(self, item: Input, options: dict[str, Any]) -> Source:
        return self.add(item, **options)[0]

    def search(self, query: str, *, limit: int = 10, **scope: Any) -> Hits:
        """Rank chunks of this notebook; see :meth:`Workspace.search`."""
        return self._ws.search(query, limit=limit, notebook_ids=(self.id,), **scope)

    def ask(self, question: str, **options: Any) -> Answer:
        """Answer a question from this notebook, every statement cited.

        Parameters
        ----------
        options
            ``model`` (an id such as ``openai:gpt-4o-mini``; default from the
            settings, else extractive), ``passages``, and the scope's fields as
            in :meth:`Workspace.search`.

        Returns
        -------
        The answer; ``answered`` is False when the sources do not say.
        """
        return self._ws.ask(question, notebook_ids=(self.id,), **options)

    def ask_stream(self, question: str, **options: Any) -> Iterator[AnswerDelta | Answer]:
        """Yield pieces of the answer as they are written, and at last the :class:`Answer`."""
        return self._ws.ask_stream(question, notebook_ids=(self.id,), **options)

    def chat(self, title: str = "", *, model: str | None = None, levels: Mapping[Any, str] | None = None) -> ChatHandle:
        """Begin a chat over this notebook.

        Parameters
        ----------
        title
            Made from the first question when empty.
        model
            As for :meth:`ask`.
        levels
            How much of a source (or its id) may be used: ``off``, ``passages``
            (what is found in it, the default) or ``full`` (all of it, as far as it fits).
        """
        return chat_in(self._ws, self.id, title, model, levels)

    def rename(self, name: str, description: str | None = None) -> None:
        """Change name and description."""
        self.record = self._ws.call(build(op.UpdateNotebook, notebook_id=self.id, name=name, description=description))

    def share(self, member: str, role: Literal["viewer", "editor"] = "viewer") -> Member:
        """Let another user of the deployment read the notebook, or as ``editor`` also change it.

        Raises
        ------
        NotFound
            There is no user of this name.
        """
        shared: Member = self._ws.call(build(op.ShareNotebook, notebook_id=self.id, member=member, role=role))
        return shared

    def members(self, search: str = "", *, limit: int = 20, offset: int = 0) -> MemberList:
        """Return a page of those who may use the notebook besides you."""
        found: MemberList = self._ws.call(
            build(op.ListMembers, notebook_id=self.id, search=search, limit=limit, offset=offset)
        )
        return found

    def unshare(self, member: str) -> None:
        """Take a user's access away, at once."""
        self._ws.call(build(op.UnshareNotebook, notebook_id=self.id, member=member))

    def delete(self) -> None:
        """Delete the notebook; its sources stay until they are deleted themselves."""
        self._ws.call(op.DeleteNotebook(notebook_id=self.id))

    def refresh(self) -> Notebook:
        """Return the record as it is now."""
        self.record = self._ws.call(op.GetNotebook(notebook_id=self.id))
        return self.record

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.refresh()._repr_mimebundle_()

    def __repr__(self) -> str:
        return f"<notebook {self.name!r}>"
