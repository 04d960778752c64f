"""Responses and query vectors that were computed a moment ago.

A response is kept under the tenant's content epoch, which every write bumps in
its own transaction and every request reads from the database: after a write
nobody looks under the old name any more. So nothing here has to be deleted,
memory of this process is as good as Redis, and a failure is never worse than a
miss. Lifetimes only bound what a restored database, whose epochs start over,
could find.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

import sbf_kernel
from sbf_api.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sbf_api.shared_memory import SharedMemory
    from sbf_kernel.models import Embedder, Vector

VERSION: Final = sbf_kernel.__version__
"""Part of every name: another version may answer in other words. Looked up once, it costs half a millisecond."""
RESPONSE_SECONDS: Final = 30
"""Lifetime in Redis, and again in this process: together at most a minute."""
RESPONSES_BYTES: Final = 64 << 20
"""Memory of this process for responses."""
MAX_RESPONSE_BYTES: Final = 1 << 20
"""Larger ones are rare, and would push hundreds of others out."""
VECTOR_SECONDS: Final = 24 * 3600
"""Lifetime of a query vector, which never becomes wrong: its name holds the model's fingerprint."""
VECTORS_BYTES: Final = 16 << 20
"""Memory of this process for query vectors: 9,000 of 384 dimensions."""

_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
"""An entity tag; RFC 9110, section 8.8.3."""


class ResponseCache:
    """Response bodies by tenant, epoch and request: in this process first, then in Redis. Belongs to one event loop.

    Parameters
    ----------
    shared
        Redis, which may be away.
    max_bytes
        Memory of this process it may take.
    """

    def __init__(self, shared: SharedMemory, max_bytes: int = RESPONSES_BYTES) -> None:
        self._shelf = _Shelf(shared, Recent(max_bytes, RESPONSE_SECONDS), RESPONSE_SECONDS)
        self._flights: dict[str, asyncio.Future[bytes | None]] = {}

    async def get(self, tenant: str, epoch: int, request: str) -> bytes | None:
        """Return the body kept for a request of ``tenant`` in ``epoch``; None when there is none.

        Parameters
        ----------
        request
            Digest of the operation and all its fields.
        """
        return await self._shelf.get(_name("response", tenant, epoch, request))

    async def put(self, tenant: str, epoch: int, request: str, body: bytes) -> None:
        """Keep a body, unless it is large. The epoch must have been read before the data."""
        if len(body) <= MAX_RESPONSE_BYTES:
            await self._shelf.put(_name("response", tenant, epoch, request), body)

    async def fetch(
        self, tenant: str, epoch: int, request: str, produce: Callable[[], Awaitable[tuple[bytes, bool]]]
    ) -> tuple[bytes, bool]:
        """Return the body kept for a request, or let it be produced: once, however many ask at the same moment.

        Parameters
        ----------
        produce
            Returns a body, and whether others who ask the same may have it.

        Returns
        -------
        tuple[bytes, bool]
            The body, and whether it was there already (or somebody else was at it).
        """
        name = _name("response", tenant, epoch, request)
        body = self._shelf.near.get(name)
        if body is not None:
            return body, True
        flight = self._flights.get(name)
        if flight is None:
            return await self._lead(name, produce)
        body = await asyncio.shield(flight)
        if body is not None:
            return body, True
        return (await produce())[0], False  # the first one failed, was cancelled, or got what is not for others

    async def _lead(self, name: str, produce: Callable[[], Awaitable[tuple[bytes, bool]]]) -> tuple[bytes, bool]:
        """Look in Redis, else produce; whoever asks for the same meanwhile gets it too."""
        flight = self._flights[name] = asyncio.get_running_loop().create_future()
        shared = None
        try:
            shared = await self._shelf.get(name)
            if shared is not None:
                return shared, True
            body, shareable = await produce()
            if shareable:
                shared = body
                if len(body) <= MAX_RESPONSE_BYTES:
                    await self._shelf.put(name, body)
            return body, False
        finally:
            del self._flights[name]
            flight.set_result(shared)


class CachedEmbedder:
    """An embedder that remembers the vectors of questions. Passages have their own cache in the database.

    The vector of a text is the same for all users, so they share it. What this tells is the time
    a search takes, and only to somebody who asks the very same words.

    Parameters
    ----------
    embedder
        The one that computes; closed with this one.
    shared
        Redis, which may be away.
    """

    def __init__(self, embedder: Embedder, shared: SharedMemory) -> None:
        self.id, self.dimensions, self.languages = embedder.id, embedder.dimensions, embedder.languages
        self._embedder = embedder
        self._shelf = _Shelf(shared, Recent(VECTORS_BYTES, VECTOR_SECONDS), VECTOR_SECONDS)

    async def embed_query(self, text: str) -> Vector:
        """Return the unit vector of a question, shape ``(dimensions,)``."""
        import numpy as np

        name = _name("vector", self.id, text)
        known = await self._shelf.get(name)
        if known is not None and len(known) == 4 * self.dimensions:
            return np.frombuffer(known, np.float32).copy()
        vector = await self._embedder.embed_query(text)
        await self._shelf.put(name, vector.astype(np.float32).tobytes())
        return vector

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Return one unit vector per text, each of shape ``(dimensions,)``."""
        return await self._embedder.embed_passages(texts)

    def close(self) -> None:
        """Release threads and memory."""
        self._embedder.close()


class _Shelf:
    """Two places for the same values: near in this process, far in Redis."""

    def __init__(self, shared: SharedMemory, near: Recent, seconds: int) -> None:
        self.near = near
        self._shared, self._seconds = shared, seconds

    async def get(self, name: str) -> bytes | None:
        value = self.near.get(name)
        if value is None:
            found = await self._shared.run("GET", name)
            mark = _mark(name)
            if isinstance(found, bytes) and found.startswith(mark):
                value = found[len(mark) :]
                self.near.put(name, value)
        return value

    async def put(self, name: str, value: bytes) -> None:
        self.near.put(name, value)
        await self._shared.run("SET", name, _mark(name) + value, "EX", self._seconds)


def _name(what: str, *parts: str | int) -> str:
    """Return the name of a value in Redis: one digest, so that it shows nothing and parts cannot run together."""
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"sbf:{what}:{VERSION}:{digest}"


def _mark(name: str) -> bytes:
    """Return what a value begins with: whatever goes wrong in between, nobody is given the value of another name."""
    return bytes.fromhex(name[-64:])


def etag(body: bytes) -> str:
    """Return the strong entity tag of a body: a digest of its bytes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(header: str | None, tag: str) -> bool:
    """Tell whether an ``If-None-Match`` names ``tag``; RFC 9110, section 13.1.2.

    Parameters
    ----------
    header
        ``*``, or entity tags with commas between them; ``W/`` does not matter here. None when not sent.
    tag
        The present one.
    """
    return header is not None and (header.strip() == "*" or tag in _TAG.findall(header))
