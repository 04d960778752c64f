"""Doing it twice: idempotency keys, cached replies, conditional requests, whole lists."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sbf_kernel.records import Principal
    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Client


@pytest.fixture
def other(service: str, new_user: Callable[[], Principal], new_token: Callable[[Principal], str]) -> Client:
    from tests.api.conftest import Client

    return Client(service, new_token(new_user()))


def test_the_same_key_makes_one_notebook(call: Client, remote: Workspace) -> None:
    key = str(uuid4())
    first, second = (call("POST", "/notebooks", {"name": "once"}, Idempotency_Key=key) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert remote.notebooks.list().total == 1


def test_the_same_key_at_the_same_moment_makes_one_source(call: Client, remote: Workspace) -> None:
    notebook, key = remote.notebooks.create("n"), str(uuid4())
    body = {"name": "a", "origin": "text:a", "content": "QmVlcyBkYW5jZS4="}
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(lambda _: call("POST", f"/notebooks/{notebook.id}/sources", body, Idempotency_Key=key), range(16))
        )
    assert {one.status for one in found} == {201}
    assert len({one.body for one in found}) == 1
    assert notebook.sources.list().total == 1


def test_a_key_for_another_request_is_refused_and_keys_are_ones_own(call: Client, other: Client) -> None:
    key = str(uuid4())
    assert call("POST", "/notebooks", {"name": "a"}, Idempotency_Key=key).status == 201
    again = call("POST", "/notebooks", {"name": "b"}, Idempotency_Key=key)
    assert (again.status, again.json["code"]) == (409, "conflict")
    assert other("POST", "/notebooks", {"name": "b"}, Idempotency_Key=key).status == 201


def test_what_failed_may_be_tried_again_under_its_key(call: Client, remote: Workspace) -> None:
    key, missing = str(uuid4()), uuid4()
    body = {"title": "t"}
    assert call("POST", f"/notebooks/{missing}/notes", body, Idempotency_Key=key).status == 404
    notebook = remote.notebooks.create("n")
    assert call("POST", f"/notebooks/{notebook.id}/notes", body, Idempotency_Key=key).status == 201


def test_a_secret_is_shown_once_and_kept_nowhere(
    service: str, new_user: Callable[..., Principal], loop: Any, runtime: Any
) -> None:
    from sbf_kernel.accounts import users
    from tests.api.conftest import Client

    async def sign_in() -> str:
        from sbf_kernel.accounts import sign_ins

        name = f"u{uuid4().hex[:12]}"
        await users.create(runtime, name, "correct horse battery", "member")
        return (await sign_ins.sign_in(runtime, name, "correct horse battery")).access_token

    client, key = Client(service, loop.run(sign_in())), str(uuid4())
    first = client("POST", "/me/tokens", {"name": "x"}, Idempotency_Key=key)
    assert first.status == 201
    second = client("POST", "/me/tokens", {"name": "x"}, Idempotency_Key=key)
    assert second.status == 409
    assert first.json["secret"] not in second.body.decode()
    assert client("GET", "/me/tokens").json["total"] == 1


def test_a_list_is_cached_until_something_changes(call: Client, remote: Workspace) -> None:
    first, second = call("GET", "/notebooks"), call("GET", "/notebooks")
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
    assert first.body == second.body
    assert "private" in first.headers["cache-control"]
    made = remote.notebooks.create("new")
    third = call("GET", "/notebooks")
    assert third.headers["x-cache"] == "MISS"
    assert third.json["total"] == 1
    made.rename("newer")
    assert call("GET", "/notebooks").json["items"][0]["name"] == "newer"


def test_a_search_is_cached_until_a_source_changes(call: Client, remote: Workspace) -> None:
    notebook = remote.notebooks.create("n")
    notebook.add_text("Bees dance to tell the way.", "bees")
    body = {"query": "bees", "notebook_ids": [str(notebook.id)]}
    assert [call("POST", "/search", body).headers["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    notebook.add_text("Bees sleep at night.", "night")
    found = call("POST", "/search", body)
    assert found.headers["x-cache"] == "MISS"
    assert {hit["source"] for hit in found.json["items"]} == {"bees", "night"}


def test_what_one_user_may_see_is_not_served_to_another_from_the_cache(call: Client, other: Client) -> None:
    call("POST", "/notebooks", {"name": "mine"})
    for _ in range(2):
        assert call("GET", "/notebooks").json["total"] == 1
        assert other("GET", "/notebooks").json["total"] == 0


def test_an_etag_that_still_holds_saves_the_body(call: Client, remote: Workspace) -> None:
    first = call("GET", "/notebooks")
    again = call("GET", "/notebooks", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    remote.notebooks.create("new")
    assert call("GET", "/notebooks", If_None_Match=first.headers["etag"]).status == 200


def test_a_whole_list_comes_line_by_line(call: Client, remote: Workspace) -> None:
    for number in range(205):
        call("POST", "/notebooks", {"name": f"n{number:03}"})
    found = call("GET", "/notebooks?sort=name&limit=3", Accept="application/x-ndjson")
    names = [json.loads(line)["name"] for line in found.body.splitlines()]
    assert names == [f"n{number:03}" for number in range(205)]
    assert found.headers["content-type"] == "application/x-ndjson"


def test_a_file_is_uploaded_as_a_form(call: Client, remote: Workspace) -> None:
    notebook = remote.notebooks.create("n")
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="Bees.txt"\r\nContent-Type: text/plain\r\n\r\n'
        b"Bees dance to tell the way.\r\n--x\r\n"
        b'Content-Disposition: form-data; name="tags"\r\n\r\ninsects\r\n--x--\r\n'
    )
    found = call(
        "POST", f"/notebooks/{notebook.id}/sources/upload", raw=form, Content_Type="multipart/form-data; boundary=x"
    )
    assert found.status == 201
    assert (found.json["name"], found.json["tags"]) == ("Bees.txt", ["insects"])
    events = call("POST", "/sources/events", {"source_ids": [found.json["id"]]}).body.decode()
    assert '"status":"ready"' in events
    assert events.endswith("event: end\ndata: {}\n\n")


def test_no_trace_of_a_password_is_kept_under_a_key(
    service: str, new_user: Callable[..., Principal], new_token: Callable[..., str]
) -> None:
    from tests.api.conftest import Client

    call = Client(service, new_token(new_user(role="admin")))
    key, name = str(uuid4()), f"eve-{uuid4().hex[:12]}"
    made = [
        call("POST", "/users", {"name": name, "password": password}, Idempotency_Key=key)
        for password in ("correct horse battery", "another horse battery")
    ]
    assert [one.status for one in made] == [201, 201]
    assert made[0].body == made[1].body, "what is remembered depends on the password"
