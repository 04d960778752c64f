"""Whole lists line by line: nothing that lives is lost or told twice, whatever changes meanwhile; errors are a status."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from sbf_kernel import operations as op
from sbf_kernel.storage import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sbf_kernel.backends.loop import LoopThread
    from sbf_kernel.records import Principal
    from sbf_kernel.runtime import Runtime
    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Client

LINES = "application/x-ndjson"
NOTES = 260
TEXT = "x" * 60_000
"""So long that a page does not fit into what sockets hold: the service waits for who reads."""
UNKNOWN = "0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01"


@pytest.fixture
def notes(workspace_of: Workspace) -> list[UUID]:
    """Ids of notes n000, n001 …"""
    notebook = workspace_of.notebooks.create("Notes").id
    return [
        workspace_of.call(op.CreateNote(notebook_id=notebook, title=f"n{number:03}", text=TEXT)).id
        for number in range(NOTES)
    ]


@pytest.fixture
def workspace_of(open_workspace: Callable[[str, Principal], Workspace], principal: Principal) -> Workspace:
    """The workspace of the one who reads, without the service."""
    return open_workspace("local", principal)


@contextmanager
def reading(call: Client, path: str) -> Iterator[http.client.HTTPResponse]:
    """Open a list over a line that holds little."""
    place = urlsplit(call.url)
    connection = http.client.HTTPConnection(place.netloc)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    connection.sock.settimeout(60)
    connection.sock.connect((place.hostname, place.port))
    connection.request("GET", path, headers={"Authorization": f"Bearer {call.token}", "Accept": LINES})
    with connection.getresponse() as response:
        yield response
    connection.close()


def title(line: bytes) -> str:
    return str(json.loads(line)["title"])


def test_what_lives_is_not_lost_when_others_are_deleted_meanwhile(
    call: Client, notes: list[UUID], workspace_of: Workspace
) -> None:
    with reading(call, "/notes?sort=title") as response:
        found = [title(response.readline())]
        for note in notes[:50]:
            workspace_of.call(op.DeleteNote(note_id=note))
        found += [title(line) for line in response]
    assert sorted(set(found)) == sorted(found), "told twice"
    assert [name for name in found if name >= "n050"] == [f"n{number:03}" for number in range(50, NOTES)]


def test_what_moves_to_where_was_read_already_is_not_lost(
    call: Client, notes: list[UUID], workspace_of: Workspace
) -> None:
    with reading(call, "/notes?sort=updated") as response:  # the newest first
        found = [title(response.readline())]
        for note in notes[:3]:  # which are the last ones
            workspace_of.call(op.UpdateNote(note_id=note, text="changed"))
        workspace_of.call(op.UpdateNote(note_id=notes[-1], text="changed"))  # was told already
        found += [title(line) for line in response]
    assert sorted(found) == [f"n{number:03}" for number in range(NOTES)]


def test_what_is_new_meanwhile_makes_nothing_come_twice(
    call: Client, notes: list[UUID], workspace_of: Workspace
) -> None:
    notebook = workspace_of.notebooks.list()[0].id
    with reading(call, "/notes?sort=title") as response:
        found = [title(response.readline())]
        for number in range(30):
            workspace_of.call(op.CreateNote(notebook_id=notebook, title=f"a{number}"))
        found += [title(line) for line in response]
    assert sorted(set(found)) == sorted(found)
    assert set(found) >= {f"n{number:03}" for number in range(NOTES)}


def test_an_offset_counts_from_where_it_says(call: Client, workspace_of: Workspace) -> None:
    for number in range(105):
        workspace_of.notebooks.create(f"n{number:03}")
    found = call("GET", "/notebooks?sort=name&offset=3", Accept=LINES)
    names = [json.loads(line)["name"] for line in found.body.splitlines()]
    assert names == [f"n{number:03}" for number in range(3, 105)]
    beyond = call("GET", "/notebooks?offset=200", Accept=LINES)
    assert (beyond.status, beyond.body) == (200, b"")


@pytest.mark.parametrize("path", [f"/notes?notebook_id={UNKNOWN}", f"/chats/{UNKNOWN}/messages"])
def test_an_error_has_the_status_it_always_has(call: Client, path: str) -> None:
    plain, lines = call("GET", path), call("GET", path, Accept=LINES)
    assert (lines.status, lines.json["code"]) == (plain.status, plain.json["code"]) == (404, "not_found")
    assert lines.headers["content-type"] == "application/problem+json"
    assert {"x-ratelimit-limit", "x-request-id", "x-content-type-options"} <= lines.headers.keys()


@pytest.mark.parametrize(
    ("accept", "lines"),
    [
        (LINES, True),
        ("Application/X-NDJSON; q=0.5", True),
        ("text/html, application/x-ndjson;q=1.0, */*;q=0.1", True),
        ("application/json;q=0.5, application/x-ndjson", True),
        ("application/x-ndjson;q=0", False),
        ("application/x-ndjson; q=0.000, application/json", False),
        ("application/json, application/x-ndjson;q=0.5", False),
        ("application/x-ndjson-more", False),
        ("*/*", False),
    ],
)
def test_lines_come_only_when_they_are_what_is_wanted(call: Client, accept: str, lines: bool) -> None:
    found = call("GET", "/notebooks", Accept=accept)
    assert found.status == 200
    assert (found.headers["content-type"] == LINES) is lines
    assert "Accept" in found.headers["vary"].split(", "), "whoever keeps the answer must not give it for the other form"


def test_who_is_suspended_reads_no_further(
    call: Client, notes: list[UUID], runtime: Runtime, loop: LoopThread, principal: Principal
) -> None:
    async def suspend() -> None:
        async with runtime.db.accounts() as connection:
            await accounts.change(connection, UUID(principal.user_id), status="suspended")

    with reading(call, "/notes?sort=title") as response:
        response.readline()
        loop.run(suspend())
        time.sleep(5)
        rest: list[Any] = [json.loads(line) for line in response]
    assert len(rest) < NOTES / 2
    assert rest[-1]["code"] == "not_signed_in"
