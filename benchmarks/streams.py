"""Many answers stream through one worker at once: how late each word is, and whether any gets lost.

Part of :mod:`benchmarks.service`. Every stream is a question of its own
(``POST /ask``): searched, put to a language model, its words passed through
the search for citation markers, the answer stored. The model is
:mod:`benchmarks.talking_model`, whose words are time stamps. Streams begin one
after another, as they would; what counts is the time while all are open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil

from benchmarks import measuring
from benchmarks.live import Live

WORDS_PER_SECOND = 10.0
BEGIN_PER_SECOND = 10.0
"""Streams that begin per second."""
_WORD = re.compile(r"(\d+):(\d+\.\d+)\s")


@dataclass
class Stream:
    """What arrived of one answer."""

    began: float
    first: float = 0.0
    """Seconds on the monotonic clock; likewise below."""
    ended: float = 0.0
    words: list[tuple[int, float, float]] = field(default_factory=list)
    """Number, when it was said, when it arrived."""
    error: str = ""
    whole: bool = False
    """Whether the stored answer came, and the end."""
    _rest: str = ""

    def take(self, name: str, data: str) -> None:
        """Note one event."""
        now = time.monotonic()
        if name == "AnswerDelta":
            self.first = self.first or now
            self._rest += json.loads(data)["text"]
            at = 0
            for found in _WORD.finditer(self._rest):
                self.words.append((int(found[1]), float(found[2]), now))
                at = found.end()
            self._rest = self._rest[at:]
        elif name == "error":
            self.error = data
        elif name == "end":
            self.whole, self.ended = True, now


@contextlib.contextmanager
def talking_model(words: int) -> Iterator[str]:
    """Start the model that says so many words to each who asks; yields its URL."""
    command = [sys.executable, "-m", "benchmarks.talking_model", str(words), str(WORDS_PER_SECOND)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def words_for(streams: int, seconds: float) -> int:
    """Return how many words each must say so that all streams are open together for ``seconds``."""
    return round((streams / BEGIN_PER_SECOND + seconds + 5) * WORDS_PER_SECOND)


async def measure(target: Live, question: str, count: int, words: int) -> dict[str, Any]:
    """Open ``count`` streams, read each to its end, and return the figures."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    connector = aiohttp.TCPConnector(limit=0)
    process = psutil.Process(target.process.pid)
    async with aiohttp.ClientSession(headers=target.headers, timeout=timeout, connector=connector) as session:
        await _read(session, target, question)  # imports the client of language models
        begun = time.monotonic()
        reading = []
        for number in range(count):
            await asyncio.sleep(begun + number / BEGIN_PER_SECOND - time.monotonic())
            reading.append(asyncio.create_task(_read(session, target, question)))
        cpu, since = sum(process.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(5)
        cpu, seconds = sum(process.cpu_times()[:2]) - cpu, time.monotonic() - since
        streams = await asyncio.gather(*reading)
    return _figures(streams, words) | {"cpu_ms_per_event": _per_event(streams, cpu, since, seconds)}


async def _read(session: aiohttp.ClientSession, target: Live, question: str) -> Stream:
    stream, pending = Stream(time.monotonic()), b""
    async with session.post(f"{target.url}/ask", json={"question": question, "passages": 3}) as response:
        if response.status != 200:
            stream.error = await response.text()
            return stream
        async for chunk in response.content.iter_any():
            *events, pending = (pending + chunk).split(b"\n\n")
            for event in events:
                lines = dict(line.split(": ", 1) for line in event.decode().split("\n") if not line.startswith(":"))
                if lines:
                    stream.take(lines["event"], lines["data"])
    return stream


def _figures(streams: Sequence[Stream], words: int) -> dict[str, Any]:
    """Return lags while all streams were open, and what was lost of any."""
    opened = max(stream.first for stream in streams)
    closed = min(stream.ended or opened for stream in streams)
    lags = [arrived - said for stream in streams for _, said, arrived in stream.words if opened <= arrived <= closed]
    return {
        "streams": len(streams),
        "all_open_seconds": round(closed - opened, 1),
        "events": len(lags),
        "events_per_second": round(len(lags) / (closed - opened), 1) if closed > opened else 0.0,
        "lag": _percentiles(lags or [0.0]),
        "first_event": _percentiles([stream.first - stream.began for stream in streams]),
        "words_dropped": sum(len(set(range(words)) - {number for number, *_ in stream.words}) for stream in streams),
        "out_of_order": sum(
            [number for number, *_ in s.words] != sorted(number for number, *_ in s.words) for s in streams
        ),
        "streams_broken": sum(not stream.whole or bool(stream.error) for stream in streams),
        "errors": sorted({stream.error for stream in streams if stream.error})[:3],
    }


def _per_event(streams: Sequence[Stream], cpu: float, since: float, seconds: float) -> float:
    arrived = sum(since <= when < since + seconds for stream in streams for *_, when in stream.words)
    return round(cpu / max(1, arrived) * 1_000, 3)


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return measuring.spread(ordered) | {
        "p99_ms": round(p99 * 1_000, 2),
        "mean_ms": round(statistics.fmean(ordered) * 1_000, 2),
        "max_ms": round(ordered[-1] * 1_000, 1),
    }
