"""Chat: ask, read along while it is written, follow each citation to its words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import display
from sbf_kernel import operations as op
from sbf_kernel.display.escaping import clean
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.operations import build
from sbf_kernel.records import Chat, Message, MessageDelta, MessageList
from sbf_kernel.widgets.insertions import message_cell
from sbf_kernel.widgets.panel import problem, script, style
from sbf_kernel.widgets.reading import ADD_SOURCES, Reader
from sbf_kernel.widgets.rows import Row, chat_row, citation_row, message_row

if TYPE_CHECKING:
    from sbf_kernel.display import View
    from sbf_kernel.records import Notebook
    from sbf_kernel.workspace import Workspace

LAST = 30
"""Messages shown at first: the last ones."""


class ChatBox(Reader):
    """A conversation over a notebook.

    Its actions run on threads; those that change which chat it is, or read how it is, wait for each other.

    Parameters
    ----------
    chat_id
        The chat to go on with; by default the next question begins a new one.
    """

    _esm = script("viewer", "rich", "chat")
    _css = style("viewer", "chat")

    def __init__(self, workspace: Workspace, notebook: Notebook, chat_id: UUID | None = None) -> None:
        self._chat: Chat | None = None
        self._gone = False
        """Whether the chat was deleted elsewhere."""
        self._written: dict[str, Any] | None = None
        super().__init__(workspace, notebook)
        self._chat = self._ws.call(build(op.GetChat, chat_id=chat_id)) if chat_id else None
        self.state = {"notebook": notebook.name, **self._now()}

    def _now(self) -> dict[str, Any]:
        now = {"chats": self._chats(), "empty": ADD_SOURCES if self._without_sources(self._notebook_id) else ""}
        chat = self._look()
        if chat is None:
            return {"chat": None, "rows": [], "offset": 0, "gone": self._gone, **now}
        offset = max(0, chat.message_count - LAST)
        rows = [message_row(message) for message in self._messages(offset)]
        return {"chat": chat_row(chat), "rows": rows, "offset": offset, "gone": False, **now}

    def _look(self) -> Chat | None:
        """Return the chat as it is now; in place of one that was deleted elsewhere, a new one may begin."""
        if self._chat is not None:
            try:
                self._chat = self._ws.call(build(op.GetChat, chat_id=self._chat.id))
            except NotFound:
                self._chat, self._gone = None, True
        return self._chat

    def _chats(self) -> list[Row]:
        return [chat_row(chat) for chat in self._ws.call(build(op.ListChats, notebook_id=self._notebook_id, limit=50))]

    def _messages(self, offset: int, limit: int = LAST) -> MessageList:
        assert self._chat is not None
        found: MessageList = self._ws.call(
            build(op.ListMessages, chat_id=self._chat.id, offset=offset, limit=max(1, limit))
        )
        return found

    def _do_hello(self) -> dict[str, Any]:
        """Return how things are now; a message that is being written is read along from here on."""
        return {"state": self._refresh()}

    def _refresh(self) -> dict[str, Any]:
        with self._lock:
            self._show(**self._now())
            if self._written is None:
                for row in self.state["rows"]:
                    if row["status"] == "writing":
                        self._start(self._follow, row["id"])
            return {**self.state, "written": self._written}

    def _tell_all(self) -> None:
        """Let all views show how things are now, or as they were last known: one that hears nothing waits for ever."""
        try:
            now = self._refresh()
        except Exception as error:  # noqa: BLE001 - the views are told
            now = {**self.state, "written": self._written}
            self._tell({"event": "lost", "error": problem(error)})
        self._tell({"event": "now", "state": now})

    def _do_renew(self) -> None:
        """Tell all views how things are when the chat went on elsewhere, in another kernel or the sidebar."""
        with self._lock:
            if self._written is not None:
                return
            chat = self._look()
            count = chat.message_count if chat is not None else 0
            if count != self.state["offset"] + len(self.state["rows"]) or self.state["empty"]:
                self._tell_all()

    def _do_open(self, chat_id: str | None = None) -> None:
        """Go to another chat, or to a new one, in all views."""
        with self._lock:
            self._idle()
            self._chat = self._ws.call(build(op.GetChat, chat_id=chat_id)) if chat_id else None
            self._gone = False
            self._tell_all()

    def _do_earlier(self, offset: int) -> dict[str, Any]:
        """Return the messages before the ones that are shown."""
        first = max(0, offset - LAST)
        return {"rows": [message_row(message) for message in self._messages(first, offset - first)], "offset": first}

    def _do_rename(self, chat_id: str, title: str) -> None:
        """Give a chat another title."""
        self._ws.call(build(op.UpdateChat, chat_id=chat_id, title=title))
        self._tell_all()

    def _do_delete(self, chat_id: str) -> None:
        """Delete a chat."""
        with self._lock:
            self._idle()
            self._ws.call(build(op.DeleteChat, chat_id=chat_id))
            if self._chat is not None and str(self._chat.id) == chat_id:
                self._chat = None
            self._tell_all()

    def _do_level(self, source_id: str, level: str) -> Row:
        """Say how much of a source the chat may use."""
        with self._lock:
            chat = self._begun()
            self._chat = chat = self._ws.call(build(op.UpdateChat, chat_id=chat.id, levels={source_id: level}))
            self._show(chat=chat_row(chat))
            return chat_row(chat)

    def _begun(self) -> Chat:
        with self._lock:
            if self._chat is None:
                self._gone = False
                self._chat = self._ws.call(build(op.CreateChat, notebook_id=self._notebook_id))
            return self._chat

    def _idle(self) -> None:
        if self._written is not None:
            raise InvalidInput("an answer is being written", hint="stop it first")

    def _do_ask(self, text: str) -> None:
        """Say something; the answer is told piece by piece, and the reply comes when all views know that it has ended.

        Raises
        ------
        InvalidInput
            Another answer is being written, or there is nothing to answer from.
        NotFound
            The chat was deleted elsewhere.
        """
        if self._without_sources(self._notebook_id):
            raise InvalidInput("this notebook is empty", hint=ADD_SOURCES)
        with self._lock:
            self._idle()
            self._written = {"id": None, "asked": clean(text), "text": "", "citations": [], "pieces": 0}
        try:
            self._tell({"event": "begun", "written": self._written})
            self._read(self._ws.stream(build(op.SendMessage, chat_id=self._begun().id, text=text)))
        except NotFound:
            with self._lock:
                if self._look() is None and self._gone:
                    raise NotFound("this chat was deleted", hint="send it again: a new chat begins") from None
            raise
        finally:
            self._written = None
            self._tell_all()

    def _follow(self, message_id: str) -> None:
        """Read along a message that somebody else lets write."""
        assert self._chat is not None
        with self._lock:
            if self._written is not None:
                return
            self._written = {"id": message_id, "asked": "", "text": "", "citations": [], "pieces": 0}
        try:
            self._tell({"event": "begun", "written": self._written})
            self._read(self._ws.stream(build(op.FollowMessage, chat_id=self._chat.id, message_id=message_id)))
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread
            self._tell({"event": "lost", "error": problem(error)})
        finally:
            self._written = None
        self._tell_all()

    def _read(self, pieces: Iterable[MessageDelta | Message]) -> None:
        written = self._written
        assert written is not None
        for piece in pieces:
            if isinstance(piece, Message):
                written["id"] = str(piece.id)
                continue
            written["id"] = str(piece.message_id)
            written["text"] += clean(piece.text)
            cited = None if piece.citation is None else citation_row(piece.citation)
            written["citations"] += [] if cited is None else [cited]
            written["pieces"] += 1  # a view that begins to read along now can tell what it has already
            self._tell({"event": "delta", "piece": written["pieces"], "text": clean(piece.text), "citation": cited})

    def _do_stop(self) -> None:
        """Stop the answer that is being written; what was written stays.

        Raises
        ------
        NotFound
            Nothing is being written.
        """
        if self._chat is not None:
            chat = self._ws.call(build(op.GetChat, chat_id=self._chat.id))
            for message in self._messages(max(0, chat.message_count - 2)):
                if message.status == "writing":
                    self._ws.call(build(op.StopMessage, chat_id=chat.id, message_id=message.id))
                    return
        raise NotFound("no answer is being written", hint="it has ended a moment ago")

    def _do_note(self, message_id: str) -> str:
        """Save an answer as a note and return its title."""
        message = self._message(message_id)
        if message.answer is None:
            raise InvalidInput("this message has no answer", hint="wait until it is done")
        title = (message.question or message.answer.question).strip()[:300] or "Answer"
        self._ws.call(
            build(
                op.CreateNote,
                notebook_id=self._notebook_id,
                title=title,
                text=message.text,
                answer_id=message.answer.id,
            )
        )
        return clean(title)

    def _do_cells(self, message_id: str | None = None) -> list[str]:
        """Return one message, or all that were said, as Markdown cells."""
        if message_id is not None:
            return [message_cell(self._message(message_id))]
        if self._chat is None:
            return []
        chat = self._ws.call(build(op.GetChat, chat_id=self._chat.id))
        return [
            message_cell(message)
            for offset in range(0, chat.message_count, 100)
            for message in self._messages(offset, 100)
        ]

    def _message(self, message_id: str) -> Message:
        assert self._chat is not None
        chat: Chat = self._ws.call(build(op.GetChat, chat_id=self._chat.id))
        for end in range(chat.message_count, 0, -100):  # it is most likely among the last
            first = max(0, end - 100)
            for message in self._messages(first, end - first):
                if str(message.id) == message_id:
                    return message
        raise NotFound("this message is gone", hint="load the page again")

    def _view(self) -> View:
        if self._chat is None:
            return display.quote("Chat", "Nothing was said yet.")
        last = self._messages(self.state["offset"])
        return display.conversation(self._chat.title or "New chat", last.items, last.total - len(last))
