"""Signing in: as slow for a name nobody has, and fifty at once neither stall the process nor fill its memory.

Wrong passwords for a known and for an unknown name take turns, so that both
meet the same load; their medians may differ by 15 %. Then fifty sign-ins come
at once while a clock on the same event loop wakes every 5 ms: what it is late
by is what any other request of the process would wait. Argon2id runs with the
real parameters.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks import measuring
from sbf_kernel.accounts import sign_ins, users
from sbf_kernel.errors import NotSignedIn
from sbf_kernel.records import Tokens
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings

PASSWORD = "correct horse battery"
MOST_APART = 0.15
MOST_LATE_MS = 100
MOST_MEMORY_MB = 400
TICK = 0.005


@dataclass
class Memory:
    """The most memory this process used while the block ran."""

    peak: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(0.005):
            self.peak = max(self.peak, process.memory_info().rss)


async def _refused(runtime: Runtime, name: str) -> float:
    """Seconds until a wrong password is refused."""
    began = time.perf_counter()
    try:
        await sign_ins.sign_in(runtime, name, "wrong password")
    except NotSignedIn:
        return time.perf_counter() - began
    raise AssertionError("a wrong password was taken")


async def _lateness(over: asyncio.Event) -> list[float]:
    late = []
    while not over.is_set():
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - began - TICK)
    return late


async def measure(home: Path, rounds: int, at_once: int) -> dict[str, Any]:
    """Run the drill on a new database in ``home``."""
    runtime = await Runtime.open(Settings(home=home, embedder="none"))
    try:
        await users.create(runtime, "known", PASSWORD, "member")
        await _refused(runtime, "unknown")  # makes the dummy
        known, unknown = [], []
        for _ in range(rounds):
            known.append(await _refused(runtime, "known"))
            unknown.append(await _refused(runtime, "unknown"))
        over, before = asyncio.Event(), psutil.Process().memory_info().rss
        with Memory() as memory:
            clock = asyncio.create_task(_lateness(over))
            began = time.perf_counter()
            made = await asyncio.gather(*(sign_ins.sign_in(runtime, "known", PASSWORD) for _ in range(at_once)))
            took = time.perf_counter() - began
            over.set()
            late = sorted(await clock)
        assert all(isinstance(tokens, Tokens) for tokens in made)
    finally:
        await runtime.close()
    medians = statistics.median(known), statistics.median(unknown)
    return {
        "rounds": rounds,
        "known": measuring.spread(known),
        "unknown": measuring.spread(unknown),
        "medians_apart": round(abs(medians[0] - medians[1]) / max(medians), 3),
        "at_once": at_once,
        "at_once_seconds": round(took, 2),
        "late_p50_ms": round(statistics.median(late) * 1_000, 1),
        "late_p99_ms": round(late[int(len(late) * 0.99)] * 1_000, 1),
        "memory_before_mb": before >> 20,
        "memory_peak_mb": memory.peak >> 20,
    }


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--at-once", type=int, default=50)
    options: argparse.Namespace = arguments.parse_args()
    load = measuring.load_average()
    with measuring.home() as home:
        home.chmod(0o755)
        figures = asyncio.run(measure(home, options.rounds, options.at_once))
    for key, value in figures.items():
        print(f"{key}: {value}")
    print("saved", measuring.save(options.output, "sign_in", figures, load).name)
    return int(
        figures["medians_apart"] > MOST_APART
        or figures["late_p99_ms"] > MOST_LATE_MS
        or figures["memory_peak_mb"] > MOST_MEMORY_MB
    )


if __name__ == "__main__":
    sys.exit(main())
