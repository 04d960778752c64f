"""What a request to the service costs: CPU milliseconds of the service, PostgreSQL and Redis, beside a bare FastAPI route.

One service with one worker and a Redis of its own, a user with 120 notebooks
and 10,000 chunks; the bare route runs in a process of its own, under the same
server with the same settings. Each kind of request is sent in blocks, all
kinds in turns, so that all see the same machine; who sends does not count.
Searches that are not cached are sent twice: first all is new, then all but the
question's vector (one hit more is asked for). The embedding alone is also
measured in this process. At last, many answers stream at once
(:mod:`benchmarks.streams`).

Goals: a list 3 ms, a cached search 2 ms, one by words and meaning that is not
cached 10 ms besides the embedding; with 200 streams of 10 events a second, the
99th percentile of an event's delay 250 ms, and none lost. Those read along
with 20 answers; 40 streams with an answer of their own each show what the
client of language models adds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import numpy as np
import psutil

from benchmarks import measuring, streams
from benchmarks.filling import Around, Filled, Prose, fill, made
from benchmarks.live import Live, live
from sbf_api.valkey import ValkeyServer
from sbf_kernel.ingest.sources import tend_indexes
from sbf_kernel.records import Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.settings import Settings

NOTEBOOKS = 120
PAGE = 20
BLOCK = 100
"""Requests of a kind in a row; there are as many different pages of notebooks."""
AT_ONCE = 4
WARM = 5
PER_SOURCE = 50
CENTRES = 200
"""Real embeddings that the chunks' vectors scatter around."""
SMALL = 20
"""Sources of the smaller notebook: about as many as a researcher reads for one question."""
BARE, EMBEDDED, KNOWN = "bare route", "hybrid search", "hybrid search, vector known"
GOALS = {"list": 3.0, "cached search": 2.0, KNOWN: 10.0}
"""CPU milliseconds of all parts together."""
LAG_P99_MS = 250.0
READERS = 10
"""Streams that read the same answer, where the streaming is measured and not the client of language models."""


@dataclass
class Kind:
    """Requests of one kind."""

    method: str
    path: Callable[[int], str]
    body: Callable[[int], dict[str, Any] | None] = lambda number: None
    cached: bool | None = None
    """Whether they must come from the cache; None when they have none."""
    stale: bool = False
    """Whether a write before each block makes stale what is cached."""
    used: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """CPU milliseconds per request by part, one for each block."""


NEW_NOTEBOOK = Kind("POST", lambda _: "/notebooks", lambda _: {"name": f"n{uuid4()}"})


def kinds(questions: Sequence[str], notebook_id: str) -> dict[str, Kind]:
    """Return what is sent, with the next question for each number."""

    def search(text: str, limit: int = 10, **scope: Any) -> dict[str, Any]:
        return {"query": text, "limit": limit, **scope}

    return {
        BARE: Kind("GET", lambda _: "/bare"),
        "/health/live": Kind("GET", lambda _: "/health/live"),
        "list": Kind("GET", lambda n: f"/notebooks?limit={PAGE}&offset={n % BLOCK}", cached=False, stale=True),
        "cached list": Kind("GET", lambda _: f"/notebooks?limit={PAGE}", cached=True),
        "cached search": Kind("POST", lambda _: "/search", lambda _: search(questions[-1]), cached=True),
        EMBEDDED: Kind("POST", lambda _: "/search", lambda n: search(questions[n]), cached=False),
        KNOWN: Kind("POST", lambda _: "/search", lambda n: search(questions[n], 11), cached=False),
        f"{KNOWN}, in {SMALL * PER_SOURCE:,} chunks": Kind(
            "POST", lambda _: "/search", lambda n: search(questions[n], notebook_ids=[notebook_id]), cached=False
        ),
    }


@dataclass
class Bare:
    """The bare route, served."""

    url: str
    process: psutil.Process


@contextlib.contextmanager
def bare_route() -> Iterator[Bare]:
    """Serve it as ``sbf serve`` serves, but for the limits on connections."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ("--no-access-log", "--no-server-header", "--log-level", "error")
    command = [sys.executable, "-m", "uvicorn", "benchmarks.bare:app", "--port", str(port), *options]
    with subprocess.Popen(command) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield Bare(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            process.terminate()


class Meter:
    """CPU milliseconds that each part has used so far."""

    def __init__(self, target: Live, redis: ValkeyServer, bare: Bare) -> None:
        self._target = target
        self._single = {"service": psutil.Process(target.process.pid), "redis": psutil.Process(redis.pid)}
        self._bare = bare.process

    def read(self, name: str) -> dict[str, float]:
        """Return them by part, as far as a kind of request concerns it."""
        if name == BARE:
            return {"service": _milliseconds(self._bare), "postgres": 0.0, "redis": 0.0}
        used = {part: _milliseconds(process) for part, process in self._single.items()}
        return used | {"postgres": sum(map(_milliseconds, self._target.postgres))}


def _milliseconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return 1_000 * float(sum(process.cpu_times()[:2]))
    return 0.0


async def ask(session: aiohttp.ClientSession, url: str, kind: Kind, number: int = 0) -> tuple[int, str | None, bytes]:
    """Send one request; returns status, ``X-Cache`` and body."""
    async with session.request(kind.method, url + kind.path(number), json=kind.body(number)) as response:
        return response.status, response.headers.get("X-Cache"), await response.read()


async def send(session: aiohttp.ClientSession, url: str, kind: Kind, numbers: range) -> None:
    """Send requests, a few at once, and make sure that each is answered as it must be."""
    waiting = iter(numbers)
    wanted = None if kind.cached is None else "HIT" if kind.cached else "MISS"

    async def some() -> None:
        for number in waiting:
            status, cached, text = await ask(session, url, kind, number)
            if status != 200 or cached != wanted:
                raise RuntimeError(f"{kind.path(number)}: {status}, {cached}: {text[:200]!r}")

    if kind.stale:
        await ask(session, url, NEW_NOTEBOOK)
    if kind.cached:
        await ask(session, url, kind)
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def requests(
    target: Live, runtime: Runtime, meter: Meter, bare: Bare, rounds: int, notebook_id: str
) -> dict[str, Any]:
    """Send all blocks and return what each kind of request costs."""
    assert runtime.embedder is not None
    questions = list(dict.fromkeys(Prose(seed=99).queries((rounds + 1) * BLOCK)))
    asked, embedding = kinds(questions, notebook_id), list[float]()
    first = len(questions) - 1 - WARM
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for number in range(rounds):
            numbers = range(number * BLOCK, (number + 1) * BLOCK)
            for name, kind in asked.items():
                url = bare.url if name == BARE else target.url
                if number == 0:
                    await send(session, url, kind, range(first, first + WARM))
                await noted(session, url, name, kind, numbers, meter)
            began = time.process_time()
            for question in questions[numbers.start : numbers.stop]:
                await runtime.embedder.embed_query(question)
            embedding.append((time.process_time() - began) / BLOCK * 1_000)
    figures = {name: _mean(kind) for name, kind in asked.items()}
    for cost in figures.values():
        cost["to_bare"] = round(cost["total"] / figures[BARE]["total"], 2)
    alone = statistics.fmean(embedding)
    return {
        "cpu_ms": figures,
        "embedding_alone_ms": round(alone, 2),
        "hybrid_less_embedding_ms": round(figures[EMBEDDED]["total"] - alone, 2),
    }


async def noted(session: aiohttp.ClientSession, url: str, name: str, kind: Kind, numbers: range, meter: Meter) -> None:
    """Send a block and note what each part used for one request."""
    before = meter.read(name)
    await send(session, url, kind, numbers)
    for part, used in meter.read(name).items():
        kind.used[part].append((used - before[part]) / len(numbers))


def _mean(kind: Kind) -> dict[str, float]:
    """Return the mean of all blocks, part by part, and together: the system counts hundredths of seconds."""
    parts = {part: round(statistics.fmean(used), 3) for part, used in kind.used.items()}
    return parts | {"total": round(sum(parts.values()), 3)}


async def collection(target: Live, runtime: Runtime, chunks: int) -> tuple[int, str]:
    """Give the user of ``target`` notebooks, and sources of so many chunks.

    Returns how many are searched, and the id of the smaller notebook.
    """
    assert runtime.embedder is not None
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for _ in range(NOTEBOOKS):
            await ask(session, target.url, NEW_NOTEBOOK)
        _, _, me = await ask(session, target.url, Kind("GET", lambda _: "/me"))
        principal, prose, filled = Principal(user_id=json.loads(me)["id"]), Prose(), Filled()
        passages = [prose.text(prose.topic()) for _ in range(CENTRES)]
        around = Around(np.stack(await runtime.embedder.embed_passages(passages)))
        content = made([PER_SOURCE] * -(-chunks // PER_SOURCE), runtime.embedder.id, around, prose, filled)
        await fill(runtime, principal, content, {streams.FILLED: range(chunks), "a few": range(SMALL)}, filled)
        await tend_indexes(runtime)
        status, _, found = await ask(session, target.url, Kind("POST", lambda _: "/search", lambda _: {"query": "a"}))
        assert status == 200, found
        return int(json.loads(found)["searched_chunks"]), str(filled.notebooks["a few"])


async def run(target: Live, redis: ValkeyServer, options: argparse.Namespace, words: int) -> dict[str, Any]:
    """Measure all and return the figures."""
    runtime = await Runtime.open(Settings(home=target.home))
    try:
        count, small = await collection(target, runtime, options.chunks)
        figures: dict[str, Any] = {"chunks": count}
        print(f"{figures['chunks']:,} chunks stored", flush=True)
        with bare_route() as bare:
            meter = Meter(target, redis, bare)
            figures |= await requests(target, runtime, meter, bare, options.rounds, small)
    finally:
        await runtime.close()
    print(measuring.table([(name, *cost.values()) for name, cost in figures["cpu_ms"].items()], HEADER), flush=True)
    for name, count, readers in (("streams", options.streams, READERS), ("answers", options.answers, 1)):
        figures[name] = await streams.measure(target, "What does an index contain?", count, words, readers)
        print(name, figures[name], flush=True)
    return figures


HEADER = ("CPU ms per request", "service", "Redis", "PostgreSQL", "all", "times a bare route")


def verdict(figures: dict[str, Any]) -> list[str]:
    """Return which goals were missed."""
    missed = [
        f"{name}: {figures['cpu_ms'][name]['total']} ms instead of {goal}"
        for name, goal in GOALS.items()
        if figures["cpu_ms"][name]["total"] > goal
    ]
    found = figures["streams"]
    if found["lag"]["p99_ms"] > LAG_P99_MS:
        missed.append(f"an event is late by {found['lag']['p99_ms']} ms in the 99th percentile")
    if found["words_dropped"] or found["out_of_order"] or found["streams_broken"]:
        missed.append("streams lost something")
    return missed


def main() -> None:
    """Run from the command line."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--chunks", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--streams", type=int, default=200)
    arguments.add_argument("--answers", type=int, default=40, help="streams that each read an answer of their own")
    arguments.add_argument("--seconds", type=float, default=12, help="how long all streams are open together")
    options: argparse.Namespace = arguments.parse_args()
    before, words = measuring.load_average(), streams.words_for(options.streams, options.seconds)
    with ValkeyServer() as redis, streams.talking_model(words) as model:
        settings = {
            "redis_url": redis.url,
            "model": "openai:talking",
            "model_base_url": model,
            "request_seconds": "60",
            "database_wait_seconds": "30",
        }
        with live(streams_per_user=str(options.streams), **settings) as target:
            figures = asyncio.run(run(target, redis, options, words))
    figures["goals_missed"] = verdict(figures)
    for name, value in figures.items():
        if name not in ("cpu_ms", "streams", "answers"):
            print(f"{name}: {value}")
    print("saved", measuring.save(options.output, "service", figures, before).name)


if __name__ == "__main__":
    main()
