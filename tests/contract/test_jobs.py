"""Background work: each source has a job that tells how far it is, and can be stopped and run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import Conflict, NotFound
from tests.conftest import until

if TYPE_CHECKING:
    from sbf_kernel.records import Job
    from sbf_kernel.workspace import NotebookHandle, Workspace
    from tests.conftest import CountingEmbedder


def add(notebook: NotebookHandle, workspace: Workspace, name: str, content: bytes) -> None:
    workspace.call(op.AddSource(notebook_id=notebook.id, name=name, origin=f"text:{name}", content=content))


@pytest.fixture
def running(workspace: Workspace, notebook: NotebookHandle, embedder: CountingEmbedder) -> Job:
    """A job in the middle of its work."""
    embedder.allowed = 0
    add(notebook, workspace, "river.txt", b"The slow river carries fine silt.")
    until(lambda: embedder.waiting)
    return workspace.jobs.list()[0]


def test_a_source_that_is_brought_in_has_a_job_that_is_done(workspace: Workspace, notebook: NotebookHandle) -> None:
    source = notebook.add_text("Copper conducts heat.", "copper")
    (job,) = workspace.jobs.list()
    assert (job.kind, job.subject_id, job.subject, job.status) == ("ingest", source.id, "copper", "done")
    assert (job.attempts, job.crashes, job.reason, job.message, job.run_after) == (0, 0, "", "", None)
    assert workspace.jobs.get(job.id) == workspace.jobs.get(job) == job
    assert job.finished


def test_new_contents_of_a_source_are_brought_in_by_the_same_job(
    workspace: Workspace, notebook: NotebookHandle
) -> None:
    notebook.add_text("Copper conducts heat.", "copper")
    (first,) = workspace.jobs.list()
    assert notebook.add_text("Copper conducts electricity.", "copper").version == 2
    (second,) = workspace.jobs.list()
    assert (second.id, second.status) == (first.id, "done")
    assert second.created_at > first.created_at


def test_a_source_that_cannot_be_read_is_a_job_done_with_a_reason(
    workspace: Workspace, notebook: NotebookHandle
) -> None:
    add(notebook, workspace, "broken.pdf", b"%PDF-1.7 and then nothing that makes sense")
    (job,) = workspace.jobs.list()
    *_, ended = workspace.jobs.watch(job)
    assert (ended.status, ended.reason, ended.attempts) == ("done", "source_broken", 0)
    assert "→" in ended.message
    assert workspace.sources.get(job.subject_id).status == "failed"


def test_jobs_are_listed_in_pages_filtered_and_sorted(workspace: Workspace, notebook: NotebookHandle) -> None:
    for name in ("copper", "Argon", "bronze"):
        notebook.add_text(f"{name} is a thing.", name)
    assert [job.subject for job in workspace.jobs.list()] == ["bronze", "Argon", "copper"]
    page = workspace.jobs.list(limit=1, offset=1)
    assert ([job.subject for job in page], page.total) == (["Argon"], 3)
    assert [job.subject for job in workspace.jobs.list("ARG")] == ["Argon"]
    assert workspace.jobs.list("%").total == workspace.jobs.list(status="dead").total == 0
    assert workspace.jobs.list(status="done", kind="ingest").total == 3
    assert workspace.jobs.list(kind="podcast").total == 0
    notebook.add_text("copper is another thing.", "copper")
    assert workspace.jobs.list(sort="updated")[0].subject == "copper"


def test_watching_tells_each_change_and_ends_with_the_job(
    workspace: Workspace, running: Job, embedder: CountingEmbedder
) -> None:
    assert running.status == "running"
    seen = workspace.jobs.watch(running)
    assert next(iter(seen)).status == "running"
    embedder.allowed = 1_000
    *_, last = seen
    assert (last.id, last.status) == (running.id, "done")
    assert [job.status for job in workspace.jobs.watch(running)] == ["done"]


def test_a_cancelled_job_leaves_its_source_pending_and_runs_again_when_told(
    workspace: Workspace, running: Job, embedder: CountingEmbedder
) -> None:
    with pytest.raises(Conflict, match="running"):
        workspace.jobs.retry(running)
    assert workspace.jobs.cancel(running).status == "cancelled"
    assert workspace.sources.get(running.subject_id).stage == "cancelled"
    assert workspace.jobs.cancel(running).status == "cancelled"
    embedder.allowed = 1_000
    assert workspace.jobs.retry(running).id == running.id
    *_, last = workspace.jobs.watch(running)
    assert last.status == "done"
    source = workspace.sources.get(running.subject_id)
    assert (source.status, source.version) == ("ready", 1)


def test_cancelling_sources_cancels_their_jobs(workspace: Workspace, running: Job) -> None:
    workspace.call(op.CancelSources(source_ids=(running.subject_id,)))
    assert workspace.jobs.get(running).status == "cancelled"


def test_a_job_that_is_done_stays_so(workspace: Workspace, notebook: NotebookHandle) -> None:
    notebook.add_text("Copper conducts heat.", "copper")
    (job,) = workspace.jobs.list()
    assert workspace.jobs.cancel(job) == job
    with pytest.raises(Conflict, match="done"):
        workspace.jobs.retry(job)


def test_a_deleted_source_takes_its_job_with_it(workspace: Workspace, running: Job) -> None:
    workspace.sources.delete(running.subject_id)
    assert workspace.jobs.list().total == 0
    with pytest.raises(NotFound):
        workspace.jobs.get(running)


def test_jobs_of_others_are_not_there(
    workspace: Workspace, stranger: Workspace, running: Job, embedder: CountingEmbedder
) -> None:
    assert stranger.jobs.list().total == 0
    assert list(stranger.jobs.watch(running)) == []
    for call in (stranger.jobs.get, stranger.jobs.cancel, stranger.jobs.retry):
        with pytest.raises(NotFound):
            call(running)
    assert workspace.jobs.get(running).status == "running"
