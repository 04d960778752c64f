"""Redis, as far as the service needs it: memory that its processes share and can do without.

Every command has a time limit and goes through a breaker. Who asks gets the
answer, or :data:`AWAY` when there is none to be had: Redis is not configured,
dead, hung or overfull. Nothing here raises, so no request ever fails for want
of Redis.

A command runs in a task of its own, which a cancelled request leaves alone:
a connection given back between question and answer would hand the answer to
the next who asks (CVE-2023-28858).
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from sbf_api.breaker import Breaker

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sbf_api.settings import ServiceSettings

ANSWER_SECONDS: Final = 0.1
"""Time Redis has to connect, and to answer: a hundred times what it needs."""
CONNECTIONS: Final = 16
"""Commands under way at once. More would not be faster: one event loop feeds them and one thread answers them."""

_log = logging.getLogger(__name__)


class Away(Enum):
    """The type of :data:`AWAY`."""

    AWAY = "away"


AWAY: Final = Away.AWAY
"""What a command answers when Redis does not."""


class SharedMemory:
    """A Redis that may be away. Belongs to the event loop it is used on.

    Parameters
    ----------
    settings
        Name the Redis, or none.
    breaker
        Decides when Redis is left alone; one with the usual numbers by default.
    seconds
        Time Redis has to answer.
    """

    def __init__(
        self, settings: ServiceSettings, breaker: Breaker | None = None, seconds: float = ANSWER_SECONDS
    ) -> None:
        self.breaker = breaker or Breaker("Redis")
        self.failures = 0
        """Commands that were not answered since the start; a metric."""
        self._seconds = seconds
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._refusal = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._client: Redis | None = None
        if settings.redis_url is not None:
            pool = BlockingConnectionPool.from_url(
                settings.redis_url.get_secret_value(),
                max_connections=CONNECTIONS + 1,  # one for the probe
                timeout=seconds,
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=Retry(NoBackoff(), 0),  # the breaker decides about trying again
            )
            self._client = Redis.from_pool(pool)

    async def run(self, *command: str | bytes | float) -> Any:
        """Run one command.

        Returns
        -------
        Any
            What Redis answers, text as bytes; :data:`AWAY` when it does not answer.
        """
        if self._client is None:
            return AWAY
        if self.breaker.allows():
            return await asyncio.shield(self._in_background(self._in_turn(self._client, command)))
        if self.breaker.wants_probe():
            self._in_background(
                self._send(self._client, ("PING",))
            )  # nobody waits: looking again costs no request anything
        return AWAY

    async def close(self) -> None:
        """Wait for the commands under way, which have a time limit, and close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await client.aclose()

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_turn(self, client: Redis, command: tuple[Any, ...]) -> Any:
        """Run a command when a connection is free; the wait for one says nothing about Redis."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            return AWAY
        try:
            return await self._send(client, command) if self.breaker.allows() else AWAY
        finally:
            self._free.release()

    async def _send(self, client: Redis, command: tuple[Any, ...]) -> Any:
        """Run a command and tell the breaker how it went."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            answer = await client.execute_command(*command)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            self.breaker.succeeded()  # it is there, if only to refuse: full, read-only …
            self._note_refusal(str(error))
            return AWAY
        except (RedisError, OSError):
            self.failures += 1
            # To connect and to ask have a limit each: what took longer was this process, standing still.
            if clock() - started <= 3 * self._seconds:
                self.breaker.failed()
            return AWAY
        self.breaker.succeeded()
        return answer

    def _note_refusal(self, reason: str) -> None:
        """Log a refusal, but not the same one for every request."""
        self.failures += 1
        if reason != self._refusal:
            _log.warning("Redis refuses: %s", reason)
        self._refusal = reason
