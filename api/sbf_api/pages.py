"""Whole lists, one record a line, fetched page by page while they are sent."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from sbf_api import admission
from sbf_api.problems import known, problem_of, respond
from sbf_api.service import within
from sbf_api.streaming import farewell, watched
from sbf_kernel.handlers import access

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from sbf_api.service import Service
    from sbf_kernel.operations import Operation
    from sbf_kernel.records import Principal

LINES, JSON = "application/x-ndjson", "application/json"
PAGE = 100
PASSES = 4
"""So often a list that changes all the time is read for what moved meanwhile."""
_QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def has_lines(kind: type[Operation]) -> bool:
    """Tell whether an operation returns a page of a list."""
    return {"offset", "limit"} <= kind.model_fields.keys()


def wants_lines(request: Request) -> bool:
    """Tell whether a list is asked for as a whole: ``Accept: application/x-ndjson``, and not JSON rather than that."""
    wanted = {}
    for part in ",".join(request.headers.getlist("accept")).lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        given = [float(found[1]) for word in parameters if (found := _QUALITY.fullmatch(word))]
        wanted[name] = given[0] if given else 1.0
    return wanted.get(LINES, 0.0) > 0.0 and wanted[LINES] >= wanted.get(JSON, 0.0)


def as_lines(service: Service, principal: Principal, operation: Operation) -> Response:
    """Return all records from ``offset`` on; ``limit`` does not matter. A late error ends it with a line that tells it."""
    return Lines(service, principal, operation)


class Lines(Response):
    """A list as lines. What goes wrong with the first page is the answer, with its status."""

    def __init__(self, service: Service, principal: Principal, operation: Operation) -> None:
        super().__init__(media_type=LINES)
        del self.headers["content-length"]
        self._service, self._principal, self._operation = service, principal, operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the list ends, the client goes, it may read no more, or the service stops."""
        lines = _lines(self._service, self._principal, self._operation)
        try:
            first = await anext(lines, b"")
        except Exception as error:  # noqa: BLE001 - each becomes a problem
            refusal = respond(known(error))
            refusal.headers.update({n: value for n, value in self.headers.items() if n.startswith("x-ratelimit")})
            await refusal(scope, receive, send)
            return
        try:
            identify = partial(admission.identify, self._service, Request(scope))
            ended = await watched(self._send(first, lines, send), scope, receive, identify)
            if ended is not None:
                await farewell(send, _line(problem_of(ended)))
        finally:
            await lines.aclose()

    async def _send(self, first: bytes, lines: AsyncGenerator[bytes], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        chunk, last = first, b""
        try:
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await anext(lines, b"")
        except Exception as error:  # noqa: BLE001 - becomes the last line
            last = _line(problem_of(known(error)))
        await send({"type": "http.response.body", "body": last})


def _line(record: Any) -> bytes:
    return f"{record.model_dump_json()}\n".encode()


def _key(record: Any) -> Any:
    """Return what tells a record from the others of its list: members of a notebook have only their names."""
    return record.id if "id" in type(record).model_fields else record.name


async def _lines(service: Service, principal: Principal, operation: Operation) -> AsyncGenerator[bytes]:
    """Yield each record of a list once.

    A record that moves to where was read already, because its name or its
    date changed, would be missed. So a list that may have changed meanwhile is
    read again, for what was not there before.
    """
    sent: set[Any] = set()
    for _ in range(PASSES):
        epoch, own, found = await service.runtime.db.epoch(principal.user_id), type(operation).cached, False
        async for outcome in _pages(service, principal, operation):
            new = [item for item in outcome.result.items if _key(item) not in sent]
            sent.update(map(_key, new))
            own = own and outcome.principal == principal  # what belongs to others changes under other epochs
            found = found or bool(new)
            if new:
                yield b"".join(map(_line, new))
        if not found or (own and epoch == await service.runtime.db.epoch(principal.user_id)):
            return


async def _pages(service: Service, principal: Principal, operation: Any) -> AsyncGenerator[access.Outcome]:
    """Yield pages that hang together: each begins with a record of the ones before.

    One that does not comes after a gap, because what was before it is gone:
    then it is read from further ahead.
    """
    passed: set[Any] = set()
    start: int = operation.offset
    offset = start
    while True:
        one = operation.model_copy(update={"limit": PAGE, "offset": offset})
        outcome = await within(service.settings.request_seconds, access.resolve(service.runtime, principal, one))
        items = outcome.result.items
        if offset > start and not (items and _key(items[0]) in passed):
            offset = max(start, offset - PAGE)
            continue
        passed.update(map(_key, items))
        yield outcome
        if not items or offset + len(items) >= outcome.result.total:
            return
        offset += len(items) - 1
