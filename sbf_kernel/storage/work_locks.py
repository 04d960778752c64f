"""Who works on what, as locks of the database."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sbf_kernel.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg

CLOSE_SECONDS = 2.0
"""Patience with a server that does not answer; with the connection its locks end anyway."""


class WorkLocks:
    """Locks that say who works on what, held by one connection of this process.

    They end with the connection, hence with the process: a killed worker needs
    no heartbeat to be noticed.
    """

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self._connection: psycopg.AsyncConnection | None = None
        self._turn = asyncio.Lock()
        self._held: set[UUID] = set()
        self._undoing: set[asyncio.Task[None]] = set()
        self.holder = lock_number(uuid4())
        """A lock that this process has as long as it has any: by it others see whether the process lives."""

    @asynccontextmanager
    async def hold(self, name: UUID) -> AsyncIterator[bool]:
        """Hold the database-wide lock ``name`` inside the block; yields whether it was free.

        Raises
        ------
        StoreUnavailable
            No connection.
        """
        trying = asyncio.create_task(self._try(name))
        try:
            free = await asyncio.shield(trying)
        except asyncio.CancelledError:  # the database may grant it all the same
            undoing = asyncio.create_task(self._undo(name, trying))
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undoing.discard)
            raise
        try:
            yield free
        finally:
            if free:
                await asyncio.shield(self._unlock(name))

    async def _undo(self, name: UUID, trying: asyncio.Task[bool]) -> None:
        """Give back what is granted to somebody who no longer waits for it."""
        with suppress(StoreUnavailable):
            if await trying:
                await self._unlock(name)

    async def _try(self, name: UUID) -> bool:
        import psycopg

        async with self._turn:
            if name in self._held:  # by another task: the database gives a connection its own lock twice
                return False
            try:
                free = await self._ask_anew("pg_try_advisory_lock", name)
            except psycopg.OperationalError as error:
                raise StoreUnavailable(f"the database connection was lost: {error}", hint="try again") from error
            if free:
                self._held.add(name)
            return free

    async def _ask_anew(self, function: str, name: UUID) -> bool:
        """Ask on the connection there is, or on a new one."""
        import psycopg

        if self._connection is not None and not self._connection.closed:
            with suppress(psycopg.OperationalError):  # it died while nobody used it
                return await self._ask(self._connection, function, name)
        connection = await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True)
        await connection.execute("select pg_advisory_lock(%s)", [self.holder])
        self._connection = connection
        return await self._ask(connection, function, name)

    async def _unlock(self, name: UUID) -> None:
        import psycopg

        async with self._turn:
            self._held.discard(name)
            if self._connection is not None and not self._connection.closed:
                with suppress(psycopg.OperationalError):  # a lost connection has let go already
                    await self._ask(self._connection, "pg_advisory_unlock", name)

    @staticmethod
    async def _ask(connection: psycopg.AsyncConnection, function: str, name: UUID) -> bool:
        cursor = await connection.execute(f"select {function}(%s)", [lock_number(name)])
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def close(self) -> None:
        """Let go of everything."""
        if self._undoing:
            await asyncio.wait(self._undoing, timeout=CLOSE_SECONDS)
        if self._connection is not None:
            await self._connection.close()


def lock_number(name: UUID) -> int:
    """Return the signed 64-bit number PostgreSQL's advisory locks take."""
    return int.from_bytes(hashlib.blake2b(name.bytes, digest_size=8).digest(), "big", signed=True)
