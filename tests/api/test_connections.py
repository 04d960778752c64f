"""What the service bears from those who connect: silence, endless heads, crowds, and leaving in the middle."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from sbf_api import body, connections
from tests.conftest import until

if TYPE_CHECKING:
    from sbf_kernel.workspace import Workspace
    from tests.api.conftest import Client

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds a head may take."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    return 0.5


def connect(url: str) -> socket.socket:
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    return socket.create_connection((place.hostname, place.port), timeout=20)


def begin_body(call: Client, length: int) -> socket.socket:
    """Send the head of a request whose body is still to come."""
    connection = connect(call.url)
    connection.sendall(
        f"POST /notebooks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {call.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    return connection


def read(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    found = b""
    while piece := connection.recv(65_536):
        found += piece
    return found


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD, HEAD + b"X-Slow: "])
def test_who_sends_no_request_is_let_go(service: str, patience: float, sent: bytes) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(sent)
        began = time.monotonic()
        assert read(connection) == b""
        assert patience * 0.5 < time.monotonic() - began < patience + 5


def test_a_head_that_drips_gains_no_time(service: str, patience: float) -> None:
    with closing(connect(service)) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            for byte in HEAD * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < patience + 5


def test_a_second_request_may_be_as_slow_as_the_first_and_no_slower(service: str, patience: float) -> None:
    with closing(connect(service)) as connection:
        for _ in range(2):
            connection.sendall(HEAD)
            time.sleep(patience / 2)
            connection.sendall(b"\r\n")
            found = b""
            while not found.endswith(b'{"status":"alive"}'):
                found += connection.recv(65_536)
        connection.sendall(b"GET")
        assert read(connection) == b""


def test_a_body_and_an_answer_may_take_longer_than_a_head(call: Client, patience: float, remote: Workspace) -> None:
    named = b'{"name": "slow"}'
    with closing(begin_body(call, len(named))) as connection:
        time.sleep(patience * 2)
        connection.sendall(named)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 201")


def test_a_body_that_drips_is_let_go(call: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 1)
    with closing(begin_body(call, 5_000)) as connection:
        began, found = time.monotonic(), b""
        time.sleep(0.2)
        monkeypatch.setattr(connections, "RUNNING", 1)
        until(lambda: call("GET", "/notebooks").status == 503, 1)
        connection.settimeout(0.1)
        while not found and time.monotonic() - began < 5:
            connection.sendall(b" ")
            with suppress(TimeoutError):
                found = connection.recv(65_536)
        assert time.monotonic() - began < 3
        connection.settimeout(20)
        assert b"connection: close" in found
        assert b"too slowly" in found + read(connection), "and the connection is closed"
        assert found.startswith(b"HTTP/1.1 400")
        assert call("GET", "/notebooks").status == 200, "others have its place"


def test_what_has_come_of_a_body_earns_time_for_the_rest(call: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(body, "BODY_RATE", 10)
    begin, end = b'{"description": "steady",', b'"name": "slow"}'
    with closing(begin_body(call, len(begin + end))) as connection:
        connection.sendall(begin)
        time.sleep(1)
        connection.sendall(end)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 201")


def test_silent_connections_do_not_keep_others_out(call: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "RUNNING", 5)
    with ExitStack() as stack:
        for _ in range(1_050):
            stack.enter_context(closing(connect(call.url)))
        assert call("GET", "/notebooks").status == 200


def test_too_many_requests_at_once_are_told_so(call: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "RUNNING", 0)
    refused = call("GET", "/notebooks")
    assert (refused.status, refused.json["code"]) == (503, "store_busy")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert {"x-request-id", "x-content-type-options"} <= refused.headers.keys()
    assert {call("GET", path).status for path in connections.PROBES} == {200}


@pytest.mark.parametrize("size", [65_530, 65_535, 65_536, 70_000])
def test_an_endless_address_is_refused_as_a_head(call: Client, size: int) -> None:
    found = call("GET", "/" + "x" * (size - 1))
    assert (found.status, found.json["title"]) == (431, "HeadTooLarge")
    assert "address" in found.json["hint"]


@pytest.mark.parametrize("size", [70_000, 3_000_000])
@pytest.mark.parametrize("end", [b"\r\n\r\n", b""])
def test_an_endless_head_is_refused(service: str, size: int, end: bytes) -> None:
    with closing(connect(service)) as connection:
        try:
            connection.sendall(HEAD + b"X-Long: " + b"x" * size + end)
        except OSError:
            return  # refused before all of it was sent
        try:
            found = connection.recv(65_536)
        except ConnectionResetError:
            return
    assert found.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in found


def test_a_long_head_is_taken(call: Client) -> None:
    assert call("GET", "/notebooks", X_Long="x" * 60_000).status == 200


def test_what_is_no_http_is_a_problem(service: str) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        found = read(connection)
    assert found.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/problem+json" in found.lower()
    assert b"x-content-type-options: nosniff" in found


LEAVING = [
    ("POST", "/notebooks", "application/json", b'{"na'),
    ("GET", "/notebooks", "application/json", b'{"na'),
    ("DELETE", "/notebooks/0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01", "application/json", b'{"na'),
    ("POST", "/ask", "application/json", b'{"qu'),
    ("POST", "/notebooks/0d1c5a1e-93b1-4f0a-8f43-6c3b8a6f2e01/sources/upload", "multipart/form-data; boundary=x",
     b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "kind", "begin"), LEAVING)
def test_who_leaves_in_the_middle_of_a_body_is_no_error_of_ours(
    call: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, kind: str, begin: bytes
) -> None:
    caplog.set_level(logging.INFO)
    with closing(connect(call.url)) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {call.token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: 5000\r\n\r\n".encode()
            + begin
        )
        time.sleep(0.3)

    def lines() -> list[Any]:
        return [record for record in caplog.records if record.name == "sbf_api.request"]

    until(lines, 10)
    assert [line.status for line in lines()] == [499]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
