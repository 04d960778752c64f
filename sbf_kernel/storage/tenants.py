"""Removes everything of one tenant."""

from __future__ import annotations

from sqlalchemy import text

from sbf_kernel.records import Principal
from sbf_kernel.storage.database import Database
from sbf_kernel.storage.sources import lock_for_index

# Statistics first, so that nothing is left to count down; then the indexes,
# because cascading through them row by row would take minutes.
_TABLES = (
    "term_stats",
    "collection_stats",
    "lexical",
    "embeddings",
    "embedding_cache",
    "chunks",
    "source_versions",
    "notebook_sources",
    "jobs",
    "reports",
    "sources",
    "notebooks",
    "answers",
    "usage",
    "notes",
    "messages",
    "chats",
    "idempotency_keys",
)


async def purge(database: Database, principal: Principal) -> None:
    """Delete all rows of a tenant, and what it is in the notebooks of others. Raw files stay: another tenant may have the same."""
    async with database.change(principal) as connection:
        await connection.execute(text("select purge_shared()"))
        owned = await connection.scalars(
            text("select id from sources where user_id = :user_id"), {"user_id": principal.user_id}
        )
        await lock_for_index(connection, principal.user_id, owned.all())
        for table in _TABLES:
            await connection.execute(
                text(f"delete from {table} where user_id = :user_id"), {"user_id": principal.user_id}
            )
