"""Background work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sbf_kernel import operations as op
from sbf_kernel.records import Job, JobList, Principal
from sbf_kernel.runtime import Runtime


async def list_jobs(runtime: Runtime, principal: Principal, o: op.ListJobs) -> JobList:
    """List jobs, newest first."""
    raise NotImplementedError


async def get_job(runtime: Runtime, principal: Principal, o: op.GetJob) -> Job:
    """Return one job."""
    raise NotImplementedError


def watch_jobs(runtime: Runtime, principal: Principal, o: op.WatchJobs) -> AsyncIterator[Any]:
    """Stream each change of these jobs until all have ended."""
    raise NotImplementedError


async def cancel_job(runtime: Runtime, principal: Principal, o: op.CancelJob) -> Job:
    """Stop a job, or take it out of the queue."""
    raise NotImplementedError


async def retry_job(runtime: Runtime, principal: Principal, o: op.RetryJob) -> Job:
    """Run a job again that failed, died or was cancelled."""
    raise NotImplementedError
