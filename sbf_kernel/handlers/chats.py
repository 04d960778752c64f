"""Chat sessions and their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.records import Chat, ChatList, Message, MessageList, Principal
from sbf_kernel.runtime import Runtime


async def create_chat(runtime: Runtime, principal: Principal, o: op.CreateChat) -> Chat:
    """Begin a chat over a notebook. Without a title it takes one from the first question."""
    raise NotImplementedError


async def list_chats(runtime: Runtime, principal: Principal, o: op.ListChats) -> ChatList:
    """List one's own chats, newest first."""
    raise NotImplementedError


async def get_chat(runtime: Runtime, principal: Principal, o: op.GetChat) -> Chat:
    """Return one chat."""
    raise NotImplementedError


async def update_chat(runtime: Runtime, principal: Principal, o: op.UpdateChat) -> Chat:
    """Change title, model or context levels."""
    raise NotImplementedError


async def delete_chat(runtime: Runtime, principal: Principal, o: op.DeleteChat) -> None:
    """Delete a chat with its messages."""
    raise NotImplementedError


async def list_messages(runtime: Runtime, principal: Principal, o: op.ListMessages) -> MessageList:
    """List the messages of a chat, oldest first."""
    raise NotImplementedError


def send_message(runtime: Runtime, principal: Principal, o: op.SendMessage) -> AsyncIterator[Any]:
    """Say something in a chat."""
    raise NotImplementedError


def follow_message(runtime: Runtime, principal: Principal, o: op.FollowMessage) -> AsyncIterator[Any]:
    """Go on reading a message that is being written, from character ``after``."""
    raise NotImplementedError


async def stop_message(runtime: Runtime, principal: Principal, o: op.StopMessage) -> Message:
    """Stop a message that is being written."""
    raise NotImplementedError
