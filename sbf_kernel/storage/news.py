"""What other processes do to jobs, heard over one connection."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

CHANNEL = "sbf_jobs"
"""Of the notifications that the trigger on ``jobs`` sends: the id of the job and of its subject, and nothing else."""
POLL_SECONDS = 3.0
"""When nothing is heard so long, watchers look anyway: a notification may be lost with a connection."""
GATHER_SECONDS = 0.05
"""What comes so soon after another is told together with it."""
RECONNECT_SECONDS = 1.0


class News:
    """Tells watchers in this process which jobs and subjects changed; they look for themselves, with their own rights.

    Parameters
    ----------
    tell
        Called with the ids that changed, or with None when any may have.
    """

    def __init__(self, conninfo: str, tell: Callable[[set[UUID] | None], None]) -> None:
        self._conninfo, self._tell = conninfo, tell
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def listen(self) -> None:
        """Make sure that nothing is missed from now on; the connection is made when the first watcher needs it."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), context=Context())
        await self._listening.wait()

    async def _run(self) -> None:
        import psycopg

        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    await self._hear(connection)
            except psycopg.OperationalError:  # the server is away: whoever uses the database next brings it back
                self._listening.set()
                self._tell(None)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, connection: psycopg.AsyncConnection) -> None:
        self._listening.set()
        self._tell(None)  # what came before
        while True:
            changed = await _gather(connection, POLL_SECONDS, stop_after=1)
            if changed:
                changed |= await _gather(connection, GATHER_SECONDS)
            self._tell(changed or None)

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


async def _gather(connection: psycopg.AsyncConnection, seconds: float, stop_after: int | None = None) -> set[UUID]:
    """Return the ids told within so many seconds."""
    heard = connection.notifies(timeout=seconds, stop_after=stop_after)
    return {UUID(word) async for notification in heard for word in notification.payload.split()}
