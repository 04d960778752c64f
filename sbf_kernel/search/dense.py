"""The dense arm: exact inside a notebook, HNSW over large scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbf_kernel.storage import ranking

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector

EXACT_CHUNKS = 20_000
"""Scopes up to this size are compared row by row: recall 1.0, where a filtered
HNSW scan would find as little as 4 % (measured, docs/adr/0002-search.md)."""


async def rank(
    connection: AsyncConnection, user_id: str, scope: ranking.ScopeFilter, model: str, query: Vector, limit: int
) -> list[ranking.Candidate]:
    """Return the chunks of the scope nearest to the query, nearest first, never fewer than exist."""
    if scope.chunks > EXACT_CHUNKS:
        found = await ranking.dense_approximate(connection, user_id, scope, model, query, limit)
        if len(found) >= limit:
            return found
    return await ranking.dense_exact(connection, user_id, scope, model, query, limit)
