"""What is refused is refused in words that help: which field, why, and what to do instead."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from sbf_api.problems import MEDIA_TYPE
from tests.api.conftest import Client
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Answered

PYTHON = ("Input should", "Value error", "<class", "items after", "function-", "constrained-", "Field required")
"""What only somebody who knows our libraries understands."""


@pytest.fixture
def signed_in(service: str, new_user: Callable[..., Principal], new_token: Callable[..., str]) -> Client:
    """Call the service as an administrator, whose token may make others."""
    return Client(service, new_token(new_user(role="admin")))


def problem(found: Answered, status: int) -> dict[str, Any]:
    """Return the problem; each has a hint, and no word of Python."""
    assert (found.status, found.headers["content-type"]) == (status, MEDIA_TYPE), found.body[:500]
    told: dict[str, Any] = found.json
    assert told["hint"]
    assert not any(word in found.body.decode() for word in PYTHON), told
    return told


def begins(stream: Answered) -> int:
    """Return at which character of the message a stream of it begins."""
    first = stream.body.partition(b"event: MessageDelta\n")[2].partition(b"data: ")[2].partition(b"\n")[0]
    return int(json.loads(first)["start"])


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_json_that_is_not_called_so_is_told_how_to_be(call: Client, kind: str) -> None:
    for path in ("/notebooks", "/search", f"/sources/{uuid4()}/retry"):
        told = problem(call("POST", path, {"name": "a", "query": "b"}, Content_Type=kind), 422)
        assert told["hint"] == "send Content-Type: application/json"
        assert "JSON" in told["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "why"),
    [
        ("POST", "/search", {"query": ""}, "query", "must not be empty"),
        ("POST", "/search", {"query": "x", "limit": "5"}, "limit", "must be a number"),
        ("POST", "/search", {"query": "x", "limit": 101}, "limit", "must be at most 100"),
        ("POST", "/search", {"query": "x", "limit": 0}, "limit", "must be at least 1"),
        ("POST", "/search", {"query": "x", "limit": 1.5}, "limit", "must be a whole number"),
        ("POST", "/search", {"query": "x" * 10_001}, "query", "must have at most 10000 characters"),
        ("POST", "/search", {"query": "x", "arm": "magic"}, "arm", "must be 'hybrid', 'lexical' or 'dense'"),
        ("POST", "/search", {"query": "x", "colour": "red"}, "colour", "there is no such field"),
        ("POST", "/search", {"query": 5}, "query", "must be text"),
        ("POST", "/search", {"query": "x", "notebook_ids": ["a"]}, "notebook_ids.0", "must be an id (a UUID)"),
        ("POST", "/search", {"query": "x", "notebook_ids": "a"}, "notebook_ids", "must be a list"),
        ("POST", "/search", {"query": "x", "tags": ["t"] * 101}, "tags", "must have at most 100 entries"),
        ("POST", "/search", {"query": "x", "per_source": "yes"}, "per_source", "must be true or false"),
        ("POST", "/search", {}, "query", "is missing"),
        ("POST", "/search", [], "", "must be a JSON object"),
        ("GET", "/notebooks?limit=x", None, "limit", "must be a whole number"),
        ("GET", "/notebooks?colour=red", None, "colour", "there is no such field"),
        ("GET", "/notebooks?limit=1&limit=2", None, "limit", "may be given only once"),
        ("GET", "/sources?tag=a&limit=5&t%61g=b", None, "tag", "may be given only once"),
        ("POST", "/auth/accept", {"invitation": "i", "name": "ann", "password": "short"}, "password",
         "must have at least 10 characters"),
        ("POST", "/auth/accept", {"invitation": "i", "name": "ann", "password": 5}, "password", "must be text"),
        ("POST", "/auth/accept", {"invitation": "i", "name": "a b", "password": "x" * 10}, "name",
         "must match ^[a-z0-9_.@+-]+$"),
        ("POST", "/reports", {"notebook_id": str(uuid4()), "template": "brief", "parameters": {"title": 5}},
         "parameters.title", "must be text"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_and_told_in_plain_words(
    call: Client, method: str, path: str, body: Any, field: str, why: str
) -> None:
    told = problem(call(method, path, body), 422)
    assert {"field": field, "why": why} in told["details"]["fields"]
    assert told["detail"] == f"{field or 'body'}: {why}"


def test_a_form_without_its_file_is_told_in_plain_words(call: Client, remote: Workspace) -> None:
    path = f"/notebooks/{remote.notebooks.create('n').id}/sources/upload"
    form = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--\r\n'
    told = problem(call("POST", path, raw=form, Content_Type="multipart/form-data; boundary=x"), 422)
    assert told["detail"] == "file: must be a file"


@pytest.mark.parametrize("url", ["", " ", "\n\t "])
def test_a_source_without_an_address_is_refused_before_anything_is_stored(
    call: Client, remote: Workspace, url: str
) -> None:
    notebook = remote.notebooks.create("n")
    found = call("POST", f"/notebooks/{notebook.id}/sources", {"name": "a", "origin": "a", "url": url})
    assert problem(found, 422)["detail"] == "url: must not be empty"
    assert notebook.sources.list().total == 0


@pytest.mark.parametrize(
    "raw",
    [
        b'{"name":"a","name":"b"}',
        b'{"name":"a","description":"x","na\\u006de":"b"}',
        b'{"description":{"name":1,"x":[{"name":1,"name":2}]}}',
        b'[[{"name":null,"name":null}]]',
    ],
)
def test_a_name_that_stands_twice_in_json_is_refused(call: Client, remote: Workspace, raw: bytes) -> None:
    told = problem(call("POST", "/notebooks", raw=raw), 422)
    assert told["detail"] == "name: stands there twice in one JSON object"
    assert told["details"]["fields"] == [{"field": "name", "why": "stands there twice in one JSON object"}]
    assert remote.notebooks.list().total == 0


def test_the_same_name_in_two_objects_and_long_numbers_are_no_matter(call: Client) -> None:
    told = problem(
        call("POST", "/search", raw=b'{"query":"x","tags":[{"a":1},{"a":1}],"limit":' + b"1" * 4_000 + b"}"), 422
    )
    assert "twice" not in told["detail"]


def test_what_is_no_json_has_a_hint(call: Client) -> None:
    assert "JSON" in problem(call("POST", "/notebooks", raw=b'{"name":'), 400)["hint"]


def test_an_unknown_path_and_a_wrong_method_are_named(call: Client) -> None:
    told = problem(call("GET", "/nonsense/%3Cscript%3E%0D%0A%C3%A9"), 404)
    assert told["detail"] == "there is no GET /nonsense/%3Cscript%3E%0D%0A%C3%A9"
    assert "/docs" in told["hint"]
    assert len(problem(call("GET", "/" + "x" * 10_000), 404)["detail"]) < 300
    told = problem(call("DELETE", "/notebooks"), 405)
    assert told["detail"] == "/notebooks does not take DELETE"
    assert told["hint"] == "it takes GET, POST; see /docs"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/notebooks/mine"),
        ("PATCH", "/sources/5"),
        ("GET", "/notebooks/x/members"),
        ("POST", "/chats/x/messages"),
    ],
)
def test_an_id_that_is_none_is_told_to_be_none(call: Client, method: str, path: str) -> None:
    told = problem(call(method, path, {} if method != "GET" else None), 404)
    assert told["code"] == "no_such_path"
    assert "UUID" in told["hint"]


@pytest.mark.parametrize("path", ["/notebooks/mine/nothing", "/nonsense", "/notebooks/"])
def test_other_paths_are_told_nothing_of_ids(call: Client, path: str) -> None:
    assert "UUID" not in problem(call("GET", path), 404)["hint"]


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+00:01"],
)
def test_a_time_that_fits_no_calendar_is_refused(signed_in: Client, moment: str) -> None:
    told = problem(signed_in("POST", "/me/tokens", {"name": "t", "expires_at": moment}), 422)
    assert told["detail"].startswith("expires_at: ")
    found = signed_in("POST", "/search", {"query": "x", "added_after": moment})
    assert problem(found, 422)["detail"].startswith("added_after: ")


def test_the_last_moment_of_the_calendar_is_a_time(signed_in: Client) -> None:
    found = signed_in("POST", "/me/tokens", {"name": "t", "expires_at": "9999-12-31T23:59:59+14:00"})
    assert found.status == 201
    assert found.json["token"]["expires_at"] == "9999-12-31T09:59:59Z"
    found = signed_in("POST", "/me/tokens", {"name": "t", "expires_at": "9999-12-31T23:59:59Z"})
    assert found.json["token"]["expires_at"] == "9999-12-31T23:59:59Z"
    assert signed_in("GET", "/me/tokens").json["total"] >= 2


@pytest.mark.parametrize("place", ["\u00b2", "\u00b9\u00b2", "5" * 5_000, "-1", "1e3", "0x1", " ", "99999999"])
def test_a_place_to_go_on_from_that_is_none_is_as_good_as_absent(call: Client, remote: Workspace, place: str) -> None:
    notebook = remote.notebooks.create("n")
    notebook.add_text("Quartz scratches glass.", "quartz")
    chat = notebook.chat()
    message = chat.send("What scratches glass?")
    found = call("GET", f"/chats/{chat.id}/messages/{message.id}/events", Last_Event_ID=f"{message.id}:{place}")
    assert found.status == 200, found.body[:300]
    assert begins(found) == 0
    assert b"event: end" in found.body
    later = call("GET", f"/chats/{chat.id}/messages/{message.id}/events", Last_Event_ID=f"{message.id}:5")
    assert begins(later) == 5


def test_a_client_that_leaves_inside_a_body_nobody_asked_for_is_no_mistake_of_ours(
    call: Client, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    place = urlsplit(service)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        head = f"POST /sources/resume HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone-{uuid4().hex}\r\nAuthorization: Bearer {call.token}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 100\r\n\r\n{")
    until(
        lambda: [r for r in caplog.records if r.msg == "request" and getattr(r, "route", "") == "/sources/resume"], 10
    )
    assert "unexpected error" not in caplog.text
    told = [getattr(r, "status", 0) for r in caplog.records if getattr(r, "route", "") == "/sources/resume"]
    assert told in ([400], [499]), "by the route, or by whoever saw first that the client had gone"
