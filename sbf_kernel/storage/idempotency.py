"""Requests that may be repeated: what was done once under a key is not done again."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sbf_kernel.errors import Conflict
from sbf_kernel.records import Principal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.storage.database import Database

KEPT_HOURS = 24
"""A key is remembered so long."""


async def once(
    database: Database, principal: Principal, key: str, digest: bytes, work: Callable[[], Awaitable[bytes]]
) -> tuple[bytes, bool]:
    """Do ``work`` and remember its outcome under ``key``, in one transaction; or return what is remembered.

    A repetition that comes while the first is still at work waits for it: both
    insert the same row. A key is a user's own, also in a shared notebook.

    Parameters
    ----------
    digest
        SHA-256 (32 bytes) of what is asked for.

    Returns
    -------
    The response, and whether it was remembered.

    Raises
    ------
    Conflict
        The key was used for something else.

    Notes
    -----
    After draft-ietf-httpapi-idempotency-key-header. The row stands in the
    transaction of the work itself: a connection cut during COMMIT leaves both
    or neither.
    """
    values: dict[str, Any] = {"user_id": principal.author, "key": key, "digest": digest}
    async with database.together(principal) as connection:
        await connection.execute(
            text("""delete from idempotency_keys where user_id = :user_id
                    and created_at < now() - make_interval(hours => :hours)"""),
            {"user_id": principal.author, "hours": KEPT_HOURS},
        )
        inserted = await connection.execute(
            text("""insert into idempotency_keys (user_id, key, digest) values (:user_id, :key, :digest)
                    on conflict (user_id, key) do nothing"""),
            values,
        )
        if inserted.rowcount:
            response = await work()
            await connection.execute(
                text("update idempotency_keys set response = :response where user_id = :user_id and key = :key"),
                {**values, "response": response},
            )
            return response, False
        return await _remembered(connection, values), True


async def recall(database: Database, principal: Principal, key: str, digest: bytes) -> bytes | None:
    """Return what is remembered under ``key``, or None. Parameters and errors as for :func:`once`."""
    async with database.transaction(principal) as connection:
        values = {"user_id": principal.author, "key": key, "digest": digest}
        found = await connection.scalar(
            text("select 1 from idempotency_keys where user_id = :user_id and key = :key"), values
        )
        return None if found is None else await _remembered(connection, values)


_asked_under: ContextVar[tuple[str, bytes] | None] = ContextVar("sbf_idempotency_key", default=None)


@contextmanager
def under(key: str, digest: bytes) -> Iterator[None]:
    """Let what begins inside the block be remembered under ``key``: for streams, which begin before they are done."""
    token = _asked_under.set((key, digest))
    try:
        yield
    finally:
        _asked_under.reset(token)


async def remember(database: Database, principal: Principal, response: str) -> None:
    """Remember under the key of :func:`under`, if there is one, what was begun; to be called in the transaction that begins it.

    Raises
    ------
    Conflict
        The key is taken: by something else, or by the same that somebody else began a moment ago.
    """
    asked = _asked_under.get()
    if asked is None:
        return
    key, digest = asked
    async with database.transaction(Principal(user_id=principal.author)) as connection:
        inserted = await connection.execute(
            text("""insert into idempotency_keys (user_id, key, digest, response)
                    values (:user_id, :key, :digest, :response) on conflict (user_id, key) do nothing"""),
            {"user_id": principal.author, "key": key, "digest": digest, "response": response.encode()},
        )
    if not inserted.rowcount:
        raise Conflict("this Idempotency-Key was used already", hint="send the request once more to get its answer")


async def _remembered(connection: AsyncConnection, values: dict[str, Any]) -> bytes:
    row = (
        await connection.execute(
            text("select digest, response from idempotency_keys where user_id = :user_id and key = :key"), values
        )
    ).one()
    if bytes(row.digest) != values["digest"]:
        raise Conflict("this Idempotency-Key was used for another request", hint="take a new key for each request")
    return bytes(row.response)
