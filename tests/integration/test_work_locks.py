"""Locks that say who works on what, when those who want them are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from sbf_kernel.storage.work_locks import WorkLocks

if TYPE_CHECKING:
    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.runtime import Runtime


@pytest.fixture
def conninfo(runtime: Runtime) -> str:
    return runtime.db.conninfo


@asynccontextmanager
async def two(conninfo: str) -> AsyncIterator[tuple[WorkLocks, WorkLocks]]:
    """The locks of two processes."""
    mine, others = WorkLocks(conninfo), WorkLocks(conninfo)
    try:
        yield mine, others
    finally:
        await mine.close()
        await others.close()


async def free(locks: WorkLocks, name: UUID) -> bool:
    """Whether the lock can be had within a second."""
    for _ in range(100):
        async with locks.hold(name) as mine:
            if mine:
                return True
        await asyncio.sleep(0.01)
    return False


async def cancelled_after(locks: WorkLocks, name: UUID, pause: float) -> bool:
    """Cancel somebody who wants the lock, and would keep it; tell whether they had it."""
    got = False

    async def want() -> None:
        nonlocal got
        async with locks.hold(name) as got:
            await asyncio.sleep(60)

    task = asyncio.create_task(want())
    await asyncio.sleep(pause)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return got


@pytest.mark.parametrize("warm", [True, False], ids=["a connection is there", "the first lock"])
def test_a_lock_is_let_go_of_when_who_wanted_it_is_cancelled(conninfo: str, loop: LoopThread, warm: bool) -> None:
    async def cancelled_at(pause: float) -> tuple[bool, bool]:
        async with two(conninfo) as (mine, others):
            if warm:
                assert await free(mine, uuid4())
            name = uuid4()
            got = await cancelled_after(mine, name, pause)
            return got, await free(others, name) and await free(mine, name) and await free(others, name)

    async def everywhere() -> list[tuple[bool, bool]]:
        outcomes = list[tuple[bool, bool]]()
        while sum(got for got, _ in outcomes) < 5:  # from before it is granted until after, whatever the machine
            outcomes.append(await cancelled_at(len(outcomes) * (0.000_05 if warm else 0.001)))
        return outcomes

    outcomes = loop.run(everywhere())
    assert len(outcomes) > 5
    assert all(let_go for _, let_go in outcomes)


def test_who_holds_a_lock_is_known_to_live_also_when_the_first_who_wanted_one_was_cancelled(
    conninfo: str, loop: LoopThread
) -> None:
    async def alive(holder: int) -> bool:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
            ((other,),) = await (await connection.execute("select pg_try_advisory_lock(%s)", [holder])).fetchall()
            return not other

    async def cancelled_at(pause: float) -> bool:
        async with two(conninfo) as (mine, _):
            await cancelled_after(mine, uuid4(), pause)
            async with mine.hold(uuid4()) as got:
                return got and await alive(mine.holder)

    async def everywhere() -> list[bool]:
        return [await cancelled_at(n * 0.001) for n in range(40)]

    assert all(loop.run(everywhere()))
