"""Reports."""

from __future__ import annotations

import asyncio

from sbf_kernel import operations as op
from sbf_kernel.records import Job, Principal, Report, ReportList, ReportTemplateList
from sbf_kernel.reports import making, templates
from sbf_kernel.runtime import Runtime
from sbf_kernel.storage import notebooks, reports


async def list_report_templates(
    runtime: Runtime, principal: Principal, o: op.ListReportTemplates
) -> ReportTemplateList:
    """List the templates that SBF brings."""
    return await asyncio.to_thread(templates.describe)


async def run_report(runtime: Runtime, principal: Principal, o: op.RunReport) -> Job:
    """Have a report made in the background."""
    return await making.request(runtime, principal, o)


async def list_reports(runtime: Runtime, principal: Principal, o: op.ListReports) -> ReportList:
    """List reports without their pages."""
    async with runtime.db.transaction(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,) if o.notebook_id else ())
        return await reports.find(
            connection, principal.user_id, notebook_id=o.notebook_id, search=o.search, limit=o.limit, offset=o.offset
        )


async def get_report(runtime: Runtime, principal: Principal, o: op.GetReport) -> Report:
    """Return a report with its page."""
    async with runtime.db.transaction(principal) as connection:
        return await reports.get(connection, principal.user_id, o.report_id)


async def delete_report(runtime: Runtime, principal: Principal, o: op.DeleteReport) -> None:
    """Delete a report."""
    await making.delete(runtime, principal, o.report_id)
