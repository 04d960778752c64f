"""What Sentry and a trace collector get: errors and spans, without secrets. Each in a process of its own: both patch globals."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from sbf_api import tracing
from sbf_api.settings import ServiceSettings
from sbf_kernel.errors import MissingExtra

CANARIES = (
    "Canary-Passw0rd-1",
    "canary-bearer-2",
    "canary-dsn-3",
    "canary-cookie-4",
    "canary-query-5",
    "canary-local-6",
    "canary-body-7",
)
APP = textwrap.dedent("""
    import json, logging, sys
    from fastapi import FastAPI, Request
    from pydantic import SecretStr
    from starlette.testclient import TestClient
    from sbf_api import tracing
    from sbf_api.headers import SecurityHeaders
    from sbf_api.logs import RequestLog
    from sbf_api.settings import ServiceSettings

    def call(settings):
        app = FastAPI()

        @app.post("/crash/{name}")
        async def crash(name: str, request: Request):
            password = "canary-local-6"
            body = await request.json()
            logging.getLogger("library").warning("breadcrumb password=%s", body["password"])
            raise RuntimeError("cannot reach postgresql://sbf:canary-dsn-3@db/x with Bearer canary-bearer-2")

        @app.get("/fine/{name}")
        async def fine(name: str):
            return {}

        app.add_middleware(RequestLog, settings=settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            sent = {"Authorization": "Bearer canary-bearer-2", "Cookie": "a=canary-cookie-4"}
            body = {"password": "Canary-Passw0rd-1", "text": "canary-body-7"}
            assert client.post("/crash/a?token=canary-query-5", json=body, headers=sent).status_code == 500
            assert client.get("/fine/a?token=canary-query-5", headers=sent).status_code == 200
""")
SENTRY = APP + textwrap.dedent("""
    from sentry_sdk.transport import Transport

    class Kept(Transport):
        def capture_envelope(self, envelope):
            for item in envelope.items:
                if item.headers.get("type") == "event":
                    print(json.dumps(item.payload.json, default=str))

    settings = ServiceSettings(sentry_dsn=SecretStr("https://key@127.0.0.1/1"))
    stop = tracing.start(settings, transport=Kept())
    call(settings)
    stop()
""")
SPANS = APP + textwrap.dedent("""
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    settings = ServiceSettings(otlp_endpoint="http://127.0.0.1:1")
    stop = tracing.start(settings, exporter=kept)
    call(settings)
    from opentelemetry import trace
    with trace.get_tracer("t").start_as_current_span("own password=canary-local-6", attributes={"api_key": "canary-query-5"}) as span:
        span.record_exception(ValueError("Bearer canary-bearer-2"))
    trace.get_tracer_provider().force_flush()
    for span in kept.get_finished_spans():
        print(json.dumps(json.loads(span.to_json())))
    stop()
""")


def run(code: str) -> tuple[list[dict[str, Any]], str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stdout


def test_sentry_gets_the_error_with_its_route_and_no_secret() -> None:
    events, everything = run(SENTRY)
    crashes = [event for event in events if "exception" in event]
    assert crashes
    assert crashes[0]["exception"]["values"][-1]["type"] == "RuntimeError"
    assert "cannot reach postgresql://sbf:[hidden]@db/x" in everything
    assert [name for name in CANARIES if name in everything] == []
    for event in events:
        assert set(event.get("request", {})) <= {"method", "url"}
        assert "user" not in event
        frames = [f for one in event.get("exception", {}).get("values", ()) for f in one["stacktrace"]["frames"]]
        assert not [frame for frame in frames if "vars" in frame]


def test_a_collector_gets_spans_by_route_and_no_secret() -> None:
    spans, everything = run(SPANS)
    names = {span["name"] for span in spans}
    assert {"POST /crash/{name}", "GET /fine/{name}"} <= names
    assert [name for name in CANARIES if name in everything] == []
    assert "own password=[hidden]" in names
    assert spans[0]["resource"]["attributes"]["service.name"] == "sbf"
    assert not [span for span in spans if set(span["attributes"]) & tracing.LEFT_OUT]


@pytest.mark.parametrize(
    ("configured", "package", "cure"),
    [
        ({"sentry_dsn": "https://key@127.0.0.1/1"}, "sentry_sdk", "server,sentry"),
        (
            {"otlp_endpoint": "http://127.0.0.1:1"},
            "opentelemetry.exporter.otlp.proto.http.trace_exporter",
            "server,tracing",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_cure(
    configured: dict[str, Any], package: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=cure):
        tracing.start(ServiceSettings(**configured))


def test_nothing_is_loaded_when_nothing_is_configured() -> None:
    code = (
        "import sys; from sbf_api import tracing; from sbf_api.settings import ServiceSettings; tracing.start(ServiceSettings())();"
        "print([n for n in ('sentry_sdk', 'opentelemetry.sdk') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
