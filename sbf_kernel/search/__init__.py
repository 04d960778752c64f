"""Search: both arms at once, fused, as hits with exact offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel.errors import ModelUnavailable
from sbf_kernel.operations import Search
from sbf_kernel.records import Hit, Hits, Location, Principal
from sbf_kernel.search import dense, fusion, lexical
from sbf_kernel.search.highlights import highlights
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
        raise ModelUnavailable("there is no embedding model", hint="set SBF_EMBEDDER=builtin:bge-small-en-v1.5, or use arm='lexical'")
    depth = PER_SOURCE_DEPTH if op.per_source else fusion.DEPTH
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, op.notebook_ids)
        scope = await ranking.resolve_scope(connection, principal.user_id, op)
    by_words, by_meaning = await asyncio.gather(
        _lexical_arm(runtime, principal, op, scope, depth), _dense_arm(runtime, principal, op, scope, depth))
    if op.per_source:
        by_words, by_meaning = _best_per_source(by_words), _best_per_source(by_meaning)
    items = await _hits(runtime, principal, op, by_words[:fusion.DEPTH], by_meaning[:fusion.DEPTH])
    return Hits(query=op.query, arm=op.arm, items=items, searched_chunks=scope.chunks,
                milliseconds=round((time.perf_counter() - began) * 1_000, 1), warnings=_warnings(runtime, op))


async def _lexical_arm(runtime: Runtime, principal: Principal, op: Search, scope: ranking.ScopeFilter, depth: int) -> list[ranking.Candidate]:
    if op.arm == "dense" or not scope.chunks:
        return []
    async with runtime.db.transaction(principal) as connection:
        return await lexical.rank(connection, principal.user_id, scope, op.query, depth)


async def _dense_arm(runtime: Runtime, principal: Principal, op: Search, scope: ranking.ScopeFilter, depth: int) -> list[ranking.Candidate]:
    if op.arm == "lexical" or runtime.embedder is None or not scope.chunks:
        return []
    vector = await runtime.embedder.embed_query(op.query)
    async with runtime.db.transaction(principal) as connection:
        return await dense.rank(connection, principal.user_id, scope, runtime.embedder.id, vector, depth)


def _best_per_source(ranked: list[ranking.Candidate]) -> list[ranking.Candidate]:
    best: dict[UUID, ranking.Candidate] = {}
    for candidate in ranked:
        best.setdefault(candidate[1], candidate)
    return list(best.values())


async def _hits(runtime: Runtime, principal: Principal, op: Search, by_words: list[ranking.Candidate],
                by_meaning: list[ranking.Candidate]) -> tuple[Hit, ...]:
    # A hit of the fusion is a chunk; per source, the arms may prefer different chunks of it.
    unit = 1 if op.per_source else 0
    words, meanings = {c[unit]: c for c in by_words}, {c[unit]: c for c in by_meaning}
    fused = fusion.FUSIONS[op.fusion]({k: c[2] for k, c in words.items()}, {k: c[2] for k, c in meanings.items()})
    if op.arm != "hybrid":
        fused = {k: c[2] for k, c in (words or meanings).items()}

    def order(key: UUID) -> tuple[float, float, float, str]:
        """Ties go to the nearer meaning, then to more words, then to a fixed order."""
        return (-fused[key], -(meanings[key][2] if key in meanings else -2), -(words[key][2] if key in words else 0), str(key))

    chosen = sorted(fused, key=order)[:op.limit]
    chunk_of = {key: (meanings.get(key) or words[key])[0] for key in chosen}
    async with runtime.db.transaction(principal) as connection:
        rows = await ranking.fetch(connection, principal.user_id, list(chunk_of.values()))
        spoken = await ranking.languages(connection, principal.user_id)
    word_rank = {key: rank for rank, key in enumerate(words, start=1)}
    meaning_rank = {key: rank for rank, key in enumerate(meanings, start=1)}
    names = [language for language, _ in spoken[:lexical.MAX_LANGUAGES]]
    hits = []
    for key in chosen:
        row = rows.get(chunk_of[key])
        if row is not None:  # None: deleted between the two statements
            hits.append(_hit(row, op, len(hits) + 1, fused[key], names, dense_rank=meaning_rank.get(key),
                             dense_score=meanings[key][2] if key in meanings else None, lexical_rank=word_rank.get(key),
                             lexical_score=words[key][2] if key in words else None))
    return tuple(hits)


def _hit(row: Mapping[Any, Any], op: Search, rank: int, score: float, languages: list[str], **arms: Any) -> Hit:
    return Hit(rank=rank, score=round(score, 6), source_id=row["source_id"], source=row["source"], version_id=row["version_id"],
               version=row["version"], chunk_id=row["chunk_id"], start=row["start_char"], end=row["end_char"], text=row["text"],
               location=Location(**ranking.place_of(row["place"])),
               highlights=highlights(row["text"], op.query, row["language"], languages), **arms)


def _warnings(runtime: Runtime, op: Search) -> tuple[str, ...]:
    if op.arm == "hybrid" and runtime.embedder is None:
        return ("no embedding model: words only",)
    return ()
