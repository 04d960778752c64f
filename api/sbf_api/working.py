"""A worker inside the service, so that one command is enough on a single machine."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sbf_kernel.jobs.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sbf_kernel.runtime import Runtime

DRAIN_SECONDS = 4.0
"""What running jobs get when the service ends: requests had their time before, and both must fit into 30 s."""
AGAIN_SECONDS = 5.0
"""Between a worker that broke and the next one."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def in_process(runtime: Runtime) -> AsyncIterator[None]:
    """Do queued jobs in this process inside the block; what a service that was killed left behind goes on, too."""
    worker = Worker(runtime, drain_seconds=DRAIN_SECONDS)
    task = asyncio.create_task(_keep_working(worker))
    try:
        yield
    finally:
        worker.stop()
        await task


async def _keep_working(worker: Worker) -> None:
    while True:
        try:
            await worker.run()
            return
        except Exception:  # noqa: BLE001 - queued jobs must not wait for somebody to read the log
            _log.exception("the worker in this process broke; it starts again in %g s", AGAIN_SECONDS)
            await asyncio.sleep(AGAIN_SECONDS)
