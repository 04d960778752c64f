"""What may be done with a path: ``HEAD`` for probes, ``Allow`` where something may not, ``Location`` of what was made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from sbf_api.routing import KINDS
from tests.api.conftest import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace

ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_probe_may_ask_without_wanting_the_answer(anonymous: Client, path: str) -> None:
    full, head = anonymous("GET", path), anonymous("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == full.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health/live", "GET, HEAD"),
        ("/health/ready", "GET, HEAD"),
        ("/metrics", "GET"),
        ("/health", "GET"),
        ("/openapi.json", "GET"),
        (f"/notebooks/{ID}/sources/upload", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(call: Client, path: str, allowed: str) -> None:
    for method in ("PUT", "POST") if "POST" not in allowed else ("PUT", "GET"):
        found = call(method, path)
        assert (found.status, found.headers["allow"]) == (405, allowed)


def test_every_path_of_an_operation_tells_all_its_methods(call: Client) -> None:
    for kind in KINDS:
        path = re.sub(r"{(\w+)}", lambda found: ID if found[1].endswith("_id") else "1", kind.path)
        found = call("TRACE", path)
        assert found.status == 405, path
        assert set(found.headers["allow"].split(", ")) == {other.method for other in KINDS if other.path == kind.path}


def test_what_was_made_is_found_where_the_answer_says(
    service: str, new_user: Callable[..., Principal], new_token: Callable[[Principal], str]
) -> None:
    call = Client(service, new_token(new_user(role="admin")))

    def made(path: str, body: Any, **headers: str) -> Any:
        found = call("POST", path, body, **headers)
        assert found.status == 201
        assert call("GET", found.headers["location"]).json["id"] == found.json["id"]
        return found

    notebook = made("/notebooks", {"name": "n"}).json["id"]
    made(f"/notebooks/{notebook}/sources", {"name": "a", "origin": "a", "content": "YQ=="})
    made(f"/notebooks/{notebook}/chats", {})
    made(f"/notebooks/{notebook}/notes", {"title": "t"})
    made("/users", {"name": f"loc-{notebook}", "password": "correct horse"})
    made("/reports", {"notebook_id": notebook, "template": "brief"})
    first, again = (made("/notebooks", {"name": "once"}, Idempotency_Key=notebook) for _ in range(2))
    assert first.headers["location"] == again.headers["location"]
    for path in ("/me/tokens", "/users/invitations"):
        found = call("POST", path, {"name": "t"} if "tokens" in path else {})
        assert found.status == 201
        assert "location" not in found.headers, "there is no path that shows it"


def test_an_upload_says_where_it_is(call: Client, remote: Workspace) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nBees dance.\r\n--x--\r\n'
    path = f"/notebooks/{remote.notebooks.create('n').id}/sources/upload"
    found = call("POST", path, raw=form, Content_Type="multipart/form-data; boundary=x")
    assert found.headers["location"] == f"/sources/{found.json['id']}"


def test_a_read_token_is_told_what_it_lacks(
    service: str, runtime: Runtime, loop: LoopThread, principal: Principal, remote: Workspace
) -> None:
    from sbf_kernel.accounts import users

    secret = loop.run(users.create_api_token(runtime, principal, "reader", ("read",), None)).secret
    reader, notebook = Client(service, secret), remote.notebooks.create("n")
    note, chat = notebook.notes.create("Keep", "words"), notebook.chat("Talk")
    for method, path, body in (
        ("POST", f"/notebooks/{notebook.id}/notes", {"title": "t"}),
        ("PATCH", f"/notes/{note.id}", {"title": "t"}),
        ("DELETE", f"/notes/{note.id}", None),
        ("PATCH", f"/chats/{chat.id}", {"title": "t"}),
        ("DELETE", f"/chats/{chat.id}", None),
    ):
        found = reader(method, path, body)
        assert (found.status, found.json["details"]["scope"]) == (403, "write")
        assert "scope" in found.json["hint"]
    assert reader("POST", f"/notebooks/{notebook.id}/chats", {}).status == 201
    assert reader("POST", "/search", {"query": "x"}).status == 200
    assert b"event: end" in reader("POST", f"/chats/{chat.id}/messages", {"text": "What is there?"}).body
    assert (remote.notes.get(note.id).title, remote.chats.get(chat.id).title) == ("Keep", "Talk")
