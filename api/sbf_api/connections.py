"""What one process bears: connections that say nothing are closed, heads stay small, and requests at once are counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sbf_api.headers import FIXED
from sbf_api.logs import CLIENT_GONE
from sbf_api.problems import respond
from sbf_api.streaming import STOPPING
from sbf_kernel.errors import BadRequest, StoreBusy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sbf_api.settings import ServiceSettings
    from sbf_kernel.errors import SbfError

HEAD_SECONDS = 5.0
"""Longest time from a connection, or from the first byte of a later request, to the end of the request's head."""
HEAD_BYTES = 64 << 10
"""Longest head of a request: its line and its headers."""
RUNNING = 1_000
"""Requests a process works on at once, streams among them; it answers 503 beyond."""
PROBES = ("/health/live", "/health/ready")
"""Are always answered: an orchestrator ends a process that does not live, or sends no more to one that is not ready."""


class HeadTooLarge(BadRequest):
    """The head of a request has more bytes than are taken."""

    status = 431
    default_hint = "send a shorter address, or shorter or fewer headers"


class Protocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with a limit on time and length of a head; tells open streams that the server stops."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; refuse a head that does not end."""
        within = self._timer is not None
        super().data_received(data)
        if within and self._timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(head_too_large())

    def on_message_begin(self) -> None:
        """Begin to wait for the end of a later request's head."""
        super().on_message_begin()
        if self._timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._head_ended()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and an address so long that the parser takes it for none."""
        if len(getattr(self, "url", b"")) >= HEAD_BYTES:
            self._refuse(head_too_large())
        else:
            self._refuse(BadRequest("this is no HTTP/1.1 request", hint="see /docs for what the service takes"))

    def shutdown(self) -> None:
        """Tell the application that the server stops, as soon as the server knows."""
        if (stopping := self.app_state.get(STOPPING)) is not None:
            stopping.set()
        super().shutdown()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _head_ended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._at_rest:  # else the answer before it still goes out; then uvicorn closes what stays silent
            self.transport.close()

    def _refuse(self, error: SbfError) -> None:
        if self._at_rest:
            response = respond(error)
            headers = [*response.raw_headers, *FIXED, (b"connection", b"close")]
            lines = (b"%s: %s\r\n" % header for header in headers)
            self.transport.write(b"".join((STATUS_LINE[error.status], *lines, b"\r\n", response.body)))
        self.transport.close()

    @property
    def _at_rest(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete


def head_too_large() -> HeadTooLarge:
    """Return the error for a head of more than :data:`HEAD_BYTES`."""
    return HeadTooLarge(f"the head of the request has more than {HEAD_BYTES >> 10} KB")


class RequestLimit:
    """ASGI middleware: so many requests at once; what ends before its answer is told as what it is.

    A client that leaves in the middle of its body is no error, and a request
    that the server does not wait for any longer, because it stops, is told so.
    Goes inside :class:`sbf_api.logs.RequestLog`, which writes both down.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif _head_bytes(scope) > HEAD_BYTES:
            await respond(head_too_large())(scope, receive, send)
        elif self._running >= RUNNING and not scope["path"].endswith(PROBES):
            busy = StoreBusy(f"{RUNNING:,} requests are being answered already", hint="try again in a moment")
            await respond(busy)(scope, receive, send)
        else:
            self._running += 1
            try:
                await self._handle(scope, receive, _Exchange(receive, send))
            finally:
                self._running -= 1

    async def _handle(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            stopping = scope.get("state", {}).get(STOPPING)
            if stopping is None or not stopping.is_set():
                raise
            if not exchange.began:
                await respond(StoreBusy("the service is stopping", hint="try again"))(scope, receive, exchange.send)


class _Exchange:
    """Stands for ``receive`` and ``send`` of a request: notices a client that leaves inside its body."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._whole = self._left = self.began = False

    async def receive(self) -> Message:
        """Return the next message of the client.

        Raises
        ------
        HTTPException
            It left before the end of the body; FastAPI lets this one pass.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
        elif not self._whole:
            self._left = True
            raise HTTPException(CLIENT_GONE, "the client left in the middle of the body")
        return message

    async def send(self, message: Message) -> None:
        """Send a message; to a client that left it only reaches the log, which has a status for that."""
        if message["type"] == "http.response.start":
            self.began = True
            if self._left:
                message["status"] = CLIENT_GONE
        await self._send(message)


def _head_bytes(scope: Any) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope.get("raw_path") or b"") + len(scope["query_string"])
