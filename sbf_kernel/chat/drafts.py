"""A message while this process writes it: one who writes, any number who read, from any place."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from sbf_kernel.records import Citation, Message, MessageDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable
    from typing import Any
    from uuid import UUID


class Draft:
    """A message that is being written by a task of its own.

    The task does not belong to whoever reads: so it can close the model's
    connection and store what was written also while its reader is torn down.

    Parameters
    ----------
    message
        As it stands in the database.
    """

    def __init__(self, message: Message) -> None:
        self.message = message
        """The message; complete when it has ended."""
        self.text = ""
        self.question = ""
        self.failure: Exception | None = None
        """Why it failed."""
        self.sealed = asyncio.Event()
        """Set when nothing more will be written."""
        self._ended = False
        self._citations: list[tuple[int, Citation]] = []
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.message.id

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let ``work`` write it, outside any transaction of the caller's."""
        self._task = asyncio.create_task(work, context=Context())
        self._task.add_done_callback(lambda _: self.end())
        await asyncio.sleep(0)  # from now on it notices when it is stopped

    def write(self, piece: str) -> None:
        """Add to the text."""
        self.text += piece
        self._wake()

    def cite(self, citations: Iterable[Citation]) -> None:
        """Add citations whose markers end the text as it is now."""
        self._citations += [(len(self.text), citation) for citation in citations]
        self._wake()

    def end(self) -> None:
        """Tell the readers that it has ended."""
        self.sealed.set()
        self._ended = True
        self._wake()

    def interrupt(self) -> None:
        """Stop the writing; what was written will be stored. Nothing happens when all is written already."""
        if self._task is not None and not self._stopping and not self.sealed.is_set():
            self._stopping = True
            self._task.cancel()

    async def stop(self) -> None:
        """Stop the writing and wait until what was written is stored."""
        self.interrupt()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def follow(self, after: int) -> AsyncGenerator[MessageDelta]:
        """Yield what is written from character ``after`` on, with its citations, until it ends.

        A reader who is slow gets larger pieces, never a backlog.
        """
        at, cited = after, 0
        while True:
            changed, ended = self._changed, self._ended
            while cited < len(self._citations):  # others may come while the reader is busy
                place, citation = self._citations[cited]
                if place > at:
                    yield MessageDelta(message_id=self.id, start=at, text=self.text[at:place])
                    at = place
                cited += 1
                if place >= after:
                    yield MessageDelta(message_id=self.id, start=place, citation=citation)
            if len(self.text) > at:
                piece = self.text[at:]
                yield MessageDelta(message_id=self.id, start=at, text=piece)
                at += len(piece)
            if ended:
                return
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
