"""Everything one deployment holds."""

from __future__ import annotations

import atexit
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from sbf_kernel import operations as op
from sbf_kernel.operations import build
from sbf_kernel.records import Answer, AnswerDelta, Health, Hits, ModelList, Recheck, UsageReport, User
from sbf_kernel.workspace.accounts import Tokens, Users
from sbf_kernel.workspace.answers import Answers
from sbf_kernel.workspace.chats import Chats
from sbf_kernel.workspace.jobs import Jobs
from sbf_kernel.workspace.notebooks import Notebooks
from sbf_kernel.workspace.notes import Notes
from sbf_kernel.workspace.references import Ref
from sbf_kernel.workspace.reports import Reports
from sbf_kernel.workspace.sources import Sources
from sbf_kernel.workspace.widgets import Widgets

if TYPE_CHECKING:
    from datetime import datetime

    from sbf_kernel.backends import Backend
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.settings import Settings


class Workspace:
    """Everything one deployment holds, local or remote. Opened by :func:`sbf_kernel.connect`."""

    def __init__(self, backend: Backend, loop: LoopThread, settings: Settings) -> None:
        self._backend, self._loop, self.settings = backend, loop, settings
        self._closed = False
        self.notebooks = Notebooks(self)
        self.sources = Sources(self)
        self.answers = Answers(self)
        self.chats = Chats(self)
        self.notes = Notes(self)
        self.jobs = Jobs(self)
        self.reports = Reports(self)
        self.users = Users(self)
        self.tokens = Tokens(self)
        self.widgets = Widgets(self)
        atexit.register(self.close)

    def call(self, operation: op.Operation) -> Any:
        """Carry out any operation and return its record."""
        return self._loop.run(self._backend.call(operation))

    def stream(self, operation: op.Operation) -> Iterator[Any]:
        """Carry out a streaming operation and yield its records as they come."""
        return self._loop.iterate(self._backend.stream(operation))

    async def call_async(self, operation: op.Operation) -> Any:
        """Carry out any operation from a running event loop, which goes on meanwhile."""
        return await self._loop.await_here(self._backend.call(operation))

    def stream_async(self, operation: op.Operation) -> AsyncIterator[Any]:
        """Carry out a streaming operation from a running event loop; leaving it early stops the work."""
        return self._loop.iterate_here(self._backend.stream(operation))

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

    def me(self) -> User:
        """Tell who you are."""
        found: User = self.call(op.GetMe())
        return found

    def models(self) -> ModelList:
        """List the models that answer, embed and judge here."""
        found: ModelList = self.call(op.ListModels())
        return found

    def usage(self, by: str = "day", *, after: datetime | None = None, before: datetime | None = None) -> UsageReport:
        """Sum up what your calls of language models consumed.

        Parameters
        ----------
        by
            ``day`` (UTC), ``model`` or ``operation``.
        after, before
            From when on, and until just before when; without a zone, UTC.
        """
        found: UsageReport = self.call(build(op.GetUsage, by=by, after=after, before=before))
        return found

    def health(self) -> Health:
        """Tell what works."""
        found: Health = self.call(op.GetHealth())
        return found

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

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
        return "<closed workspace>" if self._closed else f"<workspace {self.settings.url or self.settings.home}>"
