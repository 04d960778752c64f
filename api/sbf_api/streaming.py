"""Records as server-sent events: heartbeat, errors in the stream, and an end when the client has gone."""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from sbf_api.problems import known, problem_of
from sbf_kernel.errors import NotSignedIn, SbfError
from sbf_kernel.records import Message, MessageDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from sbf_kernel.records import Record

FIRST_SECONDS = 1.0
"""So long the answer waits for the first record: an error by then is a status, later it is an event."""
RECHECK_SECONDS = 1.5
"""Between two looks whether the one who reads still may: with what a credential is believed for, less than 5 s."""
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
        """Send until the records end, the client goes, or it may read no more."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_disconnected(receive))
        refused = asyncio.ensure_future(self._refused())
        try:
            await asyncio.wait({sending, gone, refused}, return_when=asyncio.FIRST_COMPLETED)
            if refused.done() and not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
                if sending.cancelled():
                    await _fail(send, refused.result())
        finally:
            for task in (sending, gone, refused, self._first):
                task.cancel()
            await asyncio.gather(sending, gone, refused, self._first, return_exceptions=True)
            with contextlib.suppress(Exception):  # whatever closing says, nobody is there to hear it
                await self._records.aclose()
            await self._release()

    async def _refused(self) -> NotSignedIn:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._identify()
            except NotSignedIn as error:
                return error
            except SbfError:
                continue  # nobody knows at the moment

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
            await _fail(send, error)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _write(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _fail(send: Send, error: Exception) -> None:
    problem = problem_of(known(error)).model_dump_json()
    await send({"type": "http.response.body", "body": f"event: error\ndata: {problem}\n\n".encode()})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
