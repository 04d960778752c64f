"""The store under change: statistics that never drift, writers at once, bad versions, lost connections."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbf_kernel import operations as op
from sbf_kernel.errors import NotFound, StoreError, StoreUnavailable
from sbf_kernel.handlers import access
from sbf_kernel.records import Principal
from sbf_kernel.storage import notes, sources, tenants, versions
from sbf_kernel.storage.versions import NewChunk, NewVersion
from sbf_kernel.storage.writer import Writer
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder

Terms = dict[int, float]


@pytest.fixture
def owner(runtime: Runtime) -> Iterator[psycopg.Connection]:
    with psycopg.connect(runtime.db.conninfo, autocommit=True, options="-c search_path=sbf,public") as connection:
        yield connection


async def register(runtime: Runtime, principal: Principal, sha256: bytes = b"\1" * 32) -> UUID:
    async with runtime.db.transaction(principal) as connection:
        made = await sources.insert(connection, principal.user_id, origin=f"text:{uuid4()}", name="s", media_type="", language="",
                                    tags=(), sha256=sha256, url=None)  # fmt: skip
    assert made is not None
    return made.id


def version_of(
    source_id: UUID, chunks: list[Terms], language: str = "en", sha256: bytes = b"\1" * 32, dimensions: int = 4
) -> NewVersion:
    """A version whose chunks have just these terms."""
    made = [
        NewChunk(start=n, end=n + 1, text="x", context="", place={}, terms=terms, content_hash=hashlib.blake2b(bytes([n]), digest_size=16).digest(),
                 embedding=np.ones(dimensions, dtype=np.float32)) for n, terms in enumerate(chunks)
    ]  # fmt: skip
    text = "x" * len(chunks)
    return NewVersion(source_id, sha256, uuid4().bytes, text, "", "text/plain", language, None, "r", "m", made)


def drift(owner: psycopg.Connection, user_id: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Statistics as stored, and as counted from the index again."""
    counted: Counter[Any] = Counter()
    for keys, language in owner.execute("select keys, language from lexical where user_id = %s", [user_id]):
        counted.update(keys)
        counted[language] += 1
    stored = dict(owner.execute("select term, df from term_stats where user_id = %s and df <> 0", [user_id]).fetchall())
    stored |= dict(
        owner.execute(
            "select language, chunks from collection_stats where user_id = %s and chunks <> 0", [user_id]
        ).fetchall()
    )
    return stored, dict(counted)


CHUNKS = st.lists(
    st.dictionaries(st.integers(0, 12) | st.just((1 << 29) - 1), st.floats(0.1, 2.1), max_size=5), max_size=4
)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3), CHUNKS, st.sampled_from(["en", "de"])),
        st.tuples(st.just("group"), st.lists(CHUNKS, min_size=2, max_size=3), st.sampled_from(["en", "de"])),
        st.tuples(st.just("delete"), st.integers(0, 3)),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


async def perform(runtime: Runtime, principal: Principal, actions: list[Any]) -> None:
    known: dict[Any, UUID] = {}
    for action in actions:
        async with runtime.db.transaction(principal) as connection:
            if action[0] == "delete":
                if (source_id := known.pop(action[1], None)) is not None:
                    await sources.delete(connection, principal.user_id, source_id)
                continue
        groups = [(action[1], action[2])] if action[0] == "add" else list(enumerate(action[1]))
        for key, _ in groups:
            if key not in known:
                known[key] = await register(runtime, principal)
        async with runtime.db.transaction(principal) as connection:
            new = [version_of(known[key], chunks, action[-1]) for key, chunks in groups]
            assert await versions.store(connection, principal.user_id, new) == {v.source_id for v in new}


@given(actions=ACTIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_word_statistics_always_equal_what_the_index_holds(
    runtime: Runtime, loop: LoopThread, owner: psycopg.Connection, actions: list[Any]
) -> None:
    principal = Principal(user_id=f"stats-{uuid4()}")
    loop.run(perform(runtime, principal, actions))
    stored, counted = drift(owner, principal.user_id)
    assert stored == counted
    assert all(count > 0 for count in stored.values())


def test_writers_and_deletes_at_once_neither_deadlock_nor_lose_count(
    runtime: Runtime, loop: LoopThread, owner: psycopg.Connection, principal: Principal
) -> None:
    async def churn(number: int, ids: list[UUID]) -> None:
        for turn in range(6):
            picked = [ids[(number + turn) % len(ids)], ids[(number * 3 + turn + 1) % len(ids)]]
            chunks = [{term: 1.0 + (term % 2) for term in range(turn, turn + 5)}, {number: 2.0}]
            async with runtime.db.transaction(principal) as connection:
                if turn == 4:
                    await sources.delete(connection, principal.user_id, picked[0])
                else:
                    await versions.store(
                        connection, principal.user_id, [version_of(i, chunks) for i in dict.fromkeys(picked)]
                    )

    async def delete_quietly(number: int, ids: list[UUID]) -> None:
        try:
            await churn(number, ids)
        except Exception as error:
            if "there is no source" not in str(error):
                raise

    async def everything() -> None:
        ids = [await register(runtime, principal) for _ in range(5)]
        await asyncio.gather(*(delete_quietly(number, ids) for number in range(6)))

    loop.run(asyncio.wait_for(everything(), 60))
    stored, counted = drift(owner, principal.user_id)
    assert stored == counted


def test_purging_a_tenant_leaves_no_row(
    runtime: Runtime, loop: LoopThread, owner: psycopg.Connection, notebook: NotebookHandle, principal: Principal
) -> None:
    notebook.add_text("Basalt cools quickly.", "basalt")
    notebook.ask("What cools quickly?")
    loop.run(tenants.purge(runtime.db, principal))
    tables = owner.execute(
        "select table_name from information_schema.columns where table_schema = 'sbf' and column_name = 'user_id'"
    ).fetchall()
    assert len(tables) >= 11
    for (table,) in tables:
        if table in ("epochs", "api_tokens"):
            continue  # an epoch must never go back; tokens are the user's, and go with the user
        assert owner.execute(f"select count(*) from {table} where user_id = %s", [principal.user_id]).fetchone() == (
            0,
        ), table


def test_a_version_is_stored_whole_and_read_back_as_it_was(
    runtime: Runtime, loop: LoopThread, owner: psycopg.Connection, principal: Principal
) -> None:
    vector = np.arange(1, 5, dtype=np.float32) / 8
    chunk = NewChunk(start=0, end=3, text="äß\u2028", context="Täg\tline\n\\N", place={"page": 3, "headings": ["A", '"\\']}, terms={0: 0.5, (1 << 29) - 1: 2.0},
                     content_hash=b"\0" * 16, embedding=vector)  # fmt: skip
    empty = replace(chunk, start=3, terms={}, embedding=None, place={})

    async def work() -> UUID:
        source_id = await register(runtime, principal)
        version = replace(
            version_of(source_id, []), text="äß\u2028\\.", chunks=[chunk, empty], metadata={"author": "Ä"}
        )
        assert await runtime.writer.store(principal, version)
        return source_id

    source_id = loop.run(work())
    rows = owner.execute(
        "select start_char, end_char, text, context, place from chunks where source_id = %s order by ordinal",
        [source_id],
    ).fetchall()
    assert rows == [(0, 3, chunk.text, chunk.context, chunk.place), (3, 3, chunk.text, chunk.context, {})]
    indexed = owner.execute(
        "select terms::text, keys from lexical where source_id = %s order by cardinality(keys) desc", [source_id]
    ).fetchall()
    assert indexed == [("{1:0.5,536870912:2}/536870912", [0, (1 << 29) - 1, (1 << 30) - 1]), ("{}/536870912", [])]
    assert owner.execute(
        "select embedding::text, model from embeddings where source_id = %s", [source_id]
    ).fetchall() == [("[0.125,0.25,0.375,0.5]", "m")]


def test_one_bad_version_does_not_take_its_group_along(
    runtime: Runtime, loop: LoopThread, principal: Principal
) -> None:
    async def work() -> list[Any]:
        ids = [await register(runtime, principal) for _ in range(4)]
        good = [version_of(i, [{1: 1.0}]) for i in ids[:3]]
        bad = replace(version_of(ids[3], [{1: 1.0}]), text="nul \0")
        writer = Writer(runtime.db)
        return await asyncio.gather(
            *(writer.store(principal, v) for v in [*good[:2], bad, good[2]]), return_exceptions=True
        )

    first, second, broken, third = loop.run(work())
    assert (first, second, third) == (True, True, True)
    assert isinstance(broken, StoreError)


def test_versions_that_are_ready_together_share_a_transaction(
    runtime: Runtime, loop: LoopThread, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    real = versions.store

    async def counted(connection: Any, user_id: str, group: Any) -> Any:
        groups.append(len(group))
        return await real(connection, user_id, group)

    monkeypatch.setattr("sbf_kernel.storage.versions.store", counted)
    other = Principal(user_id=f"other-{uuid4()}")

    async def work() -> list[bool]:
        mine = [version_of(await register(runtime, principal), [{1: 1.0}]) for _ in range(5)]
        theirs = version_of(await register(runtime, other), [{1: 1.0}])
        writer = Writer(runtime.db)
        stored = [
            writer.store(principal, mine[0]),
            writer.store(other, theirs),
            *(writer.store(principal, v) for v in mine[1:]),
        ]
        return await asyncio.gather(*stored)

    assert loop.run(work()) == [True] * 6
    assert sorted(groups) == [1, 5]


def test_a_version_of_replaced_bytes_or_a_deleted_source_is_left_out(
    runtime: Runtime, loop: LoopThread, principal: Principal
) -> None:
    async def work() -> tuple[bool, bool]:
        source_id = await register(runtime, principal, b"\2" * 32)
        older = await runtime.writer.store(principal, version_of(source_id, [{1: 1.0}], sha256=b"\1" * 32))
        deleted = await runtime.writer.store(principal, version_of(uuid4(), [{1: 1.0}]))
        return older, deleted

    assert loop.run(work()) == (False, False)


def test_a_connection_lost_in_a_transaction_is_store_unavailable_and_the_next_call_works(
    runtime: Runtime, loop: LoopThread, owner: psycopg.Connection, principal: Principal, workspace: Workspace
) -> None:
    async def work() -> None:
        async with runtime.db.transaction(principal) as connection:
            pid = (await connection.exec_driver_sql("select pg_backend_pid()")).scalar()
            await asyncio.to_thread(owner.execute, "select pg_terminate_backend(%s, 5000)", [pid])
            await connection.exec_driver_sql("select 1")

    with pytest.raises(StoreUnavailable):
        loop.run(work())
    assert workspace.notebooks.list().total == 0


def test_idle_connections_that_died_cost_at_most_one_error(
    owner: psycopg.Connection, workspace: Workspace, runtime: Runtime
) -> None:
    workspace.notebooks.create("before")
    owner.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    failures = 0
    for _ in range(3):
        try:
            assert workspace.notebooks.list().total == 1
        except StoreUnavailable:
            failures += 1
    assert failures <= 1
    assert workspace.notebooks.open("after").add_text("Still here.", "text").status == "ready"


def test_a_killed_server_costs_an_error_and_work_goes_on_by_itself(
    workspace: Workspace, notebook: NotebookHandle, runtime: Runtime, embedder: CountingEmbedder
) -> None:
    server = runtime.db._server
    assert server is not None
    notebook.add_text("Text number 1 is about granite and rain.", "done")
    embedder.allowed = 0
    add = op.AddSource(
        notebook_id=notebook.id, name="w", origin="text:w", content=b"Text number 2 is about granite and snow."
    )
    working = workspace.call(add)
    until(lambda: embedder.waiting)
    os.kill(int((server.data_path / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    embedder.allowed = 1_000
    until(lambda: not runtime.tasks.running(working.id))
    failures = 0

    def works() -> bool:
        nonlocal failures
        try:
            return workspace.notebooks.list().total == 1
        except StoreUnavailable:
            failures += 1
            return False

    until(works)
    assert failures <= 1
    assert workspace.sources.get(working.id).status == "ready"
    assert not workspace.sources.resume()
    assert [hit.text for hit in notebook.search("snow", arm="lexical")] == ["Text number 2 is about granite and snow."]
    assert len(notebook.search("granite", arm="lexical")) == 2
    assert notebook.add_text("Basalt after the storm.", "after").status == "ready"


def test_a_cancelled_transaction_gives_its_connection_back(
    runtime: Runtime, principal: Principal, loop: LoopThread
) -> None:
    async def use() -> None:
        async with runtime.db.transaction(principal) as connection:
            await connection.exec_driver_sql("select 1")

    async def cancelled_after(ticks: int) -> None:
        task = asyncio.create_task(use())
        for tick in range(ticks):
            await asyncio.sleep(0.0002 * (tick % 2))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def many() -> int:
        for ticks in list(range(40)) * 5:
            await cancelled_after(ticks)
        for _ in range(200):
            if not runtime.db.engine.pool.checkedout():  # type: ignore[attr-defined]
                break
            await asyncio.sleep(0.01)
        return int(runtime.db.engine.pool.checkedout())  # type: ignore[attr-defined]

    assert loop.run(many()) == 0


def test_what_is_written_for_something_deleted_meanwhile_is_not_found(
    runtime: Runtime, principal: Principal, loop: LoopThread
) -> None:
    async def write() -> None:
        async with runtime.db.change(principal) as connection:
            await notes.create(connection, principal, notebook_id=uuid4(), title="late", words="", answer=None)

    with pytest.raises(NotFound, match="deleted meanwhile"):
        loop.run(write())


def test_a_notebook_is_deleted_while_others_write_into_it(
    workspace: Workspace, runtime: Runtime, principal: Principal, loop: LoopThread
) -> None:
    sources_made = [workspace.notebooks.create("kept").add_text(f"Text {n}.", f"t{n}") for n in range(6)]

    async def all_at_once(notebook_id: UUID) -> list[Any]:
        writes: list[Any] = [op.LinkSource(notebook_id=notebook_id, source_id=source.id) for source in sources_made]
        writes += [op.RemoveSource(notebook_id=notebook_id, source_id=source.id) for source in sources_made[:3]]
        writes += [op.CreateChat(notebook_id=notebook_id), op.CreateNote(notebook_id=notebook_id, title="n")] * 3
        writes.insert(7, op.DeleteNotebook(notebook_id=notebook_id))
        return await asyncio.gather(*(access.call(runtime, principal, o) for o in writes), return_exceptions=True)

    for _ in range(12):
        notebook = workspace.notebooks.create("doomed")
        for source in sources_made[:3]:
            workspace.call(op.LinkSource(notebook_id=notebook.id, source_id=source.id))
        outcomes = loop.run(all_at_once(notebook.id))
        assert [o for o in outcomes if isinstance(o, Exception) and not isinstance(o, NotFound)] == []
        with pytest.raises(NotFound):
            workspace.notebooks.get(notebook.id)
