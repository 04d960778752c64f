"""Search: both arms at once, fused, as hits with exact offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import ModelUnavailable
from sbf_kernel.operations import Search
from sbf_kernel.records import Hit, Hits, Location, Principal
from sbf_kernel.search import dense, fusion, lexical
from sbf_kernel.search.highlights import highlights
from sbf_kernel.search.merging import Ranked, merge
from sbf_kernel.storage import notebooks, ranking

if TYPE_CHECKING:
    from sbf_kernel.runtime import Runtime

PER_SOURCE_DEPTH = 300
"""Chunks per arm when only the best of each source counts, so that 100 sources are left."""


async def search(runtime: Runtime, principal: Principal, op: Search) -> Hits:
    """Rank the chunks of a scope.

    The lexical arm runs in the database while the query is embedded; the two
    rankings meet in :mod:`sbf_kernel.search.fusion`.

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
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, op.notebook_ids)
        scope = await ranking.resolve_scope(connection, principal.user_id, op)
    by_words, by_meaning = await asyncio.gather(
        _lexical_arm(runtime, principal, op, scope, depth), _dense_arm(runtime, principal, op, scope, depth)
    )
    ranked = merge(op, by_words, by_meaning, runtime.embedder.languages if runtime.embedder else None)
    return Hits(
        query=op.query,
        arm=op.arm,
        items=await _hits(runtime, principal, op, ranked),
        searched_chunks=scope.chunks,
        milliseconds=round((time.perf_counter() - began) * 1_000, 1),
        warnings=_warnings(runtime, op),
    )


async def _lexical_arm(
    runtime: Runtime, principal: Principal, op: Search, scope: ranking.ScopeFilter, depth: int
) -> list[ranking.Candidate]:
    if op.arm == "dense" or not scope.chunks:
        return []
    async with runtime.db.transaction(principal) as connection:
        return await lexical.rank(connection, principal.user_id, scope, op.query, depth)


async def _dense_arm(
    runtime: Runtime, principal: Principal, op: Search, scope: ranking.ScopeFilter, depth: int
) -> list[ranking.Candidate]:
    if op.arm == "lexical" or runtime.embedder is None or not scope.chunks:
        return []
    vector = await runtime.embedder.embed_query(op.query)
    async with runtime.db.transaction(principal) as connection:
        return await dense.rank(connection, principal.user_id, scope, runtime.embedder.id, vector, depth)


async def _hits(runtime: Runtime, principal: Principal, op: Search, ranked: list[Ranked]) -> tuple[Hit, ...]:
    async with runtime.db.transaction(principal) as connection:
        rows = await ranking.fetch(connection, principal.user_id, [chunk.chunk_id for chunk in ranked])
        spoken = await ranking.languages(connection, principal.user_id)
    languages = [language for language, _ in spoken[: lexical.MAX_LANGUAGES]]
    found = [
        (rows[chunk.chunk_id], chunk) for chunk in ranked if chunk.chunk_id in rows
    ]  # others were deleted meanwhile
    return tuple(_hit(row, op, rank, chunk, languages) for rank, (row, chunk) in enumerate(found, start=1))


def _hit(row: Mapping[Any, Any], op: Search, rank: int, chunk: Ranked, languages: list[str]) -> Hit:
    return Hit(
        rank=rank,
        score=round(chunk.score, 6),
        source_id=row["source_id"],
        source=row["source"],
        version_id=row["version_id"],
        version=row["version"],
        chunk_id=row["chunk_id"],
        start=row["start_char"],
        end=row["end_char"],
        text=row["text"],
        location=Location(**ranking.place_of(row["place"])),
        highlights=highlights(row["text"], op.query, row["language"], languages),
        dense_rank=chunk.dense_rank,
        dense_score=chunk.dense_score,
        lexical_rank=chunk.lexical_rank,
        lexical_score=chunk.lexical_score,
    )


def _warnings(runtime: Runtime, op: Search) -> tuple[str, ...]:
    if op.arm == "hybrid" and runtime.embedder is None:
        return ("no embedding model: words only",)
    return ()
