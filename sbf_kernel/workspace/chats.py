"""``ws.chats``, and a chat to talk in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import display
from sbf_kernel import operations as op
from sbf_kernel.errors import NotFound
from sbf_kernel.operations import build
from sbf_kernel.records import Chat, ChatList, Message, MessageDelta, MessageList, Source
from sbf_kernel.workspace.references import Ref, all_pages

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace

SHOWN = 20
"""Messages of a chat that it shows of itself: the last ones."""


class Chats:
    """``ws.chats``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def list(
        self,
        search: str = "",
        *,
        notebook_id: UUID | None = None,
        sort: str = "updated",
        limit: int = 20,
        offset: int = 0,
    ) -> ChatList:
        """Return a page of chats; ``search`` matches part of the title, ``sort`` is ``updated``, ``created`` or ``title``."""
        found: ChatList = self._ws.call(
            build(op.ListChats, search=search, notebook_id=notebook_id, sort=sort, limit=limit, offset=offset)
        )
        return found

    def all(self, search: str = "", **filters: Any) -> Iterator[Chat]:
        """Yield all chats lazily; filters as in :meth:`list`."""
        return all_pages(self.list, search=search, **filters)

    def get(self, ref: Ref) -> ChatHandle:
        """Return a chat by id, to go on talking in it."""
        return ChatHandle(self._ws, self._ws.call(build(op.GetChat, chat_id=ref)))

    def delete(self, ref: Chat | Ref) -> None:
        """Delete a chat with its messages."""
        self._ws.call(build(op.DeleteChat, chat_id=_id(ref)))


class ChatHandle:
    """A conversation over a notebook."""

    def __init__(self, workspace: Workspace, record: Chat) -> None:
        self._ws, self.record = workspace, record

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.record.id

    @property
    def title(self) -> str:
        """Its title; empty before the first question."""
        return self.record.title

    def send(self, text: str, **options: Any) -> Message:
        """Say something and return the answer.

        Parameters
        ----------
        options
            ``passages``: how many to consider at most.
        """
        *_, message = self.stream(text, **options)
        assert isinstance(message, Message)
        return message

    def stream(self, text: str, **options: Any) -> Iterator[MessageDelta | Message]:
        """Say something; yield the answer as it is written, and at last the :class:`Message`. Leaving early stops it."""
        return self._ws.stream(build(op.SendMessage, chat_id=self.id, text=text, **options))

    def follow(self, message: Message | Ref, after: int = 0) -> Iterator[MessageDelta | Message]:
        """Go on reading a message from character ``after``; leaving early does not stop it."""
        return self._ws.stream(build(op.FollowMessage, chat_id=self.id, message_id=_id(message), after=after))

    def stop(self, message: Message | Ref | None = None) -> Message:
        """Stop a message; what was written stays.

        Parameters
        ----------
        message
            The one that is being written, when none is given.

        Raises
        ------
        NotFound
            Unknown, or nothing is being written.
        """
        message_id = self._written_now() if message is None else _id(message)
        stopped: Message = self._ws.call(build(op.StopMessage, chat_id=self.id, message_id=message_id))
        return stopped

    def messages(self, search: str = "", *, limit: int = 100, offset: int = 0) -> MessageList:
        """Return a page of what was said, oldest first; ``search`` matches part of the text."""
        found: MessageList = self._ws.call(
            build(op.ListMessages, chat_id=self.id, search=search, limit=limit, offset=offset)
        )
        return found

    def all_messages(self, search: str = "") -> Iterator[Message]:
        """Yield everything that was said lazily, oldest first."""
        return all_pages(self.messages, search=search)

    def rename(self, title: str) -> None:
        """Change the title."""
        self._update(title=title)

    def use_model(self, model: str) -> None:
        """Let another model answer from now on; empty for the default."""
        self._update(model=model)

    def set_level(self, source: Source | Ref, level: str) -> None:
        """Say how much of a source the chat may use: ``off``, ``passages`` (what is found in it) or ``full``."""
        self._update(levels={_id(source): level})

    def delete(self) -> None:
        """Delete the chat with its messages."""
        self._ws.call(op.DeleteChat(chat_id=self.id))

    def refresh(self) -> Chat:
        """Return the record as it is now."""
        self.record = self._ws.call(op.GetChat(chat_id=self.id))
        return self.record

    def _update(self, **fields: Any) -> None:
        self.record = self._ws.call(build(op.UpdateChat, chat_id=self.id, **fields))

    def _last(self) -> MessageList:
        return self.messages(limit=SHOWN, offset=max(0, self.refresh().message_count - SHOWN))

    def _written_now(self) -> UUID:
        for message in self._last():
            if message.status == "writing":
                return message.id
        raise NotFound(f"no message of chat {self.id} is being written", hint="chat.messages() shows all")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        last = self._last()
        return display.conversation(self.title or "New chat", last.items, last.total - len(last)).mimebundle()

    def __repr__(self) -> str:
        return f"<chat {self.title!r}>"


def chat_in(
    workspace: Workspace, notebook_id: UUID, title: str, model: str | None, levels: Mapping[Any, str] | None
) -> ChatHandle:
    """Begin a chat over a notebook; ``levels`` by source or its id."""
    named = {_id(source): level for source, level in (levels or {}).items()}
    return ChatHandle(
        workspace,
        workspace.call(build(op.CreateChat, notebook_id=notebook_id, title=title, model=model, levels=named)),
    )


def _id(thing: Chat | Message | Source | Ref) -> Any:
    """Return the id of a record, or what was given as an id: the operation refuses what is none."""
    return thing.id if isinstance(thing, (Chat, Message, Source)) else thing
