"""SQL of answers: stored whole, as the record that was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Answer, AnswerList, Principal
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection


async def insert(connection: AsyncConnection, principal: Principal, answer: Answer) -> None:
    """Store an answer."""
    await connection.execute(
        text("""insert into answers (user_id, author, id, notebook_id, question, record, created_at)
                values (:user_id, :author, :id, :notebook_id, :question, cast(:record as jsonb), :created_at)"""),
        {
            **owner(principal),
            "id": answer.id,
            "notebook_id": answer.notebook_id,
            "question": answer.question,
            "record": answer.model_dump_json(),
            "created_at": answer.created_at,
        },
    )


async def get(connection: AsyncConnection, principal: Principal, answer_id: UUID) -> Answer:
    """Return one answer.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    record = await connection.scalar(
        text("select record from answers where user_id = :user_id and author = :author and id = :id"),
        {**owner(principal), "id": answer_id},
    )
    if record is None:
        raise NotFound(f"there is no answer {answer_id}", hint="ws.answers.list() shows all", answer_id=str(answer_id))
    return Answer.model_validate(record)


async def find(
    connection: AsyncConnection, principal: Principal, *, notebook_id: UUID | None, search: str, limit: int, offset: int
) -> AnswerList:
    """Return a page of answers, newest first, whose question contains ``search``, without regard to case."""
    where = "user_id = %(user_id)s and author = %(author)s"
    where += " and notebook_id = %(notebook_id)s" if notebook_id else ""
    where += " and strpos(lower(question), lower(%(search)s)) > 0" if search else ""
    values: dict[str, Any] = {
        **owner(principal),
        "notebook_id": notebook_id,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    rows, total = await page(connection, "record", "answers", where, "created_at desc, id", values)
    items = tuple(Answer.model_validate(row["record"]) for row in rows)
    return AnswerList(items=items, total=total, limit=limit, offset=offset)


def owner(principal: Principal) -> dict[str, str]:
    """Return the parameters every statement on what belongs to its author carries."""
    return {"user_id": principal.user_id, "author": principal.author}
