from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sbf_api.breaker import Breaker
from sbf_api.settings import ServiceSettings
from sbf_api.shared_memory import AWAY, CONNECTIONS, SharedMemory
from tests.api.redis_server import RedisServer, eventually


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class BreakerMachine(RuleBasedStateMachine):
    """What a breaker promises, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker("it", failures=3, seconds=5, clock=lambda: self.now)
        self.failures_in_a_row = 0
        self.probing = False
        self.left_alone_since = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.9, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_is_answered(self) -> None:
        self.breaker.succeeded()
        self.failures_in_a_row, self.probing = 0, False
        assert self.breaker.allows()

    @rule()
    def a_call_fails(self) -> None:
        was_closed = self.breaker.allows()
        self.breaker.failed()
        self.failures_in_a_row += 1
        if was_closed and not self.breaker.allows():
            assert self.breaker.last_opened == self.now
        if self.probing or (was_closed and not self.breaker.allows()):
            self.probing, self.left_alone_since = False, self.now

    @rule()
    def somebody_asks_whether_to_probe(self) -> None:
        due = not self.breaker.allows() and not self.probing and self.now - self.left_alone_since >= 5
        assert self.breaker.wants_probe() == due
        self.probing = self.probing or due

    @invariant()
    def it_is_open_after_three_failures_in_a_row_and_not_before(self) -> None:
        assert self.breaker.allows() == (self.failures_in_a_row < 3)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


async def test_without_a_redis_nothing_answers_and_nothing_is_counted_as_a_failure() -> None:
    shared = SharedMemory(ServiceSettings())
    assert await shared.run("PING") is AWAY
    assert (shared.failures, shared.breaker.allows()) == (0, True)
    await shared.close()


async def test_a_dead_redis_is_left_alone_after_three_calls_and_found_again(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with redis.shared(open_seconds=0.5) as shared:
        assert await shared.run("PING") is True
        redis.kill()
        for _ in range(10):
            assert await shared.run("PING") is AWAY
        assert (shared.failures, shared.breaker.state) == (3, "open")
        await asyncio.sleep(0.5)
        assert await shared.run("PING") is AWAY
        await eventually(lambda: shared.failures == 4)  # the probe, which nobody waited for
        assert shared.breaker.state == "open"
        redis.start()
        await asyncio.sleep(0.5)
        assert await shared.run("PING") is AWAY
        await eventually(shared.breaker.allows)
        assert await shared.run("PING") is True
    said = [record.message for record in caplog.records if record.name.startswith("sbf_api")]
    assert said == ["Redis does not answer: going on without it, looking again every 0.5 s", "Redis answers again"]


async def test_a_hung_redis_holds_up_a_crowd_once_and_then_nobody(redis: RedisServer) -> None:
    async with redis.shared(seconds=0.1, open_seconds=60) as shared:
        await shared.run("PING")
        redis.hang()
        answers = await asyncio.gather(*(shared.run("GET", str(number)) for number in range(300)))
        assert set(answers) == {AWAY}
        assert shared.breaker.state == "open"
        assert 3 <= shared.failures <= CONNECTIONS
        failures = shared.failures
        assert [await shared.run("PING") for _ in range(1_000)] == [AWAY] * 1_000
        assert shared.failures == failures
        redis.resume()


async def test_a_hung_redis_that_goes_on_is_used_again(redis: RedisServer) -> None:
    async with redis.shared(seconds=0.1) as shared:
        await shared.run("SET", "here", "still")
        redis.hang()
        while shared.breaker.allows():
            assert await shared.run("GET", "here") is AWAY
        redis.resume()
        deadline = time.monotonic() + 30
        while (answer := await shared.run("GET", "here")) is AWAY:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        assert answer == b"still"


async def test_when_this_process_stands_still_redis_is_not_blamed(redis: RedisServer) -> None:
    async with redis.shared(seconds=0.05) as shared:
        await shared.run("PING")
        redis.hang()
        for _ in range(5):
            call = asyncio.create_task(shared.run("PING"))
            await asyncio.sleep(0.01)
            time.sleep(0.3)
            assert await call is AWAY
        assert (shared.failures, shared.breaker.allows()) == (5, True)
        redis.resume()


async def test_more_calls_than_connections_wait_for_their_turn(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        numbers = await asyncio.gather(*(shared.run("INCR", "n") for _ in range(20 * CONNECTIONS)))
        assert sorted(numbers) == list(range(1, 20 * CONNECTIONS + 1))
        assert shared.failures == 0
        clients = (await shared.run("CLIENT", "LIST")).splitlines()
        assert len(clients) <= CONNECTIONS + 1


async def test_a_refusal_is_told_once_and_is_no_reason_to_leave_redis_alone(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with redis.shared() as shared:
        await shared.run("SET", "text", "abc")
        for _ in range(10):
            assert await shared.run("LPUSH", "text", "x") is AWAY
        assert shared.breaker.allows()
        assert await shared.run("GET", "text") == b"abc"
        assert shared.failures == 10
    assert [record.levelno for record in caplog.records if "refuses" in record.message] == [logging.WARNING]


async def test_cancelled_calls_never_leave_their_answer_to_others(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        for number in range(100):
            await shared.run("SET", str(number), f"value {number}")

        async def read(number: int) -> Any:
            return number, await shared.run("GET", str(number))

        for round_ in range(20):
            tasks = [asyncio.create_task(read(number)) for number in range(100)]
            for step, task in enumerate(tasks):
                if step % 3 == round_ % 3:
                    await asyncio.sleep(0)
                    task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(outcome, asyncio.CancelledError):
                    assert outcome[1] == f"value {outcome[0]}".encode()
        assert shared.failures == 0
        assert (await shared.run("INFO", "stats"))["total_connections_received"] <= CONNECTIONS + 2  # none was cut


async def test_a_password_in_the_address_is_never_logged(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with redis.shared() as admin:
        await admin.run("CONFIG", "SET", "requirepass", "another")
    shared = SharedMemory(ServiceSettings(redis_url=f"{redis.url}?password=hunter2"))
    try:
        for _ in range(4):
            assert await shared.run("PING") is AWAY
    finally:
        await shared.close()
    assert shared.failures == 3
    assert caplog.records
    assert "hunter2" not in caplog.text


async def test_after_closing_nothing_answers(redis: RedisServer) -> None:
    async with redis.shared() as shared:
        await shared.run("PING")
        under_way = asyncio.create_task(shared.run("SET", "key", "value"))
        await asyncio.sleep(0)
        await shared.close()
        assert await under_way is True
        assert await shared.run("PING") is AWAY
