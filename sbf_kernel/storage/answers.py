"""SQL of answers: stored whole, as the record that was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Answer, AnswerList, Principal

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
    where = "user_id = :user_id and author = :author"
    if notebook_id is not None:
        where += " and notebook_id = :notebook_id"
    if search:
        where += " and strpos(lower(question), lower(:search)) > 0"
    values: dict[str, Any] = {
        **owner(principal),
        "notebook_id": notebook_id,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    rows = await connection.scalars(
        text(f"select record from answers where {where} order by created_at desc, id limit :limit offset :offset"),
        values,
    )
    total = await connection.scalar(text(f"select count(*) from answers where {where}"), values)
    return AnswerList(items=tuple(map(Answer.model_validate, rows)), total=total or 0, limit=limit, offset=offset)


def owner(principal: Principal) -> dict[str, str]:
    """Return the parameters every statement on what belongs to its author carries."""
    return {"user_id": principal.user_id, "author": principal.author}
