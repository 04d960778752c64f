"""Carries out what the notebook of a report asks for, on behalf of one principal; see :mod:`sbf_kernel.backends.bridge`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sbf_kernel import operations as op
from sbf_kernel.errors import Forbidden, InvalidInput, SbfError

if TYPE_CHECKING:
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime

ALLOWED: dict[str, type[op.Operation]] = {
    kind.__name__: kind
    for kind in (
        op.GetNotebook, op.ListNotebooks, op.GetSource, op.ListSources, op.GetSourceText, op.Search, op.Ask,
        op.GetAnswer, op.ListAnswers, op.RecheckAnswer, op.GetHealth, op.ListModels,
    )
}  # fmt: skip
"""Reading and asking: a report changes nothing."""
REQUEST_BYTES = 1 << 22
_ACCESS = "sbf_kernel.handlers.access"
"""Named, not imported: it stands on what is in this package."""


@asynccontextmanager
async def serving(runtime: Runtime, principal: Principal, path: Path) -> AsyncIterator[None]:
    """Answer at a socket for a while.

    Parameters
    ----------
    path
        Of the socket, in a folder that only this user can enter.
    """
    tasks: set[asyncio.Task[None]] = set()

    def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(_answer(runtime, principal, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(answer, path, limit=REQUEST_BYTES)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(
    runtime: Runtime, principal: Principal, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one request with a line per record, and a last one."""
    with suppress(ConnectionError, asyncio.CancelledError):
        try:
            async with aclosing(_records(runtime, principal, await reader.readline())) as found:
                async for record in found:
                    line = f'{{"record": "{type(record).__name__}", "value": {record.model_dump_json()}}}\n'
                    writer.write(line.encode())
                    await writer.drain()
            writer.write(b'{"end": true}\n')
        except SbfError as error:
            writer.write(json.dumps({"error": error.as_dict()}, default=str).encode() + b"\n")
        finally:
            writer.close()
            await writer.wait_closed()


async def _records(runtime: Runtime, principal: Principal, line: bytes) -> Any:
    access, operation = import_module(_ACCESS), _operation(line)
    if not operation.streams:
        record = await access.call(runtime, principal, operation)
        if record is not None:
            yield record
        return
    async with aclosing(access.stream(runtime, principal, operation)) as found:
        async for record in found:
            yield record


def _operation(line: bytes) -> op.Operation:
    try:
        asked = json.loads(line)
        kind, fields = ALLOWED[asked["operation"]], dict(asked["fields"])
    except (ValueError, KeyError, TypeError) as error:
        raise Forbidden("a report may not ask for this", hint="it may read, search and ask") from error
    try:
        return kind(**fields)
    except ValidationError as error:
        raise InvalidInput(f"{kind.__name__}: {error.errors()[0]['msg']}", hint="update SBF") from None
