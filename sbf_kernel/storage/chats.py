"""SQL of chats and their messages. All of it belongs to its author, also in a shared notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Chat, ChatList, Principal
from sbf_kernel.storage.answers import owner
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = """c.id, c.notebook_id, c.title, c.model, c.levels, c.created_at, c.updated_at,
(select count(*) from messages m where m.user_id = c.user_id and m.author = c.author and m.chat_id = c.id) as message_count"""
_ORDER = {"updated": "c.updated_at desc", "created": "c.created_at desc", "title": "lower(c.title)"}


async def create(
    connection: AsyncConnection,
    principal: Principal,
    *,
    notebook_id: UUID,
    title: str,
    model: str | None,
    levels: Mapping[UUID, str],
) -> Chat:
    """Insert a chat and return it."""
    chat_id = uuid4()
    await connection.execute(
        text("""insert into chats (user_id, author, id, notebook_id, title, model, levels)
                values (:user_id, :author, :id, :notebook_id, :title, nullif(:model, ''), cast(:levels as jsonb))"""),
        {
            **owner(principal),
            "id": chat_id,
            "notebook_id": notebook_id,
            "title": title,
            "model": model,
            "levels": _levels(levels),
        },
    )
    return await get(connection, principal, chat_id)


async def get(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> Chat:
    """Return one chat.

    Raises
    ------
    NotFound
        Unknown, or somebody else's.
    """
    found = await connection.execute(
        text(f"select {_COLUMNS} from chats c where c.user_id = :user_id and c.author = :author and c.id = :id"),
        {**owner(principal), "id": chat_id},
    )
    row = found.mappings().first()
    if row is None:
        raise missing(chat_id)
    return Chat(**row)


async def lock(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> None:
    """Make others who want to say something in the chat wait until commit.

    Raises
    ------
    NotFound
        Unknown, or somebody else's.
    """
    found = await connection.scalar(
        text("select id from chats where user_id = :user_id and author = :author and id = :id for update"),
        {**owner(principal), "id": chat_id},
    )
    if found is None:
        raise missing(chat_id)


async def find(
    connection: AsyncConnection,
    principal: Principal,
    *,
    notebook_id: UUID | None,
    search: str,
    sort: str,
    limit: int,
    offset: int,
) -> ChatList:
    """Return a page of chats whose title contains ``search``, without regard to case."""
    where = "c.user_id = %(user_id)s and c.author = %(author)s"
    where += " and c.notebook_id = %(notebook_id)s" if notebook_id else ""
    where += " and strpos(lower(c.title), lower(%(search)s)) > 0" if search else ""
    values: dict[str, Any] = {
        **owner(principal),
        "notebook_id": notebook_id,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    rows, total = await page(connection, _COLUMNS, "chats c", where, f"{_ORDER[sort]}, c.id", values)
    return ChatList(items=tuple(Chat(**row) for row in rows), total=total, limit=limit, offset=offset)


async def update(
    connection: AsyncConnection,
    principal: Principal,
    chat_id: UUID,
    *,
    title: str | None = None,
    model: str | None = None,
    levels: Mapping[UUID, str] | None = None,
) -> Chat:
    """Change what is not None and return the chat; levels of sources that are not named stay, an empty model is the default."""
    await connection.execute(
        text("""update chats set title = coalesce(:title, title), levels = levels || cast(:levels as jsonb),
                model = case when cast(:model as text) is null then model else nullif(:model, '') end,
                updated_at = now() where user_id = :user_id and author = :author and id = :id"""),
        {**owner(principal), "id": chat_id, "title": title, "model": model, "levels": _levels(levels or {})},
    )
    return await get(connection, principal, chat_id)


async def delete(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> None:
    """Delete a chat with its messages."""
    done = await connection.execute(
        text("delete from chats where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": chat_id},
    )
    if not done.rowcount:
        raise missing(chat_id)


async def summary(connection: AsyncConnection, principal: Principal, chat_id: UUID) -> tuple[str, int]:
    """Return the summary of the oldest messages, and the number of the last message it covers."""
    found = await connection.execute(
        text("select summary, summarised from chats where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": chat_id},
    )
    row = found.first()
    return (row.summary, row.summarised) if row else ("", 0)


async def keep_summary(
    connection: AsyncConnection, principal: Principal, chat_id: UUID, words: str, number: int
) -> None:
    """Keep the summary of the messages up to ``number``."""
    await connection.execute(
        text("""update chats set summary = :summary, summarised = :summarised
                where user_id = :user_id and author = :author and id = :id"""),
        {**owner(principal), "id": chat_id, "summary": words, "summarised": number},
    )


async def notebook_sources(connection: AsyncConnection, user_id: str, notebook_id: UUID) -> list[UUID]:
    """Return the ids of all sources of a notebook."""
    rows = await connection.scalars(
        text("""select source_id from notebook_sources where user_id = :user_id and notebook_id = :notebook_id
                and removed_at is null order by source_id"""),
        {"user_id": user_id, "notebook_id": notebook_id},
    )
    return list(rows)


async def whole_texts(
    connection: AsyncConnection, user_id: str, source_ids: Sequence[UUID], characters: int
) -> list[Mapping[Any, Any]]:
    """Return the chunks of sources in reading order, of each source at most ``characters`` from its beginning."""
    rows = await connection.execute(
        text("""select * from (
                  select c.id as chunk_id, c.source_id, s.name as source, c.version_id, v.number as version,
                         c.start_char as start, c.end_char as "end", c.text, c.place,
                         sum(length(c.text)) over (partition by c.source_id order by c.ordinal) as passed, c.ordinal
                  from chunks c join sources s on s.user_id = c.user_id and s.id = c.source_id
                  join source_versions v on v.user_id = c.user_id and v.id = c.version_id
                  where c.user_id = :user_id and c.source_id = any(:ids)) whole
                where passed <= :characters or ordinal = 0 order by source, source_id, ordinal"""),
        {"user_id": user_id, "ids": list(source_ids), "characters": characters},
    )
    return list(rows.mappings())


def missing(chat_id: UUID) -> NotFound:
    """Return the error for an unknown chat."""
    return NotFound(f"there is no chat {chat_id}", hint="ws.chats.list() shows all", chat_id=str(chat_id))


def _levels(levels: Mapping[UUID, str]) -> str:
    return json.dumps({str(source_id): level for source_id, level in levels.items()})
