"""What is written down: one line a request, with its id, without secrets, and nothing a client sends can forge a line."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from sbf_api import logs, problems
from sbf_api.logs import RequestLog, request_id
from sbf_api.metrics import Measured, Metrics
from sbf_api.redaction import DEEPEST, HIDDEN, redact, redact_text
from sbf_api.settings import ServiceSettings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
API_TOKEN = "sbf_" + "c4nary" * 7
CANARIES = {
    "password": "Canary-Passw0rd-1",
    "bearer": "canary-opaque-bearer-2",
    "api token": API_TOKEN,
    "jwt": JWT,
    "dsn": "canary-dsn-3",
    "cookie": "canary-cookie-4",
    "model key": "sk-canary0000000000005",
    "body": "canary-body-words-6",
}
DSN = f"postgresql://sbf:{CANARIES['dsn']}@db.internal:5432/sbf"


class SignIn(BaseModel):
    name: str
    password: str


def make_app(metrics: Metrics) -> FastAPI:
    app, settings = FastAPI(), ServiceSettings()
    library = logging.getLogger("some.library")
    problems.install(app)

    @app.post("/sign-in/{name}")
    async def sign_in(name: str, fields: SignIn, request: Request) -> dict[str, str]:
        request.scope["sbf.user"] = "user-1"
        library.warning("signing in with password=%s for %s", fields.password, name)
        library.info(
            "headers", extra={"authorization": request.headers["authorization"], "cookie": request.headers["cookie"]}
        )
        return {"request": request_id()}

    @app.post("/crash")
    async def crash(request: Request) -> None:
        password = (await request.json())["password"]
        raise RuntimeError(
            f"cannot connect to {DSN} as {{'password': '{password}', \"api_key\": \"{CANARIES['model key']}\"}}"
        )

    @app.post("/caught")
    async def caught(request: Request) -> None:
        try:
            raise ValueError(f"Authorization: {request.headers['authorization']}; Cookie: {request.headers['cookie']}")
        except ValueError:
            library.exception("refused %s", API_TOKEN)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> Any:
            yield b"data: 1\n\n"
            library.warning("in the stream")
            yield b"data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/broken-stream")
    async def broken() -> StreamingResponse:
        async def events() -> Any:
            yield b"data: 1\n\n"
            raise RuntimeError("in the middle")

        return StreamingResponse(events(), media_type="text/event-stream")

    app.add_middleware(Measured, settings=settings, metrics=metrics)
    app.add_middleware(RequestLog, settings=settings)
    return app


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers, root.level
    logs.configure(stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers, root.level = before, level


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics, written: io.StringIO) -> Iterator[TestClient]:
    with TestClient(make_app(metrics), raise_server_exceptions=False) as client:
        yield client


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def requests(written: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(written) if line["logger"] == "sbf_api.request"]


SENT = {"Authorization": f"Bearer {CANARIES['bearer']}", "Cookie": f"a=b; session={CANARIES['cookie']}"}


def test_a_request_leaves_one_line_with_template_status_time_and_size(client: TestClient, written: io.StringIO) -> None:
    answer = client.post("/sign-in/ada?q=1", json={"name": "ada", "password": "x"}, headers=SENT)
    (line,) = requests(written)
    assert line.pop("ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "sbf_api.request",
        "method": "POST",
        "route": "/sign-in/{name}",
        "status": 200,
        "bytes": len(answer.content),
        "user": "user-1",
        "client": "testclient",
        "request_id": answer.headers["x-request-id"],
    }


def test_every_line_of_a_request_has_its_id_also_those_of_libraries_and_streams(
    client: TestClient, written: io.StringIO
) -> None:
    answer = client.get("/stream", headers={"X-Request-ID": "trace.me_1-2"})
    assert answer.headers["x-request-id"] == "trace.me_1-2"
    assert [line["request_id"] for line in lines(written)] == ["trace.me_1-2"] * 2
    assert {line["event"] for line in lines(written)} == {"in the stream", "request"}
    assert request_id() == ""


@pytest.mark.parametrize("bad", ["", "a" * 65, "a b", "a\nb", 'a","level":"x', "ä", "${jndi:x}", "a;b", "\x00", JWT])
def test_a_malformed_request_id_is_replaced(client: TestClient, written: io.StringIO, bad: str) -> None:
    answer = client.get("/stream", headers=[(b"X-Request-ID", bad.encode())])  # type: ignore[list-item]
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert {line["request_id"] for line in lines(written)} == {answer.headers["x-request-id"]}


def test_a_crash_is_one_error_line_with_its_traceback_and_the_id_the_client_got(
    client: TestClient, written: io.StringIO
) -> None:
    answer = client.post("/crash", json={"password": "x"})
    (crash,) = [line for line in lines(written) if "exception" in line]
    assert crash["level"] == "error"
    assert "RuntimeError: cannot connect" in crash["exception"]
    assert crash["request_id"] == answer.json()["instance"]
    assert requests(written)[0]["status"] == 500


def test_a_stream_that_breaks_is_an_error_and_is_not_ended_properly(client: TestClient, written: io.StringIO) -> None:
    client.get("/broken-stream")
    (line,) = requests(written)
    assert (line["level"], line["status"]) == ("error", 200)
    assert "in the middle" in line["exception"]


def test_a_request_that_is_cancelled_before_its_answer_is_logged_as_gone(written: io.StringIO) -> None:
    import asyncio

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        scope = {"type": "http", "method": "GET", "headers": [], "client": None}
        task = asyncio.create_task(RequestLog(hang, ServiceSettings())(scope, None, None))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert requests(written)[0]["status"] == 499


def test_nothing_a_client_sends_forges_a_line_or_a_label(client: TestClient, written: io.StringIO) -> None:
    forged = '\n{"event": "request", "status": 200, "user": "admin"}\r\n\x85\u2028\x1b[31m'
    client.post(f"/sign-in/{'%0a%7B%22event%22%3A1%7D'}", json={"name": "x", "password": "y"}, headers=SENT)
    client.get("/nowhere%0d%0aX: 1", headers=[(b"User-Agent", forged.encode())])  # type: ignore[list-item]
    client.request("BREW", "/stream")
    logging.getLogger("some.library").warning("name %s", forged, extra={"title\n": forged})
    raw = written.getvalue()
    assert re.fullmatch(r"(?:[\x20-\x7e]+\n)+", raw)
    assert all(set(line) >= {"event", "level", "logger", "timestamp"} for line in lines(written))
    assert [line["route"] for line in requests(written)] == ["/sign-in/{name}", "other", "/stream"]
    assert requests(written)[2]["method"] == "other"
    assert not [line for line in lines(written) if line.get("user") == "admin"]


async def test_canary_secrets_reach_neither_log_nor_metrics_nor_the_answer_to_a_crash(
    client: TestClient, written: io.StringIO, metrics: Metrics
) -> None:
    body = {"name": "ada", "password": CANARIES["password"], "text": CANARIES["body"]}
    hidden_in = f"?token={API_TOKEN}&jwt={JWT}"
    for path in ("/sign-in/ada", "/crash", "/caught", "/nowhere", f"/sign-in/{API_TOKEN}", "/sign-in/x/y"):
        answer = client.post(path + hidden_in, json=body, headers=SENT)
        if answer.status_code >= 400:
            assert not [name for name, secret in CANARIES.items() if secret in answer.text]
    client.post("/sign-in/ada" + hidden_in, json={"password": [CANARIES["password"]]}, headers=SENT)
    logging.getLogger("some.library").error(
        "settings: %s", {"database_url": DSN, "token": SecretStr(JWT), "k": [JWT, DSN]}
    )
    logging.getLogger("some.library").error(
        "event", extra={"nested": {"list": [{"signing_key": CANARIES["model key"]}]}}
    )
    assert len(lines(written)) >= 12
    everything = written.getvalue() + (await metrics.page()).decode()
    assert {name: secret in everything for name, secret in CANARIES.items()} == dict.fromkeys(CANARIES, False)
    assert everything.count(HIDDEN) >= 8


def test_warnings_and_uncaught_errors_of_the_process_are_lines_too() -> None:
    code = (
        "import warnings; from sbf_api import logs; logs.configure(); warnings.warn('old'); "
        "import logging; logging.getLogger('uvicorn.access').info('GET /?token=1')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer abc.def-1", "Bearer [hidden]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: [hidden]"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': [hidden]}"),
        ('{"password": "correct horse", "name": "a"}', '{"password": [hidden], "name": "a"}'),
        (r"{\"password\": \"hunter2\"}", r"{\"password\": [hidden]"),
        ("password=hunter2&next=1", "password=[hidden]&next=1"),
        ("host=db password=hunter2 user=sbf", "host=db password=[hidden] user=sbf"),
        ("postgresql://sbf:p@ss:w@db/x?y", "postgresql://sbf:[hidden]@db/x?y"),
        ("redis://:secretword@cache:6379/0", "redis://:[hidden]@cache:6379/0"),
        (f"token {JWT} refused", "token [hidden] refused"),
        (f"{API_TOKEN}!", "[hidden]!"),
        (f"with {API_TOKEN.replace('sbf', 'sbr')}.", "with [hidden]."),
        (f"with {API_TOKEN.replace('sbf', 'sbi')}.", "with [hidden]."),
        ("Set-Cookie: a=1; b=2", "Set-Cookie: [hidden]"),
        ("[SQL: x]\n[parameters: {'a': 1}]", "[SQL: x]\n[parameters: [hidden]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END", "-----BEGIN PRIVATE KEY-----[hidden]-----END"),
        ("refresh_token=a.b;", "refresh_token=[hidden];"),
        # no secrets
        ("https://example.org:8080/a@b", "https://example.org:[hidden]@b"),
        ("input_tokens=12, 3 tokens", "input_tokens=12, 3 tokens"),
        ("sbf_kernel.storage.database", "sbf_kernel.storage.database"),
        ("the secret of good keys", "the secret of good keys"),
        ("https://example.org:8080/path", "https://example.org:8080/path"),
    ],
)
def test_secrets_are_found_in_text(text: str, expected: str) -> None:
    assert redact_text(text) == expected
    assert redact_text(expected) == expected


def test_secrets_are_found_by_their_key_at_any_depth() -> None:
    given: Any = {
        "a": [{"api_key": "x", "tokens": 3, "input_tokens": 4, "token": 5, "secret": None, "cookies": {"a": "b"}}]
    }
    assert redact(given) == {
        "a": [{"api_key": HIDDEN, "tokens": 3, "input_tokens": 4, "token": HIDDEN, "secret": None, "cookies": HIDDEN}]
    }
    deep: Any = "x"
    for _ in range(DEEPEST + 5):
        deep = [deep]
    assert HIDDEN in str(redact(deep))
    assert redact({"data": b"1234", "when": SecretStr("x"), "flag": True, "n": 1.5}) == {
        "data": "[4 bytes]", "when": "**********", "flag": True, "n": 1.5,
    }  # fmt: skip


@given(
    st.sampled_from(
        ["password=", '"password": "', "Authorization: Bearer ", "postgresql://u:", "api_key='", "x-api-key: "]
    ),
    st.from_regex(r"[A-Za-z0-9_!$%*+^~-]{8,40}", fullmatch=True),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_a_secret_is_hidden_whatever_stands_around_it(lead: str, secret: str, before: str, after: str) -> None:
    end = "@db/x" if lead.startswith("postgresql") else '"' if '"' in lead else "'" if "'" in lead else " "
    assert f"{lead}Q{secret}" not in redact_text(f"{before} {lead}Q{secret}{end} {after}")


@pytest.mark.parametrize(
    "piece", ["a://b:", "password=", 'password="', "eyJaaaaa.", "sbf_", "bearer ", "[parameters: ", "a_", "key_key"]
)
def test_a_long_hostile_text_is_searched_to_its_end(piece: str) -> None:
    assert len(redact_text(piece * (200_000 // len(piece)))) > 0
