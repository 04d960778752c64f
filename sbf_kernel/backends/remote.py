"""Sends operations to an SBF service, which calls the same handlers there."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from sbf_kernel import records
from sbf_kernel.backends.events import Event, events
from sbf_kernel.errors import BY_CODE, InvalidInput, RemoteError, SbfError, TooManyRequests
from sbf_kernel.operations import AddSource, FollowMessage, Operation, SendMessage

if TYPE_CHECKING:
    import aiohttp

CALL_SECONDS = 330.0
"""Longest wait for a reply; an upload of the largest source takes minutes on a slow line."""
SILENCE_SECONDS = 60.0
"""A stream silent for longer is dead: the service sends a sign of life every 15 seconds."""
ATTEMPTS = 4
"""How often what may safely be repeated is sent before its failure is told."""
PATIENCE_SECONDS = 120.0
"""So long bringing in sources waits for its allowance of calls per minute, instead of failing."""


class RemoteBackend:
    """One service and the token that says who asks.

    Parameters
    ----------
    url
        Where the service is, ``https://…``, with the prefix a proxy may add.
    token
        Access or API token; None for what needs none.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def call(self, operation: Operation) -> Any:
        """Carry out an operation and return its record.

        What cannot do harm twice is sent again when the line or the service
        fails: reads, and what makes something new, under one idempotency key.

        Raises
        ------
        SbfError
            The same error the handler raised there.
        RemoteError
            The service cannot be reached, or it is no SBF service.
        """
        request = _Request(operation)
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._call_once(request)
            except TooManyRequests as error:
                pause = float(error.details.get("retry_after", 1))
                waited += pause
                if operation.rate != "ingestion" or waited > PATIENCE_SECONDS:
                    raise
            except SbfError as error:
                if attempt == ATTEMPTS or not request.repeatable or not _passing(error):
                    raise
                pause = 0.2 * 2**attempt
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _call_once(self, request: _Request) -> Any:
        async with self._sent(request, CALL_SECONDS) as response:
            body = await response.read()
            if request.kind.result is None:
                return None
            try:
                return request.kind.result.model_validate_json(body)
            except ValueError as error:
                raise RemoteError(
                    f"{self._url} answered something that is no {request.kind.result.__name__}",
                    hint="is the address that of an SBF service of this version?",
                ) from error

    async def stream(self, operation: Operation) -> AsyncGenerator[Any]:
        """Carry out a streaming operation and yield its records as they come.

        A message that is being written goes on where the connection was lost;
        watching begins anew. Leaving early ends the work at the service too.
        """
        place: tuple[str, int] | None = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._events(operation)) as found:
                    async for event in found:
                        record = _record(event)
                        place = _after(record) or place
                        yield record
                return
            except SbfError as error:
                if attempt == ATTEMPTS or not _passing(error):
                    raise
                if isinstance(operation, SendMessage | FollowMessage) and place is not None:
                    operation = FollowMessage(chat_id=operation.chat_id, message_id=place[0], after=place[1])
                elif operation.creates or operation.rate == "chat":
                    raise
            await asyncio.sleep(0.2 * 2**attempt)

    async def _events(self, operation: Operation) -> AsyncGenerator[Event]:
        async with self._sent(_Request(operation), None) as response:
            async with aclosing(events(response.content.iter_any())) as found:
                async for event in found:
                    if event.name == "error":
                        raise _error(json.loads(event.data))
                    if event.name == "end":
                        return
                    yield event
            raise RemoteError("the connection was lost in the middle", hint="try again")

    @asynccontextmanager
    async def _sent(self, request: _Request, seconds: float | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response to a request; what went wrong with it is raised as one of our errors."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=seconds, sock_connect=10, sock_read=SILENCE_SECONDS if seconds is None else seconds
        )
        try:
            async with self._open().request(
                request.kind.method,
                self._url + request.path,
                params=request.query,
                data=request.body(),
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,  # a token must not go where it was not meant for
            ) as response:
                if response.status >= 300:
                    raise await _failure(response, request.kind)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RemoteError(
                f"{self._url} cannot be reached: {error or type(error).__name__}",
                hint="check the address, and that the service runs",
            ) from error

    def _open(self) -> aiohttp.ClientSession:
        """Return the pool of connections, made when the first is needed."""
        import aiohttp

        if self._session is None:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            self._session = aiohttp.ClientSession(headers=headers, auto_decompress=True, trust_env=False)
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Request:
    """An operation as HTTP: what stands in the path, the query, the headers and the body."""

    def __init__(self, operation: Operation) -> None:
        self.kind = type(operation)
        self.operation = operation
        self.content = operation.content if isinstance(operation, AddSource) and operation.url is None else None
        left_out = set() if self.content is None else {"content"}  # it goes as a file, not as base64
        fields = operation.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
        wanted = {name for name in self.kind.model_fields if f"{{{name}}}" in self.kind.path}
        self.path = self.kind.path.format(**{name: quote(str(getattr(operation, name)), safe="") for name in wanted})
        self.fields = {name: value for name, value in fields.items() if name not in wanted}
        if self.content is not None:
            self.path += "/upload"
        self.query = (
            {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.fields.items()}
            if self.kind.method in ("GET", "DELETE")
            else None
        )
        self.headers = {"Idempotency-Key": str(uuid4())} if self.kind.creates else {}
        if operation.streams:
            self.headers["Accept"] = "text/event-stream"
        if self.query is None and self.content is None and self.fields:
            self.headers["Content-Type"] = "application/json"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.kind.creates or self.kind.cached or self.kind.method in ("GET", "PUT", "DELETE")

    def body(self) -> Any:
        """Return what is sent: nothing, JSON, or a form with the file. Made anew each time: a form can be sent once."""
        if self.content is None:
            return json.dumps(self.fields).encode() if self.query is None and self.fields else None
        import aiohttp

        form = aiohttp.FormData(quote_fields=False)
        for name, value in self.fields.items():
            for part in value if isinstance(value, list) else [value]:
                if name != "media_type":
                    form.add_field(name, str(part))
        form.add_field(
            "file",
            io.BytesIO(self.content),
            filename="source",
            content_type=self.fields.get("media_type") or "application/octet-stream",
        )
        return form


def _passing(error: SbfError) -> bool:
    """Tell whether an error is likely to be gone in a moment."""
    return error.status == 503 or isinstance(error, RemoteError)


async def _failure(response: aiohttp.ClientResponse, kind: type[Operation]) -> SbfError:
    body = await response.read()
    try:
        problem = json.loads(body)
        if problem["code"] in ("no_such_path", "method_not_allowed"):
            return InvalidInput(f"the service does not know {kind.__name__}", hint="update SBF there")
        found = _error(problem)
    except (ValueError, KeyError, TypeError):
        return RemoteError(
            f"the service answered with status {response.status}", hint="is the address that of an SBF service?"
        )
    if "retry-after" in response.headers and response.headers["retry-after"].isdigit():
        found.details["retry_after"] = int(response.headers["retry-after"])
    return found


def _error(problem: dict[str, Any]) -> SbfError:
    """Return a problem as the exception it was there."""
    kind = BY_CODE.get(problem["code"], SbfError if problem["code"] == SbfError.code else RemoteError)
    details = {
        str(name): value for name, value in problem.get("details", {}).items() if name not in ("message", "hint")
    }
    if problem.get("instance") and kind.status >= 500:
        details["instance"] = problem["instance"]
    return kind(problem["detail"], hint=problem.get("hint", ""), **details)


def _record(event: Event) -> Any:
    kind = getattr(records, event.name, None) if event.name in records.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, records.Record)):
        raise RemoteError(f"the service sent an unknown event {event.name!r}", hint="pip install -U sbf-kernel")
    return kind.model_validate_json(event.data)


def _after(record: Any) -> tuple[str, int] | None:
    """Return which message, and from which character on, is still to come."""
    if isinstance(record, records.MessageDelta):
        return str(record.message_id), record.start + len(record.text)
    return None
