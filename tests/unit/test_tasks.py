"""Background work: limits, order, cancelling, watching, work that follows on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sbf_kernel.tasks import TaskRunner


class Steps:
    """Work that waits until it is let go, and notes what happens."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def work(self, name: str) -> Any:
        gate = self.gates.setdefault(name, asyncio.Event())

        async def run() -> None:
            self.log.append(f"{name} begins")
            try:
                await gate.wait()
            except asyncio.CancelledError:
                self.log.append(f"{name} stops")
                raise
            self.log.append(f"{name} ends")

        return run


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_run_at_once_than_allowed_and_the_others_follow_in_order() -> None:
    runner, steps = TaskRunner(2), Steps()
    for name in "abc":
        runner.start(name, steps.work(name))
    await settle()
    assert steps.log == ["a begins", "b begins"]
    assert all(map(runner.running, "abc"))
    steps.gates["a"].set()
    await runner.wait("a")
    await settle()
    assert steps.log == ["a begins", "b begins", "a ends", "c begins"]
    await runner.close()
    assert not any(map(runner.running, "abc"))


async def test_a_key_runs_once_at_a_time_and_the_last_further_work_follows() -> None:
    runner, steps = TaskRunner(5), Steps()
    runner.start("k", steps.work("first"))
    await settle()
    runner.start("k", steps.work("second"))
    runner.start("k", steps.work("third"))
    await settle()
    assert steps.log == ["first begins"]
    steps.gates["first"].set()
    await settle()
    assert steps.log == ["first begins", "first ends", "third begins"]
    assert runner.running("k")
    steps.gates["third"].set()
    await runner.wait("k")
    await settle()
    assert not runner.running("k")


async def test_cancel_waits_until_the_work_has_stopped_and_drops_what_would_follow() -> None:
    runner, steps = TaskRunner(5), Steps()
    runner.start("k", steps.work("first"))
    await settle()
    runner.start("k", steps.work("second"))
    await runner.cancel("k")
    assert steps.log == ["first begins", "first stops"]
    await settle()
    assert not runner.running("k")
    assert steps.log == ["first begins", "first stops"]
    await runner.cancel("k")
    await runner.wait("k")


async def test_cancelled_while_waiting_it_never_begins_and_gives_its_turn_back() -> None:
    runner, steps = TaskRunner(1), Steps()
    for name in "abc":
        runner.start(name, steps.work(name))
    await settle()
    await runner.cancel("b")
    steps.gates["a"].set()
    await settle()
    assert steps.log == ["a begins", "a ends", "c begins"]
    await runner.close()


async def test_watchers_get_the_events_of_their_keys_and_the_end() -> None:
    runner = TaskRunner(1)

    async def work() -> None:
        runner.publish("a", 1)
        runner.publish("b", "somebody else's")
        runner.publish("a", 2)

    events = runner.watch(["a"])
    assert await anext(events) == (None, None)
    runner.start("a", work)
    assert [await anext(events) for _ in range(3)] == [("a", 1), ("a", 2), ("a", None)]
    await events.aclose()
    runner.publish("a", 3)
    assert runner._watchers == {}


async def test_a_watcher_of_one_key_twice_and_two_watchers_do_not_disturb_each_other() -> None:
    runner = TaskRunner(1)
    first, second = runner.watch(["a", "a"]), runner.watch(["a"])
    await anext(first)
    await anext(second)
    runner.publish("a", 1)
    assert await anext(second) == ("a", 1)
    assert await anext(first) == ("a", 1)
    await first.aclose()
    runner.publish("a", 2)
    assert await anext(second) == ("a", 2)
    await second.aclose()
    assert runner._watchers == {}


async def test_the_end_is_announced_after_failure_and_cancellation_too(caplog: pytest.LogCaptureFixture) -> None:
    runner, steps = TaskRunner(2), Steps()

    async def fail() -> None:
        raise ValueError("a bug")

    events = runner.watch(["a", "b"])
    await anext(events)
    runner.start("a", fail)
    runner.start("b", steps.work("b"))
    assert await anext(events) == ("a", None)
    await runner.cancel("b")
    assert await anext(events) == ("b", None)
    await events.aclose()


async def test_what_follows_is_not_announced_as_the_end() -> None:
    runner, steps = TaskRunner(1), Steps()
    events = runner.watch(["k"])
    await anext(events)
    runner.start("k", steps.work("first"))
    await settle()
    runner.start("k", steps.work("second"))
    steps.gates["first"].set()
    steps.gates["second"].set()
    assert await anext(events) == ("k", None)
    assert steps.log[-1] == "second ends"
    await events.aclose()
