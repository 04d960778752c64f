"""Background work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.errors import Conflict
from sbf_kernel.jobs.kinds import KINDS
from sbf_kernel.records import Job, JobList, Principal
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import jobs


async def list_jobs(runtime: Runtime, principal: Principal, o: op.ListJobs) -> JobList:
    """List jobs, newest first."""
    async with runtime.db.transaction(principal) as connection:
        return await jobs.find(
            connection,
            principal.user_id,
            kind=o.kind,
            status=o.status,
            search=o.search,
            sort=o.sort,
            limit=o.limit,
            offset=o.offset,
        )


async def get_job(runtime: Runtime, principal: Principal, o: op.GetJob) -> Job:
    """Return one job."""
    async with runtime.db.transaction(principal) as connection:
        return await jobs.get(connection, principal.user_id, o.job_id)


async def watch_jobs(runtime: Runtime, principal: Principal, o: op.WatchJobs) -> AsyncIterator[Any]:
    """Stream each change of these jobs until all have ended, or nobody is left to go on with them."""
    await runtime.news.listen()
    events = runtime.tasks.watch(o.job_ids)
    seen: dict[UUID, Job] = {}
    changed = set(o.job_ids)
    try:
        await anext(events)
        while changed:
            async with runtime.db.transaction(principal) as connection:
                waiting = await jobs.open_jobs(connection, principal.user_id, o.job_ids)
                found = await jobs.get_many(connection, principal.user_id, changed)
            for job in found:
                if job != seen.get(job.id):
                    seen[job.id] = job
                    yield job
            if not waiting:
                break
            _, changed = await anext(events)
    finally:
        await events.aclose()


async def cancel_job(runtime: Runtime, principal: Principal, o: op.CancelJob) -> Job:
    """Stop a job, or take it out of the queue; one that has ended stays as it is."""
    job = await get_job(runtime, principal, op.GetJob(job_id=o.job_id))
    if not job.finished:
        assert job.subject_id is not None
        await KINDS[job.kind].cancel(runtime, principal, (job.subject_id,))
    return await get_job(runtime, principal, op.GetJob(job_id=o.job_id))


async def retry_job(runtime: Runtime, principal: Principal, o: op.RetryJob) -> Job:
    """Run a job again that failed, died or was cancelled.

    Raises
    ------
    Conflict
        It waits, runs, or has done what it was for.
    """
    job = await get_job(runtime, principal, op.GetJob(job_id=o.job_id))
    if job.status not in ("failed", "dead", "cancelled"):
        hint = "RetrySource processes a source again" if job.status == "done" else "wait, or cancel it first"
        raise Conflict(f"job {o.job_id} is {job.status}", hint=hint)
    assert job.subject_id is not None
    await KINDS[job.kind].retry(runtime, principal, job.subject_id, None)
    return await get_job(runtime, principal, op.GetJob(job_id=o.job_id))
