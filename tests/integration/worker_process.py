"""A worker as a process, with sources that wait at a gate and sources that kill whoever reads them.

``python worker_process.py HOME GATE CONCURRENCY LEASE_SECONDS``
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sbf_kernel.jobs import retrying
from sbf_kernel.jobs.worker import Worker, name_connections
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings

MOST_CRASHES = 5
"""Fewer than usual, and sooner after each other: a test cannot wait for half an hour."""


async def main(home: str, gate: Path, concurrency: int, lease_seconds: float) -> None:
    name_connections()
    retrying.FIRST_WAIT, retrying.MOST_CRASHES = 0.5, MOST_CRASHES
    runtime = await Runtime.open(Settings(home=Path(home), threads=1, embedder="none"))
    real = runtime.sandbox.call

    async def call(path: str, name: str, *rest: Any) -> Any:
        if "poison" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        prepared = await real(path, name, *rest)
        while "slow" in name and gate.exists():
            await asyncio.sleep(0.02)
        return prepared

    runtime.sandbox.call = call  # type: ignore[method-assign]
    worker = Worker(runtime, concurrency, lease_seconds=lease_seconds)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    print("working", flush=True)
    try:
        await worker.run()
    finally:
        await runtime.close()
    print("stopped", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
