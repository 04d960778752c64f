"""What becomes of jobs that fail, and who runs beside whom."""

from __future__ import annotations

import asyncio

import pytest

from sbf_kernel.errors import FetchError, FetchRefused, ModelUnavailable, SourceBroken, StoreBusy
from sbf_kernel.jobs import retrying
from sbf_kernel.jobs.turns import Turns


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (FetchError("answered 404", status=404), False),
        (FetchError("answered 429", status=429), True),
        (FetchError("no route to it"), True),
        (FetchRefused("a private network"), False),
        (ModelUnavailable("no answer"), True),
        (StoreBusy("no connection"), True),
        (ZeroDivisionError("a bug"), True),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:
    assert retrying.may_pass(error) is again
    assert retrying.after_error(error, 0).status == ("failed" if again else "dead")
    assert retrying.after_error(error, retrying.MOST_ERRORS - 1).status == "dead"


def test_waits_grow_and_are_spread() -> None:
    waits = [[retrying.backoff(before) for _ in range(200)] for before in range(6)]
    for before, drawn in enumerate(waits):
        longest = min(retrying.LONGEST_WAIT, retrying.FIRST_WAIT * 4**before)
        assert longest / 2 <= min(drawn) < max(drawn) <= longest
        assert len(set(drawn)) > 100


async def test_a_job_that_wants_to_be_alone_gets_the_worker_for_itself() -> None:
    turns, running, log = Turns(), 0, []

    async def work(name: str, alone: bool) -> None:
        nonlocal running
        async with turns.alone() if alone else turns.together():
            running += 1
            log.append((name, running))
            await asyncio.sleep(0.02)
            assert not alone or running == 1
            running -= 1

    await asyncio.wait_for(asyncio.gather(*(work(str(number), number % 3 == 2) for number in range(12))), 10)
    assert max(count for _, count in log) > 1
    assert len(log) == 12


def test_a_source_that_cannot_be_read_is_done_with_whatever_happened_before() -> None:
    for attempts in (0, 9):
        outcome = retrying.after_error(SourceBroken("no zip"), attempts)
        assert (outcome.status, outcome.reason, outcome.error) == ("done", "source_broken", False)


def test_a_job_runs_among_others_then_alone_then_not_at_all() -> None:
    fates = [retrying.after_crash(crashes) for crashes in range(retrying.MOST_CRASHES)]
    assert [fate.status for fate in fates] == ["queued"] * (retrying.MOST_CRASHES - 1) + ["dead"]
    assert [fate.wait is None for fate in fates[:4]] == [True, True, False, False]
    assert not any(fate.error for fate in fates)


async def test_who_gives_up_waiting_to_be_alone_does_not_keep_others_out() -> None:
    turns = Turns()
    async with turns.together():
        waiting = asyncio.create_task(turns.alone().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(5), turns.together():
        pass
