"""SQL of background work: asking for it, holding it, ending it, finding it.

Whoever changes both a job and what it works on, changes the latter first:
one order, no deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import text

from sbf_kernel.errors import Cancelled, NotFound
from sbf_kernel.records import Job, JobList
from sbf_kernel.storage.statements import page

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sbf_kernel.storage.database import Database

Place = Literal["here", "queue"]

FEW = 20
"""A tenant's jobs beyond so many that wait are bulk: they go after everybody's first ones."""
USER_FACING, BULK = 10, 0
"""Priorities."""
GRACE_SECONDS = 10
"""A job that waits in another process is taken to be attended so long: that process's lock may be on its way."""

WORKER_NAME = "sbf worker "
"""How the name of a worker process's connections begins; its process id and a token follow."""
CUT_OFF_MS = 5_000
"""Longest wait for one connection to end."""

COLUMNS = """j.id, j.kind, j.subject_id, j.subject, j.status, j.priority, j.done, j.total, j.attempts, j.crashes, j.reason,
j.message, j.created_at, j.updated_at, j.run_after"""
_OPEN = "j.status in ('queued', 'running', 'failed')"
_ORDER = {
    "created": "j.created_at desc, j.id",
    "priority": "j.priority desc, j.created_at, j.id",
    "updated": "j.updated_at desc, j.id",
}
_HELD = """select (l.classid::bigint << 32) | l.objid::bigint from pg_locks l where l.locktype = 'advisory' and l.objsubid = 1
and l.granted and l.database = (select oid from pg_database where datname = current_database())"""
_ATTENDED = f"""(j.place = 'queue' or j.status = 'queued' and j.updated_at > now() - make_interval(secs => :grace)
                  or j.holder in ({_HELD}))"""


@dataclass(frozen=True)
class Lease:
    """The right to work on a job. It ends when the job is cancelled, or given to somebody else."""

    user_id: str
    job_id: UUID
    fence: int


@dataclass(frozen=True)
class Outcome:
    """How work ended."""

    status: Literal["queued", "done", "failed", "dead", "cancelled"]
    """``queued``: it was put back; ``failed``: it is tried again after ``wait``."""
    reason: str = ""
    message: str = ""
    wait: float | None = None
    """Seconds until it may run again."""
    error: bool = False
    """Whether it counts as an attempt."""


@dataclass(frozen=True)
class Condition:
    """How a job stands, for whoever may take it."""

    kind: str
    subject_id: UUID
    crashes: int
    attempts: int
    due: bool
    """Whether a worker may begin with it now."""


async def enqueue(
    connection: AsyncConnection,
    user_id: str,
    *,
    kind: str,
    subject_id: UUID,
    subject: str,
    place: Place,
    holder: int,
    author: str,
) -> UUID:
    """Ask for work on a subject, in the caller's transaction; while it runs already, for once more.

    Parameters
    ----------
    holder
        The advisory lock of this process, which will do it when ``place`` is ``here``.

    Returns
    -------
    The job's id.
    """
    row = await connection.execute(
        text(_ENQUEUE),
        {
            "user_id": user_id,
            "id": uuid4(),
            "kind": kind,
            "subject_id": subject_id,
            "subject": subject,
            "place": place,
            "holder": holder,
            "author": author,
            "few": FEW,
            "user_facing": USER_FACING,
            "bulk": BULK,
        },
    )
    found: UUID = row.scalar_one()
    return found


_ENQUEUE = """
insert into jobs as j (user_id, id, kind, subject_id, subject, place, holder, created_by, priority)
values (:user_id, :id, :kind, :subject_id, :subject, :place, :holder, :author,
        (select case when count(*) < :few then :user_facing else :bulk end
         from (select from jobs where user_id = :user_id and status = 'queued' limit :few) waiting))
on conflict (user_id, kind, subject_id) do update set
  subject = excluded.subject, place = excluded.place, created_by = excluded.created_by,
  again = j.status = 'running',
  run_after = case j.status when 'running' then null else now() end, -- new in any case: a ticket is written
  status = case j.status when 'running' then 'running' else 'queued' end,
  holder = case j.status when 'running' then j.holder else excluded.holder end,
  priority = case j.status when 'queued' then j.priority else excluded.priority end,
  attempts = case when j.status in ('queued', 'running') then j.attempts else 0 end,
  crashes = case when j.status in ('queued', 'running') then j.crashes else 0 end,
  done = 0, total = 0, reason = '', message = '', updated_at = now(),
  created_at = case when j.status in ('queued', 'running', 'failed') then j.created_at else now() end
returning id"""


async def claim(
    connection: AsyncConnection, user_id: str, kind: str, subject_id: UUID, holder: int, ticket: int | None = None
) -> Lease | None:
    """Take an open job. The caller holds the lock of its subject: who had it before has ended, or been cut off.

    Parameters
    ----------
    ticket
        The ticket that sent a worker here.

    Returns
    -------
    None when there is nothing to do.
    """
    row = await connection.execute(
        text("""update jobs set status = 'running', holder = :holder, ticket = :ticket, fence = fence + 1, again = false,
                  crashes = crashes + (status = 'running')::int, run_after = null, done = 0, total = 0, reason = '',
                  message = '', updated_at = now()
                where user_id = :user_id and kind = :kind and subject_id = :subject_id
                  and status in ('queued', 'running', 'failed') returning id, fence"""),
        {"user_id": user_id, "kind": kind, "subject_id": subject_id, "holder": holder, "ticket": ticket},
    )
    found = row.first()
    return None if found is None else Lease(user_id, found.id, found.fence)


async def progress(connection: AsyncConnection, lease: Lease, done: int = 0, total: int = 0) -> None:
    """Record how far it is; makes the transaction void when the lease has ended.

    Raises
    ------
    Cancelled
        The lease has ended.
    """
    row = await connection.execute(
        text("""update jobs set done = :done, total = :total, updated_at = now()
                where user_id = :user_id and id = :job_id and fence = :fence and status = 'running'"""),
        {**vars(lease), "done": done, "total": total},
    )
    if not row.rowcount:
        raise _ended(lease)


async def settle(connection: AsyncConnection, lease: Lease, outcome: Outcome) -> None:
    """End the work under a lease, together with what the transaction wrote before.

    Raises
    ------
    Cancelled
        The lease has ended.
    """
    row = await connection.execute(
        text("""update jobs set status = case when again then 'queued' else :status end, again = false,
                  reason = :reason, message = :message, attempts = attempts + :error, updated_at = now(),
                  run_after = case when again then null else now() + make_interval(secs => cast(:wait as double precision)) end
                where user_id = :user_id and id = :job_id and fence = :fence and status = 'running'"""),
        {**vars(lease), **vars(outcome), "error": int(outcome.error)},
    )
    if not row.rowcount:
        raise _ended(lease)


async def settle_done(connection: AsyncConnection, user_id: str, leases: Iterable[Lease]) -> set[UUID]:
    """End several pieces of work well. Returns the jobs whose lease was good; the others' work must not be stored."""
    given = list(leases)
    rows = await connection.execute(
        text("""update jobs j set status = case when again then 'queued' else 'done' end, again = false,
                  done = total, reason = '', message = '', updated_at = now()
                from unnest(cast(:ids as uuid[]), cast(:fences as bigint[])) given (id, fence)
                where j.user_id = :user_id and j.id = given.id and j.fence = given.fence and j.status = 'running'
                returning j.id"""),
        {"user_id": user_id, "ids": [lease.job_id for lease in given], "fences": [lease.fence for lease in given]},
    )
    return set(rows.scalars())


def _ended(lease: Lease) -> Cancelled:
    return Cancelled(f"job {lease.job_id} was cancelled, or given to another worker", hint="nothing was stored")


async def taken_away(connection: AsyncConnection, user_id: str, leases: Sequence[Lease]) -> list[Lease]:
    """Return those of the leases that somebody else has ended; not those that ended with their work."""
    rows = await connection.execute(
        text("select id, fence from jobs where user_id = :user_id and id = any(:ids)"),
        {"user_id": user_id, "ids": [lease.job_id for lease in leases]},
    )
    fences = {row.id: row.fence for row in rows}
    return [lease for lease in leases if fences.get(lease.job_id) != lease.fence]


async def stop(connection: AsyncConnection, user_id: str, kind: str, subject_ids: Iterable[UUID]) -> set[UUID]:
    """Cancel the open jobs of these subjects; a worker that holds one can no longer write. Returns the subjects."""
    rows = await connection.execute(
        text("""update jobs set status = 'cancelled', fence = fence + 1, again = false, run_after = null, reason = 'cancelled',
                  message = '', updated_at = now()
                where user_id = :user_id and kind = :kind and subject_id = any(:ids)
                  and status in ('queued', 'running', 'failed') returning subject_id"""),
        {"user_id": user_id, "kind": kind, "ids": list(subject_ids)},
    )
    return set(rows.scalars())


async def postpone(connection: AsyncConnection, user_id: str, job_id: UUID, seconds: float) -> None:
    """Let a job that waits wait longer: its subject is busy."""
    await connection.execute(
        text("""update jobs set run_after = now() + make_interval(secs => :seconds), updated_at = now()
                where user_id = :user_id and id = :job_id and status in ('queued', 'failed')"""),
        {"user_id": user_id, "job_id": job_id, "seconds": seconds},
    )


async def rescue(connection: AsyncConnection, user_id: str, job_id: UUID, fence: int, outcome: Outcome) -> bool:
    """Take a job away from a worker that died over it. Returns whether it was still that worker's."""
    row = await connection.execute(
        text("""update jobs set status = case when again then 'queued' else :status end, fence = fence + 1, again = false,
                  crashes = crashes + 1, reason = :reason,
                  message = :message, updated_at = now(),
                  run_after = now() + make_interval(secs => cast(:wait as double precision))
                where user_id = :user_id and id = :job_id and fence = :fence and status = 'running'"""),
        {"user_id": user_id, "job_id": job_id, "fence": fence, **vars(outcome)},
    )
    return bool(row.rowcount)


async def condition(connection: AsyncConnection, user_id: str, job_id: UUID) -> Condition | None:
    """Return how a job stands; None when it is gone."""
    rows = await connection.execute(
        text("""select kind, subject_id, crashes, attempts,
                status = 'queued' and coalesce(run_after <= now(), true) or status = 'failed' and run_after <= now() as due
                from jobs where user_id = :user_id and id = :job_id"""),
        {"user_id": user_id, "job_id": job_id},
    )
    row = rows.mappings().first()
    return None if row is None else Condition(**row)


ADRIFT = f"""
with held as materialized ({_HELD})
select j.user_id, j.id as job_id, j.kind, j.subject_id, j.fence, j.crashes, j.holder, j.holder in (select * from held) as lives
from sbf.jobs j
left join procrastinate_jobs t on t.id = j.ticket and t.status = 'doing'
left join procrastinate_workers w on w.id = t.worker_id
where j.status = 'running' and j.ticket is not null and (j.holder not in (select * from held) or t.id is not null
  and coalesce(w.last_heartbeat < now() - make_interval(secs => %(lease)s), true))"""
"""For the owner: the jobs of all tenants whose worker is dead, or lives but has shown no heartbeat for ``lease`` seconds."""

PUT_BACK = """
with gone as (
  delete from procrastinate_jobs t where t.status = 'doing'
    and not exists (select from procrastinate_workers w
                    where w.id = t.worker_id and w.last_heartbeat >= now() - make_interval(secs => %(lease)s))
    and not exists (select from sbf.jobs j where j.ticket = t.id and j.status = 'running')
  returning t.args ->> 'user_id' as user_id, (t.args ->> 'job_id')::uuid as job_id)
update sbf.jobs j set run_after = now() from gone
where j.user_id = gone.user_id and j.id = gone.job_id and j.status in ('queued', 'failed') and coalesce(j.run_after <= now(), true)"""
"""For the owner: removes the tickets of dead workers; a job that had not even begun gets a new one by the trigger."""


async def cut_off(database: Database, holder: int) -> None:
    """End the connections of a process that does not move any more: its locks go, its transactions roll back.

    A process of ``sbf worker`` names all its connections alike; of others only
    the one that holds the lock is known.
    """
    await database.owner_execute(
        f"""with holding as (select a.pid, a.application_name as name from pg_stat_activity a
              join pg_locks l using (pid) where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
                and (l.classid::bigint << 32) | l.objid::bigint = %s)
            select pg_terminate_backend(a.pid, {CUT_OFF_MS}) from pg_stat_activity a, holding h
            where a.datname = current_database() and a.pid <> pg_backend_pid()
              and (a.pid = h.pid or a.application_name = h.name and starts_with(h.name, %s))""",
        holder,
        WORKER_NAME,
    )


async def attended(
    connection: AsyncConnection, user_id: str, kind: str, subject_ids: Iterable[UUID]
) -> dict[UUID, str]:
    """Return those of the subjects whose job will go on by itself, with its status."""
    return await _attended(
        connection, "j.kind = :kind and j.subject_id", user_id, subject_ids, "j.subject_id", kind=kind
    )


async def abandoned(connection: AsyncConnection, user_id: str, kind: str, subject_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the subjects whose job was to be done by a process that is gone, outside any queue."""
    rows = await connection.execute(
        text(f"""select j.subject_id from jobs j where j.user_id = :user_id and j.kind = :kind and j.subject_id = any(:ids)
                 and {_OPEN} and not {_ATTENDED}"""),
        {"user_id": user_id, "kind": kind, "ids": list(subject_ids), "grace": GRACE_SECONDS},
    )
    return set(rows.scalars())


async def open_jobs(connection: AsyncConnection, user_id: str, job_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return those of the jobs that will go on by themselves, with their status."""
    return await _attended(connection, "j.id", user_id, job_ids, "j.id")


async def _attended(
    connection: AsyncConnection, column: str, user_id: str, ids: Iterable[UUID], key: str, **values: Any
) -> dict[UUID, str]:
    rows = await connection.execute(
        text(f"""select {key}, j.status from jobs j where j.user_id = :user_id and {column} = any(:ids) and {_OPEN}
                 and {_ATTENDED}"""),
        {"user_id": user_id, "ids": list(ids), "grace": GRACE_SECONDS, **values},
    )
    return {row[0]: row[1] for row in rows}


async def get(connection: AsyncConnection, user_id: str, job_id: UUID) -> Job:
    """Return one job.

    Raises
    ------
    NotFound
        Unknown, or another tenant's.
    """
    found = await get_many(connection, user_id, [job_id])
    if not found:
        raise NotFound(f"there is no job {job_id}", hint="ws.jobs.list() shows all", job_id=str(job_id))
    return found[0]


async def get_many(connection: AsyncConnection, user_id: str, job_ids: Iterable[UUID]) -> list[Job]:
    """Return those of the jobs that exist."""
    rows = await connection.execute(
        text(f"select {COLUMNS} from jobs j where j.user_id = :user_id and j.id = any(:ids)"),
        {"user_id": user_id, "ids": list(job_ids)},
    )
    return [_job(row) for row in rows.mappings()]


async def find(
    connection: AsyncConnection,
    user_id: str,
    *,
    kind: str | None,
    status: str | None,
    search: str,
    sort: str,
    limit: int,
    offset: int,
) -> JobList:
    """Return a page of jobs; ``search`` matches part of the subject's name without regard to case."""
    values = {
        "user_id": user_id,
        "kind": kind,
        "status": status,
        "search": search,
        "limit": limit,
        "offset": offset,
    }
    where = "j.user_id = %(user_id)s"
    where += " and j.kind = %(kind)s" if kind else ""
    where += " and j.status = %(status)s" if status else ""
    where += " and strpos(lower(j.subject), lower(%(search)s)) > 0" if search else ""
    rows, total = await page(connection, COLUMNS, "jobs j", where, _ORDER[sort], values)
    return JobList(items=tuple(map(_job, rows)), total=total, limit=limit, offset=offset)


async def census(database: Database) -> dict[str, int]:
    """Return how many jobs of all tenants stand how: numbers for whoever watches over a deployment."""
    return dict(await database.owner_execute("select status, count(*) from sbf.jobs group by 1"))


async def forget(connection: AsyncConnection, user_id: str, kind: str, subject_id: UUID) -> None:
    """Remove the job of a subject that is being deleted."""
    await connection.execute(
        text("delete from jobs where user_id = :user_id and kind = :kind and subject_id = :subject_id"),
        {"user_id": user_id, "kind": kind, "subject_id": subject_id},
    )


def _job(row: Mapping[Any, Any]) -> Job:
    return Job(**row)
