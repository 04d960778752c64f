"""Another tenant sees, changes and disturbs nothing: by the operations, and by row-level security alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import NotFound
from sbf_kernel.models import sparse
from sbf_kernel.storage import schema
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.records import Answer, Principal, Source
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder

TABLES = (
    "notebooks", "sources", "notebook_sources", "source_versions", "chunks", "lexical", "embeddings", "embedding_cache",
    "term_stats", "collection_stats", "answers", "epochs", "idempotency_keys", "chats", "messages", "notes", "usage",
    "jobs", "shares", "reports",
)  # fmt: skip
ACCOUNTS = ("users", "sign_ins", "refresh_tokens", "api_tokens", "invitations")
"""Of the deployment, no tenant's: the application does not see them at all."""


@pytest.fixture
def backend_name() -> str:
    """Over HTTP, ``tests/api/test_tenant_matrix.py`` looks at every operation."""
    return "local"


@pytest.fixture
def source(notebook: NotebookHandle) -> Source:
    return notebook.add_text("The secret ingredient is cardamom.", "recipe")


@pytest.fixture
def answer(notebook: NotebookHandle, source: Source) -> Answer:
    return notebook.ask("What is the secret ingredient?")


@pytest.fixture
def owner(runtime: Runtime) -> Iterator[psycopg.Connection]:
    """A connection as the schema's owner, before it takes the role of the application."""
    with psycopg.connect(runtime.db.conninfo, options="-c search_path=sbf,public") as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def filled(owner: psycopg.Connection, principal: Principal, answer: Answer, source: Source) -> psycopg.Connection:
    """Each table holds a row of the tenant; the connection is a stranger's, in the role of the application."""
    owner.execute(
        "insert into embedding_cache select user_id, model, content_hash, source_id, embedding from embeddings where user_id = %s",
        [principal.user_id],
    )
    values = {"tenant": principal.user_id, "notebook": answer.notebook_id, "chat": uuid4()}
    for statement in OTHERS:
        owner.execute(statement, values)
    for table in TABLES:
        row = owner.execute(f"select count(*) from {table} where user_id = %s", [principal.user_id]).fetchone()
        assert row is not None, table
        assert row[0] > 0, table
    become(owner, "stranger")
    return owner


def become(connection: psycopg.Connection, tenant: str) -> None:
    """Take the identity of a tenant, as :meth:`Database.transaction` does."""
    connection.execute(
        "select set_config('role', 'sbf_app', true), set_config('sbf.user_id', %s, true), set_config('sbf.author', %s, true)",
        [tenant, tenant],
    )


OTHERS = (
    "insert into idempotency_keys (user_id, key, digest) values (%(tenant)s, 'k', '')",
    "insert into chats (user_id, author, id, notebook_id) values (%(tenant)s, %(tenant)s, %(chat)s, %(notebook)s)",
    """insert into messages (user_id, author, id, chat_id, number, role, status)
       values (%(tenant)s, %(tenant)s, gen_random_uuid(), %(chat)s, 1, 'user', 'done')""",
    """insert into notes (user_id, author, id, notebook_id, title)
       values (%(tenant)s, %(tenant)s, gen_random_uuid(), %(notebook)s, 't')""",
    """insert into usage (user_id, author, id, operation, model, input_tokens, output_tokens)
       values (%(tenant)s, %(tenant)s, gen_random_uuid(), 'o', 'm', 1, 1)""",
    """insert into reports (user_id, id, notebook_id, template)
       values (%(tenant)s, gen_random_uuid(), %(notebook)s, 't')""",
    "insert into shares values (%(tenant)s, %(notebook)s, 'mia', 'mia', 'olga', 'editor')",
)


def test_every_operation_on_a_strangers_object_finds_nothing(
    stranger: Workspace, notebook: NotebookHandle, source: Source, answer: Answer
) -> None:
    own = stranger.notebooks.create("own")
    theirs = {"notebook_id": notebook.id, "source_id": source.id, "answer_id": answer.id}
    calls: list[op.Operation] = [
        op.GetNotebook(notebook_id=notebook.id),
        op.UpdateNotebook(notebook_id=notebook.id, name="taken"),
        op.DeleteNotebook(notebook_id=notebook.id),
        op.AddSource(notebook_id=notebook.id, name="x", origin="text:x", content=b"planted"),
        op.RetrySource(source_id=source.id),
        op.ListSources(notebook_id=notebook.id),
        op.GetSource(source_id=source.id),
        op.UpdateSource(source_id=source.id, name="taken", tags=("taken",)),
        op.GetSourceText(source_id=source.id),
        op.GetSourceText(source_id=source.id, version_id=source.version_id),
        op.LinkSource(notebook_id=own.id, source_id=source.id),
        op.LinkSource(notebook_id=notebook.id, source_id=source.id),
        op.RemoveSource(notebook_id=notebook.id, source_id=source.id),
        op.DeleteSource(source_id=source.id),
        op.Search(query="cardamom", notebook_ids=(notebook.id,)),
        op.Search(query="cardamom", notebook_ids=(own.id, notebook.id)),
        op.Ask(question="What is secret?", notebook_ids=(notebook.id,)),
        op.GetAnswer(answer_id=answer.id),
        op.RecheckAnswer(answer_id=answer.id),
    ]
    for operation in calls:
        with pytest.raises(NotFound):
            _ = list(stranger.stream(operation)) if operation.streams else stranger.call(operation)
    with_ids = {name for kind in map(type, calls) for name in kind.model_fields}
    assert set(theirs) <= with_ids
    assert notebook.refresh().name == "Notes"
    assert notebook.sources.get(source.id) == source
    assert notebook.sources.list().total == 1


def test_a_strangers_lists_searches_and_counts_are_empty(
    stranger: Workspace, notebook: NotebookHandle, source: Source, answer: Answer
) -> None:
    assert stranger.notebooks.list().total == stranger.sources.list().total == stranger.answers.list().total == 0
    assert stranger.answers.list(notebook_id=notebook.id).total == 0
    for scope in ({}, {"source_ids": (source.id,)}, {"arm": "lexical"}, {"arm": "dense"}, {"per_source": True}):
        hits = stranger.search("secret ingredient cardamom", **scope)
        assert (len(hits), hits.searched_chunks) == (0, 0)
    assert not stranger.ask("What is the secret ingredient?").answered
    assert stranger.call(op.ResumeSources()).total == 0


def test_word_statistics_of_one_tenant_do_not_change_another_ones_scores(
    stranger: Workspace, notebook: NotebookHandle, source: Source
) -> None:
    before = notebook.search("cardamom", arm="lexical")[0].lexical_score
    stranger.notebooks.create("own").add_text("Cardamom, cardamom and more cardamom.", "spices")
    assert notebook.search("cardamom", arm="lexical")[0].lexical_score == before


def test_the_same_bytes_of_two_tenants_are_two_sources(stranger: Workspace, source: Source) -> None:
    theirs = stranger.notebooks.create("own").add_text("The secret ingredient is cardamom.", "recipe")
    assert theirs.id != source.id
    assert theirs.stage == "stored"


def test_a_stranger_cannot_stop_or_watch_running_work(
    stranger: Workspace, workspace: Workspace, notebook: NotebookHandle, embedder: CountingEmbedder
) -> None:
    embedder.allowed = 0
    add = op.AddSource(
        notebook_id=notebook.id, name="silt", origin="text:silt", content=b"Slow rivers carry fine silt."
    )
    running = workspace.call(add)
    own = stranger.call(add.model_copy(update={"notebook_id": stranger.notebooks.create("own").id}))
    until(lambda: embedder.waiting == 2)
    stranger.call(op.CancelSources(source_ids=(running.id,)))
    for operation in (op.DeleteSource(source_id=running.id), op.RetrySource(source_id=running.id)):
        with pytest.raises(NotFound):
            stranger.call(operation)
    assert (embedder.waiting, workspace.sources.get(running.id).status) == (2, "processing")
    watching = stranger.stream(op.WatchSources(source_ids=(running.id, own.id)))
    assert next(watching).id == own.id
    workspace.call(op.CancelSources(source_ids=(running.id,)))  # its watchers are told
    embedder.allowed = 10
    assert {source.id for source in watching} == {own.id}


@pytest.mark.parametrize("table", TABLES)
def test_row_level_security_alone_hides_every_table(filled: psycopg.Connection, table: str) -> None:
    assert filled.execute(f"select * from {table}").fetchall() == []
    assert filled.execute(f"delete from {table}").rowcount == 0
    assert filled.execute(f"update {table} set user_id = 'stranger'").rowcount == 0


@pytest.mark.parametrize("table", TABLES)
def test_rows_cannot_be_given_to_or_planted_on_another_tenant(
    filled: psycopg.Connection, principal: Principal, table: str
) -> None:
    become(filled, principal.user_id)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        filled.execute(f"update {table} set user_id = 'victim'")
    filled.rollback()


def test_rows_cannot_be_inserted_for_another_tenant(filled: psycopg.Connection, principal: Principal) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        filled.execute(
            "insert into notebooks (user_id, id, name) values (%s, %s, 'planted')", [principal.user_id, uuid4()]
        )


def test_without_a_tenant_nothing_is_seen_or_written(filled: psycopg.Connection) -> None:
    filled.commit()  # ends what set_config set for the transaction; the setting is empty afterwards, no longer missing
    for prepare in ("select 1", "reset sbf.user_id"):
        filled.execute(prepare)
        filled.execute("select set_config('role', 'sbf_app', true)")
        for table in TABLES:
            assert filled.execute(f"select * from {table}").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.execute("insert into notebooks (user_id, id, name) values ('x', %s, 'planted')", [uuid4()])
        filled.rollback()


def test_all_tables_are_covered_and_forced(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        """select relname, relrowsecurity and relforcerowsecurity from pg_class
           where relnamespace = 'sbf'::regnamespace and relkind in ('r', 'p') and relname <> 'alembic_version'"""
    ).fetchall()
    assert dict(rows) == dict.fromkeys((*TABLES, *ACCOUNTS), True)


@pytest.mark.parametrize("table", ACCOUNTS)
def test_the_application_does_not_see_users_and_tokens(filled: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        filled.execute(f"select * from {table}")


def test_what_is_written_by_a_guest_is_not_the_tenants_to_see(filled: psycopg.Connection, principal: Principal) -> None:
    filled.execute("reset role")
    for table in ("answers", "chats", "messages", "notes", "usage"):
        filled.execute(f"update {table} set author = 'mia' where user_id = %s", [principal.user_id])
    become(filled, principal.user_id)
    for table in ("answers", "chats", "messages", "notes", "usage"):
        assert filled.execute(f"select * from {table}").fetchall() == []
        assert filled.execute(f"delete from {table}").rowcount == 0


def test_every_role_is_known_to_what_tells_of_missing_ones(owner: psycopg.Connection) -> None:
    rows = owner.execute("select rolname from pg_roles where starts_with(rolname, 'sbf_')").fetchall()
    assert {row[0] for row in rows} == set(schema.ROLES)


def test_the_application_role_owns_nothing_and_bypasses_nothing(owner: psycopg.Connection) -> None:
    flags = owner.execute(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcanlogin from pg_roles where rolname = 'sbf_app'"
    ).fetchone()
    assert flags == (False, False, False, False)
    assert (
        owner.execute("select 1 from pg_class where relowner = 'sbf_app'::regrole and relpersistence <> 't'").fetchall()
        == []
    )
    member = owner.execute("select pg_has_role('sbf_app', 'sbf_search', 'member')").fetchone()
    assert member == (False,)


def _candidates(connection: psycopg.Connection, **scope: Any) -> list[Any]:
    term = sparse.term_id(next(sparse.terms("cardamom", "en")))
    query = f"{{{term + 1}:1}}/{1 << 29}"
    return connection.execute(
        "select * from lexical_candidates(%s::sparsevec, %s::int[], null, null, null, %s::uuid[], %s::uuid[], null, 10)",
        [query, [term], scope.get("notebooks"), scope.get("sources")],
    ).fetchall()


def test_the_function_that_passes_the_policy_binds_the_tenant_itself(
    filled: psycopg.Connection, principal: Principal, notebook: NotebookHandle, source: Source
) -> None:
    for scope in ({}, {"sources": [source.id]}, {"notebooks": [notebook.id]}):
        assert _candidates(filled, **scope) == []
    become(filled, principal.user_id)
    for scope in ({}, {"sources": [source.id]}, {"notebooks": [notebook.id]}):
        assert [row[1] for row in _candidates(filled, **scope)] == [source.id]
    assert _candidates(filled, sources=[uuid4()]) == _candidates(filled, notebooks=[uuid4()]) == []


def test_the_function_may_be_called_by_the_application_only(owner: psycopg.Connection) -> None:
    granted = owner.execute(
        """select coalesce(array_agg(distinct a.grantee::regrole::text order by a.grantee::regrole::text), '{}') from pg_proc p,
           aclexplode(p.proacl) a where p.proname = 'lexical_candidates' and a.privilege_type = 'EXECUTE'"""
    ).fetchone()
    assert granted == (["sbf_app", "sbf_editor", "sbf_search", "sbf_viewer"],)
