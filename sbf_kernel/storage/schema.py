"""Brings a database to the schema this version needs: check, migrate, probe.

The usual case, an up-to-date schema, costs one round trip and does not import
alembic.
"""

from __future__ import annotations

import importlib.resources
import re
from typing import TYPE_CHECKING

from sbf_kernel.errors import StoreTooOld, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg
    from alembic.config import Config

HEAD = "0009"
"""Revision of the newest migration; a test compares it with the scripts."""

MINIMUM_POSTGRES = 15
MINIMUM_PGVECTOR = (0, 8, 2)
"""0.8.0 brought iterative index scans; 0.8.2 fixed CVE-2026-3172."""

ROLES = ("sbf_app", "sbf_search", "sbf_sweeper", "sbf_accounts", "sbf_viewer", "sbf_editor", "sbf_sharing")
"""Roles of the server that the migrations make, or that must be granted to whoever runs them."""

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
        No connection, missing rights, a newer SBF's schema, or a migration failed.
    """
    import psycopg

    try:
        psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # libpq quotes the whole address, password included
        raise StoreUnavailable(
            "the database's address cannot be understood",
            hint="SBF_DATABASE_URL looks like postgresql://user:password@host:5432/database",
        ) from None
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
            if _revision(connection) != HEAD:
                _migrate(connection, conninfo)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnavailable(
            f"the database role may not set up SBF: {_first_line(error)}",
            hint="let a superuser run: create extension vector; and give the role createrole and create on the database, "
            f"or, where SBF is set up in another database already, grant it {', '.join(ROLES)}",
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
    check_versions(server, extension)
    if not migrated:
        return None
    found = connection.execute("select version_num from sbf.alembic_version").fetchone()
    return found[0] if found else None


def check_versions(server: int, extension: str | None) -> None:
    """Refuse a server SBF cannot work with.

    Parameters
    ----------
    server
        Major version of PostgreSQL.
    extension
        Version of pgvector; None while it is not in the database.

    Raises
    ------
    StoreTooOld
        Below :data:`MINIMUM_POSTGRES` or :data:`MINIMUM_PGVECTOR`.
    """
    if server < MINIMUM_POSTGRES:
        raise StoreTooOld(
            f"the server runs PostgreSQL {server}", hint=f"SBF needs PostgreSQL {MINIMUM_POSTGRES} or newer"
        )
    if extension is not None and _version(extension) < MINIMUM_PGVECTOR:
        raise StoreTooOld(
            f"the server has pgvector {extension}",
            hint="install pgvector 0.8.2 or newer, then run: alter extension vector update",
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))


def _migrate(connection: psycopg.Connection, conninfo: str) -> None:
    """Run what is missing; several processes may try at once, one does."""
    connection.execute("select pg_advisory_lock(%s)", [_LOCK])
    try:
        connection.execute("set client_min_messages = warning")
        connection.execute("create extension if not exists vector")
        connection.execute("create schema if not exists sbf")
        if (found := _revision(connection)) != HEAD:
            _refuse_newer(found)
            upgrade(conninfo)
    finally:
        connection.execute("select pg_advisory_unlock(%s)", [_LOCK])


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("sbf_kernel.storage") / "migrations"))
    return config


def _refuse_newer(revision: str | None) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreUnavailable(
            f"the database was set up by a newer SBF (schema {revision}, this one knows {HEAD})",
            hint="pip install -U sbf-kernel",
        )


def upgrade(conninfo: str, revision: str = "head") -> None:
    """Migrate to ``revision``; downwards when it is an older one, which loses what the older schema cannot hold.

    Raises
    ------
    StoreUnavailable
        A migration failed; nothing was changed.
    """
    import psycopg
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    config, move = _config(), command.upgrade if revision == "head" else command.downgrade
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            move(config, revision)
            connection.commit()
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the database could not be migrated: {_first_line(error)}", hint="please report this"
        ) from error
    finally:
        engine.dispose()


def run_script(script: Path) -> None:
    """Run the statements of a file inside the migration that is being carried out."""
    from alembic import op

    # The driver itself, without parameters: scripts hold many statements and percent signs.
    op.get_bind().connection.cursor().execute(script.read_text(encoding="utf-8"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
