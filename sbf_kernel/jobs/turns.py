"""Who may run beside whom in one worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Jobs run together; one that may bring the process down runs alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._running = 0
        self._alone = False
        self._wanted = 0

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Run beside others, after those that want to be alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone and not self._wanted)
            self._running += 1
        try:
            yield
        finally:
            async with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run while nothing else does."""
        async with self._changed:
            self._wanted += 1
            try:
                await self._changed.wait_for(lambda: not self._alone and not self._running)
                self._alone = True
            finally:
                self._wanted -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._alone = False
                self._changed.notify_all()
