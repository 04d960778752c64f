"""Connections are cut at random bytes, in both directions; what was acknowledged is there, and nothing is there twice.

A proxy passes on a random number of bytes of one direction of each connection
and then resets both ends: in the middle of a request, a statement, an answer,
a COMMIT. First it stands between clients and the service, then between the
service and PostgreSQL. The clients are the remote backend as it ships, with
its repetitions under one idempotency key; they make notebooks, whose names are
not unique, and add small sources. Each name is used once, so that what is
there can be counted: an acknowledged one exactly once, also with the id that
the client was told, any other at most once. When the line holds again, all
sources must become ready, and the database must keep every promise that the
drill with killed workers checks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from benchmarks import measuring
from benchmarks.drills.kill_workers import EXACTLY_ONCE
from benchmarks.live import Live, live
from sbf_kernel import operations as op
from sbf_kernel.backends.remote import RemoteBackend
from sbf_kernel.errors import SbfError
from sbf_kernel.storage import embedded, pg_place

CUTS = 200
"""In each of the two places."""
CLIENTS = 6
SECONDS = 600
"""A place whose cuts are not done by then makes the drill fail."""
CLIENT_BYTES, DATABASE_BYTES = 1_500, 6_000
"""A connection is cut after at most so many bytes: some calls, some transactions. Small, so that many calls are hit."""

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass
class Proxy:
    """Passes bytes on to what ``connect`` reaches; while ``budget`` is set, each connection only for so many at most."""

    connect: Connect
    random: random.Random
    port: int = 0
    budget: int | None = None
    most: int = CUTS
    cuts: Counter[str] = field(default_factory=Counter)
    """By direction: ``request`` (towards the server) and ``answer``."""
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        """Take connections while the block runs."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # the transports end

    @property
    def done(self) -> bool:
        """Whether all cuts were made."""
        return self.cuts.total() >= self.most

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self.connect()
        except OSError:
            writer.transport.abort()
            return
        budgets: dict[str, int | None] = {"request": None, "answer": None}
        if self.budget is not None:
            budgets[self.random.choice(list(budgets))] = self.random.randint(1, self.budget)
        ways = (
            asyncio.ensure_future(self._pass(reader, far_writer, "request", budgets["request"])),
            asyncio.ensure_future(self._pass(far_reader, writer, "answer", budgets["answer"])),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, far_writer):
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: str, left: int | None
    ) -> None:
        """Pass bytes on in one direction until they end, or ``left`` of them have gone through."""
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                cut = left is not None and len(data) >= left and self.budget is not None and not self.done
                if left is not None:
                    data, left = (data[:left] if cut else data), left - len(data)
                sink.write(data)
                await sink.drain()
                if cut:
                    self.cuts[direction] += 1
                    await asyncio.sleep(0)  # the last bytes leave before the reset
                    return


@dataclass
class Tally:
    """What the clients were told."""

    notebooks: dict[str, UUID] = field(default_factory=dict)
    sources: dict[str, UUID] = field(default_factory=dict)
    """Acknowledged: name and id."""
    unsure: set[str] = field(default_factory=set)
    """Names of calls that failed: at most one each may be there."""
    errors: Counter[str] = field(default_factory=Counter)
    calls: int = 0


async def work(url: str, target: Live, notebook: UUID, tally: Tally, over: Callable[[], bool]) -> None:
    """Be a client: make notebooks and add sources, in turns, until it is over."""
    backend = RemoteBackend(url, target.token)
    try:
        while not over():
            name = f"cut-{uuid4()}"
            tally.calls += 1
            asked: op.Operation = op.CreateNotebook(name=name)
            acknowledged = tally.notebooks
            if tally.calls % 2:
                text = f"The mark of this source is {name}.".encode()
                asked = op.AddSource(notebook_id=notebook, name=name, origin=f"text:{name}", content=text)
                acknowledged = tally.sources
            try:
                acknowledged[name] = (await backend.call(asked)).id
            except SbfError as error:
                tally.unsure.add(name)
                tally.errors[type(error).__name__] += 1
    finally:
        await backend.close()


async def cut(proxy: Proxy, budget: int, url: str, target: Live, notebook: UUID) -> tuple[Tally, float]:
    """Let clients work while the proxy cuts; returns what they were told, and how long it took in seconds."""
    tally, began, before = Tally(), time.monotonic(), proxy.connections

    def over() -> bool:
        return proxy.done or time.monotonic() - began > SECONDS

    proxy.budget = budget
    try:
        await asyncio.gather(*(work(url, target, notebook, tally, over) for _ in range(CLIENTS)))
    finally:
        proxy.budget = None
    proxy.connections -= before
    return tally, time.monotonic() - began


async def drill(cuts: int, seed: int) -> dict[str, Any]:
    """Run both halves on one service and return the figures."""
    chance = random.Random(seed)
    async with contextlib.AsyncExitStack() as stack:
        home = stack.enter_context(measuring.home())
        home.chmod(0o755)
        stack.enter_context(await asyncio.to_thread(embedded.acquire, home))
        place = pg_place.locate(home)
        inner = Proxy(lambda: asyncio.open_unix_connection(place.socket), chance, most=cuts)
        await stack.enter_async_context(inner.listening())
        address = f"postgresql://postgres@127.0.0.1:{inner.port}/sbf?sslmode=disable"
        target = await asyncio.to_thread(stack.enter_context, live(embedder="none", database_url=address))
        port = int(target.url.rpartition(":")[2])
        outer = Proxy(lambda: asyncio.open_connection("127.0.0.1", port), chance, most=cuts)
        await stack.enter_async_context(outer.listening())
        check = RemoteBackend(target.url, target.token)
        stack.push_async_callback(check.close)
        notebook = (await check.call(op.CreateNotebook(name="all"))).id
        figures: dict[str, Any] = {"seed": seed}
        for name, proxy, budget, url in (
            ("client_to_service", outer, CLIENT_BYTES, f"http://127.0.0.1:{outer.port}"),
            ("service_to_database", inner, DATABASE_BYTES, target.url),
        ):
            tally, seconds = await cut(proxy, budget, url, target, notebook)
            await _become_ready(check, tally)
            figures[name] = {"cuts": dict(proxy.cuts), "connections": proxy.connections, "seconds": round(seconds, 1)}
            figures[name] |= _compared(tally, await _all(check, op.ListNotebooks), await _all(check, op.ListSources))
        figures["faults"] = await asyncio.to_thread(_faults, place.conninfo("sbf"))
        return figures


async def _become_ready(backend: RemoteBackend, tally: Tally) -> None:
    """Have interrupted sources brought in, and wait until all are; what is not ready by then is a fault found later."""
    for _ in range(5):
        await backend.call(op.ResumeSources())
        watched = op.WatchSources(source_ids=tuple(tally.sources.values()))
        last = {source.id: source.status async for source in backend.stream(watched)}
        if all(status == "ready" for status in last.values()):
            return
        await asyncio.sleep(1)


async def _all(backend: RemoteBackend, listing: Any) -> list[tuple[str, UUID]]:
    found: list[tuple[str, UUID]] = []
    while True:
        page = await backend.call(listing(limit=100, offset=len(found), sort="name"))
        found += [(one.name, one.id) for one in page.items]
        if not page.items:
            return found


def _compared(tally: Tally, notebooks: list[tuple[str, UUID]], sources: list[tuple[str, UUID]]) -> dict[str, Any]:
    """Compare what is there with what the clients were told."""
    there, times = set(notebooks) | set(sources), Counter(name for name, _ in notebooks + sources)
    told = list(tally.notebooks.items()) + list(tally.sources.items())
    used = tally.unsure | {name for name, _ in told}
    return {
        "calls": tally.calls,
        "acknowledged": len(told),
        "errors": dict(tally.errors),
        "errors_that_had_taken_effect": sum(times[name] > 0 for name in tally.unsure),
        "lost": [name for name, found in told if (name, found) not in there],
        "twice": [name for name in used if times[name] > 1],
    }


def _faults(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo, autocommit=True, options="-c search_path=sbf,public") as connection:
        return [
            f"{promise}: {len(rows)}, such as {rows[0]}"
            for promise, statement in EXACTLY_ONCE.items()
            if (rows := connection.execute(statement).fetchall())
        ]


def verdict(figures: dict[str, Any], cuts: int) -> list[str]:
    """Return what was not kept."""
    broken = list(figures["faults"])
    for name in ("client_to_service", "service_to_database"):
        half = figures[name]
        broken += [f"{name}: {len(half[what])} {what}" for what in ("lost", "twice") if half[what]]
        if sum(half["cuts"].values()) < cuts:
            broken.append(f"{name}: only {sum(half['cuts'].values())} of {cuts} cuts: the drill proves nothing")
    return broken


def main() -> int:
    """Run from the command line; 1 when a promise was broken."""
    arguments = measuring.parser(__doc__)
    arguments.add_argument("--cuts", type=int, default=CUTS, help="in each of the two places")
    arguments.add_argument("--seed", type=int, default=None)
    options: argparse.Namespace = arguments.parse_args()
    before = measuring.load_average()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    figures = asyncio.run(drill(options.cuts, seed))
    path: Path = measuring.save(options.output, "cuts", figures, before)
    broken = verdict(figures, options.cuts)
    for key, value in figures.items():
        print(f"{key}: {value}")
    print("saved", path.name)
    print("broken: " + "; ".join(broken) if broken else "all promises kept")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
