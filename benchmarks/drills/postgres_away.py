"""PostgreSQL is crashed and hung while requests come in: only 503 with Retry-After, and on time.

A service of its own is asked at a steady rate (lists, notebooks made, searches by words). Three times the server is
killed at once, as by a power cut, and started again by whoever needs it first; once all its processes are stopped for
some seconds (SIGSTOP), as by a dying disk. Promised: nothing but 2xx, and 503 with Retry-After; the first good answer
within a second of readiness; while hung, the 99th percentile within 2.5 s; and every notebook whose making was
acknowledged is there at the end, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import psutil

from benchmarks import measuring
from benchmarks.live import Live, live

RATE = 30.0
"""Requests per second."""
CRASHES = 3
HUNG_SECONDS = 8.0
BACK_SECONDS = 1.0
HUNG_P99 = 2.5


@dataclass
class Phase:
    """What came back in one phase."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    good: list[float] = field(default_factory=list)
    """When good answers came."""


class Load:
    """Requests at a steady rate."""

    def __init__(self, session: aiohttp.ClientSession, target: Live) -> None:
        self._session, self._target = session, target
        self.phase = Phase()
        self.acknowledged: list[str] = []
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            task = asyncio.create_task(self._one())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(1 / RATE)

    async def drain(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks)

    async def _one(self) -> None:
        self._number += 1
        phase, began = self.phase, time.monotonic()
        try:
            async with self._request() as response:
                body = await response.json()
                phase.statuses[str(response.status)] += 1
                phase.without_retry_after += response.status == 503 and "Retry-After" not in response.headers
                if response.status < 300:
                    phase.good.append(time.monotonic())
                if response.status == 201:
                    self.acknowledged.append(body["name"])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            phase.statuses[type(error).__name__] += 1
        phase.seconds.append(time.monotonic() - began)

    def _request(self) -> Any:
        url = self._target.url
        if self._number % 3 == 0:
            name = f"n{uuid4()}"
            return self._session.post(f"{url}/notebooks", json={"name": name}, headers={"Idempotency-Key": name})
        if self._number % 3 == 1:
            return self._session.post(f"{url}/search", json={"query": f"word{self._number}", "arm": "lexical"})
        return self._session.get(f"{url}/notebooks?limit=20&offset={self._number % 50}")


async def crash(load: Load, target: Live) -> float:
    """Kill the server and return how long after readiness the first good answer came, in seconds."""
    server = target.postgres[0]
    for process in [server, *server.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    while not await asyncio.to_thread(target.ready):
        await asyncio.sleep(0.02)
        if time.monotonic() - killed > 60:
            raise RuntimeError("it never came back")
    ready = time.monotonic()
    while not load.phase.good or load.phase.good[-1] < killed:  # noqa: ASYNC110 - a look is enough
        await asyncio.sleep(0.01)
    first = next(at for at in load.phase.good if at > killed)
    await asyncio.sleep(2)
    return first - ready


async def hang(target: Live) -> None:
    """Stop every process of the server for a while."""
    stopped = target.postgres
    for process in stopped:
        process.suspend()
    await asyncio.sleep(HUNG_SECONDS)
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


async def drill(target: Live) -> dict[str, Any]:
    """Run all phases and return the figures."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=target.headers, timeout=timeout) as session:
        load = Load(session, target)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(3)
        up, load.phase = load.phase, Phase()
        back = [await crash(load, target) for _ in range(CRASHES)]
        crashed, load.phase = load.phase, Phase()
        await hang(target)
        await load.drain()
        hung, load.phase = load.phase, Phase()
        await asyncio.sleep(10)
        running.cancel()
        await load.drain()
        names = await _all_names(session, target)
    lost = [name for name in load.acknowledged if names[name] == 0]
    twice = [name for name, count in names.items() if count > 1]
    return {
        "up": _told(up),
        "crashed": {
            **_told(crashed),
            "crashes": CRASHES,
            "first_good_after_ready_seconds": [round(b, 3) for b in back],
        },
        "hung": {**_told(hung), "seconds": HUNG_SECONDS},
        "after": _told(load.phase),
        "acknowledged": len(load.acknowledged),
        "lost": len(lost),
        "twice": len(twice),
    }


async def _all_names(session: aiohttp.ClientSession, target: Live) -> Counter[str]:
    async with session.get(f"{target.url}/notebooks", headers={"Accept": "application/x-ndjson"}) as response:
        return Counter(json.loads(line)["name"] for line in (await response.text()).splitlines())


def _told(phase: Phase) -> dict[str, Any]:
    ordered = sorted(phase.seconds) or [0.0]
    return {
        "statuses": dict(phase.statuses),
        "503_without_retry_after": phase.without_retry_after,
        "p50_ms": round(statistics.median(ordered) * 1_000, 1),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1_000, 1),
    }


def verdict(figures: dict[str, Any]) -> list[str]:
    """Return what was not kept."""
    broken = []
    for name in ("up", "crashed", "hung", "after"):
        others = {s: n for s, n in figures[name]["statuses"].items() if s not in ("200", "201", "503")}
        if others or figures[name]["503_without_retry_after"]:
            broken.append(f"{name}: {others or 'a 503 without Retry-After'}")
    if max(figures["crashed"]["first_good_after_ready_seconds"]) > BACK_SECONDS:
        broken.append("crashed: not back within a second of readiness")
    if figures["hung"]["p99_ms"] > HUNG_P99 * 1_000:
        broken.append("hung: too slow")
    if figures["lost"] or figures["twice"]:
        broken.append("acknowledged notebooks lost, or made twice")
    return broken


def main() -> int:
    """Run from the command line."""
    output = measuring.parser(__doc__).parse_args().output
    before = measuring.load_average()
    with live(embedder="none") as target:
        figures = asyncio.run(drill(target))
    path = measuring.save(output, "postgres_away", figures, before)
    broken = verdict(figures)
    print(path.read_text(encoding="utf-8"))
    print("broken: " + "; ".join(broken) if broken else "all promises kept")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
