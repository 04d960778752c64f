"""Notes: write, take over from answers, list, change, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from sbf_kernel.workspace import NotebookHandle, Workspace


def test_a_note_has_what_was_given(notebook: NotebookHandle, workspace: Workspace) -> None:
    note = notebook.notes.create("  Tides ", "The *moon*.")
    assert (note.title, note.text, note.notebook_id, note.answer_id, note.citations) == (
        "Tides", "The *moon*.", notebook.id, None, (),
    )  # fmt: skip
    assert note.created_at == note.updated_at
    assert note.created_at.tzinfo is not None
    assert workspace.notes.get(note.id) == workspace.notes.get(str(note.id)) == note


def test_a_note_from_an_answer_takes_its_text_and_citations_along(
    notebook: NotebookHandle, workspace: Workspace
) -> None:
    notebook.add_text("Whales breathe air through a blowhole on top of the head.", "whales")
    answer = notebook.ask("How do whales breathe?")
    assert answer.citations
    note = notebook.notes.create("Breath", answer=answer)
    assert (note.text, note.answer_id, note.citations) == (answer.text, answer.id, tuple(answer.citations))
    assert notebook.notes.create("Breath", "My own words", answer=answer.id).text == "My own words"
    message = notebook.chat().send("How do whales breathe?")
    assert message.answer is not None
    assert notebook.notes.create("Chat", answer=message).citations == tuple(message.answer.citations)
    workspace.sources.delete("whales")
    assert workspace.notes.get(note.id) == note


def test_a_note_needs_a_notebook_and_an_answer_of_ones_own(
    notebook: NotebookHandle, workspace: Workspace, stranger: Workspace
) -> None:
    with pytest.raises(InvalidInput, match=r"nb\.notes"):
        workspace.notes.create("x")
    theirs = stranger.ask("What is secret?")
    for answer_id in (uuid4(), theirs.id):
        with pytest.raises(NotFound, match=str(answer_id)):
            notebook.notes.create("x", answer=answer_id)
    said = notebook.chat()
    said.send("Anything?")
    with pytest.raises(InvalidInput, match="no answer"):
        notebook.notes.create("x", answer=said.messages()[0])
    assert notebook.notes.list().total == 0


def test_notes_are_listed_searched_sorted_and_paged(notebook: NotebookHandle, workspace: Workspace) -> None:
    first, second = notebook.notes.create("beta", "100% wool"), notebook.notes.create("Alpha")
    other = workspace.notebooks.create("Other").notes.create("gamma", "about ALPHA")
    assert [n.id for n in workspace.notes.list()] == [other.id, second.id, first.id]
    assert [n.id for n in notebook.notes.list(sort="title")] == [second.id, first.id]
    assert {n.id for n in workspace.notes.list("alpha")} == {second.id, other.id}
    assert [n.id for n in notebook.notes.list("%")] == [first.id]
    workspace.notes.update(first, text="silk")
    assert [n.id for n in notebook.notes.list()] == [first.id, second.id]
    assert [n.id for n in notebook.notes.list(sort="created")] == [second.id, first.id]
    page = workspace.notes.list(limit=1, offset=1)
    assert (len(page), page.total) == (1, 3)
    assert {n.id for n in workspace.notes.all()} == {first.id, second.id, other.id}
    for wrong in ({"limit": 0}, {"sort": "size"}, {"offset": -1}, {"search": "\0"}):
        with pytest.raises(InvalidInput):
            workspace.notes.list(**wrong)


def test_changing_a_note_changes_only_what_is_given(notebook: NotebookHandle, workspace: Workspace) -> None:
    note = notebook.notes.create("Title", "words")
    assert workspace.notes.update(note, title="Other").text == "words"
    changed = workspace.notes.update(note.id, text="")
    assert (changed.title, changed.text) == ("Other", "")
    assert changed.updated_at > note.updated_at
    assert changed.created_at == note.created_at


def test_a_deleted_note_is_gone(notebook: NotebookHandle, workspace: Workspace) -> None:
    note, kept = notebook.notes.create("x"), notebook.notes.create("kept")
    workspace.notes.delete(note)
    for call in (
        lambda: workspace.notes.get(note.id),
        lambda: workspace.notes.update(note, title="y"),
        lambda: workspace.notes.delete(note),
    ):
        with pytest.raises(NotFound):
            call()
    assert [n.id for n in workspace.notes.list()] == [kept.id]
    notebook.delete()
    with pytest.raises(NotFound):
        workspace.notes.get(kept.id)


def test_somebody_elses_note_is_not_there(notebook: NotebookHandle, stranger: Workspace) -> None:
    note = notebook.notes.create("mine", "secret")
    for operation in (
        op.CreateNote(notebook_id=notebook.id, title="planted"),
        op.GetNote(note_id=note.id),
        op.UpdateNote(note_id=note.id, title="taken"),
        op.DeleteNote(note_id=note.id),
        op.ListNotes(notebook_id=notebook.id),
    ):
        with pytest.raises(NotFound):
            stranger.call(operation)
    assert stranger.notes.list("secret").total == 0
    assert notebook.notes.list().items == (note,)


@pytest.mark.parametrize("fields", [{"title": ""}, {"title": "x" * 301}, {"title": "x", "text": "a\0"}, {"title": 5}])
def test_wrong_titles_and_texts_are_refused(notebook: NotebookHandle, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        notebook.notes.create(**fields)


def test_a_note_shows_itself(notebook: NotebookHandle) -> None:
    shown = notebook.notes.create("Tides & <moon>", "pull")._repr_mimebundle_()
    assert "Tides & <moon>" in shown["text/plain"]
    assert "<moon>" not in shown["text/html"]


def test_words_are_found_in_whichever_form_they_are_written(workspace: Workspace, notebook: NotebookHandle) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    for name in (composed, decomposed):
        note = notebook.notes.create(name, f"about {name}")
        source = notebook.add_text(f"Quartz scratches glass, says {note.id}.", f"{name} {note.id}", tags=(name,))
        for words in (composed, decomposed):
            assert note.id in {found.id for found in notebook.notes.list(search=words)}
            assert note.id in {found.id for found in notebook.notes.list(search=f"about {words}")}
            assert source.id in {found.id for found in notebook.sources.list(tag=words)}
            assert source.id in {found.id for found in notebook.sources.list(search=f"{words} {note.id}")}
            assert source.id in {hit.source_id for hit in workspace.search("quartz", tags=(words,))}
