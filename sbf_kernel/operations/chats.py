"""Chat sessions over a notebook, and their messages."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints

from sbf_kernel import records
from sbf_kernel.operations.operation import IN_BODY, Limit, ModelId, Offset, Operation, Question, Words, one_form

Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), BeforeValidator(one_form)]
Levels = Annotated[dict[UUID, records.ContextLevel], Field(max_length=10_000)]


class CreateChat(Operation):
    """Begin a chat over a notebook. Without a title it takes one from the first question."""

    method, path, result = "POST", "/notebooks/{notebook_id}/chats", records.Chat
    creates = True
    access = "viewer"
    reads = True
    notebook_id: UUID
    title: Title = ""
    model: ModelId | None = None
    """Model id; default from the settings, else extractive."""
    levels: Levels = Field(default_factory=dict)
    """Context level by source; sources not named here are ``passages``."""


class ListChats(Operation):
    """List one's own chats, newest first; ``search`` matches part of the title."""

    method, path, result = "GET", "/chats", records.ChatList
    access = "viewer"
    cached = True
    notebook_id: UUID | None = None
    search: Words = ""
    sort: Literal["updated", "created", "title"] = "updated"
    limit: Limit = 20
    offset: Offset = 0


class GetChat(Operation):
    """Return one chat."""

    method, path, result = "GET", "/chats/{chat_id}", records.Chat
    access = "viewer"
    cached = True
    chat_id: UUID


class UpdateChat(Operation):
    """Change title, model or context levels; what is absent stays, also the level of a source that is not named."""

    method, path, result = "PATCH", "/chats/{chat_id}", records.Chat
    access = "viewer"
    chat_id: UUID
    title: Title | None = None
    model: ModelId | None = None
    """Empty for the default."""
    levels: Levels | None = None


class DeleteChat(Operation):
    """Delete a chat with its messages."""

    method, path, result = "DELETE", "/chats/{chat_id}", None
    access = "viewer"
    chat_id: UUID


class ListMessages(Operation):
    """List the messages of a chat, oldest first."""

    method, path, result = "GET", "/chats/{chat_id}/messages", records.MessageList
    access = "viewer"
    chat_id: UUID
    search: Words = ""
    limit: Limit = 100
    offset: Offset = 0


class SendMessage(Operation):
    """Say something in a chat; streams :class:`records.MessageDelta`, then the answering :class:`records.Message`."""

    method, path, result, streams = "POST", "/chats/{chat_id}/messages", records.Message, True
    creates = True
    access = "viewer"
    reads = True
    rate = "chat"
    chat_id: UUID
    text: Question
    passages: Annotated[int, Field(ge=1, le=50), IN_BODY] = 12
    """How many passages to consider at most."""


class FollowMessage(Operation):
    """Go on reading a message that is being written, from character ``after``; a finished one comes at once."""

    method, path, result, streams = "GET", "/chats/{chat_id}/messages/{message_id}/events", records.Message, True
    access = "viewer"
    chat_id: UUID
    message_id: UUID
    after: Offset = 0


class StopMessage(Operation):
    """Stop a message that is being written; what was written stays."""

    method, path, result = "POST", "/chats/{chat_id}/messages/{message_id}/stop", records.Message
    access = "viewer"
    reads = True
    chat_id: UUID
    message_id: UUID
