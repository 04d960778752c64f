"""SQL of search: scopes, statistics, both arms, and fetching the winners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from pgvector import HalfVector, SparseVector
from sqlalchemy import text

from sbf_kernel.operations import Scope
from sbf_kernel.storage.versions import TERM_DIMENSIONS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector
    from sbf_kernel.storage.database import Database


class Candidate(NamedTuple):
    """A chunk that one arm found."""

    chunk_id: UUID
    source_id: UUID
    score: float
    language: str = ""
    """Known to the lexical arm only."""


@dataclass(frozen=True)
class ScopeFilter:
    """A scope in the form the arms use.

    ``notebooks`` restrict by a join; ``sources`` is an explicit list when any
    further filter is set; ``hidden`` are sources in no notebook at all, which
    a search over everything must not show.
    """

    notebooks: list[UUID] | None
    sources: list[UUID] | None
    hidden: list[UUID] | None
    chunks: int
    """Chunks inside."""

    def where(self, alias: str) -> str:
        """Return the SQL condition on ``alias.source_id``."""
        parts = []
        if self.sources is not None:
            parts.append(f"{alias}.source_id = any(:in_sources)")
        if self.notebooks is not None:
            parts.append(f"""{alias}.source_id in (select n.source_id from notebook_sources n where n.user_id = :user_id
                             and n.notebook_id = any(:in_notebooks) and n.removed_at is null)""")
        if self.hidden:
            parts.append(f"{alias}.source_id <> all(:not_sources)")
        return " and ".join(parts) or "true"

    def values(self) -> dict[str, Any]:
        """Return the parameters of :meth:`where`."""
        return {"in_sources": self.sources, "in_notebooks": self.notebooks, "not_sources": self.hidden or None}


async def resolve_scope(connection: AsyncConnection, user_id: str, scope: Scope) -> ScopeFilter:
    """Work out which sources a scope means and how many chunks they have."""
    conditions, values = _source_conditions(scope)
    values |= {"user_id": user_id, "notebooks": list(scope.notebook_ids)}
    linked = "exists (select from notebook_sources l where l.user_id = s.user_id and l.source_id = s.id and l.removed_at is null)"
    if conditions:
        inside = f"s.id in ({_IN_NOTEBOOKS})" if scope.notebook_ids else linked
        rows = (
            await connection.execute(
                text(
                    f"select s.id, s.chunk_count from sources s where s.user_id = :user_id and {inside} and {' and '.join(conditions)}"
                ),
                values,
            )
        ).all()
        return ScopeFilter(None, [row.id for row in rows], None, sum(row.chunk_count for row in rows))
    if scope.notebook_ids:
        chunks = await connection.scalar(
            text(
                f"select coalesce(sum(s.chunk_count), 0) from sources s where s.user_id = :user_id and s.id in ({_IN_NOTEBOOKS})"
            ),
            values,
        )
        return ScopeFilter(list(scope.notebook_ids), None, None, chunks or 0)
    rows = (
        await connection.execute(
            text(
                f"select s.id, s.chunk_count from sources s where s.user_id = :user_id and s.chunk_count > 0 and not {linked}"
            ),
            values,
        )
    ).all()
    total = await connection.scalar(
        text("select coalesce(sum(chunks), 0) from collection_stats where user_id = :user_id"), values
    )
    return ScopeFilter(None, None, [row.id for row in rows], (total or 0) - sum(row.chunk_count for row in rows))


_IN_NOTEBOOKS = """select l.source_id from notebook_sources l where l.user_id = :user_id
  and l.notebook_id = any(:notebooks) and l.removed_at is null"""


def _source_conditions(scope: Scope) -> tuple[list[str], dict[str, Any]]:
    conditions, values = [], dict[str, Any]()
    if scope.source_ids:
        conditions.append("s.id = any(:source_ids)")
        values["source_ids"] = list(scope.source_ids)
    if scope.media_types:
        conditions.append(
            "exists (select from unnest(cast(:media_types as text[])) p where starts_with(s.media_type, p))"
        )
        values["media_types"] = list(scope.media_types)
    if scope.languages:
        conditions.append("s.language = any(:languages)")
        values["languages"] = list(scope.languages)
    if scope.tags:
        conditions.append("s.tags && cast(:tags as text[])")
        values["tags"] = list(scope.tags)
    if scope.added_after:
        conditions.append("s.created_at >= :added_after")
        values["added_after"] = scope.added_after
    if scope.added_before:
        conditions.append("s.created_at < :added_before")
        values["added_before"] = scope.added_before
    return conditions, values


async def languages(connection: AsyncConnection, user_id: str) -> list[tuple[str, int]]:
    """Return the tenant's languages with their number of chunks, most first."""
    rows = await connection.execute(
        text(
            "select language, chunks from collection_stats where user_id = :user_id and chunks > 0 order by chunks desc"
        ),
        {"user_id": user_id},
    )
    return [(row.language, row.chunks) for row in rows]


async def document_frequencies(connection: AsyncConnection, user_id: str, keys: Sequence[int]) -> dict[int, int]:
    """Return in how many chunks each key occurs; absent keys occur nowhere."""
    rows = await connection.execute(
        text("select term, df from term_stats where user_id = :user_id and term = any(:keys) and df > 0"),
        {"user_id": user_id, "keys": list(keys)},
    )
    return {row.term: row.df for row in rows}


async def lexical_exact(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, query: Mapping[int, float], limit: int
) -> list[Candidate]:
    """Score every chunk of the scope by BM25."""
    rows = await connection.execute(
        text(f"""
        select chunk_id, source_id, score, language from (
          select l.chunk_id, l.source_id, l.language, -(l.terms <#> cast(:query as sparsevec)) as score
          from lexical l where l.user_id = :user_id and {scope.where("l")}) scored
        where score > 0 order by score desc, chunk_id limit :limit"""),
        {"user_id": user_id, "query": _sparse(query), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in rows]


async def lexical_candidates(
    connection: AsyncConnection,
    scope: ScopeFilter,
    query: Mapping[int, float],
    keys: Sequence[int],
    pairs: Sequence[Sequence[int]],
    limit: int,
) -> list[Candidate]:
    """Score the chunks that hold any of ``keys`` or all of one of ``pairs`` (three at most)."""
    padded = [list(pair) for pair in pairs] + [None] * (3 - len(pairs))
    rows = await connection.execute(
        text("""
        select * from lexical_candidates(cast(:query as sparsevec), cast(:keys as int[]), cast(:pair1 as int[]), cast(:pair2 as int[]),
          cast(:pair3 as int[]), cast(:in_notebooks as uuid[]), cast(:in_sources as uuid[]), cast(:not_sources as uuid[]), :limit)"""),
        {
            "query": _sparse(query),
            "keys": list(keys),
            "pair1": padded[0],
            "pair2": padded[1],
            "pair3": padded[2],
            "limit": limit,
            **scope.values(),
        },
    )
    return [Candidate(*row) for row in rows]


async def dense_exact(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, model: str, query: Vector, limit: int
) -> list[Candidate]:
    """Compare the query with every chunk of the scope. ``+ 0`` keeps the planner from the approximate index."""
    rows = await connection.execute(
        text(f"""
        select chunk_id, source_id, 1 - distance as score from (
          select e.chunk_id, e.source_id, e.embedding <=> cast(:query as halfvec) as distance from embeddings e
          where e.user_id = :user_id and e.model = :model and {scope.where("e")}) scored
        order by distance + 0, chunk_id limit :limit"""),
        {"user_id": user_id, "model": model, "query": HalfVector(query).to_text(), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in rows]


async def dense_approximate(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, model: str, query: Vector, limit: int
) -> list[Candidate]:
    """Walk the HNSW index; may return fewer than ``limit`` although more exist.

    relaxed_order is faster *and* finds more than strict_order; the outer sort
    mends the order (pgvector documentation, "Iterative Index Scans").
    """
    dimensions = len(query)
    await connection.execute(
        text(
            "select set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', :ef, true)"
        ),
        {"ef": str(max(100, min(1_000, limit)))},
    )
    rows = await connection.execute(
        text(f"""
        with near as materialized (
          select e.chunk_id, e.source_id, (e.embedding::halfvec({dimensions})) <=> cast(:query as halfvec({dimensions})) as distance
          from embeddings e where e.user_id = :user_id and e.model = :model and {scope.where("e")}
          order by (e.embedding::halfvec({dimensions})) <=> cast(:query as halfvec({dimensions})) limit :limit)
        select chunk_id, source_id, 1 - distance as score from near order by distance, chunk_id"""),
        {"user_id": user_id, "model": model, "query": HalfVector(query).to_text(), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in rows]


async def fetch(connection: AsyncConnection, user_id: str, chunk_ids: Sequence[UUID]) -> dict[UUID, Mapping[Any, Any]]:
    """Return what a hit shows, by chunk id."""
    rows = await connection.execute(
        text("""
        select c.id as chunk_id, c.source_id, s.name as source, c.version_id, v.number as version, c.start_char, c.end_char,
               c.text, c.place, s.language
        from chunks c join sources s on s.user_id = c.user_id and s.id = c.source_id
        join source_versions v on v.user_id = c.user_id and v.id = c.version_id
        where c.user_id = :user_id and c.id = any(:ids)"""),
        {"user_id": user_id, "ids": list(chunk_ids)},
    )
    return {row["chunk_id"]: row for row in rows.mappings()}


def index_name(model: str) -> str:
    """Return the name of a model's HNSW index."""
    return "embeddings_hnsw_" + hashlib.sha256(model.encode()).hexdigest()[:12]


async def build_index(database: Database, model: str, dimensions: int, at_least: int) -> bool:
    """Build the HNSW index of a model when it has ``at_least`` rows and no valid index yet.

    Building after loading is 11 times faster than inserting into the index,
    and small collections never need one. Runs as the owner, outside any
    transaction, so readers and writers go on.

    Returns
    -------
    Whether an index was built.
    """
    name = index_name(model)
    state = await database.owner_execute(
        "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%s)", f"sbf.{name}"
    )
    if state and state[0][0]:
        return False
    total = await database.owner_execute(
        "select coalesce(sum(reltuples), 0) from pg_class where oid = 'sbf.embeddings'::regclass"
    )
    if total[0][0] < at_least:
        return False
    if state:  # left invalid by a crash
        await database.owner_execute(f"drop index concurrently if exists sbf.{name}")
    from psycopg import sql

    await database.owner_execute(
        sql.SQL(
            "create index concurrently {name} on sbf.embeddings using hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops) "
            "where model = {model}"
        ).format(name=sql.Identifier(name), dimensions=sql.Literal(dimensions), model=sql.Literal(model))
    )
    return True


async def analyze(database: Database) -> None:
    """Refresh the planner's statistics after a large load, and merge the GIN index's pending entries."""
    for table in ("lexical", "embeddings", "chunks", "sources", "notebook_sources", "term_stats"):
        await database.owner_execute(f"analyze sbf.{table}")
    await database.owner_execute("select gin_clean_pending_list('sbf.lexical_keys')")


def _sparse(weights: Mapping[int, float]) -> str:
    return str(SparseVector(dict(weights), TERM_DIMENSIONS).to_text())


def place_of(value: Any) -> dict[str, Any]:
    """Return a stored place as a mapping, whatever the driver made of the JSON."""
    return json.loads(value) if isinstance(value, str) else dict(value or {})
