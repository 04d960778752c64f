"""SQL of search: scopes, statistics, both arms, and fetching the winners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

from pgvector import SparseVector
from pydantic_core import to_json

from sbf_kernel.operations import Scope
from sbf_kernel.records import Location
from sbf_kernel.storage import notebooks
from sbf_kernel.storage.database import EF_SEARCH
from sbf_kernel.storage.statements import rows
from sbf_kernel.storage.versions import TERM_DIMENSIONS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector
    from sbf_kernel.storage.database import Database


class Candidate(NamedTuple):
    """A chunk that one arm found. Ids as text: most are sorted out again, and making a UUID of each takes its time."""

    chunk_id: str
    source_id: str
    score: float
    language: str = ""
    """Known to the lexical arm only."""


class Found(NamedTuple):
    """What a hit shows of a chunk."""

    chunk_id: UUID
    source_id: UUID
    source: str
    version_id: UUID
    version: int
    start: int
    end: int
    text: str
    place: Any
    language: str


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
    languages: tuple[tuple[str, int], ...] = ()
    """The tenant's languages with their number of chunks in the whole collection, most first."""

    def where(self, alias: str) -> str:
        """Return the SQL condition on ``alias.source_id``."""
        parts = []
        if self.sources is not None:
            parts.append(f"{alias}.source_id = any(%(in_sources)s)")
        if self.notebooks is not None:
            parts.append(f"""{alias}.source_id in (select n.source_id from notebook_sources n where n.user_id = %(user_id)s
                             and n.notebook_id = any(%(in_notebooks)s) and n.removed_at is null)""")
        if self.hidden:
            parts.append(f"{alias}.source_id <> all(%(not_sources)s)")
        return " and ".join(parts) or "true"

    def values(self) -> dict[str, Any]:
        """Return the parameters of :meth:`where`."""
        return {"in_sources": self.sources, "in_notebooks": self.notebooks, "not_sources": self.hidden or None}


async def resolve_scope(connection: AsyncConnection, user_id: str, scope: Scope) -> ScopeFilter:
    """Work out which sources a scope means, how many chunks they have, and the collection's languages, in one statement.

    Raises
    ------
    NotFound
        A notebook of the scope does not exist.
    """
    conditions, values = _source_conditions(scope)
    values |= {"user_id": user_id, "notebooks": list(scope.notebook_ids)}
    linked = f"s.id in ({_IN_NOTEBOOKS})" if scope.notebook_ids else _LINKED
    if conditions:
        inside = " and ".join((linked, *conditions))
    else:  # of everything, what is outside is less to name
        inside = linked if scope.notebook_ids else f"s.chunk_count > 0 and not {linked}"
    ids = "null::uuid[]" if scope.notebook_ids and not conditions else "array_agg(s.id)"
    ((known, found, chunks, spoken),) = await rows(connection, _OVERVIEW.format(ids=ids, inside=inside), values)
    for notebook_id in scope.notebook_ids:
        if notebook_id not in known:
            raise notebooks.missing(notebook_id)
    languages = tuple((language, count) for language, count in spoken or ())
    if conditions:
        return ScopeFilter(None, found or [], None, chunks, languages)
    if scope.notebook_ids:
        return ScopeFilter(list(scope.notebook_ids), None, None, chunks, languages)
    return ScopeFilter(None, None, found or [], sum(count for _, count in languages) - chunks, languages)


_IN_NOTEBOOKS = """select l.source_id from notebook_sources l where l.user_id = %(user_id)s
  and l.notebook_id = any(%(notebooks)s) and l.removed_at is null"""
_LINKED = """exists (select from notebook_sources l where l.user_id = s.user_id and l.source_id = s.id and l.removed_at is null)"""
_OVERVIEW = """
select array(select n.id from notebooks n where n.user_id = %(user_id)s and n.id = any(%(notebooks)s)), inside.*,
       (select json_agg(json_build_array(c.language, c.chunks) order by c.chunks desc, c.language)
        from collection_stats c where c.user_id = %(user_id)s and c.chunks > 0)
from (select {ids}, coalesce(sum(s.chunk_count), 0) from sources s where s.user_id = %(user_id)s and {inside}) inside"""


def _source_conditions(scope: Scope) -> tuple[list[str], dict[str, Any]]:
    conditions, values = [], dict[str, Any]()
    if scope.source_ids:
        conditions.append("s.id = any(%(source_ids)s)")
        values["source_ids"] = list(scope.source_ids)
    if scope.media_types:
        conditions.append(
            "exists (select from unnest(cast(%(media_types)s as text[])) p where starts_with(s.media_type, p))"
        )
        values["media_types"] = list(scope.media_types)
    if scope.languages:
        conditions.append("s.language = any(%(languages)s)")
        values["languages"] = list(scope.languages)
    if scope.tags:
        conditions.append("s.tags && cast(%(tags)s as text[])")
        values["tags"] = list(scope.tags)
    if scope.added_after:
        conditions.append("s.created_at >= %(added_after)s")
        values["added_after"] = scope.added_after
    if scope.added_before:
        conditions.append("s.created_at < %(added_before)s")
        values["added_before"] = scope.added_before
    return conditions, values


async def document_frequencies(connection: AsyncConnection, user_id: str, keys: Sequence[int]) -> dict[int, int]:
    """Return in how many chunks each key occurs; absent keys occur nowhere."""
    found = await rows(
        connection,
        "select term, df from term_stats where user_id = %(user_id)s and term = any(%(keys)s) and df > 0",
        {"user_id": user_id, "keys": list(keys)},
    )
    return dict(found)


async def lexical_exact(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, query: Mapping[int, float], limit: int
) -> list[Candidate]:
    """Score every chunk of the scope by BM25."""
    found = await rows(
        connection,
        f"""
        select chunk_id::text, source_id::text, -negative, language from (
          select l.chunk_id, l.source_id, l.language, l.terms <#> cast(%(query)s as sparsevec) as negative
          from lexical l where l.user_id = %(user_id)s and {scope.where("l")}
          order by negative, l.chunk_id limit %(limit)s) best where negative < 0 order by negative, chunk_id""",
        {"user_id": user_id, "query": _sparse(query), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in found]


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
    found = await rows(
        connection,
        """
        select chunk_id::text, source_id::text, score, language from lexical_candidates(cast(%(query)s as sparsevec), cast(%(keys)s as int[]), cast(%(pair1)s as int[]), cast(%(pair2)s as int[]),
          cast(%(pair3)s as int[]), cast(%(in_notebooks)s as uuid[]), cast(%(in_sources)s as uuid[]), cast(%(not_sources)s as uuid[]), %(limit)s)""",
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
    return [Candidate(*row) for row in found]


async def dense_exact(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, model: str, query: Vector, limit: int
) -> list[Candidate]:
    """Compare the query with every chunk of the scope. ``+ 0`` keeps the planner from the approximate index.

    What is not needed to sort is computed of the winners only: of every row it took as long as the distances.
    """
    found = await rows(
        connection,
        f"""
        select chunk_id::text, source_id::text, 1 - distance as score from (
          select e.chunk_id, e.source_id, (e.embedding <=> cast(%(query)s as halfvec)) + 0 as distance from embeddings e
          where e.user_id = %(user_id)s and e.model = %(model)s and {scope.where("e")}
          order by distance, e.chunk_id limit %(limit)s) nearest order by distance, chunk_id""",
        {"user_id": user_id, "model": model, "query": _vector(query), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in found]


async def dense_approximate(
    connection: AsyncConnection, user_id: str, scope: ScopeFilter, model: str, query: Vector, limit: int
) -> list[Candidate]:
    """Walk the HNSW index; may return fewer than ``limit`` although more exist.

    relaxed_order is faster *and* finds more than strict_order; the outer sort
    mends the order (pgvector documentation, "Iterative Index Scans").
    """
    dimensions = len(query)
    if limit > EF_SEARCH:  # else the connection's setting will do
        await rows(connection, "select set_config('hnsw.ef_search', %(ef)s, true)", {"ef": str(min(1_000, limit))})
    found = await rows(
        connection,
        f"""
        with near as materialized (
          select e.chunk_id, e.source_id, (e.embedding::halfvec({dimensions})) <=> cast(%(query)s as halfvec({dimensions})) as distance
          from embeddings e where e.user_id = %(user_id)s and e.model = %(model)s and {scope.where("e")}
          order by (e.embedding::halfvec({dimensions})) <=> cast(%(query)s as halfvec({dimensions})) limit %(limit)s)
        select chunk_id::text, source_id::text, 1 - distance as score from near order by distance, chunk_id""",
        {"user_id": user_id, "model": model, "query": _vector(query), "limit": limit, **scope.values()},
    )
    return [Candidate(*row) for row in found]


async def fetch(connection: AsyncConnection, user_id: str, chunk_ids: Sequence[str]) -> dict[str, Found]:
    """Return what a hit shows, by chunk id."""
    found = await rows(
        connection,
        """
        select c.id as chunk_id, c.source_id, s.name as source, c.version_id, v.number as version, c.start_char, c.end_char,
               c.text, c.place, s.language
        from chunks c join sources s on s.user_id = c.user_id and s.id = c.source_id
        join source_versions v on v.user_id = c.user_id and v.id = c.version_id
        where c.user_id = %(user_id)s and c.id = any(cast(%(ids)s as uuid[]))""",
        {"user_id": user_id, "ids": list(chunk_ids)},
    )
    return {str(row[0]): Found(*row) for row in found}


async def locate(connection: AsyncConnection, user_id: str, spots: Sequence[tuple[UUID, int]]) -> list[Location]:
    """Return where single characters stand in their sources.

    Parameters
    ----------
    spots
        Chunk id and offset into the version's text.
    """
    found = await rows(
        connection,
        "select id, place from chunks where user_id = %(user_id)s and id = any(%(ids)s)",
        {"user_id": user_id, "ids": [chunk_id for chunk_id, _ in spots]},
    )
    places = {row[0]: place_of(row[1]) for row in found}
    return [_place_at(places.get(chunk_id, {}), offset) for chunk_id, offset in spots]


def _place_at(place: dict[str, Any], offset: int) -> Location:
    passed = [there for start, there in place.get("marks", ()) if start <= offset]
    return Location(**(passed[-1] if passed else place))


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
    # Another process may be at it: an index it is building looks like one that a crash left invalid.
    async with database.locks.hold(uuid5(NAMESPACE_OID, name)) as mine:
        return mine and await _build_index(database, name, model, dimensions, at_least)


async def _build_index(database: Database, name: str, model: str, dimensions: int, at_least: int) -> bool:
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


def _vector(values: Vector) -> str:
    return to_json(values.tolist()).decode()  # a tenth of the time pgvector's own text takes


def _sparse(weights: Mapping[int, float]) -> str:
    return str(SparseVector(dict(weights), TERM_DIMENSIONS).to_text())


def place_of(value: Any) -> dict[str, Any]:
    """Return a stored place as a mapping, whatever the driver made of the JSON."""
    return json.loads(value) if isinstance(value, str) else dict(value or {})
