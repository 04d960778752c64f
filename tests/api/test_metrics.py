"""The figures: bounded series, right counts, added up over processes, shown to whom they are meant for."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient

from sbf_api import metrics as figures
from sbf_api import problems
from sbf_api.metrics import Measured, Metrics
from sbf_api.settings import ServiceSettings
from sbf_kernel.errors import TooManyRequests

TOKEN = "a-token-for-metrics"
LOCAL = ("127.0.0.1", 5000)


def make_app(metrics: Metrics, settings: ServiceSettings) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/notebooks/{name}")
    async def notebook(name: str) -> Response:
        return Response("x", headers={"X-Cache": "HIT" if name == "known" else "MISS"})

    @app.get("/refused")
    async def refused() -> None:
        raise TooManyRequests("too many")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("no")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            for _ in range(2):
                now = await values(metrics)
                yield f"data: {now['sbf_http_streams_open']} {now['sbf_http_requests_in_flight']}\n\n".encode()
                await asyncio.sleep(0.3)

        return StreamingResponse(events(), media_type="text/event-stream")

    app.include_router(figures.router(settings, metrics))
    app.add_middleware(Measured, settings=settings, metrics=metrics)
    return app


async def values(metrics: Metrics) -> dict[str, float]:
    return parsed((await metrics.page()).decode())


def parsed(page: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> Iterator[TestClient]:
    settings = ServiceSettings(metrics_token=TOKEN)  # type: ignore[arg-type]
    with TestClient(make_app(metrics, settings), raise_server_exceptions=False, client=LOCAL) as client:
        yield client


def test_requests_are_counted_by_method_template_and_class_of_status(client: TestClient) -> None:
    for path in (
        "/notebooks/known",
        "/notebooks/new",
        "/notebooks/newer",
        "/refused",
        "/crash",
        "/nowhere",
        "/nowhere/else",
    ):
        client.get(path)
    client.post("/notebooks/known")
    client.request("BREW", "/notebooks/known")
    now = parsed(client.get("/metrics").text)
    counted = {key: value for key, value in now.items() if key.startswith("sbf_http_requests_total")}
    assert counted == {
        "sbf_http_requests_total{method=GET,route=/notebooks/{name},status=2xx}": 3,
        "sbf_http_requests_total{method=POST,route=/notebooks/{name},status=4xx}": 1,
        "sbf_http_requests_total{method=other,route=/notebooks/{name},status=4xx}": 1,
        "sbf_http_requests_total{method=GET,route=/refused,status=4xx}": 1,
        "sbf_http_requests_total{method=GET,route=/crash,status=5xx}": 1,
        "sbf_http_requests_total{method=GET,route=other,status=4xx}": 2,
    }
    assert now["sbf_http_request_seconds_count{method=GET,route=/notebooks/{name},status=2xx}"] == 3
    assert now["sbf_rate_limit_refusals_total{route=/refused}"] == 1
    assert now["sbf_cache_lookups_total{result=hit}"] == 1
    assert now["sbf_cache_lookups_total{result=miss}"] == 2
    assert now["sbf_http_requests_in_flight"] == 1  # the one that asks


async def test_ten_thousand_random_paths_add_no_series(metrics: Metrics) -> None:
    app, dice = make_app(metrics, ServiceSettings()), random.Random(7)
    for path in ("/nowhere", "/notebooks/a"):
        await get(app, path)
    before = set(await values(metrics))
    for number in range(10_000):
        await get(
            app, f"/{uuid.UUID(int=dice.getrandbits(128))}" if number % 2 else f"/notebooks/{dice.getrandbits(64):x}"
        )
    after = await values(metrics)
    assert set(after) == before
    assert after["sbf_http_requests_total{method=GET,route=other,status=4xx}"] == 5_001


async def get(app: FastAPI, path: str) -> None:
    """Send one request without a server or client around it: they take most of the time."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    await app(
        {**scope, "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": [], "client": LOCAL,
         "server": ("127.0.0.1", 80), "state": {}},
        receive,
        send,
    )  # fmt: skip


def test_a_stream_is_open_until_its_end_and_timed_to_its_begin(client: TestClient, metrics: Metrics) -> None:
    assert client.get("/stream").text == "data: 1.0 1.0\n\n" * 2
    now = asyncio.run(values(metrics))
    assert now["sbf_http_streams_open"] == now["sbf_http_requests_in_flight"] == 0
    assert now["sbf_http_request_seconds_sum{method=GET,route=/stream,status=2xx}"] < 0.3


async def test_what_is_not_counted_is_looked_up_when_somebody_asks(metrics: Metrics) -> None:
    asked = []

    async def jobs() -> Mapping[str, int]:
        asked.append(1)
        return {"queued": 3, "failed": 1}

    metrics.watch(pool_in_use=lambda: 5, breaker_open=lambda: True, jobs_by_status=jobs)
    metrics.sample()
    assert asked == []
    now = await values(metrics)
    assert (now["sbf_jobs{status=queued}"], now["sbf_jobs{status=failed}"]) == (3, 1)
    assert (now["sbf_db_connections_in_use"], now["sbf_redis_breaker_open"]) == (5, 1)


async def test_a_status_no_job_has_any_more_goes_back_to_zero(metrics: Metrics) -> None:
    answers = iter([{"queued": 3}, {"done": 3}])

    async def jobs() -> Mapping[str, int]:
        return next(answers)

    metrics.watch(jobs_by_status=jobs)
    await metrics.page()
    now = await values(metrics)
    assert (now["sbf_jobs{status=queued}"], now["sbf_jobs{status=done}"]) == (0, 3)


async def test_a_database_that_is_away_hides_only_its_own_figures(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang() -> Mapping[str, int]:
        await asyncio.sleep(60)
        return {}

    monkeypatch.setattr(figures, "ASK_SECONDS", 0.05)
    metrics.watch(jobs_by_status=hang)
    assert "sbf_http_requests_in_flight" in await values(metrics)
    assert "jobs could not be counted" in caplog.text


@pytest.mark.parametrize(
    ("client_address", "headers", "status"),
    [
        (("127.0.0.1", 1), {}, 200),
        (("127.8.8.8", 1), {}, 200),
        (("::1", 1), {}, 200),
        (("10.0.0.5", 1), {}, 404),
        (("8.8.8.8", 1), {}, 404),
        (("", 0), {}, 404),
        (("testclient", 1), {}, 404),
        (("8.8.8.8", 1), {"Authorization": f"Bearer {TOKEN}"}, 200),
        (("8.8.8.8", 1), {"Authorization": f"bearer  {TOKEN}"}, 200),
        (("8.8.8.8", 1), {"Authorization": f"Bearer {TOKEN}x"}, 404),
        (("8.8.8.8", 1), {"Authorization": TOKEN}, 404),
        (("8.8.8.8", 1), {"Authorization": "Bearer "}, 404),
        (("8.8.8.8", 1), {"Authorization": "Bearer ä".encode()}, 404),
        # through a proxy on this machine: it connects from here for anybody
        (("127.0.0.1", 1), {"X-Forwarded-For": "127.0.0.1"}, 404),
        (("127.0.0.1", 1), {"X-Forwarded-For": "8.8.8.8"}, 404),
        (("127.0.0.1", 1), {"Forwarded": "for=127.0.0.1"}, 404),
        (("127.0.0.1", 1), {"X-Real-IP": "127.0.0.1"}, 404),
        (("127.0.0.1", 1), {"Via": "1.1 proxy"}, 404),
        (("127.0.0.1", 1), {"X-Forwarded-For": "8.8.8.8", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_the_page_is_for_this_machine_and_for_who_has_the_token(
    metrics: Metrics, client_address: tuple[str, int], headers: dict[str, Any], status: int
) -> None:
    settings = ServiceSettings(metrics_token=TOKEN)  # type: ignore[arg-type]
    with TestClient(make_app(metrics, settings), client=client_address) as client:
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == status
        if status == 404:
            nowhere = client.get("/nowhere")
            assert answer.text == nowhere.text.replace("/nowhere", "/metrics")
            assert sorted(answer.headers) == sorted(nowhere.headers)
        else:
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_without_a_token_in_the_settings_no_token_is_right(metrics: Metrics) -> None:
    with TestClient(make_app(metrics, ServiceSettings()), client=("8.8.8.8", 1)) as client:
        for given in ("Bearer None", "Bearer ", "Bearer"):
            assert client.get("/metrics", headers={"Authorization": given}).status_code == 404


def test_a_short_token_is_refused_as_a_setting() -> None:
    with pytest.raises(ValueError, match="metrics_token"):
        ServiceSettings(metrics_token="short")  # type: ignore[arg-type]


PROCESS = textwrap.dedent("""
    import asyncio, json, sys
    from sbf_api.metrics import of_process
    metrics = of_process()
    metrics.requests.labels("GET", "/a", "2xx").inc(int(sys.argv[1]))
    metrics.in_flight.set(2)
    metrics.watch(pool_in_use=lambda: 3, breaker_open=lambda: sys.argv[1] == "5")
    metrics.sample()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(metrics.page()).decode()), flush=True)
""")


def test_processes_are_added_up_and_a_killed_one_leaves_only_its_counts(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for count in ("5", "7")
    ]
    try:
        assert [process.stdout.readline() for process in started if process.stdout] == ["ready\n"] * 2
        both = ask(started[1])
        assert both["sbf_http_requests_total{method=GET,route=/a,status=2xx}"] == 12
        assert (
            both["sbf_http_requests_in_flight"],
            both["sbf_db_connections_in_use"],
            both["sbf_redis_breaker_open"],
        ) == (4, 6, 1)
        started[0].kill()
        started[0].wait()
        one = ask(started[1])
        assert one["sbf_http_requests_total{method=GET,route=/a,status=2xx}"] == 12
        assert (
            one["sbf_http_requests_in_flight"],
            one["sbf_db_connections_in_use"],
            one["sbf_redis_breaker_open"],
        ) == (2, 3, 0)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin and process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return parsed(json.loads(process.stdout.readline()))


def test_every_name_is_ours_and_follows_the_naming_rules(client: TestClient) -> None:
    for path in ("/notebooks/known", "/refused", "/stream"):
        client.get(path)
    names = set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, re.MULTILINE))
    assert len(names) == 9
    assert all(re.fullmatch(r"sbf_[a-z_]+", name) for name in names)
