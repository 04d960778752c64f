"""The schema: versions, migrating, two at once, servers that are too old, roles with few rights."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import sbf_kernel as sbf
from sbf_kernel.errors import StoreTooOld, StoreUnavailable
from sbf_kernel.ingest.sources import tend_indexes
from sbf_kernel.models import sparse
from sbf_kernel.storage import embedded, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_kernel.runtime import Runtime


@pytest.fixture
def make_database(runtime: Runtime) -> Iterator[Callable[..., str]]:
    """Make an empty database, owned by a role with just these rights; returns its conninfo for that role."""
    superuser = runtime.db.conninfo
    made: list[tuple[str, str]] = []

    def make(rights: str | None = None, owner: str | None = None, *, vector: bool = True) -> str:
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(superuser, autocommit=True) as connection:
            if rights is not None:
                owner = f"{name}_owner"
                connection.execute(f"create role {owner} login {rights}")
            connection.execute(f"create database {name} owner {owner or 'postgres'}")
        made.append((name, owner if rights is not None and owner else ""))
        with psycopg.connect(make_conninfo(superuser, dbname=name), autocommit=True) as connection:
            if vector:
                connection.execute("create extension vector")
        return make_conninfo(superuser, dbname=name, user=owner or "postgres")

    yield make
    for name, _ in reversed(made):
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")
    for _, owner in reversed(made):
        if owner:
            with psycopg.connect(superuser, autocommit=True) as connection:
                connection.execute(f"reassign owned by {owner} to postgres")
                connection.execute(f"drop owned by {owner} cascade")
                connection.execute(f"drop role {owner}")


def described(conninfo: str) -> list[Any]:
    """Tables, columns, indexes, policies, triggers and functions of the schema, for comparing."""
    with psycopg.connect(conninfo) as connection:
        return [
            connection.execute(query).fetchall()
            for query in (
                "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns where table_schema = 'sbf' order by 1, 2",
                "select indexdef from pg_indexes where schemaname = 'sbf' order by 1",
                "select tablename, policyname, roles, cmd, qual, with_check from pg_policies where schemaname = 'sbf' order by 1, 2",
                "select event_object_table, trigger_name, event_manipulation from information_schema.triggers where trigger_schema = 'sbf' order by 1, 2, 3",
                "select proname, prosecdef, proconfig, prosrc from pg_proc where pronamespace = 'sbf'::regnamespace order by 1",
                "select relname, relrowsecurity, relforcerowsecurity from pg_class where relnamespace = 'sbf'::regnamespace and relkind = 'r' order by 1",
            )
        ]


def test_the_constant_is_the_newest_script_and_there_is_one_line_of_them() -> None:
    scripts = ScriptDirectory.from_config(schema._config())
    assert scripts.get_heads() == [schema.HEAD]
    assert len(scripts.get_bases()) == 1


def test_an_up_to_date_schema_costs_no_migration(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conninfo = make_database(vector=False)
    schema.prepare(conninfo)
    monkeypatch.setattr(schema, "_migrate", None)
    schema.prepare(conninfo)


def test_down_and_up_again_gives_the_same_schema(make_database: Callable[..., str]) -> None:
    conninfo = make_database()
    schema.prepare(conninfo)
    before = described(conninfo)
    assert before[0]
    schema.upgrade(conninfo, "base")
    assert [table for table, *_ in described(conninfo)[0] if table != "alembic_version"] == []
    assert described(conninfo)[4] == []
    schema.prepare(conninfo)
    assert described(conninfo) == before


def test_two_processes_may_migrate_at_once(make_database: Callable[..., str]) -> None:
    conninfo = make_database(vector=False)
    code = "import sys; from sbf_kernel.storage import schema; schema.prepare(sys.argv[1]); print('done')"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, conninfo], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        for _ in range(3)
    ]  # fmt: skip
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert outcomes == [("done\n", "")] * 3


@pytest.mark.parametrize(
    ("server", "extension"), [(14, None), (9, "0.8.2"), (15, "0.8.1"), (17, "0.7.4"), (18, "0.8.0-dev"), (18, "0.8")]
)
def test_servers_below_the_floor_are_refused_with_a_cure(server: int, extension: str | None) -> None:
    with pytest.raises(StoreTooOld) as caught:
        schema.check_versions(server, extension)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("server", "extension"), [(15, "0.8.2"), (18, "0.8.10"), (19, "0.9.0"), (15, "1.0"), (16, None)]
)
def test_servers_from_the_floor_on_are_taken(server: int, extension: str | None) -> None:
    schema.check_versions(server, extension)


def test_the_versions_asked_for_are_the_ones_the_server_has(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conninfo = make_database(vector=False)
    monkeypatch.setattr(schema, "MINIMUM_PGVECTOR", (99,))
    with pytest.raises(StoreTooOld, match="pgvector"):
        schema.prepare(conninfo)
    monkeypatch.setattr(schema, "MINIMUM_POSTGRES", 99)
    with pytest.raises(StoreTooOld, match="PostgreSQL"):
        schema.prepare(conninfo)


def test_a_newer_schema_is_left_alone(make_database: Callable[..., str]) -> None:
    conninfo = make_database()
    schema.prepare(conninfo)
    with psycopg.connect(conninfo) as connection:
        connection.execute("update sbf.alembic_version set version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer SBF") as caught:
        schema.prepare(conninfo)
    assert "pip install" in caught.value.hint


def test_a_failed_migration_changes_nothing_and_says_so(make_database: Callable[..., str]) -> None:
    conninfo = make_database()
    with psycopg.connect(conninfo) as connection:
        connection.execute("create schema sbf")
        connection.execute("create table sbf.answers (in_the_way int)")
    with pytest.raises(StoreUnavailable, match="already exists"):
        schema.prepare(conninfo)
    assert [table for table, *_ in described(conninfo)[0] if table != "alembic_version"] == ["answers"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x?host=/nowhere",
        "postgresql://127.0.0.1:1/x",
        "postgresql://bad:secret@[::1/x",
        "postgresql:///?port=word",
    ],
)
def test_a_server_that_cannot_be_reached_is_unavailable_and_no_secret_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        sbf.connect(url, home=tmp_path)
    assert "SBF_DATABASE_URL" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_role_that_may_not_make_roles_is_told_what_it_needs(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    conninfo = make_database("nosuperuser nocreaterole")
    with pytest.raises(StoreUnavailable, match="may not set up SBF") as caught:
        schema.prepare(conninfo)
    assert "createrole" in caught.value.hint


def url_of(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"


@pytest.fixture
def foreign() -> Iterator[str]:
    """A server that has never seen SBF, with a database and the extension for an ordinary role."""
    with tempfile.TemporaryDirectory(prefix="sbf-foreign-") as directory:
        Path(directory).chmod(0o755)
        with embedded.acquire(Path(directory) / "home") as server:
            with psycopg.connect(server.conninfo, autocommit=True) as connection:
                connection.execute("create role ordinary login createrole createdb")
                connection.execute("create database shared owner ordinary")
            with psycopg.connect(make_conninfo(server.conninfo, dbname="shared"), autocommit=True) as connection:
                connection.execute("create extension vector")
            yield make_conninfo(server.conninfo, dbname="shared", user="ordinary")


def test_an_ordinary_role_on_another_server_works_and_is_bound_by_the_policies(foreign: str, home: Path) -> None:
    with sbf.connect(url_of(foreign), home=home / "foreign", threads=1, static=True) as workspace:
        assert workspace.health().checks["place"] == "SBF_DATABASE_URL"
        notebook = workspace.notebooks.create("Foreign")
        source = notebook.add_text("Feldspar weathers to clay.", "feldspar")
        assert source.status == "ready", source
        assert notebook.add_text("Feldspar weathers to white clay.", "feldspar").version == 2
        for arm in ("lexical", "dense", "hybrid"):
            assert [hit.source_id for hit in notebook.search("feldspar", arm=arm)] == [source.id]
        backend: Any = workspace._backend
        workspace._loop.run(tend_indexes(backend.runtime))
        assert workspace._loop.run(backend.runtime.db.epoch("local")) > 1
        check_bound(foreign)
        workspace.sources.delete(source)
        assert workspace.sources.list().total == 0


def check_bound(conninfo: str) -> None:
    """The owner is an ordinary role, and a tenant who is not the owner of the rows sees none, by either way."""
    term = sparse.term_id(next(sparse.terms("feldspar", "en")))
    with psycopg.connect(conninfo, options="-c search_path=sbf,public") as connection:
        assert connection.execute(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        ).fetchone() == (False,)
        for tenant, chunks in (("stranger", 0), ("local", 1)):
            connection.execute(
                "select set_config('sbf.user_id', %s, true), set_config('role', 'sbf_app', true)", [tenant]
            )
            for table in ("sources", "chunks", "embeddings", "lexical", "notebook_sources"):
                assert connection.execute(f"select count(*) from {table}").fetchone() == (chunks,), table
            found = connection.execute(
                "select * from lexical_candidates(%s::sparsevec, %s::int[], null, null, null, null, null, null, 9)",
                [f"{{{term + 1}:1}}/{1 << 29}", [term]],
            ).fetchall()
            assert len(found) == chunks


def test_a_second_database_needs_the_roles_and_says_so(make_database: Callable[..., str], runtime: Runtime) -> None:
    conninfo = make_database("nosuperuser createrole createdb")
    with pytest.raises(StoreUnavailable, match="may not set up SBF") as caught:
        schema.prepare(conninfo)
    assert f"grant it {', '.join(schema.ROLES)}" in caught.value.hint
    with psycopg.connect(runtime.db.conninfo, autocommit=True) as connection:
        connection.execute(f"grant {', '.join(schema.ROLES)} to {conninfo_to_dict(conninfo)['user']}")
    schema.prepare(conninfo)
    assert described(conninfo)[0]


def test_rows_that_others_refer_to_are_found_by_their_key_whatever_the_statistics_say(runtime: Runtime) -> None:
    """Any other index that begins with the tenant is taken for as good, as long as nothing is known of the tenant."""
    with psycopg.connect(runtime.db.conninfo) as connection:
        found = connection.execute("""
            select i.indexrelid::regclass::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
            where i.indrelid in ('sbf.sources'::regclass, 'sbf.source_versions'::regclass, 'sbf.chunks'::regclass,
                                 'sbf.lexical'::regclass, 'sbf.embeddings'::regclass)
              and a.attname = 'user_id' and not i.indisprimary and i.indpred is null""").fetchall()
    assert found == []
