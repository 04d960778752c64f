"""Background work."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sbf_kernel import display
from sbf_kernel.records.record import Listing, Record

JobStatus = Literal["queued", "running", "done", "failed", "dead", "cancelled"]
"""``failed`` will be tried again, ``dead`` will not until somebody says so."""


class Job(Record):
    """A piece of work that goes on when nobody waits for it."""

    id: UUID
    kind: str
    """``ingest`` …"""
    subject_id: UUID | None = None
    """What it works on, for example the source."""
    subject: str = ""
    """Name of that."""
    status: JobStatus
    priority: int = 0
    """Higher goes first."""
    done: int = 0
    total: int = 0
    attempts: int = 0
    """Times it ended in an error."""
    crashes: int = 0
    """Times its worker died; counted apart, since they say nothing about the job."""
    reason: str = ""
    message: str = ""
    created_at: datetime
    updated_at: datetime
    run_after: datetime | None = None
    """When it is tried again."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in ("done", "dead", "cancelled")


class JobList(Listing[Job]):
    """A page of jobs."""

    def _view(self) -> display.View:
        rows = [
            (j.kind, j.subject, display.Status(j.status), f"{j.done}/{j.total}" if j.total else "", j.message)
            for j in self.items
        ]
        return display.table(
            f"{self.total} job" + "s" * (self.total != 1), ("kind", "subject", "status", "progress", "detail"), rows
        )
