"""``ws.jobs``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sbf_kernel import operations as op
from sbf_kernel.operations import build
from sbf_kernel.records import Job, JobList
from sbf_kernel.workspace.references import Ref

if TYPE_CHECKING:
    from sbf_kernel.workspace.workspace import Workspace


class Jobs:
    """``ws.jobs``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def list(
        self,
        search: str = "",
        *,
        kind: str | None = None,
        status: str | None = None,
        sort: str = "created",
        limit: int = 20,
        offset: int = 0,
    ) -> JobList:
        """Return a page of jobs, newest first; ``search`` matches part of the subject's name."""
        found: JobList = self._ws.call(
            build(op.ListJobs, search=search, kind=kind, status=status, sort=sort, limit=limit, offset=offset)
        )
        return found

    def get(self, ref: Job | Ref) -> Job:
        """Return a job as it is now."""
        found: Job = self._ws.call(build(op.GetJob, job_id=_id(ref)))
        return found

    def watch(self, *refs: Job | Ref) -> Iterator[Job]:
        """Yield each change of these jobs until all have ended."""
        return self._ws.stream(build(op.WatchJobs, job_ids=tuple(map(_id, refs))))

    def cancel(self, ref: Job | Ref) -> Job:
        """Stop a job, or take it out of the queue."""
        found: Job = self._ws.call(build(op.CancelJob, job_id=_id(ref)))
        return found

    def retry(self, ref: Job | Ref) -> Job:
        """Run a job again that failed, died or was cancelled; returns at once."""
        found: Job = self._ws.call(build(op.RetryJob, job_id=_id(ref)))
        return found


def _id(ref: Job | Ref) -> Ref:
    return ref.id if isinstance(ref, Job) else ref
