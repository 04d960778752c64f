"""The gate every body passes: counted and timed while it comes, strict when it is JSON."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sbf_api.problems import respond, wrong_field
from sbf_kernel.errors import BadRequest, RequestTooLarge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sbf_api.settings import ServiceSettings

JSON_BYTES = 2 << 20
"""Largest body of anything but a source."""
BODY_SECONDS = 10.0
"""Time every body has; beyond it each second must have brought :data:`BODY_RATE` bytes."""
BODY_RATE = 16 << 10
"""Slowest a long body may come, in bytes per second: one that drips would hold a place that others wait for."""
IDLE_SECONDS = 30.0
"""Longest pause inside a body, however fast it came before."""


class BodyLimit:
    """Counts the bytes of each body, whatever its length header says, and stops at the limit, or when it is too slow.

    Pure ASGI. Bodies to ``…/sources`` and ``…/sources/upload`` may be as large
    as the settings allow, all others :data:`JSON_BYTES`.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self._upload = settings.max_body_mb << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body counted."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._upload if scope["path"].endswith(("/sources", "/sources/upload")) else JSON_BYTES
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await respond(_too_large(limit))(scope, receive, send)
            return
        body = _Body(receive, send, limit)
        await self.app(scope, body.receive, body.send)


class _Body:
    """Stands for ``receive`` and ``send`` of a request: a body beyond a limit is read no further."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._seen = 0
        self._began: float | None = None
        self._whole = self._slow = False

    async def receive(self) -> Message:
        """Return the next part.

        Raises
        ------
        HTTPException
            There are too many, or they come too slowly; FastAPI lets this one pass.
        """
        if self._whole:  # what comes now is the disconnect, which may take as long as it likes
            return await self._receive()
        message = await self._in_time()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise HTTPException(413, _too_large(self._limit).message)
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def _in_time(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        earned = self._began + BODY_SECONDS + self._seen / BODY_RATE
        try:
            async with asyncio.timeout_at(min(earned, now + IDLE_SECONDS)):
                return await self._receive()
        except TimeoutError:
            self._slow = True
            raise HTTPException(400, f"the body comes too slowly: send {BODY_RATE >> 10} KB a second") from None

    async def send(self, message: Message) -> None:
        """Send a message; a connection whose body was too slow ends with it, or it would go on dripping."""
        if message["type"] == "http.response.start" and self._slow:
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await self._send(message)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body has more than {limit >> 20} MB")


class StrictRequest(Request):
    """A request whose JSON is strict: no NaN or infinity, no lone surrogates, no endless nesting, no name twice.

    Lenient parsing lets values in that nothing behind can store or send back:
    the stock parser answers 500 to them. Of two values under one name, another
    program in front of the service may have looked at the other.
    """

    async def json(self) -> Any:
        """Return the parsed body.

        Raises
        ------
        BadRequest
            It is no strict JSON.
        InvalidInput
            A name stands twice in one object.
        """
        body = await self.body()
        # The strict parser keeps the last of two values and tells nobody; the stock one shows all pairs. For 200 MB of
        # base64 it needs 0.35 s, the strict one 0.1 s, decoding the base64 0.6 s. It goes first: its copy is gone then.
        with suppress(ValueError, RecursionError):  # what is no JSON, the strict parser tells
            json.loads(body, object_pairs_hook=_once_each, parse_int=str, parse_float=str)
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            hint = "send a JSON object in UTF-8"
            raise BadRequest(f"the body is no JSON that SBF takes: {error}", hint=hint) from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs; refuses a name that stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise wrong_field(twice, "stands there twice in one JSON object")
    return found
