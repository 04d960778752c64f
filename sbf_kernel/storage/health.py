"""Asks the database how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from sbf_kernel.records import LOCAL, Health
from sbf_kernel.storage.schema import HEAD

if TYPE_CHECKING:
    from sbf_kernel.settings import Settings
    from sbf_kernel.storage.database import Database


async def check(database: Database, embedder: str, settings: Settings) -> Health:
    """Return versions and places of everything SBF stands on."""
    from importlib.metadata import version

    async with database.transaction(LOCAL) as connection:
        row = (
            (
                await connection.execute(
                    text(
                        "select current_setting('server_version') as postgres, (select extversion from pg_extension where extname = 'vector') as pgvector"
                    )
                )
            )
            .mappings()
            .one()
        )
    checks = {
        "database": f"PostgreSQL {row['postgres']}, pgvector {row['pgvector']}, schema {HEAD}",
        "place": "SBF_DATABASE_URL" if settings.database_url else f"embedded in {settings.home}",
        "embedder": embedder,
        "language model": settings.model,
    }
    return Health(ok=True, version=version("sbf-kernel"), checks=checks)
