"""``ws.reports``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel import operations as op
from sbf_kernel.errors import SbfError
from sbf_kernel.operations import build
from sbf_kernel.records import Job, Notebook, Report, ReportList, ReportTemplateList
from sbf_kernel.workspace.references import Ref, as_id

if TYPE_CHECKING:
    from sbf_kernel.workspace.notebooks import NotebookHandle
    from sbf_kernel.workspace.workspace import Workspace


class Reports:
    """``ws.reports``."""

    def __init__(self, workspace: Workspace) -> None:
        self._ws = workspace

    def templates(self) -> ReportTemplateList:
        """Return the templates that SBF brings, and what each may be told."""
        found: ReportTemplateList = self._ws.call(op.ListReportTemplates())
        return found

    def run(
        self,
        template: str,
        notebook: Notebook | NotebookHandle | Ref,
        *,
        output: str | Path | None = None,
        **parameters: Any,
    ) -> Report:
        """Make a report about a notebook, and wait for it.

        Parameters
        ----------
        template
            Name of one that SBF brings; :meth:`templates` lists them.
        notebook
            A notebook, its id or name.
        output
            A file to write the page to, ``….html``.
        parameters
            Of the template: texts, or lists of texts.

        Returns
        -------
        The report; ``save()`` writes its page.

        Raises
        ------
        SbfError
            It failed. When a cell of the template did, there is a page that shows it, also at ``output``.
        """
        job = self.start(template, notebook, **parameters)
        for _ in self._ws.jobs.watch(job):
            """Until it has ended."""
        report = self.get(job)
        if output is not None and report.html:
            report.save(output)
        if report.status != "ready":
            raise SbfError(
                f"report {report.id}: {report.message or report.status}",
                hint="its page shows more" if report.html else "run it again",
                report=str(report.id),
            )
        return report

    def start(self, template: str, notebook: Notebook | NotebookHandle | Ref, **parameters: Any) -> Job:
        """Have a report made in the background; returns the job, whose ``subject_id`` is the report's id."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
        job: Job = self._ws.call(
            build(op.RunReport, notebook_id=self._notebook(notebook), template=template, parameters=given)
        )
        return job

    def list(
        self, search: str = "", *, notebook_id: UUID | None = None, limit: int = 20, offset: int = 0
    ) -> ReportList:
        """Return a page of reports without their pages, newest first; ``search`` matches part of the template's name."""
        found: ReportList = self._ws.call(
            build(op.ListReports, search=search, notebook_id=notebook_id, limit=limit, offset=offset)
        )
        return found

    def get(self, report: Report | Job | Ref) -> Report:
        """Return a report with its page."""
        found: Report = self._ws.call(build(op.GetReport, report_id=_id(report)))
        return found

    def delete(self, report: Report | Ref) -> None:
        """Delete a report; one that is being made is stopped."""
        self._ws.call(build(op.DeleteReport, report_id=_id(report)))

    def _notebook(self, notebook: Notebook | NotebookHandle | Ref) -> UUID:
        if not isinstance(notebook, (str, UUID)):
            return notebook.id
        return as_id(notebook) or self._ws.notebooks.get(notebook).id


def _id(report: Report | Job | Ref) -> Any:
    if isinstance(report, Job):
        return report.subject_id
    return report.id if isinstance(report, Report) else report
