"""A worker inside the service, so that one command is enough on a single machine."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sbf_kernel.jobs.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sbf_kernel.runtime import Runtime

DRAIN_SECONDS = 4.0
"""What running jobs get when the service is told to stop, at the same time as requests."""
AGAIN_SECONDS = 5.0
"""Between a worker that broke and the next one."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def in_process(runtime: Runtime, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Do queued jobs in this process inside the block, until ``stopping``; what a service that was killed left goes on, too."""
    worker = Worker(runtime, drain_seconds=DRAIN_SECONDS)
    tasks = [asyncio.create_task(_keep_working(worker, stopping)), asyncio.create_task(_stop(worker, stopping))]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def _stop(worker: Worker, stopping: asyncio.Event) -> None:
    await stopping.wait()
    worker.stop()


async def _keep_working(worker: Worker, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            await worker.run()
        except Exception:  # noqa: BLE001 - queued jobs must not wait for somebody to read the log
            _log.exception("the worker in this process broke; it starts again in %g s", AGAIN_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), AGAIN_SECONDS)
