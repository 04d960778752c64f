"""One route per operation, made from what the operation says of itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Path, Query
from fastapi.routing import APIRoute
from pydantic import ValidationError, create_model
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from sbf_api import admission, problems
from sbf_api.body import StrictRequest
from sbf_api.cache import etag, matches
from sbf_api.pages import as_lines, has_lines, wants_lines
from sbf_api.streaming import EventStream, begin
from sbf_kernel import handlers
from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput
from sbf_kernel.operations import Operation

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sbf_api.service import Reply, Service

    Endpoint = Callable[..., Awaitable[Response]]

KINDS: tuple[type[Operation], ...] = (*handlers.CALLS, *handlers.STREAMS)
FOR_EVER = "private, max-age=31536000, immutable"
"""For what never changes: a year, the longest there is."""
_KEY = re.compile(r"[!-~]{1,200}")
_PLACE = re.compile(r"[0-9]{1,7}")
"""Characters of a message that have come; none has more than a million."""


def noun(kind: type[Operation]) -> str:
    """Return the tag an operation stands under: the module it is in."""
    return kind.__module__.rpartition(".")[2]


def install(app: FastAPI) -> None:
    """Add the routes of all operations."""
    for kind in sorted(KINDS, key=lambda kind: "{" in kind.path):  # fixed words before what is named by an id
        add(app, kind, endpoint_for(kind))


def add(app: FastAPI, kind: type[Operation], endpoint: Endpoint, path: str = "", **options: Any) -> None:
    """Add the route of one operation."""
    about = inspect.cleandoc(kind.__doc__ or "")
    empty = kind.result is None
    app.router.add_api_route(
        re.sub(r"{(\w+_id)}", r"{\1:uuid}", path or kind.path),  # what is no id is another path
        endpoint,
        route_class_override=OperationRoute,
        **{
            "methods": [kind.method],
            "operation_id": kind.__name__,
            "name": kind.__name__,
            "tags": [noun(kind)],
            "summary": about.partition("\n")[0].partition(";")[0].rstrip("."),
            "description": re.sub(r":(?:class|func|meth|data):`[~.\w]*?(\w+)`", r"`\1`", about),
            "status_code": 204 if empty else 201 if kind.creates and not kind.streams else 200,
            "response_model": None if empty or kind.streams else kind.result,
            "openapi_extra": {"x-operation": kind.__name__},
            **options,
        },
    )


class OperationRoute(APIRoute):
    """Asks who, whether and how often before FastAPI reads the body; makes the request strict, and every error a problem."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """Return FastAPI's handler of the route inside ours."""
        handle = super().get_route_handler()
        kind: type[Operation] = getattr(op, (self.openapi_extra or {})["x-operation"])

        async def guarded(request: Request) -> Response:
            try:
                service: Service = request.app.state.service
                request.scope["sbf.principal"] = await admission.admit(service, request, kind)
                response = await handle(StrictRequest(request.scope, request.receive))
            except Exception as error:  # noqa: BLE001 - each becomes a problem
                response = problems.respond(problems.known(error))
            response.headers.update(admission.headers(request.scope.get("sbf.allowance")))
            return response

        return guarded


def endpoint_for(kind: type[Operation]) -> Endpoint:
    """Return the function FastAPI calls for an operation; its signature says what comes from where."""
    named = re.findall(r"{(\w+)}", kind.path)
    rest = model_of(kind, frozenset(named))

    in_query = rest is not None and kind.method in ("GET", "DELETE")

    async def endpoint(request: Request, **given: Any) -> Response:
        fields = given.pop("fields", None)
        await _refuse_unasked(request, in_query=in_query, in_body=rest is not None and not in_query)
        operation = assemble(kind, given, {} if fields is None else dict(fields))
        return await carry_out(request, operation)

    source = Query() if kind.method in ("GET", "DELETE") else Body()
    parameters = [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    for name in named:
        field = kind.model_fields[name]
        parameters.append(_parameter(name, field.annotation, *field.metadata, Path()))
    if rest is not None:
        body = _parameter("fields", rest, source)
        optional = kind.method not in ("GET", "DELETE") and not any(f.is_required() for f in rest.model_fields.values())
        parameters.append(body.replace(default=rest()) if optional else body)
    endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return endpoint


async def _refuse_unasked(request: Request, *, in_query: bool, in_body: bool) -> None:
    """Refuse what an operation does not take, or not twice: a client that sends it believes that it has an effect."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names if in_query else ():  # none of them is a list
        if names.count(name) > 1:
            raise problems.wrong_field(name, "may be given only once")
    if not in_query and request.url.query:
        raise InvalidInput("query: this operation takes none", hint="see /docs for what it takes")
    if not in_body and (await request.body()).strip() not in (b"", b"{}"):
        raise InvalidInput("body: this operation takes none", hint="see /docs for what it takes")


def _parameter(name: str, *annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[annotation])


@cache
def model_of(kind: type[Operation], without: frozenset[str]) -> type[Operation] | None:
    """Return a model of the fields that are not in the path; None when there are none."""
    fields: dict[str, Any] = {
        name: (Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation, field)
        for name, field in kind.model_fields.items()
        if name not in without
    }
    if not fields:
        return None
    return create_model(kind.__name__, __base__=Operation, __doc__=kind.__doc__, **fields)


def assemble(kind: type[Operation], *parts: dict[str, Any]) -> Operation:
    """Return the operation of these fields.

    Raises
    ------
    InvalidInput
        Which field is wrong, and why.
    """
    try:
        return kind(**{name: value for part in parts for name, value in part.items()})
    except ValidationError as error:
        raise problems.invalid(error.errors(include_url=False, include_input=False)) from None


async def carry_out(request: Request, operation: Operation) -> Response:
    """Run an operation for the one who asks, and return what came of it."""
    service: Service = request.app.state.service
    principal = request.scope["sbf.principal"]
    if isinstance(operation, op.SignIn):
        await admission.count_password(service, request, f"name:{operation.name}")
    if isinstance(operation, op.ChangePassword):
        await admission.count_password(service, request, f"user:{principal.user_id}")
    key = _idempotency_key(request)
    if operation.streams:
        return await _stream(service, request, operation, key)
    if has_lines(type(operation)):
        return await _list(service, request, operation)
    response = _answer(request, type(operation), await service.call(principal, operation, key))
    if isinstance(operation, op.GetSourcePage) and operation.version_id is not None:
        response.headers["Cache-Control"] = FOR_EVER
    return response


async def _list(service: Service, request: Request, operation: Operation) -> Response:
    """Return a page as JSON, or the whole list as lines; whoever keeps the answer must know that there are two."""
    principal = request.scope["sbf.principal"]
    if wants_lines(request):
        response = as_lines(service, principal, operation)
    else:
        response = _answer(request, type(operation), await service.call(principal, operation))
    response.headers["Vary"] = "Accept"
    return response


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidInput("Idempotency-Key: takes 1 to 200 visible ASCII characters", hint="a UUID is a good one")
    return key


def _answer(request: Request, kind: type[Operation], reply: Reply) -> Response:
    if kind.result is None:
        return Response(status_code=204)
    headers = {}
    if kind.method == "GET":
        headers["ETag"] = etag(reply.body)
    if reply.hit is not None:
        headers["X-Cache"] = "HIT" if reply.hit else "MISS"
    if "ETag" in headers and matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if kind.creates and (shown_at := page_of(kind)) is not None:
        made = from_json(reply.body)["id"]
        headers["Location"] = request.scope.get("root_path", "") + re.sub(r"{\w+}", made, shown_at)
    return Response(reply.body, 201 if kind.creates else 200, headers, "application/json")


@cache
def page_of(kind: type[Operation]) -> str | None:
    """Return the path that shows what an operation makes: that of the GET with the same result, by its id alone."""
    pages = (other.path for other in KINDS if other.method == "GET" and other.result is kind.result)
    return next((path for path in pages if re.fullmatch(r"/[\w-]+/{\w+_id}", path)), None)


async def _stream(service: Service, request: Request, operation: Operation, key: str | None) -> Response:
    principal = request.scope["sbf.principal"]
    last = request.headers.get("last-event-id", "").rpartition(":")[2]
    if isinstance(operation, op.FollowMessage) and _PLACE.fullmatch(last):
        operation = operation.model_copy(update={"after": int(last)})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service.streams.open(principal.user_id))
        records = service.stream(principal, operation, key)
        stack.push_async_callback(records.aclose)
        first = await begin(records)
        identify = partial(admission.identify, service, request)
        return EventStream(records, first, service.settings.heartbeat_seconds, identify, stack.pop_all().aclose)
