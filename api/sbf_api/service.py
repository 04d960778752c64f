"""The composition root of the service, and the one way from a request to a handler."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from uuid import UUID

from pydantic import SecretStr

from sbf_api.cache import ResponseCache
from sbf_api.limits import Limiter, Streams
from sbf_kernel.errors import Conflict
from sbf_kernel.handlers import access
from sbf_kernel.operations import FollowMessage, SendMessage
from sbf_kernel.records import Principal
from sbf_kernel.storage import database
from sbf_kernel.storage.idempotency import once, recall, under

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from sbf_api.settings import ServiceSettings
    from sbf_kernel.operations import Operation
    from sbf_kernel.runtime import Runtime

Done = TypeVar("Done")

SLOW = 5.0
"""What writes, uploads or deletes may take: so many times the deadline of a read."""


@dataclass
class Service:
    """What request handling works with. Belongs to the event loop that opened it."""

    settings: ServiceSettings
    runtime: Runtime
    limiter: Limiter
    cache: ResponseCache
    streams: Streams

    async def call(self, principal: Principal, operation: Operation, key: str | None = None) -> Reply:
        """Carry out an operation, from the cache where that is as good.

        Parameters
        ----------
        key
            The client's ``Idempotency-Key``.

        Raises
        ------
        SbfError
            What the handler raises, or :class:`StoreBusy` past the deadline.
        """
        kind = type(operation)
        patience = self.settings.request_seconds
        if kind.method != "GET" and not kind.cached:
            patience *= SLOW
        if key is not None and kind.creates:
            return await within(patience, self._once(principal, operation, key))
        if kind.cached:
            return await within(patience, self._cached(principal, operation))
        return await within(patience, self._fresh(principal, operation))

    async def stream(self, principal: Principal, operation: Operation, key: str | None = None) -> AsyncGenerator[Any]:
        """Carry out a streaming operation.

        A message that was sent before under the same ``key`` is not sent
        again: its stream is that of the first one's answer.
        """
        if key is None or not isinstance(operation, SendMessage):
            records = access.stream(self.runtime, principal, operation)
        else:
            records = self._said_once(principal, operation, key)
        async with aclosing(records):
            async for record in records:
                yield record

    async def _said_once(self, principal: Principal, operation: SendMessage, key: str) -> AsyncGenerator[Any]:
        digest = await _digest(operation)
        begun = await recall(self.runtime.db, principal, key, digest)
        if begun is None:
            records = access.stream(self.runtime, principal, operation)
            async with aclosing(records):
                try:
                    with under(key, digest):
                        first = await anext(records)
                except Conflict:  # perhaps with the same, sent a moment ago
                    begun = await recall(self.runtime.db, principal, key, digest)
                    if begun is None:
                        raise
                else:
                    yield first
                    async for record in records:
                        yield record
                    return
        follow = FollowMessage(chat_id=operation.chat_id, message_id=UUID(begun.decode()))
        async with aclosing(access.stream(self.runtime, principal, follow)) as records:
            async for record in records:
                yield record

    async def _fresh(self, principal: Principal, operation: Operation) -> Reply:
        return Reply(_body(await access.call(self.runtime, principal, operation)))

    async def _cached(self, principal: Principal, operation: Operation) -> Reply:
        """Look the reply up under the tenant's epoch, read before the data: what is stored is no older than it."""
        epoch = await self.runtime.db.epoch(principal.user_id)
        model = self.runtime.embedder.id if self.runtime.embedder else ""
        request = (await _digest(operation, model)).hex()

        async def produce() -> tuple[bytes, bool]:
            outcome = await access.resolve(self.runtime, principal, operation)
            # What belongs to others changes under other epochs.
            return _body(outcome.result), outcome.principal == principal

        return Reply(*await self.cache.fetch(principal.user_id, epoch, request, produce))

    async def _once(self, principal: Principal, operation: Operation, key: str) -> Reply:
        digest = await _digest(operation)
        shown = b""

        async def work() -> bytes:
            nonlocal shown
            shown = _body(await access.call(self.runtime, principal, operation))
            return b"" if type(operation).secretive else shown

        body, again = await once(self.runtime.db, principal, key, digest, work)
        if again and not body:
            raise Conflict("this was done already; its secret is shown only once", hint="make a new one")
        return Reply(body if again else shown)


@dataclass(frozen=True)
class Reply:
    """A record as JSON. ``hit`` tells whether it came from the cache; None when it never does."""

    body: bytes
    hit: bool | None = None


async def _digest(operation: Operation, *more: str) -> bytes:
    """Return what tells requests apart: SHA-256 of all but secrets, which must not be kept in any form but the one meant for them."""
    content = getattr(operation, "content", None)
    if content is not None:  # as much as a source may have
        more = (*more, await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest()))
    told = operation.model_dump_json(exclude={"content", *_secrets(type(operation))})
    return hashlib.sha256("\0".join((type(operation).__name__, told, *more)).encode()).digest()


@cache
def _secrets(kind: type[Operation]) -> frozenset[str]:
    return frozenset(name for name, field in kind.model_fields.items() if _holds_secret(field.annotation))


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_holds_secret, get_args(annotation)))


def _body(record: Any) -> bytes:
    return b"" if record is None else record.model_dump_json().encode()


async def within(seconds: float, work: Coroutine[Any, Any, Done]) -> Done:
    """Return the outcome of a request's ``work``, or give up on it as :func:`sbf_kernel.storage.database.within` does."""
    return await database.within(seconds, work, f"no answer within {seconds:g} seconds")
