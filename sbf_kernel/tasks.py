"""Background work inside this process: start, watch, cancel, at most so many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Iterable
from contextvars import Context
from typing import Any

Work = Callable[[], Awaitable[None]]


class TaskRunner:
    """Runs keyed pieces of work on the event loop.

    Parameters
    ----------
    concurrency
        How many run at once; the others wait in order.
    """

    def __init__(self, concurrency: int) -> None:
        self._turns = asyncio.Semaphore(concurrency)
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._next: dict[Hashable, Work] = {}
        self._watchers: dict[Hashable, list[asyncio.Queue[Any]]] = {}

    def start(self, key: Hashable, work: Work) -> None:
        """Run ``work`` in the background; if something under ``key`` runs already, right after it."""
        if key in self._running:
            self._next[key] = work
            return
        # In no context: a transaction that surrounds the caller ends without this.
        task = asyncio.create_task(self._run(work), context=Context())
        self._running[key] = task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: Hashable) -> None:
        del self._running[key]
        if key in self._next:
            self.start(key, self._next.pop(key))
        else:
            self.publish(key, None)

    async def _run(self, work: Work) -> None:
        async with self._turns:
            await work()

    def running(self, key: Hashable) -> bool:
        """Tell whether work under ``key`` runs or waits."""
        return key in self._running

    async def cancel(self, key: Hashable) -> None:
        """Stop the work under ``key`` and wait until it has stopped."""
        self._next.pop(key, None)
        await self._stop([self._running[key]] if key in self._running else [])

    async def wait(self, key: Hashable) -> None:
        """Wait until the work under ``key`` ends, however it ends."""
        if key in self._running:
            await asyncio.wait([self._running[key]])

    def publish(self, key: Hashable, event: Any) -> None:
        """Hand ``event`` to all who watch ``key``."""
        for queue in self._watchers.get(key, ()):
            queue.put_nowait((key, event))

    def tell(self, keys: Collection[Hashable] | None) -> None:
        """Tell who watches that something happened elsewhere to these keys, or may have to any: they look for themselves.

        A watcher gets the event ``(None, keys)`` with all of its own at once.
        """
        told: dict[asyncio.Queue[Any], set[Hashable]] = {}
        for key in self._watchers if keys is None else keys:
            for queue in self._watchers.get(key, ()):
                told.setdefault(queue, set()).add(key)
        for queue, own in told.items():
            queue.put_nowait((None, own))

    async def watch(self, keys: Iterable[Hashable]) -> AsyncGenerator[tuple[Hashable, Any]]:
        """Yield ``(key, event)`` as they are published, for ever; the event None says that the work has ended.

        The first step yields ``(None, None)``: from then on nothing is missed.
        """
        queue: asyncio.Queue[tuple[Hashable, Any]] = asyncio.Queue()
        watched = list(keys)
        for key in watched:
            self._watchers.setdefault(key, []).append(queue)
        try:
            yield None, None
            while True:
                yield await queue.get()
        finally:
            for key in watched:
                self._watchers[key].remove(queue)
                if not self._watchers[key]:
                    del self._watchers[key]

    async def close(self) -> None:
        """Stop everything and wait for it."""
        self._next.clear()
        await self._stop(list(self._running.values()))

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
