"""Chat sessions and their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.chat import sessions
from sbf_kernel.records import Chat, ChatList, Message, MessageList, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import chats, messages, notebooks


async def create_chat(runtime: Runtime, principal: Principal, o: op.CreateChat) -> Chat:
    """Begin a chat over a notebook. Without a title it takes one from the first question."""
    return await sessions.create(runtime, principal, o)


async def list_chats(runtime: Runtime, principal: Principal, o: op.ListChats) -> ChatList:
    """List one's own chats, newest first."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,) if o.notebook_id else ())
        return await chats.find(
            connection,
            principal,
            notebook_id=o.notebook_id,
            search=o.search,
            sort=o.sort,
            limit=o.limit,
            offset=o.offset,
        )


async def get_chat(runtime: Runtime, principal: Principal, o: op.GetChat) -> Chat:
    """Return one chat."""
    async with runtime.db.transaction(principal) as connection:
        return await chats.get(connection, principal, o.chat_id)


async def update_chat(runtime: Runtime, principal: Principal, o: op.UpdateChat) -> Chat:
    """Change title, model or context levels."""
    return await sessions.update(runtime, principal, o)


async def delete_chat(runtime: Runtime, principal: Principal, o: op.DeleteChat) -> None:
    """Delete a chat with its messages."""
    async with runtime.db.change(principal) as connection:
        await chats.delete(connection, principal, o.chat_id)


async def list_messages(runtime: Runtime, principal: Principal, o: op.ListMessages) -> MessageList:
    """List the messages of a chat, oldest first."""
    async with runtime.db.transaction(principal) as connection:
        await chats.get(connection, principal, o.chat_id)
        await messages.being_written(connection, principal, o.chat_id)  # a dead writer's is shown as failed
        return await messages.find(connection, principal, o.chat_id, search=o.search, limit=o.limit, offset=o.offset)


def send_message(runtime: Runtime, principal: Principal, o: op.SendMessage) -> AsyncIterator[Any]:
    """Say something in a chat."""
    return sessions.send(runtime, principal, o)


def follow_message(runtime: Runtime, principal: Principal, o: op.FollowMessage) -> AsyncIterator[Any]:
    """Go on reading a message that is being written, from character ``after``."""
    return sessions.follow(runtime, principal, o)


async def stop_message(runtime: Runtime, principal: Principal, o: op.StopMessage) -> Message:
    """Stop a message that is being written."""
    return await sessions.stop(runtime, principal, o)
