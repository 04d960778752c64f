"""Asks the process that started this one to carry out operations, over a Unix socket.

The notebook of a report on a service works so: it reaches the sources of the
one who asked for it, and holds no password, token or address of a database.
The other end is :mod:`sbf_kernel.reports.serving`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from sbf_kernel import records
from sbf_kernel.errors import BY_CODE, RemoteError, SbfError
from sbf_kernel.operations import Operation

LINE_BYTES = 1 << 29
"""Longest line: one record, such as the text of a source."""


class BridgeBackend:
    """The process at the other end of a socket, and the one on whose behalf it works."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def call(self, operation: Operation) -> Any:
        """Carry out an operation and return its record."""
        result = None
        async with aclosing(self.stream(operation)) as found:
            async for record in found:
                result = record
        return result

    async def stream(self, operation: Operation) -> AsyncGenerator[Any]:
        """Carry out a streaming operation and yield its records as they come."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES)
        except OSError as error:
            raise RemoteError(f"nobody answers at {self._path}: {error}", hint="unset SBF_SOCKET") from error
        try:
            fields = operation.model_dump_json(exclude_defaults=True)
            writer.write(f'{{"operation": "{type(operation).__name__}", "fields": {fields}}}\n'.encode())
            await writer.drain()
            while (line := json.loads(await reader.readline() or "{}")) != {"end": True}:
                if "error" in line:
                    raise _error(line["error"])
                if "record" not in line:
                    raise RemoteError("the other end of the bridge is gone", hint="run the report again")
                yield getattr(records, line["record"]).model_validate(line["value"])
        finally:
            writer.close()

    async def close(self) -> None:
        """Do nothing: each operation has a connection of its own."""


def _error(told: dict[str, Any]) -> SbfError:
    details = {name: value for name, value in told["details"].items() if name not in ("message", "hint")}
    return BY_CODE.get(told["code"], SbfError)(told["message"], hint=told["hint"], **details)
