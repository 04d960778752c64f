"""The ASGI application: routes, middleware, and what is opened and closed with it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

import sbf_kernel
from sbf_api import documentation, logs, metrics, openapi, problems, routing, tracing, uploads, working
from sbf_api.body import BodyLimit
from sbf_api.cache import CachedEmbedder, ResponseCache
from sbf_api.connections import RequestLimit
from sbf_api.headers import ExactCors, SecurityHeaders
from sbf_api.health import probes
from sbf_api.limits import Limiter, Streams
from sbf_api.logs import RequestLog
from sbf_api.metrics import Measured
from sbf_api.service import Service
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import SharedMemory
from sbf_api.streaming import STOPPING
from sbf_kernel.jobs.worker import name_connections
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp


def create_app(settings: ServiceSettings | None = None, runtime: Runtime | None = None) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    settings
        Default: from the environment.
    runtime
        One that is open already and stays open; default: the application opens its own.
    """
    chosen = settings or ServiceSettings()
    app = FastAPI(
        title="Second Brain Foundation",
        version=sbf_kernel.__version__,
        description=openapi.ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda app: _life(app, chosen, runtime),
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(probes())
    uploads.install(app)
    routing.install(app)
    app.include_router(metrics.router(chosen))
    openapi.install(app)
    documentation.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, settings=chosen)
    app.add_middleware(RequestLimit, settings=chosen)
    app.add_middleware(Measured, settings=chosen)
    app.add_middleware(RequestLog, settings=chosen)
    app.add_middleware(ExactCors, settings=chosen)
    app.add_middleware(SecurityHeaders, settings=chosen)
    return app


@asynccontextmanager
async def _life(app: FastAPI, settings: ServiceSettings, given: Runtime | None) -> AsyncIterator[dict[str, Any]]:
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        runtime = given or await _opened(stack, settings, stopping)
        stack.callback(tracing.start(settings))
        shared = SharedMemory(settings)
        stack.push_async_callback(shared.close)
        _watch(runtime, shared)
        if given is None and runtime.embedder is not None:
            runtime.embedder = CachedEmbedder(runtime.embedder, shared)
        app.state.service = Service(
            settings, runtime, Limiter(settings, shared), ResponseCache(shared), Streams(settings.streams_per_user)
        )
        yield {STOPPING: stopping}


async def _opened(stack: AsyncExitStack, settings: ServiceSettings, stopping: asyncio.Event) -> Runtime:
    """Open what the application needs; unless others work on its queue, it does so itself until it is ``stopping``."""
    alone = settings.jobs == "here"
    if alone:
        name_connections()
    runtime = await Runtime.open(settings.model_copy(update={"jobs": "queue"}))
    stack.push_async_callback(runtime.close)
    if alone:
        await stack.enter_async_context(working.in_process(runtime, stopping))
    return runtime


def _watch(runtime: Runtime, shared: SharedMemory) -> None:
    """Tell the metrics where to look."""
    engine: Any = runtime.db.engine  # which takes a new pool when the database went away
    metrics.of_process().watch(
        pool_in_use=lambda: engine.pool.checkedout(),
        breaker_open=lambda: not shared.breaker.allows(),
        jobs_by_status=lambda: jobs.census(runtime.db),
    )


def application() -> ASGIApp:
    """Return the application by the environment's settings; what ``uvicorn --factory`` calls."""
    logs.configure()
    return create_app()
