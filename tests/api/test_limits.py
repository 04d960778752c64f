from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbf_api.limits import Limiter, OwnWindow, Streams
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import AWAY, SharedMemory
from sbf_kernel.errors import TooManyRequests
from tests.api.redis_server import RedisServer

LIMITS = {"chat": 10, "ingestion": 20, "transformations": 30, "search": 60, "default": 100}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Processes:
    """Four processes that take from the same allowances."""

    COUNT = 4

    def __init__(self, redis: RedisServer, window: float, stack: ExitStack) -> None:
        command = [
            sys.executable,
            str(Path(__file__).with_name("take_many.py")),
            redis.url,
            str(self.COUNT),
            str(window),
        ]
        self.running = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(self.COUNT)
        ]
        for process in self.running:
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def begin(self, kind: str, key: str, tasks: int = 300, calls: int = 1, pause: float = 0) -> None:
        for process in self.running:
            assert process.stdin is not None
            process.stdin.write(f"{kind} {key} {tasks} {calls} {pause}\n")
            process.stdin.flush()

    def granted(self) -> int:
        """Wait for what was begun, and return what was granted; nothing may have raised."""
        total = 0
        for process in self.running:
            assert process.stdout is not None
            granted, errors = map(int, process.stdout.readline().split())
            assert errors == 0
            total += granted
        return total


@pytest.fixture
def processes(redis: RedisServer) -> Iterator[Processes]:
    with ExitStack() as stack:
        yield Processes(redis, 300.0, stack)


def test_four_processes_with_300_parallel_calls_each_are_granted_exactly_the_limit(processes: Processes) -> None:
    for kind, limit in LIMITS.items():
        processes.begin(kind, "somebody")
        assert processes.granted() == limit
        processes.begin(kind, "somebody")
        assert processes.granted() == 0
        processes.begin(kind, "somebody-else")
        assert processes.granted() == limit


def test_redis_killed_under_load_grants_one_more_allowance_in_the_same_window_and_raises_nothing(
    processes: Processes, redis: RedisServer
) -> None:
    processes.begin("search", "somebody", tasks=20, calls=40, pause=0.02)
    time.sleep(0.3)
    redis.kill()
    assert LIMITS["search"] <= processes.granted() <= 2 * LIMITS["search"]


def test_neither_open_nor_closed_while_redis_is_dead_nor_when_it_comes_back_without_its_memory(
    processes: Processes, redis: RedisServer
) -> None:
    processes.begin("search", "somebody")
    assert processes.granted() == LIMITS["search"]
    redis.kill()
    processes.begin("search", "somebody")
    assert processes.granted() == LIMITS["search"]
    redis.start()
    processes.begin("search", "somebody", tasks=10, calls=40, pause=0.02)
    assert processes.granted() == 0


async def test_a_refused_call_does_not_count_so_that_a_polling_client_is_served_again(redis: RedisServer) -> None:
    window = 1.0
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_chat=3), shared, window)
        spans: list[tuple[float, float]] = []
        end = time.monotonic() + 8 * window  # three windows will do, when the machine has nothing else to do
        while len(spans) < 10:
            before = time.monotonic()
            assert before < end, spans
            allowance = await limiter.take("chat", "somebody")
            if allowance.retry_after is None:
                spans.append((before, time.monotonic()))
            else:
                assert allowance.remaining == 0
                assert allowance.retry_after == 1
            await asyncio.sleep(window / 20)
        for first, fourth in zip(spans, spans[3:], strict=False):
            assert fourth[1] - first[0] >= window


async def test_no_window_holds_more_than_the_limit_wherever_it_begins(redis: RedisServer) -> None:
    window, limit = 0.4, 10
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_search=limit), shared, window)
        spans: list[tuple[float, float]] = []

        async def client() -> None:
            while time.monotonic() < end:
                before = time.monotonic()
                if (await limiter.take("search", "somebody")).retry_after is None:
                    spans.append((before, time.monotonic()))

        end = time.monotonic() + 5 * window
        await asyncio.gather(*(client() for _ in range(4)))
    begun, done = sorted(span[0] for span in spans), sorted(span[1] for span in spans)
    assert len(spans) >= 3 * limit
    assert all(later - earlier >= window for earlier, later in zip(begun, done[limit:], strict=False))


async def test_the_allowance_tells_what_is_left_and_when_there_is_more(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_chat=2), shared)
        first, second, third = [await limiter.take("chat", "somebody") for _ in range(3)]
    assert (first.limit, first.remaining, first.retry_after) == (2, 1, None)
    assert (second.limit, second.remaining, second.retry_after) == (2, 0, None)
    assert (third.limit, third.remaining) == (2, 0)
    assert all(1 <= allowance.reset_seconds <= 60 for allowance in (first, second, third))
    assert third.retry_after == third.reset_seconds


async def test_kinds_and_keys_have_allowances_of_their_own_and_keys_are_not_told_to_redis(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_chat=1, rate_sign_in=1), shared)
        for key in ("ann@example.org", "ann@example.org ", "\ud800", ""):
            assert (await limiter.take("chat", key)).retry_after is None
            assert (await limiter.take("sign_in", key)).retry_after is None
            assert (await limiter.take("chat", key)).retry_after is not None
        names = await shared.run("KEYS", "*")
        assert len(names) == 8
        assert b"example" not in b"".join(names)
        for name in names:
            assert 0 < await shared.run("PTTL", name) <= 60_000


async def test_a_limit_that_was_lowered_holds_at_once(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        before, after = (Limiter(redis.settings(rate_chat=limit), shared, window=1.0) for limit in (10, 2))
        for _ in range(9):
            await before.take("chat", "somebody")
            await asyncio.sleep(0.02)
        refused = await after.take("chat", "somebody")
        assert (refused.remaining, refused.retry_after) == (0, 1)
        while (await after.take("chat", "somebody")).retry_after is not None:
            await asyncio.sleep(0.02)
        assert (await before.take("chat", "somebody")).remaining <= 10 - 3


async def test_a_clock_set_back_locks_nobody_out(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_chat=3), shared)
        await limiter.take("chat", "somebody")
        (name,) = await shared.run("KEYS", "*")
        in_two_hours = str(int((time.time() + 7_200) * 1e6))
        await shared.run("DEL", name)
        await shared.run("LPUSH", name, in_two_hours, in_two_hours, in_two_hours)
        assert (await limiter.take("chat", "somebody")).remaining == 2


async def test_a_hung_redis_neither_opens_nor_closes_the_gate(redis: RedisServer) -> None:
    async with redis.shared(seconds=0.1) as shared:
        limiter = Limiter(redis.settings(rate_search=60, processes=4), shared)
        await shared.run("PING")
        redis.hang()
        allowances = await asyncio.gather(*(limiter.take("search", "somebody") for _ in range(300)))
        granted = [allowance for allowance in allowances if allowance.retry_after is None]
        assert len(granted) == 15
        assert {allowance.limit for allowance in allowances} == {15}
        redis.resume()


async def test_without_redis_each_process_grants_its_share(redis: RedisServer) -> None:
    for processes, share in ((1, 10), (4, 2), (50, 1)):
        settings = ServiceSettings(processes=processes)
        limiter = Limiter(settings, SharedMemory(settings))
        allowances = [await limiter.take("chat", "somebody") for _ in range(20)]
        assert sum(allowance.retry_after is None for allowance in allowances) == share


async def test_a_redis_that_is_back_is_asked_again_one_window_after_it_was_lost(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        limiter = Limiter(redis.settings(rate_chat=5), shared, window=3.0)
        redis.kill()
        for _ in range(3):
            await limiter.take("chat", "somebody")
        redis.start()
        while await shared.run("PING") is AWAY:
            await asyncio.sleep(0.01)
        remaining = (await limiter.take("chat", "somebody")).remaining
        assert time.monotonic() < shared.breaker.last_opened + 3.0, "the machine is too busy to tell"
        assert (remaining, await shared.run("KEYS", "*")) == (1, [])
        await asyncio.sleep(shared.breaker.last_opened + 3.0 - time.monotonic())
        remaining = (await limiter.take("chat", "somebody")).remaining
        assert (remaining, len(await shared.run("KEYS", "*"))) == (4, 1)


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 7)), max_size=60))
def test_the_window_of_a_process_agrees_with_counting(limit: int, calls: list[tuple[str, int]]) -> None:
    window, now = 10, 0
    own = OwnWindow(window, lambda: now)
    granted: list[tuple[str, int]] = []
    for key, pause in calls:
        now += pause
        inside = [when for who, when in granted if who == key and now - when < window]
        allowance = own.take(key, limit)
        assert (allowance.retry_after is None) == (len(inside) < limit)
        if allowance.retry_after is None:
            granted.append((key, now))
            assert allowance.remaining == limit - len(inside) - 1
        else:
            assert allowance.retry_after == inside[-limit] + window - now
        assert allowance.reset_seconds == ([*inside, now][0] + window - now)
        assert len(own) == len({who for who, when in granted if now - when < window})


def test_memory_does_not_grow_with_addresses_that_never_come_back() -> None:
    now = 0.0
    own = OwnWindow(60, lambda: now)
    sizes = []
    for number in range(10_000):
        now += 0.1
        own.take(f"10.0.{number // 256}.{number % 256}", 5)
        sizes.append(len(own))
    assert max(sizes) <= 601
    assert all(later <= earlier + 1 for earlier, later in pairwise(sizes))


def test_waiting_times_are_whole_seconds_that_are_long_enough() -> None:
    now = 0.0
    own = OwnWindow(60, lambda: now)
    own.take("somebody", 1)
    now = 12.3
    refused = own.take("somebody", 1)
    assert refused.retry_after == math.ceil(60 - 12.3)
    now += refused.retry_after
    assert own.take("somebody", 1).retry_after is None


async def test_a_user_has_a_number_of_streams_open_at_once_and_no_more() -> None:
    streams = Streams(2)
    async with streams.open("ann"), streams.open("ben"):
        async with streams.open("ann"):
            with pytest.raises(TooManyRequests, match="2 streams are open") as refused:
                async with streams.open("ann"):
                    raise AssertionError("it was opened")
            assert refused.value.details["retry_after"] >= 1
        async with streams.open("ann"):
            pass
    with pytest.raises(RuntimeError, match="the stream broke"):
        async with streams.open("ann"):
            raise RuntimeError("the stream broke")
    async with streams.open("ann"), streams.open("ann"):
        assert streams.count == 2
    assert streams.count == 0
