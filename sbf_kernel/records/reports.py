"""Reports and their templates."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import Field

from sbf_kernel import display
from sbf_kernel.errors import Conflict
from sbf_kernel.records.record import Listing, Record

ReportStatus = Literal["pending", "ready", "failed"]


class Report(Record):
    """A page about a notebook: made in the background, then kept as it is."""

    id: UUID
    notebook_id: UUID
    template: str
    parameters: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    status: ReportStatus
    message: str = ""
    """Why it failed, in words."""
    created_at: datetime
    updated_at: datetime
    html: str = ""
    """The whole page, which needs no network; also of one that failed in the middle. Left out in lists."""

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path.

        Raises
        ------
        Conflict
            There is no page, or not yet.
        """
        if not self.html:
            raise Conflict(f"report {self.id} has no page: {self.message or self.status}", hint="ws.reports.get() it")
        place = Path(path).expanduser().absolute()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self.html, encoding="utf-8")
        return place

    def _view(self) -> display.View:
        size = f"{len(self.html.encode()) // 1024} kB" if self.html else ""
        return display.fields("Report", {**self.model_dump(exclude={"html", "parameters"}), "page": size})


class ReportList(Listing[Report]):
    """A page of reports, without their pages."""

    def _view(self) -> display.View:
        rows = [(r.template, display.Status(r.status), r.message, r.created_at, r.id) for r in self.items]
        title = f"{self.total} report" + "s" * (self.total != 1)
        return display.table(title, ("template", "status", "detail", "made", "id"), rows)


class ReportTemplate(Record):
    """A notebook that becomes a report."""

    name: str
    about: str
    parameters: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """What they are when not given."""


class ReportTemplateList(Listing[ReportTemplate]):
    """The templates that SBF brings."""

    def _view(self) -> display.View:
        rows = [(t.name, t.about, ", ".join(t.parameters)) for t in self.items]
        return display.table(f"{self.total} templates", ("name", "about", "parameters"), rows)
