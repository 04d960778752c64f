"""A process that takes allowances: ``python take_many.py URL PROCESSES WINDOW``, then one line per burst on standard input.

A line is ``kind key tasks calls pause``: so many tasks at once, each with so many calls and a pause between them.
It answers with one line: calls granted and calls that raised.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from sbf_api.breaker import Breaker
from sbf_api.limits import Limiter
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import SharedMemory


async def burst(limiter: Limiter, kind: Any, key: str, tasks: int, calls: int, pause: float) -> tuple[int, int]:
    granted = errors = 0

    async def one() -> None:
        nonlocal granted, errors
        for _ in range(calls):
            try:
                allowance = await limiter.take(kind, key)
            except Exception:
                errors += 1
            else:
                granted += allowance.retry_after is None
            await asyncio.sleep(pause)

    await asyncio.gather(*(one() for _ in range(tasks)))
    return granted, errors


async def main(url: str, processes: str, window: str) -> None:
    settings = ServiceSettings(redis_url=url, processes=int(processes))
    shared = SharedMemory(settings, Breaker("Redis", seconds=0.2), seconds=5)
    limiter = Limiter(settings, shared, float(window))
    print("ready", flush=True)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            kind, key, tasks, calls, pause = line.split()
            print(*await burst(limiter, kind, key, int(tasks), int(calls), float(pause)), flush=True)
    finally:
        await shared.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
