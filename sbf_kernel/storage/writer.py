"""Group commit: versions that are ready at the same moment are stored in one transaction.

A small source costs more in round trips and commits than in work. While one
transaction runs, what becomes ready waits, and goes into the next together.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from sbf_kernel.errors import SbfError
from sbf_kernel.records import Principal

if TYPE_CHECKING:
    from sbf_kernel.storage.database import Database
    from sbf_kernel.storage.versions import NewVersion

GROUP_CHUNKS = 512
"""Chunks in one transaction at most (a single larger source goes alone): bounds how long others wait for its locks."""

Entry = tuple[Principal, "NewVersion", "asyncio.Future[bool]"]


class Writer:
    """Stores versions, several at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[Entry] = []
        self._task: asyncio.Task[None] | None = None

    async def store(self, principal: Principal, version: NewVersion) -> bool:
        """Store one version; returns once it is committed.

        Returns
        -------
        False when the source was deleted, or got newer bytes, meanwhile.

        Raises
        ------
        SbfError
            The version could not be stored. Others in its group are not affected.
        """
        outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((principal, version, outcome))
        if self._task is None:
            # In no context: what the caller does inside a transaction must not draw this one into it.
            self._task = asyncio.create_task(self._drain(), context=Context())
        return await asyncio.shield(outcome)

    async def _drain(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._store_group(group)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                await self._store_alone(group, error)
        self._task = None

    def _next_group(self) -> list[Entry]:
        principal, chunks = self._waiting[0][0], 0
        group: list[Entry] = []
        rest: list[Entry] = []
        for entry in self._waiting:
            size = len(entry[1].chunks)
            if entry[0] == principal and (not group or chunks + size <= GROUP_CHUNKS):
                group.append(entry)
                chunks += size
            else:
                rest.append(entry)
        self._waiting = rest
        return group

    async def _store_group(self, group: list[Entry]) -> None:
        from sbf_kernel.storage.versions import store

        principal = group[0][0]
        async with self._database.change(principal) as connection:
            stored = await store(connection, principal.user_id, [version for _, version, _ in group])
        for _, version, outcome in group:
            if not outcome.done():
                outcome.set_result(version.source_id in stored)

    async def _store_alone(self, group: list[Entry], error: Exception) -> None:
        """After a failure, find out which version is to blame."""
        for entry in group:
            try:
                if len(group) == 1:
                    raise error
                await self._store_group([entry])
            except Exception as cause:  # noqa: BLE001 - likewise
                if not entry[2].done():
                    entry[2].set_exception(cause if isinstance(cause, SbfError) else _wrapped(entry[1], cause))

    async def close(self) -> None:
        """Wait for the running transaction."""
        if self._task is not None:
            await self._task


def _wrapped(version: NewVersion, cause: Exception) -> SbfError:
    from sbf_kernel.errors import StoreError

    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    return StoreError(
        f"source {version.source_id} could not be stored: {reason}", hint="try it again; if it stays, report it"
    )
