"""Workers: jobs from the queue, in other processes that are told to stop, killed, stopped and woken, or poisoned."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from worker_process import MOST_CRASHES

from sbf_kernel import operations as op
from sbf_kernel.backends.local import LocalBackend
from sbf_kernel.cli import main
from sbf_kernel.errors import Conflict, FetchError
from sbf_kernel.jobs import retrying, worker
from sbf_kernel.readers.fetch import Fetched
from sbf_kernel.storage import jobs as table
from sbf_kernel.storage import tenants
from sbf_kernel.workspace import Workspace
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Job, Principal, Source
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.settings import Settings
    from sbf_kernel.workspace import NotebookHandle

SCRIPT = Path(__file__).with_name("worker_process.py")
LEASE_SECONDS = 8.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture
def queueing(runtime: Runtime) -> Runtime:
    """The session's runtime, but it leaves the work to workers."""
    return replace(runtime, settings=runtime.settings.model_copy(update={"jobs": "queue"}))


@pytest.fixture
def workspace(queueing: Runtime, principal: Principal, loop: LoopThread, settings: Settings) -> Workspace:
    return Workspace(LocalBackend(queueing, principal), loop, settings)


@pytest.fixture
def database(runtime: Runtime) -> Iterator[psycopg.Connection]:
    """A connection of the owner, to look at what no operation shows."""
    with psycopg.connect(runtime.db.conninfo, autocommit=True, options="-c search_path=sbf,sbf_queue") as connection:
        yield connection


@contextmanager
def working(runtime: Runtime, loop: LoopThread, concurrency: int = 4) -> Iterator[None]:
    """Run a worker in this process."""

    async def start() -> tuple[worker.Worker, asyncio.Task[None]]:
        made = worker.Worker(runtime, concurrency)
        return made, asyncio.create_task(made.run())

    async def stop() -> None:
        made.stop()
        await task

    made, task = loop.run(start())
    try:
        yield
    finally:
        loop.run(stop())


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    path.touch()
    return path


@pytest.fixture
def start(home: Path, gate: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start worker processes; what they log is shown when a test fails."""
    started: list[subprocess.Popen[str]] = []

    def make(concurrency: int = 4, *, wait: bool = True) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-W",
            "error",
            str(SCRIPT),
            str(home),
            str(gate),
            str(concurrency),
            str(LEASE_SECONDS),
        ]
        with (tmp_path / "workers.log").open("a") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT)
        started.append(process)
        assert process.stdout is not None
        if wait:
            assert process.stdout.readline() == "working\n"
        return process

    yield make
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    print((tmp_path / "workers.log").read_text())


def add(workspace: Workspace, notebook: NotebookHandle, name: str, text: str = "", **more: Any) -> Source:
    content = (text or f"The text of {name} is short.").encode()
    source: Source = workspace.call(
        op.AddSource(notebook_id=notebook.id, name=name, origin=f"text:{name}", content=content, **more)
    )
    return source


def job_of(workspace: Workspace, source: Source) -> Job:
    (found,) = [job for job in workspace.jobs.list(limit=100) if job.subject_id == source.id]
    return found


def stored(database: psycopg.Connection, source: Source) -> tuple[int, int, int]:
    """Return how many versions, chunks and lexical rows a source has."""
    row = database.execute(
        """select (select count(*) from source_versions where source_id = %(id)s), (select count(*) from chunks where source_id = %(id)s),
           (select count(*) from lexical where source_id = %(id)s)""",
        {"id": source.id},
    ).fetchone()
    assert row is not None
    return row


def follow(workspace: Workspace, *sources: Source) -> list[Source]:
    """Watch until all have ended; return how each is then, in order."""
    last = {seen.id: seen for seen in workspace.stream(op.WatchSources(source_ids=tuple(s.id for s in sources)))}
    return [last[source.id] for source in sources]


def test_a_queued_source_waits_for_a_worker_and_is_followed_meanwhile(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread
) -> None:
    source = add(workspace, notebook, "sand")
    assert (job_of(workspace, source).status, queueing.tasks.running(source.id)) == ("queued", False)
    events = workspace.stream(op.WatchSources(source_ids=(source.id,)))
    assert next(events).status == "pending"
    with working(queueing, loop):
        *_, last = events
    assert (last.status, last.stage, last.version) == ("ready", "stored", 1)
    assert job_of(workspace, source).status == "done"
    assert notebook.search("short")[0].source_id == source.id


def test_another_process_does_the_work_and_both_kinds_of_watchers_see_it(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path
) -> None:
    source = add(workspace, notebook, "slow sand")
    seen = workspace.jobs.watch(job_of(workspace, source))
    assert next(seen).status == "queued"
    start()
    assert next(seen).status == "running"
    until(lambda: workspace.sources.get(source.id).status == "processing")
    gate.unlink()
    assert [job.status for job in seen][-1] == "done"
    assert follow(workspace, source)[0].status == "ready"


def test_what_is_rolled_back_was_never_asked_for(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, principal: Principal, loop: LoopThread,
    database: psycopg.Connection,
) -> None:  # fmt: skip
    backend: Any = workspace._backend

    async def fail(runtime: Runtime) -> None:
        async with runtime.db.together(principal):
            made = await LocalBackend(runtime, principal).call(
                op.AddSource(notebook_id=notebook.id, name="x", origin="text:x", content=b"Nobody asked.")
            )
            assert not runtime.tasks.running(made.id)
            raise ZeroDivisionError

    before = database.execute("select count(*) from procrastinate_jobs").fetchone()
    for runtime in (queueing, replace(queueing, settings=queueing.settings.model_copy(update={"jobs": "here"}))):
        with pytest.raises(ZeroDivisionError):
            loop.run(fail(runtime))
    assert workspace.sources.list().total == workspace.jobs.list().total == 0
    assert database.execute("select count(*) from procrastinate_jobs").fetchone() == before
    assert backend.runtime is queueing


def test_what_is_added_inside_a_larger_transaction_starts_when_that_has_committed(
    runtime: Runtime, notebook: NotebookHandle, principal: Principal, loop: LoopThread
) -> None:
    async def work() -> tuple[bool, str]:
        backend = LocalBackend(runtime, principal)
        async with runtime.db.together(principal):
            made = await backend.call(
                op.AddSource(notebook_id=notebook.id, name="x", origin="text:x", content=b"Granite is hard.")
            )
            early = runtime.tasks.running(made.id)
        last = [seen async for seen in backend.stream(op.WatchSources(source_ids=(made.id,)))][-1]
        return early, last.status

    assert loop.run(work()) == (False, "ready")


def test_a_password_never_leaves_the_process(
    workspace: Workspace, notebook: NotebookHandle, database: psycopg.Connection
) -> None:
    source = add(workspace, notebook, "secret", password="open sesame")
    assert follow(workspace, source)[0].status == "ready"
    rows = database.execute(
        "select to_jsonb(j)::text from jobs j union all select to_jsonb(t)::text from procrastinate_jobs t"
    )
    assert not any("sesame" in row[0] for row in rows)


def test_bulk_waits_behind_what_a_person_asked_for(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FEW", 3)
    order: list[str] = []
    real = queueing.sandbox.call

    async def call(path: str, name: str, *rest: Any) -> Any:
        order.append(name)
        return await real(path, name, *rest)

    bulk = [add(workspace, notebook, f"bulk {number}") for number in range(6)]
    monkeypatch.setattr(table, "FEW", 1_000)
    person = add(workspace, notebook, "person")
    monkeypatch.setattr(queueing.sandbox, "call", call)
    assert {job.priority for job in workspace.jobs.list()} == {table.BULK, table.USER_FACING}
    with working(queueing, loop, concurrency=1):
        follow(workspace, *bulk, person)
    ours = [name for name in order if name == "person" or name.startswith("bulk")]
    assert ours == ["bulk 0", "bulk 1", "bulk 2", "person", "bulk 3", "bulk 4", "bulk 5"]


def test_a_running_job_is_cancelled_from_another_process_within_a_moment(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path, database: psycopg.Connection
) -> None:
    start(concurrency=1)
    stopped, other = add(workspace, notebook, "slow clay"), add(workspace, notebook, "chalk")
    until(lambda: job_of(workspace, stopped).status == "running")
    with pytest.raises(Conflict):
        workspace.call(op.RetrySource(source_id=stopped.id))
    workspace.call(op.CancelSources(source_ids=(stopped.id,)))
    assert (workspace.sources.get(stopped.id).status, workspace.sources.get(stopped.id).stage) == (
        "pending",
        "cancelled",
    )
    assert follow(workspace, other)[0].status == "ready"  # its only place is free again, though the gate is shut
    assert (job_of(workspace, stopped).status, stored(database, stopped)) == ("cancelled", (0, 0, 0))
    gate.unlink()
    assert [source.id for source in workspace.call(op.ResumeSources())] == [stopped.id]
    assert follow(workspace, stopped)[0].status == "ready"


def test_new_bytes_while_a_worker_has_the_old_ones_are_brought_in_next(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path
) -> None:
    start()
    source = add(workspace, notebook, "slow marl", "The last word is first.")
    until(lambda: job_of(workspace, source).status == "running")
    add(workspace, notebook, "slow marl", "The last word is second.")
    gate.unlink()
    assert follow(workspace, source)[0].status == "ready"
    assert workspace.sources.text(source.id).text == "The last word is second."


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the web answers, one after the other; the last one for ever."""
    answers: list[Any] = []

    async def fetch(url: str) -> Fetched:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Fetched(url, answer, "text/plain", "page.txt")

    monkeypatch.setattr("sbf_kernel.readers.fetch.fetch", fetch)
    monkeypatch.setattr(retrying, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.2)
    return answers


def add_url(workspace: Workspace, notebook: NotebookHandle) -> Source:
    source: Source = workspace.call(
        op.AddSource(notebook_id=notebook.id, name="page", origin="https://example.org/", url="https://example.org/")
    )
    return source


def test_an_error_that_may_pass_is_tried_again_later(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread, web: list[Any]
) -> None:
    web += [FetchError("answered 503", status=503), FetchError("no route"), b"Puffins nest in burrows."]
    source = add_url(workspace, notebook)
    seen: list[Job] = []
    with working(queueing, loop):
        seen += workspace.jobs.watch(job_of(workspace, source))
    waiting = [job for job in seen if job.status == "failed"]
    assert waiting
    assert all(job.run_after is not None and "tried again" in job.message for job in waiting)
    assert (seen[-1].status, seen[-1].attempts) == ("done", 2)
    assert workspace.sources.get(source.id).status == "ready"


def test_an_error_that_stays_ends_with_a_dead_job_that_can_be_run_again(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread, web: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(retrying, "MOST_ERRORS", 3)
    web.append(FetchError("answered 500", status=500))
    source = add_url(workspace, notebook)
    with working(queueing, loop):
        assert follow(workspace, source)[0].status == "failed"
        dead = job_of(workspace, source)
        assert (dead.status, dead.attempts, dead.reason) == ("dead", 3, "fetch_error")
        assert "tried 3 times" in workspace.sources.get(source.id).message
        web[:] = [b"Puffins are back."]
        assert workspace.jobs.retry(dead).attempts == 0
        assert follow(workspace, source)[0].status == "ready"


def test_a_killed_workers_job_is_done_by_another_once(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path, database: psycopg.Connection
) -> None:
    first = start()
    source = add(workspace, notebook, "slow slate")
    until(lambda: job_of(workspace, source).status == "running")
    start()
    first.kill()
    gate.unlink()
    assert follow(workspace, source)[0].status == "ready"
    job = job_of(workspace, source)
    assert (job.status, job.crashes, job.attempts) == ("done", 1, 0)
    assert stored(database, source) == (1, 1, 1)


@pytest.mark.timeout(180)
def test_a_worker_that_sleeps_past_its_lease_writes_nothing_when_it_wakes(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path, database: psycopg.Connection
) -> None:
    zombie = start()
    source = add(workspace, notebook, "slow schist")
    until(lambda: job_of(workspace, source).status == "running")
    zombie.send_signal(signal.SIGSTOP)
    gate.unlink()
    start()
    assert follow(workspace, source)[0].status == "ready"
    version = workspace.sources.get(source.id).version_id
    before = job_of(workspace, source)
    assert (before.status, before.crashes) == ("done", 1)
    zombie.send_signal(signal.SIGCONT)
    later = add(workspace, notebook, "later")
    assert follow(workspace, later)[0].status == "ready"
    zombie.send_signal(signal.SIGTERM)
    assert zombie.wait(30) == 0
    assert workspace.sources.get(source.id).version_id == version
    assert (job_of(workspace, source), stored(database, source)) == (before, (1, 1, 1))


def test_a_stopped_worker_gives_its_jobs_back_without_blame(
    workspace: Workspace, notebook: NotebookHandle, start: Callable[..., Any], gate: Path,
) -> None:  # fmt: skip
    first = start()
    source = add(workspace, notebook, "slow shale")
    until(lambda: job_of(workspace, source).status == "running")
    first.send_signal(signal.SIGTERM)
    assert first.wait(25) == 0
    job = job_of(workspace, source)
    assert (job.status, job.crashes, job.attempts) == ("queued", 0, 0)
    assert workspace.sources.get(source.id).status == "pending"
    gate.unlink()
    start()
    assert follow(workspace, source)[0].status == "ready"


@pytest.mark.timeout(240)
def test_a_job_that_kills_its_workers_ends_alone_and_all_others_are_done(
    workspace: Workspace,
    notebook: NotebookHandle,
    start: Callable[..., Any],
    gate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate.unlink()
    poison = add(workspace, notebook, "poison")
    others = [add(workspace, notebook, f"bread {number}") for number in range(8)]
    worker_now = start(wait=False)

    def buried() -> bool:
        nonlocal worker_now
        if worker_now.poll() is not None:
            worker_now = start(wait=False)
        return job_of(workspace, poison).status == "dead"

    until(buried, 200)
    dead = job_of(workspace, poison)
    assert (dead.crashes, dead.attempts, dead.reason) == (MOST_CRASHES, 0, "source_crashed")
    assert (workspace.sources.get(poison.id).status, workspace.sources.get(poison.id).reason) == (
        "failed",
        "source_crashed",
    )
    assert {source.status for source in follow(workspace, *others)} == {"ready"}
    assert max(job_of(workspace, source).crashes for source in others) <= retrying.CRASHES_TOGETHER


def test_whoever_goes_takes_the_jobs_along(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, principal: Principal, loop: LoopThread
) -> None:
    add(workspace, notebook, "sand")
    loop.run(tenants.purge(queueing.db, principal))
    assert workspace.jobs.list().total == 0
    with working(queueing, loop):  # the ticket that is left does no harm
        pass


def test_a_lost_connection_of_the_listener_is_made_again(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread, database: psycopg.Connection
) -> None:
    source = add(workspace, notebook, "sand")
    events = workspace.stream(op.WatchSources(source_ids=(source.id,)))
    next(events)
    ended = database.execute(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where query ilike 'listen sbf_jobs'"
    )
    assert ended.fetchone() != (0,)
    with working(queueing, loop):
        *_, last = events
    assert last.status == "ready"


def test_whoever_watches_over_a_deployment_sees_numbers(
    workspace: Workspace, notebook: NotebookHandle, queueing: Runtime, loop: LoopThread, database: psycopg.Connection
) -> None:
    add(workspace, notebook, "sand")
    row = database.execute("select count(*) from jobs where status = 'queued'").fetchone()
    assert row is not None
    assert loop.run(table.census(queueing.db))["queued"] == row[0] > 0


def test_jobs_are_listed_cancelled_and_run_again_on_the_command_line(
    queueing: Runtime, loop: LoopThread, settings: Settings, home: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SBF_EMBEDDER", "none")
    local = Workspace(LocalBackend(queueing), loop, settings)
    add(local, local.notebooks.create("cli"), "gneiss")

    def run(*arguments: str) -> Any:
        assert main([*arguments, "--json", "--home", str(home)]) == 0
        return json.loads(capsys.readouterr().out)

    (job,) = run("jobs", "list", "--search", "gneiss")["jobs"]
    assert job["status"] == "queued"
    assert run("jobs", "cancel", job["id"])["status"] == "cancelled"
    assert run("jobs", "retry", job["id"])["status"] == "done"
    assert run("jobs", "list", "--search", "gneiss", "--status", "done")["total"] == 1


@pytest.mark.timeout(240)
def test_the_drill_finds_nothing_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.drills.kill_workers",
        "--jobs",
        "24",
        "--kills",
        "4",
        "--output",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=ENVIRONMENT, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "kill_workers.json").read_text())["figures"]
    assert (figures["jobs"], figures["kills"], figures["mid_job_kills"]) == (24, 4, 4)
    assert (figures["lost"], figures["double"], figures["faults"]) == (0, 0, [])
    assert figures["crashes_counted"] >= 4
