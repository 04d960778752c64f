"""One private event loop in a daemon thread, under the synchronous façade.

So synchronous calls work inside a running loop (a Jupyter kernel), Ctrl-C
cancels what runs, and a forked child gets a clear error instead of a hang.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from sbf_kernel.errors import Conflict

Result = TypeVar("Result")


class _LastingExecutor(ThreadPoolExecutor):
    """Threads for blocking calls; when the interpreter ends and starts no more of them, calls run at once instead.

    A workspace nobody closed is closed at exit, which comes after Python has
    shut down all executors.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            done: Future[Any] = Future()
            try:
                done.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits
                done.set_exception(error)
            return done


class LoopThread:
    """Runs coroutines to their end from synchronous code."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_LastingExecutor(thread_name_prefix="sbf"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="sbf", daemon=True)
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether it can run anything: it was not closed, and this is not a forked child."""
        return os.getpid() == self._pid and self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of ``work``. KeyboardInterrupt cancels it and waits until it has stopped.

        Raises
        ------
        Conflict
            The loop was closed, or belongs to the process this one was forked from.
        """
        self._require_usable(work)
        outcome: Future[Result] = Future()
        tasks: list[asyncio.Task[Result]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda task: _hand_over(task, outcome))

        try:
            self._loop.call_soon_threadsafe(begin)
            return outcome.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            wait([outcome])
            raise

    def iterate(self, stream: AsyncIterator[Result]) -> Iterator[Result]:
        """Yield what ``stream`` yields, as it comes; leaving early closes the stream."""
        end = object()

        async def step() -> Any:
            return await anext(stream, end)

        try:
            while (item := self.run(step())) is not end:
                yield item
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                self.run(close())

    async def await_here(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of ``work`` to another event loop, which goes on meanwhile; being cancelled cancels it."""
        self._require_usable(work)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def iterate_here(self, stream: AsyncIterator[Result]) -> AsyncIterator[Result]:
        """Yield to another event loop what ``stream`` yields; leaving early or being cancelled closes the stream."""
        end, busy = object(), asyncio.Lock()

        async def step() -> Any:
            async with busy:
                return await anext(stream, end)

        async def stop() -> None:
            async with busy:  # a step that was cancelled is still on its way out
                await stream.aclose()  # type: ignore[attr-defined]

        try:
            while (item := await self.await_here(step())) is not end:
                yield item
        finally:
            if hasattr(stream, "aclose") and self.usable:
                await self.await_here(stop())

    def _require_usable(self, work: Coroutine[Any, Any, Any]) -> None:
        if not self.usable:
            work.close()
            what = "was closed" if os.getpid() == self._pid else "was opened before the process forked"
            raise Conflict(f"this workspace {what}", hint="call sbf.connect() again")

    def close(self) -> None:
        """Stop the loop and the thread."""
        if self.usable:
            self.run(self._loop.shutdown_asyncgens())
            self.run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _hand_over(task: asyncio.Task[Result], outcome: Future[Result]) -> None:
    if task.cancelled():
        outcome.cancel()
        outcome.set_running_or_notify_cancel()  # wakes who waits
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
