"""Finds what dead workers left: procrastinate itself leaves such a job ``doing`` for ever.

A worker holds a lock in the database as long as it lives; so its death is seen
at once, however it came. One that lives but does not move (stopped, swapped
out, cut off) is found by its heartbeat, and cut off from the database before
its jobs are given to others. Should it wake up, it has lost their leases: what
it writes is void.

What counts is the jobs. Tickets only send workers to them: they may be there
twice, and are written again when they got lost with a worker.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from sbf_kernel.errors import StoreError
from sbf_kernel.jobs.kinds import KINDS
from sbf_kernel.jobs.retrying import after_crash
from sbf_kernel.records import Principal
from sbf_kernel.storage import jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procrastinate.connector import BaseConnector

    from sbf_kernel.runtime import Runtime

_log = logging.getLogger(__name__)


async def sweep(runtime: Runtime, queue: BaseConnector, lease_seconds: float) -> None:
    """Look at all tenants' jobs once. Several processes may do so at a time: one of them rescues a job.

    Parameters
    ----------
    queue
        Connections of the owner that find procrastinate's tables.
    lease_seconds
        Age of a worker's last heartbeat from which it is taken to be out of order.
    """
    adrift = await queue.execute_query_all_async(jobs.ADRIFT, lease=lease_seconds)
    random.shuffle(adrift)  # beside others, or killed over it, nobody sees to the same ones each time
    for job in adrift:
        try:
            if job["lives"]:
                await jobs.cut_off(runtime.db, job["holder"])
            await _rescue(runtime, job)
        except StoreError as error:  # maybe something is held by the one that is out of order: next time
            _log.warning("job %s could not be rescued: %s", job["job_id"], error)
    await queue.execute_query_async(jobs.PUT_BACK, lease=lease_seconds)


async def _rescue(runtime: Runtime, job: Mapping[str, Any]) -> None:
    principal, outcome = Principal(user_id=job["user_id"]), after_crash(job["crashes"])
    async with runtime.db.change(principal) as connection:
        if outcome.status == "dead":
            await KINDS[job["kind"]].mirror(connection, principal.user_id, job["subject_id"], outcome)
        rescued = await jobs.rescue(connection, principal.user_id, job["job_id"], job["fence"], outcome)
    if rescued:
        _log.warning("job %s: %s; it is %s", job["job_id"], outcome.message, outcome.status)
