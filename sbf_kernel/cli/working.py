"""``sbf worker`` and ``sbf jobs …``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sbf_kernel.cli.console import command, group, open_workspace, page, say, write

if TYPE_CHECKING:
    import argparse

STATUSES = ("queued", "running", "done", "failed", "dead", "cancelled")


def register(commands: Any) -> None:
    """Add the commands of this module."""
    worker = command(commands, "worker", work, "bring in what others have queued (SBF_JOBS=queue)", json_too=False)
    worker.add_argument("--concurrency", type=int, default=None, metavar="N", help="jobs at once (default: 4)")
    family = group(commands, "jobs", "list, run again and cancel background work")
    listing = command(family, "list", list_jobs, "list jobs, newest first")
    listing.add_argument("--status", choices=STATUSES)
    listing.add_argument("--kind", metavar="KIND", help="for example ingest")
    listing.add_argument("--search", default="", metavar="TEXT", help="part of the name of what it works on")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--offset", type=int, default=0)
    for name, run, about in (
        ("retry", retry, "run a job again that failed, died or was cancelled"),
        ("cancel", cancel, "stop a job, or take it out of the queue"),
    ):
        command(family, name, run, about).add_argument("job", metavar="JOB", help="its id")


def work(options: argparse.Namespace) -> None:
    """Work until SIGTERM or Ctrl-C; jobs that run then get 15 s, and are put back after that."""
    import asyncio
    import logging

    from sbf_kernel.jobs.worker import CONCURRENCY, name_connections

    for name in ("home", "database_url"):
        if getattr(options, name) is not None:
            os.environ[f"SBF_{name.upper()}"] = getattr(options, name)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    name_connections()
    asyncio.run(_work(max(1, options.concurrency or CONCURRENCY)))
    say("the worker has stopped")


async def _work(concurrency: int) -> None:
    import asyncio
    import signal

    from sbf_kernel.jobs.worker import Worker
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.settings import Settings

    runtime = await Runtime.open(Settings())
    try:
        worker = Worker(runtime, concurrency)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, worker.stop)
        say(f"working on {concurrency} jobs at once → Ctrl-C or SIGTERM stops")
        await worker.run()
    finally:
        await runtime.close()


def list_jobs(options: argparse.Namespace) -> None:
    """List jobs."""
    with open_workspace(options) as workspace:
        found = workspace.jobs.list(
            options.search, kind=options.kind, status=options.status, limit=options.limit, offset=options.offset
        )
    write(options, found, page(found, "jobs"))


def retry(options: argparse.Namespace) -> None:
    """Run a job again, and wait when it runs in this process."""
    with open_workspace(options) as workspace:
        job = workspace.jobs.retry(options.job)
        if workspace.settings.jobs == "here":
            *_, job = workspace.jobs.watch(job)
    write(options, job, job.model_dump(mode="json"))


def cancel(options: argparse.Namespace) -> None:
    """Cancel a job."""
    with open_workspace(options) as workspace:
        job = workspace.jobs.cancel(options.job)
    write(options, job, job.model_dump(mode="json"))
