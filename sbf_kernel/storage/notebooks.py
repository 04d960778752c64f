"""SQL of notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Notebook, NotebookList

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_SELECT = """
select n.id, n.name, n.description, n.created_at, n.updated_at, count(s.id) as source_count,
       coalesce(sum(s.chunk_count), 0) as chunk_count
from notebooks n
left join notebook_sources l on l.user_id = n.user_id and l.notebook_id = n.id and l.removed_at is null
left join sources s on s.user_id = l.user_id and s.id = l.source_id
where n.user_id = :user_id
"""
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
    row = (
        (
            await connection.execute(
                text(_SELECT + " and n.id = :id group by n.user_id, n.id"),
                {"user_id": user_id, "id": notebook_id},
            )
        )
        .mappings()
        .first()
    )
    if row is None:
        raise missing(notebook_id)
    return Notebook(**row)


async def find(
    connection: AsyncConnection, user_id: str, *, search: str, sort: str, limit: int, offset: int
) -> NotebookList:
    """Return a page of notebooks whose name or description contains ``search``, without regard to case."""
    where = (
        " and (strpos(lower(n.name), lower(:search)) > 0 or strpos(lower(n.description), lower(:search)) > 0)"
        if search
        else ""
    )
    values: dict[str, Any] = {"user_id": user_id, "search": search, "limit": limit, "offset": offset}
    rows = await connection.execute(
        text(f"{_SELECT}{where} group by n.user_id, n.id order by {_ORDER[sort]}, n.id limit :limit offset :offset"),
        values,
    )
    total = await connection.scalar(text(f"select count(*) from notebooks n where n.user_id = :user_id{where}"), values)
    return NotebookList(
        items=tuple(Notebook(**row) for row in rows.mappings()), total=total or 0, limit=limit, offset=offset
    )


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
    rows = await connection.execute(
        text("select id from notebooks where user_id = :user_id and id = any(:ids)"),
        {"user_id": user_id, "ids": list(notebook_ids)},
    )
    found = set(rows.scalars())
    for notebook_id in notebook_ids:
        if notebook_id not in found:
            raise missing(notebook_id)


def missing(notebook_id: UUID) -> NotFound:
    """Return the error for an unknown notebook."""
    return NotFound(
        f"there is no notebook {notebook_id}", hint="ws.notebooks.list() shows all", notebook_id=str(notebook_id)
    )
