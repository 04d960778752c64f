"""Statements on the driver's own connection, in the transaction as it stands.

A request is a handful of short statements: what SQLAlchemy adds to each
(0.25 ms of CPU) is as much as the statement itself. Parameters are written
as psycopg takes them: ``%(name)s``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from sqlalchemy.ext.asyncio import AsyncConnection


async def rows(connection: AsyncConnection, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """Run a statement and return its rows as tuples."""
    cursor = await (await _driver(connection)).execute(statement, values)
    return await cursor.fetchall()


async def page(
    connection: AsyncConnection,
    columns: str,
    table: str,
    where: str,
    order: str,
    values: Mapping[str, Any],
    joined: str = "",
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of a list, and the length of the whole list, by one statement.

    Parameters
    ----------
    columns
        What to select, worked out for the rows of the page only.
    table
        With its alias, if it has one.
    where
        All conditions.
    order
        A complete order: pages must not overlap.
    values
        Parameters, with ``limit`` and ``offset`` among them.
    joined
        What is joined to the rows of the page.
    """
    from psycopg.rows import dict_row

    alias = table.rpartition(" ")[2]
    length = f"select count(*) as length_of_list from {table} where {where}"
    of_page = f"select {alias}.* from {table} where {where} order by {order} limit %(limit)s offset %(offset)s"
    statement = f"select {columns}, ({length}) as length_of_list from ({of_page}) {alias} {joined} order by {order}"
    cursor = (await _driver(connection)).cursor(row_factory=dict_row)
    found = await (await cursor.execute(statement, values)).fetchall()
    if not found and values["offset"]:  # past the end
        ((count,),) = await rows(connection, length, values)
        return [], count
    lengths = [row.pop("length_of_list") for row in found]
    return found, lengths[0] if lengths else 0


async def _driver(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    raw: Any = (await connection.get_raw_connection()).driver_connection
    return raw  # type: ignore[no-any-return]
