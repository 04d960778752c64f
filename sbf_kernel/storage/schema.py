"""Brings a database to the schema this version needs: check, migrate, probe.

The usual case, an up-to-date schema, costs one round trip and does not import
alembic.
"""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING

from sbf_kernel.errors import StoreTooOld, StoreUnavailable

if TYPE_CHECKING:
    import psycopg

HEAD = "0001"
"""Revision of the newest migration; a test compares it with the scripts."""

MINIMUM_POSTGRES = 15
MINIMUM_PGVECTOR = (0, 8, 2)
"""0.8.0 brought iterative index scans; 0.8.2 fixed CVE-2026-3172."""

_LOCK = 5_390_211
"""Any number of our own: the advisory lock under which migrations run."""

_STATE = """
select current_setting('server_version_num')::int / 10000,
       (select extversion from pg_extension where extname = 'vector'),
       to_regclass('sbf.alembic_version') is not null
"""


def prepare(conninfo: str) -> None:
    """Check server and extension versions and migrate to :data:`HEAD`.

    Parameters
    ----------
    conninfo
        libpq connection string of the role that owns the schema.

    Raises
    ------
    StoreTooOld
        PostgreSQL below 15 or pgvector below 0.8.2.
    StoreUnavailable
        No connection, missing rights, or a migration failed.
    """
    import psycopg

    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
            if _revision(connection) != HEAD:
                _migrate(connection, conninfo)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnavailable(
            f"the database role may not set up SBF: {_first_line(error)}",
            hint="let a superuser run: create extension vector; and give the role createrole and create on the database",
        ) from error
    except psycopg.Error as error:
        raise StoreUnavailable(
            f"cannot use the database: {_first_line(error)}",
            hint="check that the server runs and that SBF_DATABASE_URL is right",
        ) from error


def _revision(connection: psycopg.Connection) -> str | None:
    row = connection.execute(_STATE).fetchone()
    assert row is not None
    server, extension, migrated = row
    if server < MINIMUM_POSTGRES:
        raise StoreTooOld(
            f"the server runs PostgreSQL {server}", hint=f"SBF needs PostgreSQL {MINIMUM_POSTGRES} or newer"
        )
    if extension is not None and _version(extension) < MINIMUM_PGVECTOR:
        raise StoreTooOld(
            f"the server has pgvector {extension}",
            hint="install pgvector 0.8.2 or newer, then run: alter extension vector update",
        )
    if not migrated:
        return None
    found = connection.execute("select version_num from sbf.alembic_version").fetchone()
    return found[0] if found else None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])


def _migrate(connection: psycopg.Connection, conninfo: str) -> None:
    """Run what is missing; several processes may try at once, one does."""
    connection.execute("select pg_advisory_lock(%s)", [_LOCK])
    try:
        connection.execute("set client_min_messages = warning")
        connection.execute("create extension if not exists vector")
        connection.execute("create schema if not exists sbf")
        if _revision(connection) != HEAD:
            _upgrade(conninfo)
    finally:
        connection.execute("select pg_advisory_unlock(%s)", [_LOCK])


def _upgrade(conninfo: str) -> None:
    import psycopg
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("sbf_kernel.storage") / "migrations"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
