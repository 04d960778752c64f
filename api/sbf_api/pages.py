"""Whole lists, one record a line, fetched page by page while they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from sbf_kernel.errors import SbfError
from sbf_kernel.handlers import access

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from sbf_api.service import Service
    from sbf_kernel.operations import Operation
    from sbf_kernel.records import Principal

LINES = "application/x-ndjson"
PAGE = 100


def wants_lines(request: Request, kind: type[Operation]) -> bool:
    """Tell whether a list is asked for as a whole: ``Accept: application/x-ndjson``."""
    return "offset" in kind.model_fields and "limit" in kind.model_fields and LINES in request.headers.get("accept", "")


def as_lines(service: Service, principal: Principal, operation: Operation) -> StreamingResponse:
    """Return all records from ``offset`` on; ``limit`` does not matter. A late error ends it with a line that tells it."""
    return StreamingResponse(_lines(service, principal, operation), media_type=LINES)


async def _lines(service: Service, principal: Principal, operation: Any) -> AsyncIterator[bytes]:
    offset, total = operation.offset, operation.offset + 1
    while offset < total:
        try:
            page = await access.call(
                service.runtime, principal, operation.model_copy(update={"limit": PAGE, "offset": offset})
            )
        except SbfError as error:
            from sbf_api.problems import problem_of

            yield problem_of(error).model_dump_json().encode() + b"\n"
            return
        yield b"".join(item.model_dump_json().encode() + b"\n" for item in page.items)
        offset, total = offset + PAGE, page.total
