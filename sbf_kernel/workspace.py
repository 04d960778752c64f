"""What users hold: a workspace and its notebooks. Builds operations, holds no logic."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.adding import add_inputs, follow
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.inputs import Input, from_frame, from_sql, from_text, gather
from sbf_kernel.operations import build
from sbf_kernel.records import (
    Answer,
    AnswerDelta,
    AnswerList,
    Health,
    Hits,
    Notebook,
    NotebookList,
    Recheck,
    Source,
    SourceList,
    SourceText,
)

if TYPE_CHECKING:
    import pandas as pd

    from sbf_kernel.backends import Backend
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.settings import Settings

Ref = UUID | str
"""An id."""


class Workspace:
    """Everything one deployment holds, local or remote. Opened by :func:`sbf_kernel.connect`."""

    def __init__(self, backend: Backend, loop: LoopThread, settings: Settings) -> None:
        self._backend, self._loop, self.settings = backend, loop, settings
        self._closed = False
        self.notebooks = Notebooks(self)
        self.sources = Sources(self)
        self.answers = Answers(self)
        atexit.register(self.close)

    def call(self, operation: op.Operation) -> Any:
        """Carry out any operation and return its record."""
        return self._loop.run(self._backend.call(operation))

    def stream(self, operation: op.Operation) -> Iterator[Any]:
        """Carry out a streaming operation and yield its records as they come."""
        return self._loop.iterate(self._backend.stream(operation))

    def search(self, query: str, *, limit: int = 10, **scope: Any) -> Hits:
        """Rank chunks of all notebooks by words and meaning.

        Parameters
        ----------
        limit
            Hits to return, 1 to 100.
        scope
            Further fields of :class:`sbf_kernel.operations.Search`: ``arm``,
            ``fusion``, ``per_source``, ``media_types``, ``languages``, ``tags``,
            ``added_after``, ``added_before``, ``source_ids``.
        """
        found: Hits = self.call(build(op.Search, query=query, limit=limit, **scope))
        return found

    def ask(self, question: str, **options: Any) -> Answer:
        """Answer from all notebooks; see :meth:`NotebookHandle.ask`."""
        *_, answer = self.ask_stream(question, **options)
        assert isinstance(answer, Answer)
        return answer

    def ask_stream(self, question: str, **options: Any) -> Iterator[AnswerDelta | Answer]:
        """Yield pieces of the answer as they are written, and at last the :class:`Answer`."""
        return self.stream(build(op.Ask, question=question, **options))

    def recheck(self, answer: Answer | Ref) -> Recheck:
        """Check every citation of a stored answer against the stored text again."""
        answer_id = answer.id if isinstance(answer, Answer) else answer
        found: Recheck = self.call(build(op.RecheckAnswer, answer_id=answer_id))
        return found

    def health(self) -> Health:
        """Tell what works."""
        found: Health = self.call(op.GetHealth())
        return found

    def close(self) -> None:
        """Stop background work and let go of the database. Closing twice does no harm."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            if self._loop.usable:  # a forked child leaves it to its parent
                try:
                    self._loop.run(self._backend.close())
                finally:
                    self._loop.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<closed workspace>" if self._closed else f"<workspace {self.settings.home}>"


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
        if (notebook_id := _as_id(ref)) is not None:
            return NotebookHandle(self._ws, self._ws.call(op.GetNotebook(notebook_id=notebook_id)))
        named = [n for n in _all_pages(self.list, search=str(ref).strip()) if n.name == str(ref).strip()]
        if not named:
            raise NotFound(f"there is no notebook {str(ref)!r}", hint="ws.notebooks.list() shows all")
        if len(named) > 1:
            raise InvalidInput(
                f"{len(named)} notebooks are called {str(ref)!r}",
                hint="get it by id: " + ", ".join(str(n.id) for n in named),
            )
        return NotebookHandle(self._ws, named[0])

    def list(self, search: str = "", *, sort: str = "updated", limit: int = 20, offset: int = 0) -> NotebookList:
        """Return a page of notebooks; ``search`` matches part of name or description."""
        found: NotebookList = self._ws.call(
            build(op.ListNotebooks, search=search, sort=sort, limit=limit, offset=offset)
        )
        return found


class Sources:
    """``ws.sources``, and with a notebook ``nb.sources``."""

    def __init__(self, workspace: Workspace, notebook: Notebook | None = None) -> None:
        self._ws, self._notebook = workspace, notebook

    def list(self, search: str = "", *, limit: int = 20, offset: int = 0, **filters: Any) -> SourceList:
        """Return a page of sources; ``filters``: ``status``, ``tag``, ``removed``, ``sort``."""
        notebook_id = self._notebook.id if self._notebook else None
        found: SourceList = self._ws.call(
            build(op.ListSources, notebook_id=notebook_id, search=search, limit=limit, offset=offset, **filters)
        )
        return found

    def get(self, ref: Source | Ref) -> Source:
        """Return a source by id or exact name.

        Raises
        ------
        NotFound
            There is none.
        InvalidInput
            Several have that name.
        """
        found: Source = self._ws.call(op.GetSource(source_id=self._id(ref)))
        return found

    def text(self, ref: Source | Ref, version_id: UUID | None = None) -> SourceText:
        """Return the stored text of a source, by default of its newest version."""
        found: SourceText = self._ws.call(build(op.GetSourceText, source_id=self._id(ref), version_id=version_id))
        return found

    def update(self, ref: Source | Ref, *, name: str | None = None, tags: tuple[str, ...] | None = None) -> Source:
        """Rename or tag a source."""
        found: Source = self._ws.call(build(op.UpdateSource, source_id=self._id(ref), name=name, tags=tags))
        return found

    def remove(self, ref: Source | Ref) -> None:
        """Take a source out of this notebook, restorably."""
        self._ws.call(op.RemoveSource(notebook_id=self._own().id, source_id=self._id(ref)))

    def restore(self, ref: Source | Ref) -> Source:
        """Put a removed source back into this notebook, or a source of another notebook into it."""
        found: Source = self._ws.call(op.LinkSource(notebook_id=self._own().id, source_id=self._id(ref, removed=True)))
        return found

    def delete(self, ref: Source | Ref) -> None:
        """Delete a source with all its versions, for good."""
        self._ws.call(op.DeleteSource(source_id=self._id(ref)))

    def retry(self, ref: Source | Ref, *, password: str | None = None, progress: bool = True) -> Source:
        """Process a source again, for example with its password, and wait for the outcome."""
        source: Source = self._ws.call(build(op.RetrySource, source_id=self._id(ref), password=password))
        return follow(self._ws, [source], progress)[0]

    def resume(self, *, progress: bool = True) -> SourceList:
        """Go on with everything that a crash or cancel interrupted, and wait for it."""
        return _listing(follow(self._ws, list(self._ws.call(op.ResumeSources())), progress))

    def _own(self) -> Notebook:
        if self._notebook is None:
            raise InvalidInput("this needs a notebook", hint="use nb.sources")
        return self._notebook

    def _id(self, ref: Source | Ref, *, removed: bool = False) -> UUID:
        if isinstance(ref, Source):
            return ref.id
        if (source_id := _as_id(ref)) is not None:
            return source_id
        named = [s for s in _all_pages(self.list, search=str(ref), removed=removed) if s.name == str(ref)]
        if not named:
            raise NotFound(f"there is no source {str(ref)!r}", hint="sources.list() shows all")
        if len(named) > 1:
            raise InvalidInput(
                f"{len(named)} sources are called {str(ref)!r}",
                hint="use an id: " + ", ".join(str(s.id) for s in named),
            )
        found: UUID = named[0].id
        return found


class Answers:
    """``ws.answers``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def list(
        self, search: str = "", *, notebook_id: UUID | None = None, limit: int = 20, offset: int = 0
    ) -> AnswerList:
        """Return a page of stored answers, newest first."""
        found: AnswerList = self._ws.call(
            build(op.ListAnswers, search=search, notebook_id=notebook_id, limit=limit, offset=offset)
        )
        return found

    def get(self, ref: Ref) -> Answer:
        """Return a stored answer by id."""
        found: Answer = self._ws.call(build(op.GetAnswer, answer_id=ref))
        return found


class NotebookHandle:
    """A research notebook to work with."""

    def __init__(self, workspace: Workspace, record: Notebook) -> None:
        self._ws, self.record = workspace, record
        self.sources = Sources(workspace, record)

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
        return _listing(
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

    def rename(self, name: str, description: str | None = None) -> None:
        """Change name and description."""
        self.record = self._ws.call(build(op.UpdateNotebook, notebook_id=self.id, name=name, description=description))

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


def _as_id(ref: Any) -> UUID | None:
    try:
        return ref if isinstance(ref, UUID) else UUID(str(ref))
    except ValueError:
        return None


def _all_pages(fetch: Callable[..., Any], **filters: Any) -> Iterator[Any]:
    offset, total = 0, 1
    while offset < total:
        page = fetch(limit=100, offset=offset, **filters)
        yield from page
        offset, total = offset + 100, page.total


def _listing(found: list[Source]) -> SourceList:
    return SourceList(items=tuple(found), total=len(found), limit=max(1, len(found)), offset=0)
