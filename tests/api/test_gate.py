"""What comes in is read strictly: bad values, bad bodies, bad headers are told, never a 500, and never stored."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from sbf_api import examples
from sbf_api.problems import MEDIA_TYPE, Problem
from sbf_api.routing import KINDS
from sbf_kernel import operations as op
from sbf_kernel.accounts.permissions import scope_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Answered, Client

BAD_JSON = {
    "lone surrogate": rb'"\ud800"',
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "a number beyond all": b"1e999",
    "NUL": rb'"a\u0000b"',
    "500 deep": b'{"a":' * 500 + b"1" + b"}" * 500,
    "500 deep list": b"[" * 500 + b"]" * 500,
    "a number of 5,000 digits": b"1" * 5_000,
    "bytes that are no UTF-8": b'"\xff\xfe"',
    "half of a surrogate pair": rb'"\udc00\ud800"',
    "100,000 characters": b'"' + b"x" * 100_000 + b'"',
    "signs that turn the text": '"\u202e\u200b\u0007\\u0007"'.encode(),
    "nothing": b"null",
    "an object": b'{"$gt": ""}',
}
BAD_TEXT = {
    "NUL": "%00",
    "bytes that are no UTF-8": "%ff%fe",
    "an overlong slash": "%c0%af",
    "a lone surrogate": "%ed%a0%80",
    "a way out": "..%2f..%2fetc%2fpasswd",
    "10,000 characters": "x" * 10_000,
    "signs that turn the text": quote("\u202e\u200b\u0007"),
    "an expression": quote("{{7*7}}${7*7}<script>alert(1)</script>"),
    "SQL": quote("'; drop table sbf.sources; --"),
    "a number beyond all": "1e999",
    "a line break": "%0d%0aX-Injected:%201",
    "nothing": "",
}


def _body_fields() -> Iterator[tuple[type[op.Operation], str]]:
    for kind in KINDS:
        if kind.method not in ("GET", "DELETE"):
            yield from ((kind, name) for name in kind.model_fields if f"{{{name}}}" not in kind.path)


def _path_of(kind: type[op.Operation], **given: str) -> str:
    names = {name: str(uuid4()) for name in kind.model_fields if f"{{{name}}}" in kind.path}
    return kind.path.format(**{**names, **given})


def _with(body: dict[str, Any], name: str, fragment: bytes) -> bytes:
    parts = [json.dumps(key).encode() + b":" + json.dumps(value).encode() for key, value in body.items() if key != name]
    return b"{" + b",".join([*parts, json.dumps(name).encode() + b":" + fragment]) + b"}"


def _well_told(found: Answered) -> None:
    assert found.status < 500, found.body[:500]
    if found.status >= 400:
        assert found.headers["content-type"] == MEDIA_TYPE
        problem = Problem.model_validate_json(found.body)
        assert problem.status == found.status
        assert problem.detail
        assert problem.instance
        assert "Traceback" not in problem.detail


@pytest.mark.parametrize("what", BAD_JSON, ids=lambda what: what.replace(" ", "-"))
def test_a_bad_value_in_any_field_is_told(call: Client, what: str) -> None:
    for kind, name in _body_fields():
        raw = _with(examples.REQUESTS.get(kind, {}), name, BAD_JSON[what])
        _well_told(call(kind.method, _path_of(kind), raw=raw))


@pytest.mark.parametrize("what", BAD_TEXT, ids=lambda what: what.replace(" ", "-"))
def test_bad_text_in_any_part_of_a_path_or_query_is_told(call: Client, what: str) -> None:
    text = BAD_TEXT[what]
    for kind in KINDS:
        for name in kind.model_fields:
            in_path = f"{{{name}}}" in kind.path
            if in_path and text:
                _well_told(call(kind.method, _path_of(kind, **{name: text})))
            elif kind.method in ("GET", "DELETE") and not in_path:
                _well_told(call(kind.method, f"{_path_of(kind)}?{name}={text}"))


@pytest.mark.parametrize("name", ["owner_id", "user_id", "id", "role", "is_admin", "created_at", "__proto__"])
def test_a_field_nobody_asked_for_is_refused(call: Client, name: str) -> None:
    for kind in KINDS:
        if name in kind.model_fields or kind.public:
            continue
        if kind.method in ("GET", "DELETE"):
            found = call(kind.method, f"{_path_of(kind)}?{name}=1")
        else:
            found = call(kind.method, _path_of(kind), {**examples.REQUESTS.get(kind, {}), name: "x"})
        assert found.status == (403 if scope_of(kind) == "admin" else 422), (kind, found.status, found.body)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b"{}{}", b"\x00", b"\xff", b"{'name': 'x'}", b"name=x", b"<a/>"]
)
def test_a_body_that_is_none_is_told(call: Client, remote: Workspace, raw: bytes) -> None:
    found = call("POST", "/notebooks", raw=raw)
    assert found.status in (400, 422)
    _well_told(found)
    assert remote.notebooks.list().total == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense", ""])
def test_another_kind_of_body_is_told(call: Client, kind: str) -> None:
    _well_told(call("POST", "/notebooks", {"name": "x"}, Content_Type=kind))


def test_a_body_over_the_limit_is_refused_before_it_is_read(call: Client) -> None:
    found = call("POST", "/notebooks", raw=b'{"name": "' + b"x" * (3 << 20) + b'"}')
    assert found.status == 413
    _well_told(found)


def test_a_body_without_a_length_is_counted_while_it_comes(call: Client, service: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(service).netloc, timeout=30)

    def chunks() -> Iterator[bytes]:
        for _ in range(400):
            yield b"x" * 65_536

    began = time.monotonic()
    try:
        connection.request("POST", "/notebooks", body=chunks(), encode_chunked=True,
                           headers={"Authorization": f"Bearer {call.token}", "Content-Type": "application/json", "Transfer-Encoding": "chunked"})  # fmt: skip
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):  # the service hung up while we were still sending: as good
        assert time.monotonic() - began < 20
    finally:
        connection.close()


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"99999999999999999999", b"abc", b"5, 5", b"\xb2"])
def test_a_length_that_is_none_is_refused(call: Client, service: str, length: bytes) -> None:
    place = urlsplit(service)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(b"POST /notebooks HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n{}")
        assert connection.recv(100).split()[1] in (b"400", b"413")


@pytest.mark.parametrize("key", ["", " ", "a b", "\u00fc", "x" * 201])
def test_an_idempotency_key_that_is_none_is_refused(call: Client, remote: Workspace, key: str) -> None:
    found = call("POST", "/notebooks", {"name": "x"}, Idempotency_Key=key)
    assert found.status == 422
    assert remote.notebooks.list().total == 0


def test_names_are_brought_to_one_form(remote: Workspace) -> None:
    notebook = remote.notebooks.create("Caf\u0065\u0301 \u202eevil\u0007")
    assert notebook.name == "Café evil"
    assert remote.notebooks.get("Café evil").id == notebook.id


def test_an_unknown_path_and_a_wrong_method_are_problems(call: Client) -> None:
    missing, wrong = call("GET", "/nonsense"), call("DELETE", "/notebooks")
    assert (missing.status, missing.json["code"]) == (404, "no_such_path")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert "POST" in wrong.headers["allow"]


def test_a_mistake_of_ours_is_told_without_its_inside(
    call: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sbf_kernel.storage import notebooks

    async def broken(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(notebooks, "find", broken)
    found = call("GET", "/notebooks")
    assert found.status == 500
    assert b"secret" not in found.body
    assert b"ZeroDivision" not in found.body
    assert found.json["instance"] == found.headers["x-request-id"]
    assert "secret inside" in caplog.text
