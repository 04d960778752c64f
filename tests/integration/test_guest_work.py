"""What sharing does around the operations: one transaction, epochs, what is cached, what is left when somebody goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import NotFound
from sbf_kernel.handlers import access
from sbf_kernel.records import Guest, Principal, Usage
from sbf_kernel.storage import tenants, usage
from sbf_kernel.storage.idempotency import once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Source
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace


@pytest.fixture
def backend_name() -> str:
    return "local"


@pytest.fixture
def member(new_user: Callable[..., Principal]) -> Principal:
    return new_user()


@pytest.fixture
def member_name(runtime: Runtime, member: Principal) -> str:
    with psycopg.connect(runtime.db.conninfo) as connection:
        row = connection.execute("select name from sbf.users where id = %s", [member.user_id]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def source(notebook: NotebookHandle) -> Source:
    return notebook.add_text("The secret ingredient is cardamom.", "recipe")


@pytest.fixture
def call(runtime: Runtime, loop: LoopThread) -> Callable[[Principal, op.Operation], access.Outcome]:
    return lambda principal, operation: loop.run(access.resolve(runtime, principal, operation))


@pytest.fixture
def count(runtime: Runtime) -> Iterator[Callable[..., int]]:
    """Count rows as nobody whom a policy binds."""
    with psycopg.connect(runtime.db.conninfo, options="-c search_path=sbf,public", autocommit=True) as connection:

        def rows(table: str, **values: Any) -> int:
            where = " and ".join(f"{name} = %({name})s" for name in values)
            found = connection.execute(f"select count(*) from {table} where {where}", values).fetchone()
            assert found is not None
            return int(found[0])

        yield rows


def epoch(runtime: Runtime, loop: LoopThread, principal: Principal) -> int:
    return loop.run(runtime.db.epoch(principal.user_id))


def test_sharing_unsharing_and_what_guests_change_count_as_changes_of_the_owner(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str,
    notebook: NotebookHandle, call: Callable[..., access.Outcome],
) -> None:  # fmt: skip
    seen = [epoch(runtime, loop, principal)]
    notebook.share(member_name, "editor")
    seen.append(epoch(runtime, loop, principal))
    call(member, op.UpdateNotebook(notebook_id=notebook.id, name="Pantry"))
    seen.append(epoch(runtime, loop, principal))
    call(member, op.CreateNote(notebook_id=notebook.id, title="mine"))
    seen.append(epoch(runtime, loop, principal))
    notebook.unshare(member_name)
    seen.append(epoch(runtime, loop, principal))
    assert sorted(set(seen)) == seen
    assert epoch(runtime, loop, member) == 0


def test_it_is_told_as_whom_an_operation_was_carried_out(
    member: Principal,
    principal: Principal,
    member_name: str,
    notebook: NotebookHandle,
    call: Callable[..., access.Outcome],
) -> None:
    notebook.share(member_name)
    guest = Guest(user_id=member.user_id, notebook_id=notebook.id, role="viewer")
    acted = call(member, op.GetNotebook(notebook_id=notebook.id)).principal
    assert (acted.user_id, acted.guest, acted.author) == (principal.user_id, guest, member.user_id)
    assert call(principal, op.GetNotebook(notebook_id=notebook.id)).principal == principal
    assert call(member, op.ListNotebooks()).principal == member
    assert call(member, op.ListNotebooks(shared=True)).principal is None  # changes with no epoch of the member's


def test_what_a_guest_consumes_is_in_their_own_report_and_in_nobody_elses(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str,
    notebook: NotebookHandle, call: Callable[..., access.Outcome],
) -> None:  # fmt: skip
    notebook.share(member_name)
    guest = call(member, op.GetNotebook(notebook_id=notebook.id)).principal

    async def consume(who: Principal, tokens: int) -> None:
        async with runtime.db.transaction(who) as connection:
            used = Usage(input_tokens=tokens, output_tokens=1, cost_usd=None)
            await usage.record(connection, who, operation="Ask", model="m", notebook_id=notebook.id, usage=used)

    assert guest is not None
    for who, tokens in ((guest, 7), (member, 20), (principal, 300)):
        loop.run(consume(who, tokens))
    reports = [call(who, op.GetUsage(by="model")).result.items for who in (member, principal)]
    assert [(item.calls, item.input_tokens) for (item,) in reports] == [(2, 27), (1, 300)]


def test_a_guest_gets_no_more_than_the_token_allows(
    member: Principal, member_name: str, notebook: NotebookHandle, call: Callable[..., access.Outcome]
) -> None:
    notebook.share(member_name, "editor")
    reader = member.model_copy(update={"scopes": ("read",)})
    assert call(reader, op.GetNotebook(notebook_id=notebook.id)).principal.scopes == ("read",)
    with pytest.raises(Exception, match="scope"):
        call(reader, op.UpdateNotebook(notebook_id=notebook.id, name="x"))


class Broken(Exception):
    """What interrupts the work."""


def work(
    runtime: Runtime, member: Principal, operation: op.Operation, *, fails: bool
) -> Callable[[], Awaitable[bytes]]:
    async def done() -> bytes:
        made = await access.call(runtime, member, operation)
        if fails:
            raise Broken
        return str(made.id).encode()

    return done


def creations(notebook: NotebookHandle) -> list[tuple[str, op.Operation]]:
    return [
        ("sources", op.AddSource(notebook_id=notebook.id, name="n", origin="once", content=b"Once upon a time.")),
        ("notes", op.CreateNote(notebook_id=notebook.id, title="once")),
        ("chats", op.CreateChat(notebook_id=notebook.id, title="once")),
    ]


def test_what_a_guest_creates_under_an_idempotency_key_is_done_once_or_not_at_all(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str,
    notebook: NotebookHandle, count: Callable[..., int],
) -> None:  # fmt: skip
    notebook.share(member_name, "editor")
    for table, operation in creations(notebook):
        before = epoch(runtime, loop, principal)
        with pytest.raises(Broken):
            loop.run(once(runtime.db, member, table, b"d", work(runtime, member, operation, fails=True)))
        assert (
            count(table, user_id=principal.user_id) == count("idempotency_keys", user_id=member.user_id, key=table) == 0
        )
        assert epoch(runtime, loop, principal) == before
        first, again = (
            loop.run(once(runtime.db, member, table, b"d", work(runtime, member, operation, fails=False))) for _ in "12"
        )
        assert (first[0], first[1], again[1]) == (again[0], False, True)
        assert count(table, user_id=principal.user_id) == 1
        assert count(table, user_id=member.user_id) == 0
        assert count("idempotency_keys", user_id=member.user_id, key=table) == 1
        assert count("idempotency_keys", user_id=principal.user_id) == 0
        if table == "sources":
            loop.run(processed(runtime, principal, UUID(first[0].decode())))


async def processed(runtime: Runtime, principal: Principal, source_id: UUID) -> None:
    """Wait until nothing of a source is under way: it would move the epoch, and meet the next test."""
    async for _ in access.stream(runtime, principal, op.WatchSources(source_ids=(source_id,))):
        pass


def test_what_is_not_found_has_written_nothing_even_inside_a_larger_transaction(
    runtime: Runtime, loop: LoopThread, member: Principal, notebook: NotebookHandle, count: Callable[..., int]
) -> None:
    async def tried(operation: op.Operation) -> bytes:
        with pytest.raises(NotFound):
            await access.call(runtime, member, operation)
        return b"nothing"

    for table, operation in creations(notebook):
        assert (
            loop.run(once(runtime.db, member, table, b"d", lambda operation=operation: tried(operation)))[0]
            == b"nothing"
        )
    for table in ("sources", "notes", "chats", "notebook_sources", "jobs"):
        assert count(table, user_id=member.user_id) == 0, table


def test_an_answer_that_is_being_written_when_access_ends_is_not_kept(
    runtime: Runtime, loop: LoopThread, member: Principal, member_name: str, notebook: NotebookHandle, source: Source,
    count: Callable[..., int],
) -> None:  # fmt: skip
    notebook.share(member_name)

    async def interrupted() -> None:
        stream = access.stream(runtime, member, op.Ask(question="What is secret?", notebook_ids=(notebook.id,)))
        assert (await anext(stream)).text
        async with runtime.db.change(Principal(user_id=owner)) as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute("delete from shares where user_id = %s", [owner])
        with pytest.raises(NotFound, match=str(notebook.id)):
            async for _ in stream:
                pass

    owner = _tenant_of(runtime, notebook)
    loop.run(interrupted())
    assert count("answers", author=member.user_id) == 0


def _tenant_of(runtime: Runtime, notebook: NotebookHandle) -> str:
    with psycopg.connect(runtime.db.conninfo) as connection:
        row = connection.execute("select user_id from sbf.notebooks where id = %s", [notebook.id]).fetchone()
    assert row is not None
    return str(row[0])


AUTHORED = ("answers", "chats", "messages", "notes")


def written(
    call: Callable[..., access.Outcome], principal: Principal, runtime: Runtime, loop: LoopThread, notebook_id: Any
) -> None:
    """One of each by somebody in a notebook."""
    call(principal, op.CreateNote(notebook_id=notebook_id, title="note"))
    chat = call(principal, op.CreateChat(notebook_id=notebook_id)).result

    async def run(operation: op.Operation) -> None:
        async for _ in access.stream(runtime, principal, operation):
            pass

    loop.run(run(op.Ask(question="What is the secret ingredient?", notebook_ids=(notebook_id,))))
    loop.run(run(op.SendMessage(chat_id=chat.id, text="What is the secret ingredient?")))


def test_when_a_member_goes_nothing_of_them_stays_in_notebooks_of_others(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str,
    notebook: NotebookHandle, source: Source, call: Callable[..., access.Outcome], count: Callable[..., int],
) -> None:  # fmt: skip
    notebook.share(member_name)
    for somebody in (principal, member):
        written(call, somebody, runtime, loop, notebook.id)
    kept = {table: count(table, user_id=principal.user_id, author=principal.user_id) for table in AUTHORED}
    assert all(count(table, author=member.user_id) for table in AUTHORED)
    loop.run(tenants.purge(runtime.db, member))
    assert [table for table in AUTHORED if count(table, author=member.user_id)] == []
    assert count("shares", member_id=member.user_id) == 0
    assert {table: count(table, user_id=principal.user_id) for table in AUTHORED} == kept
    assert notebook.refresh().source_count == 1


def test_when_an_owner_goes_what_guests_wrote_goes_too(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str,
    notebook: NotebookHandle, source: Source, call: Callable[..., access.Outcome], count: Callable[..., int],
) -> None:  # fmt: skip
    notebook.share(member_name)
    written(call, member, runtime, loop, notebook.id)
    loop.run(tenants.purge(runtime.db, principal))
    tables = (*AUTHORED, "usage", "shares", "notebooks", "sources", "jobs")
    assert [table for table in tables if count(table, user_id=principal.user_id)] == []


def test_answers_of_guests_go_with_the_notebook_and_those_of_its_owner_stay(
    runtime: Runtime, loop: LoopThread, principal: Principal, member: Principal, member_name: str, workspace: Workspace,
    notebook: NotebookHandle, source: Source, call: Callable[..., access.Outcome], count: Callable[..., int],
) -> None:  # fmt: skip
    notebook.share(member_name)
    for somebody in (principal, member):
        written(call, somebody, runtime, loop, notebook.id)
    own = workspace.answers.list().total
    assert own
    notebook.delete()
    assert workspace.answers.list().total == own
    assert [table for table in AUTHORED if count(table, author=member.user_id)] == []
