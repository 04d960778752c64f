"""Every operation × every place for an id × what does not belong to one: nothing is told, nothing is changed.

Generated from the table of operations: a new one is covered, or fails here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

from sbf_kernel import operations as op
from sbf_kernel.accounts import users
from sbf_kernel.errors import NotFound, SbfError
from sbf_kernel.handlers import access, handler_of
from sbf_kernel.records import Guest, Principal
from sbf_kernel.storage import accounts, database, tenants
from tests.api.holdings import (
    FIELDS,
    KINDS,
    PLURAL,
    Ids,
    Probe,
    Told,
    fill,
    names_objects,
    post,
    probes,
    random_ids,
    send,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime

WORD = "zanthoxylum"
"""In everything the owner has, and nowhere else."""
PROBES = list(probes())
LINES = "application/x-ndjson"
TABLES = """
select table_name, bool_or(column_name = 'author') from information_schema.columns where table_schema = 'sbf'
group by 1 having bool_or(column_name = 'user_id' and data_type = 'text') order by 1"""


@dataclass(frozen=True)
class Somebody:
    """A user of the service."""

    principal: Principal
    token: str
    ids: Ids


@dataclass(frozen=True)
class World:
    """The service, the owner of what others are after, and those others."""

    url: str
    conninfo: str
    owner: Somebody
    hidden: Ids
    """What the owner shares with nobody."""
    gone: Ids
    """What somebody had who was deleted."""
    stranger: Somebody
    viewer: Somebody
    suspended: str
    """Token of a user who is suspended."""

    def owners(self) -> str:
        """Return a digest of all content of the owner, and of all that they wrote."""
        digest = hashlib.sha256()
        with psycopg.connect(self.conninfo, options="-c search_path=sbf,public") as connection:
            for table, authored in connection.execute(TABLES).fetchall():
                if table == "epochs":  # counts what guests write too
                    continue
                own = "and author = user_id" if authored else ""
                rows = connection.execute(
                    f"select t::text from {table} t where user_id = %s {own} order by 1", [self.owner.principal.user_id]
                ).fetchall()
                digest.update(repr((table, rows)).encode())
        return digest.hexdigest()


@pytest.fixture(scope="module")
def world(
    runtime: Runtime,
    loop: LoopThread,
    service: str,
    new_user: Callable[..., Principal],
    new_token: Callable[[Principal], str],
) -> World:
    def somebody(word: str) -> Somebody:
        principal = new_user(f"{word}-{uuid4().hex[:8]}")
        return Somebody(principal, new_token(principal), fill(runtime, loop, principal, word))

    owner, stranger, viewer, gone = somebody(WORD), somebody("fern"), somebody("moss"), somebody("lichen")
    hidden = fill(runtime, loop, owner.principal, f"{WORD} hidden")
    suspended = new_user()
    token = new_token(suspended)
    loop.run(_arrange(runtime, owner, viewer, gone, suspended))
    return World(service, runtime.db.conninfo, owner, hidden, gone.ids, stranger, viewer, token)


async def _arrange(runtime: Runtime, owner: Somebody, viewer: Somebody, gone: Somebody, suspended: Principal) -> None:
    me = await users.me(runtime, viewer.principal)
    share = op.ShareNotebook(notebook_id=owner.ids["notebook_id"], member=me.name)
    await access.call(runtime, owner.principal, share)
    await tenants.purge(runtime.db, gone.principal)
    async with runtime.db.accounts() as connection:
        await accounts.remove(connection, gone.ids["user_id"])
        await accounts.change(connection, UUID(suspended.user_id), status="suspended")


@pytest.fixture(autouse=True)
def untouched(world: World) -> Iterator[None]:
    """Whatever a test does, the owner has afterwards what they had before."""
    before = world.owners()
    yield
    assert world.owners() == before


def test_every_field_that_takes_an_id_is_known() -> None:
    fields = {name for kind in KINDS for name in names_objects(kind)}
    assert {PLURAL.get(name, name) for name in fields} == set(FIELDS)
    assert {probe.kind for probe in PROBES} == {kind for kind in KINDS if names_objects(kind)}
    assert len(PROBES) > 50


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_a_stranger_cannot_tell_foreign_from_deleted_from_invented(world: World, probe: Probe) -> None:
    told = [
        answer(world, world.stranger, probe.operation(world.stranger.ids, ids))
        for ids in (world.owner.ids, world.hidden, world.gone, random_ids())
    ]
    assert told == [told[-1]] * 4
    assert told[-1].status == expected(probe)


def answer(world: World, who: Somebody, operation: op.Operation, accept: str = "application/json") -> Told:
    """What somebody is told, without what is of this one request; never anything of the owner's."""
    told = send(world.url, who.token, operation, accept)
    assert WORD not in told.body
    assert told.status < 500, told.body
    return told.without(operation)


def test_uploading_into_a_strangers_notebook_tells_no_more(world: World) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nplanted\r\n--x--\r\n'
    told = []
    for ids in (world.owner.ids, world.gone, random_ids()):
        operation = op.ListMembers(notebook_id=ids["notebook_id"])
        path = f"/notebooks/{operation.notebook_id}/sources/upload"
        sent = post(world.url + path, world.stranger.token, part, "multipart/form-data; boundary=x")
        told.append(sent.without(operation))
    assert told == [told[-1]] * 3
    assert told[-1].status == 404


MATCHES_NOTHING = (op.WatchSources, op.WatchJobs, op.CancelSources, op.ListAnswers)
"""They leave out what they do not find."""


def expected(probe: Probe) -> int:
    """403 where nobody but an administrator may knock; 404, or nothing at all in what only narrows down."""
    if probe.kind.admin:
        return 403
    if issubclass(probe.kind, MATCHES_NOTHING) or probe.foreign == ("source_ids",):
        return 204 if probe.kind.result is None else 200
    return 404


@pytest.mark.parametrize("probe", [p for p in PROBES if {"limit", "offset"} <= set(p.kind.model_fields)], ids=str)
def test_exporting_a_whole_list_tells_a_stranger_no_more(world: World, probe: Probe) -> None:
    told = [
        answer(world, world.stranger, probe.operation(world.stranger.ids, ids), LINES)
        for ids in (world.owner.ids, world.gone, random_ids())
    ]
    assert told == [told[-1]] * 3


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_a_viewer_cannot_tell_what_is_not_shared_from_what_never_was(world: World, probe: Probe) -> None:
    told = [
        answer(world, world.viewer, probe.operation(world.viewer.ids, ids))
        for ids in (world.hidden, world.gone, random_ids())
    ]
    assert told == [told[-1]] * 3
    assert told[-1].status == expected(probe)


PERSONAL = {"answer_id", "chat_id", "message_id", "note_id", "job_id", "job_ids", "token_id", "user_id"}


@pytest.mark.parametrize("probe", [p for p in PROBES if PERSONAL & set(p.foreign)], ids=str)
def test_what_the_owner_wrote_in_the_shared_notebook_is_not_there_for_a_viewer(world: World, probe: Probe) -> None:
    invented = {**random_ids(), **{name: world.owner.ids[name] for name in ("notebook_id", "source_id", "version_id")}}
    told = [answer(world, world.viewer, probe.operation(world.viewer.ids, ids)) for ids in (world.owner.ids, invented)]
    assert told[0] == told[1]
    assert told[0].status in (expected(probe), 404)


@pytest.mark.parametrize(
    "probe", [p for p in PROBES if p.kind.access != "viewer" and set(p.foreign) == set(names_objects(p.kind))], ids=str
)
def test_a_viewer_is_refused_every_change_of_what_is_shared(world: World, probe: Probe) -> None:
    told = send(world.url, world.viewer.token, probe.operation({}, world.owner.ids))
    if probe.kind.admin or set(probe.foreign) <= {"notebook_id", "source_id", "source_ids"}:
        assert told.status == 403
    else:
        assert told.status in (404, 200)  # jobs and tokens are nobody else's at all
    assert WORD not in told.body


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.public], ids=lambda kind: kind.__name__)
def test_who_is_suspended_is_told_the_same_whatever_they_ask(world: World, kind: type[op.Operation]) -> None:
    told = {send(world.url, world.suspended, op.GetMe()).without(op.GetMe())}
    for ids in (world.owner.ids, world.gone, random_ids()):
        operation = kind(**values(kind, ids))
        told.add(send(world.url, world.suspended, operation).without(operation))
    assert [one.status for one in told] == [401]


# Row-level security alone: the application is made to believe that whoever asks is the owner, and says so in every
# statement; only the identity the database knows is the one of who really asks.

OF_TENANTS = [kind for kind in KINDS if kind.__module__ != op.CreateUser.__module__ and kind is not op.GetHealth]
IDENTITIES = ("stranger", "viewer of another notebook", "editor of another notebook")


@pytest.fixture(scope="module")
def elsewhere(runtime: Runtime, loop: LoopThread, world: World) -> dict[str, Principal]:
    """Who really asks, by the names above. The other notebook is the owner's too, empty, and shared as an editor's."""

    async def share() -> Any:
        notebook = await access.call(runtime, world.owner.principal, op.CreateNotebook(name="empty"))
        me = await users.me(runtime, world.stranger.principal)
        operation = op.ShareNotebook(notebook_id=notebook.id, member=me.name, role="editor")
        await access.call(runtime, world.owner.principal, operation)
        return notebook.id

    notebook_id, user_id = loop.run(share()), world.stranger.principal.user_id
    guests = {
        f"{role} of another notebook": Principal(
            user_id=world.owner.principal.user_id, guest=Guest(user_id=user_id, notebook_id=notebook_id, role=role)
        )
        for role in ("viewer", "editor")
    }
    return {"stranger": world.stranger.principal, **guests}


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("kind", OF_TENANTS, ids=lambda kind: kind.__name__)
def test_row_level_security_alone_tells_and_changes_nothing(
    elsewhere: dict[str, Principal], world: World, runtime: Runtime, loop: LoopThread, monkeypatch: pytest.MonkeyPatch,
    kind: type[op.Operation], identity: str,
) -> None:  # fmt: skip
    real = database._identity(elsewhere[identity])
    before = world.owners()
    monkeypatch.setattr(database, "_identity", lambda _: real)
    for fields in ([], names_objects(kind)) if _may_be_without_ids(kind) else (names_objects(kind),):
        operation = kind(**values(kind, world.owner.ids, fields))
        assert WORD not in loop.run(outcome(runtime, world.owner.principal, operation))
    assert world.owners() == before


def _may_be_without_ids(kind: type[op.Operation]) -> bool:
    return not any(kind.model_fields[name].is_required() for name in names_objects(kind))


async def outcome(runtime: Runtime, principal: Principal, operation: op.Operation) -> str:
    """Run the handler itself; returns all it gave, or why it did not. A refusal by a policy is one."""
    handler = handler_of(operation)
    try:
        if operation.streams:
            return str([record async for record in handler(runtime, principal, operation)])
        return str(await handler(runtime, principal, operation))
    except NotFound:
        return ""
    except SbfError as error:
        return str(error.as_dict())
    except Exception as error:
        if "row-level security" not in str(error) and "permission denied" not in str(error):
            raise
        return ""


def test_the_owner_would_have_been_told(world: World, runtime: Runtime, loop: LoopThread) -> None:
    """The two tests above can fail: the same operations, by the owner, tell of what is theirs."""
    told = {
        kind
        for kind in OF_TENANTS
        if kind.method == "GET" or kind in (op.Search, op.WatchSources, op.WatchJobs, op.RecheckAnswer)
        if WORD in loop.run(outcome(runtime, world.owner.principal, kind(**values(kind, world.owner.ids))))
    }
    assert len(told) >= 18, told
