"""The loop thread: results, errors, Ctrl-C, running loops, forks, streams left early."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from sbf_kernel.backends.loop import LoopThread
from sbf_kernel.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread()
    yield made
    made.close()


async def give(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_results_and_errors_come_back(thread: LoopThread) -> None:
    async def fail() -> None:
        raise ValueError("as it was")

    assert thread.run(give(3)) == 3
    with pytest.raises(ValueError, match="as it was"):
        thread.run(fail())


async def test_it_works_inside_a_running_loop(thread: LoopThread) -> None:
    assert thread.run(give(4)) == 4


def test_calls_from_several_threads_run_at_once(thread: LoopThread) -> None:
    meeting = asyncio.Barrier(3)

    async def meet() -> int:
        return await meeting.wait()

    found: list[int] = []
    callers = [threading.Thread(target=lambda: found.append(thread.run(meet()))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert sorted(found) == [0, 1, 2]


def interrupt_when(event: threading.Event) -> threading.Thread:
    """Press Ctrl-C once ``event`` has happened."""
    main = threading.main_thread().ident
    assert main is not None
    presser = threading.Thread(target=lambda: event.wait(10) and signal.pthread_kill(main, signal.SIGINT))
    presser.start()
    return presser


def test_ctrl_c_cancels_and_waits_until_the_work_has_cleaned_up(thread: LoopThread) -> None:
    begun = threading.Event()
    steps: list[str] = []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("cancelled")
            await asyncio.sleep(0.05)
            steps.append("cleaned up")

    presser = interrupt_when(begun)
    with pytest.raises(KeyboardInterrupt):
        thread.run(work())
    presser.join()
    assert steps == ["cancelled", "cleaned up"]
    assert thread.run(give(5)) == 5


def test_ctrl_c_in_a_stream_closes_it_and_is_still_a_keyboard_interrupt(thread: LoopThread) -> None:
    waiting = threading.Event()
    closed: list[bool] = []

    async def stream() -> AsyncIterator[int]:
        try:
            yield 1
            waiting.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            closed.append(True)

    presser = interrupt_when(waiting)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        for item in thread.iterate(stream()):
            seen.append(item)  # noqa: PERF402 - the loop is what is tested
    presser.join()
    assert (seen, closed) == ([1], [True])


def test_a_stream_is_passed_on_item_by_item(thread: LoopThread) -> None:
    made: list[int] = []

    async def stream() -> AsyncIterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    for number, item in enumerate(thread.iterate(stream())):
        assert item == number
        assert made == list(range(number + 1))


def test_leaving_a_stream_early_closes_it(thread: LoopThread) -> None:
    closed = threading.Event()

    async def stream() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = thread.iterate(stream())
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]
    assert closed.is_set()


def test_an_error_in_a_stream_comes_out_where_it_is_read(thread: LoopThread) -> None:
    async def stream() -> AsyncIterator[int]:
        yield 1
        raise LookupError("gone")

    items = thread.iterate(stream())
    assert next(items) == 1
    with pytest.raises(LookupError, match="gone"):
        next(items)
    assert list(items) == []


def test_after_closing_a_call_says_so(thread: LoopThread) -> None:
    thread.close()
    thread.close()
    with pytest.raises(Conflict, match="closed"):
        thread.run(give(1))

    async def stream() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(Conflict, match="closed"):
        list(thread.iterate(stream()))


FORKED = """
import os, sys
import sbf_kernel.connecting
from sbf_kernel.backends.loop import LoopThread
from sbf_kernel.errors import Conflict
from sbf_kernel.settings import Settings
from sbf_kernel.workspace import Workspace

class Backend:
    async def call(self, operation): ...
    async def close(self): print("backend closed", os.getpid() == parent, flush=True)

parent = os.getpid()
loop = LoopThread()
workspace = Workspace(Backend(), loop, Settings())
async def give(): return 1
child = os.fork()
if child == 0:
    for call in (lambda: loop.run(give()), workspace.health):
        try:
            call()
        except Conflict as error:
            print("refused:", "forked" in str(error), flush=True)
    sys.exit()  # runs the handlers that exit runs
os.waitpid(child, 0)
print("parent:", loop.run(give()), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_refused_and_leaves_the_parent_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["refused: True", "refused: True", "parent: 1", "backend closed True"]
