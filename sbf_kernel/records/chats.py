"""Chats, their messages, and notes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from sbf_kernel import display
from sbf_kernel.records.answers import Answer, Citation
from sbf_kernel.records.record import Listing, Record

ContextLevel = Literal["off", "passages", "full"]
"""How much of a source a chat may use: nothing, what is found in it, or all of it as far as it fits."""


class Chat(Record):
    """A conversation over a notebook."""

    id: UUID
    notebook_id: UUID
    title: str
    model: str | None = None
    levels: dict[UUID, ContextLevel] = Field(default_factory=dict)
    message_count: int = 0
    created_at: datetime
    updated_at: datetime


class ChatList(Listing[Chat]):
    """A page of chats."""

    def _view(self) -> display.View:
        rows = [(c.title, c.message_count, c.model or "default", c.updated_at) for c in self.items]
        return display.table(
            f"{self.total} chat" + "s" * (self.total != 1), ("chat", "messages", "model", "updated"), rows
        )


class Message(Record):
    """What one side said. Those of the assistant carry the answer with its citations."""

    id: UUID
    chat_id: UUID
    role: Literal["user", "assistant"]
    text: str
    status: Literal["writing", "done", "stopped", "failed"] = "done"
    question: str = ""
    """What was searched for: the user's text, rewritten to stand alone."""
    answer: Answer | None = None
    error: str = ""
    """Why it failed, with what to do next."""
    created_at: datetime

    def _view(self) -> display.View:
        if self.answer is not None:
            return display.answer(self.answer)
        return display.quote(self.role, self.text or self.error)


class MessageList(Listing[Message]):
    """A page of messages, oldest first."""

    def _view(self) -> display.View:
        rows = [(m.role, m.text or m.error, len(m.answer.citations) if m.answer else "") for m in self.items]
        return display.table(f"{self.total} message" + "s" * (self.total != 1), ("who", "text", "citations"), rows)


class MessageDelta(Record):
    """A piece of a message that is being written."""

    message_id: UUID
    start: int
    """Position of ``text`` in the message, in characters: where to go on reading after a lost connection."""
    text: str = ""
    citation: Citation | None = None
    """A citation whose marker has just been written, checked."""


class Note(Record):
    """One's own text in a notebook."""

    id: UUID
    notebook_id: UUID
    title: str
    text: str = ""
    answer_id: UUID | None = None
    citations: tuple[Citation, ...] = ()
    created_at: datetime
    updated_at: datetime

    def _view(self) -> display.View:
        return display.quote(self.title, self.text)


class NoteList(Listing[Note]):
    """A page of notes."""

    def _view(self) -> display.View:
        rows = [(n.title, n.text, len(n.citations), n.updated_at) for n in self.items]
        return display.table(
            f"{self.total} note" + "s" * (self.total != 1), ("note", "text", "citations", "updated"), rows
        )
