"""What the magics show: an answer while it is written, and how things stand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.display import display

from sbf_kernel import display as views
from sbf_kernel.display.escaping import View, clean, element, markdown, paragraphs, static
from sbf_kernel.display.style import view
from sbf_kernel.records import Answer

if TYPE_CHECKING:
    from sbf_kernel.records import Report
    from sbf_kernel.workspace import NotebookHandle, Workspace

REFRESH_SECONDS = 0.1
"""Between two pictures of an answer that is being written."""


def show_answer(scope: Workspace | NotebookHandle, question: str, **options: Any) -> Answer:
    """Ask, and show the answer as it is written; what stays in the notebook is plain rich output.

    With ``SBF_STATIC=1`` only the finished answer is shown.

    Returns
    -------
    The answer.
    """
    if static():
        answer = scope.ask(question, **options)
        display(answer)  # type: ignore[no-untyped-call]
        return answer
    handle = display(_draft(question, "", "…"), display_id=True)  # type: ignore[no-untyped-call]
    text, shown = "", time.monotonic()
    try:
        for event in scope.ask_stream(question, **options):
            if isinstance(event, Answer):
                handle.update(event)
                return event
            text += event.text
            if time.monotonic() - shown >= REFRESH_SECONDS:
                handle.update(_draft(question, text, "…"))
                shown = time.monotonic()
    except KeyboardInterrupt:
        handle.update(_draft(question, text, " (stopped)"))
        raise
    except Exception:
        handle.update(_draft(question, text, " (broken off)"))
        raise
    raise AssertionError("the last event is the answer")


def _draft(question: str, text: str, end: str) -> View:
    """Return an answer that is not finished."""
    words = clean(text) + end
    parts = (element("p", question, class_="sbf-question"), element("p", words, class_="sbf-text", aria_live="polite"))
    return View(
        plain=f"{question}\n\n{paragraphs(words)}",
        html=view("Answer", *parts),
        markdown=f"**{markdown(question)}**\n\n{markdown(words)}",
    )


def show_where_the_page_is(report: Report, name: str | None) -> None:
    """Show how to see the page of a report, which is too large to be shown in a notebook."""
    held = name or f'ws.reports.get("{report.id}")'
    words = f'{held}.save("{report.template}.html") writes the page to a file, for any browser'
    display({"text/plain": words}, raw=True)  # type: ignore[no-untyped-call]


def status(workspace: Workspace, notebook: NotebookHandle | None) -> View:
    """Return what is open and whether it works."""
    health = workspace.health()
    record = notebook.refresh() if notebook else None
    chosen = f"{record.name} ({record.source_count} sources)" if record else "none: %sbf use NAME"
    told: dict[str, Any] = {
        "notebook": chosen,
        "notebooks": workspace.notebooks.list().total,
        "state": views.Status("ok" if health.ok else "broken"),
    }
    if not static():  # what differs from one installation to the next
        place = workspace.settings.url or str(workspace.settings.home)
        checks = {name: state for name, state in health.checks.items() if name != "place"}
        told = {"workspace": place, **told, "version": health.version, **checks}
    return views.fields("Second Brain", told)
