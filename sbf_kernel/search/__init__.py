"""Search: both arms at once, fused, as hits with exact offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sbf_kernel.errors import ModelUnavailable
from sbf_kernel.models import sparse
from sbf_kernel.operations import Search
from sbf_kernel.records import Hit, Hits, Location, Principal
from sbf_kernel.search import dense, fusion, lexical
from sbf_kernel.search.highlights import highlights
from sbf_kernel.search.merging import Ranked, merge
from sbf_kernel.storage import ranking

if TYPE_CHECKING:
    from sbf_kernel.models import Vector
    from sbf_kernel.runtime import Runtime

PER_SOURCE_DEPTH = 300
"""Chunks per arm when only the best of each source counts, so that 100 sources are left."""


async def search(runtime: Runtime, principal: Principal, op: Search) -> Hits:
    """Rank the chunks of a scope.

    The lexical arm runs in the database while the query is embedded; the two
    rankings meet in :mod:`sbf_kernel.search.fusion`. One transaction on one
    connection: fewer round trips, and searches cannot wait for each other's
    second connection.

    Raises
    ------
    NotFound
        A notebook of the scope does not exist.
    ModelUnavailable
        The dense arm was asked for and there is no embedder.
    """
    began = time.perf_counter()
    if op.arm == "dense" and runtime.embedder is None:
        raise ModelUnavailable(
            "there is no embedding model", hint="set SBF_EMBEDDER=builtin:bge-small-en-v1.5, or use arm='lexical'"
        )
    depth = PER_SOURCE_DEPTH if op.per_source else fusion.DEPTH
    async with _embedding(runtime, op) as embedding, runtime.db.transaction(principal) as connection:
        scope = await ranking.resolve_scope(connection, principal.user_id, op)
        by_words, by_meaning = list[ranking.Candidate](), list[ranking.Candidate]()
        if scope.chunks and op.arm != "dense":
            by_words = await lexical.rank(connection, principal.user_id, scope, op.query, depth)
        if scope.chunks and embedding is not None and runtime.embedder is not None:
            vector = await embedding
            by_meaning = await dense.rank(connection, principal.user_id, scope, runtime.embedder.id, vector, depth)
        ranked = merge(op, by_words, by_meaning, runtime.embedder.languages if runtime.embedder else None)
        rows = await ranking.fetch(connection, principal.user_id, [chunk.chunk_id for chunk in ranked])
    return Hits(
        query=op.query,
        arm=op.arm,
        items=_hits(rows, op, ranked, scope),
        searched_chunks=scope.chunks,
        milliseconds=round((time.perf_counter() - began) * 1_000, 1),
        warnings=_warnings(runtime, op, unseen=embedding is not None and len(by_meaning) < min(depth, scope.chunks)),
    )


@asynccontextmanager
async def _embedding(runtime: Runtime, op: Search) -> AsyncIterator[asyncio.Task[Vector] | None]:
    """Embed the query in the background; stop it at the end when nobody wanted it."""
    if op.arm == "lexical" or runtime.embedder is None:
        yield None
        return
    task = asyncio.create_task(runtime.embedder.embed_query(op.query))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _hits(
    rows: Mapping[str, ranking.Found], op: Search, ranked: list[Ranked], scope: ranking.ScopeFilter
) -> tuple[Hit, ...]:
    wanted = frozenset(sparse.encode_query(op.query, lexical.languages_of(scope)))
    found = [
        (rows[chunk.chunk_id], chunk) for chunk in ranked if chunk.chunk_id in rows
    ]  # others were deleted meanwhile
    return tuple(_hit(row, wanted, rank, chunk) for rank, (row, chunk) in enumerate(found, start=1))


def _hit(row: ranking.Found, wanted: frozenset[int], rank: int, chunk: Ranked) -> Hit:
    return Hit(
        rank=rank,
        score=round(chunk.score, 6),
        source_id=row.source_id,
        source=row.source,
        version_id=row.version_id,
        version=row.version,
        chunk_id=row.chunk_id,
        start=row.start,
        end=row.end,
        text=row.text,
        location=Location(**ranking.place_of(row.place)),
        highlights=highlights(row.text, wanted, row.language),
        dense_rank=chunk.dense_rank,
        dense_score=chunk.dense_score,
        lexical_rank=chunk.lexical_rank,
        lexical_score=chunk.lexical_score,
    )


def _warnings(runtime: Runtime, op: Search, *, unseen: bool) -> tuple[str, ...]:
    if op.arm == "hybrid" and runtime.embedder is None:
        return ("no embedding model: words only",)
    if unseen and runtime.embedder is not None:
        return (
            f"some sources have no vectors of {runtime.embedder.id}: found by words only; add them again, or retry them",
        )
    return ()
