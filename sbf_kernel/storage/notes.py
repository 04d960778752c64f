"""SQL of notes. A note belongs to its author, also in a shared notebook."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Note, NoteList, Principal
from sbf_kernel.storage.answers import owner
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.records import Answer

_COLUMNS = "id, notebook_id, title, text, answer_id, citations, created_at, updated_at"
_ORDER = {"updated": "updated_at desc", "created": "created_at desc", "title": "lower(title)"}


async def create(
    connection: AsyncConnection,
    principal: Principal,
    *,
    notebook_id: UUID,
    title: str,
    words: str,
    answer: Answer | None,
) -> Note:
    """Insert a note, with the citations of the answer it was taken from, and return it."""
    note_id = uuid4()
    citations = [cited.model_dump(mode="json") for cited in answer.citations] if answer else []
    await connection.execute(
        text("""insert into notes (user_id, author, id, notebook_id, title, text, answer_id, citations) values
                (:user_id, :author, :id, :notebook_id, :title, :text, :answer_id, cast(:citations as jsonb))"""),
        {
            **owner(principal),
            "id": note_id,
            "notebook_id": notebook_id,
            "title": title,
            "text": words,
            "answer_id": answer.id if answer else None,
            "citations": json.dumps(citations),
        },
    )
    return await get(connection, principal, note_id)


async def get(connection: AsyncConnection, principal: Principal, note_id: UUID) -> Note:
    """Return one note.

    Raises
    ------
    NotFound
        Unknown, or somebody else's.
    """
    found = await connection.execute(
        text(f"select {_COLUMNS} from notes where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": note_id},
    )
    row = found.mappings().first()
    if row is None:
        raise missing(note_id)
    return Note(**row)


async def find(
    connection: AsyncConnection,
    principal: Principal,
    *,
    notebook_id: UUID | None,
    search: str,
    sort: str,
    limit: int,
    offset: int,
) -> NoteList:
    """Return a page of notes whose title or text contains ``search``, without regard to case."""
    where = "user_id = %(user_id)s and author = %(author)s"
    where += " and notebook_id = %(notebook_id)s" if notebook_id else ""
    if search:
        where += " and (strpos(lower(title), lower(%(search)s)) > 0 or strpos(lower(text), lower(%(search)s)) > 0)"
    values: dict[str, Any] = {
        **owner(principal),
        "notebook_id": notebook_id,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    rows, total = await page(connection, _COLUMNS, "notes", where, f"{_ORDER[sort]}, id", values)
    return NoteList(items=tuple(Note(**row) for row in rows), total=total, limit=limit, offset=offset)


async def update(
    connection: AsyncConnection, principal: Principal, note_id: UUID, title: str | None, words: str | None
) -> Note:
    """Change what is not None and return the note."""
    await connection.execute(
        text("""update notes set title = coalesce(:title, title), text = coalesce(:text, text), updated_at = now()
                where user_id = :user_id and author = :author and id = :id"""),
        {**owner(principal), "id": note_id, "title": title, "text": words},
    )
    return await get(connection, principal, note_id)


async def delete(connection: AsyncConnection, principal: Principal, note_id: UUID) -> None:
    """Delete a note."""
    done = await connection.execute(
        text("delete from notes where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": note_id},
    )
    if not done.rowcount:
        raise missing(note_id)


def missing(note_id: UUID) -> NotFound:
    """Return the error for an unknown note."""
    return NotFound(f"there is no note {note_id}", hint="ws.notes.list() shows all", note_id=str(note_id))
