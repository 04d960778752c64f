"""What the service writes down: one JSON object a line on stdout, each with the id of its request and without secrets.

Every record goes the same way, ours and those of libraries that use
:mod:`logging`. ``json.dumps`` escapes line breaks and control characters, so
nothing a client sends can forge a line.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO
from uuid import uuid4

import structlog

from sbf_api.redaction import redact_field, redact_text

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sbf_api.settings import ServiceSettings

HEADER = b"x-request-id"
OTHER = "other"
"""Route and method of what the service does not know: labels stay few, whatever is asked for."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
CLIENT_GONE = 499
"""Status in the log when the client left before an answer began (nginx's number for it)."""

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_request_id: ContextVar[str] = ContextVar("sbf_request_id", default="")
_requests = logging.getLogger("sbf_api.request")
_CHATTY = ("uvicorn.access", "aiohttp.access", "httpx", "httpx2", "httpcore", "procrastinate")
"""They would write a line for each request, ours or to others, with its query string; for each job; and for each job
that a worker puts back when it stops, a traceback."""


def request_id() -> str:
    """Return the id of the request this code runs for; empty outside of one."""
    return _request_id.get()


def route_of(scope: Scope) -> str:
    """Return the template of the route that took the request, such as ``/notebooks/{notebook_id}``, or ``other``."""
    return getattr(scope.get("route"), "path_format", None) or OTHER


def method_of(scope: Scope) -> str:
    """Return the method, or ``other``: a client may send any word."""
    method: str = scope["method"]
    return method if method in METHODS else OTHER


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send all log records of this process to ``stream`` (stdout) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.processors.format_exc_info,  # the traceback as text, without the values of variables
                _without_secrets,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _without_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact what a record says, then add what is known to be harmless: level, logger and request."""
    record = event.pop("_record")
    del event["_from_structlog"]
    shown = {key: redact_field(key, value) for key, value in event.items()}
    shown["level"], shown["logger"] = record.levelname.lower(), record.name
    if current := _request_id.get():
        shown["request_id"] = current
    return shown


class RequestLog:
    """ASGI middleware: gives each request an id, writes one line about it, and turns what nobody caught into a 500.

    The line has method, route template, status, milliseconds, bytes sent, the
    user's id (what admission left in ``scope["sbf.user"]``) and the address
    of the connection; never the path, the query string, headers or bodies.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = _request_id.set(_id_of(scope))
        seen = _Seen(send, _request_id.get().encode())
        try:
            await self._watched(scope, receive, seen)
        finally:
            _request_id.reset(token)

    async def _watched(self, scope: Scope, receive: Receive, seen: _Seen) -> None:
        started, failure = time.perf_counter(), None
        try:
            await self.app(scope, receive, seen)
        except Exception as error:  # noqa: BLE001 - the last one who can answer
            if seen.status:
                failure = error
            else:
                await _respond(error, scope, receive, seen)  # logs it too
        except asyncio.CancelledError:
            seen.status = seen.status or CLIENT_GONE
            raise
        finally:
            _write(scope, seen, (time.perf_counter() - started) * 1000, failure)
        if failure is not None and not seen.complete:
            raise failure  # so that the server cuts the connection instead of ending the body properly


class _Seen:
    """Stands for ``send``: adds the id to the response and remembers what was sent."""

    def __init__(self, send: Send, request: bytes) -> None:
        self._send = send
        self._header = (HEADER, request)
        self.status = 0
        self.size = 0
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*(h for h in message.get("headers", ()) if h[0] != HEADER), self._header]
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)


def _id_of(scope: Scope) -> str:
    """Take the client's id if it is well-formed, so that it can follow its request through our log; else make one."""
    for name, value in scope["headers"]:
        if name == HEADER and _WELL_FORMED.fullmatch(value):
            given = str(value, "ascii")
            if redact_text(given) == given:  # some put a token where they should not
                return given
    return uuid4().hex


async def _respond(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    from sbf_api.problems import known, respond  # problems takes request_id from here

    await respond(known(error))(scope, receive, send)


def _write(scope: Scope, seen: _Seen, milliseconds: float, failure: Exception | None) -> None:
    level = logging.ERROR if failure is not None or seen.status >= 500 else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    client = scope.get("client")
    _requests.log(
        level,
        "request",
        exc_info=failure,
        extra={
            "method": method_of(scope),
            "route": route_of(scope),
            "status": seen.status or CLIENT_GONE,
            "ms": round(milliseconds, 2),
            "bytes": seen.size,
            "user": scope.get("sbf.user"),
            "client": client[0] if client else None,
        },
    )
