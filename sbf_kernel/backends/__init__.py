"""Where an operation runs. A backend is two methods; everything else is built on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from sbf_kernel.operations import Operation


class Backend(Protocol):
    """A place that carries out operations."""

    async def call(self, operation: Operation) -> Any:
        """Carry out an operation and return its record."""
        ...

    def stream(self, operation: Operation) -> AsyncIterator[Any]:
        """Carry out a streaming operation and yield its records as they come."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...
