"""Asking: every verified citation holds, nothing is made up, answers are kept and can be checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.records import Answer, AnswerDelta

if TYPE_CHECKING:
    from sbf_kernel.records import Source
    from sbf_kernel.workspace import NotebookHandle, Workspace

QUESTION = "How do whales breathe?"
TEXTS = {
    "whales": "Whales are marine mammals. Whales breathe air through a blowhole on top of the head. They feed on krill.",
    "bread": "Sourdough bread rises slowly. Wild yeast and bacteria ferment the dough overnight.",
    "Brot": "Das Brot wird im Ofen gebacken. Der Bäcker verwendet dafür Mehl, Wasser und Salz.",
}


@pytest.fixture
def library(notebook: NotebookHandle) -> NotebookHandle:
    for name, text in TEXTS.items():
        assert notebook.add_text(text, name).status == "ready"
    return notebook


def check(answer: Answer, workspace: Workspace) -> None:
    """Every citation that says it is verified stands word for word where it says."""
    for cited in answer.citations:
        text = workspace.sources.text(cited.source_id, cited.version_id)
        assert text.version == cited.version
        if cited.status == "verified":
            assert text.text[cited.start : cited.end] == cited.quote
            assert cited.quote
        assert f"[{cited.marker}]" in answer.text
        assert 0 <= cited.answer_start < cited.answer_end <= len(answer.text)


def test_an_answer_quotes_the_source_that_says_so(library: NotebookHandle, workspace: Workspace) -> None:
    answer = library.ask(QUESTION)
    assert answer.answered
    assert "blowhole" in answer.text
    assert answer.citations
    assert {c.status for c in answer.citations} == {"verified"}
    assert answer.citations[0].source == "whales"
    assert (answer.question, answer.notebook_id, answer.provenance.model) == (QUESTION, library.id, "extractive")
    assert answer.provenance.package_version
    assert answer.provenance.passages
    check(answer, workspace)


def test_the_answer_comes_in_pieces_that_make_up_its_text_and_is_the_last_record(library: NotebookHandle) -> None:
    *pieces, answer = library.ask_stream(QUESTION)
    assert pieces
    assert all(isinstance(piece, AnswerDelta) for piece in pieces)
    assert isinstance(answer, Answer)
    assert "".join(piece.text for piece in pieces if isinstance(piece, AnswerDelta)) == answer.text


def test_what_no_source_says_is_not_answered(
    library: NotebookHandle, notebook: NotebookHandle, workspace: Workspace
) -> None:
    for question in ("Who won the chess world championship in 1972?", "xylophone quasar zeppelin?"):
        answer = library.ask(question)
        assert not answer.answered, answer
        assert len(answer.citations) == 0
        assert answer.text
    empty = workspace.notebooks.create("empty").ask(QUESTION)
    assert (empty.answered, len(empty.citations)) == (False, 0)


def test_a_german_question_is_answered_from_the_german_text(library: NotebookHandle, workspace: Workspace) -> None:
    answer = library.ask("Was verwendet der Bäcker für das Brot?")
    assert answer.answered
    assert {c.source for c in answer.citations} == {"Brot"}
    check(answer, workspace)


def test_the_same_question_gets_the_same_answer(library: NotebookHandle) -> None:
    first, second = library.ask(QUESTION), library.ask(QUESTION)
    assert first.id != second.id
    assert (first.text, first.citations) == (second.text, second.citations)


def test_the_scope_of_a_question_restricts_what_is_cited(library: NotebookHandle) -> None:
    bread = library.sources.get("bread")
    answer = library.ask(QUESTION, source_ids=(bread.id,))
    assert {c.source for c in answer.citations} <= {"bread"}
    assert "blowhole" not in answer.text
    with pytest.raises(InvalidInput, match="colour"):
        library.ask(QUESTION, colour="red")


def test_answers_are_kept_and_listed_newest_first(library: NotebookHandle, workspace: Workspace) -> None:
    first, second = library.ask(QUESTION), library.ask("What ferments the dough?")
    elsewhere = workspace.ask("What ferments the dough?")
    assert workspace.answers.get(first.id) == workspace.answers.get(str(first.id)) == first
    assert [a.id for a in workspace.answers.list()] == [elsewhere.id, second.id, first.id]
    assert [a.id for a in workspace.answers.list(notebook_id=library.id)] == [second.id, first.id]
    assert [a.id for a in workspace.answers.list("WHALES")] == [first.id]
    page = workspace.answers.list(limit=1, offset=1)
    assert ([a.id for a in page], page.total) == ([second.id], 3)


def test_a_recheck_confirms_every_quote(library: NotebookHandle, workspace: Workspace) -> None:
    answer = library.ask(QUESTION)
    checked = workspace.recheck(answer)
    assert checked.ok
    assert checked.answer_id == answer.id
    assert [(c.marker, c.holds, c.current) for c in checked.items] == [(c.marker, True, True) for c in answer.citations]
    assert workspace.recheck(str(answer.id)) == checked


def change(library: NotebookHandle) -> Source:
    return library.add_text("Whales are gone from this text.", "whales")


def test_after_a_new_version_the_quotes_hold_in_the_version_cited(
    library: NotebookHandle, workspace: Workspace
) -> None:
    answer = library.ask(QUESTION)
    assert change(library).version == 2
    checked = workspace.recheck(answer)
    assert checked.ok
    assert {c.current for c in checked.items if c.source == "whales"} == {False}
    check(answer, workspace)


def test_after_its_source_was_deleted_a_citation_no_longer_holds(library: NotebookHandle, workspace: Workspace) -> None:
    answer = library.ask(QUESTION)
    workspace.sources.delete(library.sources.get("whales"))
    checked = workspace.recheck(answer)
    assert not checked.ok
    assert all(c.detail for c in checked.items if not c.holds)
    assert workspace.answers.get(answer.id) == answer


def test_leaving_the_stream_early_stores_no_answer(
    library: NotebookHandle, workspace: Workspace, backend_name: str
) -> None:
    if backend_name == "remote":
        pytest.skip(
            "a service may be done before it hears that nobody listens; tests/api/test_streaming.py has a slow one"
        )
    stream = library.ask_stream(QUESTION)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert workspace.answers.list().total == 0


def test_unknown_answers_and_models_are_refused(library: NotebookHandle, workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        workspace.answers.get(uuid4())
    with pytest.raises(NotFound):
        workspace.recheck(uuid4())
    with pytest.raises(InvalidInput):
        library.ask(QUESTION, model="no such model")
    assert workspace.answers.list().total == 0
