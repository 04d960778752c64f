"""Server-sent events, read from chunks of bytes as they come.

Source: WHATWG HTML, section 9.2 (the fields ``event`` and ``data``; comments
and other fields are passed over).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

from sbf_kernel.errors import RemoteError

LONGEST = 64 << 20
"""Bytes of one event at most: more is no event of ours."""


@dataclass(frozen=True)
class Event:
    """One event."""

    name: str
    data: str


async def events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Event]:
    """Yield the events in ``chunks``, wherever these are cut.

    Raises
    ------
    RemoteError
        An event of more than :data:`LONGEST` bytes.
    """
    waiting = bytearray()
    async for chunk in chunks:
        searched = max(0, len(waiting) - 1)
        waiting += chunk
        while (end := waiting.find(b"\n\n", searched)) >= 0:
            block = waiting[:end].decode("utf-8", "replace")
            del waiting[: end + 2]
            searched = 0
            if (found := _event(block)) is not None:
                yield found
        if len(waiting) > LONGEST:
            raise RemoteError("the service sent an endless event", hint="is the address that of an SBF service?")


def _event(block: str) -> Event | None:
    name, data = "message", list[str]()
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return Event(name, "\n".join(data)) if data else None
