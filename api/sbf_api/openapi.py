"""The OpenAPI document: FastAPI's, with the bearer scheme, errors, headers and an example of everything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from sbf_api import examples
from sbf_api.connections import HeadTooLarge
from sbf_api.pages import LINES, has_lines
from sbf_api.problems import MEDIA_TYPE, MethodNotAllowed, Problem
from sbf_api.routing import KINDS, page_of
from sbf_kernel import errors
from sbf_kernel.operations import Operation

if TYPE_CHECKING:
    from fastapi import FastAPI

ABOUT = """Cited research over HTTP: bring in sources, search them by words and meaning, ask them; every citation resolves
to the exact words of its source. The same operations as `sbf_kernel` in Python: `sbf.connect(url, token=…)`.

* **Who you are**: `Authorization: Bearer …` with an access token (`POST /auth/sign-in`) or an API token (`POST /me/tokens`).
* **Errors** are `application/problem+json`; `code` is stable, `hint` says what to do next, `instance` is in the log.
* **Creating** twice by accident: send an `Idempotency-Key`; the second request gets the first one's answer.
* **Lists** take `limit` (1–100) and `offset`; with `Accept: application/x-ndjson` the whole list comes, one record a line.
* **Streams** are server-sent events named after their records; the last is `end`, or `error` with a problem.
* **Limits** per minute are told by `X-RateLimit-Limit`, `-Remaining`, `-Reset`, and `Retry-After` when they are used up.
"""

TAGS = {
    "notebooks": "Research containers, and who may use them.",
    "sources": "What is brought in, in immutable versions.",
    "asking": "Search, and answers whose citations are facts.",
    "chats": "Conversations over a notebook, streamed.",
    "notes": "One's own texts.",
    "reports": "Pages about a notebook, made in the background.",
    "jobs": "Background work.",
    "accounts": "Users, sign-in, tokens.",
    "service": "Health, models, usage.",
}

_ERRORS: dict[int, type[errors.SbfError]] = {
    400: errors.BadRequest,
    401: errors.NotSignedIn,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: MethodNotAllowed,
    409: errors.Conflict,
    413: errors.RequestTooLarge,
    422: errors.InvalidInput,
    429: errors.TooManyRequests,
    431: HeadTooLarge,
    500: errors.SbfError,
    503: errors.StoreUnavailable,
}
_BEFORE = (405, 431)
"""What is answered before anybody counts a call."""
_ID = {"X-Request-ID": {"schema": {"type": "string"}, "description": "Under which the log has this request"}}
_LIMITS = {
    f"X-RateLimit-{name}": {"schema": {"type": "integer"}, "description": about}
    for name, about in (
        ("Limit", "Calls of this kind in a minute"),
        ("Remaining", "Calls left"),
        ("Reset", "Seconds until one more is left"),
    )
}
_WAIT = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}
_OF_ERROR: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
    405: {"Allow": {"schema": {"type": "string"}, "description": "Methods the path takes"}},
    429: _WAIT,
    503: _WAIT,
}
_EVENT = {
    "type": "object",
    "description": "One server-sent event; they are separated by empty lines.",
    "properties": {
        "event": {"type": "string", "description": "Class of the record, `error`, or `end`"},
        "id": {"type": "string", "description": "What to send as `Last-Event-ID` to go on from here"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["data"],
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes it safe to send this again: 1 to 200 visible ASCII characters, kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}


def install(app: FastAPI) -> None:
    """Serve the document at ``/openapi.json``."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    async def show() -> Response:
        return Response(json.dumps(document(), ensure_ascii=False), media_type="application/json")

    app.openapi = document  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", show, include_in_schema=False)


def build(app: FastAPI) -> dict[str, Any]:
    """Return the document of ``app``'s routes."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="Cited research over HTTP",
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    kinds = {kind.__name__: kind for kind in KINDS}
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API token."}
    }
    components["responses"] = {error.__name__: _problem(status, error) for status, error in _ERRORS.items()}
    components["schemas"]["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    _tighten(document["paths"])
    for name in kinds:
        _tighten(components["schemas"].get(name, {}))
    for item in document["paths"].values():
        for told in item.values():
            if (name := told.pop("x-operation", None)) is not None:
                _complete(told, kinds[name])
            else:
                _complete_probe(told)
    return document


def _complete(told: dict[str, Any], kind: type[Operation]) -> None:
    """Add to one operation what FastAPI cannot know."""
    told["security"] = [] if kind.public else [{"bearer": []}]
    if kind.creates:
        told.setdefault("parameters", []).append(_KEY)
    for media in told.get("requestBody", {}).get("content", {}).values():
        media["example"] = examples.request(kind)
    code, success = next((code, one) for code, one in told["responses"].items() if code.startswith("2"))
    success["headers"] = _ID | _LIMITS
    success["description"] = "Done" if kind.result is None else f"{kind.result.__name__}"
    if kind.streams:
        success["content"] = {"text/event-stream": {"schema": _EVENT, "example": examples.stream(kind)}}
    elif kind.result is not None:
        success["content"]["application/json"]["example"] = examples.result(kind)
        if has_lines(kind):
            success["content"][LINES] = {"schema": {"type": "string"}}
    if code == "201" and page_of(kind) is not None:
        about = "Path of what was made"
        success["headers"]["Location"] = {"schema": {"type": "string", "format": "uri-reference"}, "description": about}
    if kind.cached:
        success["headers"]["X-Cache"] = {"schema": {"type": "string", "enum": ["HIT", "MISS"]}}
    if kind.method == "GET" and not kind.streams:
        success["headers"]["ETag"] = {"schema": {"type": "string"}}
        about = "Not modified: the `ETag` sent in `If-None-Match` still holds"
        told["responses"]["304"] = {"description": about, "headers": success["headers"]}
    kept = {c: response for c, response in told["responses"].items() if c == "304"}
    problems = _problems(*(status for status in _ERRORS if not (kind.public and status == 403)))
    told["responses"] = {code: success, **kept, **problems}


def _complete_probe(told: dict[str, Any]) -> None:
    """Likewise to what is no operation: nobody counts it."""
    told["responses"]["200"]["headers"] = _ID
    told["responses"] |= _problems(*_BEFORE, *(int(code) for code in told["responses"] if code != "200"))


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{_ERRORS[status].__name__}"} for status in statuses}


def _tighten(schema: Any) -> None:
    """Say of every text that is taken that it has no NUL (no database holds one), and of every map which keys it takes."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        if schema.get("type") == "string" and not {"pattern", "format", "enum", "const"} & set(schema):
            schema["pattern"] = r"^[^\u0000]*$"
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            _tighten(part)


def _problem(status: int, error: type[errors.SbfError]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": (error.__doc__ or "").partition("\n")[0].rstrip("."),
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": examples.problem(error)}
        },
    }
    if status == 400:
        about = "From below the service: what was sent is no HTTP"
        told["content"]["text/plain"] = {"schema": {"type": "string", "description": about}}
    told["headers"] = _ID | ({} if status in _BEFORE else _LIMITS) | _OF_ERROR.get(status, {})
    return told


def dump() -> str:
    """Return the document as it is committed."""
    from sbf_api.app import create_app
    from sbf_api.settings import ServiceSettings

    return json.dumps(create_app(ServiceSettings()).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dump(), encoding="utf-8")
