"""Notebooks that are shared: what a viewer, an editor and nobody in particular can see and do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from sbf_kernel import operations as op
from sbf_kernel.errors import Forbidden, InvalidInput, NotFound
from sbf_kernel.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.records import Answer, Principal, Source
    from sbf_kernel.workspace import NotebookHandle, Workspace

RECIPE = "The secret ingredient is cardamom. It is added before the rice is cooked."


@dataclass
class User:
    """Somebody who may sign in, with their workspace."""

    name: str
    workspace: Workspace

    def call(self, operation: op.Operation) -> Any:
        return list(self.workspace.stream(operation)) if operation.streams else self.workspace.call(operation)


@pytest.fixture
def make_user(
    open_workspace: Callable[[str, Principal], Workspace], new_user: Callable[..., Principal], backend_name: str
) -> Callable[[str], User]:
    def make(name: str) -> User:
        unique = f"{name}-{uuid4().hex[:12]}"
        return User(unique, open_workspace(backend_name, new_user(unique)))

    return make


@pytest.fixture
def owner(make_user: Callable[[str], User]) -> User:
    return make_user("olga")


@pytest.fixture
def member(make_user: Callable[[str], User]) -> User:
    return make_user("mia")


@pytest.fixture
def nb(owner: User) -> NotebookHandle:
    return owner.workspace.notebooks.create("Kitchen", "about spices")


@pytest.fixture
def source(nb: NotebookHandle) -> Source:
    return nb.add_text(RECIPE, "recipe")


@pytest.fixture
def hidden(owner: User) -> Source:
    """A source of the owner in another notebook."""
    return owner.workspace.notebooks.create("Diary").add_text("Cardamom makes me sneeze.", "diary")


@pytest.fixture
def shared(
    nb: NotebookHandle, source: Source, hidden: Source, member: User, request: pytest.FixtureRequest
) -> NotebookHandle:
    """The notebook as the member holds it; a viewer unless the test says otherwise."""
    nb.share(member.name, getattr(request, "param", "viewer"))
    return member.workspace.notebooks.get(nb.id)


both_roles = pytest.mark.parametrize("shared", ["viewer", "editor"], indirect=True)
as_editor = pytest.mark.parametrize("shared", ["editor"], indirect=True)


@both_roles
def test_a_member_sees_the_notebook_with_role_and_owner(shared: NotebookHandle, owner: User, request: Any) -> None:
    role = request.node.callspec.params["shared"]
    record = shared.refresh()
    assert (record.name, record.role, record.owner, record.source_count) == ("Kitchen", role, owner.name, 1)
    assert owner.workspace.notebooks.get(shared.id).record.role == "owner"


@both_roles
def test_a_member_reads_and_searches_what_is_in_it_and_nothing_else(
    shared: NotebookHandle, source: Source, hidden: Source
) -> None:
    assert [s.id for s in shared.sources.list()] == [source.id]
    assert shared.sources.get(source.id).name == "recipe"
    assert shared.sources.text(source).text == RECIPE
    for arm in ("lexical", "dense", "hybrid"):
        hits = shared.search("cardamom", arm=arm)
        assert {hit.source_id for hit in hits} == {source.id}
        assert hits.searched_chunks == 1
    assert shared._ws.search("cardamom", source_ids=(source.id,))[0].source_id == source.id
    assert not shared.search("cardamom", source_ids=(hidden.id,))
    for operation in (op.GetSource(source_id=hidden.id), op.GetSourceText(source_id=hidden.id)):
        with pytest.raises(NotFound):
            shared._ws.call(operation)


def test_a_members_scores_are_the_owners(shared: NotebookHandle, nb: NotebookHandle) -> None:
    mine, theirs = nb.search("secret cardamom"), shared.search("secret cardamom")
    assert [(h.chunk_id, h.lexical_score, h.dense_score) for h in mine] == [
        (h.chunk_id, h.lexical_score, h.dense_score) for h in theirs
    ]


@pytest.fixture
def answer(shared: NotebookHandle) -> Answer:
    return shared.ask("What is the secret ingredient?")


def test_what_a_member_asks_is_theirs_alone(
    shared: NotebookHandle,
    answer: Answer,
    owner: User,
    member: User,
    make_user: Callable[[str], User],
    nb: NotebookHandle,
) -> None:
    assert answer.answered
    assert answer.notebook_id == shared.id
    assert member.workspace.answers.get(answer.id) == answer
    assert [a.id for a in member.workspace.answers.list(notebook_id=shared.id)] == [answer.id]
    assert all(item.holds for item in member.workspace.recheck(answer).items)
    other = make_user("otto")
    nb.share(other.name, "editor")
    for somebody in (owner, other):
        assert somebody.workspace.answers.list(notebook_id=nb.id).total == 0
        with pytest.raises(NotFound):
            somebody.workspace.answers.get(answer.id)


def test_asking_about_a_source_alone_keeps_the_answer_in_its_notebook(
    shared: NotebookHandle, member: User, source: Source
) -> None:
    kept = member.workspace.ask("What is the secret ingredient?", source_ids=(source.id,))
    assert (kept.answered, kept.notebook_id) == (True, shared.id)
    assert member.workspace.answers.get(kept.id) == kept


def test_a_members_notes_and_chats_are_theirs_alone(
    shared: NotebookHandle, member: User, owner: User, answer: Answer
) -> None:
    note = member.call(op.CreateNote(notebook_id=shared.id, title="spice", answer_id=answer.id))
    chat = member.call(op.CreateChat(notebook_id=shared.id, title="rice"))
    assert member.call(op.UpdateNote(note_id=note.id, text="yes")).text == "yes"
    assert member.call(op.UpdateChat(chat_id=chat.id, title="basmati")).title == "basmati"
    said = member.call(op.SendMessage(chat_id=chat.id, text="What is the secret ingredient?"))[-1]
    assert "cardamom" in said.text
    assert member.call(op.FollowMessage(chat_id=chat.id, message_id=said.id))[-1].text == said.text
    assert member.call(op.ListMessages(chat_id=chat.id)).total == 2
    assert member.call(op.ListNotes(notebook_id=shared.id)).total == 1
    assert member.call(op.ListChats(notebook_id=shared.id)).total == 1
    for operation in (op.GetNote(note_id=note.id), op.GetChat(chat_id=chat.id), op.ListMessages(chat_id=chat.id)):
        with pytest.raises(NotFound):
            owner.call(operation)
    assert owner.call(op.ListNotes()).total == owner.call(op.ListChats()).total == 0
    assert member.call(op.DeleteNote(note_id=note.id)) is None
    assert member.call(op.DeleteChat(chat_id=chat.id)) is None
    assert member.call(op.ListChats(notebook_id=shared.id)).total == 0


def changes(notebook_id: UUID, source_id: UUID) -> list[op.Operation]:
    """All that is for editors, then all that is for the owner."""
    return [
        op.UpdateNotebook(notebook_id=notebook_id, name="taken"),
        op.AddSource(notebook_id=notebook_id, name="x", origin="text:x", content=b"planted"),
        op.UpdateSource(source_id=source_id, name="taken"),
        op.RetrySource(source_id=source_id),
        op.CancelSources(source_ids=(source_id,)),
        op.LinkSource(notebook_id=notebook_id, source_id=source_id),
        op.RemoveSource(notebook_id=notebook_id, source_id=source_id),
        op.DeleteNotebook(notebook_id=notebook_id),
        op.DeleteSource(source_id=source_id),
        op.ShareNotebook(notebook_id=notebook_id, member="anybody"),
        op.ListMembers(notebook_id=notebook_id),
        op.UnshareNotebook(notebook_id=notebook_id, member="anybody"),
        op.RunReport(notebook_id=notebook_id, template="reading_list"),
        op.ListReports(notebook_id=notebook_id),
    ]


def test_all_changes_are_in_the_list_above() -> None:
    about = {
        kind
        for kind in vars(op).values()
        if isinstance(kind, type) and issubclass(kind, op.Operation) and hasattr(kind, "path")
        if kind.access != "viewer" and {"notebook_id", "source_id", "source_ids"} & set(kind.model_fields)
    }
    assert about == {type(operation) for operation in changes(uuid4(), uuid4())}


@both_roles
def test_a_member_is_told_what_their_role_does_not_allow_and_nothing_changes(
    shared: NotebookHandle, member: User, nb: NotebookHandle, source: Source, request: Any
) -> None:
    role = request.node.callspec.params["shared"]
    refused = [o for o in changes(nb.id, source.id) if role == "viewer" or o.access == "owner"]
    assert len(refused) == {"viewer": 14, "editor": 7}[role]
    before = (nb.refresh(), nb.sources.list().items, nb.members().items)
    for operation in refused:
        with pytest.raises(Forbidden, match=f"you are {role}"):
            member.call(operation)
    assert (nb.refresh(), nb.sources.list().items, nb.members().items) == before


def test_adding_as_a_viewer_fails_as_a_whole(shared: NotebookHandle) -> None:
    with pytest.raises(Forbidden, match="editor"):
        shared.add_text("planted", "x")


def test_a_viewer_does_not_see_what_was_removed_and_an_editor_restores_it(
    shared: NotebookHandle, member: User, nb: NotebookHandle, source: Source
) -> None:
    nb.sources.remove(source)
    assert shared.sources.list().total == shared.sources.list(removed=True).total == 0
    assert not shared.search("cardamom")
    with pytest.raises(NotFound):
        shared.sources.get(source.id)
    nb.share(member.name, "editor")
    assert [s.id for s in shared.sources.list(removed=True)] == [source.id]
    assert not shared.search("cardamom")
    shared.sources.restore(source)
    assert [hit.source_id for hit in shared.search("cardamom")] == [source.id]


@as_editor
def test_an_editor_changes_the_notebook_and_its_sources(
    shared: NotebookHandle, nb: NotebookHandle, source: Source
) -> None:
    shared.rename("Pantry", "spices and rice")
    assert shared.record.role == "editor"
    assert nb.refresh().name == "Pantry"
    shared.sources.update(source, name="Recipe", tags=("rice",))
    assert nb.sources.get(source.id).tags == ("rice",)
    assert shared._ws.call(op.RetrySource(source_id=source.id)).status == "pending"
    assert [s.id for s in shared._ws.stream(op.WatchSources(source_ids=(source.id,)))][-1] == source.id
    assert nb.sources.get(source.id).status == "ready"
    shared.sources.remove(source)
    assert nb.sources.list().total == 0


@as_editor
def test_what_an_editor_adds_is_the_owners_and_is_found_by_all(
    shared: NotebookHandle, nb: NotebookHandle, owner: User
) -> None:
    added = shared.add_text("Saffron is dearer than gold.", "saffron")
    assert (added.status, added.stage) == ("ready", "stored")
    for notebook in (shared, nb):
        assert notebook.search("saffron")[0].source_id == added.id
    again = shared.add_text("Saffron is dearer than gold and silver.", "saffron")
    assert (again.id, again.version) == (added.id, 2)
    assert shared.add_text("Saffron is dearer than gold and silver.", "saffron").stage == "unchanged"
    assert owner.workspace.sources.list().total == 3


@as_editor
def test_an_editor_neither_replaces_nor_learns_of_the_owners_other_sources(
    shared: NotebookHandle, member: User, owner: User, hidden: Source
) -> None:
    content = b"Cardamom makes me sneeze."
    for origin, name in (("text:twin", "same content"), (hidden.origin, "same origin")):
        add = op.AddSource(notebook_id=shared.id, name=name, origin=origin, content=content)
        registered = member.call(add)
        assert registered.id != hidden.id
        assert "diary" not in registered.message
    assert owner.workspace.sources.get(hidden.id) == hidden
    with pytest.raises(NotFound, match=str(hidden.id)):
        member.call(op.LinkSource(notebook_id=shared.id, source_id=hidden.id))


@as_editor
def test_the_same_origin_from_two_notebooks_is_two_sources(shared: NotebookHandle, member: User, owner: User) -> None:
    second = owner.workspace.notebooks.create("Cellar")
    second.share(member.name, "editor")
    add = op.AddSource(notebook_id=shared.id, name="wine", origin="wine", content=b"Old wine.")
    first_id = member.call(add).id
    other = member.call(add.model_copy(update={"notebook_id": second.id, "content": b"New wine."}))
    assert other.id != first_id


@as_editor
def test_what_an_editor_added_is_gone_for_them_with_their_access(
    shared: NotebookHandle, member: User, nb: NotebookHandle, owner: User
) -> None:
    added = shared.add_text("Saffron is dearer than gold.", "saffron")
    other = owner.workspace.notebooks.create("Cellar")
    other.share(member.name, "editor")
    nb.unshare(member.name)
    with pytest.raises(NotFound):
        member.workspace.sources.get(added.id)
    assert not member.workspace.notebooks.get(other.id).search("saffron")


@as_editor
def test_a_member_cannot_put_their_own_source_into_it_by_id(shared: NotebookHandle, member: User) -> None:
    own = member.workspace.notebooks.create("Own").add_text("My own words.", "own")
    with pytest.raises(NotFound, match=f"no source {own.id}"):
        member.call(op.LinkSource(notebook_id=shared.id, source_id=own.id))


def test_own_and_shared_things_are_not_used_together_and_nothing_is_left_out_in_silence(
    shared: NotebookHandle, source: Source, hidden: Source, member: User
) -> None:
    own = member.workspace.notebooks.create("Own")
    note = own.add_text("Saffron is a spice.", "saffron")
    ids = (note.id, source.id)
    for operation in (
        op.Search(query="cardamom", notebook_ids=(own.id, shared.id)),
        op.Search(query="cardamom", source_ids=ids),
        op.WatchSources(source_ids=ids),
    ):
        with pytest.raises(InvalidInput, match="several people"):
            member.call(operation)
    with pytest.raises(NotFound):
        member.workspace.search("cardamom", notebook_ids=(shared.id, uuid4()))
    assert not member.workspace.search("cardamom", source_ids=(source.id, hidden.id))
    assert [found.id for found in member.call(op.WatchSources(source_ids=(note.id, hidden.id)))] == [note.id]
    assert {hit.source for hit in member.workspace.search("cardamom")} == {"saffron"}
    assert member.workspace.sources.list().total == 1


def test_without_a_share_a_notebook_cannot_be_told_from_one_that_never_was(
    nb: NotebookHandle, source: Source, member: User, owner: User
) -> None:
    deleted = owner.workspace.notebooks.create("gone")
    deleted.delete()
    for build in (changes, reads):
        for there, gone, never in zip(
            build(nb.id, source.id), build(deleted.id, uuid4()), build(uuid4(), uuid4()), strict=True
        ):
            assert told(member, there) == told(member, gone) == told(member, never)


def reads(notebook_id: UUID, source_id: UUID) -> list[op.Operation]:
    return [
        op.GetNotebook(notebook_id=notebook_id),
        op.ListSources(notebook_id=notebook_id),
        op.Search(query="cardamom", notebook_ids=(notebook_id,)),
        op.Search(query="cardamom", source_ids=(source_id,)),
        op.Ask(question="What is the secret?", notebook_ids=(notebook_id,)),
        op.ListAnswers(notebook_id=notebook_id),
        op.ListChats(notebook_id=notebook_id),
        op.ListNotes(notebook_id=notebook_id),
        op.CreateNote(notebook_id=notebook_id, title="x"),
        op.CreateChat(notebook_id=notebook_id),
        op.GetSource(source_id=source_id),
        op.GetSourceText(source_id=source_id),
        op.WatchSources(source_ids=(source_id,)),
    ]


def told(user: User, operation: op.Operation) -> str:
    """What somebody is told, but for the ids they sent themselves and for times."""
    try:
        result = user.call(operation)
        found = str(result.model_dump(exclude={"milliseconds"}) if isinstance(result, Record) else result)
    except NotFound as error:
        found = str(error.as_dict())
    for name, sent in operation:
        for number, value in enumerate(sent if isinstance(sent, tuple) else (sent,)):
            if isinstance(value, UUID):
                found = found.replace(str(value), f"{name}{number}")
    return found


@both_roles
def test_access_ends_at_once_with_unsharing(
    shared: NotebookHandle, member: User, nb: NotebookHandle, source: Source, answer: Answer
) -> None:
    note = member.call(op.CreateNote(notebook_id=nb.id, title="spice"))
    nb.unshare(member.name)
    end_of_access(member, nb.id, source.id, answer.id, note.id)
    nb.share(member.name)
    assert member.workspace.answers.get(answer.id) == answer


def end_of_access(member: User, notebook_id: UUID, source_id: UUID, answer_id: UUID, note_id: UUID) -> None:
    never = [
        *changes(notebook_id, source_id),
        op.GetNotebook(notebook_id=notebook_id),
        op.Search(query="x", notebook_ids=(notebook_id,)),
        op.GetSourceText(source_id=source_id),
        op.GetAnswer(answer_id=answer_id),
        op.RecheckAnswer(answer_id=answer_id),
        op.GetNote(note_id=note_id),
        op.DeleteNote(note_id=note_id),
        op.ListNotes(notebook_id=notebook_id),
        op.ListChats(notebook_id=notebook_id),
    ]
    for operation in never:
        if not isinstance(operation, op.CancelSources):  # leaves out what it does not find
            with pytest.raises(NotFound):
                member.call(operation)
    assert member.workspace.answers.list(notebook_id=notebook_id).total == 0
    assert member.workspace.notebooks.list(shared=True).total == 0


@both_roles
def test_access_ends_at_once_when_the_owner_deletes_the_notebook(
    shared: NotebookHandle, member: User, nb: NotebookHandle, source: Source, answer: Answer
) -> None:
    note = member.call(op.CreateNote(notebook_id=nb.id, title="spice"))
    nb.delete()
    end_of_access(member, nb.id, source.id, answer.id, note.id)


def test_a_member_sees_every_change_at_once(shared: NotebookHandle, member: User, nb: NotebookHandle) -> None:
    listing = op.ListNotebooks(shared=True)
    for name in ("Pantry", "Larder"):
        nb.rename(name)
        assert (shared.refresh().name, [n.name for n in member.call(listing)]) == (name, [name])
    nb.sources.remove(nb.sources.list()[0])
    assert member.call(listing)[0].source_count == shared.sources.list().total == 0
    assert not shared.search("cardamom")
    nb.unshare(member.name)
    assert member.call(listing).total == 0


def test_sharing_again_changes_the_role_and_keeps_one_member(
    shared: NotebookHandle, member: User, nb: NotebookHandle
) -> None:
    first = nb.members()[0]
    assert (first.name, first.role) == (member.name, "viewer")
    assert nb.share(member.name, "editor").role == "editor"
    shared.rename("Pantry")
    nb.share(member.name, "viewer")
    with pytest.raises(Forbidden):
        shared.rename("Larder")
    assert [(m.name, m.role, m.created_at) for m in nb.members()] == [(member.name, "viewer", first.created_at)]


def test_names_are_found_however_they_are_written(nb: NotebookHandle, member: User) -> None:
    assert nb.share(f"  {member.name.upper()} ").name == member.name
    nb.unshare(member.name.title())
    assert nb.members().total == 0


def test_only_users_of_the_deployment_and_not_oneself_can_be_members(nb: NotebookHandle, owner: User) -> None:
    with pytest.raises(NotFound, match="no user 'nobody'"):
        nb.share("nobody")
    with pytest.raises(InvalidInput, match="yours"):
        nb.share(owner.name)
    with pytest.raises(InvalidInput, match="role"):
        nb.share("nobody", "owner")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="'nobody' is no member"):
        nb.unshare("nobody")
    assert nb.members().total == 0


def test_members_come_in_pages_by_name(nb: NotebookHandle, make_user: Callable[[str], User]) -> None:
    names = sorted(make_user(name).name for name in ("carl", "anna", "bert"))
    for name in reversed(names):
        nb.share(name)
    assert [m.name for m in nb.members()] == names
    page = nb.members(limit=1, offset=1)
    assert ([m.name for m in page], page.total) == ([names[1]], 3)
    assert [m.name for m in nb.members("BERT")] == [names[1]]


def test_what_is_shared_is_listed_apart_in_pages_sorted_and_searched(owner: User, member: User) -> None:
    member.workspace.notebooks.create("own")
    for name in ("delta", "Alpha", "charlie"):
        notebook = owner.workspace.notebooks.create(name, description="of " + name)
        notebook.share(member.name, "editor" if name == "delta" else "viewer")
    owner.workspace.notebooks.create("private")
    listed = member.workspace.notebooks.list(shared=True, sort="name")
    assert [(n.name, n.role, n.owner) for n in listed] == [
        ("Alpha", "viewer", owner.name), ("charlie", "viewer", owner.name), ("delta", "editor", owner.name),
    ]  # fmt: skip
    assert [n.name for n in member.workspace.notebooks.list(shared=True, sort="created")] == [
        "charlie",
        "Alpha",
        "delta",
    ]
    page = member.workspace.notebooks.list(shared=True, sort="name", limit=1, offset=1)
    assert ([n.name for n in page], page.total) == (["charlie"], 3)
    assert [n.name for n in member.workspace.notebooks.list("OF DEL", shared=True)] == ["delta"]
    assert [n.name for n in member.workspace.notebooks.list()] == ["own"]
    assert owner.workspace.notebooks.list(shared=True).total == 0


def test_shared_counts_are_those_of_the_notebook(shared: NotebookHandle, member: User) -> None:
    listed = member.workspace.notebooks.list(shared=True)[0]
    assert (listed.id, listed.source_count, listed.chunk_count) == (shared.id, 1, 1)


def test_of_two_shares_that_cover_a_source_the_one_that_allows_more_counts(
    shared: NotebookHandle, member: User, owner: User, source: Source
) -> None:
    second = owner.workspace.notebooks.create("Second")
    owner.call(op.LinkSource(notebook_id=second.id, source_id=source.id))
    second.share(member.name, "editor")
    assert member.call(op.UpdateSource(source_id=source.id, name="better")).name == "better"
