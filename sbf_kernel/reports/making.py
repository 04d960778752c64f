"""Makes reports in the background, in this process's care or a worker's.

A report runs Python, so it runs templates that SBF brings and nothing else;
what a user gives are texts. It runs in a process of its own, which knows no
secret and reaches the user's sources through a socket only.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import UUID

from sbf_kernel.errors import Cancelled, Conflict, MissingExtra, SbfError, StoreUnavailable
from sbf_kernel.ingest.pipeline import verdict
from sbf_kernel.records import Job, Principal, Report
from sbf_kernel.reports.serving import serving
from sbf_kernel.reports.templates import SCOPE, checked
from sbf_kernel.storage import jobs, notebooks, reports
from sbf_kernel.storage.jobs import Lease, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.operations import RunReport
    from sbf_kernel.runtime import Runtime

KIND = "report"
"""Of the jobs that make a report."""
REPORT_SECONDS = 1_800
"""Longest time for a whole report."""
CELL_SECONDS = 900
"""Longest time for one of its cells."""
_KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "SYSTEMROOT",
)
"""Environment variables a report gets: none that holds a secret or says where data are."""


async def request(runtime: Runtime, principal: Principal, o: RunReport) -> Job:
    """Register a report and have it made; returns the job.

    Raises
    ------
    NotFound
        No such notebook or template.
    InvalidInput
        No such parameter.
    MissingExtra
        What runs notebooks is not installed here.
    """
    if find_spec("papermill") is None or find_spec("ipykernel") is None:
        raise MissingExtra("reports need papermill and ipykernel", hint="pip install -U sbf-kernel")
    parameters = checked(o.template, o.parameters)
    async with runtime.db.together(principal) as connection:
        await notebooks.require(connection, principal.user_id, (o.notebook_id,))
        report_id = await reports.create(connection, principal.user_id, o.notebook_id, o.template, parameters)
        return await _enqueue(runtime, principal, connection, report_id, o.template)


async def _enqueue(
    runtime: Runtime, principal: Principal, connection: AsyncConnection, report_id: UUID, subject: str
) -> Job:
    job_id = await jobs.enqueue(
        connection,
        principal.user_id,
        kind=KIND,
        subject_id=report_id,
        subject=subject,
        place=runtime.settings.jobs,
        holder=runtime.db.locks.holder,
        author=principal.author,
    )
    if runtime.settings.jobs == "here":
        runtime.db.after_commit(
            lambda: runtime.tasks.start(report_id, lambda: process(runtime, principal.tenant, report_id))
        )
    return await jobs.get(connection, principal.user_id, job_id)


async def process(runtime: Runtime, principal: Principal, report_id: UUID) -> None:
    """Make one registered report, in this process's care. Never raises but for cancellation."""
    with suppress(StoreUnavailable, Cancelled):
        async with runtime.db.locks.hold(report_id) as mine:
            if not mine:
                return
            async with runtime.db.transaction(principal) as connection:
                lease = await jobs.claim(connection, principal.user_id, KIND, report_id, runtime.db.locks.holder)
            if lease is None:
                return
            try:
                await make(runtime, principal, lease, report_id)
            except asyncio.CancelledError:
                with suppress(Cancelled):
                    await _conclude(runtime, principal, lease, report_id, Outcome("cancelled", "cancelled"))
                raise
            except Cancelled:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
                await _conclude(runtime, principal, lease, report_id, verdict(error))


async def _conclude(runtime: Runtime, principal: Principal, lease: Lease, report_id: UUID, outcome: Outcome) -> None:
    async with runtime.db.change(principal) as connection:
        await mirror(connection, principal.user_id, report_id, outcome)
        await jobs.settle(connection, lease, outcome)


async def mirror(connection: AsyncConnection, user_id: str, report_id: UUID, outcome: Outcome) -> None:
    """Let a report show how its job ended, or why it waits."""
    status = "pending" if outcome.status in ("queued", "failed") else "failed"
    message = outcome.message or outcome.reason
    await reports.set_outcome(connection, user_id, report_id, status=status, message=message)


async def make(runtime: Runtime, principal: Principal, lease: Lease, report_id: UUID) -> None:
    """Run the template and store the page; ends the job.

    A cell that fails is an outcome: the page shows it, and running it again would not help.

    Raises
    ------
    Cancelled
        The lease has ended; nothing was stored.
    SbfError
        The process died, or took too long.
    """
    async with runtime.db.transaction(principal) as connection:
        report = await reports.get(connection, principal.user_id, report_id)
    failed, page = await _run(runtime, principal, report)
    status, outcome = "ready", Outcome("done")
    if failed is not None:
        status, outcome = "failed", Outcome("dead", "report_failed", f"{report.template} {failed}", error=True)
    async with runtime.db.change(principal) as connection:
        await reports.set_outcome(
            connection, principal.user_id, report_id, status=status, message=outcome.message, page=page
        )
        await jobs.settle(connection, lease, outcome)


async def _run(runtime: Runtime, principal: Principal, report: Report) -> tuple[str | None, str]:
    """Run a template in a process of its own; returns what failed, and the page."""
    with TemporaryDirectory(prefix="sbf-report-") as name:
        folder = Path(name)
        parameters = {**report.parameters, SCOPE: str(report.notebook_id)}
        job = {"template": report.template, "parameters": parameters}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        async with serving(runtime, principal, folder / "socket"):
            code, words = await _child(folder)
        if code != 0 or not (folder / "outcome.json").exists():
            last = words.strip().rpartition("\n")[2][:300]
            raise SbfError(f"the process of the report ended with {code}: {last}", hint="run it again")
        failed = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))["failed"]
        return failed, (folder / "page.html").read_text(encoding="utf-8")


def environment(folder: str) -> dict[str, str]:
    """Return the environment of a report's process: no secrets, and a home of its own."""
    private = {"HOME": folder, "IPYTHONDIR": f"{folder}/ipython", "MPLCONFIGDIR": folder}
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | private


async def _child(folder: Path) -> tuple[int | None, str]:
    """Run the process to its end; returns its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sbf_kernel.reports.child", str(folder), str(CELL_SECONDS),
        cwd=folder, env=environment(str(folder)), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            words, _ = await process.communicate()
    except TimeoutError:
        raise SbfError(f"the report took longer than {REPORT_SECONDS} s", hint="ask fewer questions") from None
    finally:
        if process.returncode is None:  # its kernel ends by itself when it has no parent any more
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode, words.decode(errors="replace")


async def retry(runtime: Runtime, principal: Principal, report_id: UUID, _: None = None) -> Report:
    """Make a report again.

    Raises
    ------
    Conflict
        It is being made right now.
    """
    async with runtime.db.together(principal) as connection:
        report = await reports.get(connection, principal.user_id, report_id)
        state = (await jobs.attended(connection, principal.user_id, KIND, [report_id])).get(report_id)
        if runtime.tasks.running(report_id) or state == "running":
            raise Conflict(f"report {report_id} is being made", hint="wait, or cancel it first")
        await reports.set_outcome(connection, principal.user_id, report_id, status="pending", message="")
        await _enqueue(runtime, principal, connection, report_id, report.template)
        return report


async def cancel(runtime: Runtime, principal: Principal, report_ids: Iterable[UUID]) -> None:
    """Stop making these reports; a worker elsewhere notices within a second."""
    ids = list(report_ids)
    async with runtime.db.together(principal) as connection:
        for report_id in await jobs.stop(connection, principal.user_id, KIND, ids):
            await mirror(connection, principal.user_id, report_id, Outcome("cancelled", "cancelled"))
    for report_id in ids:
        await runtime.tasks.cancel(report_id)


async def delete(runtime: Runtime, principal: Principal, report_id: UUID) -> None:
    """Delete a report and its job; stops it when it is being made."""
    async with runtime.db.together(principal) as connection:
        await reports.delete(connection, principal.user_id, report_id)
        await jobs.forget(connection, principal.user_id, KIND, report_id)
    await runtime.tasks.cancel(report_id)
