"""What the templates are put together from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sbf_kernel import display
from sbf_kernel.display.escaping import View, element, markdown
from sbf_kernel.display.style import view
from sbf_kernel.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sbf_kernel.records import Answer, Source
    from sbf_kernel.workspace import NotebookHandle, Workspace


def opening(title: str, *lines: str) -> Any:
    """Return the head of a report: its title, and lines of Markdown made of :func:`bold` and plain words."""
    from IPython.display import Markdown

    return Markdown("\n\n".join([f"# {markdown(title)}", *lines]))  # type: ignore[no-untyped-call]


def bold(words: object) -> str:
    """Return words of any origin as bold Markdown that shows exactly them."""
    return f"**{markdown(str(words))}**"


def counted(number: int, noun: str) -> str:
    """Return ``1 source``, ``2 sources``."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def all_sources(nb: NotebookHandle, search: str = "") -> list[Source]:
    """Return every source of a notebook that is ready, by name."""
    found: list[Source] = []
    total = 1
    while len(found) < total:
        page = nb.sources.list(search, limit=100, offset=len(found), sort="name", status="ready")
        found, total = [*found, *page], page.total if page else 0
    return found


def all_answers(ws: Workspace, nb: NotebookHandle) -> list[Answer]:
    """Return every answer that was given from a notebook, newest first."""
    found: list[Answer] = []
    total = 1
    while len(found) < total:
        page = ws.answers.list(notebook_id=nb.id, limit=100, offset=len(found))
        found, total = [*found, *page], page.total if page else 0
    return found


def references(ws: Workspace, answers: Iterable[Answer]) -> View:
    """Return every cited quote, looked up once more at its place in the stored text."""
    rows = set()
    for answer in answers:
        holds = {item.marker: item for item in ws.recheck(answer).items} if answer.answered else {}
        for citation in answer.citations if answer.answered else ():
            state = holds.get(citation.marker)
            rows.add((
                citation.source,
                citation.location.label(),
                f"{citation.start:,}–{citation.end:,}",
                "holds" if state and state.holds else "broken",
                citation.quote,
            ))  # fmt: skip
    shown = [(*row[:3], display.Status(row[3]), display.Verbatim(row[4])) for row in sorted(rows)]
    return display.table(counted(len(shown), "reference"), ("source", "where", "characters", "checked", "quote"), shown)


def cited(sources: Iterable[Source], answers: Iterable[Answer]) -> list[Source]:
    """Return the sources that answers cite."""
    ids = {citation.source_id for answer in answers if answer.answered for citation in answer.citations}
    return [source for source in sources if source.id in ids]


def day(text: str) -> datetime:
    """Return the beginning of a day, in UTC.

    Raises
    ------
    InvalidInput
        It is no date such as ``2026-11-01``.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no date", hint="write it like 2026-11-01") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def made_by(ws: Workspace, answers: Sequence[Answer] = ()) -> View:
    """Return which parts took part in a report."""
    health = ws.health()
    models = sorted({answer.provenance.model for answer in answers})
    rows = [("program", f"SBF {health.version}"), ("answers by", ", ".join(models)), *health.checks.items()]
    return display.table(
        "The parts that took part", ("part", "state"), [row for row in rows if row[0] != "place" and row[1]]
    )


def note(words: str) -> View:
    """Return a remark, set apart."""
    return View(plain=words, markdown=markdown(words), html=view("Note", element("p", words, class_="sbf-note")))
