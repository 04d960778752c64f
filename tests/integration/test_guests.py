"""Guests under row-level security alone: what the roles of viewers and editors see and write, whatever the application asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

from sbf_kernel.models import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace

CONTENT = ("notebooks", "notebook_sources", "sources", "source_versions", "chunks", "lexical", "embeddings",
           "term_stats", "collection_stats")  # fmt: skip
AUTHORED = ("answers", "chats", "messages", "notes", "usage")
CLOSED = (
    "embedding_cache",
    "idempotency_keys",
    "jobs",
    "reports",
    "users",
    "sign_ins",
    "refresh_tokens",
    "api_tokens",
    "invitations",
)


@pytest.fixture
def backend_name() -> str:
    return "local"


@pytest.fixture
def owner(runtime: Runtime) -> Iterator[psycopg.Connection]:
    """A connection as the schema's owner, before it takes a guest's role."""
    with psycopg.connect(runtime.db.conninfo, options="-c search_path=sbf,public") as connection:
        yield connection
        connection.rollback()


@dataclass
class World:
    """A tenant with a notebook that is shared and one that is not, a source in each, and what three people wrote."""

    tenant: str
    member: str
    shared: UUID
    hidden: UUID
    source: UUID
    secret: UUID
    owner: psycopg.Connection

    def share(self, role: str, member: str | None = None) -> None:
        self.owner.execute(
            "insert into shares values (%s, %s, %s, 'mia', 'olga', %s) on conflict (user_id, notebook_id, member_id) do update set role = excluded.role",
            [self.tenant, self.shared, member or self.member, role],
        )

    def become(
        self, role: str, *, tenant: str | None = None, author: str | None = None, notebook: UUID | str | None = None
    ) -> psycopg.Connection:
        """Take a guest's identity, as :meth:`Database.transaction` does."""
        self.owner.execute(
            """select set_config('role', %s, true), set_config('sbf.user_id', %s, true), set_config('sbf.author', %s, true),
               set_config('sbf.notebook_id', %s, true)""",
            [role, tenant or self.tenant, author or self.member, str(self.shared if notebook is None else notebook)],
        )
        return self.owner

    def as_owner(self) -> psycopg.Connection:
        self.owner.execute("reset role")
        return self.owner


def write(connection: psycopg.Connection, tenant: str, author: str, notebook: UUID) -> None:
    """One row of each kind by an author in a notebook."""
    chat = uuid4()
    values = {"tenant": tenant, "author": author, "notebook": notebook, "chat": chat}
    for statement in (
        "insert into answers (user_id, author, id, notebook_id, question, record) values (%(tenant)s, %(author)s, gen_random_uuid(), %(notebook)s, 'q', '{}')",
        "insert into chats (user_id, author, id, notebook_id) values (%(tenant)s, %(author)s, %(chat)s, %(notebook)s)",
        "insert into messages (user_id, author, id, chat_id, number, role, status) values (%(tenant)s, %(author)s, gen_random_uuid(), %(chat)s, 1, 'user', 'done')",
        "insert into notes (user_id, author, id, notebook_id, title) values (%(tenant)s, %(author)s, gen_random_uuid(), %(notebook)s, 't')",
        "insert into usage (user_id, author, id, notebook_id, operation, model, input_tokens, output_tokens) values (%(tenant)s, %(author)s, gen_random_uuid(), %(notebook)s, 'o', 'm', 1, 1)",
    ):
        connection.execute(statement, values)


@pytest.fixture
def world(owner: psycopg.Connection, principal: Principal, workspace: Workspace, notebook: NotebookHandle) -> World:
    source = notebook.add_text("The secret ingredient is cardamom.", "recipe")
    hidden = workspace.notebooks.create("Diary")
    secret = hidden.add_text("Cardamom makes me sneeze.", "diary")
    made = World(principal.user_id, f"member-{uuid4()}", notebook.id, hidden.id, source.id, secret.id, owner)
    owner.execute("insert into idempotency_keys (user_id, key, digest) values (%s, 'k', '')", [made.tenant])
    for author in (made.tenant, made.member, "other-member"):
        for where in (notebook.id, hidden.id):
            write(owner, made.tenant, author, where)
    return made


ROLES = ("viewer", "editor")
each_role = pytest.mark.parametrize("role", ROLES)


@each_role
def test_a_guest_sees_of_the_content_only_the_notebook(world: World, role: str) -> None:
    world.share(role)
    connection = world.become(f"sbf_{role}")
    assert connection.execute("select id from notebooks").fetchall() == [(world.shared,)]
    assert connection.execute("select notebook_id, source_id from notebook_sources").fetchall() == [
        (world.shared, world.source)
    ]
    assert connection.execute("select id from sources").fetchall() == [(world.source,)]
    for table in ("source_versions", "chunks", "lexical", "embeddings"):
        assert connection.execute(f"select distinct source_id from {table}").fetchall() == [(world.source,)], table
    for table in ("term_stats", "collection_stats"):
        assert connection.execute(f"select distinct user_id from {table}").fetchall() == [(world.tenant,)], table


@each_role
def test_a_guest_sees_of_what_people_wrote_only_their_own_there(world: World, role: str) -> None:
    world.share(role)
    connection = world.become(f"sbf_{role}")
    for table in AUTHORED:
        place = "(select notebook_id from chats c where c.id = chat_id)" if table == "messages" else "notebook_id"
        assert connection.execute(f"select user_id, author, {place} from {table}").fetchall() == [
            (world.tenant, world.member, world.shared)
        ], table


@each_role
@pytest.mark.parametrize("table", CLOSED)
def test_some_tables_are_closed_to_guests(world: World, role: str, table: str) -> None:
    world.share(role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.become(f"sbf_{role}").execute(f"select * from {table}")


WRONG: dict[str, dict[str, Any]] = {
    "no share": {"author": "nobody"},
    "another notebook": {"notebook": "hidden"},
    "a notebook that never was": {"notebook": uuid4()},
    "no notebook": {"notebook": ""},
    "another tenant": {"tenant": "somebody else"},
    "the owner as a guest": {"author": "tenant"},
}


@each_role
@pytest.mark.parametrize("wrong", WRONG)
def test_without_the_share_nothing_at_all_is_there(world: World, role: str, wrong: str) -> None:
    world.share(role)
    identity = {
        key: getattr(world, value, value) if isinstance(value, str) else value for key, value in WRONG[wrong].items()
    }
    no_access(world.become(f"sbf_{role}", **identity))


def test_a_viewers_share_is_none_for_an_editor(world: World) -> None:
    world.share("viewer")
    no_access(world.become("sbf_editor"))


@each_role
def test_unsharing_ends_it_in_the_next_statement(world: World, role: str) -> None:
    world.share(role)
    assert world.become(f"sbf_{role}").execute("select count(*) from chunks").fetchone() == (1,)
    world.as_owner().execute("delete from shares where user_id = %s", [world.tenant])
    no_access(world.become(f"sbf_{role}"))


def no_access(connection: psycopg.Connection) -> None:
    for table in (*CONTENT, *AUTHORED, "epochs", "shares"):
        assert connection.execute(f"select * from {table}").fetchall() == [], table
    for table in ("answers", "chats", "messages", "notes"):
        assert connection.execute(f"delete from {table}").rowcount == 0, table
    assert candidates(connection) == []


def attempt(connection: psycopg.Connection, statement: str, values: Any = None) -> str:
    """Run a statement that should be refused; returns why."""
    try:
        with connection.transaction():
            done = connection.execute(statement, values)
            raise AssertionError(f"{done.rowcount} rows: {statement}")
    except psycopg.errors.InsufficientPrivilege as error:
        return str(error)


def test_a_viewer_changes_no_content(world: World) -> None:
    world.share("viewer")
    connection = world.become("sbf_viewer")
    for table in (*CONTENT, "shares"):
        for statement in (
            f"delete from {table}",
            f"update {table} set user_id = user_id",
            f"insert into {table} default values",
        ):
            assert "permission denied" in attempt(connection, statement)


def test_an_editor_changes_nothing_but_words_links_and_sources_of_the_notebook(world: World) -> None:
    world.share("editor")
    connection = world.become("sbf_editor")
    assert connection.execute("update notebooks set name = 'x'").rowcount == 1
    assert connection.execute("update sources set name = 'x'").rowcount == 1
    assert connection.execute("update notebook_sources set removed_at = now()").rowcount == 1
    for table in (*CONTENT, "shares"):
        assert "permission denied" in attempt(connection, f"delete from {table}")
        assert "permission denied" in attempt(connection, f"update {table} set user_id = 'victim'")
    for table in sorted({*CONTENT, "shares"} - {"notebook_sources", "sources"}):
        assert "permission denied" in attempt(connection, f"insert into {table} (user_id) values ('victim')")
    for column in (
        "created_by = 'x'",
        "created_at = now()",
        "origin = 'x'",
        "id = gen_random_uuid()",
        "version_id = null",
    ):
        assert "permission denied" in attempt(connection, f"update sources set {column}")
    untouched = world.as_owner().execute("select name from sources where id = %s", [world.secret]).fetchone()
    assert untouched == ("diary",)


def test_an_editor_can_link_only_what_they_see(world: World) -> None:
    world.share("editor")
    connection = world.become("sbf_editor")
    link = "insert into notebook_sources (user_id, notebook_id, source_id) values (%s, %s, %s)"
    for notebook, source in ((world.shared, world.secret), (world.shared, uuid4()), (world.hidden, world.source)):
        assert "row-level security" in attempt(connection, link, [world.tenant, notebook, source])
    insert = "insert into sources (user_id, id, origin, name) values (%s, %s, 'o', 'n')"
    assert "row-level security" in attempt(connection, insert, ["victim", uuid4()])
    made = uuid4()
    connection.execute(insert, [world.tenant, made])
    assert connection.execute("select created_by from sources where id = %s", [made]).fetchone() == (world.member,)
    connection.execute(link, [world.tenant, world.shared, made])


def test_what_an_editor_inserted_without_linking_it_is_gone_in_the_next_transaction(world: World) -> None:
    world.share("editor")
    world.become("sbf_editor").execute(
        "insert into sources (user_id, id, origin, name) values (%s, %s, 'o', 'n')", [world.tenant, uuid4()]
    )
    assert world.owner.execute("select count(*) from sources").fetchone() == (2,)
    world.owner.commit()
    assert world.become("sbf_editor").execute("select id from sources").fetchall() == [(world.source,)]


@each_role
def test_a_guest_writes_as_nobody_else_and_nowhere_else(world: World, role: str) -> None:
    world.share(role)
    connection = world.become(f"sbf_{role}")
    for author, notebook, tenant in (
        (world.tenant, world.shared, world.tenant),
        ("other-member", world.shared, world.tenant),
        (world.member, world.hidden, world.tenant),
        (world.member, world.shared, world.member),
    ):
        for table in ("answers", "chats", "notes", "usage"):
            columns, values = EXTRA[table]
            assert "row-level security" in attempt(
                connection,
                f"insert into {table} (user_id, author, id, notebook_id, {columns}) values (%s, %s, gen_random_uuid(), %s, {values})",
                [tenant, author, notebook],
            )
    for table in ("answers", "chats", "notes"):
        for change in (f"author = '{world.tenant}'", f"notebook_id = '{world.hidden}'", "user_id = 'victim'"):
            assert "row-level security" in attempt(connection, f"update {table} set {change}")
    write(connection, world.tenant, world.member, world.shared)
    for table in ("messages", "answers", "chats", "notes"):
        assert connection.execute(f"delete from {table}").rowcount == 2
    assert "permission denied" in attempt(connection, "update usage set input_tokens = 0")
    assert "permission denied" in attempt(connection, "delete from usage")


EXTRA = {
    "answers": ("question, record", "'q', '{}'"),
    "chats": ("title", "'t'"),
    "notes": ("title", "'t'"),
    "usage": ("operation, model, input_tokens, output_tokens", "'o', 'm', 1, 1"),
}


def candidates(connection: psycopg.Connection, **scope: Any) -> list[Any]:
    term = sparse.term_id(next(sparse.terms("cardamom", "en")))
    rows = connection.execute(
        "select source_id from lexical_candidates(%s::sparsevec, %s::int[], null, null, null, %s::uuid[], %s::uuid[], null, 10)",
        [f"{{{term + 1}:1}}/{1 << 29}", [term], scope.get("notebooks"), scope.get("sources")],
    ).fetchall()
    return [row[0] for row in rows]


@each_role
def test_the_function_that_passes_the_policies_binds_the_notebook_itself(world: World, role: str) -> None:
    world.share(role)
    connection = world.become(f"sbf_{role}")
    assert candidates(connection) == candidates(connection, notebooks=[world.shared]) == [world.source]
    assert candidates(connection, notebooks=[world.hidden, world.shared]) == [world.source]
    assert candidates(connection, sources=[world.source, world.secret]) == [world.source]
    assert candidates(connection, notebooks=[world.hidden]) == candidates(connection, sources=[world.secret]) == []
    world.as_owner().execute("update notebook_sources set removed_at = now() where source_id = %s", [world.source])
    assert candidates(world.become(f"sbf_{role}")) == []


def test_what_tells_of_shares_binds_the_member_itself(world: World) -> None:
    world.share("viewer")
    for member, rows in ((world.member, 1), ("nobody", 0), (world.tenant, 0)):
        connection = world.become("sbf_app", tenant=member, author=member, notebook="")
        assert len(connection.execute("select * from shared_notebooks()").fetchall()) == rows
        for kind, wanted in (("notebook", world.shared), ("source", world.source)):
            assert len(connection.execute("select * from share_of(%s, %s)", [kind, [wanted]]).fetchall()) == rows
        for kind, wanted in (("notebook", world.hidden), ("source", world.secret), ("nonsense", world.shared)):
            assert connection.execute("select * from share_of(%s, %s)", [kind, [wanted]]).fetchall() == []
        assert connection.execute("select * from share_of('notebook', '{}')").fetchall() == []
        both = [world.source, world.secret]
        assert connection.execute("select * from share_of('source', %s)", [both]).fetchall() == []


def test_only_the_roles_meant_may_call_the_functions(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        """select p.proname, array_agg(distinct a.grantee::regrole::text order by a.grantee::regrole::text) from pg_proc p,
           aclexplode(p.proacl) a where p.pronamespace = 'sbf'::regnamespace and a.privilege_type = 'EXECUTE'
           and p.proname in ('share_of', 'shared_notebooks', 'purge_shared', 'forget_guests') group by 1"""
    ).fetchall()
    callers = ["sbf_app", "sbf_sharing"]
    assert dict(rows) == {
        "share_of": callers,
        "shared_notebooks": callers,
        "purge_shared": callers,
        "forget_guests": ["sbf_sharing"],
    }


def test_the_roles_own_nothing_and_bypass_nothing(owner: psycopg.Connection) -> None:
    rows = owner.execute(
        """select rolname from pg_roles where rolname in ('sbf_viewer', 'sbf_editor', 'sbf_sharing')
           and not (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolcanlogin)"""
    ).fetchall()
    assert {row[0] for row in rows} == {"sbf_viewer", "sbf_editor", "sbf_sharing"}
    owned = "select relname from pg_class where relowner in ('sbf_viewer'::regrole, 'sbf_editor'::regrole, 'sbf_sharing'::regrole)"
    assert owner.execute(owned).fetchall() == []
    for one in ("sbf_viewer", "sbf_editor", "sbf_app", "sbf_sharing", "sbf_search"):
        for other in ("sbf_viewer", "sbf_editor", "sbf_app", "sbf_sharing", "sbf_search", "sbf_accounts"):
            member = owner.execute("select pg_has_role(%s, %s, 'member')", [one, other]).fetchone()
            assert member == (one == other,), (one, other)
