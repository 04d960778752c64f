"""SQL of the vectors: which are known, which are missing, keeping and adding them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from pgvector import HalfVector
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.models import Vector


async def known(connection: AsyncConnection, user_id: str, model: str, hashes: Sequence[bytes]) -> dict[bytes, Vector]:
    """Return vectors this tenant already has for the same content: of current chunks, or left by an interrupted run."""
    rows = await connection.execute(
        text("""select distinct on (content_hash) content_hash, embedding::text from (
                  select content_hash, embedding from embeddings
                  where user_id = :user_id and model = :model and content_hash = any(:hashes)
                  union all
                  select content_hash, embedding from embedding_cache
                  where user_id = :user_id and model = :model and content_hash = any(:hashes)) known"""),
        {"user_id": user_id, "model": model, "hashes": list(hashes)},
    )
    return {bytes(row[0]): HalfVector.from_text(row[1]).to_numpy().astype("float32") for row in rows}


async def keep(
    connection: AsyncConnection, user_id: str, source_id: UUID, model: str, vectors: Mapping[bytes, Vector]
) -> None:
    """Save vectors of a source that is still being embedded."""
    rows = [
        {
            "user_id": user_id,
            "model": model,
            "hash": digest,
            "source_id": source_id,
            "embedding": HalfVector(vector).to_text(),
        }
        for digest, vector in sorted(vectors.items())  # one order for all: else two sources with the same text deadlock
    ]
    await connection.execute(
        text("""insert into embedding_cache (user_id, model, content_hash, source_id, embedding)
                values (:user_id, :model, :hash, :source_id, cast(:embedding as halfvec)) on conflict do nothing"""),
        rows,
    )


_WITHOUT = """from chunks c where c.user_id = :user_id and c.source_id = :source_id and not exists (
                select from embeddings e where e.user_id = c.user_id and e.chunk_id = c.id and e.model = :model)"""


async def complete(connection: AsyncConnection, user_id: str, source_id: UUID, model: str) -> bool:
    """Whether every chunk of the source has a vector of this model."""
    found = await connection.execute(
        text(f"select not exists (select {_WITHOUT})"), {"user_id": user_id, "source_id": source_id, "model": model}
    )
    return bool(found.scalar_one())


async def missing(
    connection: AsyncConnection, user_id: str, source_id: UUID, model: str
) -> list[tuple[UUID, str, str]]:
    """Return id, context and text of the source's chunks that have no vector of this model, in order."""
    rows = await connection.execute(
        text(f"select c.id, c.context, c.text {_WITHOUT} order by c.ordinal"),
        {"user_id": user_id, "source_id": source_id, "model": model},
    )
    return [(row.id, row.context, row.text) for row in rows]


async def add(
    connection: AsyncConnection,
    user_id: str,
    source_id: UUID,
    model: str,
    vectors: Iterable[tuple[UUID, bytes, Vector]],
) -> None:
    """Give chunks their vectors, as (chunk, content hash, vector). Chunks deleted meanwhile are left out.

    Vectors of other models stay: another process may search with one of them.
    """
    values = {"user_id": user_id, "source_id": source_id, "model": model}
    await connection.execute(
        text("""insert into embeddings (user_id, chunk_id, source_id, model, content_hash, embedding)
                select user_id, id, source_id, :model, :hash, cast(:embedding as halfvec) from chunks
                where user_id = :user_id and source_id = :source_id and id = :chunk_id on conflict do nothing"""),
        [
            {**values, "chunk_id": chunk_id, "hash": digest, "embedding": HalfVector(vector).to_text()}
            for chunk_id, digest, vector in vectors
        ],
    )
    await connection.execute(
        text("delete from embedding_cache where user_id = :user_id and source_id = :source_id and model = :model"),
        values,
    )
