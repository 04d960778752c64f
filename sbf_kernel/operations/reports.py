"""Reports: pages made in the background from templates that SBF brings."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from sbf_kernel import records
from sbf_kernel.operations.operation import Limit, Offset, Operation, Words


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL characters")
    return value


ParameterName = Annotated[str, StringConstraints(pattern="^[a-z_]{1,60}$")]
ParameterText = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_without_nul)]
ParameterTexts = Annotated[tuple[ParameterText, ...], Field(max_length=50)]


class ListReportTemplates(Operation):
    """List the templates that SBF brings, with their parameters."""

    method, path, result = "GET", "/report-templates", records.ReportTemplateList


class RunReport(Operation):
    """Make a report about a notebook, in the background: returns the job; its ``subject_id`` is the report's id.

    Parameters are texts, or lists of texts; they are data and never run.
    """

    method, path, result = "POST", "/reports", records.Job
    creates = True
    rate = "transformations"
    notebook_id: UUID
    template: Annotated[str, StringConstraints(pattern="^[a-z_]{1,60}$")]
    """Name of one that SBF brings."""
    parameters: Annotated[dict[ParameterName, ParameterText | ParameterTexts], Field(max_length=20)] = Field(
        default_factory=dict
    )


class ListReports(Operation):
    """List reports without their pages, newest first; ``search`` matches part of the template's name."""

    method, path, result = "GET", "/reports", records.ReportList
    notebook_id: UUID | None = None
    search: Words = ""
    limit: Limit = 20
    offset: Offset = 0


class GetReport(Operation):
    """Return a report with its page."""

    method, path, result = "GET", "/reports/{report_id}", records.Report
    report_id: UUID


class DeleteReport(Operation):
    """Delete a report; one that is being made is stopped."""

    method, path, result = "DELETE", "/reports/{report_id}", None
    report_id: UUID
