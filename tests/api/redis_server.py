"""A real server that can be killed, hung and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sbf_api.breaker import Breaker
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import SharedMemory
from sbf_api.valkey import ValkeyServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class RedisServer(ValkeyServer):
    """The service's own server, and what may happen to one."""

    def settings(self, **fields: Any) -> ServiceSettings:
        return ServiceSettings(redis_url=self.url, **fields)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        while self._answers():
            time.sleep(0.001)

    def hang(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @asynccontextmanager
    async def shared(self, seconds: float = 5.0, open_seconds: float = 0.2) -> AsyncIterator[SharedMemory]:
        """Open it as the service does, but patient, since the machine may be busy, and soon looking again."""
        memory = SharedMemory(self.settings(), Breaker("Redis", seconds=open_seconds), seconds)
        try:
            yield memory
        finally:
            await memory.close()


async def eventually(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Wait for a condition that the event loop or another process will make true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)
