"""One private event loop in a daemon thread, under the synchronous façade.

So synchronous calls work inside a running loop (a Jupyter kernel), Ctrl-C
cancels what runs, and a forked child gets a clear error instead of a hang.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from sbf_kernel.errors import Conflict

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines to their end from synchronous code."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sbf", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of ``work``. KeyboardInterrupt cancels it and waits until it has stopped."""
        if os.getpid() != self._pid:
            work.close()
            raise Conflict(
                "this workspace was opened before the process forked", hint="call sbf.connect() again in the child"
            )
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            self._cancel(future)
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

    @staticmethod
    def _cancel(future: Future[Any]) -> None:
        future.cancel()

    def close(self) -> None:
        """Stop the loop and the thread."""
        if os.getpid() == self._pid and self._thread.is_alive():
            self.run(self._loop.shutdown_asyncgens())
            self.run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
