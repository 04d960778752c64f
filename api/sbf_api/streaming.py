"""Records as server-sent events: heartbeat, errors in the stream, an end when the client goes or the service stops."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from sbf_api.problems import known, problem_of
from sbf_kernel.errors import NotSignedIn, SbfError, StoreBusy, StoreError
from sbf_kernel.records import Message, MessageDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine

    from starlette.types import Receive, Scope, Send

    from sbf_kernel.records import Record

FIRST_SECONDS = 1.0
"""So long the answer waits for the first record: an error by then is a status, later it is an event."""
RECHECK_SECONDS = 1.5
"""Between two looks whether the one who reads still may: with what a credential is believed for, less than 5 s."""
AGAIN_SECONDS = 2
"""When to come again to a service that stops: another one may be there already, or the next one soon."""
FAREWELL_SECONDS = 5.0
"""So long a client that does not read is waited for at the end."""
STOPPING = "stopping"
"""Name of the :class:`asyncio.Event` in the state of a request that is set when the server stops."""
HEARTBEAT = b": still here\n\n"
END = b"event: end\ndata: {}\n\n"


def event(record: Record) -> bytes:
    """Return one record as an event named after its class."""
    mark = f"id: {place}\n" if (place := _place(record)) else ""
    return f"event: {type(record).__name__}\n{mark}data: {record.model_dump_json()}\n\n".encode()


def _place(record: Record) -> str:
    """Return where reading goes on after this record: ``Last-Event-ID`` brings it back."""
    if isinstance(record, MessageDelta):
        return f"{record.message_id}:{record.start + len(record.text)}"
    return f"{record.id}:{len(record.text)}" if isinstance(record, Message) else ""


async def begin(records: AsyncIterator[Any]) -> asyncio.Task[Any]:
    """Start a stream; returns its first step, done or still at work.

    Raises
    ------
    SbfError
        It failed at once.
    """
    first = asyncio.ensure_future(_step(records))
    await asyncio.wait({first}, timeout=FIRST_SECONDS)
    if first.done() and first.exception() is not None:
        first.result()
    return first


async def _step(records: AsyncIterator[Any]) -> Any:
    return await anext(records, None)


class EventStream(Response):
    """A response that sends records as they come.

    Parameters
    ----------
    records
        What to send; closed when the client goes, and so is what it stands on.
    first
        Its first step, from :func:`begin`.
    heartbeat
        Seconds of silence after which a comment is sent: proxies close silent connections.
    identify
        Awaited again and again; once it raises :class:`NotSignedIn`, the stream ends with that.
    release
        Awaited at the end, however it ends.
    """

    def __init__(
        self,
        records: AsyncGenerator[Any],
        first: asyncio.Task[Any],
        heartbeat: float,
        identify: Callable[[], Awaitable[Any]],
        release: Callable[[], Awaitable[Any]],
    ) -> None:
        super().__init__(
            media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        del self.headers["content-length"]
        self._records, self._first, self._heartbeat = records, first, heartbeat
        self._identify, self._release = identify, release
        self._context = copy_context()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the records end, the client goes, it may read no more, or the service stops."""
        try:
            ended = await watched(self._send(send), scope, receive, self._identify)
            if ended is not None:
                await farewell(send, error_event(ended))
        finally:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
            with contextlib.suppress(Exception):  # whatever closing says, nobody is there to hear it
                await self._records.aclose()
            await self._release()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _write(send, b"")  # the headers leave now
        step = self._first
        try:
            while True:
                while not (await asyncio.wait({step}, timeout=self._heartbeat))[0]:
                    await _write(send, HEARTBEAT)
                record = step.result()
                if record is None:
                    await _write(send, END)
                    break
                step = self._first = asyncio.create_task(_step(self._records), context=self._context)
                await _write(send, event(record))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes the last event
            await send({"type": "http.response.body", "body": error_event(known(error))})
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


def error_event(error: SbfError) -> bytes:
    """Return an error as the last event; one that passes says when to come again."""
    again = f"retry: {AGAIN_SECONDS * 1000}\n" if isinstance(error, StoreError) else ""
    return f"event: error\n{again}data: {problem_of(error).model_dump_json()}\n\n".encode()


async def watched(
    sending: Coroutine[Any, Any, None], scope: Scope, receive: Receive, identify: Callable[[], Awaitable[Any]]
) -> SbfError | None:
    """Run what sends a long answer, no longer than anybody may and can read it.

    Parameters
    ----------
    sending
        Cancelled when the client goes, ``identify`` raises :class:`NotSignedIn`, or the service stops.

    Returns
    -------
    SbfError or None
        Why it was ended early; None when it came to its end, or nobody is there to be told.
    """
    work = asyncio.ensure_future(sending)
    gone = asyncio.ensure_future(_disconnected(receive))
    refused = asyncio.ensure_future(_refused(identify))
    stopped = asyncio.ensure_future(_stopped(scope))
    tasks = (work, gone, refused, stopped)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        left = gone.done()
        ended = next((task.result() for task in (refused, stopped) if task.done()), None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return ended if work.cancelled() and not left else None


async def farewell(send: Send, chunk: bytes) -> None:
    """Send the end of a long answer, unless the client does not take it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await send({"type": "http.response.body", "body": chunk})


async def _refused(identify: Callable[[], Awaitable[Any]]) -> NotSignedIn:
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            await identify()
        except NotSignedIn as error:
            return error
        except SbfError:
            continue  # nobody knows at the moment


async def _stopped(scope: Scope) -> StoreBusy:
    stopping: asyncio.Event = scope.get("state", {}).get(STOPPING) or asyncio.Event()
    await stopping.wait()
    return StoreBusy("the service is stopping", hint=f"come again in {AGAIN_SECONDS} seconds")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
