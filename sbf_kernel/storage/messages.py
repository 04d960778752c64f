"""SQL of the messages of a chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Answer, Message, MessageList, Principal
from sbf_kernel.storage.answers import owner
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

SILENT_SECONDS = 60
"""Who writes a message says twice a second that it is alive; after so long without, its process has died."""
DIED = "the process that wrote it has died → ask again"

_COLUMNS = "m.id, m.chat_id, m.role, m.text, m.status, m.question, m.error, m.created_at, a.record as answer"
_ANSWER = "left join answers a on a.user_id = m.user_id and a.author = m.author and a.id = m.answer_id"
_SELECT = f"select {_COLUMNS} from messages m {_ANSWER} where m.user_id = :user_id and m.author = :author"


async def get(connection: AsyncConnection, principal: Principal, chat_id: UUID, message_id: UUID) -> Message:
    """Return one message.

    Raises
    ------
    NotFound
        There is none in this chat, or it is somebody else's.
    """
    found = await connection.execute(
        text(_SELECT + " and m.chat_id = :chat_id and m.id = :id"),
        {**owner(principal), "chat_id": chat_id, "id": message_id},
    )
    row = found.mappings().first()
    if row is None:
        raise missing(chat_id, message_id)
    return _message(row)


async def find(
    connection: AsyncConnection, principal: Principal, chat_id: UUID, *, search: str, limit: int, offset: int
) -> MessageList:
    """Return a page of the messages of a chat that contain ``search``, oldest first."""
    where = "m.user_id = %(user_id)s and m.author = %(author)s and m.chat_id = %(chat_id)s"
    where += " and strpos(lower(m.text), lower(%(search)s)) > 0" if search else ""
    values: dict[str, Any] = {
        **owner(principal),
        "chat_id": chat_id,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    rows, total = await page(connection, _COLUMNS, "messages m", where, "m.number", values, _ANSWER)
    return MessageList(items=tuple(map(_message, rows)), total=total, limit=limit, offset=offset)


async def being_written(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> UUID | None:
    """Return the message that is being written in a chat; one whose writer has died is marked as failed first."""
    values = {**owner(principal), "chat_id": chat_id, "error": DIED, "seconds": SILENT_SECONDS}
    await connection.execute(
        text("""update messages set status = 'failed', error = :error where user_id = :user_id and author = :author
                and chat_id = :chat_id and status = 'writing'
                and updated_at < now() - make_interval(secs => :seconds)"""),
        values,
    )
    found: UUID | None = await connection.scalar(
        text("""select id from messages where user_id = :user_id and author = :author and chat_id = :chat_id
                and status = 'writing' limit 1"""),
        values,
    )
    return found


async def add_pair(connection: AsyncConnection, principal: Principal, chat_id: UUID, said: str, title: str) -> Message:
    """Insert what the user said and the message that will answer it; name the chat if it has no name. Returns the latter.

    The caller has locked the chat.
    """
    reply = uuid4()
    values = {**owner(principal), "chat_id": chat_id, "said": said, "mine": uuid4(), "reply": reply, "title": title}
    await connection.execute(
        text("""insert into messages (user_id, author, id, chat_id, number, role, text, status)
                select :user_id, :author, new.id, :chat_id, last.number + new.step, new.role, new.text, new.status
                from (select coalesce(max(number), 0) as number from messages
                      where user_id = :user_id and author = :author and chat_id = :chat_id) last,
                     (values (cast(:mine as uuid), 1, 'user', cast(:said as text), 'done'),
                             (cast(:reply as uuid), 2, 'assistant', '', 'writing')) as new (id, step, role, text, status)"""),
        values,
    )
    await connection.execute(
        text("""update chats set title = case when title = '' then :title else title end, updated_at = now()
                where user_id = :user_id and author = :author and id = :chat_id"""),
        values,
    )
    return await get(connection, principal, chat_id, reply)


async def since(
    connection: AsyncConnection, principal: Principal, chat_id: UUID, number: int, before: UUID
) -> list[tuple[int, Message]]:
    """Return the messages after ``number`` that came before the message ``before`` and its question, with their numbers."""
    rows = await connection.execute(
        text("""select m.number, m.id, m.chat_id, m.role, m.text, m.status, m.question, m.error, m.created_at
                from messages m where m.user_id = :user_id and m.author = :author and m.chat_id = :chat_id
                and m.number > :number and m.number < (select number - 1 from messages
                  where user_id = :user_id and author = :author and id = :before) order by m.number"""),
        {**owner(principal), "chat_id": chat_id, "number": number, "before": before},
    )
    return [(row["number"], Message(**{k: v for k, v in row.items() if k != "number"})) for row in rows.mappings()]


async def last_question(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> str:
    """Return what was searched for last in a chat; empty when nothing was."""
    found = await connection.scalar(
        text("""select question from messages where user_id = :user_id and author = :author and chat_id = :chat_id
                and question <> '' order by number desc limit 1"""),
        {**owner(principal), "chat_id": chat_id},
    )
    return str(found or "")


async def keep(connection: AsyncConnection, principal: Principal, message_id: UUID, words: str, question: str) -> bool:
    """Keep what has been written so far, as a sign of life. Returns whether it is to go on: nobody stopped it."""
    done = await connection.execute(
        text("""update messages set text = :text, question = :question, updated_at = now()
                where user_id = :user_id and author = :author and id = :id and status = 'writing'"""),
        {**owner(principal), "id": message_id, "text": words, "question": question},
    )
    return bool(done.rowcount)


async def finish(connection: AsyncConnection, principal: Principal, ended: Message) -> str:
    """Store how a message ended. One that was stopped or given up meanwhile keeps that status, and gets the text.

    Returns
    -------
    The status it has now; empty when it was deleted.
    """
    found = await connection.scalar(
        text("""update messages set text = :text, question = :question, updated_at = now(),
                  error = case when status = 'writing' then :error else error end,
                  answer_id = case when status = 'writing' then cast(:answer_id as uuid) end,
                  status = case when status = 'writing' then :status else status end
                where user_id = :user_id and author = :author and id = :id returning status"""),
        {
            **owner(principal),
            **ended.model_dump(include={"id", "text", "question", "error", "status"}),
            "answer_id": ended.answer.id if ended.answer else None,
        },
    )
    await connection.execute(
        text("update chats set updated_at = now() where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": ended.chat_id},
    )
    return str(found or "")


async def stop(connection: AsyncConnection, principal: Principal, message_id: UUID) -> None:
    """Mark a message that is being written as stopped; its writer, wherever it is, sees that within half a second."""
    await connection.execute(
        text("""update messages set status = 'stopped', updated_at = now()
                where user_id = :user_id and author = :author and id = :id and status = 'writing'"""),
        {**owner(principal), "id": message_id},
    )


def missing(chat_id: UUID, message_id: UUID) -> NotFound:
    """Return the error for an unknown message."""
    return NotFound(
        f"there is no message {message_id} in a chat {chat_id}",
        hint="the chat's messages() shows all",
        message_id=str(message_id),
    )


def _message(row: Mapping[Any, Any]) -> Message:
    fields = dict(row)
    record = fields.pop("answer", None)
    return Message(**fields, answer=Answer.model_validate(record) if record else None)
