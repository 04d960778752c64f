"""Chats: say something, read the answer while it is written, go on reading it elsewhere, stop it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from sbf_kernel.chat import replying
from sbf_kernel.chat.drafts import Draft
from sbf_kernel.chat.history import title_of
from sbf_kernel.chat.levels import require_sources
from sbf_kernel.errors import Conflict
from sbf_kernel.models.language import load_language_model
from sbf_kernel.operations import CreateChat, FollowMessage, SendMessage, StopMessage, UpdateChat
from sbf_kernel.records import Chat, Message, MessageDelta, Principal
from sbf_kernel.storage import chats, idempotency, messages, notebooks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sbf_kernel.runtime import Runtime

POLL_SECONDS = 0.3
"""How often a reader looks after a message that another process writes."""


async def create(runtime: Runtime, principal: Principal, op: CreateChat) -> Chat:
    """Begin a chat.

    Raises
    ------
    NotFound
        No such notebook, or a source with a level is not in it.
    InvalidInput
        The model id is no id.
    """
    if op.model:
        load_language_model(runtime.settings, op.model)
    async with runtime.db.change(principal) as connection:
        await notebooks.require(connection, principal.user_id, (op.notebook_id,))
        await require_sources(connection, principal, op.notebook_id, op.levels)
        return await chats.create(
            connection, principal, notebook_id=op.notebook_id, title=op.title, model=op.model, levels=op.levels
        )


async def update(runtime: Runtime, principal: Principal, op: UpdateChat) -> Chat:
    """Change title, model or levels.

    Raises
    ------
    NotFound
        No such chat, or a source with a new level is not in its notebook.
    InvalidInput
        The model id is no id.
    """
    if op.model:
        load_language_model(runtime.settings, op.model)
    async with runtime.db.change(principal) as connection:
        chat = await chats.get(connection, principal, op.chat_id)
        await require_sources(connection, principal, chat.notebook_id, op.levels or {}, chat.levels)
        return await chats.update(connection, principal, op.chat_id, title=op.title, model=op.model, levels=op.levels)


async def send(runtime: Runtime, principal: Principal, op: SendMessage) -> AsyncGenerator[MessageDelta | Message]:
    """Say something: yield the answer as it is written, at last the :class:`Message`.

    Whoever leaves early stops the answer; what was written stays.

    Raises
    ------
    NotFound
        No such chat, or it was deleted meanwhile.
    Conflict
        An answer is being written in this chat.
    ModelError, MissingExtra, InvalidInput
        As for asking. The message is marked as failed and keeps what was written.
    """
    draft = await _begin(runtime, principal, op)
    try:
        async with aclosing(draft.follow(0)) as pieces:
            async for piece in pieces:
                yield piece
        if draft.failure is not None:
            raise draft.failure
        yield draft.message
    finally:
        await draft.stop()


async def _begin(runtime: Runtime, principal: Principal, op: SendMessage) -> Draft:
    """Store what was said and let the answer be written."""
    async with runtime.db.together(principal) as connection:
        await chats.lock(connection, principal, op.chat_id)
        chat = await chats.get(connection, principal, op.chat_id)
        model = load_language_model(runtime.settings, chat.model)
        running = await messages.being_written(connection, principal, chat.id)
        if running is not None:
            raise Conflict(
                f"message {running} of this chat is still being written",
                hint="wait until it has ended, or stop it",
                message_id=str(running),
            )
        message = await messages.add_pair(connection, principal, chat.id, op.text, title_of(op.text))
        await idempotency.remember(runtime.db, principal, str(message.id))
    draft = Draft(message)
    runtime.drafts[draft.id] = draft
    await draft.start(replying.write(replying.Reply(runtime, principal, chat, op.text, op.passages, model, draft)))
    return draft


async def follow(runtime: Runtime, principal: Principal, op: FollowMessage) -> AsyncGenerator[MessageDelta | Message]:
    """Go on reading a message from character ``op.after``: yield what comes, at last the :class:`Message`.

    Leaving early does not stop it. A message whose writer has died is marked as failed.

    Raises
    ------
    NotFound
        No such message, or it was deleted meanwhile.
    """
    at = op.after
    message = await _message(runtime, principal, op)
    draft = runtime.drafts.get(op.message_id)
    if draft is not None and message.status == "writing":
        async with aclosing(draft.follow(at)) as pieces:
            async for piece in pieces:
                at = max(at, piece.start + len(piece.text))
                yield piece
        message = await _message(runtime, principal, op)
    while True:
        if len(message.text) > at:
            yield MessageDelta(message_id=message.id, start=at, text=message.text[at:])
            at = len(message.text)
        if message.status != "writing":
            yield message
            return
        await asyncio.sleep(POLL_SECONDS)
        message = await _message(runtime, principal, op)


async def stop(runtime: Runtime, principal: Principal, op: StopMessage) -> Message:
    """Stop a message, wherever it is written; one that has ended stays as it is.

    Raises
    ------
    NotFound
        No such message.
    """
    await _message(runtime, principal, op)
    draft = runtime.drafts.get(op.message_id)
    if draft is not None:
        await draft.stop()
    async with runtime.db.change(principal) as connection:
        await messages.stop(connection, principal, op.message_id)
        return await messages.get(connection, principal, op.chat_id, op.message_id)


async def _message(runtime: Runtime, principal: Principal, op: FollowMessage | StopMessage) -> Message:
    """Return the message as it is stored; its writer's death is stored first."""
    async with runtime.db.transaction(principal) as connection:
        message = await messages.get(connection, principal, op.chat_id, op.message_id)
        if message.status == "writing":
            await messages.being_written(connection, principal, op.chat_id)
            message = await messages.get(connection, principal, op.chat_id, op.message_id)
    return message
