"""Many answers stream through one worker at once: how late each word is, and whether any gets lost.

Part of :mod:`benchmarks.service`. The model is :mod:`benchmarks.talking_model`,
whose words are time stamps. Each answer is a message of a chat: searched, put
to the model, its words passed through the search for citation markers, stored
while it grows. With one reader each, all that is measured, the client of
language models too; with more, most streams follow a message that is being
written, and what is measured is the streaming. Streams begin one after
another, as they would; what counts is the time while all are open.
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
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks import measuring
from benchmarks.live import Live

FILLED = "filled"
"""Name of the notebook that chats are about."""
WORDS_PER_SECOND = 10.0
BEGIN_PER_SECOND = 10.0
"""Streams that begin per second."""
_WORD = re.compile(r"(\d+):(\d+\.\d+);")


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
    known: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is known which message it is."""
    message: str = ""
    chat: str = ""

    def take(self, name: str, data: str) -> None:
        """Note one event."""
        now = time.monotonic()
        if name == "MessageDelta":
            self.first = self.first or now
            delta = json.loads(data)
            self.message = delta["message_id"]
            self.known.set()
            self._rest += delta["text"]
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


async def measure(target: Live, question: str, count: int, words: int, readers: int = 1) -> dict[str, Any]:
    """Open ``count`` streams, read each to its end, and return the figures.

    Parameters
    ----------
    readers
        Streams that read the same answer.

    Returns
    -------
    Among others ``busy`` and ``kept_waiting``: the shares of five seconds, all streams open, in which the service
    computed, and in which it could have but other programs had the CPU.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    process = psutil.Process(target.process.pid)
    async with aiohttp.ClientSession(
        target.url, headers=target.headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        async with session.post("/ask", json={"question": question}) as response:
            await response.content.readany()  # the client of language models is imported with its first use
        page = await (await session.get("/notebooks", params={"search": FILLED})).json()
        chats = f"/notebooks/{page['items'][0]['id']}/chats"
        begun, streams, reading = time.monotonic(), list[Stream](), list[asyncio.Task[None]]()
        for number in range(count):
            await asyncio.sleep(begun + number / BEGIN_PER_SECOND - time.monotonic())
            streams.append(Stream(time.monotonic()))
            first = streams[number - number % readers]
            reading.append(asyncio.create_task(_read(session, chats, question, streams[number], first)))
        await asyncio.gather(*(stream.known.wait() for stream in streams))
        since, cpu, waited = time.monotonic(), sum(process.cpu_times()[:2]), _waited(process.pid)
        await asyncio.sleep(5)
        until, cpu, waited = time.monotonic(), sum(process.cpu_times()[:2]) - cpu, _waited(process.pid) - waited
        await asyncio.gather(*reading)
    arrived = sum(since <= when < until for stream in streams for *_, when in stream.words)
    return _figures(streams, words) | {
        "cpu_ms_per_event": round(cpu / max(1, arrived) * 1_000, 3),
        "busy": round(cpu / (until - since), 3),
        "kept_waiting": round(waited / (until - since), 3),
    }


def _waited(pid: int) -> float:
    """Return the seconds that the main thread of a process could have run and was not let; 0 where nobody tells."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


async def _read(session: aiohttp.ClientSession, chats: str, question: str, stream: Stream, first: Stream) -> None:
    """Read one stream; whatever happens, those who wait for it go on."""
    try:
        await _follow(session, chats, question, stream, first)
    except (aiohttp.ClientError, TimeoutError) as error:
        stream.error = repr(error)
    finally:
        stream.known.set()


async def _follow(session: aiohttp.ClientSession, chats: str, question: str, stream: Stream, first: Stream) -> None:
    """Say something in a new chat and read the answer; or read along with ``first``, who does."""
    if stream is first:
        async with session.post(chats, json={}) as response:
            made = await response.json()
        stream.chat = made.get("id", "")
        if not stream.chat:
            stream.error = made["detail"]
            return
        asked = session.post(f"/chats/{stream.chat}/messages", json={"text": question, "passages": 3})
    else:
        await first.known.wait()
        asked = session.get(f"/chats/{first.chat}/messages/{first.message}/events")
    pending = b""
    async with asked as response:
        if response.status != 200:
            stream.error = await response.text()
            return
        async for chunk in response.content.iter_any():
            *events, pending = (pending + chunk).split(b"\n\n")
            for event in events:
                lines = dict(line.split(": ", 1) for line in event.decode().split("\n") if not line.startswith(":"))
                if lines:
                    stream.take(lines["event"], lines["data"])


def _figures(streams: Sequence[Stream], words: int) -> dict[str, Any]:
    """Return lags while all streams were open, and what was lost of any."""
    opened = max(stream.first or stream.began for stream in streams)
    closed = min(stream.ended or opened for stream in streams)
    lags = [arrived - said for stream in streams for _, said, arrived in stream.words if opened < arrived <= closed]
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


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return measuring.spread(ordered) | {
        "p99_ms": round(p99 * 1_000, 2),
        "mean_ms": round(statistics.fmean(ordered) * 1_000, 2),
        "max_ms": round(ordered[-1] * 1_000, 1),
    }
