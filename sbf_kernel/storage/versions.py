"""Stores prepared versions: text, chunks and both indexes of many sources in one transaction."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from pgvector import HalfVector, SparseVector
from sqlalchemy import text

from sbf_kernel.storage import jobs
from sbf_kernel.storage.sources import lock_for_index

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector
    from sbf_kernel.storage.jobs import Lease

TERM_DIMENSIONS = 1 << 29
"""Of ``sbf_kernel.models.sparse``: ids are 29-bit hashes."""
HIGH_IMPACT = 1.5
"""BM25 weight from which a posting gets a second key, so that frequent words can be
looked up only where they matter (impact-ordered indexes, measured in docs/adr/0002-search.md)."""


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk ready to be stored."""

    start: int
    end: int
    text: str
    context: str
    place: dict[str, Any]
    terms: dict[int, float]
    """BM25 weights by term id."""
    content_hash: bytes
    """Of what was embedded: context and text."""
    embedding: Vector | None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version of one source ready to be stored."""

    source_id: UUID
    sha256: bytes
    text_sha256: bytes
    text: str
    title: str
    media_type: str
    language: str
    pages: int | None
    reader: str
    model: str
    """Id of the embedder; empty without one."""
    chunks: Sequence[NewChunk]
    metadata: dict[str, str] = field(default_factory=dict)
    lease: Lease | None = None
    """The job under which it was made; it is stored only while that is held, and ends it."""


def keys_of(terms: dict[int, float]) -> list[int]:
    """Return the candidate keys of a chunk: each term id, and id + 2²⁹ where its weight is high."""
    return [*terms, *(term + (1 << 29) for term, weight in terms.items() if weight >= HIGH_IMPACT)]


_STAGE = """
create temporary table if not exists staged_chunks (
  id uuid, source_id uuid, version_id uuid, ordinal integer, start_char integer, end_char integer, place jsonb, context text,
  text text, language text, model text, content_hash bytea, embedding halfvec, terms sparsevec, keys integer[]
) on commit delete rows"""


async def store(connection: AsyncConnection, user_id: str, versions: Sequence[NewVersion]) -> set[UUID]:
    """Make these versions the current ones of their sources and index them.

    Everything happens in the caller's transaction: after a crash a version is
    there with all its chunks, or not at all. The chunks of the replaced
    versions leave the indexes; the texts of old versions stay.

    Returns
    -------
    The sources stored. A source deleted meanwhile, or whose bytes were
    replaced by newer ones, or whose job is somebody else's now, is left out.
    """
    await connection.exec_driver_sql("set local statement_timeout = 0")  # a book takes longer than a request may
    current = await lock_for_index(connection, user_id, [v.source_id for v in versions])
    held = await jobs.settle_done(connection, user_id, [v.lease for v in versions if v.lease is not None])
    wanted = [
        v for v in versions if current.get(v.source_id) == v.sha256 and (v.lease is None or v.lease.job_id in held)
    ]
    if not wanted:
        return set()
    values = {"user_id": user_id, "ids": [v.source_id for v in wanted]}
    version_ids = {v.source_id: uuid4() for v in wanted}
    for table in ("lexical", "embeddings", "chunks", "embedding_cache"):
        await connection.execute(
            text(f"delete from {table} where user_id = :user_id and source_id = any(:ids)"), values
        )
    await connection.execute(
        text(_INSERT_VERSION), [_version_row(user_id, v, version_ids[v.source_id]) for v in wanted]
    )
    await _stage(connection, wanted, version_ids)
    for statement in _INDEX:
        await connection.execute(text(statement), values)
    await connection.execute(text(_FINISH), [_source_row(user_id, v, version_ids[v.source_id]) for v in wanted])
    return set(version_ids)


_INSERT_VERSION = """
insert into source_versions (user_id, id, source_id, number, sha256, text_sha256, text, title, reader)
values (:user_id, :id, :source_id,
        (select coalesce(max(number), 0) + 1 from source_versions where user_id = :user_id and source_id = :source_id),
        :sha256, :text_sha256, :text, :title, :reader)"""

_FINISH = """
update sources set status = 'ready', stage = 'stored', reason = '', message = '', done = :chunks, total = :chunks,
  name = case when url is not null and name = left(url, 300) then coalesce(nullif(left(:title, 300), ''), name) else name end,
  media_type = :media_type, language = :language, version_id = :version_id,
  version = (select number from source_versions where user_id = :user_id and id = :version_id),
  char_count = :chars, chunk_count = :chunks, page_count = :pages, metadata = cast(:metadata as jsonb), updated_at = now()
where user_id = :user_id and id = :source_id"""

_INDEX = (
    """insert into chunks (user_id, id, source_id, version_id, ordinal, start_char, end_char, place, context, text)
       select :user_id, id, source_id, version_id, ordinal, start_char, end_char, place, context, text from staged_chunks""",
    """insert into lexical (user_id, chunk_id, source_id, language, terms, keys)
       select :user_id, id, source_id, language, terms, keys from staged_chunks""",
    """insert into embeddings (user_id, chunk_id, source_id, model, content_hash, embedding)
       select :user_id, id, source_id, model, content_hash, embedding from staged_chunks where embedding is not null""",
)


def _version_row(user_id: str, version: NewVersion, version_id: UUID) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "id": version_id,
        "source_id": version.source_id,
        "sha256": version.sha256,
        "text_sha256": version.text_sha256,
        "text": version.text,
        "title": version.title,
        "reader": version.reader,
    }


def _source_row(user_id: str, version: NewVersion, version_id: UUID) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "source_id": version.source_id,
        "version_id": version_id,
        "title": version.title,
        "media_type": version.media_type,
        "language": version.language,
        "chars": len(version.text),
        "chunks": len(version.chunks),
        "pages": version.pages,
        "metadata": json.dumps(version.metadata),
    }


async def _stage(connection: AsyncConnection, versions: Sequence[NewVersion], version_ids: dict[UUID, UUID]) -> None:
    """COPY all chunks into a temporary table.

    PostgreSQL has no COPY into tables with row-level security; a temporary
    table and INSERT … SELECT keep most of its speed.
    """
    await connection.execute(text(_STAGE))
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    async with raw.cursor() as cursor, cursor.copy("copy staged_chunks from stdin (format binary)") as copy:
        copy.set_types(_STAGE_TYPES)
        for version in versions:
            for ordinal, chunk in enumerate(version.chunks):
                await copy.write_row(
                    (
                        uuid4(),
                        version.source_id,
                        version_ids[version.source_id],
                        ordinal,
                        chunk.start,
                        chunk.end,
                        b"\x01" + json.dumps(chunk.place).encode(),
                        chunk.context,
                        chunk.text,
                        version.language,
                        version.model,
                        chunk.content_hash,
                        None if chunk.embedding is None else HalfVector(chunk.embedding).to_binary(),
                        SparseVector(chunk.terms, TERM_DIMENSIONS).to_binary(),
                        _int_array(keys_of(chunk.terms)),
                    )
                )


# COPY tells the server bytes, not types: what we encode ourselves goes as bytea.
_STAGE_TYPES = [
    "uuid",
    "uuid",
    "uuid",
    "int4",
    "int4",
    "int4",
    "bytea",
    "text",
    "text",
    "text",
    "text",
    "bytea",
    "bytea",
    "bytea",
    "bytea",
]


def _int_array(values: Sequence[int]) -> bytes:
    """Return ``integer[]`` as PostgreSQL sends it: dimensions, null flag, type, length, lower bound, then each item with its size."""
    items = [part for value in values for part in (4, value)]
    return (
        struct.pack(f">5i{len(items)}i", 1, 0, _INT4, len(values), 1, *items)
        if values
        else struct.pack(">3i", 0, 0, _INT4)
    )


_INT4 = 23
"""Object id of ``integer``, the same in every PostgreSQL."""
