"""Streams that go on without their reader: an answer of a chat is written to its end, wherever one looks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

_reading: set[asyncio.Task[None]] = set()
"""An event loop alone does not keep its tasks."""


async def outlasting(records: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield what ``records`` yields; whoever leaves early does not stop it, only the end of the server does."""
    come: asyncio.Queue[Any] = asyncio.Queue()
    end = object()

    async def read() -> None:
        try:
            async for record in records:
                come.put_nowait(record)
        finally:
            come.put_nowait(end)

    reading = asyncio.ensure_future(read())
    _reading.add(reading)
    reading.add_done_callback(_let_go)
    while (record := await come.get()) is not end:
        yield record
    await reading


def _let_go(reading: asyncio.Task[None]) -> None:
    """Forget a task. Why it failed is stored with the message: nobody is needed who hears it."""
    _reading.discard(reading)
    if not reading.cancelled():
        reading.exception()
