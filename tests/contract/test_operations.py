"""What holds for every operation: unknown ids are not found, wrong values are refused before anything happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from sbf_kernel import operations as op
from sbf_kernel.errors import InvalidInput, NotFound
from sbf_kernel.operations import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import NotebookHandle, Workspace

OPERATIONS = [
    kind
    for kind in vars(op).values()
    if isinstance(kind, type) and issubclass(kind, op.Operation) and hasattr(kind, "path")
]

UNKNOWN_ID: list[tuple[type[op.Operation], dict[str, Any]]] = [
    (op.GetNotebook, {"notebook_id": uuid4()}),
    (op.UpdateNotebook, {"notebook_id": uuid4(), "name": "x"}),
    (op.DeleteNotebook, {"notebook_id": uuid4()}),
    (op.ShareNotebook, {"notebook_id": uuid4(), "member": "x"}),
    (op.ListMembers, {"notebook_id": uuid4()}),
    (op.UnshareNotebook, {"notebook_id": uuid4(), "member": "x"}),
    (op.AddSource, {"notebook_id": uuid4(), "name": "x", "origin": "text:x", "content": b"x"}),
    (op.RetrySource, {"source_id": uuid4()}),
    (op.ListSources, {"notebook_id": uuid4()}),
    (op.GetSource, {"source_id": uuid4()}),
    (op.UpdateSource, {"source_id": uuid4(), "name": "x"}),
    (op.GetSourceText, {"source_id": uuid4()}),
    (op.GetSourcePage, {"source_id": uuid4(), "page": 1}),
    (op.LinkSource, {"notebook_id": uuid4(), "source_id": uuid4()}),
    (op.RemoveSource, {"notebook_id": uuid4(), "source_id": uuid4()}),
    (op.DeleteSource, {"source_id": uuid4()}),
    (op.Search, {"query": "x", "notebook_ids": (uuid4(),)}),
    (op.Ask, {"question": "x?", "notebook_ids": (uuid4(),)}),
    (op.RevokeApiToken, {"token_id": uuid4()}),
    (op.GetUser, {"user_id": uuid4()}),
    (op.UpdateUser, {"user_id": uuid4(), "status": "suspended"}),
    (op.DeleteUser, {"user_id": uuid4()}),
    (op.GetAnswer, {"answer_id": uuid4()}),
    (op.RecheckAnswer, {"answer_id": uuid4()}),
    (op.CreateChat, {"notebook_id": uuid4()}),
    (op.ListChats, {"notebook_id": uuid4()}),
    (op.GetChat, {"chat_id": uuid4()}),
    (op.UpdateChat, {"chat_id": uuid4(), "title": "x"}),
    (op.DeleteChat, {"chat_id": uuid4()}),
    (op.ListMessages, {"chat_id": uuid4()}),
    (op.SendMessage, {"chat_id": uuid4(), "text": "x?"}),
    (op.FollowMessage, {"chat_id": uuid4(), "message_id": uuid4()}),
    (op.StopMessage, {"chat_id": uuid4(), "message_id": uuid4()}),
    (op.CreateNote, {"notebook_id": uuid4(), "title": "x"}),
    (op.ListNotes, {"notebook_id": uuid4()}),
    (op.GetNote, {"note_id": uuid4()}),
    (op.UpdateNote, {"note_id": uuid4(), "title": "x"}),
    (op.DeleteNote, {"note_id": uuid4()}),
    (op.GetJob, {"job_id": uuid4()}),
    (op.CancelJob, {"job_id": uuid4()}),
    (op.RetryJob, {"job_id": uuid4()}),
    (op.RunReport, {"notebook_id": uuid4(), "template": "brief"}),
    (op.ListReports, {"notebook_id": uuid4()}),
    (op.GetReport, {"report_id": uuid4()}),
    (op.DeleteReport, {"report_id": uuid4()}),
]

WRONG: list[tuple[type[op.Operation], dict[str, Any]]] = [
    (op.AddSource, {"name": "x", "origin": ""}),
    (op.AddSource, {"name": "x", "origin": "o" * 4_001}),
    (op.AddSource, {"name": "x", "origin": "o", "tags": ("",)}),
    (op.AddSource, {"name": "x", "origin": "o", "tags": ("a\0",)}),
    (op.AddSource, {"name": "x", "origin": "o", "language": "l" * 13}),
    (op.ShareNotebook, {"notebook_id": uuid4(), "member": ""}),
    (op.ShareNotebook, {"notebook_id": uuid4(), "member": "x", "role": "owner"}),
    (op.UnshareNotebook, {"notebook_id": uuid4(), "member": "x" * 301}),
    (op.UpdateSource, {"source_id": uuid4(), "tags": ("t" * 101,)}),
    (op.UpdateSource, {"source_id": "nonsense"}),
    (op.ListSources, {"status": "done"}),
    (op.ListSources, {"sort": "size"}),
    (op.ListSources, {"limit": 0}),
    (op.Search, {"query": ""}),
    (op.Search, {"query": " \n "}),
    (op.Search, {"query": "x" * 10_001}),
    (op.Search, {"query": "nul\0"}),
    (op.Search, {"query": "lone \udc80"}),
    (op.Search, {"query": "x", "limit": 101}),
    (op.Search, {"query": "x", "limit": 1.5}),
    (op.Search, {"query": "x", "arm": "magic"}),
    (op.Search, {"query": "x", "fusion": "sum"}),
    (op.Search, {"query": "x", "media_types": ("text/\0",)}),
    (op.Search, {"query": "x", "colour": "red"}),
    (op.Ask, {"question": "x", "passages": 0}),
    (op.Ask, {"question": ""}),
    (op.ListAnswers, {"offset": -1}),
    (op.CreateUser, {"name": "a b", "password": "p" * 10}),
    (op.CreateUser, {"name": "hub:ann", "password": "p" * 10}),
    (op.CreateUser, {"name": "ann", "password": "p" * 9}),
    (op.CreateUser, {"name": "ann", "password": "p" * 10, "role": "owner"}),
    (op.SignIn, {"name": "ann", "password": ""}),
    (op.SignIn, {"name": 5, "password": "x"}),
    (op.RefreshTokens, {"refresh_token": "x" * 1_001}),
    (op.InviteUser, {"hours": 0}),
    (op.UpdateUser, {"user_id": uuid4(), "status": "gone"}),
    (op.CreateApiToken, {"name": "t", "scopes": ()}),
    (op.CreateApiToken, {"name": "t", "expires_at": "tomorrow"}),
    (op.GetAnswer, {"answer_id": "nonsense"}),
    (op.CreateChat, {"notebook_id": uuid4(), "title": "t" * 301}),
    (op.CreateChat, {"notebook_id": uuid4(), "levels": {"nonsense": "off"}}),
    (op.UpdateChat, {"chat_id": uuid4(), "levels": {uuid4(): "some"}}),
    (op.UpdateChat, {"chat_id": uuid4(), "title": "nul\0"}),
    (op.ListChats, {"sort": "size"}),
    (op.SendMessage, {"chat_id": uuid4(), "text": " "}),
    (op.SendMessage, {"chat_id": uuid4(), "text": "x", "passages": 51}),
    (op.FollowMessage, {"chat_id": uuid4(), "message_id": uuid4(), "after": -1}),
    (op.CreateNote, {"notebook_id": uuid4(), "title": ""}),
    (op.UpdateNote, {"note_id": uuid4(), "text": "nul\0"}),
    (op.ListNotes, {"limit": 101}),
    (op.RunReport, {"notebook_id": uuid4(), "template": "../brief"}),
    (op.RunReport, {"notebook_id": uuid4(), "template": "brief", "parameters": {"title": "nul\0"}}),
    (op.RunReport, {"notebook_id": uuid4(), "template": "brief", "parameters": {"title": 5}}),
    (op.RunReport, {"notebook_id": uuid4(), "template": "brief", "parameters": {"a b": "x"}}),
    (op.GetUsage, {"by": "colour"}),
    (op.ListJobs, {"status": "lost"}),
    (op.ListJobs, {"sort": "colour"}),
    (op.WatchJobs, {"job_ids": ("nonsense",)}),
    (op.RetryJob, {"job_id": "nonsense"}),
    (op.GetUsage, {"after": "yesterday"}),
]


def _name(value: Any) -> str | None:
    return value.__name__ if isinstance(value, type) else None


@pytest.mark.parametrize(("kind", "fields"), UNKNOWN_ID, ids=_name)
def test_an_unknown_id_is_not_found(
    open_workspace: Callable[[str, Principal], Workspace],
    backend_name: str,
    new_user: Callable[..., Principal],
    kind: type[op.Operation],
    fields: dict[str, Any],
) -> None:
    operation = kind(**fields)
    workspace = open_workspace(backend_name, new_user(role="admin" if kind.admin else "member"))
    with pytest.raises(NotFound) as caught:
        _ = list(workspace.stream(operation)) if kind.streams else workspace.call(operation)
    given = next(value for value in fields.values() if not isinstance(value, str))
    assert str(given[0] if isinstance(given, tuple) else given) in caught.value.message


@pytest.mark.parametrize(("kind", "fields"), WRONG, ids=_name)
def test_wrong_values_are_refused_with_the_field_named(kind: type[op.Operation], fields: dict[str, Any]) -> None:
    if kind is op.AddSource:
        fields = {"notebook_id": uuid4(), "content": b"x", **fields}
    with pytest.raises(InvalidInput) as caught:
        build(kind, **fields)
    assert caught.value.message.partition(":")[0].split(".")[0] in fields
    assert kind.__name__ in caught.value.hint
    with pytest.raises(ValidationError):
        kind(**fields)


def test_every_operation_with_an_id_is_in_the_list_above() -> None:
    named = {kind for kind, _ in UNKNOWN_ID}
    lists = {op.WatchSources, op.CancelSources, op.ListAnswers, op.WatchJobs}  # unknown ids in a list match nothing
    needing = {kind for kind in OPERATIONS if any(name.endswith(("_id", "_ids")) for name in kind.model_fields)}
    assert needing - lists == named


def test_lists_of_unknown_ids_match_nothing(workspace: Workspace, notebook: NotebookHandle) -> None:
    unknown = (uuid4(), uuid4())
    notebook.add_text("Quartz scratches glass.", "quartz")
    assert list(workspace.stream(op.WatchSources(source_ids=unknown))) == []
    assert list(workspace.stream(op.WatchSources(source_ids=()))) == []
    assert (
        list(workspace.stream(op.WatchJobs(job_ids=unknown))) == list(workspace.stream(op.WatchJobs(job_ids=()))) == []
    )
    assert workspace.call(op.CancelSources(source_ids=unknown)) is None
    assert not workspace.search("quartz", source_ids=unknown)
    assert workspace.answers.list(notebook_id=unknown[0]).total == 0


@pytest.mark.parametrize("given", [{}, {"content": b"x", "url": "https://example.org"}])
def test_a_source_needs_either_content_or_url(
    workspace: Workspace, notebook: NotebookHandle, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match="either content or url"):
        workspace.call(op.AddSource(notebook_id=notebook.id, name="x", origin="o", **given))
    assert notebook.sources.list().total == 0


def test_an_operation_without_a_handler_is_refused_in_words(workspace: Workspace) -> None:
    class FlyToTheMoon(op.Operation):
        method, path, result = "POST", "/moon", None

    with pytest.raises(InvalidInput, match="FlyToTheMoon"):
        workspace.call(FlyToTheMoon())


def test_health_names_every_part(workspace: Workspace) -> None:
    health = workspace.health()
    assert health.ok
    assert set(health.checks) == {"database", "place", "embedder", "language model"}
    assert all(health.checks.values())


@pytest.mark.parametrize("method", ["get", "recheck"])
def test_an_answer_id_that_is_none_is_refused(workspace: Workspace, method: str) -> None:
    call = workspace.answers.get if method == "get" else workspace.recheck
    with pytest.raises(InvalidInput, match="answer_id"):
        call("nonsense")


def test_a_version_id_that_is_none_is_refused(notebook: NotebookHandle) -> None:
    source = notebook.add_text("Quartz scratches glass.", "quartz")
    with pytest.raises(InvalidInput, match="version_id"):
        notebook.sources.text(source, version_id="nonsense")  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no such version"):
        notebook.sources.text(source, version_id=uuid4())
