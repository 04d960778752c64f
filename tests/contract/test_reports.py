"""Reports that are made in the background: run, listed, read, failing, stopped; the same here and through a service."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import Conflict, InvalidInput, NotFound, SbfError
from sbf_kernel.reports import external_references
from tests.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from sbf_kernel.workspace import NotebookHandle, Workspace


def test_the_templates_say_what_they_can_be_told(workspace: Workspace) -> None:
    found = {template.name: template for template in workspace.reports.templates()}
    assert set(found) == {"brief", "literature_review", "reading_list", "what_changed"}
    assert found["brief"].parameters == {"title": "Research brief", "questions": ("What are the main findings?",)}
    assert all(template.about for template in found.values())
    assert "literature_review" in str(workspace.reports.templates())


def test_a_report_is_made_from_ones_own_sources(
    workspace: Workspace, stranger: Workspace, notebook: NotebookHandle, tmp_path: Path
) -> None:
    notebook.add_text("Sourdough rises slowly because wild yeast is sparse.", "bread & <butter>")
    question = "Why does sourdough rise slowly?"
    page = tmp_path / "new" / "brief.html"
    report = workspace.reports.run("brief", notebook, output=page, title='"Bread" \\ {x}', questions=[question])
    assert (report.status, report.template, report.parameters["questions"]) == ("ready", "brief", (question,))
    assert page.read_text(encoding="utf-8") == report.html
    assert "<h1" in report.html
    assert "&quot;Bread&quot; \\ {x}" in report.html.replace('"Bread"', "&quot;Bread&quot;")
    assert "wild yeast is sparse" in report.html
    assert "bread &amp; &lt;butter&gt;" in report.html
    assert external_references(report.html) == []
    listed = workspace.reports.list("BRIEF", notebook_id=notebook.id)
    assert [(one.id, one.html) for one in listed] == [(report.id, "")]
    assert workspace.reports.list("review").total == 0
    job = workspace.jobs.list(kind="report")[0]
    assert (job.status, job.subject_id, job.subject) == ("done", report.id, "brief")
    with pytest.raises(NotFound):
        stranger.reports.get(report.id)
    with pytest.raises(NotFound):
        stranger.reports.start("brief", notebook.id)
    assert stranger.reports.list().total == 0
    workspace.reports.delete(report)
    with pytest.raises(NotFound):
        workspace.reports.get(report.id)


def test_a_failing_cell_leaves_the_page_with_the_failure_and_tells_nothing_of_the_machine(
    workspace: Workspace, notebook: NotebookHandle, tmp_path: Path
) -> None:
    page = tmp_path / "changes.html"
    with pytest.raises(SbfError, match=r"what_changed failed in cell \d: InvalidInput: 'soon' is no date"):
        workspace.reports.run("what_changed", notebook, output=page, since="soon")
    shown = page.read_text(encoding="utf-8")
    assert "is no date" in shown
    assert "Traceback" not in shown
    assert ".py" not in shown
    assert workspace.reports.list()[0].status == "failed"
    assert workspace.jobs.list(kind="report")[0].status == "dead"


def test_what_is_no_report_is_refused_before_anything_runs(workspace: Workspace, notebook: NotebookHandle) -> None:
    for template, parameters in {
        "no_such": {},
        "brief": {"colour": "red"},
        "reading_list": {"notebook": str(uuid4())},
        "what_changed": {"since": ("a", "b")},
    }.items():
        with pytest.raises(NotFound if template == "no_such" else InvalidInput):
            workspace.call(op.RunReport(notebook_id=notebook.id, template=template, parameters=parameters))
    assert workspace.reports.list().total == 0
    assert workspace.jobs.list(kind="report").total == 0


def test_a_report_is_stopped_and_made_again(workspace: Workspace, notebook: NotebookHandle) -> None:
    job = workspace.reports.start("reading_list", notebook, subjects="anything")
    with pytest.raises(Conflict, match="no page"):
        workspace.reports.get(job).save("never.html")
    workspace.jobs.cancel(job)
    assert workspace.reports.get(job).status == "failed"
    assert workspace.jobs.get(job).status == "cancelled"
    workspace.jobs.retry(job)
    until(lambda: workspace.jobs.get(job).finished)
    assert workspace.reports.get(job).status == "ready"
    assert workspace.reports.get(job).parameters == {"subjects": ("anything",)}
