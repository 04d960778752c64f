"""Errors on the wire: ``application/problem+json`` (RFC 9457) with the error's wire name, cure and an id that is in the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from sbf_api.logs import request_id
from sbf_kernel.errors import (
    BadRequest,
    Conflict,
    InvalidInput,
    NotSignedIn,
    RequestTooLarge,
    SbfError,
    StoreError,
    TooManyRequests,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
"""What ``Retry-After`` says when nobody knows better."""


class Problem(BaseModel):
    """What an error looks like."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    """What happened and to which object."""
    code: str
    """Wire name of the error: a client raises the exception of that name."""
    hint: str = ""
    """What to do next."""
    details: dict[str, Any] = {}
    instance: str = ""
    """Id of the request; the log has it too."""


class NoSuchPath(SbfError):
    """No operation has this path."""

    code = "no_such_path"
    status = 404
    default_hint = "see /docs for the paths there are"


class MethodNotAllowed(SbfError):
    """There is such a path, but not for this method."""

    code = "method_not_allowed"
    status = 405


_BY_STATUS: dict[int, type[SbfError]] = {
    400: BadRequest,
    401: NotSignedIn,
    404: NoSuchPath,
    405: MethodNotAllowed,
    409: Conflict,
    413: RequestTooLarge,
    429: TooManyRequests,
}


def problem_of(error: SbfError) -> Problem:
    """Return the wire form of an error."""
    return Problem(
        title=type(error).__name__,
        status=error.status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
        details={name: value for name, value in error.details.items() if name != "retry_after"},
        instance=request_id(),
    )


def respond(error: SbfError) -> Response:
    """Return the response that tells an error."""
    headers = {}
    if isinstance(error, TooManyRequests | StoreError):
        headers["Retry-After"] = str(max(1, round(error.details.get("retry_after", RETRY_SECONDS))))
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem_of(error).model_dump_json(), error.status, headers, MEDIA_TYPE)


def known(error: Exception) -> SbfError:
    """Return ``error`` as one of ours. What nobody foresaw is logged whole and told without its inside."""
    if isinstance(error, SbfError):
        if error.status >= 500:
            _log.warning("%s: %s", error.code, error)
        return error
    if isinstance(error, RequestValidationError):
        return invalid(error.errors())
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, BadRequest)
        return kind(str(error.detail))
    _log.error("unexpected error", exc_info=error)
    return SbfError(
        "something went wrong inside the service", hint=f"tell the operator the id {request_id()}: the log knows more"
    )


def invalid(found: Any) -> InvalidInput:
    """Return the error for wrong fields: which and why, without repeating what was sent."""
    wrong = [
        {
            "field": ".".join(str(part) for part in one["loc"] if part not in ("body", "query", "path")),
            "why": one["msg"],
        }
        for one in found
    ]
    first = wrong[0]
    return InvalidInput(
        f"{first['field'] or 'body'}: {first['why']}", hint="see /docs for what this operation takes", fields=wrong[:20]
    )


def install(app: FastAPI) -> None:
    """Make ``app`` tell every error as a problem."""

    async def tell(request: Request, error: Exception) -> Response:
        response = respond(known(error))
        if isinstance(error, HTTPException) and error.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return response

    for kind in (SbfError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, tell)


def _methods(app: FastAPI, request: Request) -> set[str]:
    """Return what may be done with a path, over all routes that have it."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    return {m for route in routes if route.matches(request.scope)[0] is not Match.NONE for m in route.methods or ()}
