"""Figures for Prometheus: requests by route template, streams, refusals, the cache, the database, jobs.

Labels come from short fixed lists, never from what a client sends, so the
number of series is bounded whatever is asked for. With
``PROMETHEUS_MULTIPROC_DIR`` set before the first import of this module (to an
empty directory), the figures of all processes of a host are added up.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sbf_api.logs import CLIENT_GONE, method_of, route_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sbf_api.settings import ServiceSettings

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; the goals for p95 are 0.05, 0.1 and 0.25."""
ASK_SECONDS = 2.0
"""Longest wait for figures that come from the database; without them the page has the others."""
FORWARDED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"})
_LIVE_FILE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")
_log = logging.getLogger(__name__)


class Metrics:
    """All figures of this process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
        own = self.registry = CollectorRegistry()
        by_route = ("method", "route", "status")
        self.requests = Counter("sbf_http_requests", "Requests answered.", by_route, registry=own)
        self.seconds = Histogram(
            "sbf_http_request_seconds",
            "Time to the end of the answer; of a stream, to its begin.",
            by_route,
            buckets=BUCKETS,
            registry=own,
        )
        self.in_flight = Gauge(
            "sbf_http_requests_in_flight", "Requests being handled.", registry=own, multiprocess_mode="livesum"
        )
        self.streams = Gauge("sbf_http_streams_open", "Open event streams.", registry=own, multiprocess_mode="livesum")
        self.refusals = Counter("sbf_rate_limit_refusals", "Calls over an allowance.", ("route",), registry=own)
        self.cache = Counter("sbf_cache_lookups", "Replies from the cache (hit) or not.", ("result",), registry=own)
        self.pool = Gauge(
            "sbf_db_connections_in_use", "Database connections in use.", registry=own, multiprocess_mode="livesum"
        )
        self.breaker = Gauge(
            "sbf_redis_breaker_open", "1 while Redis is not asked.", registry=own, multiprocess_mode="livemax"
        )
        self.jobs = Gauge(
            "sbf_jobs", "Background jobs by status.", ("status",), registry=own, multiprocess_mode="livemostrecent"
        )
        self._statuses: set[str] = set()
        self._pool_in_use: Callable[[], int] | None = None
        self._breaker_open: Callable[[], bool] | None = None
        self._jobs_by_status: Callable[[], Awaitable[Mapping[str, int]]] | None = None

    def watch(
        self,
        *,
        pool_in_use: Callable[[], int] | None = None,
        breaker_open: Callable[[], bool] | None = None,
        jobs_by_status: Callable[[], Awaitable[Mapping[str, int]]] | None = None,
    ) -> None:
        """Say where figures come from that are looked up instead of counted.

        Parameters
        ----------
        pool_in_use, breaker_open
            Looked at after each request and for each scrape; must be cheap.
        jobs_by_status
            Asked for each scrape only: it costs a query.
        """
        self._pool_in_use, self._breaker_open, self._jobs_by_status = pool_in_use, breaker_open, jobs_by_status

    def sample(self) -> None:
        """Look at what is not counted."""
        if self._pool_in_use is not None:
            self.pool.set(self._pool_in_use())
        if self._breaker_open is not None:
            self.breaker.set(self._breaker_open())

    async def page(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        self.sample()
        await self._count_jobs()
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if not directory:
            return generate_latest(self.registry)
        _forget_dead(Path(directory))
        together = CollectorRegistry()
        MultiProcessCollector(together, directory)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    async def _count_jobs(self) -> None:
        if self._jobs_by_status is None:
            return
        try:
            counts = await asyncio.wait_for(self._jobs_by_status(), ASK_SECONDS)
        except Exception as error:  # noqa: BLE001 - a database that is away must not hide the other figures
            _log.warning("jobs could not be counted: %s", error)
            return
        self._statuses |= counts.keys()
        for status in self._statuses:
            self.jobs.labels(status).set(counts.get(status, 0))


@cache
def of_process() -> Metrics:
    """Return the figures of this process."""
    return Metrics()


def _forget_dead(directory: Path) -> None:
    """Drop the gauges of processes that are gone, also of killed ones."""
    for file in directory.glob("gauge_live*.db"):
        found = _LIVE_FILE.fullmatch(file.name)
        if found and not _alive(int(found[1])):
            mark_process_dead(int(found[1]), str(directory))  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Measured:
    """ASGI middleware: counts and times requests. Goes inside :class:`sbf_api.logs.RequestLog`, which answers for crashes."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, metrics: Metrics | None = None) -> None:
        self.app = app
        self._metrics = metrics or of_process()
        self._known: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        metrics, seen = self._metrics, _Seen(send, self._metrics)
        metrics.in_flight.inc()
        started = time.perf_counter()
        try:
            await self.app(scope, receive, seen)
        except Exception:
            seen.status = seen.status or 500  # what the log makes of it
            raise
        finally:
            end = seen.began if seen.streams else time.perf_counter()
            metrics.in_flight.dec()
            if seen.streams:
                metrics.streams.dec()
            self._count(method_of(scope), route_of(scope), seen.status or CLIENT_GONE, end - started)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        metrics, labels = self._metrics, (method, route, f"{status // 100}xx")
        known = self._known.get(labels)
        if known is None:
            known = self._known[labels] = (metrics.requests.labels(*labels), metrics.seconds.labels(*labels))
        known[0].inc()
        known[1].observe(seconds)
        if status == 429:
            metrics.refusals.labels(route).inc()
        metrics.sample()


class _Seen:
    """Stands for ``send``: remembers status and kind of the answer."""

    def __init__(self, send: Send, metrics: Metrics) -> None:
        self._send = send
        self._metrics = metrics
        self.status = 0
        self.began = 0.0
        self.streams = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.began = message["status"], time.perf_counter()
            for name, value in message.get("headers", ()):
                if name == b"x-cache":
                    self._metrics.cache.labels("hit" if value == b"HIT" else "miss").inc()
                elif name == b"content-type" and value.startswith(b"text/event-stream"):
                    self.streams = True
                    self._metrics.streams.inc()
        await self._send(message)


def router(settings: ServiceSettings, metrics: Metrics | None = None) -> APIRouter:
    """Return the route ``/metrics``; who may not see it gets the 404 of any unknown path."""
    shown = metrics or of_process()

    async def show(request: Request) -> Response:
        if not _may_see(request, settings):
            raise HTTPException(404)
        return Response(await shown.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    made = APIRouter()
    made.add_api_route("/metrics", show, include_in_schema=False)
    return made


def _may_see(request: Request, settings: ServiceSettings) -> bool:
    """Whoever has the token, and programs on this machine.

    A proxy on this machine connects from here too, for anybody: what came
    through one needs the token.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if settings.metrics_token is not None and scheme.lower() == "bearer":
        wanted = settings.metrics_token.get_secret_value()
        if hmac.compare_digest(given.strip().encode(), wanted.encode()):
            return True
    if any(name in FORWARDED for name, _ in request.scope["headers"]) or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:  # a unix socket has no address
        return False
