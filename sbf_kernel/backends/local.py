"""Runs operations in this process, on the database directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from sbf_kernel.operations import Operation
from sbf_kernel.records import LOCAL, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings


class LocalBackend:
    """A runtime and the principal on whose behalf it works."""

    def __init__(self, runtime: Runtime, principal: Principal = LOCAL) -> None:
        self.runtime = runtime
        self.principal = principal

    @classmethod
    async def open(cls, settings: Settings, principal: Principal = LOCAL) -> LocalBackend:
        """Open the runtime, and load what the first operation will need while the caller goes on."""
        backend = cls(await Runtime.open(settings), principal)
        asyncio.get_running_loop().run_in_executor(None, _load_handlers)
        return backend

    async def call(self, operation: Operation) -> Any:
        """Carry out an operation and return its record."""
        from sbf_kernel.handlers import access

        return await access.call(self.runtime, self.principal, operation)

    def stream(self, operation: Operation) -> AsyncIterator[Any]:
        """Carry out a streaming operation and yield its records as they come."""
        from sbf_kernel.handlers import access

        return access.stream(self.runtime, self.principal, operation)

    async def close(self) -> None:
        """Close the runtime."""
        await self.runtime.close()


def _load_handlers() -> None:
    """Import the handlers with all they stand on: half of what a connection would otherwise wait for."""
    import_module("sbf_kernel.handlers.access")
