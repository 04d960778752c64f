"""SQL of notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Notebook, NotebookList
from sbf_kernel.storage.statements import page, rows

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = "n.id, n.name, n.description, n.created_at, n.updated_at, held.source_count, held.chunk_count"
_HELD = """left join lateral (
  select count(*) as source_count, coalesce(sum(s.chunk_count), 0) as chunk_count
  from notebook_sources l join sources s on s.user_id = l.user_id and s.id = l.source_id
  where l.user_id = n.user_id and l.notebook_id = n.id and l.removed_at is null) held on true"""
_ORDER = {"updated": "n.updated_at desc", "created": "n.created_at desc", "name": "lower(n.name)"}


async def create(connection: AsyncConnection, user_id: str, name: str, description: str) -> Notebook:
    """Insert a notebook and return it."""
    notebook_id = uuid4()
    await connection.execute(
        text("insert into notebooks (user_id, id, name, description) values (:user_id, :id, :name, :description)"),
        {"user_id": user_id, "id": notebook_id, "name": name, "description": description},
    )
    return await get(connection, user_id, notebook_id)


async def get(connection: AsyncConnection, user_id: str, notebook_id: UUID) -> Notebook:
    """Return one notebook.

    Raises
    ------
    NotFound
        There is none with this id for this tenant.
    """
    statement = f"select {_COLUMNS} from notebooks n {_HELD} where n.user_id = :user_id and n.id = :id"
    row = (await connection.execute(text(statement), {"user_id": user_id, "id": notebook_id})).mappings().first()
    if row is None:
        raise missing(notebook_id)
    return Notebook(**row)


async def find(
    connection: AsyncConnection, user_id: str, *, search: str, sort: str, limit: int, offset: int
) -> NotebookList:
    """Return a page of notebooks whose name or description contains ``search``, without regard to case."""
    where = "n.user_id = %(user_id)s"
    if search:
        where += """ and (strpos(lower(n.name), lower(%(search)s)) > 0
            or strpos(lower(n.description), lower(%(search)s)) > 0)"""
    values: dict[str, Any] = {"user_id": user_id, "search": search, "limit": limit, "offset": offset}
    found, total = await page(connection, _COLUMNS, "notebooks n", where, f"{_ORDER[sort]}, n.id", values, _HELD)
    return NotebookList(items=tuple(Notebook(**row) for row in found), total=total, limit=limit, offset=offset)


async def update(
    connection: AsyncConnection, user_id: str, notebook_id: UUID, name: str | None, description: str | None
) -> Notebook:
    """Change what is not None and return the notebook."""
    await connection.execute(
        text(
            "update notebooks set name = coalesce(:name, name), description = coalesce(:description, description), "
            "updated_at = now() where user_id = :user_id and id = :id"
        ),
        {"user_id": user_id, "id": notebook_id, "name": name, "description": description},
    )
    return await get(connection, user_id, notebook_id)


async def delete(connection: AsyncConnection, user_id: str, notebook_id: UUID) -> None:
    """Delete a notebook; its sources stay."""
    done = await connection.execute(
        text("delete from notebooks where user_id = :user_id and id = :id"), {"user_id": user_id, "id": notebook_id}
    )
    if not done.rowcount:
        raise missing(notebook_id)


async def require(connection: AsyncConnection, user_id: str, notebook_ids: tuple[UUID, ...]) -> None:
    """Raise :class:`NotFound` unless all these notebooks exist for this tenant."""
    if not notebook_ids:
        return
    known = "select id from notebooks where user_id = %(user_id)s and id = any(%(ids)s)"
    found = {row[0] for row in await rows(connection, known, {"user_id": user_id, "ids": list(notebook_ids)})}
    for notebook_id in notebook_ids:
        if notebook_id not in found:
            raise missing(notebook_id)


async def touch(connection: AsyncConnection, user_id: str, notebook_id: UUID) -> None:
    """Mark a notebook as changed now: before anything in it is changed, so that whoever deletes it meanwhile waits here.

    Raises
    ------
    NotFound
        There is none with this id for this tenant.
    """
    done = await connection.execute(
        text("update notebooks set updated_at = now() where user_id = :user_id and id = :id"),
        {"user_id": user_id, "id": notebook_id},
    )
    if not done.rowcount:
        raise missing(notebook_id)


def missing(notebook_id: UUID) -> NotFound:
    """Return the error for an unknown notebook."""
    return NotFound(
        f"there is no notebook {notebook_id}", hint="ws.notebooks.list() shows all", notebook_id=str(notebook_id)
    )
