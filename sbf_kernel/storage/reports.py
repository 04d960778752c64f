"""SQL of reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import NotFound
from sbf_kernel.records import Report, ReportList
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = "id, notebook_id, template, parameters, status, message, created_at, updated_at"


async def create(
    connection: AsyncConnection, user_id: str, notebook_id: UUID, template: str, parameters: Mapping[str, Any]
) -> UUID:
    """Insert a report that is still to be made and return its id."""
    report_id = uuid4()
    await connection.execute(
        text("""insert into reports (user_id, id, notebook_id, template, parameters)
                values (:user_id, :id, :notebook_id, :template, cast(:parameters as jsonb))"""),
        {
            "user_id": user_id,
            "id": report_id,
            "notebook_id": notebook_id,
            "template": template,
            "parameters": json.dumps(parameters),
        },
    )
    return report_id


async def get(connection: AsyncConnection, user_id: str, report_id: UUID) -> Report:
    """Return one report with its page.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    found = await connection.execute(
        text(f"select {_COLUMNS}, html from reports where user_id = :user_id and id = :id"),
        {"user_id": user_id, "id": report_id},
    )
    row = found.mappings().first()
    if row is None:
        raise missing(report_id)
    return Report(**row)


async def find(
    connection: AsyncConnection, user_id: str, *, notebook_id: UUID | None, search: str, limit: int, offset: int
) -> ReportList:
    """Return a page of reports without their HTML, newest first."""
    where = "user_id = %(user_id)s"
    where += " and notebook_id = %(notebook_id)s" if notebook_id else ""
    where += " and strpos(lower(template), lower(%(search)s)) > 0" if search else ""
    values = {"user_id": user_id, "notebook_id": notebook_id, "search": search, "limit": limit, "offset": offset}
    rows, total = await page(connection, _COLUMNS, "reports", where, "created_at desc, id", values)
    return ReportList(items=tuple(Report(**row) for row in rows), total=total, limit=limit, offset=offset)


async def set_outcome(
    connection: AsyncConnection, user_id: str, report_id: UUID, *, status: str, message: str, page: str = ""
) -> None:
    """Record how making a report ended, with the page if there is one."""
    await connection.execute(
        text("""update reports set status = :status, message = :message, html = :html, updated_at = now()
                where user_id = :user_id and id = :id"""),
        {"user_id": user_id, "id": report_id, "status": status, "message": message, "html": page},
    )


async def delete(connection: AsyncConnection, user_id: str, report_id: UUID) -> None:
    """Delete a report.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    done = await connection.execute(
        text("delete from reports where user_id = :user_id and id = :id"), {"user_id": user_id, "id": report_id}
    )
    if not done.rowcount:
        raise missing(report_id)


def missing(report_id: UUID) -> NotFound:
    """Return the error for an unknown report."""
    return NotFound(f"there is no report {report_id}", hint="ws.reports.list() shows all", report_id=str(report_id))
