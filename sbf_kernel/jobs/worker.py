"""Takes jobs of all tenants from the queue and does them, several at once."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sbf_kernel.errors import Cancelled, MissingExtra, StoreError
from sbf_kernel.jobs.kinds import KINDS
from sbf_kernel.jobs.retrying import CRASHES_TOGETHER, after_error
from sbf_kernel.jobs.sweep import sweep
from sbf_kernel.jobs.turns import Turns
from sbf_kernel.records import Principal
from sbf_kernel.storage import jobs
from sbf_kernel.storage.jobs import Condition, Lease, Outcome

if TYPE_CHECKING:
    from procrastinate import App, JobContext
    from procrastinate.worker import Worker as TicketWorker

    from sbf_kernel.runtime import Runtime

CONCURRENCY = 4
QUEUE, TASK = "sbf", "run"
"""As the trigger on ``jobs`` writes them."""
OPTIONS = "-c search_path=sbf_queue -c client_min_messages=warning"
LEASE_SECONDS = 30.0
"""A worker that shows no heartbeat so long is cut off."""
HEARTBEATS = 6
"""In the time of a lease."""
DRAIN_SECONDS = 15.0
"""What running jobs get when the worker is told to stop; then they are put back: all within 25 s. Orchestrators wait 30 s."""
CHECK_SECONDS = 1.0
"""Between two looks whether a running job was cancelled, two sweeps, two attempts to reach the database."""
BUSY_SECONDS = 2.0
"""A job whose subject somebody else works on is looked at again after so long."""
POLL_SECONDS = 2.0
"""Between two looks for jobs whose time has come; new ones are announced."""
CONNECTIONS = 4
"""For tickets, besides those of the runtime."""

_log = logging.getLogger(__name__)


def name_connections() -> None:
    """Name all database connections of this process alike, so that it can be cut off as a whole; libpq reads the variable."""
    os.environ["PGAPPNAME"] = f"{jobs.WORKER_NAME}{os.getpid()} {secrets.token_hex(4)}"


class Worker:
    """Does jobs until it is stopped.

    Parameters
    ----------
    runtime
        What the work needs. It may serve other purposes too: a service can run
        a worker in its own process.
    concurrency
        Jobs at once.
    lease_seconds
        How long it may show no sign of life before others take its jobs.
    drain_seconds
        What running jobs get when it is told to stop.
    """

    def __init__(
        self,
        runtime: Runtime,
        concurrency: int = CONCURRENCY,
        *,
        lease_seconds: float = LEASE_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._runtime, self._concurrency = runtime, concurrency
        self._lease_seconds, self._drain_seconds = lease_seconds, drain_seconds
        self._turns = Turns()
        self._held: dict[Lease, asyncio.Task[Any]] = {}
        self._stopping = asyncio.Event()
        self._tickets: TicketWorker | None = None

    def stop(self) -> None:
        """Take no more jobs; those that run get some time, then they are put back."""
        self._stopping.set()
        if self._tickets is not None:
            self._tickets.stop()  # type: ignore[no-untyped-call]

    async def run(self) -> None:
        """Work until stopped; a database that goes away is waited for.

        Raises
        ------
        MissingExtra
            procrastinate is not installed.
        """
        app = self._app()
        side = [asyncio.create_task(self._repeat(work)) for work in (self._drop_cancelled, lambda: self._sweep(app))]
        try:
            async with app.open_async():
                while not self._stopping.is_set():
                    await self._take_tickets(app)
        finally:
            for task in side:
                task.cancel()
            await asyncio.wait(side)

    def _app(self) -> App:
        try:
            from procrastinate import App, PsycopgConnector
        except ImportError as error:
            raise MissingExtra("procrastinate is not installed", hint="pip install 'sbf-kernel[server]'") from error
        app = App(
            connector=PsycopgConnector(
                conninfo=self._runtime.db.conninfo, kwargs={"options": OPTIONS}, min_size=1, max_size=CONNECTIONS
            )
        )
        app.task(name=TASK, queue=QUEUE, pass_context=True)(self.do)
        return app

    async def _take_tickets(self, app: App) -> None:
        from procrastinate.exceptions import ConnectorException
        from procrastinate.worker import Worker as TicketWorker

        self._tickets = TicketWorker(
            app,
            queues=[QUEUE],
            concurrency=self._concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=self._drain_seconds,
            delete_jobs="always",
            install_signal_handlers=False,
            update_heartbeat_interval=self._lease_seconds / HEARTBEATS,
            stalled_worker_timeout=self._lease_seconds,
        )
        if self._stopping.is_set():
            return
        try:
            await self._tickets.run()  # type: ignore[no-untyped-call]
        except ConnectorException as error:
            _log.warning("the queue cannot be reached: %s", error)
        if not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CHECK_SECONDS)

    async def do(self, context: JobContext, user_id: str, job_id: str) -> None:
        """Do one job, if it still waits to be done. Never raises but for cancellation.

        Parameters
        ----------
        user_id
            The tenant on whose behalf.
        """
        principal, job = Principal(user_id=user_id), UUID(job_id)
        try:
            found = await self._insist(lambda: self._look(principal, job))
            if found is None or not found.due:
                return
            turn = self._turns.alone() if found.crashes >= CRASHES_TOGETHER else self._turns.together()
            async with turn:
                await self._insist(lambda: self._begin(principal, job, found, context.job.id))
        except asyncio.CancelledError:  # its ticket goes with this worker: write another
            await self._postpone(principal, job, 0)
            raise

    async def _look(self, principal: Principal, job_id: UUID) -> Condition | None:
        async with self._runtime.db.transaction(principal) as connection:
            return await jobs.condition(connection, principal.user_id, job_id)

    async def _postpone(self, principal: Principal, job_id: UUID, seconds: float) -> None:
        async with self._runtime.db.transaction(principal) as connection:
            await jobs.postpone(connection, principal.user_id, job_id, seconds)

    async def _begin(self, principal: Principal, job_id: UUID, found: Condition, ticket: int | None) -> None:
        """Take the job, unless another process works on its subject: then it waits."""
        runtime = self._runtime
        async with runtime.db.locks.hold(found.subject_id) as free:
            if not free:
                await self._postpone(principal, job_id, BUSY_SECONDS)
                return
            async with runtime.db.transaction(principal) as connection:
                lease = await jobs.claim(
                    connection, principal.user_id, found.kind, found.subject_id, runtime.db.locks.holder, ticket
                )
            if lease is not None:
                await self._work(principal, lease, found)

    async def _work(self, principal: Principal, lease: Lease, found: Condition) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held[lease] = task
        _log.info("job %s begins", lease.job_id)
        try:
            with suppress(Cancelled):
                await self._attempt(principal, lease, found)
            _log.info("job %s ends", lease.job_id)
        finally:
            self._held.pop(lease, None)

    async def _attempt(self, principal: Principal, lease: Lease, found: Condition) -> None:
        try:
            await KINDS[found.kind].work(self._runtime, principal, lease, found.subject_id)
        except asyncio.CancelledError:
            if lease not in self._held:  # by ourselves, because the lease has ended
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
                return
            with suppress(Cancelled):
                await self._conclude(principal, lease, found, Outcome("queued"))
            raise
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs go on
            outcome = after_error(error, found.attempts)
            _log.warning("job %s: %s", lease.job_id, outcome.message)
            await self._insist(lambda: self._conclude(principal, lease, found, outcome))

    async def _conclude(self, principal: Principal, lease: Lease, found: Condition, outcome: Outcome) -> None:
        async with self._runtime.db.change(principal) as connection:
            await KINDS[found.kind].mirror(connection, principal.user_id, found.subject_id, outcome)
            await jobs.settle(connection, lease, outcome)

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Try again until the database is there: a job must not stay with a worker that has forgotten it."""
        while True:
            try:
                return await work()
            except StoreError as error:
                _log.warning("waiting for the database: %s", error)
                await asyncio.sleep(CHECK_SECONDS)

    async def _drop_cancelled(self) -> None:
        """Stop the work on jobs whose lease has ended."""
        for user_id in {lease.user_id for lease in self._held}:
            leases = [lease for lease in self._held if lease.user_id == user_id]
            async with self._runtime.db.transaction(Principal(user_id=user_id)) as connection:
                gone = await jobs.taken_away(connection, user_id, leases)
            for lease in gone:
                if lease in self._held:
                    _log.info("job %s was cancelled, or given to another worker", lease.job_id)
                    self._held.pop(lease).cancel()

    async def _sweep(self, app: App) -> None:
        """Show a sign of life, also while running jobs are waited for at the end; then look for who shows none."""
        if self._tickets is not None and self._tickets.worker_id is not None:
            await app.job_manager.update_heartbeat(self._tickets.worker_id)
        await sweep(self._runtime, app.connector, self._lease_seconds)

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        from procrastinate.exceptions import AppNotOpen, ConnectorException

        while True:
            await asyncio.sleep(CHECK_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - only so that workers take turns
            try:
                await work()
            except (StoreError, ConnectorException, AppNotOpen) as error:
                _log.warning("waiting for the database: %s", error)
            except Exception:  # noqa: BLE001 - the next look may go well
                _log.exception("a bug, please report it")
