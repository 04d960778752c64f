"""Giving up on work in time, and on what it brings when nobody wants it any more."""

from __future__ import annotations

import asyncio

import pytest

from sbf_kernel.errors import StoreBusy
from sbf_kernel.storage.database import within


async def test_what_takes_too_long_is_given_up_and_stopped() -> None:
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    with pytest.raises(StoreBusy, match="too slow"):
        await within(0.01, work(), "too slow")
    await asyncio.wait_for(stopped.wait(), 5)


@pytest.mark.parametrize("ticks", range(8))
async def test_a_result_is_returned_or_taken_back_whenever_the_caller_is_cancelled(ticks: int) -> None:
    made, returned, undone = list[str](), list[str](), list[str]()
    ready = asyncio.Event()

    async def work() -> str:
        await ready.wait()
        made.append("connection")
        return "connection"

    async def undo(result: str) -> None:
        undone.append(result)

    async def caller() -> None:
        returned.append(await within(5, work(), "slow", undo))

    task = asyncio.create_task(caller())
    await asyncio.sleep(0.01)
    ready.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert made == returned + undone
