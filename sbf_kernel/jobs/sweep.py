"""Finds what dead workers left: procrastinate itself leaves such a job ``doing`` for ever.

A worker holds a lock in the database as long as it lives; so its death is seen
at once, however it came. One that lives but does not move (stopped, swapped
out, cut off) is found by its heartbeat, and cut off from the database before
its jobs are given to others. Should it wake up, it has lost their leases: what
it writes is void.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sbf_kernel.errors import StoreError
from sbf_kernel.jobs.kinds import KINDS
from sbf_kernel.jobs.retrying import after_crash
from sbf_kernel.records import Principal
from sbf_kernel.storage import jobs

if TYPE_CHECKING:
    from procrastinate.jobs import Job as Ticket
    from procrastinate.manager import JobManager

    from sbf_kernel.runtime import Runtime
    from sbf_kernel.storage.jobs import Condition

_log = logging.getLogger(__name__)


async def sweep(runtime: Runtime, tickets: JobManager, stale_seconds: float) -> None:
    """Look at every ticket that a worker took, once. Several processes may do so at a time: one of them rescues a job.

    Parameters
    ----------
    stale_seconds
        Age of a worker's last heartbeat from which it is taken to be out of order.
    """
    taken = defaultdict(list)
    for ticket in await tickets.list_jobs_async(status="doing"):
        taken[str(ticket.task_kwargs["user_id"])].append(ticket)
    stale = {ticket.id for ticket in await tickets.get_stalled_jobs(seconds_since_heartbeat=stale_seconds)}
    tenants = list(taken)
    random.shuffle(
        tenants
    )  # who is killed over a sweep, or does it beside others, has not always seen to the same ones
    for user_id in tenants:
        principal = Principal(user_id=user_id)
        try:
            async with runtime.db.transaction(principal) as connection:
                found = await jobs.conditions(connection, user_id, [_job_id(ticket) for ticket in taken[user_id]])
            random.shuffle(taken[user_id])
            for ticket in taken[user_id]:
                await _examine(runtime, principal, tickets, ticket, ticket.id in stale, found.get(_job_id(ticket)))
        except StoreError as error:  # maybe something is held by the one that is out of order: next time
            _log.warning("jobs of %s could not be examined: %s", user_id, error)


def _job_id(ticket: Ticket) -> UUID:
    return UUID(str(ticket.task_kwargs["job_id"]))


async def _examine(
    runtime: Runtime, principal: Principal, tickets: JobManager, ticket: Ticket, stale: bool, found: Condition | None
) -> None:
    """See to one ticket.

    Parameters
    ----------
    stale
        Whether its worker shows no heartbeat.
    found
        How its job stands; None when it is gone.
    """
    if found is not None and found.status == "running":
        if not found.attended:
            await _rescue(runtime, principal, _job_id(ticket), found)
        elif stale and found.ticket == ticket.id:  # not one that has got the job since
            await jobs.cut_off(runtime.db, found.holder)
            await _rescue(runtime, principal, _job_id(ticket), found)
    if stale:
        begun = found is None or found.status not in ("queued", "failed")
        await _put_away(tickets, ticket, begun)


async def _rescue(runtime: Runtime, principal: Principal, job_id: UUID, found: Condition) -> None:
    outcome = after_crash(found.crashes)
    async with runtime.db.change(principal) as connection:
        if outcome.status == "dead":
            await KINDS[found.kind].mirror(connection, principal.user_id, found.subject_id, outcome)
        rescued = await jobs.rescue(connection, principal.user_id, job_id, found.fence, outcome)
    if rescued:
        _log.warning("job %s: %s; it is %s", job_id, outcome.message, outcome.status)


async def _put_away(tickets: JobManager, ticket: Ticket, done_with: bool) -> None:
    """Remove the ticket of a dead worker; put it back when its job has not even begun."""
    from procrastinate.exceptions import ConnectorException
    from procrastinate.jobs import Status

    assert ticket.id is not None
    try:
        if done_with:
            await tickets.finish_job_by_id_async(ticket.id, status=Status.ABORTED, delete_job=True)
        else:
            await tickets.retry_job_by_id_async(ticket.id, retry_at=datetime.now(UTC))
    except ConnectorException as error:  # somebody else was faster, or the database is away: then next time
        _log.debug("ticket %s: %s", ticket.id, error.__cause__)
