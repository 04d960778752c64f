"""``sbf demo``: all of SBF in a minute, without a network, on documents found in this installation."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sbf_kernel.display.escaping import clean, clip, one_line
from sbf_kernel.errors import MissingExtra

if TYPE_CHECKING:
    from sbf_kernel.records import Answer
    from sbf_kernel.workspace import NotebookHandle

NOTEBOOK = "Demo"
SEARCHES = ("how is a quote checked against the stored text", "merge two rankings into one", "mould at high humidity")
QUESTIONS = ("What does it mean that a citation is verified?", "Why does BM25 look at the length of a document?")
UNANSWERABLE = "Who won the world chess championship in 1972?"


def run(*, home: str | Path | None = None, database_url: str | None = None) -> int:
    """Show adding, searching, asking and reporting, and check every quote.

    Parameters
    ----------
    home
        Where the data go; default: a fresh temporary folder.

    Returns
    -------
    0 when all went as it should, else 1.
    """
    import sbf_kernel as sbf

    began = time.perf_counter()
    place = Path(home).expanduser().absolute() if home else Path(tempfile.mkdtemp(prefix="sbf-demo-"))
    _title("A workspace")
    with sbf.connect(database_url, home=place) as workspace:
        print(workspace.health())
        notebook = workspace.notebooks.open(NOTEBOOK)
        wrong = _add(notebook, place / "samples")
        _search(notebook)
        wrong += sum(_ask(notebook, question) for question in QUESTIONS)
        wrong += _ask_in_vain(notebook)
        wrong += _report(place, database_url)
    print(
        f"\n{'All as it should be' if not wrong else f'{wrong} things went wrong'}: {time.perf_counter() - began:.0f} seconds."
        f" The data are in {place}; delete the folder when you have seen enough."
    )
    return 1 if wrong else 0


def _title(text: str) -> None:
    print(f"\n━━ {text} " + "━" * (96 - len(text)) + "\n")


def _add(notebook: NotebookHandle, folder: Path) -> int:
    from sbf_kernel import samples

    _title("Sources: texts of our own, and documents that came with the installed packages")
    found = notebook.add(*samples.gather(folder), progress=sys.stderr.isatty())
    print(found)
    return sum(source.status != "ready" for source in found)


def _search(notebook: NotebookHandle) -> None:
    for query in SEARCHES:
        _title(f"Search: {query}")
        print(notebook.search(query, limit=3))


def _ask(notebook: NotebookHandle, question: str) -> int:
    """Ask, and read every citation's words again at its offsets in the stored text."""
    _title("Ask")
    answer: Answer = notebook.ask(question)
    print(answer, "\n")
    wrong = 0 if answer.answered and answer.citations else 1
    for citation in answer.citations:
        text = notebook.sources.text(citation.source_id, citation.version_id).text
        stands = text[citation.start : citation.end] == citation.quote
        sign = "✓ verbatim" if stands else "✗ not found"
        print(
            f"  [{citation.marker}] {sign} at characters {citation.start:,}–{citation.end:,} of {one_line(citation.source)}"
        )
        wrong += not stands
    return wrong


def _ask_in_vain(notebook: NotebookHandle) -> int:
    _title("Ask something that no source answers")
    answer = notebook.ask(UNANSWERABLE)
    print(answer)
    return int(answer.answered)


def _report(place: Path, database_url: str | None) -> int:
    from sbf_kernel import reports

    _title("Report: a notebook, run and exported to a page that needs no network")
    parameters = {"title": "What the demo found", "notebook": NOTEBOOK, "questions": [*QUESTIONS, UNANSWERABLE]}
    try:
        page = reports.run("brief", parameters, place / "report" / "brief.html", home=place, database_url=database_url)
    except MissingExtra as error:
        print(clean(clip(f"left out: {error}", 300)))
        return 0
    print(f"wrote {page} ({page.stat().st_size // 1024} kB)\nopen it in a browser: {page.as_uri()}")
    return 0
