"""Jobs: what runs, waits, failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.operations import build
from sbf_kernel.widgets.panel import Panel, problem, script, style
from sbf_kernel.widgets.rows import Row, job_row

if TYPE_CHECKING:
    from sbf_kernel.display import View
    from sbf_kernel.records import JobList
    from sbf_kernel.workspace import Workspace

FIRST = 50


class JobsBox(Panel):
    """Background work: progress, cancel, try again."""

    _esm = script("jobs")
    _css = style("jobs")

    def __init__(self, workspace: Workspace) -> None:
        self._watched: frozenset[UUID] = frozenset()
        super().__init__(workspace)
        self.state = self._do_page(limit=FIRST)

    def _list(self, **filters: Any) -> JobList:
        found: JobList = self._ws.call(build(op.ListJobs, **filters))
        return found

    def _do_page(
        self, offset: int = 0, limit: int = FIRST, status: str | None = None, search: str = ""
    ) -> dict[str, Any]:
        """Return a page of jobs, newest first, and follow those that have not ended."""
        found = self._list(offset=offset, limit=limit, status=status or None, search=search)
        self._follow(job.id for job in found if not job.finished)
        return {"total": found.total, "offset": offset, "rows": [job_row(job) for job in found]}

    def _do_hello(self) -> dict[str, Any]:
        """Return how things are now."""
        self._show(**self._do_page())
        return {"state": self.state}

    def _do_cancel(self, job_id: str) -> Row:
        """Stop a job, or take it out of the queue."""
        return job_row(self._ws.call(build(op.CancelJob, job_id=job_id)))

    def _do_retry(self, job_id: str) -> Row:
        """Run a job again."""
        job = self._ws.call(build(op.RetryJob, job_id=job_id))
        self._follow([job.id])
        return job_row(job)

    def _follow(self, job_ids: Iterable[UUID]) -> None:
        """Tell the browser each change of those among these that nobody follows yet."""
        with self._lock:
            new = frozenset(job_ids) - self._watched
            self._watched |= new
        if new:
            self._start(self._watch, new)

    def _watch(self, job_ids: frozenset[UUID]) -> None:
        try:
            for job in self._ws.stream(op.WatchJobs(job_ids=tuple(job_ids))):
                self._tell({"event": "job", "row": job_row(job)})
        except Exception as error:  # noqa: BLE001 - the browser is told that it must look for itself
            self._tell({"event": "lost", "error": problem(error)})
        finally:
            with self._lock:
                self._watched -= job_ids

    def _view(self) -> View:
        return self._list(limit=FIRST)._view()
