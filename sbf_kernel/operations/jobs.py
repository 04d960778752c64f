"""Background work: what runs, waits, failed."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sbf_kernel import records
from sbf_kernel.operations.operation import Limit, Offset, Operation, Words


class ListJobs(Operation):
    """List jobs, newest first; ``search`` matches part of the subject's name."""

    method, path, result = "GET", "/jobs", records.JobList
    kind: Words | None = None
    status: records.JobStatus | None = None
    search: Words = ""
    sort: Literal["created", "priority", "updated"] = "created"
    limit: Limit = 20
    offset: Offset = 0


class GetJob(Operation):
    """Return one job."""

    method, path, result = "GET", "/jobs/{job_id}", records.Job
    job_id: UUID


class WatchJobs(Operation):
    """Stream each change of these jobs until all have ended."""

    method, path, result, streams = "POST", "/jobs/events", records.Job, True
    reads = True
    job_ids: Annotated[tuple[UUID, ...], Field(max_length=10_000)]


class CancelJob(Operation):
    """Stop a job, or take it out of the queue."""

    method, path, result = "POST", "/jobs/{job_id}/cancel", records.Job
    job_id: UUID


class RetryJob(Operation):
    """Run a job again that failed, died or was cancelled."""

    method, path, result = "POST", "/jobs/{job_id}/retry", records.Job
    rate = "ingestion"
    job_id: UUID
