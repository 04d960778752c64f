"""Errors on the wire: ``application/problem+json`` (RFC 9457) with the error's wire name, cure and an id that is in the log."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
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
from sbf_kernel.operations.refusals import where, why

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_SHOWN = 200
"""Characters that an error repeats of a path, in which all but plain ones are %XX."""
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
        if isinstance(error.body, bytes):
            return InvalidInput(
                "the body is not called JSON, so it was not read", hint="send Content-Type: application/json"
            )
        # Each place begins with "body", "query" or "path": a field may be called so too, but comes later.
        return invalid([{**one, "loc": one["loc"][1:]} for one in error.errors()])
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, InvalidInput):  # FastAPI takes whatever reading a body raises for a 400
            return error.__cause__
        kind = _BY_STATUS.get(error.status_code, BadRequest)
        return kind(str(error.detail), hint=kind.default_hint or "see /docs for what is taken, and in which form")
    if isinstance(error, ClientDisconnect):
        return BadRequest("the client left before its request was whole", hint="send it again")
    _log.error("unexpected error", exc_info=error)
    return SbfError(
        "something went wrong inside the service", hint=f"tell the operator the id {request_id()}: the log knows more"
    )


def invalid(found: Any) -> InvalidInput:
    """Return the error for wrong fields: which and why, without repeating what was sent.

    Parameters
    ----------
    found
        What pydantic says of each.
    """
    fields = [{"field": where(one["loc"]), "why": why(one)} for one in found]
    return _wrong(fields)


def wrong_field(name: str, reason: str) -> InvalidInput:
    """Return the error for one wrong field."""
    return _wrong([{"field": where((name,)), "why": reason}])


def _wrong(fields: list[dict[str, str]]) -> InvalidInput:
    first = fields[0]
    return InvalidInput(
        f"{first['field'] or 'body'}: {first['why']}",
        hint="see /docs for what this operation takes",
        fields=fields[:20],
    )


def install(app: FastAPI) -> None:
    """Make ``app`` tell every error as a problem."""

    async def tell(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException) or error.status_code not in (404, 405):
            return respond(known(error))
        method, shown = request.method[:_SHOWN], quote(_path(request))[:_SHOWN]
        if error.status_code == 404:
            hint = "the ids in a path are UUIDs, as in the answers" if _but_for_ids(app, request) else None
            return respond(NoSuchPath(f"there is no {method} {shown}", hint=hint))
        allowed = ", ".join(sorted(_methods(app, request)))
        response = respond(MethodNotAllowed(f"{shown} does not take {method}", hint=f"it takes {allowed}; see /docs"))
        response.headers["Allow"] = allowed
        return response

    for kind in (SbfError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, tell)


def _path(request: Request) -> str:
    """Return the path below the prefix under which a proxy shows the service."""
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _methods(app: FastAPI, request: Request) -> set[str]:
    """Return what may be done with a path, over all routes that have it."""
    routes = [route for route in iter_route_contexts(app.routes) if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in routes for method in route.methods or ()}


def _but_for_ids(app: FastAPI, request: Request) -> bool:
    """Tell whether a path would be one if what stands in the place of ids were ids."""
    path = _path(request)
    formats = {route.path_format for route in app.routes if isinstance(route, Route)}
    return any(re.fullmatch(re.sub(r"{\w+}", "[^/]+", form), path) for form in formats if "_id}" in form)
