"""Response headers of every kind of answer, and which origins may call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.testclient import TestClient

from sbf_api import problems
from sbf_api.headers import ExactCors, SecurityHeaders
from sbf_api.logs import RequestLog
from sbf_api.metrics import Measured, Metrics
from sbf_api.settings import ServiceSettings
from sbf_kernel.errors import InvalidInput, NotSignedIn, RequestTooLarge, StoreBusy, TooManyRequests

TRUSTED = "https://trusted.com"
SNAPSHOT = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "vary": "Authorization, Origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ERRORS = {401: NotSignedIn, 413: RequestTooLarge, 429: TooManyRequests, 503: StoreBusy}


def make_app(settings: ServiceSettings) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/fine")
    async def fine() -> dict[str, int]:
        return {"a": 1}

    @app.get("/own")
    async def own() -> Response:
        headers = {"Cache-Control": "public, max-age=5", "X-Frame-Options": "ALLOWALL", "Vary": "Accept, Authorization"}
        return Response("x", headers={**headers, "Content-Security-Policy": "default-src 'self'"})

    @app.get("/tagged")
    async def tagged() -> Response:
        return JSONResponse({}, headers={"ETag": '"1"'})

    @app.get("/status/{code}")
    async def status(code: int) -> None:
        raise ERRORS[code]("no")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("nobody foresaw this")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    app.add_middleware(Measured, settings=settings, metrics=Metrics())
    for middleware in (RequestLog, ExactCors, SecurityHeaders):
        app.add_middleware(middleware, settings=settings)  # type: ignore[arg-type]
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    settings = ServiceSettings(https=True, cors_origins=(TRUSTED, "http://localhost:8888"))
    with TestClient(make_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fine", 200),
        ("GET", "/stream", 200),
        ("GET", "/status/401", 401),
        ("GET", "/nowhere", 404),
        ("POST", "/fine", 405),
        ("GET", "/status/413", 413),
        ("GET", "/status/nan", 422),
        ("GET", "/status/429", 429),
        ("GET", "/crash", 500),
        ("GET", "/status/503", 503),
    ],
)
def test_every_answer_has_the_same_security_headers(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in SNAPSHOT} == SNAPSHOT
    for name in SNAPSHOT:
        assert len(answer.headers.get_list(name)) == 1
    assert "access-control-allow-origin" not in answer.headers
    assert len(answer.headers["x-request-id"]) == 32


def test_a_crash_tells_nothing_of_the_inside(client: TestClient) -> None:
    answer = client.get("/crash", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == answer.headers["x-request-id"] == "mine-1"
    assert "nobody foresaw" not in answer.text
    assert "RuntimeError" not in answer.text


def test_a_route_may_choose_its_policy_and_how_long_it_is_kept_but_not_drop_the_rest(client: TestClient) -> None:
    answer = client.get("/own")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["cache-control"] == "public, max-age=5"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["vary"] == "Authorization, Origin, Accept"


def test_what_has_an_etag_may_be_kept_by_the_client_alone(client: TestClient) -> None:
    assert client.get("/tagged").headers["cache-control"] == "private, no-cache"


def test_plain_http_promises_no_https() -> None:
    with TestClient(make_app(ServiceSettings())) as client:
        answer = client.get("/fine", headers={"Origin": TRUSTED})
        assert "strict-transport-security" not in answer.headers
        assert answer.headers["vary"] == "Authorization"
        assert "access-control-allow-origin" not in answer.headers
        preflight = {"Origin": TRUSTED, "Access-Control-Request-Method": "GET"}
        assert client.options("/fine", headers=preflight).status_code == 405


HOSTILE = [
    "null",
    "*",
    "",
    "https://trusted.com.evil.com",
    "https://eviltrusted.com",
    "https://evil.com/https://trusted.com",
    "https://trusted.com@evil.com",
    "https://sub.trusted.com",
    "http://trusted.com",
    "https://trusted.com:443",
    "https://trusted.com:8443",
    "https://trusted.com/",
    "https://trusted.com ,https://evil.com",
    "https://TRUSTED.com",
    "HTTPS://trusted.com",
    "https://trusted.com%00.evil.com",
    "https://trusted_com",
    "https://trustedXcom",
    "http://localhost",
    "http://localhost:8889",
    "http://localhost:8888.evil.com",
    "file://",
]


@pytest.mark.parametrize("origin", HOSTILE)
def test_another_origin_gets_no_leave(client: TestClient, origin: str) -> None:
    for path in ("/fine", "/status/401", "/crash"):
        answer = client.get(path, headers={"Origin": origin})
        assert not [
            name
            for name in answer.headers
            if name in ("access-control-allow-origin", "access-control-allow-credentials")
        ]
        assert "Origin" in answer.headers["vary"]
    asked = client.options("/fine", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize("origin", [TRUSTED, "http://localhost:8888"])
def test_a_trusted_origin_gets_leave_for_itself_and_never_for_cookies(client: TestClient, origin: str) -> None:
    for path in ("/fine", "/status/429", "/crash", "/stream"):
        answer = client.get(path, headers={"Origin": origin})
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert "X-RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    asked = client.options(
        "/fine",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type, idempotency-key, last-event-id",
        },
    )
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == origin
    assert asked.headers["x-content-type-options"] == "nosniff"
    refused = {"Origin": origin, "Access-Control-Request-Method": "TRACE"}
    assert client.options("/fine", headers=refused).status_code == 400


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://trusted.com/", "https://Trusted.com", "trusted.com", "https://*.trusted.com", "https://a.com:443",
     "http://a.com:80", "ftp://a.com", "https://user@a.com", "https://a.com?x", "https://a.com\n", " https://a.com", ""],
)  # fmt: skip
def test_what_no_browser_sends_is_refused_as_a_setting(origin: str) -> None:
    with pytest.raises(InvalidInput, match="SBF_CORS_ORIGINS"):
        ExactCors(Response("x"), ServiceSettings(cors_origins=(origin,)))


async def test_other_protocols_pass_untouched() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    settings = ServiceSettings()
    outermost = SecurityHeaders(RequestLog(Measured(app, settings, Metrics()), settings), settings)
    await outermost({"type": "lifespan"}, "receive", "send")  # type: ignore[arg-type]
    assert seen == [({"type": "lifespan"}, "receive", "send")]
