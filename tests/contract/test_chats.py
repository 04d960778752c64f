"""Chats without a language model: sessions, messages, follow-ups, levels, going on reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.records import Message, MessageDelta

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import NotebookHandle, Workspace

WHALES = "Whales are marine mammals. Whales breathe air through a blowhole on top of the head. Whales feed on krill."
BREAD = "Sourdough bread rises slowly. Wild yeast and bacteria ferment the dough overnight."
QUESTION = "How do whales breathe?"


@pytest.fixture
def library(notebook: NotebookHandle) -> NotebookHandle:
    notebook.add_text(WHALES, "whales")
    notebook.add_text(BREAD, "bread")
    return notebook


def test_a_new_chat_is_empty_and_takes_its_title_from_the_first_question(library: NotebookHandle) -> None:
    chat = library.chat()
    assert (chat.title, chat.record.message_count, chat.record.levels, chat.record.model) == ("", 0, {}, None)
    chat.send("  How do\n whales breathe?  ")
    assert chat.refresh().title == QUESTION
    assert chat.record.message_count == 2
    chat.send("What ferments the dough?")
    assert chat.refresh().title == QUESTION
    long = library.chat()
    long.send("Whales " * 40)
    assert len(long.refresh().title) <= 81
    assert long.title.endswith("Whales…")


def test_an_answer_comes_in_pieces_with_its_citations_before_the_message(
    library: NotebookHandle, workspace: Workspace
) -> None:
    chat = library.chat("Sea")
    *deltas, message = chat.stream(QUESTION)
    assert isinstance(message, Message)
    assert (message.role, message.status, message.error, message.question) == ("assistant", "done", "", QUESTION)
    assert message.answer is not None
    assert "blowhole" in message.text
    pieces = [delta for delta in deltas if isinstance(delta, MessageDelta)]
    assert len(pieces) == len(deltas)
    assert {piece.message_id for piece in pieces} == {message.id}
    assert "".join(piece.text for piece in pieces) == message.text == message.answer.text
    at = 0
    for piece in pieces:
        assert piece.start == at
        at += len(piece.text)
    cited = [piece.citation for piece in pieces if piece.citation]
    assert cited == list(message.answer.citations)
    assert {c.status for c in cited} == {"verified"}
    for piece in pieces:
        if piece.citation:
            assert message.text[: piece.start].endswith(f"[{piece.citation.marker}]")
    assert workspace.answers.get(message.answer.id) == message.answer
    assert workspace.recheck(message.answer).ok
    said = chat.messages()
    assert [(m.role, m.text) for m in said] == [("user", QUESTION), ("assistant", message.text)]
    assert said[1] == message


def test_a_follow_up_is_searched_with_the_words_it_refers_to(library: NotebookHandle) -> None:
    chat = library.chat()
    assert chat.send(QUESTION).question == QUESTION
    second = chat.send("And what do they feed on?")
    assert second.question == "whales breathe: And what do they feed on?"
    assert "krill" in second.text
    assert chat.send("What ferments the dough?").question == "What ferments the dough?"


def test_the_level_of_a_source_says_what_of_it_is_used(library: NotebookHandle) -> None:
    whales, bread = library.sources.get("whales"), library.sources.get("bread")
    chat = library.chat(levels={whales: "off"})
    assert chat.record.levels == {whales.id: "off"}
    assert {p.source for p in seen(chat.send(QUESTION))} == {"bread"}
    chat.set_level(bread, "off")
    assert chat.record.levels == {whales.id: "off", bread.id: "off"}
    assert chat.send(QUESTION).text.startswith("There is nothing to answer from")
    chat.set_level(whales, "passages")
    assert {p.source for p in seen(chat.send(QUESTION))} == {"whales"}


def test_a_source_in_full_is_there_whole_also_where_nothing_was_found(notebook: NotebookHandle) -> None:
    parts = [f"Part {n} is about {word}. " + f"{word} again. " * 60 for n, word in enumerate(["iron", "zinc", "lead"])]
    source = notebook.add_text("\n\n".join(parts), "metals")
    assert source.chunk_count > 2
    assert len(seen(notebook.chat().send("What is part 0 about?", passages=1))) == 1
    whole = notebook.chat(levels={source.id: "full"}).send("What is part 0 about?", passages=1)
    assert len(seen(whole)) == source.chunk_count


def seen(message: Message) -> tuple[Any, ...]:
    assert message.answer is not None
    return message.answer.provenance.passages


def test_a_level_needs_a_source_of_the_notebook(
    library: NotebookHandle, workspace: Workspace, stranger: Workspace
) -> None:
    elsewhere = workspace.notebooks.create("Other").add_text("Basalt is a rock.", "basalt")
    theirs = stranger.notebooks.create("Theirs").add_text("Granite is a rock.", "granite")
    for source_id in (uuid4(), elsewhere.id, theirs.id):
        with pytest.raises(NotFound, match=str(source_id)):
            library.chat(levels={source_id: "off"})
        with pytest.raises(NotFound, match=str(source_id)):
            library.chat().set_level(source_id, "full")
    chat = library.chat(levels={library.sources.get("bread"): "off"})
    library.sources.remove("bread")
    chat.set_level(next(iter(chat.record.levels)), "full")  # it had a level before
    assert chat.send(QUESTION).status == "done"


def test_changing_a_chat_changes_only_what_is_given(library: NotebookHandle, workspace: Workspace) -> None:
    chat = library.chat("First", model="extractive")
    chat.rename("Second")
    assert (chat.title, chat.record.model) == ("Second", "extractive")
    chat.use_model("")
    assert (chat.title, chat.record.model) == ("Second", None)
    assert workspace.chats.get(chat.id).record == chat.record
    for wrong in ("no provider", ":x"):
        with pytest.raises(InvalidInput):
            chat.use_model(wrong)
        with pytest.raises(InvalidInput):
            library.chat(model=wrong)
    assert chat.refresh().model is None


def test_chats_are_listed_searched_sorted_and_paged(library: NotebookHandle, workspace: Workspace) -> None:
    made = [library.chat(title) for title in ("delta", "Alpha", "100% wool")]
    other = workspace.notebooks.create("Other").chat("alpha too")
    assert [c.id for c in workspace.chats.list()] == [other.id, *(c.id for c in reversed(made))]
    assert [c.title for c in workspace.chats.list(sort="title")] == ["100% wool", "Alpha", "alpha too", "delta"]
    assert {c.id for c in workspace.chats.list("ALPHA")} == {made[1].id, other.id}
    assert [c.id for c in workspace.chats.list("%")] == [made[2].id]
    assert workspace.chats.list(notebook_id=library.id).total == 3
    made[0].send(QUESTION)
    assert workspace.chats.list()[0].id == made[0].id
    assert workspace.chats.list(sort="created")[0].id == other.id
    page = workspace.chats.list(limit=2, offset=2)
    assert (len(page), page.total) == (2, 4)
    assert len(list(workspace.chats.all())) == 4
    for wrong in ({"limit": 0}, {"sort": "size"}, {"offset": -1}):
        with pytest.raises(InvalidInput):
            workspace.chats.list(**wrong)


def test_a_deleted_chat_is_gone_with_its_messages(library: NotebookHandle, workspace: Workspace) -> None:
    chat, other = library.chat(), library.chat("stays")
    message = chat.send(QUESTION)
    chat.delete()
    for call in (
        chat.refresh,
        chat.messages,
        chat.delete,
        lambda: chat.send(QUESTION),
        lambda: chat.rename("x"),
        lambda: list(chat.follow(message)),
        lambda: chat.stop(message),
    ):
        with pytest.raises(NotFound):
            call()
    workspace.chats.delete(other.id)
    assert workspace.chats.list().total == 0
    assert message.answer is not None
    assert workspace.answers.get(message.answer.id) == message.answer


def test_a_chat_goes_with_its_notebook(library: NotebookHandle, workspace: Workspace) -> None:
    chat = library.chat()
    library.delete()
    with pytest.raises(NotFound):
        chat.send(QUESTION)
    assert workspace.chats.list().total == 0


def test_somebody_elses_chat_is_not_there(library: NotebookHandle, stranger: Workspace) -> None:
    chat = library.chat()
    message = chat.send(QUESTION)
    own = stranger.notebooks.create("own").chat()
    calls: list[op.Operation] = [
        op.CreateChat(notebook_id=library.id),
        op.GetChat(chat_id=chat.id),
        op.UpdateChat(chat_id=chat.id, title="taken"),
        op.DeleteChat(chat_id=chat.id),
        op.ListMessages(chat_id=chat.id),
        op.SendMessage(chat_id=chat.id, text="hello"),
        op.FollowMessage(chat_id=chat.id, message_id=message.id),
        op.FollowMessage(chat_id=own.id, message_id=message.id),
        op.StopMessage(chat_id=chat.id, message_id=message.id),
        op.StopMessage(chat_id=own.id, message_id=message.id),
        op.ListChats(notebook_id=library.id),
    ]
    for operation in calls:
        with pytest.raises(NotFound):
            _ = list(stranger.stream(operation)) if operation.streams else stranger.call(operation)
    assert stranger.chats.list().total == 1
    assert (chat.refresh().title, chat.record.message_count) == (QUESTION, 2)


def test_a_finished_message_can_be_read_again_from_any_character(library: NotebookHandle) -> None:
    chat = library.chat()
    message = chat.send(QUESTION)
    for after in (0, 1, len(message.text) - 1, len(message.text), len(message.text) + 5):
        *deltas, last = chat.follow(message, after)
        assert last == message
        assert "".join(d.text for d in deltas if isinstance(d, MessageDelta)) == message.text[after:]
        assert all(d.start >= after for d in deltas if isinstance(d, MessageDelta))
    assert chat.stop(message) == message
    with pytest.raises(NotFound, match="being written"):
        chat.stop()


def test_leaving_the_stream_early_stops_the_message_and_keeps_what_was_written(library: NotebookHandle) -> None:
    chat = library.chat()
    stream = chat.stream(QUESTION)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    said = chat.messages()
    assert said[1].status in ("stopped", "done")
    assert chat.send(QUESTION).status == "done"


def test_a_message_whose_writer_has_died_is_shown_as_failed_and_the_chat_goes_on(
    library: NotebookHandle, principal: Principal, runtime: Runtime, loop: LoopThread
) -> None:
    chat = library.chat()
    message = chat.send(QUESTION)

    async def die() -> None:
        async with runtime.db.change(principal) as connection:
            statement = (
                "update messages set status = 'writing', updated_at = now() - interval '2 minutes' where id = :id"
            )
            await connection.execute(text(statement), {"id": message.id})

    loop.run(die())
    *_, last = chat.messages()
    assert (last.id, last.status) == (message.id, "failed")
    assert "died" in last.error
    assert chat.send("What ferments the dough?").status == "done"


def test_messages_are_searched_and_paged(library: NotebookHandle) -> None:
    chat = library.chat()
    for question in (QUESTION, "What ferments the dough?"):
        chat.send(question)
    assert [m.text for m in chat.messages("DOUGH?")] == ["What ferments the dough?"]
    page = chat.messages(limit=1, offset=2)
    assert ([m.role for m in page], page.total) == (["user"], 4)
    assert [m.id for m in chat.all_messages()] == [m.id for m in chat.messages()]


def test_an_empty_notebook_has_nothing_to_answer_from(notebook: NotebookHandle) -> None:
    message = notebook.chat().send("Anything?")
    assert message.answer is not None
    assert not message.answer.answered
    assert message.status == "done"


def test_a_chat_shows_its_conversation(library: NotebookHandle) -> None:
    chat = library.chat("<Sea>")
    chat.send(QUESTION)
    shown = chat._repr_mimebundle_()
    for face in ("text/plain", "text/html", "text/markdown"):
        assert "blowhole" in shown[face]
        assert QUESTION in shown[face]
    assert "<Sea>" not in shown["text/html"]
    assert repr(chat) == "<chat '<Sea>'>"


def test_wrong_ids_are_refused_with_the_field_named(library: NotebookHandle, workspace: Workspace) -> None:
    chat = library.chat()
    for call, field in (
        (lambda: workspace.chats.get("nonsense"), "chat_id"),
        (lambda: chat.stop("nonsense"), "message_id"),
        (lambda: library.chat(levels={"nonsense": "off"}), "levels"),
        (lambda: library.chat(levels={uuid4(): "some"}), "levels"),
        (lambda: chat.send(" "), "text"),
    ):
        with pytest.raises(InvalidInput, match=field):
            call()


def test_a_viewer_of_a_shared_notebook_has_chats_and_notes_of_their_own(
    library: NotebookHandle,
    workspace: Workspace,
    new_user: Callable[..., Principal],
    open_workspace: Callable[[str, Principal], Workspace],
    backend_name: str,
) -> None:
    name = f"viewer-{uuid4()}"
    viewer = open_workspace(backend_name, new_user(name))
    library.share(name)
    mine = library.chat("mine")
    theirs = viewer.notebooks.get(library.id).chat("theirs")
    message = theirs.send(QUESTION)
    assert message.status == "done"
    assert "blowhole" in message.text
    assert theirs.messages()[1] == message
    assert list(theirs.follow(message))[-1] == message
    assert message.answer is not None
    note = viewer.notebooks.get(library.id).notes.create("Breath", answer=message)
    assert note.citations == tuple(message.answer.citations)
    assert [c.id for c in workspace.chats.list()] == [mine.id]
    assert library.notes.list().total == 0
    for place, ref in ((workspace.chats.get, theirs.id), (viewer.chats.get, mine.id), (workspace.notes.get, note.id)):
        with pytest.raises(NotFound):
            place(ref)
    library.unshare(name)
    with pytest.raises(NotFound):
        theirs.send(QUESTION)
